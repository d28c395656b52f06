//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"net/http"
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
	c, err := epcclogs.NewClient(append(opts, epcclogs.WithHTTPClient(&http.Client{Transport: w}))...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = c.ListStoreLogs(ctx, nil)
	var own *epcclogs.APIError
	require.ErrorAs(t, err, &own)
	require.Equal(t, 1, own.Attempts)
	require.Contains(t, string(own.Body), "slow down")
	return c, w
}

// notSent requires that err is that of a call which a pause kept from being sent.
func notSent(t *testing.T, err error, left time.Duration) {
	t.Helper()
	require.ErrorIs(t, err, epcclogs.ErrRateLimited)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	var e *epcclogs.APIError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, epcclogs.APIError{
		StatusCode: 429, Method: http.MethodGet, URL: epcclogs.EUWest + "/v2/integrations/logs", RetryAfter: left,
	}, *e)
	assert.Equal(t, "epcclogs: GET "+epcclogs.EUWest+"/v2/integrations/logs: 429 Too Many Requests: "+
		"nothing was sent, because an earlier 429 pauses the client for another "+left.String(), err.Error())
}

// A pause lasts as long as the server asks, also beyond MaxWait. Calls that would
// wait for longer than that return at once. Once less is left, they wait.
func TestPauseAboveMaxWait(t *testing.T) {
	for name, opts := range map[string][]epcclogs.Option{
		"default":     nil,
		"one attempt": {epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1})},
		"a limit":     {epcclogs.WithRateLimit(90)},
	} {
		inTime(t, name, func(t *testing.T) {
			c, w := paused(t, "120", opts...)
			start := time.Now()
			_, err := c.ListStoreLogs(t.Context(), nil)
			notSent(t, err, 2*time.Minute)
			time.Sleep(90*time.Second - time.Nanosecond)
			_, err = c.ListStoreLogs(t.Context(), nil)
			var e *epcclogs.APIError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, 30*time.Second+time.Nanosecond, e.RetryAfter)
			assert.Zero(t, e.Attempts)
			assert.Equal(t, 90*time.Second-time.Nanosecond, time.Since(start), "at once")
			time.Sleep(time.Nanosecond)
			_, err = c.ListStoreLogs(t.Context(), nil)
			require.NoError(t, err)
			assert.Equal(t, 2*time.Minute, time.Since(start))
			assert.Len(t, w.Requests(), 2)
		})
	}
}

// MaxWait bounds what a call waits, not what the server asks for.
func TestPauseIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := paused(t, "20", epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 2 * time.Second}))
		start := time.Now()
		for time.Since(start) < 18*time.Second {
			_, err := c.ListStoreLogs(t.Context(), nil)
			notSent(t, err, 20*time.Second-time.Since(start))
			time.Sleep(time.Second)
		}
		_, err := c.ListStoreLogs(t.Context(), nil)
		require.NoError(t, err)
		assert.Equal(t, 20*time.Second, w.Last().At.Sub(start))
	})
}

// A call whose deadline comes before the end of the pause returns at once, too.
func TestPauseBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := paused(t, "20")
		start := time.Now()
		for _, d := range []time.Duration{time.Millisecond, 20 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			_, err := c.ListStoreLogs(ctx, nil)
			cancel()
			notSent(t, err, 20*time.Second)
			assert.Zero(t, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second+time.Nanosecond)
		defer cancel()
		_, err := c.ListStoreLogs(ctx, nil)
		require.NoError(t, err)
		assert.Len(t, w.Requests(), 2)
	})
}

// So does one that waits for its turn when the pause begins, and one that waits
// for a retry: its own failure comes first, and the pause is told with it.
func TestPauseThatFindsCallsWaiting(t *testing.T) {
	for name, first := range map[string]wire.Step{
		"response":   wire.Reply(503, "busy", "Retry-After", "10"),
		"connection": wire.Break(errors.New("wire broke")),
	} {
		inTime(t, name, func(t *testing.T) {
			w := wire.Steps(first, wire.Reply(429, "", "Retry-After", "60"))
			c, err := epcclogs.NewClient(epcclogs.WithRateLimit(100), epcclogs.WithHTTPClient(&http.Client{Transport: w}),
				epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 10 * time.Second}))
			require.NoError(t, err)
			start := time.Now()
			calls := make([]chan error, 3) // retried; paused by its own 429; waiting for its turn
			for i := range calls {
				calls[i] = make(chan error, 1)
				go func() {
					_, err := c.ListStoreLogs(t.Context(), nil)
					calls[i] <- err
				}()
				synctest.Wait()
			}
			var e *epcclogs.APIError
			require.ErrorAs(t, <-calls[1], &e)
			assert.Equal(t, 1, e.Attempts)
			notSent(t, <-calls[2], time.Minute)
			assert.Equal(t, 10*time.Millisecond, time.Since(start))

			err = <-calls[0]
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			require.ErrorContains(t, err, "; the retry: ")
			require.ErrorContains(t, err, "nothing was sent, because an earlier 429 pauses the client")
			if name == "response" {
				require.ErrorIs(t, err, epcclogs.ErrServer)
				require.ErrorAs(t, err, &e)
				assert.Equal(t, "busy", string(e.Body))
			} else {
				require.ErrorContains(t, err, "wire broke")
			}
			assert.Len(t, w.Requests(), 2)
		})
	}
}

