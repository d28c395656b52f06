//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// untold returns a client that nothing but the options has been told.
func untold(t *testing.T, transport http.RoundTripper, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	c, err := epcclogs.NewClient(append(opts, over(transport))...)
	require.NoError(t, err)
	return c
}

// Told the limit, the client keeps to it: requests leave evenly, and none is late.
func TestRateLimitIsKept(t *testing.T) {
	const latency = 80 * time.Millisecond
	list := wire.List{All: wire.Records(0, 2000), Write: wire.Envelopes["meta"]}
	for _, rate := range []float64{25, 60, 100} {
		inTime(t, fmt.Sprint(rate), func(t *testing.T) {
			s := wire.Steps(wire.After(latency, list.Answer))
			pager := untold(t, s, epcclogs.WithRateLimit(rate)).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 10})
			require.NoError(t, exhaust(t.Context(), pager.Concurrent(16)))
			times := s.Times()
			assert.Greater(t, len(times), 200)
			for i, at := range times {
				due := float64(i) / rate
				require.GreaterOrEqual(t, at.Sub(times[0]).Seconds(), due-1e-6)
				require.Less(t, at.Sub(times[0]).Seconds(), due+2*latency.Seconds(), "the first one tells of the others")
			}
		})
	}
}

// All calls share the pace, those for tokens and retries too.
func TestRateLimitCountsEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.OK(wire.Fixture(t, "token.json")), wire.Reply(503, ""), wire.OK(wire.Page()))
		c := untold(t, s, epcclogs.WithRateLimit(2), withSecret, quick)
		for _, err := range together(t, c, 4) {
			require.NoError(t, err)
		}
		times := s.Times()
		require.Len(t, times, 6, "a token, four calls, a retry")
		for i := range times {
			assert.Equal(t, time.Duration(i)*500*time.Millisecond, times[i].Sub(times[0]))
		}
	})
}

// busy answers 429 to the requests that come in the first second, and to each
// request after a tenth of one.
func busy(retryAfter string) *wire.Script {
	start := time.Now()
	return wire.Each(func(int) wire.Step {
		if time.Since(start) < time.Second {
			return wire.After(100*time.Millisecond, wire.Reply(429, "", "Retry-After", retryAfter))
		}
		return wire.After(100*time.Millisecond, wire.OK(wire.Page()))
	})
}

// Ten calls that are refused together make one pause, which costs one of them an
// attempt. It ends as long after the last of the responses as that one asks, and they
// go on evenly.
func TestOnePauseForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := busy("3")
		start := time.Now()
		c := untold(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}))
		for _, err := range together(t, c, 10) {
			require.NoError(t, err)
		}
		require.Len(t, s.Sent(), 20)
		for i, at := range s.Times()[10:] {
			want := 3190*time.Millisecond + time.Duration(float64(i)*float64(time.Second)/100)
			assert.InDelta(t, want.Seconds(), at.Sub(start).Seconds(), 0.001)
		}
	})
}

// As long as nothing succeeds, a call that is refused in its turn, after a pause, has
// used an attempt. With a policy of one attempt, it has, whenever its request was sent.
func TestThrottledCosts(t *testing.T) {
	for _, row := range []struct {
		retryAfter      string
		attempts, calls int
	}{{"0.2", 3, 1}, {"1", 1, 5}} {
		synctest.Test(t, func(t *testing.T) {
			s := busy(row.retryAfter)
			c := untold(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: row.attempts}))
			for _, err := range together(t, c, row.calls) {
				require.ErrorIs(t, err, epcclogs.ErrRateLimited)
				assert.Equal(t, row.attempts, as[*epcclogs.APIError](t, err).Attempts)
			}
			assert.Len(t, s.Sent(), row.attempts*row.calls)
		})
	}
}

// timed makes calls one after the other, and returns how long they take.
func timed(t *testing.T, c *epcclogs.Client, calls int) time.Duration {
	t.Helper()
	start := time.Now()
	for range calls {
		require.NoError(t, call(t.Context(), c))
	}
	return time.Since(start)
}

