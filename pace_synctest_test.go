//go:build go1.25

package epcclogs_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
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
			ids, err := idsOf(t, untold(t, s, epcclogs.WithRateLimit(rate)).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 10}).Concurrent(16))
			require.NoError(t, err)
			assert.Len(t, ids, 2000)
			times := s.Times()
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

// refusing is an API that answers 429 as long as refuse is above 0, which it counts
// down.
type refusing struct {
	*wire.Script
	refuse int
}

func newRefusing(retryAfter string) *refusing {
	r := new(refusing)
	r.Script = wire.Each(func(int) wire.Step {
		if r.refuse > 0 {
			r.refuse--
			return wire.Reply(429, "", "Retry-After", retryAfter)
		}
		return wire.OK(wire.Page())
	})
	return r
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

// A 429 now and then, to requests that come alone, is other clients' doing: it
// does not slow down what comes later.
func TestStrayRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := untold(t, r)
		for range 20 {
			time.Sleep(time.Minute)
			r.refuse = 1
			assert.Equal(t, time.Second, timed(t, c, 1))
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 990*time.Millisecond, timed(t, c, 100))
	})
}

// Refused in the midst of work, again and again, the client goes slower. When
// nothing is refused any more, it comes back to its bound within half a minute.
func TestPaceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := untold(t, r)
		for range 4 {
			timed(t, c, 10)
			r.refuse = 1
			assert.GreaterOrEqual(t, timed(t, c, 1), time.Second)
		}
		assert.Greater(t, timed(t, c, 20), time.Second)
		start := time.Now()
		for timed(t, c, 10) > 100*time.Millisecond {
			require.Less(t, time.Since(start), 30*time.Second)
		}
	})
}

// A refusal of the first request after a pause makes the next pause 1.7 times as long,
// up to 10 s, and leaves the rate as it is.
func TestPauseThatIsTooShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1.5")
		r.refuse = 5
		timed(t, untold(t, r, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 6})), 11)
		want := []float64{1.5, 2.55, 4.335, 7.3695, 10, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01}
		times := r.Times()
		require.Len(t, times, len(want)+1)
		for i, seconds := range want {
			assert.InDelta(t, seconds, times[i+1].Sub(times[i]).Seconds(), 1e-6, i)
		}
	})
}

// As long as the API lets a request through now and then, a 429 may be caused by other
// clients, and does not count. It counts when its pause ends more than MaxWait after the
// last success.
func TestRefusalsWhileOthersGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := untold(t, r)
		for range 3 {
			timed(t, c, 1)
			r.refuse = 8
			assert.InDelta(t, 1+1.7+2.89+4.913+8.3521+10+10+10, timed(t, c, 1).Seconds(), 0.1)
		}
		r.refuse = 100
		start := time.Now()
		err := call(t.Context(), c)
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		assert.Equal(t, 6+5, as[*epcclogs.APIError](t, err).Attempts, "six pauses end within 30 s")
		assert.InDelta(t, 1+1.7+2.89+4.913+8.3521+10+10+10+10+10, time.Since(start).Seconds(), 0.1)
	})
}

// Others use up the first half of each second: pauses of whole seconds would meet
// nothing else, and end a call that begins there.
func TestPausesMeetOtherPartsOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := untold(t, wire.Each(func(int) wire.Step {
			if time.Since(start)%time.Second < time.Second/2 {
				return wire.Reply(429, "", "Retry-After", "1")
			}
			return wire.OK(wire.Page())
		}))
		assert.Equal(t, 2700*time.Millisecond, timed(t, c, 1))
	})
}

// The log tells when the pace changes by much, and no more than that.
func TestPaceIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged journal
		r := newRefusing("1")
		c := untold(t, r, epcclogs.WithLogger(slog.New(&logged)))
		timed(t, c, 10)
		r.refuse = 1
		timed(t, c, 2000)
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
		api := newAPI(nil, nil)
		c := untold(t, api, epcclogs.WithRateLimit(0.1), withSecret)
		start := time.Now()
		err := within(t, c, 2*time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, late)
		assert.Zero(t, time.Since(start), "at once")
		require.NoError(t, call(t.Context(), c))
		assert.Empty(t, api.lists.Sent()[1:])
	})
	synctest.Test(t, func(t *testing.T) { // what failed before is told too
		s := wire.Steps(wire.Reply(503, "busy", "Retry-After", "1"), done)
		err := within(t, untold(t, s, epcclogs.WithRateLimit(0.1)), 2*time.Second)
		require.ErrorIs(t, err, epcclogs.ErrServer)
		require.ErrorContains(t, err, ": 503 Service Unavailable; the server asks to wait 1s; the retry: the rate limit of 0.1 requests a second allows the next one in 9s, after")
	})
}
