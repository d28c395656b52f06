package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// call runs the program with the environment of a user: the pairs in env and no
// other EPCC_ variable.
func call(t *testing.T, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		t.Setenv(name, env[name])
	}
	var out, messages bytes.Buffer
	status = run(t.Context(), args, &out, &messages)
	return status, out.String(), messages.String()
}

func credentials(srv *epcclogstest.Server) map[string]string {
	return map[string]string{
		"EPCC_CLIENT_ID":     "example-id",
		"EPCC_CLIENT_SECRET": "example-secret",
		"EPCC_API_BASE_URL":  srv.URL,
	}
}

// madeUp is what the program says of the data of the embedded service.
const madeUp = "No credentials are set, so the data below are made up.\n\n"

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	opts = append(opts, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// checkOutput checks what the program prints of the made-up data. The file has TIME for
// each time.
func checkOutput(t *testing.T, got string) {
	t.Helper()
	want, err := os.ReadFile("testdata/default.txt")
	require.NoError(t, err)
	times := regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	assert.Equal(t, string(want), times.ReplaceAllString(got, "TIME                "))
	found := times.FindAllString(got, -1)
	require.NotEmpty(t, found)
	for _, text := range found {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		assert.WithinRange(t, at, time.Now().Add(-24*time.Hour), time.Now())
	}
}

// The made-up data end now; all but the times is always the same.
func TestDefault(t *testing.T) {
	status, stdout, stderr := call(t, nil)
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	checkOutput(t, stdout)
}

// The program finds the last 24 hours in either order of the list, and reads little else.
func TestService(t *testing.T) {
	in := epcclogstest.SampleIntegration(0)
	for name, opts := range map[string][]epcclogstest.Option{"oldest first": nil, "newest first": {epcclogstest.WithNewestFirst()}} {
		t.Run(name, func(t *testing.T) {
			// The first log of the last 24 hours stays one for 33 seconds.
			logs := epcclogstest.SampleLogsUntil(in, 5000, time.Now())
			srv := newServer(t, append(opts, epcclogstest.WithIntegration(in, logs...))...)
			status, stdout, stderr := call(t, credentials(srv), in.ID)
			assert.Zero(t, status)
			assert.Empty(t, stderr)
			checkOutput(t, madeUp+stdout)
			requests := srv.Requests()
			assert.Less(t, len(requests), 45, "30 pages, and a few to find the first")
			for _, r := range requests[1:] { // the first asks for the token
				assert.True(t, r.Authorized, r.Path)
			}
		})
	}
}

func TestOddLogs(t *testing.T) {
	in := epcclogs.Integration{ID: "odd"}
	logs := []epcclogs.IntegrationLog{{ID: "odd", ErrorDetail: "cut\r\nby \x1b[31m\tthe peer"}}
	srv := newServer(t, epcclogstest.WithIntegration(in, logs...))
	status, stdout, _ := call(t, credentials(srv), "odd")
	assert.Zero(t, status)
	assert.Contains(t, stdout, "Integration odd: 1 of 1 deliveries failed in the last 24 hours.\n")
	assert.Contains(t, stdout, "\nunknown  none    0        -    cut by [31m the peer\n")
}

// An integration without failures gets no table.
func TestNoFailures(t *testing.T) {
	in := epcclogs.Integration{ID: "quiet"}
	srv := newServer(t, epcclogstest.WithIntegration(in,
		epcclogstest.Log("quiet", "job", 1, time.Now()), epcclogs.IntegrationLog{ID: "old", Meta: epcclogs.ResourceMeta{
			Timestamps: epcclogs.Timestamps{CreatedAt: time.Now().Add(-25 * time.Hour)},
		}}))
	status, stdout, _ := call(t, credentials(srv), "quiet")
	assert.Zero(t, status)
	assert.True(t, strings.HasPrefix(stdout, "Integration quiet: 0 of 1 deliveries failed in the last 24 hours.\n\nAn id"), stdout)
}

func TestIntegrations(t *testing.T) {
	srv := newServer(t,
		epcclogstest.WithIntegration(epcclogs.Integration{
			ID: "short", Name: "Orders\n\x1b[31m red", IntegrationType: "webhook", Enabled: true,
		}),
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "longer-than-short", IntegrationType: "aws_sqs"}),
	)
	status, stdout, stderr := call(t, credentials(srv))
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	assert.Equal(t, strings.Join([]string{
		"ID                 TYPE     ENABLED  NAME",
		"short              webhook  true     Orders [31m red",
		"longer-than-short  aws_sqs  false    -",
		"",
		"To list the failed deliveries of an integration, give its id:",
		"",
		"\tgo run ./examples/quickstart short",
		"",
	}, "\n"), stdout)
}

