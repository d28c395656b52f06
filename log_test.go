package epcclogs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

func TestLogger(t *testing.T) {
	var logged journal
	logger := epcclogs.WithLogger(slog.New(&logged))
	s := wire.Steps(
		wire.Reply(503, "", "Retry-After", "0.002"),
		wire.OK(`{"data":[`),
		wire.Reply(502, ""),
		done,
		wire.Reply(404, ""),
	)
	c := clientOf(t, s, logger, epcclogs.WithBaseURL("https://api.example.com/gate"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Millisecond, MaxWait: 3 * time.Millisecond}))
	_, err := c.ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 7, Offset: 250})
	require.NoError(t, err)
	all := logged.all()
	require.Len(t, all, 7)
	path := "/gate/v2/integrations/" + integration + "/logs"
	query := map[string]any{"query": "page[limit]=7&page[offset]=250"}
	attempt := func(n int, outcome string, value any) map[string]any {
		attrs := map[string]any{"method": "GET", "path": path, "attempt": int64(n), outcome: value}
		maps.Copy(attrs, query)
		return attrs
	}
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(503)))
	all[1].expect(t, slog.LevelWarn, "wait", attempt(1, "reason", "status 503"))
	assert.Equal(t, 2*time.Millisecond, all[1].durations["wait"])
	cut, isText := all[2].attrs["error"].(string)
	require.True(t, isText)
	assert.NotEmpty(t, cut)
	all[2].expect(t, slog.LevelDebug, "duration", attempt(2, "error", cut))
	all[3].expect(t, slog.LevelWarn, "wait", attempt(2, "reason", cut))
	assert.LessOrEqual(t, all[3].durations["wait"], 3*time.Millisecond)
	assert.Positive(t, all[3].durations["wait"])
	all[4].expect(t, slog.LevelDebug, "duration", attempt(3, "status", int64(502)))
	all[5].expect(t, slog.LevelWarn, "wait", attempt(3, "reason", "status 502"))
	all[6].expect(t, slog.LevelDebug, "duration", attempt(4, "status", int64(200)))

	// A failure that is not retried has no warning.
	require.Error(t, call(t.Context(), c))
	all = logged.all()[7:]
	require.Len(t, all, 1)
	path, query = "/gate/v2/integrations", nil
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(404)))

	// Nor has the last one.
	s = wire.Steps(wire.Reply(500, ""))
	logged = journal{}
	require.Error(t, call(t.Context(), clientOf(t, s, logger,
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MaxWait: time.Millisecond}))))
	all = logged.all()
	require.Len(t, all, 3)
	path = "/v2/integrations"
	all[2].expect(t, slog.LevelDebug, "duration", attempt(2, "status", int64(500)))

	// A connection that fails.
	s = wire.Steps(wire.Break(syscall.ECONNREFUSED))
	logged = journal{}
	err = call(t.Context(), clientOf(t, s, logger, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1})))
	require.Error(t, err)
	all = logged.all()
	require.Len(t, all, 1)
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "error", err.Error()))

	// The token's request is logged as any other; a renewal is a retry without a wait.
	s = wire.Steps(wire.OK(`{"access_token":"first-token"}`), wire.Reply(401, ""), wire.OK(`{"access_token":"second-token"}`), done)
	logged = journal{}
	require.NoError(t, call(t.Context(), clientOf(t, s, logger, epcclogs.WithClientCredentials("id", marker))))
	all = logged.all()
	require.Len(t, all, 5)
	post := map[string]any{"method": "POST", "path": "/oauth/access_token", "attempt": int64(1), "status": int64(200)}
	all[0].expect(t, slog.LevelDebug, "duration", post)
	all[1].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(401)))
	all[2].expect(t, slog.LevelWarn, "wait", attempt(1, "reason", "status 401"))
	assert.Zero(t, all[2].durations["wait"])
	all[3].expect(t, slog.LevelDebug, "duration", post)
	all[4].expect(t, slog.LevelDebug, "duration", attempt(2, "status", int64(200)))
}