// Told nothing, a client sends 100 requests a second, and with WithRateLimit as
// many as that says, be it less or more.
func TestBound(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []epcclogs.Option
		want time.Duration
	}{
		"told nothing": {nil, 10 * time.Millisecond},
		"told 0":       {[]epcclogs.Option{epcclogs.WithRateLimit(0)}, 10 * time.Millisecond},
		"told less":    {[]epcclogs.Option{epcclogs.WithRateLimit(20)}, 50 * time.Millisecond},
		"told more":    {[]epcclogs.Option{epcclogs.WithRateLimit(500)}, 2 * time.Millisecond},
	} {
		inTime(t, name, func(t *testing.T) {
			assert.Equal(t, 99*tt.want, timed(t, untold(t, done, tt.opts...), 100))
		})
	}
}

// The log tells when the pace changes by much, and no more than that.
func TestPaceIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged journal
		w := wire.Each(func(n int) wire.Step {
			if n == 11 {
				return wire.Reply(429, "", "Retry-After", "1")
			}
			return done
		})
		timed(t, untold(t, w, epcclogs.WithLogger(slog.New(&logged))), 2010)
		var pace []string
		for _, line := range logged.all() {
			if rate, found := strings.CutPrefix(line, "DEBUG epcclogs: pace "); found {
				pace = append(pace, rate)
			}
		}
		assert.Equal(t, []string{"rate=50", "rate=62.67", "rate=78.46", "rate=98.15", "rate=100"}, pace)
	})
}

// Waiting for the rate limit ends with the context.
func TestRateLimitIsCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(done)
		c := untold(t, s, epcclogs.WithRateLimit(0.001))
		require.NoError(t, call(t.Context(), c))
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(5*time.Second, cancel).Stop()
		require.ErrorIs(t, call(ctx, c), context.Canceled)
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.Len(t, s.Sent(), 1)
	})
}

// A call that the rate limit allows no request before its deadline returns at once, also
// behind another one that waits, and says what it would wait for.
func TestRateLimitBeyondTheDeadline(t *testing.T) {
	const late = "the rate limit of 0.1 requests a second allows the next one in 10s, after the deadline of the context"
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(done)
		c := untold(t, s, epcclogs.WithRateLimit(0.1))
		require.NoError(t, call(t.Context(), c))
		start := time.Now()
		for _, behind := range []bool{false, true} {
			if behind {
				begin(t.Context(), c)
				synctest.Wait()
			}
			for _, d := range []time.Duration{2 * time.Second, 10 * time.Second} {
				err := within(t, c, d)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.EqualError(t, err, "epcclogs: GET "+epcclogs.EUWest+"/v2/integrations: "+late)
				assert.Zero(t, time.Since(start))
			}
		}
		time.Sleep(10 * time.Second)
		require.NoError(t, within(t, c, 10*time.Second+time.Nanosecond))
		assert.Equal(t, 20*time.Second, time.Since(start))
		assert.Len(t, s.Sent(), 3)
	})
	synctest.Test(t, func(t *testing.T) { // a token and a page are two requests
		api := wire.NewAPI(nil, nil)
		c := untold(t, api, epcclogs.WithRateLimit(0.1), withSecret)
		start := time.Now()
		err := within(t, c, 2*time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, late)
		assert.Zero(t, time.Since(start), "at once")
		require.NoError(t, call(t.Context(), c))
		assert.Empty(t, api.Lists.Sent()[1:])
	})
	synctest.Test(t, func(t *testing.T) { // what failed before is told too
		s := wire.Steps(wire.Reply(503, "busy", "Retry-After", "1"), done)
		err := within(t, untold(t, s, epcclogs.WithRateLimit(0.1)), 2*time.Second)
		require.ErrorIs(t, err, epcclogs.ErrServer)
		require.ErrorContains(t, err, ": 503 Service Unavailable; the server asks to wait 1s; the retry: the rate limit of 0.1 requests a second allows the next one in 9s, after")
	})
}

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
