package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// record lists the logs on the service and returns the spans in the order in which
// they ended, that of the listing last, and how many requests the metric has of
// each status.
func record(t *testing.T, srv *epcclogstest.Server, id string, opts ...epcclogs.Option,
) (spans tracetest.SpanStubs, requests map[int]int, err error) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(sdktrace.WithSyncer(exporter), reader)
	onAttempt, hookErr := telemetry.onAttempt()
	require.NoError(t, hookErr)
	opts = append(opts,
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: time.Millisecond}),
		epcclogs.WithOnAttempt(onAttempt),
	)
	client, newErr := epcclogs.NewClient(opts...)
	require.NoError(t, newErr)
	err = listLogs(t.Context(), telemetry.spans.Tracer("test"), client, id)
	spans = exporter.GetSpans()
	requests = durations(t, reader)
	require.NoError(t, telemetry.spans.Shutdown(t.Context()))
	require.NoError(t, telemetry.metrics.Shutdown(t.Context()))

	listing := spans[len(spans)-1]
	assert.Equal(t, "list integration logs", listing.Name)
	for _, span := range spans[:len(spans)-1] {
		assert.Equal(t, listing.SpanContext.TraceID(), span.SpanContext.TraceID())
		assert.Equal(t, listing.SpanContext.SpanID(), span.Parent.SpanID(), "attempts stand below the listing")
		assert.False(t, span.StartTime.Before(listing.StartTime))
		assert.False(t, span.EndTime.After(listing.EndTime))
	}
	return spans, requests, err
}

// durations returns the number of measured requests by status. There is no other
// metric.
func durations(t *testing.T, reader sdkmetric.Reader) map[int]int {
	t.Helper()
	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	require.Len(t, collected.ScopeMetrics, 1)
	require.Len(t, collected.ScopeMetrics[0].Metrics, 1)
	metric := collected.ScopeMetrics[0].Metrics[0]
	assert.Equal(t, "http.client.request.duration", metric.Name)
	require.IsType(t, metricdata.Histogram[float64]{}, metric.Data)
	byStatus := make(map[int]int)
	for _, point := range metric.Data.(metricdata.Histogram[float64]).DataPoints {
		status, _ := point.Attributes.Value("http.response.status_code")
		byStatus[int(status.AsInt64())] = int(point.Count)
		assert.Positive(t, point.Sum)
	}
	return byStatus
}

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// numbers returns an attribute of each span, -1 for those without it.
func numbers(spans tracetest.SpanStubs, name attribute.Key) []int {
	var list []int
	for _, span := range spans {
		set := attribute.NewSet(span.Attributes...)
		value, ok := set.Value(name)
		if !ok {
			value = attribute.IntValue(-1)
		}
		list = append(list, int(value.AsInt64()))
	}
	return list
}

