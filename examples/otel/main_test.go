package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// record runs one traced call on the service and returns its spans in the order
// in which they ended, that of the call last.
func record(t *testing.T, srv *epcclogstest.Server, id string, opts ...epcclogs.Option) (tracetest.SpanStubs, error) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := newProvider(sdktrace.WithSyncer(exporter))
	opts = append(opts,
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: time.Millisecond}),
		epcclogs.WithHTTPClient(tracingClient(provider)),
	)
	client, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	err = listLogs(t.Context(), provider.Tracer("test"), client, id)
	spans := exporter.GetSpans()
	require.NoError(t, provider.Shutdown(t.Context()))

	call := spans[len(spans)-1]
	assert.Equal(t, "list integration logs", call.Name)
	for _, span := range spans[:len(spans)-1] {
		assert.Equal(t, call.SpanContext.TraceID(), span.SpanContext.TraceID())
		assert.Equal(t, call.SpanContext.SpanID(), span.Parent.SpanID(), "attempts stand below the call")
		assert.False(t, span.StartTime.Before(call.StartTime))
		assert.False(t, span.EndTime.After(call.EndTime))
	}
	return spans, err
}

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// statuses are the HTTP statuses of the spans, 0 for those without one.
func statuses(spans tracetest.SpanStubs) []int {
	var list []int
	for _, span := range spans {
		set := attribute.NewSet(span.Attributes...)
		value, _ := set.Value("http.response.status_code")
		list = append(list, int(value.AsInt64()))
	}
	return list
}

func TestAttempts(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	for _, failures := range []int{0, 1, 3} {
		srv := newServer(t)
		srv.Fail(failures, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
		spans, err := record(t, srv, id, epcclogs.WithToken("example-token"))
		require.NoError(t, err)
		want := append([]int{503, 503, 503}[:failures:failures], 200, 0)
		assert.Equal(t, want, statuses(spans))
		assert.Equal(t, codes.Unset, spans[len(spans)-1].Status.Code)
	}
}

func TestFailedCall(t *testing.T) {
	spans, err := record(t, newServer(t), "unknown", epcclogs.WithToken("example-token"))
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	assert.Equal(t, []int{404, 0}, statuses(spans))
	call := spans[1]
	assert.Equal(t, codes.Error, call.Status.Code)
	require.Len(t, call.Events, 1)
	assert.Equal(t, "exception", call.Events[0].Name)
}

// The token is fetched within the first call, and no span shows it or the secret.
func TestCredentials(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	spans, err := record(t, srv, epcclogstest.SampleIntegration(0).ID,
		epcclogs.WithClientCredentials("example-id", "example-secret"))
	require.NoError(t, err)
	assert.Equal(t, []int{200, 200, 0}, statuses(spans))
	shown, err := json.Marshal(spans)
	require.NoError(t, err)
	assert.Contains(t, string(shown), srv.URL+"/oauth/access_token")
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
	require.Len(t, lines, 3)
	var names, ids, parents []string
	for _, line := range lines {
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
	assert.Equal(t, []string{"HTTP GET", "HTTP GET", "list integration logs"}, names)
	assert.Equal(t, []string{ids[2], ids[2], strings.Repeat("0", 16)}, parents)
	assert.Contains(t, lines[0], `"Value":503`)
	assert.Contains(t, lines[1], `"Value":200`)
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
		{[]string{"example-id", "example-secret"}, nil, 2, "usage: otel [integration id]\n"},
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
