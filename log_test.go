package epcclogs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// Each request that is sent has a record, and each retry one more. What was not sent
// has none.
func TestLogger(t *testing.T) {
	const url = "https://api.example.com/gate/v2/integrations/" + integration + "/logs?page[limit]=7&page[offset]=250"
	const about = "method=GET path=/gate/v2/integrations/" + integration + "/logs query=page[limit]=7&page[offset]=250 "
	request := func(n int, outcome string) string {
		return fmt.Sprint("DEBUG epcclogs: request ", about, "attempt=", n, " ", outcome, " duration")
	}
	retry := func(n int, reason string) string {
		return fmt.Sprint("WARN epcclogs: retry ", about, "attempt=", n, " wait=", reason)
	}
	post := func(status int) string {
		return fmt.Sprint("DEBUG epcclogs: request method=POST path=/gate/oauth/access_token attempt=1 status=", status, " duration")
	}
	const cut = "epcclogs: GET " + url + `: the response ended early: unexpected EOF (Content-Type "application/json") (after 2 attempts)`
	credentials := epcclogs.WithClientCredentials("id", marker)
	for name, row := range map[string]struct {
		attempts int
		opt      epcclogs.Option
		steps    []wire.Step
		want     []string
	}{
		"retries": {4, quick, []wire.Step{wire.Reply(503, ""), wire.OK(`{"data":[`), wire.Reply(502, ""), done}, []string{
			request(1, "status=503"), retry(1, "1ms reason=status 503"),
			request(2, "error="+cut), retry(2, "1ms reason="+cut),
			request(3, "status=502"), retry(3, "1ms reason=status 502"),
			request(4, "status=200"),
		}},
		"not retried":        {4, quick, []wire.Step{wire.Reply(404, "")}, []string{request(1, "status=404")}},
		"connection refused": {1, quick, []wire.Step{wire.Break(syscall.ECONNREFUSED)}, []string{request(1, "error=epcclogs: GET "+url+": connection refused")}},
		"the last attempt": {2, quick, []wire.Step{wire.Reply(500, "")}, []string{
			request(1, "status=500"), retry(1, "1ms reason=status 500"), request(2, "status=500"),
		}},
		"a renewal": {1, credentials, []wire.Step{wire.OK(`{"access_token":"first-token"}`), wire.Reply(401, ""), wire.OK(`{"access_token":"second-token"}`), done}, []string{
			post(200), request(1, "status=401"), retry(1, "0s reason=status 401"), post(200), request(2, "status=200"),
		}},
		"secret refused": {1, credentials, []wire.Step{wire.Reply(401, "")}, []string{post(401)}},
		"token function failed": {1, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
			return "", errors.New("no token today")
		}), []wire.Step{done}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var logged journal
			s := wire.Steps(row.steps...)
			c := clientOf(t, s, epcclogs.WithLogger(slog.New(&logged)), epcclogs.WithBaseURL("https://api.example.com/gate"), row.opt,
				epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: row.attempts, MaxWait: time.Millisecond}))
			_, _ = c.ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 7, Offset: 250})
			assert.Equal(t, row.want, logged.all())
		})
	}
}

// journal keeps what is logged, at any level: level, message and attributes. Of the
// duration of a request, it keeps the name.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) WithAttrs([]slog.Attr) slog.Handler { panic("not used") }

func (j *journal) WithGroup(string) slog.Handler { panic("not used") }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "duration" && a.Value.Duration() >= 0 {
			line += " duration"
		} else {
			line += " " + a.String()
		}
		return true
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
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
	for _, answer := range []wire.Step{
		done, wire.Reply(500, ""), wire.Reply(401, ""), wire.Reply(429, ""), wire.Reply(302, "", "Location", "http://%zz"),
		wire.OK(`{"data":[`), wire.OK(`{"data":[`, "Content-Length", "100"), wire.OK(`{}`),
	} {
		api := wire.NewAPI(nil, wire.Always(answer))
		s := wire.Serve(t, api.RoundTrip)
		c := newClient(t, s.URL, withSecret)
		_ = call(t.Context(), c)
		require.NotEmpty(t, api.Bearers())
		s.Close()
		require.Error(t, call(t.Context(), c), "the connection is refused")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, call(ended, c), context.Canceled)
	}
}
