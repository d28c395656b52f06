//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// paused returns a client whose first request has met a 429 that asks for a pause
// of retryAfter, and its wire, which answers all that follows.
func paused(t *testing.T, retryAfter string, opts ...epcclogs.Option) (*epcclogs.Client, *wire.Script) {
	t.Helper()
	w := wire.Steps(wire.Reply(429, `{"errors":[{"title":"slow down"}]}`, "Retry-After", retryAfter), wire.OK(wire.Page()))
	c := untold(t, w, opts...)
	own := as[*epcclogs.APIError](t, within(t, c, time.Second))
	require.Equal(t, 1, own.Attempts)
	require.Contains(t, string(own.Body), "slow down")
	return c, w
}

// notSent requires that err is that of a call which a pause kept from being sent.
func notSent(t *testing.T, err error, left time.Duration) {
	t.Helper()
	const url = epcclogs.EUWest + "/v2/integrations"
	require.ErrorIs(t, err, epcclogs.ErrRateLimited)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, epcclogs.APIError{
		StatusCode: 429, Method: http.MethodGet, URL: url, RetryAfter: left,
	}, *as[*epcclogs.APIError](t, err))
	assert.EqualError(t, err, "epcclogs: GET "+url+": 429 Too Many Requests: "+
		"nothing was sent, because an earlier 429 pauses the client for another "+left.Round(time.Millisecond).String())
}

// A pause lasts as long as the server asks, also beyond MaxWait. Calls that would
// wait for longer than that return at once. Once less is left, they wait.
func TestPauseAboveMaxWait(t *testing.T) {
	for name, row := range map[string]struct {
		opt  epcclogs.Option
		most time.Duration
	}{
		"default":     {patient, 30 * time.Second},
		"one attempt": {epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}), 30 * time.Second},
		"a limit":     {epcclogs.WithRateLimit(90), 30 * time.Second},
		"MaxWait":     {epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 2 * time.Second}), 2 * time.Second},
	} {
		inTime(t, name, func(t *testing.T) {
			c, w := paused(t, "120", row.opt)
			start := time.Now()
			notSent(t, call(t.Context(), c), 2*time.Minute)
			time.Sleep(2*time.Minute - row.most - time.Nanosecond)
			notSent(t, call(t.Context(), c), row.most+time.Nanosecond)
			assert.Equal(t, 2*time.Minute-row.most-time.Nanosecond, time.Since(start), "at once")
			time.Sleep(time.Nanosecond)
			require.NoError(t, call(t.Context(), c))
			assert.Equal(t, 2*time.Minute, w.Last().At.Sub(start))
			assert.Len(t, w.Requests(), 2)
		})
	}
}

// A call whose deadline comes before the end of the pause returns at once, too.
func TestPauseBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := paused(t, "20")
		start := time.Now()
		for _, d := range []time.Duration{time.Millisecond, 20 * time.Second} {
			notSent(t, within(t, c, d), 20*time.Second)
			assert.Zero(t, time.Since(start))
		}
		require.NoError(t, within(t, c, 20*time.Second+time.Nanosecond))
		assert.Len(t, w.Requests(), 2)
	})
}

// So does one that waits for its turn when the pause begins, and one that waits
// for a retry: what it has met itself comes first, and the pause is told with it.
func TestPauseThatFindsCallsWaiting(t *testing.T) {
	unavailable, broken := wire.Reply(503, "busy", "Retry-After", "10"), wire.Break(errors.New("wire broke"))
	const after = "the retry: 429 Too Many Requests: nothing was sent, because an earlier 429 pauses the client for another "
	for name, row := range map[string]struct {
		steps    []wire.Step // what the call has met
		pause    time.Duration
		deadline time.Duration
		want     string // part of its error
	}{
		"response":   {[]wire.Step{unavailable}, time.Minute, time.Hour, ": 503 Service Unavailable; the server asks to wait 10s; " + after + "52s"},
		"connection": {[]wire.Step{broken}, time.Minute, time.Hour, ": wire broke; " + after},
		"both":       {[]wire.Step{wire.Reply(503, "busy", "Retry-After", "1"), broken}, time.Minute, time.Hour, " wire broke (after 2 attempts); " + after},
		"deadline":   {[]wire.Step{unavailable}, 20 * time.Second, 12 * time.Second, ": 503 Service Unavailable; the server asks to wait 10s; " + after + "12s"},
	} {
		inTime(t, name, func(t *testing.T) {
			w := wire.Steps(append(row.steps, wire.Reply(429, "", "Retry-After", fmt.Sprint(row.pause.Seconds())))...)
			c := untold(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 10 * time.Second}))
			start := time.Now()
			calls := make([]chan error, 3) // retried; paused by its own 429; waiting for its turn
			for i := range calls {
				calls[i] = make(chan error, 1)
				go func() { calls[i] <- within(t, c, row.deadline) }()
				synctest.Wait()
				if i == 0 {
					time.Sleep(2 * time.Second)
				}
			}
			assert.Equal(t, 1, as[*epcclogs.APIError](t, <-calls[1]).Attempts)
			notSent(t, <-calls[2], row.pause)
			assert.Equal(t, 2*time.Second, time.Since(start))

			err := <-calls[0]
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, row.want)
			assert.Equal(t, 1, strings.Count(err.Error(), "GET "), "it names the request once")
			if name != "connection" {
				require.ErrorIs(t, err, epcclogs.ErrServer)
				assert.Contains(t, textsOf(err), "busy")
			}
			assert.Len(t, w.Requests(), len(row.steps)+1)
		})
	}
}

