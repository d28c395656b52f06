package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// TestMain lets tests start this binary as the program, to kill it.
func TestMain(m *testing.M) {
	if os.Getenv("WATCH_TEST_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// databases make an empty database and return its location, by kind. PostgreSQL
// is added by the build tag postgres.
var databases = map[string]func(testing.TB) string{
	"sqlite": func(t testing.TB) string { return filepath.Join(t.TempDir(), "watch.db") },
}

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(t *testing.T, location string)) {
	t.Helper()
	for kind, location := range databases {
		t.Run(kind, func(t *testing.T) { test(t, location(t)) })
	}
}

func open(t testing.TB, location string) *store {
	t.Helper()
	s, err := connect(location)
	require.NoError(t, err)
	// Whatever store it is of; that of the environment if it is new.
	err = s.write(t.Context(), func(x *tx) { x.setUp(os.Getenv("EPCC_API_BASE_URL") + " with the key " + os.Getenv("EPCC_CLIENT_ID")) })
	if err != nil {
		require.ErrorContains(t, err, "that of another store")
	}
	t.Cleanup(func() { assert.NoError(t, s.close()) })
	return s
}

var silent = slog.New(slog.DiscardHandler)

// output collects what the program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

var address = regexp.MustCompile(`Open (http://\S+/) `)

// url waits for the address that the program prints.
func (o *output) url(t *testing.T) string {
	t.Helper()
	var match []string
	eventually(t, func() bool {
		match = address.FindStringSubmatch(o.String())
		return match != nil
	})
	require.NotEqual(t, "http://ended/", match[1], o.String())
	return match[1]
}

// rowsOf is what the program makes of logs that it reads.
func rowsOf(logs []epcclogs.IntegrationLog, now time.Time) []logRow {
	rows := make([]logRow, len(logs))
	for i, l := range logs {
		rows[i] = newLogRow(l, now)
	}
	return rows
}

// save stores logs as the program does, and returns how many were new.
func save(t testing.TB, s *store, list string, logs []epcclogs.IntegrationLog, p place, now time.Time) int {
	t.Helper()
	added, err := s.save(t.Context(), list, rowsOf(logs, now), p, now)
	require.NoError(t, err)
	return len(added)
}

// eventually waits for a condition that other goroutines or processes bring about.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		require.True(t, time.Now().Before(deadline), "it did not come to pass within a minute")
		time.Sleep(5 * time.Millisecond)
	}
}

// setenv gives the program the environment of a user of the API, or of nobody
// when that is nil.
func setenv(t testing.TB, api *epcclogstest.Server) {
	t.Helper()
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL", "DATABASE_URL", "ALERT_URL"} {
		t.Setenv(name, "")
	}
	if api != nil {
		t.Setenv("EPCC_CLIENT_ID", "example-id")
		t.Setenv("EPCC_CLIENT_SECRET", "example-secret")
		t.Setenv("EPCC_API_BASE_URL", api.URL)
	}
}

// start runs the program and returns its address, and what ends it.
func start(t *testing.T, args ...string) (url string, end func() (status int, output string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &output{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), out)
		_, _ = io.WriteString(out, "Open http://ended/ ") // for those that still wait for it
	}()
	end = sync.OnceValues(func() (int, string) {
		cancel()
		return <-ended, out.String()
	})
	t.Cleanup(func() { end() })
	return out.url(t), end
}

// use makes the program use a database, and returns its arguments for that.
func use(t *testing.T, location string) []string {
	t.Helper()
	if isPostgres(location) {
		t.Setenv("DATABASE_URL", location)
		return nil
	}
	return []string{"-db", location}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(content)
}

// empty deletes what a test has left.
func empty(t *testing.T, s *store) {
	t.Helper()
	for _, table := range []string{"watch", "logs", "sums", "events", "lists"} {
		_, err := s.db.ExecContext(t.Context(), `DELETE FROM `+table)
		require.NoError(t, err)
	}
}

