package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
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

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	opts = append(opts, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

func TestDefault(t *testing.T) {
	want, err := os.ReadFile("testdata/default.txt")
	require.NoError(t, err)
	status, stdout, stderr := call(t, nil)
	assert.Zero(t, status)
	assert.Equal(t, string(want), stdout)
	assert.Empty(t, stderr)
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
	assert.Equal(t, string(want), stdout)
	assert.Empty(t, stderr)
	for _, r := range srv.Requests()[1:] { // the first asks for the token
		assert.True(t, r.Authorized, r.Path)
	}
}

func TestOddLogs(t *testing.T) {
	in := epcclogs.Integration{ID: "odd"}
	logs := []epcclogs.IntegrationLog{{ErrorDetail: "cut\r\nby \x1b[31m\tthe peer"}}
	srv := newServer(t, epcclogstest.WithIntegration(in, logs...))
	status, stdout, _ := call(t, credentials(srv), "odd")
	assert.Zero(t, status)
	assert.Contains(t, stdout, "\nunknown               false      none          0  "+
		"                                      cut by [31m the peer\n")
	assert.Contains(t, stdout, "\n1 logs, 1 failed. By status: none: 1\n")
}

func TestErrors(t *testing.T) {
	srv := newServer(t)
	one := epcclogstest.SampleIntegration(0).ID

	status, stdout, stderr := call(t, credentials(srv), unknownID)
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "quickstart: epcclogs: GET "+srv.URL)
	assert.Contains(t, stderr, "404 Not Found: Not Found: The resource could not be found")

	srv.FailRequest(4, epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden"}]}`))
	status, stdout, stderr = call(t, credentials(srv), one)
	assert.Equal(t, 1, status, "250 logs are three pages, so the fourth request is for the unknown integration")
	assert.Contains(t, stdout, "250 logs, ")
	assert.Contains(t, stderr, "403 Forbidden")

	env := credentials(srv)
	env["EPCC_CLIENT_SECRET"] = "wrong"
	status, _, stderr = call(t, env, one)
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "401 Unauthorized")
}

func TestMissingCredentials(t *testing.T) {
	for _, tc := range []struct {
		env    map[string]string
		args   []string
		stderr string
	}{
		{map[string]string{"EPCC_CLIENT_ID": "example-id"}, nil, "EPCC_CLIENT_SECRET"},
		{map[string]string{"EPCC_CLIENT_SECRET": "example-secret"}, []string{"id"}, "EPCC_CLIENT_ID"},
		{map[string]string{"EPCC_API_BASE_URL": "http://127.0.0.1:1"}, nil, "EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
		{nil, []string{"id"}, "EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
	} {
		status, stdout, stderr := call(t, tc.env, tc.args...)
		assert.Equal(t, 1, status)
		assert.Empty(t, stdout)
		assert.Regexp(t, "^quickstart: .*missing in the environment: "+tc.stderr+"\n$", stderr)
	}
}

func TestUsage(t *testing.T) {
	full := map[string]string{"EPCC_CLIENT_ID": "example-id", "EPCC_CLIENT_SECRET": "example-secret"}
	for _, tc := range []struct {
		env    map[string]string
		args   []string
		status int
	}{
		{full, nil, 2},
		{full, []string{"one", "two"}, 2},
		{nil, []string{"one", "two", "many"}, 2},
		{nil, []string{"-colour"}, 2},
		{nil, []string{"-h"}, 0},
	} {
		status, stdout, stderr := call(t, tc.env, tc.args...)
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
	for n := 1; n <= 2; n++ {
		var messages bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), nil, &fullDisk{n}, &messages))
		assert.Equal(t, "quickstart: no space left\n", messages.String())
	}
}
