package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
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

func newClient(t *testing.T, srv *epcclogstest.Server, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithRateLimit(1e10), epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("example-token")}, opts...)
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

func silent(int, int) {}

var formats = map[string]format{"jsonl": jsonLines, "csv": commaSeparated}

// A file may be cut anywhere: the next run must make it whole.
func TestResumeAtEveryByte(t *testing.T) {
	for name, envelope := range map[string]epcclogstest.Envelope{"jsonl": epcclogstest.Meta, "csv": epcclogstest.Links} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form, logs := formats[name], oddLogs("odd")
			if name == "jsonl" {
				logs = logs[len(logs)-3:] // they are long
			}
			srv := newServer(t, epcclogstest.WithEnvelope(envelope),
				epcclogstest.WithIntegration(epcclogs.Integration{ID: "odd"}, logs...))
			client := newClient(t, srv)
			path := filepath.Join(t.TempDir(), "logs")
			before, records, err := export(t.Context(), client, "odd", path, form, silent)
			require.NoError(t, err)
			require.Zero(t, before)
			require.Equal(t, len(logs), records)
			whole := readFile(t, path)

			last := 0
			for cut := range len(whole) + 1 {
				require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
				before, records, err := export(t.Context(), client, "odd", path, form, silent)
				require.NoError(t, err, "cut at %d: %q", cut, whole[:cut])
				require.Equal(t, whole, readFile(t, path), "cut at %d: %q", cut, whole[:cut])
				require.Equal(t, len(logs), records)
				require.GreaterOrEqual(t, before, last)
				require.LessOrEqual(t, before, last+1)
				last = before
			}
			assert.Equal(t, len(logs), last, "the whole file holds all records")
		})
	}
}

func TestContent(t *testing.T) {
	logs := oddLogs("odd")
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "odd"}, logs...))
	client := newClient(t, srv)
	path := filepath.Join(t.TempDir(), "logs")
	_, _, err := export(t.Context(), client, "odd", path, jsonLines, silent)
	require.NoError(t, err)
	lines := strings.SplitAfter(readFile(t, path), "\n")
	require.Len(t, lines, len(logs)+1)
	for i, l := range logs {
		want, err := json.Marshal(l)
		require.NoError(t, err)
		assert.Equal(t, string(want)+"\n", lines[i])
	}

	require.NoError(t, os.Remove(path))
	_, _, err = export(t.Context(), client, "odd", path, commaSeparated, silent)
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
			before, records, err := export(t.Context(), newClient(t, srv), "new", path, form, silent)
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
	_, _, err := export(t.Context(), client, "growing", path, commaSeparated, silent)
	require.NoError(t, err)
	srv.AddLogs("growing", logs[130:]...)
	before, records, err := export(t.Context(), client, "growing", path, commaSeparated, silent)
	require.NoError(t, err)
	assert.Equal(t, []int{130, 330}, []int{before, records})

	direct := filepath.Join(t.TempDir(), "logs")
	_, _, err = export(t.Context(), client, "growing", direct, commaSeparated, silent)
	require.NoError(t, err)
	assert.Equal(t, readFile(t, direct), readFile(t, path))
}

// A record that was cut goes even where no other takes its place.
func TestCutRecordIsGone(t *testing.T) {
	logs := epcclogstest.SampleLogs("shrunk", 3)
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "shrunk"}, logs[:2]...))
	for name, form := range formats {
		var b bytes.Buffer
		b.WriteString(form.header)
		require.NoError(t, form.write(&b, logs[:2]))
		want := b.String()
		require.NoError(t, form.write(&b, logs[2:]))
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, b.Bytes()[:b.Len()-1], 0o600))
		before, records, err := export(t.Context(), newClient(t, srv), "shrunk", path, form, silent)
		require.NoError(t, err)
		assert.Equal(t, []int{2, 2}, []int{before, records})
		assert.Equal(t, want, readFile(t, path))
	}
}

// What the pages before an error held is in the file, and the next run goes on.
func TestErrorAtThirdPage(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	client := newClient(t, srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
	path := filepath.Join(t.TempDir(), "logs")
	srv.FailRequest(3, epcclogstest.GatewayPage(http.StatusBadGateway))
	_, records, err := export(t.Context(), client, id, path, jsonLines, silent)
	require.ErrorIs(t, err, epcclogs.ErrServer)
	assert.Equal(t, 199, records)
	before, records, err := export(t.Context(), client, id, path, jsonLines, silent)
	require.NoError(t, err)
	assert.Equal(t, []int{199, 250}, []int{before, records})
	assert.Equal(t, 250, strings.Count(readFile(t, path), "\n"))
}

// A file of someone else is neither changed nor added to.
func TestForeignFile(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	ours := func(form format) string {
		var b bytes.Buffer
		b.WriteString(form.header)
		require.NoError(t, form.write(&b, epcclogstest.SampleLogs("other", 3)))
		return b.String()
	}
	record := ours(jsonLines)
	for _, tc := range []struct{ format, content string }{
		{"jsonl", "Dear diary"},
		{"jsonl", "\n"},
		{"jsonl", "[]"},
		{"jsonl", `{"name":"x"}` + "\n"},
		{"jsonl", `{"id":5}` + "\n"},
		{"jsonl", `{"id":"a"} {"id":"b"}` + "\n"},
		{"jsonl", strings.ReplaceAll(record, "other", id) + "\x00\x00\x00"},
		{"jsonl", record},
		{"jsonl", `{"id":"2b9f","precious":true}`}, // whole, but for the newline
		{"jsonl", `{"id":"a","n":1}` + "\n" + `{"id":"b","n":2}` + "\n"},
		{"jsonl", strings.ReplaceAll(record, "other", id) + `{"id":"a","n":1}` + "\n"},
		{"jsonl", commaSeparated.header},
		{"csv", "id,name\n1,x\n"},
		{"csv", "Dear diary"},
		{"csv", commaSeparated.header + "a,b,c\n"},
		{"csv", commaSeparated.header + `a"b` + "\n\"\n"},
		{"csv", ours(commaSeparated)},
		{"csv", record},
	} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))
		_, _, err := export(t.Context(), newClient(t, srv), id, path, formats[tc.format], silent)
		require.ErrorContains(t, err, "choose another file", tc.content)
		assert.Equal(t, tc.content, readFile(t, path))
	}
	assert.Empty(t, srv.Requests())
}

