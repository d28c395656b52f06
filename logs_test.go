package epcclogs_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// The forms in which the API's documents show a list, and what servers were seen to make of them.
func TestEnvelopes(t *testing.T) {
	const jobID, failed = "0c2d1f6e-4a2f-4be5-8c7e-1f3a0f3a9d10", "Received a status code outside of 2xx range - treating webhook as a fail"
	relationships := func(id, kind string) epcclogs.LogRelationships {
		return epcclogs.LogRelationships{
			Integration: epcclogs.Relationship{Data: epcclogs.ResourceIdentifier{ID: integration, Type: "integration"}},
			Job:         epcclogs.Relationship{Data: epcclogs.ResourceIdentifier{ID: id, Type: kind}},
		}
	}
	for name, want := range map[string]logPage{
		"logs_reference.json": {
			Data: []epcclogs.IntegrationLog{{
				ID: "ac8bb58e-2b9b-4ccf-9dd2-ecdf50417849", Type: "integration", Succeeded: true, Attempt: 1, Body: "Not Found",
				StatusCode: 404, ErrorDetail: failed, Relationships: relationships(integration, "job"),
			}},
			Meta:    &epcclogs.PageMeta{Limit: 100, Offset: 0, Current: 1, Total: 1},
			Results: &epcclogs.PageResults{Total: 1},
		},
		"logs_links.json": {
			Data: []epcclogs.IntegrationLog{{
				ID: "5f6c8bd0-77fa-4a2e-9f44-0d6a2a6f6b1e", Type: "integration-log", Attempt: 2, ProcessingTime: 0.2314,
				Body: "<h1>Service Unavailable</h1>", StatusCode: 503, ErrorDetail: failed, Relationships: relationships(jobID, "integration-job"),
				Meta: epcclogs.ResourceMeta{Timestamps: epcclogs.Timestamps{CreatedAt: time.Date(2026, 2, 12, 9, 41, 7, 123456789, time.UTC)}},
			}},
			Links: &epcclogs.PageLinks{
				First: "/integrations/logs?page[offset]=0&page[limit]=1",
				Next:  "/integrations/logs?page[offset]=11&page[limit]=1",
				Prev:  "/integrations/logs?page[offset]=9&page[limit]=1",
			},
		},
		"logs_nested.json": {
			Data: []epcclogs.IntegrationLog{{
				ID: "ac8bb58e-2b9b-4ccf-9dd2-ecdf50417849", Type: "integration-log", Succeeded: true, Attempt: 1, StatusCode: 200,
				Relationships: relationships("", ""),
			}},
			Meta:    &epcclogs.PageMeta{Limit: 25, Offset: 50, Current: 3, Total: 3},
			Results: &epcclogs.PageResults{Total: 51},
		},
		"logs_bare.json": {Data: []epcclogs.IntegrationLog{{
			ID: "5f6c8bd0-77fa-4a2e-9f44-0d6a2a6f6b1e", Type: "integration-log", Succeeded: true, Attempt: 1, Body: "ok", StatusCode: 200,
			Relationships: relationships(jobID, "integration-job"),
		}}},
		"logs_numeric_strings.json": {
			Data: []epcclogs.IntegrationLog{
				{ID: "a1", Type: "integration", Attempt: 3, ProcessingTime: 1.25, StatusCode: 503, ErrorDetail: "timeout"},
				{ID: "a2", Type: "integration"},
			},
			Meta:    &epcclogs.PageMeta{Limit: 100, Current: 1, Total: 1},
			Results: &epcclogs.PageResults{Total: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := wire.Fixture(t, name)
			_, page, err := read(t, body)
			require.NoError(t, err)
			assert.Equal(t, &want, page)
			log := page.Data[0]
			assert.Equal(t, log.Relationships.Integration.Data.ID, log.IntegrationID())
			assert.Equal(t, log.Relationships.Job.Data.ID, log.JobID())
			assert.Equal(t, log.Meta.Timestamps.CreatedAt, log.CreatedAt())

			encoded, err := json.Marshal(page)
			require.NoError(t, err)
			if name == "logs_reference.json" || name == "logs_links.json" { // all members in one place, and of their types
				assert.JSONEq(t, body, string(encoded))
			}
			var again logPage
			require.NoError(t, json.Unmarshal(encoded, &again))
			assert.Equal(t, want, again)
		})
	}
}