func number(t testing.TB, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// stored returns the rows of logs by key.
func stored(t *testing.T, s *store) map[string]logRow {
	t.Helper()
	all := make(map[string]logRow)
	var r logRow
	require.NoError(t, s.read(t.Context(), func(x *tx) {
		x.each(`
			SELECT key, id, integration, job, attempt, succeeded, status, reason, body, answer, processing, created_at, dated FROM logs`, nil,
			[]any{
				&r.Key, &r.ID, &r.Integration, &r.Job, &r.Attempt, &r.Succeeded, &r.Status,
				&r.Reason, &r.Body, &r.Answer, &r.Processing, &r.CreatedAt, &r.Dated,
			}, func() { all[r.Key] = r })
	}))
	return all
}

// asRows is what should be stored of logs that have a time.
func asRows(logs []epcclogs.IntegrationLog) map[string]logRow {
	all := make(map[string]logRow)
	for _, l := range logs {
		r := newLogRow(l, time.Now())
		all[r.Key] = r
	}
	return all
}

// The whole program: what the store has and what it adds later comes into the
// database, whether the whole store is followed or some integrations.
func TestRun(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		one, two := epcclogstest.SampleIntegration(0), epcclogstest.SampleIntegration(1)
		logs := append(epcclogstest.SampleLogs(one.ID, 350), epcclogstest.SampleLogs(two.ID, 250)...)
		for _, ids := range [][]string{nil, {one.ID, two.ID}} {
			api := epcclogstest.NewServer(
				epcclogstest.WithIntegration(one, logs[:300]...),
				epcclogstest.WithIntegration(two, logs[350:]...),
				epcclogstest.WithClientCredentials("example-id", "example-secret", 0),
			)
			defer api.Close()
			setenv(t, api)
			url, end := start(t, append(append(use(t, location), "-interval", "100ms"), ids...)...)
			s := open(t, location)
			eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == 550 })
			api.AddLogs(one.ID, logs[300:350]...)
			eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == 600 })
			assert.Equal(t, asRows(logs), stored(t, s))
			eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM integrations`) == 2 })

			status, body := get(t, url+"?period=1y")
			assert.Equal(t, http.StatusOK, status)
			assert.Contains(t, body, one.Name)
			assert.NotContains(t, body, "example-secret")
			eventually(t, func() bool { status, _ := get(t, url+"healthz"); return status == http.StatusOK })

			status, out := end()
			assert.Zero(t, status)
			assert.Contains(t, out, "Ended.")
			empty(t, s)
		}
	})
}

// The first run reads what is newer than -since; the next one goes on where that ended.
func TestSince(t *testing.T) {
	hook := epcclogstest.SampleIntegration(0)
	var logs []epcclogs.IntegrationLog
	for i := range 2000 {
		logs = append(logs, epcclogstest.Log(hook.ID, strconv.Itoa(i), 1, time.Now().Add(time.Duration(i-2000)*time.Hour)))
	}
	for name, order := range map[string][]epcclogstest.Option{"oldest first": nil, "newest first": {epcclogstest.WithNewestFirst()}} {
		t.Run(name, func(t *testing.T) {
			api := epcclogstest.NewServer(append(order, epcclogstest.WithIntegration(hook, logs...))...)
			defer api.Close()
			setenv(t, api)
			location := databases["sqlite"](t)
			args := []string{"-db", location, "-interval", "100ms", "-since", "100h30m"}
			url, end := start(t, args...)
			s := open(t, location)
			eventually(t, func() bool { status, _ := get(t, url+"healthz"); return status == http.StatusOK })
			assert.Equal(t, 100, number(t, s.db, `SELECT COUNT(*) FROM logs`))
			end()
			api.AddLogs(hook.ID, epcclogstest.Log(hook.ID, "new", 1, time.Now()))
			start(t, args...)
			eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == 101 })
		})
	}
}

// While the API fails, the page says so and keeps the last good data; /healthz
// turns 503 and comes back.
func TestOutage(t *testing.T) {
	hook := epcclogstest.SampleIntegration(0)
	api := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, epcclogstest.SampleLogs(hook.ID, 40)...))
	defer api.Close()
	setenv(t, api)
	url, _ := start(t, "-db", filepath.Join(t.TempDir(), "watch.db"), "-interval", "100ms")
	total := func() bool {
		_, body := get(t, url+"api/summary?period=1y")
		return strings.Contains(body, `"attempts":40,`)
	}
	eventually(t, total)

	api.Fail(1<<30, epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden","detail":"<b>no</b>"}]}`))
	eventually(t, func() bool { status, _ := get(t, url+"healthz"); return status == http.StatusServiceUnavailable })
	eventually(t, func() bool {
		status, body := get(t, url+"?period=1y")
		require.Equal(t, http.StatusOK, status)
		return strings.Contains(body, "New logs do not come in at the moment.") && strings.Contains(body, "&lt;b&gt;no&lt;/b&gt;")
	})
	assert.True(t, total(), "the last good data are still there")
}