func TestAttempts(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	srv.FailRequest(1, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
	srv.FailRequest(3, epcclogstest.GatewayPage(http.StatusBadGateway))
	srv.FailRequest(4, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
	spans, requests, err := record(t, srv, id, epcclogs.WithToken("example-token"))
	require.NoError(t, err)
	assert.Equal(t, []int{503, 200, 502, 503, 200, 200, -1}, numbers(spans, "http.response.status_code"))
	assert.Equal(t, []int{1, 2, 1, 2, 3, 1, -1}, numbers(spans, "epcclogs.attempt"))
	assert.Equal(t, requestedOffsets(t, srv), numbers(spans[:6], "epcclogs.offset"))
	assert.Equal(t, map[int]int{200: 3, 502: 1, 503: 2}, requests)
	assert.Equal(t, codes.Error, spans[0].Status.Code)
	assert.Contains(t, spans[0].Status.Description, "503 Service Unavailable")
	assert.Equal(t, codes.Unset, spans[1].Status.Code)
	listing := spans[6]
	assert.Equal(t, codes.Unset, listing.Status.Code)
	assert.Equal(t, []int{250}, numbers(spans[6:], "epcclogs.records"))
}

// requestedOffsets returns the offset of each request that the service received.
func requestedOffsets(t *testing.T, srv *epcclogstest.Server) []int {
	t.Helper()
	var offsets []int
	for _, r := range srv.Requests() {
		query, err := url.ParseQuery(r.RawQuery)
		require.NoError(t, err)
		offset, err := strconv.Atoi(cmp.Or(query.Get("page[offset]"), "0"))
		require.NoError(t, err)
		offsets = append(offsets, offset)
	}
	return offsets
}

func TestFailedListing(t *testing.T) {
	spans, requests, err := record(t, newServer(t), "unknown", epcclogs.WithToken("example-token"))
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	assert.Equal(t, []int{404, -1}, numbers(spans, "http.response.status_code"))
	assert.Equal(t, map[int]int{404: 1}, requests)
	listing := spans[1]
	assert.Equal(t, codes.Error, listing.Status.Code)
	require.Len(t, listing.Events, 1)
	assert.Equal(t, "exception", listing.Events[0].Name)
}

// The token is fetched within the first call, and no span shows it or the secret.
func TestCredentials(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	spans, _, err := record(t, srv, epcclogstest.SampleIntegration(0).ID,
		epcclogs.WithClientCredentials("example-id", "example-secret"))
	require.NoError(t, err)
	assert.Equal(t, []int{200, 200, 200, 200, -1}, numbers(spans, "http.response.status_code"))
	assert.Equal(t, -1, numbers(spans, "epcclogs.offset")[0], "the token is not a page")
	shown, err := json.Marshal(spans)
	require.NoError(t, err)
	assert.Contains(t, string(shown), "/oauth/access_token")
	assert.NotContains(t, string(shown), "example-secret")
	assert.NotContains(t, string(shown), "Bearer")
}

func setenv(t *testing.T, values ...string) {
	t.Helper()
	for i, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		t.Setenv(name, value)
	}
}

type reference struct {
	SpanID string `json:"SpanID"`
}

func TestDefault(t *testing.T) {
	setenv(t)
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), nil, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	require.Len(t, lines, 7)
	var names, ids, parents []string
	for _, line := range lines[:6] {
		var span struct {
			Name        string    `json:"Name"`
			SpanContext reference `json:"SpanContext"`
			Parent      reference `json:"Parent"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &span))
		names = append(names, span.Name)
		ids = append(ids, span.SpanContext.SpanID)
		parents = append(parents, span.Parent.SpanID)
	}
	assert.Equal(t, []string{"HTTP POST", "HTTP GET", "HTTP GET", "HTTP GET", "HTTP GET", "list integration logs"}, names)
	assert.Equal(t, []string{ids[5], ids[5], ids[5], ids[5], ids[5], strings.Repeat("0", 16)}, parents)
	assert.Contains(t, lines[1], `"Value":503`)
	assert.Contains(t, lines[2], `"Value":200`)
	assert.Contains(t, lines[6], `"Name":"http.client.request.duration"`)
}

func TestRun(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	for _, tc := range []struct {
		env    []string
		args   []string
		status int
		stderr string
	}{
		{[]string{"example-id", "example-secret", srv.URL}, []string{epcclogstest.SampleIntegration(2).ID}, 0, ""},
		{[]string{"example-id", "example-secret", srv.URL}, []string{"unknown"}, 1, "404 Not Found"},
		{[]string{"example-id", "example-secret"}, nil, 1, "otel: the id of an integration is missing"},
		{[]string{"example-id"}, nil, 1, "missing in the environment: EPCC_CLIENT_SECRET\n"},
		{nil, []string{"one", "two"}, 2, "usage: otel [integration id]\n"},
		{nil, []string{"-colour"}, 2, "usage: otel [integration id]\n"},
		{nil, []string{"-h"}, 0, "usage: otel [integration id]\n"},
	} {
		setenv(t, tc.env...)
		var stdout, stderr bytes.Buffer
		assert.Equal(t, tc.status, run(t.Context(), tc.args, &stdout, &stderr), tc.args)
		assert.Contains(t, stderr.String(), tc.stderr)
	}
}