// refusedTwice begins two calls with c. The first is refused after 100 ms, and asked
// to wait for a second. The second one, which is under way then, is refused later.
func refusedTwice(t *testing.T, later time.Duration, retryAfter string) (*epcclogs.Client, *wire.Script) {
	t.Helper()
	w := wire.Steps(wire.After(100*time.Millisecond, wire.Reply(429, "", "Retry-After", "1")),
		wire.After(later-10*time.Millisecond, wire.Reply(429, "", "Retry-After", retryAfter)), done)
	c := untold(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 25 * time.Second}))
	for range 2 {
		begin(t.Context(), c)
	}
	return c, w
}

// A request that was under way when the pause began makes it longer if the server
// asks to wait beyond its end, even when it has ended meanwhile. The wait of the policy
// does not.
func TestPauseThatGetsLonger(t *testing.T) {
	for name, tt := range map[string]struct {
		later      time.Duration
		retryAfter string
		next       time.Duration // when the next request is sent
	}{
		"more":              {600 * time.Millisecond, "20", 20600 * time.Millisecond},
		"more, afterwards":  {2 * time.Second, "20", 22 * time.Second},
		"as much":           {600 * time.Millisecond, "1", 1600 * time.Millisecond},
		"less":              {600 * time.Millisecond, "0.7", 1300 * time.Millisecond},
		"less than is left": {600 * time.Millisecond, "0.4", 1100 * time.Millisecond},
		"nothing":           {600 * time.Millisecond, "", 1100 * time.Millisecond},
	} {
		inTime(t, name, func(t *testing.T) {
			start := time.Now()
			c, w := refusedTwice(t, tt.later, tt.retryAfter)
			time.Sleep(tt.later)
			synctest.Wait()
			require.NoError(t, call(t.Context(), c))
			times := w.Times()
			next := slices.IndexFunc(times, func(at time.Time) bool { return at.Sub(start) >= tt.later })
			assert.Equal(t, tt.next, times[next].Sub(start))
		})
	}
}

// A call that waits for the end of the pause returns when that becomes too late.
func TestPauseThatGetsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, _ := refusedTwice(t, 600*time.Millisecond, "20")
		time.Sleep(500 * time.Millisecond)
		notSent(t, within(t, c, 10*time.Second), 20*time.Second)
		assert.Equal(t, 600*time.Millisecond, time.Since(start))
	})
}

// The request for a token heeds the pause as all others do, and calls wait for it no
// longer than for their own.
func TestPauseOfATokenRequest(t *testing.T) {
	for pause, deadline := range map[time.Duration]time.Duration{2 * time.Minute: time.Hour, 20 * time.Second: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := wire.Steps(wire.Reply(429, "", "Retry-After", fmt.Sprint(pause.Seconds())), wire.OK(wire.Page()))
			c := untold(t, w, withSecret)
			start := time.Now()
			for attempts := 1; attempts >= 0; attempts-- {
				err := within(t, c, deadline)
				require.ErrorIs(t, err, epcclogs.ErrRateLimited)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				apiErr := as[*epcclogs.APIError](t, err)
				assert.LessOrEqual(t, apiErr.Attempts, attempts)
				assert.Equal(t, pause, apiErr.RetryAfter)
				assert.Zero(t, time.Since(start))
				assert.Equal(t, []string{"POST /oauth/access_token"}, w.Sent())
			}
		})
	}
}

// A 429 to a request that was under way when another one began the pause does not
// count as an attempt. Each of the two is sent again.
func TestRefusedTogetherIsNotCounted(t *testing.T) {
	for _, header := range [][]string{{"Retry-After", "2"}, nil} {
		synctest.Test(t, func(t *testing.T) {
			w := wire.Each(func(n int) wire.Step {
				step := done
				if n <= 2 {
					step = wire.Reply(429, "", header...)
				} else if n <= 4 {
					step = wire.Reply(503, "")
				}
				return wire.After(time.Duration(n)*time.Millisecond, step)
			})
			errs := together(t, clientOf(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2})), 2)
			if errs[0] == nil { // which of the two is sent first is open
				slices.Reverse(errs)
			}
			require.ErrorIs(t, errs[0], epcclogs.ErrServer)
			require.NoError(t, errs[1])
			assert.Len(t, w.Sent(), 5)
		})
	}
}
