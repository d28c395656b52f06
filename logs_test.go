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

func TestListIntegrationLogs(t *testing.T) {
	want := epcclogs.IntegrationLog{
		ID: "ac8bb58e-2b9b-4ccf-9dd2-ecdf50417849", Type: "integration",
		Succeeded: true, Attempt: 1, Body: "Not Found", StatusCode: 404,
		ErrorDetail: "Received a status code outside of 2xx range - treating webhook as a fail",
		Relationships: epcclogs.LogRelationships{
			Integration: epcclogs.Relationship{Data: epcclogs.ResourceIdentifier{ID: integration, Type: "integration"}},
			Job:         epcclogs.Relationship{Data: epcclogs.ResourceIdentifier{ID: integration, Type: "job"}},
		},
	}
	s := wire.Steps(wire.OK(wire.Fixture(t, "logs_reference.json")))
	page, err := clientOf(t, s).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Equal(t, &epcclogs.Page[epcclogs.IntegrationLog]{
		Data:    []epcclogs.IntegrationLog{want},
		Meta:    &epcclogs.PageMeta{Limit: 100, Offset: 0, Current: 1, Total: 1},
		Results: &epcclogs.PageResults{Total: 1},
	}, page)
	assert.Equal(t, integration, page.Data[0].IntegrationID())
	assert.Equal(t, integration, page.Data[0].JobID())
	assert.Zero(t, page.Data[0].CreatedAt())
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs"}, s.Sent())

	encoded, err := json.Marshal(page)
	require.NoError(t, err)
	assert.JSONEq(t, wire.Fixture(t, "logs_reference.json"), string(encoded))
	var again epcclogs.Page[epcclogs.IntegrationLog]
	require.NoError(t, json.Unmarshal(encoded, &again))
	assert.Equal(t, *page, again)
}

func TestFamily(t *testing.T) {
	reference := wire.OK(wire.Fixture(t, "logs_reference.json"))
	ctx := t.Context()

	s := wire.Steps(reference)
	c := clientOf(t, s)
	logs, err := c.ListStoreLogs(ctx, &epcclogs.ListOptions{Limit: 3})
	require.NoError(t, err)
	assert.Len(t, logs.Data, 1)
	logs, err = c.ListJobLogs(ctx, integration, "job-1", nil)
	require.NoError(t, err)
	assert.Len(t, logs.Data, 1)
	for _, pager := range []*epcclogs.Pager[epcclogs.IntegrationLog]{c.StoreLogs(nil), c.JobLogs(integration, "job-1", nil)} {
		n := 0
		for _, err := range pager.All(ctx) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 1, n)
	}
	assert.Equal(t, []string{
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

	s = wire.Steps(wire.Reply(404, wire.Fixture(t, "error_404.json")))
	_, err = clientOf(t, s).GetIntegration(t.Context(), integration)
	require.ErrorIs(t, err, epcclogs.ErrNotFound)

	for body, want := range map[string]string{
		`{}`: "data is missing", `null`: "data is missing", `[]`: "array", `{"data":null}`: "data: null",
		`{"data":{"id":1}}`: "data.id: ", `{"data":{"observes":[1]}}`: "data.observes: ", `{"data":[]}`: "data: ",
	} {
		s = wire.Steps(wire.OK(body))
		_, err = clientOf(t, s).GetIntegration(t.Context(), integration)
		require.ErrorAs(t, err, new(*epcclogs.DecodeError))
		require.ErrorContains(t, err, want)
	}
}
