package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// oddLogs are short logs with everything that could be taken for the end of a
// field or a record.
func oddLogs(id string) []epcclogs.IntegrationLog {
	var logs []epcclogs.IntegrationLog
	for i, body := range []string{
		"", "OK", "two\nlines", "\n", "\r\n\r\n", `"`, `""`, "\"\n\"", `say "no", then`, ",", "ü\n", `\.`, " x", "<&>",
		"id,created_at\n" + `{"id":"x"}` + "\n",
	} {
		l := epcclogs.IntegrationLog{ID: string(rune('a' + i)), Body: body, ErrorDetail: body, Attempt: i, StatusCode: 200}
		if i%2 == 0 {
			l.Relationships.Integration.Data.ID = id
			l.Relationships.Job.Data.ID = "job"
			l.Meta.Timestamps.CreatedAt = time.Date(2026, time.January, 5, 8, 0, 0, i, time.UTC)
			l.ProcessingTime = 0.0123 * float64(i)
		}
		logs = append(logs, l)
	}
	return logs
}

// exportLogs runs an export that requests three pages at a time.
func exportLogs(t *testing.T, client *epcclogs.Client, id, path string, form format) (before, records int, err error) {
	t.Helper()
	return export(t.Context(), client.IntegrationLogs(id, nil).Concurrent(3), id, path, form, time.Time{}, func(int, int) {})
}

func newClient(t *testing.T, srv *epcclogstest.Server, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("example-token"), epcclogs.WithRateLimit(1e10)}, opts...)
	client, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

var formats = map[string]format{"jsonl": jsonLines, "csv": commaSeparated}

// Cells from other servers are no formulas, unless that is asked for.
func TestFormulas(t *testing.T) {
	bodies := []string{`=HYPERLINK("http://example.com/?"&A1)`, "+1", "-2", "@SUM(A1)", "'=1", " =1", "a=1", ""}
	var logs []epcclogs.IntegrationLog
	for i, body := range bodies {
		l := epcclogs.IntegrationLog{ID: string(rune('a' + i)), Body: body, ErrorDetail: body, ProcessingTime: -0.5}
		l.Relationships.Job.Data.ID = "=job"
		logs = append(logs, l)
	}
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "odd"}, logs...),
		epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	env := user(srv)
	path := filepath.Join(t.TempDir(), "logs.csv")
	for _, tt := range []struct {
		args []string
		mark string
	}{{[]string{path, "odd"}, "'"}, {[]string{"-raw", path + ".csv", "odd"}, ""}} {
		status, _, stderr := call(t, env, false, tt.args...)
		require.Zero(t, status, stderr)
		rows, err := csv.NewReader(strings.NewReader(readFile(t, tt.args[len(tt.args)-2]))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, len(bodies)+1)
		for i, body := range bodies {
			if i < 4 {
				body = tt.mark + body
			}
			assert.Equal(t, []string{tt.mark + "-0.5", "", tt.mark + "=job", body, body}, rows[i+1][5:])
		}
	}

	status, _, stderr := call(t, env, false, "-raw", path, "odd")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "do not belong together: the format is csv with apostrophes, not csv")
}

func TestContent(t *testing.T) {
	logs := oddLogs("odd")
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "odd"}, logs...))
	client := newClient(t, srv)
	path := filepath.Join(t.TempDir(), "logs")
	_, _, err := exportLogs(t, client, "odd", path, jsonLines)
	require.NoError(t, err)
	lines := strings.SplitAfter(readFile(t, path), "\n")
	require.Len(t, lines, len(logs)+1)
	for i, l := range logs {
		want, err := json.Marshal(l)
		require.NoError(t, err)
		assert.Equal(t, string(want)+"\n", lines[i])
	}

	path = filepath.Join(t.TempDir(), "logs")
	_, _, err = exportLogs(t, client, "odd", path, commaSeparated)
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(readFile(t, path))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, len(logs)+1)
	assert.Equal(t, "id created_at succeeded attempt status_code processing_time integration_id job_id error_detail body",
		strings.Join(rows[0], " "))
	assert.Equal(t, []string{
		"c", "2026-01-05T08:00:00.000000002Z", "false", "2", "200", "0.0246", "odd", "job", "two\nlines", "two\nlines",
	}, rows[3])
	assert.Equal(t, []string{"b", "", "false", "1", "200", "0", "", "", "OK", "OK"}, rows[2])
}

func TestEmptyList(t *testing.T) {
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "new"}))
	for name, form := range formats {
		path := filepath.Join(t.TempDir(), name)
		for range 2 {
			before, records, err := exportLogs(t, newClient(t, srv), "new", path, form)
			require.NoError(t, err)
			assert.Zero(t, before)
			assert.Zero(t, records)
			assert.Equal(t, form.header, readFile(t, path))
		}
	}
}