func TestFamily(t *testing.T) {
	reference := wire.OK(wire.Fixture(t, "logs_reference.json"))
	ctx := t.Context()

	s := wire.Steps(reference)
	c := clientOf(t, s)
	for _, err := range []error{
		errorOf(c.ListIntegrationLogs(ctx, integration, nil)),
		errorOf(c.ListStoreLogs(ctx, &epcclogs.ListOptions{Limit: 3})),
		errorOf(c.ListJobLogs(ctx, integration, "job-1", nil)),
		exhaust(ctx, c.StoreLogs(nil)),
		exhaust(ctx, c.JobLogs(integration, "job-1", nil)),
	} {
		require.NoError(t, err)
	}
	assert.Equal(t, []string{
		"GET /v2/integrations/" + integration + "/logs",
		"GET /v2/integrations/logs?page%5Blimit%5D=3",
		"GET /v2/integrations/" + integration + "/jobs/job-1/logs",
		"GET /v2/integrations/logs?page%5Blimit%5D=100",
		"GET /v2/integrations/" + integration + "/jobs/job-1/logs?page%5Blimit%5D=100",
	}, s.Sent())

	s = wire.Steps(wire.OK(wire.Fixture(t, "jobs_bare.json")))
	c = clientOf(t, s)
	jobs, err := c.ListIntegrationJobs(ctx, integration, nil)
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationJob{
		{ID: "0c2d1f6e-4a2f-4be5-8c7e-1f3a0f3a9d10", Type: "integration-job"},
		{ID: "d3b0c8a2-65f4-4c9f-8a41-7f1f6f3a2b55", Type: "integration-job"},
	}, jobs.Data)
	var all []epcclogs.IntegrationJob
	for job, err := range c.IntegrationJobs(integration, nil).All(ctx) { // the server ignores the paging
		require.NoError(t, err)
		all = append(all, job)
	}
	assert.Equal(t, jobs.Data, all)
	assert.Equal(t, "GET /v2/integrations/"+integration+"/jobs", s.Sent()[0])
}

func TestIntegrations(t *testing.T) {
	want := epcclogs.Integration{
		ID: integration, Type: "integration", Name: "Order webhook", Description: "Tells the warehouse about paid orders",
		Enabled: true, IntegrationType: "webhook", Observes: []string{"order.created", "order.paid"},
		Meta: epcclogs.ResourceMeta{Timestamps: epcclogs.Timestamps{
			CreatedAt: time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC),
			UpdatedAt: time.Date(2024, 3, 2, 9, 30, 0, 5e8, time.UTC),
		}},
	}
	one := wire.Fixture(t, "integration.json")
	s := wire.Steps(wire.OK(one))
	got, err := clientOf(t, s).GetIntegration(t.Context(), integration)
	require.NoError(t, err)
	assert.Equal(t, &want, got)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration}, s.Sent())
	encoded, err := json.Marshal(got)
	require.NoError(t, err)
	assert.NotContains(t, string(encoded), "secret")

	var object struct {
		Data json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(one), &object))
	s = wire.Steps(wire.OK(`{"data":[`+string(object.Data)+`],"links":null}`), wire.OK(`{"data":[]}`))
	var all []epcclogs.Integration
	for in, err := range clientOf(t, s).Integrations(nil).All(t.Context()) {
		require.NoError(t, err)
		all = append(all, in)
	}
	assert.Equal(t, []epcclogs.Integration{want}, all)
	assert.Equal(t, "GET /v2/integrations?page%5Blimit%5D=100", s.Sent()[0])
}