// refusedTwice begins two calls with c. The first is refused after 100 ms, and asked
// to wait for a second. The second one, which is under way then, is refused later.
func refusedTwice(t *testing.T, later time.Duration, retryAfter string) (*epcclogs.Client, *wire.Script) {
	t.Helper()
	w := wire.Steps(wire.After(100*time.Millisecond, wire.Reply(429, "", "Retry-After", "1")),
		wire.After(later-10*time.Millisecond, wire.Reply(429, "", "Retry-After", retryAfter)), done)
	c, err := epcclogs.NewClient(over(w), epcclogs.WithRateLimit(100),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 25 * time.Second}))
	require.NoError(t, err)
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
			var next []time.Duration
			for _, at := range w.Times() {
				if sent := at.Sub(start); sent >= tt.later {
					next = append(next, sent)
				}
			}
			assert.Equal(t, tt.next, next[0])
		})
	}
}

// A call that waits for the end of the pause returns when that becomes too late.
func TestPauseThatGetsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, _ := refusedTwice(t, 600*time.Millisecond, "20")
		time.Sleep(500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := call(ctx, c)
		assert.Equal(t, 600*time.Millisecond, time.Since(start))
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		e := as[*epcclogs.APIError](t, err)
		assert.Zero(t, e.Attempts)
		assert.Equal(t, 20*time.Second, e.RetryAfter)
	})
}

// The request for a token heeds the pause as all others do.
func TestPauseOfATokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire.Steps(wire.Reply(429, "", "Retry-After", "120"), wire.OK(wire.Page()))
		c, err := epcclogs.NewClient(epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"),
			epcclogs.WithHTTPClient(&http.Client{Transport: w}))
		require.NoError(t, err)
		_, err = c.ListStoreLogs(t.Context(), nil)
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		assert.Equal(t, []string{"POST /oauth/access_token"}, w.Sent())
		start := time.Now()
		for _, opts := range []*epcclogs.ListOptions{nil, {Offset: 5}} {
			_, err := c.ListStoreLogs(t.Context(), opts)
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			var e *epcclogs.APIError
			require.ErrorAs(t, err, &e)
			assert.Zero(t, e.Attempts)
			assert.Equal(t, 2*time.Minute, e.RetryAfter)
			assert.Zero(t, time.Since(start))
		}
		assert.Len(t, w.Requests(), 1)
	})
}

// What a call has met before a pause that it cannot wait out is all told: its last
// response, and what failed after it.
func TestPauseAfterTwoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire.Steps(wire.Reply(503, "busy", "Retry-After", "1"), wire.Break(errors.New("wire broke")),
			wire.Reply(429, "", "Retry-After", "60"))
		c, err := epcclogs.NewClient(over(w), epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 10 * time.Second}))
		require.NoError(t, err)
		first := begin(t.Context(), c)
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, call(t.Context(), c), epcclogs.ErrRateLimited)
		err = <-first
		require.ErrorIs(t, err, epcclogs.ErrServer)
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		require.ErrorContains(t, err, "wire broke")
		assert.Len(t, w.Sent(), 3)
	})
}

// A 429 to a request that was under way when another one began the pause does not
// count as an attempt.
func TestRefusedTogetherIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire.Each(func(n int) wire.Step {
			step := done
			if n <= 2 {
				step = wire.Reply(429, "", "Retry-After", "2")
			} else if n <= 4 {
				step = wire.Reply(503, "")
			}
			return func(r *http.Request) (*http.Response, error) {
				time.Sleep(time.Duration(n) * time.Millisecond)
				return step(r)
			}
		})
		c, err := epcclogs.NewClient(over(w), epcclogs.WithRateLimit(1e10), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}))
		require.NoError(t, err)
		counted, free := begin(t.Context(), c), begin(t.Context(), c)
		if err = <-counted; err == nil { // which of the two is sent first is open
			err = <-free
		} else {
			require.NoError(t, <-free)
		}
		require.ErrorIs(t, err, epcclogs.ErrServer)
		assert.Len(t, w.Sent(), 5)
	})
}