func TestBadFile(t *testing.T) {
	srv := newServer(t)
	_, _, err := export(t.Context(), newClient(t, srv), "id", t.TempDir(), jsonLines, silent)
	require.Error(t, err)
	assert.Empty(t, srv.Requests())
}

// call runs the program with the environment of a user: the pairs in env and no
// other EPCC_ variable.
func call(t *testing.T, env map[string]string, terminal bool, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		t.Setenv(name, env[name])
	}
	var out, messages bytes.Buffer
	status = run(t.Context(), args, &out, &messages, terminal)
	return status, out.String(), messages.String()
}

func TestDefault(t *testing.T) {
	for name := range formats {
		path := filepath.Join(t.TempDir(), "logs."+name)
		status, stdout, stderr := call(t, nil, false, path)
		assert.Zero(t, status)
		assert.Equal(t, "2500 records in "+path+", 0 of them from an earlier run\n", stdout)
		assert.Empty(t, stderr, "no progress where there is no terminal")
		whole := readFile(t, path)

		require.NoError(t, os.Truncate(path, int64(len(whole)/2)))
		status, stdout, stderr = call(t, nil, true, "-format", name, path)
		assert.Zero(t, status)
		assert.Regexp(t, `^2500 records in .*, 1\d\d\d of them`, stdout)
		assert.Regexp(t, `^\r1\d\d\d records[^\r]+\r1\d\d\d of 2500 records, \d+/s +\r`, stderr)
		assert.Regexp(t, `\r2500 of 2500 records, \d+/s +\n$`, stderr)
		assert.Equal(t, whole, readFile(t, path))
	}
}

func TestProgress(t *testing.T) {
	now := time.Unix(0, 0)
	var b bytes.Buffer
	report := progress(&b, func() time.Time { return now })
	report(40, 0)
	now = now.Add(2 * time.Second)
	report(140, 0)
	now = now.Add(2 * time.Second)
	report(240, 250)
	var lines []string
	for _, line := range strings.Split(b.String(), "\r") {
		lines = append(lines, strings.TrimSpace(line))
	}
	assert.Equal(t, []string{"", "40 records", "140 records, 50/s", "240 of 250 records, 50/s"}, lines)
}

func TestService(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	env := map[string]string{"EPCC_CLIENT_ID": "example-id", "EPCC_CLIENT_SECRET": "example-secret", "EPCC_API_BASE_URL": srv.URL}
	path := filepath.Join(t.TempDir(), "logs.csv")
	status, stdout, stderr := call(t, env, false, path, epcclogstest.SampleIntegration(1).ID)
	assert.Zero(t, status, stderr)
	assert.Contains(t, stdout, "250 records in ")

	status, stdout, stderr = call(t, env, false, filepath.Join(t.TempDir(), "logs.csv"), "unknown")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "404 Not Found")

	status, _, stderr = call(t, env, false, path)
	assert.Equal(t, 2, status)
	assert.Contains(t, stderr, "usage: export")

	env["EPCC_CLIENT_SECRET"] = ""
	status, _, stderr = call(t, env, false, path)
	assert.Equal(t, 1, status)
	assert.Equal(t, "export: epcclogs: invalid argument: missing in the environment: EPCC_CLIENT_SECRET\n", stderr)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"a.csv", "b", "c"}, {"a.txt"}, {"a"}, {"-format", "xml", "a.csv"}, {"-colour", "a.csv"},
	} {
		status, stdout, stderr := call(t, nil, false, args...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "usage: export [-format jsonl|csv] file [integration id]\n")
	}
	status, _, _ := call(t, nil, false, "-h")
	assert.Zero(t, status)
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
	t.Setenv("EPCC_CLIENT_ID", "example-id")
	t.Setenv("EPCC_CLIENT_SECRET", "example-secret")
	t.Setenv("EPCC_API_BASE_URL", srv.URL)
	path := filepath.Join(t.TempDir(), "logs.jsonl")
	var out, messages bytes.Buffer
	status := run(ctx, []string{path, epcclogstest.SampleIntegration(0).ID}, &out, &messages, false)
	assert.Equal(t, 1, status)
	assert.Contains(t, messages.String(), "Interrupted with 100 records in "+path)
	assert.Equal(t, 100, strings.Count(readFile(t, path), "\n"))
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteFails(t *testing.T) {
	for _, form := range formats {
		require.ErrorContains(t, form.write(fullDisk{}, epcclogstest.SampleLogs("id", 100)), "no space left")
	}
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		t.Setenv(name, "")
	}
	var messages bytes.Buffer
	status := run(t.Context(), []string{filepath.Join(t.TempDir(), "logs.csv")}, fullDisk{}, &messages, false)
	assert.Equal(t, 1, status)
	assert.Equal(t, "export: no space left\n", messages.String())
}
