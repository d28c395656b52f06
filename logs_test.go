package epcclogs_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
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
	s := serve(t, ok(string(fixture(t, "logs_reference.json"))))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Equal(t, &epcclogs.Page[epcclogs.IntegrationLog]{
		Data:    []epcclogs.IntegrationLog{want},
		Meta:    &epcclogs.PageMeta{Limit: 100, Offset: 0, Current: 1, Total: 1},
		Results: &epcclogs.PageResults{Total: 1},
	}, page)
	assert.Equal(t, integration, page.Data[0].IntegrationID())
	assert.Equal(t, integration, page.Data[0].JobID())
	assert.Zero(t, page.Data[0].CreatedAt())
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs"}, s.sent())

	encoded, err := json.Marshal(page)
	require.NoError(t, err)
	assert.JSONEq(t, string(fixture(t, "logs_reference.json")), string(encoded))
	var again epcclogs.Page[epcclogs.IntegrationLog]
	require.NoError(t, json.Unmarshal(encoded, &again))
	assert.Equal(t, *page, again)
}

func TestLinksEnvelope(t *testing.T) {
	s := serve(t, ok(string(fixture(t, "logs_links.json"))))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 1, Offset: 10})
	require.NoError(t, err)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs?page%5Blimit%5D=1&page%5Boffset%5D=10"}, s.sent())
	assert.Nil(t, page.Meta)
	assert.Nil(t, page.Results)
	assert.Equal(t, &epcclogs.PageLinks{
		First: "/integrations/logs?page[offset]=0&page[limit]=1",
		Next:  "/integrations/logs?page[offset]=11&page[limit]=1",
		Prev:  "/integrations/logs?page[offset]=9&page[limit]=1",
	}, page.Links)
	require.Len(t, page.Data, 1)
	log := page.Data[0]
	assert.False(t, log.Succeeded)
	assert.Equal(t, 2, log.Attempt)
	assert.Equal(t, 503, log.StatusCode)
	assert.InDelta(t, 0.2314, log.ProcessingTime, 0)
	assert.Equal(t, "<h1>Service Unavailable</h1>", log.Body)
	assert.Equal(t, "integration-log", log.Type)
	assert.Equal(t, "integration-job", log.Relationships.Job.Data.Type)
	assert.Equal(t, time.Date(2026, 2, 12, 9, 41, 7, 123456789, time.UTC), log.CreatedAt())
	encoded, err := json.Marshal(page)
	require.NoError(t, err)
	assert.JSONEq(t, string(fixture(t, "logs_links.json")), string(encoded))
}

func TestNestedEnvelope(t *testing.T) {
	s := serve(t, ok(string(fixture(t, "logs_nested.json"))))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Equal(t, &epcclogs.PageMeta{Limit: 25, Offset: 50, Current: 3, Total: 3}, page.Meta)
	assert.Equal(t, &epcclogs.PageResults{Total: 51}, page.Results)
	require.Len(t, page.Data, 1)
	assert.Empty(t, page.Data[0].JobID(), "null relationship")
	assert.Empty(t, page.Data[0].ErrorDetail, "null string")
}

func TestBareEnvelope(t *testing.T) {
	s := serve(t, ok(string(fixture(t, "logs_bare.json"))))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Nil(t, page.Meta)
	assert.Nil(t, page.Results)
	assert.Nil(t, page.Links)
	require.Len(t, page.Data, 1)
	assert.Equal(t, "ok", page.Data[0].Body)
}

func TestNumbersAsStringsAndNulls(t *testing.T) {
	s := serve(t, ok(string(fixture(t, "logs_numeric_strings.json"))))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationLog{
		{ID: "a1", Type: "integration", Attempt: 3, ProcessingTime: 1.25, StatusCode: 503, ErrorDetail: "timeout"},
		{ID: "a2", Type: "integration"},
	}, page.Data)
}

func TestEmptyPages(t *testing.T) {
	for _, body := range []string{`{"data":[]}`, `{"data":null}`, ` {"data" : [ ] , "links":null} `, `{"data":null,"meta":{},"links":{"next":null}}`} {
		s := serve(t, ok(body))
		page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
		require.NoError(t, err, body)
		assert.Empty(t, page.Data, body)
	}
}

