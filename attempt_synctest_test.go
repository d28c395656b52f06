//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// inTime runs a test in virtual time.
func inTime(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// within makes a call that has so much time.
func within(t *testing.T, c *epcclogs.Client, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return call(ctx, c)
}

// A context that ends in the middle of an attempt ends the call at once, and
// hides no failure before it, nor a status whose body is not whole.
func TestEndDuringAnAttempt(t *testing.T) {
	const half = "<html>"
	for name, row := range map[string]struct {
		steps []wire.Step
		body  string // of the APIError; "": none
	}{
		"no answer":           {[]wire.Step{wire.Hang}, ""},
		"body stalls":         {[]wire.Step{wire.Stall(200, `{"data":[`)}, ""},
		"error stalls":        {[]wire.Step{wire.Stall(502, half)}, half},
		"no answer, later":    {[]wire.Step{wire.Reply(503, "busy", "Retry-After", "1"), wire.Hang}, "busy"},
		"body stalls, later":  {[]wire.Step{wire.Reply(503, "busy", "Retry-After", "1"), wire.Stall(200, `{"data":[`)}, "busy"},
		"error stalls, later": {[]wire.Step{wire.Reply(503, "busy", "Retry-After", "1"), wire.Stall(502, half)}, half},
	} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			inTime(t, fmt.Sprint(name, ", ", want), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if errors.Is(want, context.Canceled) {
					time.AfterFunc(5*time.Second, cancel)
				} else {
					ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
				}
				defer cancel()
				s := wire.Steps(row.steps...)
				start := time.Now()
				var logged journal
				err := call(ctx, clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{}),
					epcclogs.WithTimeout(10*time.Second), epcclogs.WithLogger(slog.New(&logged))))
				assert.Equal(t, 5*time.Second, time.Since(start), "at once")
				require.ErrorIs(t, err, want)
				require.ErrorContains(t, err, "GET https://api.example.com/v2/integrations")
				assert.Len(t, s.Sent(), len(row.steps))
				entries := logged.all()
				assert.Len(t, entries, 2*len(row.steps)-1, "no retry is announced")
				if row.body == half {
					assert.Contains(t, entries[len(entries)-1], " status=")
				} else {
					assert.Regexp(t, " error=.*"+want.Error(), entries[len(entries)-1])
				}
				var apiErr *epcclogs.APIError
				require.Equal(t, row.body != "", errors.As(err, &apiErr))
				if row.body != "" {
					require.ErrorIs(t, err, epcclogs.ErrServer)
					assert.Equal(t, row.body, string(apiErr.Body))
				}
			})
		}
	}
}

// requireTimeout requires the time-out of an attempt, which is not the caller's.
func requireTimeout(t *testing.T, err error) {
	t.Helper()
	timeout := as[net.Error](t, err)
	require.True(t, timeout.Timeout())
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)
}

// An attempt that stalls is given up after its time, and retried.
func TestAttemptTimeout(t *testing.T) {
	const half = "<html>"
	for name, stall := range map[string]wire.Step{
		"no answer": wire.Hang, "body stalls": wire.Stall(200, `{"data":[`), "error stalls": wire.Stall(503, half),
	} {
		inTime(t, name, func(t *testing.T) {
			s := wire.Steps(stall)
			start := time.Now()
			err := within(t, clientOf(t, s, epcclogs.WithTimeout(2*time.Second)), time.Hour)
			assert.Len(t, s.Sent(), 3)
			assert.Equal(t, 6*time.Second+2*time.Millisecond, time.Since(start))
			var apiErr *epcclogs.APIError
			if errors.As(err, &apiErr) { // what came tells more than the time-out
				assert.Equal(t, "error stalls", name)
				assert.Equal(t, 503, apiErr.StatusCode)
				assert.Equal(t, half, string(apiErr.Body))
				assert.Empty(t, apiErr.Errors)
				assert.Equal(t, 3, apiErr.Attempts)
			} else {
				requireTimeout(t, err)
				require.ErrorContains(t, err, "2s")
			}

			err = within(t, clientOf(t, wire.Steps(stall)), time.Second) // the call is over before the attempt is
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "context deadline exceeded; ")
		})
	}
}