func TestNoIntegrations(t *testing.T) {
	srv := newServer(t)
	srv.FailRequest(1, epcclogstest.Status(http.StatusOK, `{"data":[]}`))
	status, stdout, stderr := call(t, credentials(srv))
	assert.Zero(t, status)
	assert.Equal(t, "The store has no integrations, so it has no logs. Create an integration first.\n", stdout)
	assert.Empty(t, stderr)

	srv.FailRequest(1, epcclogstest.Status(http.StatusForbidden, ""))
	status, stdout, stderr = call(t, credentials(srv))
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "403 Forbidden")
}

func TestErrors(t *testing.T) {
	srv := newServer(t)
	one := epcclogstest.SampleIntegration(0).ID

	status, stdout, stderr := call(t, credentials(srv), unknownID)
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "quickstart: epcclogs: GET "+srv.URL)
	assert.Contains(t, stderr, "404 Not Found: The resource could not be found")

	before := len(srv.Requests())
	status, _, _ = call(t, credentials(srv), one)
	require.Zero(t, status)
	last := len(srv.Requests()) - before - 1 // the token aside
	srv.FailRequest(last, epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden"}]}`))
	status, stdout, stderr = call(t, credentials(srv), one)
	assert.Equal(t, 1, status)
	assert.Contains(t, stdout, " deliveries failed in the last 24 hours.\n")
	assert.Contains(t, stderr, "403 Forbidden")

	env := credentials(srv)
	env["EPCC_CLIENT_SECRET"] = "wrong"
	status, _, stderr = call(t, env, one)
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "401 Unauthorized")
}

func TestMissingCredentials(t *testing.T) {
	status, stdout, stderr := call(t, nil, "an-id")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Regexp(t, "^quickstart: .*missing in the environment: EPCC_CLIENT_ID, EPCC_CLIENT_SECRET\n$", stderr)
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args   []string
		status int
	}{
		{[]string{"one", "two"}, 2},
		{[]string{"-colour"}, 2},
		{[]string{"-h"}, 0},
	} {
		status, stdout, stderr := call(t, nil, tc.args...)
		assert.Equal(t, tc.status, status, tc.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "usage: quickstart [integration id]\n")
	}
}

func TestInterrupt(t *testing.T) {
	srv := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 2 {
			cancel()
		}
	})
	for name, value := range credentials(srv) {
		t.Setenv(name, value)
	}
	var out, messages bytes.Buffer
	started := time.Now()
	status := run(ctx, []string{epcclogstest.SampleIntegration(0).ID}, &out, &messages)
	assert.Equal(t, 1, status)
	assert.Contains(t, messages.String(), "context canceled")
	assert.Less(t, time.Since(started), 5*time.Second)
}

// fullDisk fails from the n-th write on.
type fullDisk struct{ n int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.n--; d.n <= 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		t.Setenv(name, "")
	}
	for n := 1; n <= 3; n++ {
		var messages bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), nil, &fullDisk{n}, &messages))
		assert.Equal(t, "quickstart: no space left\n", messages.String())
	}
}