func TestEmbeddedStore(t *testing.T) {
	setenv(t, nil)
	url, end := start(t, "-interval", "100ms")
	eventually(t, func() bool {
		_, body := get(t, url)
		return strings.Contains(body, "<td data-label=\"Integration\">") && strings.Contains(body, "Stock ledger")
	})
	status, _ := end()
	assert.Zero(t, status)
}

// Each wrong setting is named, with what is wrong with it.
func TestSettings(t *testing.T) {
	none := map[string]string{}
	for _, tc := range []struct {
		args    string
		env     map[string]string
		status  int
		message string
	}{
		{"-interval 0s", none, 2, "-interval 0s is less than 100ms"},
		{"-interval soon", none, 2, `invalid value "soon" for flag -interval`},
		{"-colour", none, 2, "flag provided but not defined: -colour"},
		{"-grace -1s", none, 2, "-grace -1s is negative"},
		{"-since -1h", none, 2, "-since -1h0m0s is negative"},
		{"-keep -1h", none, 2, "-keep -1h0m0s is negative"},
		{"-interval 1s some-id some-id", none, 2, "the integration some-id is named twice"},
		{"-rate -1", none, 2, "-rate -1 is negative"},
		{"-addr 8080", none, 2, `-addr "8080" is not host:port`},
		{"-alert-url hooks.example", none, 2, "flag provided but not defined: -alert-url"},
		{"", map[string]string{"ALERT_URL": "hooks.example/a-secret"}, 2, "ALERT_URL is not an http or https URL"},
		{"-public-url watch.example", none, 2, `-public-url "watch.example" is not an http or https URL`},
		{"some-id -interval 1s", none, 2, "the flag -interval stands behind an integration id"},
		{"-db x.db", map[string]string{"DATABASE_URL": "postgres://localhost/x"}, 2, "-db and DATABASE_URL are both set"},
		{"", map[string]string{"DATABASE_URL": "mysql://localhost/x"}, 2, "DATABASE_URL does not start with postgres://"},
		{"some-id", none, 1, "missing in the environment: EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
		{"-db /nowhere/at/all/watch.db", none, 1, "/nowhere/at/all/watch.db"},
		{"-help", none, 0, "usage: watch [flags] [integration id ...]"},
	} {
		setenv(t, nil)
		for name, value := range tc.env {
			t.Setenv(name, value)
		}
		out := &output{}
		status := run(t.Context(), strings.Fields(tc.args), out)
		assert.Equal(t, tc.status, status, tc.args)
		assert.Contains(t, out.String(), tc.message)
		assert.NotContains(t, out.String(), "panic")
		assert.NotContains(t, out.String(), "a-secret")
	}
}

// Two programs cannot serve at one address: the second says so and ends.
func TestAddressInUse(t *testing.T) {
	setenv(t, nil)
	url, _ := start(t)
	out := &output{}
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	assert.Equal(t, 1, run(t.Context(), []string{"-addr", host}, out))
	assert.Contains(t, out.String(), "watch: listen tcp "+host)
}

// A cursor that is none cannot be followed: the program ends and says why.
func TestSpoiltCursor(t *testing.T) {
	api := epcclogstest.NewServer()
	defer api.Close()
	location := filepath.Join(t.TempDir(), "watch.db")
	setenv(t, api)
	save(t, open(t, location), wholeStore, nil, place{cursor: "spoilt"}, time.Now())
	out := &output{}
	assert.Equal(t, 1, run(t.Context(), []string{"-addr", "127.0.0.1:0", "-db", location}, out))
	assert.Contains(t, out.String(), "follow the logs of store: ")
}

func TestFilePermissions(t *testing.T) {
	location := filepath.Join(t.TempDir(), "a % b?.db")
	require.NoError(t, os.WriteFile(location, nil, 0o644))
	s := open(t, location)
	save(t, s, wholeStore, epcclogstest.SampleLogs("x", 3), place{}, time.Now())
	files, err := filepath.Glob(filepath.Dir(location) + "/*")
	require.NoError(t, err)
	assert.Len(t, files, 3)
	for _, name := range files {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}