// What was not sent is no attempt: there is a record for each request that left,
// and none besides.
func TestLoggerCountsRequestsOnly(t *testing.T) {
	failing := epcclogs.WithTokenFunc(func(context.Context) (string, error) { return "", errors.New("no token today") })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		ctx context.Context
		opt epcclogs.Option
	}{
		"token function failed": {t.Context(), failing},
		"secret refused":        {t.Context(), epcclogs.WithClientCredentials("id", marker)},
		"context ended":         {ended, epcclogs.WithToken("a-token")},
	} {
		t.Run(name, func(t *testing.T) {
			var logged journal
			s := wire.Steps(wire.Reply(401, ""))
			c := clientOf(t, s, row.opt, epcclogs.WithLogger(slog.New(&logged)))
			require.Error(t, call(row.ctx, c))
			var attempts []string
			for _, r := range logged.all() {
				assert.Equal(t, slog.LevelDebug, r.level)
				attempts = append(attempts, fmt.Sprint(r.attrs["method"], " ", r.attrs["path"]))
			}
			assert.Equal(t, s.Sent(), attempts)
		})
	}
}

// journal keeps what is logged, at any level.
type journal struct {
	mu      sync.Mutex
	records []slog.Record
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) WithAttrs([]slog.Attr) slog.Handler { panic("not used") }

func (j *journal) WithGroup(string) slog.Handler { panic("not used") }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r.Clone())
	return nil
}

// entry is a record in a form to compare. Durations are left out of attrs.
type entry struct {
	level     slog.Level
	attrs     map[string]any
	durations map[string]time.Duration
}

func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []entry
	for _, r := range j.records {
		e := entry{level: r.Level, attrs: make(map[string]any), durations: make(map[string]time.Duration)}
		r.Attrs(func(a slog.Attr) bool {
			if a.Value.Kind() == slog.KindDuration {
				e.durations[a.Key] = a.Value.Duration()
			} else {
				e.attrs[a.Key] = a.Value.Any()
			}
			return true
		})
		all = append(all, e)
	}
	return all
}

// expect compares level, attributes and the names of durations.
func (e entry) expect(t *testing.T, level slog.Level, duration string, attrs map[string]any) {
	t.Helper()
	assert.Equal(t, level, e.level)
	assert.Equal(t, attrs, e.attrs)
	require.Len(t, e.durations, 1)
	require.Contains(t, e.durations, duration)
	assert.GreaterOrEqual(t, e.durations[duration], time.Duration(0))
}

const silenceChild = "EPCCLOGS_TEST_SILENCE"

// Without a logger nothing is written, however calls fail. go-retryablehttp binds
// os.Stderr when its package is initialised, so only a process of its own shows it.
func TestSilence(t *testing.T) {
	if os.Getenv(silenceChild) != "" {
		failInAllWays(t)
		os.Exit(0) // before the test framework writes
	}
	self, err := os.Executable()
	require.NoError(t, err)
	var output bytes.Buffer
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestSilence$")
	child.Env = append(os.Environ(), silenceChild+"=1", "GOCOVERDIR="+t.TempDir())
	child.Stdout, child.Stderr = &output, &output
	require.NoErrorf(t, child.Run(), "%s", &output)
	assert.Empty(t, output.String())
}

// failInAllWays makes calls that fail and are retried, and one that succeeds.
func failInAllWays(t *testing.T) {
	for _, row := range []struct {
		answer   wire.Step
		requests int
		fails    bool
	}{
		{done, 2, false}, // with the token's
		{wire.Reply(500, ""), 4, true},
		{wire.OK(`{"data":[`, "Content-Length", "100"), 4, true},
		{wire.OK(`{"data":[`), 4, true},
		{wire.OK(`{}`), 2, true},
		{wire.Reply(401, ""), 5, true}, // with a second token's, and that one tried twice
		{wire.Reply(302, "", "Location", "http://%zz"), 2, true},
		{wire.Reply(429, ""), 4, true},
	} {
		api := newAPI(nil, always(row.answer))
		s := wire.Serve(t, api.RoundTrip)
		c := newClient(t, s.URL, withSecret)
		err := call(t.Context(), c)
		require.Equal(t, row.fails, err != nil, "%v", err)
		require.Len(t, s.Sent(), row.requests)
		s.Close()
		require.Error(t, call(t.Context(), c), "the connection is refused")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, call(ended, c), context.Canceled)
	}
}