// Records that come at the end of the list between two runs are added.
func TestLaterRecords(t *testing.T) {
	logs := epcclogstest.SampleLogs("growing", 330)
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "growing"}, logs[:130]...))
	client := newClient(t, srv)
	path := filepath.Join(t.TempDir(), "logs")
	_, _, err := exportLogs(t, client, "growing", path, commaSeparated)
	require.NoError(t, err)
	srv.AddLogs("growing", logs[130:]...)
	before, records, err := exportLogs(t, client, "growing", path, commaSeparated)
	require.NoError(t, err)
	assert.Equal(t, []int{130, 330}, []int{before, records})

	direct := filepath.Join(t.TempDir(), "logs")
	_, _, err = exportLogs(t, client, "growing", direct, commaSeparated)
	require.NoError(t, err)
	assert.Equal(t, readFile(t, direct), readFile(t, path))

	place := readFile(t, path+".cursor")
	_, _, err = exportLogs(t, client, "growing", path, commaSeparated)
	require.NoError(t, err)
	assert.Equal(t, readFile(t, direct), readFile(t, path), "nothing is new")
	assert.Equal(t, place, readFile(t, path+".cursor"))
}

// What the pages before an error held is in the file, and the next run goes on.
func TestErrorAtThirdPage(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	client := newClient(t, srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
	whole := filepath.Join(t.TempDir(), "logs")
	_, _, err := exportLogs(t, client, id, whole, jsonLines)
	require.NoError(t, err)

	path := filepath.Join(t.TempDir(), "logs")
	srv.FailRequest(3, epcclogstest.GatewayPage(http.StatusBadGateway))
	_, records, err := export(t.Context(), client.IntegrationLogs(id, nil), id, path, jsonLines, time.Time{}, func(int, int) {})
	require.ErrorIs(t, err, epcclogs.ErrServer)
	assert.Equal(t, strings.Count(readFile(t, path), "\n"), records)
	assert.Equal(t, 199, records, "the second page begins with the last record of the first")
	before, all, err := exportLogs(t, client, id, path, jsonLines)
	require.NoError(t, err)
	assert.Equal(t, []int{records, 250}, []int{before, all})
	assert.Equal(t, readFile(t, whole), readFile(t, path))
}

// A new file begins at -since, and goes on there whatever a later run says.
func TestSince(t *testing.T) {
	const id = "growing"
	now := time.Now()
	at := func(job string, ago time.Duration) epcclogs.IntegrationLog {
		return epcclogstest.Log(id, job, 1, now.Add(-ago))
	}
	for name, opts := range map[string][]epcclogstest.Option{"oldest first": nil, "newest first": {epcclogstest.WithNewestFirst()}} {
		t.Run(name, func(t *testing.T) {
			opts := append(opts, epcclogstest.WithIntegration(epcclogs.Integration{ID: id}),
				epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
			srv := newServer(t, opts...)
			for i := range 500 {
				srv.AddLogs(id, at(fmt.Sprint("old-", i), 1000*time.Hour-time.Duration(i)*time.Minute))
			}
			env := user(srv)
			path := filepath.Join(t.TempDir(), "logs.jsonl")
			run := func(since, want string) {
				t.Helper()
				status, stdout, stderr := call(t, env, false, "-since", since, path, id)
				require.Zero(t, status, stderr)
				assert.Contains(t, stdout, want)
			}
			run("720h", "0 records in ") // and no place in the list but the time
			srv.AddLogs(id, at("a", 48*time.Hour), at("b", 47*time.Hour))
			run("720h", "2 records in ")
			srv.AddLogs(id, at("c", 2*time.Hour), at("d", 0))
			run("1h", "4 records in ")
			run(now.Add(-5000*time.Hour).Format(time.RFC3339), "4 records in ")
			assert.NotContains(t, readFile(t, path), "old-")

			path = filepath.Join(filepath.Dir(path), "later.jsonl")
			run(now.Add(-3*time.Hour).Format(time.RFC3339), "2 records in ")
		})
	}
}

// After an error on the first page there is no file.
func TestNothingWritten(t *testing.T) {
	dir := t.TempDir()
	_, _, err := exportLogs(t, newClient(t, newServer(t)), "unknown", filepath.Join(dir, "logs"), jsonLines)
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// user returns the environment of a user of the server.
func user(srv *epcclogstest.Server) map[string]string {
	return map[string]string{"EPCC_CLIENT_ID": "example-id", "EPCC_CLIENT_SECRET": "example-secret", "EPCC_API_BASE_URL": srv.URL}
}

// setenv sets the variables in env, and no other EPCC_ variable.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		t.Setenv(name, env[name])
	}
}

// call runs the program with the environment of a user.
func call(t *testing.T, env map[string]string, terminal bool, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	setenv(t, env)
	var out, messages bytes.Buffer
	status = run(t.Context(), args, &out, &messages, terminal)
	return status, out.String(), messages.String()
}

const madeUp = "No credentials are set, so the data are made up.\n"

func TestDefault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs.csv")
	status, stdout, stderr := call(t, nil, false, path)
	assert.Zero(t, status)
	assert.Equal(t, "10000 records in "+path+", 0 of them from an earlier run\n", stdout)
	assert.True(t, strings.HasPrefix(stderr, madeUp))
	assert.NotContains(t, stderr, "\r", "lines are not written anew where there is no terminal")
	whole := readFile(t, path)

	status, stdout, stderr = call(t, nil, true, "-format", "csv", "-n", "1", path)
	assert.Zero(t, status)
	assert.Equal(t, "10000 records in "+path+", 10000 of them from an earlier run\n", stdout)
	assert.Regexp(t, `\r10000 records +\n$`, stderr)
	assert.Equal(t, whole, readFile(t, path))
}