// Every record keeps its fields when the first of a page makes the client read it
// record by record.
func TestUnknownMembersAndEmptyRecords(t *testing.T) {
	s := serve(t, ok(`{"data":[{},{"id":"x","novel":{"a":[1]}},`+record(7)+`],"novel":true}`))
	page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationLog{
		{},
		{ID: "x"},
		{ID: "log-7", Type: "integration", Succeeded: true, Attempt: 1, Body: "7", StatusCode: 200},
	}, page.Data)
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"html", "<html>", "invalid character"},
		{"trailing data", `{"data":[]} x`, "after top-level value"},
		{"an array", `[]`, "array"},
		{"null", `null`, "data is missing"},
		{"no data", `{"meta":{"limit":100},"results":{"total":3}}`, "data is missing"},
		{"errors with status 200", `{"errors":[{"title":"Not Found"}]}`, "data is missing"},
		{"data an object", `{"data":{"id":"x"}}`, "data: "},
		{"data a string", `{"data":"x"}`, "data: "},
		{"a null record", `{"data":[` + record(0) + `,null]}`, "data[1]: null"},
		{"a record of the wrong type", `{"data":[` + record(0) + `,[1]]}`, "data[1]: "},
		{"member of the wrong type", `{"data":[` + record(0) + `,` + record(1) + `,{"id":"x","succeeded":"yes"}]}`, "data[2].succeeded: "},
		{"id a number", `{"data":[{"id":5}]}`, "data[0].id: "},
		{"nested member", `{"data":[{"id":"x","relationships":{"job":{"data":{"id":7,"type":"job"}}}}]}`, "data[0].relationships.job.data.id: "},
		{"relationship an array", `{"data":[{"id":"x","relationships":[]}]}`, "data[0].relationships: "},
		{"time", `{"data":[{"id":"x","meta":{"timestamps":{"created_at":"yesterday"}}}]}`, "data[0].meta.timestamps.created_at: "},
		{"attempt a word", `{"data":[{"id":"x","attempt":"twice"}]}`, "data[0].attempt: "},
		{"attempt an empty string", `{"data":[{"id":"x","attempt":""}]}`, "data[0].attempt: "},
		{"attempt null in quotes", `{"data":[{"id":"x","attempt":"null"}]}`, "data[0].attempt: "},
		{"attempt a fraction", `{"data":[{"id":"x","attempt":1.5}]}`, "data[0].attempt: "},
		{"status a fraction in quotes", `{"data":[{"id":"x","attempt":"2","status_code":"1.5"}]}`, "data[0].status_code: "},
		{"status too large", `{"data":[{"id":"x","status_code":1e300}]}`, "data[0].status_code: "},
		{"processing time an array", `{"data":[{"id":"x","processing_time":[]}]}`, "data[0].processing_time: "},
		{"processing time not a number", `{"data":[{"id":"x","processing_time":"NaN"}]}`, "data[0].processing_time: "},
		{"meta a string", `{"data":[` + record(0) + `],"meta":"x"}`, "meta: "},
		{"meta member", `{"data":[` + record(0) + `],"meta":{"limit":"100"}}`, "meta.limit: "},
		{"nested meta member", `{"data":[],"meta":{"page":{"total":true}}}`, "meta.page.total: "},
		{"results member", `{"data":[],"results":{"total":"many"}}`, "results.total: "},
		{"links member", `{"data":[],"links":{"next":5}}`, "links.next: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, ok(tt.body))
			page, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
			assert.Nil(t, page)
			var decodeErr *epcclogs.DecodeError
			require.ErrorAs(t, err, &decodeErr)
			require.ErrorContains(t, decodeErr.Err, tt.want)
			require.ErrorContains(t, err, tt.want)
			assert.Equal(t, "GET", decodeErr.Method)
			assert.Equal(t, s.URL+"/v2/integrations/"+integration+"/logs", decodeErr.URL)
			assert.Equal(t, "application/json", decodeErr.ContentType)
			assert.Equal(t, tt.body, string(decodeErr.Body))
			assert.Len(t, s.sent(), 1, "malformed JSON is not asked for again")
		})
	}
}

func TestFamily(t *testing.T) {
	reference := ok(string(fixture(t, "logs_reference.json")))
	ctx := t.Context()

	s := serve(t, reference)
	c := newClient(t, s.URL)
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
	}, s.sent())

	s = serve(t, ok(string(fixture(t, "jobs_bare.json"))))
	c = newClient(t, s.URL)
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
	assert.Equal(t, "GET /v2/integrations/"+integration+"/jobs", s.sent()[0])
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
	one := fixture(t, "integration.json")
	s := serve(t, ok(string(one)))
	got, err := newClient(t, s.URL).GetIntegration(t.Context(), integration)
	require.NoError(t, err)
	assert.Equal(t, &want, got)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration}, s.sent())
	encoded, err := json.Marshal(got)
	require.NoError(t, err)
	assert.NotContains(t, string(encoded), "secret")

	var object struct {
		Data json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal(one, &object))
	s = serve(t, ok(`{"data":[`+string(object.Data)+`],"links":null}`), ok(`{"data":[]}`))
	var all []epcclogs.Integration
	for in, err := range newClient(t, s.URL).Integrations(nil).All(t.Context()) {
		require.NoError(t, err)
		all = append(all, in)
	}
	assert.Equal(t, []epcclogs.Integration{want}, all)
	assert.Equal(t, "GET /v2/integrations?page%5Blimit%5D=100", s.sent()[0])

	s = serve(t, answer{status: http.StatusNotFound, body: string(fixture(t, "error_404.json"))})
	_, err = newClient(t, s.URL).GetIntegration(t.Context(), integration)
	require.ErrorIs(t, err, epcclogs.ErrNotFound)

	for body, want := range map[string]string{
		`{}`: "data is missing", `null`: "data is missing", `[]`: "array", `{"data":null}`: "data: null",
		`{"data":{"id":1}}`: "data.id: ", `{"data":{"observes":[1]}}`: "data.observes: ", `{"data":[]}`: "data: ",
	} {
		s = serve(t, ok(body))
		_, err = newClient(t, s.URL).GetIntegration(t.Context(), integration)
		var decodeErr *epcclogs.DecodeError
		require.ErrorAs(t, err, &decodeErr, body)
		require.ErrorContains(t, err, want)
	}
}
