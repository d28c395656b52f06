package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"slices"
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

// The made-up data end now; all but the times is always the same.
func TestDefault(t *testing.T) {
	want, err := os.ReadFile("testdata/default.txt")
	require.NoError(t, err)
	started := time.Now().Truncate(time.Second)
	status, stdout, stderr := call(t, nil)
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	times := regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	assert.Equal(t, times.ReplaceAllString(string(want), "TIME"), times.ReplaceAllString(stdout, "TIME"))
	newest, err := time.Parse(time.RFC3339, times.FindString(stdout))
	require.NoError(t, err)
	assert.WithinRange(t, newest, started, time.Now())
}

func TestService(t *testing.T) {
	first := epcclogstest.SampleIntegration(0)
	logs := epcclogstest.SampleLogs(first.ID, 226)
	want, err := os.ReadFile("testdata/default.txt")
	require.NoError(t, err)
	slices.Reverse(logs) // the program must not go by the order of the list
	srv := newServer(t, epcclogstest.WithIntegration(first, logs...))
	status, stdout, stderr := call(t, credentials(srv), first.ID)
	assert.Zero(t, status)
	assert.Equal(t, string(want), madeUp+stdout)
	assert.Empty(t, stderr)
	for _, r := range srv.Requests()[1:] { // the first asks for the token
		assert.True(t, r.Authorized, r.Path)
	}
}

func TestOddLogs(t *testing.T) {
	in := epcclogs.Integration{ID: "odd"}
	logs := []epcclogs.IntegrationLog{{ID: "odd", ErrorDetail: "cut\r\nby \x1b[31m\tthe peer"}}
	srv := newServer(t, epcclogstest.WithIntegration(in, logs...))
	status, stdout, _ := call(t, credentials(srv), "odd")
	assert.Zero(t, status)
	assert.Contains(t, stdout, "\nunknown  false      none    0        -    cut by [31m the peer\n")
	assert.Contains(t, stdout, "\n    none     1       1\n     all     1       1\n")
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
		"To list the logs of an integration, give its id:",
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

	srv.FailRequest(4, epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden"}]}`))
	status, stdout, stderr = call(t, credentials(srv), one)
	assert.Equal(t, 1, status, "250 logs are three pages, so the fourth request is for the unknown integration")
	assert.Contains(t, stdout, "     all   250      28\n")
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