// What a dialer of its own deadline reports looks like the caller's deadline.
func TestTimeoutOfTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Break(&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}))
		requireTimeout(t, call(t.Context(), clientOf(t, s)))
		assert.Len(t, s.Sent(), 3)
	})
}

// The caller's deadline is the caller's also when it is that of the attempt.
func TestBothDeadlinesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Hang)
		err := within(t, clientOf(t, s, epcclogs.WithTimeout(2*time.Second)), 2*time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, s.Sent(), 1)
	})
}

type spanKey struct{}

// Each request that is sent is told once, with what came of it, also those for tokens.
func TestOnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var failed []error
		hook := epcclogs.WithOnAttempt(func(ctx context.Context, a epcclogs.Attempt) {
			assert.Equal(t, "span", ctx.Value(spanKey{}), "the context is that of the call")
			failed = append(failed, a.Err)
			line := fmt.Sprintf("%s %s?%s %d: %d in %v", a.Method, a.Path, a.Query, a.Number, a.StatusCode, a.Duration)
			if a.Retry || a.Wait != 0 {
				line += fmt.Sprintf(", again %t after %v", a.Retry, a.Wait)
			}
			told = append(told, line)
		})
		api := wire.NewAPI(wire.First(1, wire.Reply(503, "", "Retry-After", "2")), func(n int) wire.Step {
			return wire.After(time.Duration(n)*time.Millisecond, []wire.Step{
				refused, wire.Reply(429, "", "Retry-After", "3"), wire.Stall(200, `{"data":[`), done,
				wire.Reply(503, "", "Retry-After", "1"), wire.Break(io.ErrClosedPipe), wire.OK(`{}`),
			}[n-1])
		})
		ctx := context.WithValue(t.Context(), spanKey{}, "span")
		c := clientOf(t, api, hook, withSecret, epcclogs.WithBaseURL("https://api.example.com/gate"), epcclogs.WithTimeout(time.Minute),
			epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 4 * time.Second, MaxWait: 4 * time.Second}))
		_, err := c.ListIntegrationLogs(ctx, integration, &epcclogs.ListOptions{Limit: 7, Offset: 250})
		require.NoError(t, err)
		require.NoError(t, errors.Join(failed[1], failed[3], failed[6]))
		require.ErrorIs(t, failed[0], epcclogs.ErrServer)
		require.ErrorIs(t, failed[2], epcclogs.ErrUnauthorized)
		require.ErrorIs(t, failed[4], epcclogs.ErrRateLimited)
		requireTimeout(t, failed[5])

		// The last attempt is not retried, why ever it failed.
		require.Error(t, call(ctx, c))
		require.ErrorIs(t, failed[7], epcclogs.ErrServer)
		require.ErrorIs(t, failed[8], io.ErrClosedPipe)
		require.ErrorAs(t, failed[9], new(*epcclogs.DecodeError))

		const post, list = "POST /gate/oauth/access_token? ", "GET /gate/v2/integrations? "
		const get = "GET /gate/v2/integrations/" + integration + "/logs?page[limit]=7&page[offset]=250 "
		at := api.Lists.Times()
		wait := func(n int, took time.Duration) string { return at[n].Sub(at[n-1].Add(took)).String() } // random
		assert.Equal(t, []string{
			post + "1: 503 in 0s, again true after 2s", post + "2: 200 in 0s",
			get + "1: 401 in 1ms, again true after 0s", post + "1: 200 in 0s",
			get + "2: 429 in 2ms, again true after 3s", get + "3: 200 in 1m0s, again true after " + wait(3, time.Minute), get + "4: 200 in 4ms",
			list + "1: 503 in 5ms, again true after 1s", list + "2: 0 in 6ms, again true after " + wait(6, 6*time.Millisecond), list + "3: 200 in 7ms",
		}, told)
	})
}