func TestService(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	env := user(srv)
	path := filepath.Join(t.TempDir(), "logs.csv")
	status, stdout, stderr := call(t, env, false, path, epcclogstest.SampleIntegration(1).ID)
	assert.Zero(t, status, stderr)
	assert.Contains(t, stdout, "250 records in ")

	status, stdout, stderr = call(t, env, false, filepath.Join(t.TempDir(), "logs.csv"), "unknown")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "404 Not Found")

	status, _, stderr = call(t, env, false, path)
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "export: the id of an integration is missing")

	env["EPCC_CLIENT_SECRET"] = ""
	status, _, stderr = call(t, env, false, path)
	assert.Equal(t, 1, status)
	assert.Equal(t, "export: epcclogs: invalid argument: missing in the environment: EPCC_CLIENT_SECRET\n", stderr)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"a.csv", "b", "c"},
		{"a.txt"},
		{"a"},
		{"-format", "xml", "a.csv"},
		{"-colour", "a.csv"},
		{"-n", "0", "a.csv"},
		{"-n", "many", "a.csv"},
		{"-since", "yesterday", "a.csv"},
		{"-since", "-24h", "a.csv"},
		{"-since", "2026-01-08", "a.csv"},
	} {
		status, stdout, stderr := call(t, nil, false, args...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "usage: export [-format jsonl|csv] [-n pages] [-raw] [-since when] [-slow] file [integration id]\n")
	}
	status, _, help := call(t, nil, false, "-h")
	assert.Zero(t, status)
	assert.Contains(t, help, "cells that begin with = + - or @")
}

func TestArgumentsThatLookLikeFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"-"}, {"-format", "csv", "-"}, {"a.csv", "-slow"}, {"a.csv", "id", "-n"}} {
		status, stdout, stderr := call(t, nil, false, args...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout)
		assert.Equal(t, fmt.Sprintf("export: %q: flags come first, and the file cannot be standard output\n", args[len(args)-1]), stderr)
	}
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestInterrupt(t *testing.T) {
	srv := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv.FailRequest(2, epcclogstest.StallHeader()) // or its answer may come before the end of the context is seen
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 2 {
			cancel()
		}
	})
	setenv(t, user(srv))
	path := filepath.Join(t.TempDir(), "logs.jsonl")
	var out, messages bytes.Buffer
	status := run(ctx, []string{"-n", "1", path, epcclogstest.SampleIntegration(0).ID}, &out, &messages, false)
	assert.Equal(t, 1, status)
	assert.Contains(t, messages.String(), "export: interrupted with 100 records in "+path+"; the same command goes on from there\n")
	assert.Equal(t, 100, strings.Count(readFile(t, path), "\n"))
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteFails(t *testing.T) {
	for _, form := range formats {
		require.ErrorContains(t, form.write(fullDisk{}, epcclogstest.SampleLogs("id", 100)), "no space left")
	}
	setenv(t, user(newServer(t)))
	var messages bytes.Buffer
	args := []string{filepath.Join(t.TempDir(), "logs.csv"), epcclogstest.SampleIntegration(0).ID}
	status := run(t.Context(), args, fullDisk{}, &messages, false)
	assert.Equal(t, 1, status)
	assert.Contains(t, messages.String(), "export: no space left\n")
}
