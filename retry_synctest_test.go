//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// waitTwice makes one call whose first attempt meets a 503 with the headers, and
// returns the wait before the second; false when there was none.
func waitTwice(t *testing.T, p epcclogs.RetryPolicy, header ...string) (time.Duration, bool) {
	t.Helper()
	s := wire.Steps(wire.Reply(503, "busy", header...), done)
	start := time.Now()
	err := call(t.Context(), clientOf(t, s, epcclogs.WithRetry(p)))
	if len(s.Sent()) == 2 {
		require.NoError(t, err)
		return s.Times()[1].Sub(s.Times()[0]), true
	}
	require.Len(t, s.Sent(), 1)
	require.Equal(t, start, time.Now(), "nothing is waited for")
	apiErr := as[*epcclogs.APIError](t, err)
	require.Equal(t, 503, apiErr.StatusCode)
	require.Equal(t, "busy", string(apiErr.Body))
	return 0, false
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	const hour = time.Hour
	date := func(s string) []string { return []string{"Date", "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After", s} }
	for _, test := range []struct {
		header []string
		want   time.Duration // 0: not waited for; -1: none that can be read
	}{
		{[]string{"Retry-After", "7"}, 7 * time.Second},
		{[]string{"Retry-After", " 7\t"}, 7 * time.Second},
		{[]string{"Retry-After", "007"}, 7 * time.Second},
		{[]string{"Retry-After", "1.5"}, 1500 * time.Millisecond},
		{[]string{"Retry-After", ".25"}, 250 * time.Millisecond},
		{[]string{"Retry-After", "2."}, 2 * time.Second},
		{[]string{"Retry-After", "0"}, time.Millisecond},
		{[]string{"Retry-After", "0.0000001"}, time.Millisecond},
		{[]string{"Retry-After", "3600"}, hour},

		{date("Sun, 06 Nov 1994 08:49:47 GMT"), 10 * time.Second},
		{date("Sunday, 06-Nov-94 08:49:47 GMT"), 10 * time.Second},
		{date("Sun Nov  6 08:49:47 1994"), 10 * time.Second},
		{date("Sun, 06 Nov 1994 08:49:37 GMT"), time.Millisecond},
		{date("Sun, 06 Nov 1994 08:00:00 GMT"), time.Millisecond}, // over already
		{date("Sun, 06 Nov 1994 09:49:37 GMT"), hour},

		{[]string{"Retry-After", "3600.001"}, 0},
		{[]string{"Retry-After", "3601"}, 0},
		{[]string{"Retry-After", "9223372036"}, 0},
		{[]string{"Retry-After", "9223372037"}, 0},           // over the longest Duration
		{[]string{"Retry-After", "18446744073.709552"}, 0},   // would be about 0 again
		{[]string{"Retry-After", "99999999999999999999"}, 0}, // over an int64
		{[]string{"Retry-After", strings.Repeat("9", 400)}, 0},
		{date("Sun, 06 Nov 1994 09:49:38 GMT"), 0},
		{date("Fri, 31 Dec 9999 23:59:59 GMT"), 0},

		{nil, -1},
		{[]string{"Retry-After", ""}, -1},
		{[]string{"Retry-After", "-5"}, -1},
		{[]string{"Retry-After", "-99999999999999999999"}, -1},
		{[]string{"Retry-After", "soon"}, -1},
		{[]string{"Retry-After", "5 seconds"}, -1},
		{[]string{"Retry-After", "1.5.2"}, -1},
		{[]string{"Retry-After", "."}, -1},
		{[]string{"Retry-After", "NaN"}, -1},
		{[]string{"Retry-After", "Inf"}, -1},
		{[]string{"Retry-After", "1e3"}, -1},
		{[]string{"Retry-After", "0x10"}, -1},
		{[]string{"Retry-After", "5, 10"}, -1},
		{date("Sun, 06 Nov 1994"), -1},
		{date("1994-11-06T08:49:47Z"), -1},
	} {
		t.Run(fmt.Sprintf("%.90q", test.header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := epcclogs.RetryPolicy{MinWait: 100 * time.Millisecond, MaxWait: hour}
				if test.want >= 0 {
					got, sent := waitTwice(t, p, test.header...)
					assert.Equal(t, test.want > 0, sent)
					assert.Equal(t, test.want, got)
					return
				}
				// As without the header: random up to MinWait, not always the least.
				var longest time.Duration
				for range 30 {
					got, sent := waitTwice(t, p, test.header...)
					require.True(t, sent)
					longest = max(longest, got)
				}
				assert.Greater(t, longest, 60*time.Millisecond)
				assert.LessOrEqual(t, longest, p.MinWait)
			})
		})
	}
}

// Without a Date that can be read, the client's own clock has to do.
func TestRetryAfterDateByTheOwnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, date := range []string{"", "yesterday"} {
			for _, layout := range []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
				at := time.Now().UTC().Truncate(time.Second).Add(9 * time.Second)
				want := time.Until(at)
				got, sent := waitTwice(t, epcclogs.RetryPolicy{}, "Retry-After", at.Format(layout), "Date", date)
				assert.True(t, sent)
				assert.Equal(t, want, got, layout)
			}
		}
	})
}

func TestAPIErrorTellsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for value, want := range map[string]time.Duration{
			"1.5": 1500 * time.Millisecond, "0": 0, "-1": 0, "soon": 0, "120": 2 * time.Minute,
			"9223372036":             9223372036 * time.Second,
			"9223372037":             math.MaxInt64,
			strings.Repeat("9", 400): math.MaxInt64,
			start.Add(2 * time.Hour).Format(http.TimeFormat): 2 * time.Hour,
			start.Add(-time.Hour).Format(http.TimeFormat):    0,
		} {
			_, err := fail(t, wire.Reply(403, "", "Retry-After", value))
			apiErr := as[*epcclogs.APIError](t, err)
			assert.Equal(t, want, apiErr.RetryAfter, value)
		}
	})
}

// The default ceiling is 30 seconds.
func TestRetryAfterAboveMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, sent := waitTwice(t, epcclogs.RetryPolicy{}, "Retry-After", "30")
		assert.True(t, sent)
		assert.Equal(t, 30*time.Second, got)
		_, sent = waitTwice(t, epcclogs.RetryPolicy{}, "Retry-After", "30.001")
		assert.False(t, sent)

		s := wire.Steps(wire.Reply(503, ""), wire.Reply(429, "slow down", "Retry-After", "31"))
		err := call(t.Context(), clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{})))
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, 429, apiErr.StatusCode)
		assert.Equal(t, 31*time.Second, apiErr.RetryAfter)
		assert.Equal(t, "slow down", string(apiErr.Body))
		assert.Equal(t, 2, apiErr.Attempts)
		assert.Len(t, s.Sent(), 2)
	})
}

// A Retry-After belongs to its own response, not to what fails after it.
func TestRetryAfterIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Reply(503, "", "Retry-After", "20"), wire.Break(errors.New("wire broke")), done)
		require.NoError(t, call(t.Context(), clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{}))))
		assert.Equal(t, 20*time.Second, s.Times()[1].Sub(s.Times()[0]))
		assert.LessOrEqual(t, s.Times()[2].Sub(s.Times()[1]), time.Second)
	})
}

func TestDeadlineWithinTheWait(t *testing.T) {
	ten := wire.Reply(503, "busy", "Retry-After", "10")
	for _, test := range []struct {
		deadline time.Duration
		step     wire.Step
		requests int
	}{
		{10*time.Second + time.Nanosecond, ten, 2},
		{10 * time.Second, ten, 1},
		{time.Second, ten, 1},
		{time.Millisecond, wire.Reply(503, "busy"), 1}, // the least wait there is
		{time.Millisecond, wire.Break(syscall.ECONNRESET), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := wire.Steps(test.step, done)
			c := clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
			defer cancel()
			err := call(ctx, c)
			require.NoError(t, ctx.Err())
			assert.Len(t, s.Sent(), test.requests)
			if test.requests > 1 {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, start, time.Now(), "nothing is waited for")
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, context.Canceled)
			if !errors.Is(err, syscall.ECONNRESET) {
				assert.Equal(t, "busy", string(as[*epcclogs.APIError](t, err).Body))
			}
		})
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Reply(503, "busy", "Retry-After", "10"), done)
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(4*time.Second, cancel).Stop()
		start := time.Now()
		err := call(ctx, clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{})))
		assert.Equal(t, 4*time.Second, time.Since(start), "at once")
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, 503, apiErr.StatusCode)
		assert.Equal(t, "busy", string(apiErr.Body))
		assert.Equal(t, 1, apiErr.Attempts)
		assert.Len(t, s.Sent(), 1)
	})
}

// waitsOf makes calls that always fail and returns, for each attempt but the
// first, all waits before it.
func waitsOf(t *testing.T, calls int, opts ...epcclogs.Option) [][]time.Duration {
	t.Helper()
	var waits [][]time.Duration
	for range calls {
		s := wire.Steps(wire.Reply(503, ""), wire.Break(errors.New("wire broke")))
		c, err := epcclogs.NewClient(append(opts, epcclogs.WithRateLimit(1e10), over(s))...)
		require.NoError(t, err)
		require.Error(t, call(t.Context(), c))
		at := s.Times()
		if waits == nil {
			waits = make([][]time.Duration, len(at)-1)
		}
		require.Len(t, at, len(waits)+1)
		for i := range waits {
			waits[i] = append(waits[i], at[i+1].Sub(at[i]))
		}
		require.Equal(t, at[len(at)-1], time.Now(), "no wait after the last attempt")
	}
	return waits
}

// A wait is between half of its bound and all of it.
func TestJitter(t *testing.T) {
	for name, test := range map[string]struct {
		opts   []epcclogs.Option
		bounds []time.Duration
	}{
		"no option": {nil, []time.Duration{500e6, 1000e6, 2000e6, 4000e6}},
		"MaxWait alone": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 100 * time.Millisecond})},
			[]time.Duration{100e6, 100e6, 100e6, 100e6},
		},
		"MinWait alone": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 20 * time.Second})},
			[]time.Duration{20e9, 30e9, 30e9, 30e9},
		},
		"doubling to MaxWait": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 8, MinWait: 100 * time.Millisecond, MaxWait: time.Second})},
			[]time.Duration{100e6, 200e6, 400e6, 800e6, 1000e6, 1000e6, 1000e6},
		},
		"huge MaxWait": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Second, MaxWait: math.MaxInt64})},
			[]time.Duration{1e9, 2e9, 4e9, 8e9},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits := waitsOf(t, 200, test.opts...)
				require.Len(t, waits, len(test.bounds))
				for i, bound := range test.bounds {
					least, most, over := bound, time.Duration(0), 0
					for _, d := range waits[i] {
						least, most = min(least, d), max(most, d)
						if d > bound/4*3 {
							over++
						}
					}
					// Each of these fails by chance less than once in 10^15 runs.
					assert.LessOrEqual(t, most, bound)
					assert.Greater(t, most, bound/10*9)
					assert.GreaterOrEqual(t, least, bound/2)
					assert.Less(t, least, bound/10*6)
					assert.InDelta(t, 100, over, 60, "as many above the middle as below")
				}
			})
		})
	}
}

// A call waits for as long as its log says, with a response and without one.
func TestWaitsAreAsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := wire.Break(errors.New("wire broke"))
		for range 20 {
			steps := []wire.Step{broken, wire.Reply(503, ""), refused, broken, wire.OK(`{"data":[`), wire.Reply(429, ""), broken, done}
			api := newAPI(nil, func(n int) wire.Step { return steps[n-1] })
			var logged journal
			c, err := epcclogs.NewClient(over(api), withSecret, epcclogs.WithRateLimit(1e10), epcclogs.WithLogger(slog.New(&logged)),
				epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 8}))
			require.NoError(t, err)
			require.NoError(t, call(t.Context(), c))
			var waits []time.Duration
			for _, e := range logged.all() {
				if e.level == slog.LevelWarn {
					waits = append(waits, e.durations["wait"])
				}
			}
			at := api.lists.Times()
			require.Len(t, waits, len(at)-1)
			for i, wait := range waits {
				require.InDelta(t, wait, at[i+1].Sub(at[i]), 1, "wait %d", i) // spaced by a nanosecond
			}
		}
	})
}

// By default a call outlives an outage of three seconds, whatever the jitter, and
// succeeds soon after it.
func TestOutage(t *testing.T) {
	for name, down := range map[string]wire.Step{
		"unavailable":        wire.Reply(503, "closed for repairs"),
		"connection refused": wire.Break(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}),
	} {
		for kind, credentials := range map[string][]epcclogs.Option{
			"API": nil, "token endpoint": {epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret")},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for range 100 {
						up := time.Now().Add(3 * time.Second)
						c, err := epcclogs.NewClient(append(credentials, over(wire.Step(func(r *http.Request) (*http.Response, error) {
							if time.Now().Before(up) {
								return down(r)
							}
							return wire.OK(`{"access_token":"not-a-real-token","data":[]}`)(r)
						})))...)
						require.NoError(t, err)
						require.NoError(t, call(t.Context(), c))
						assert.LessOrEqual(t, time.Since(up), 4500*time.Millisecond)
					}
				})
			})
		}
	}
}

// However little MaxWait is, there is a millisecond between two attempts.
func TestLeastWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, least := range []time.Duration{1, time.Microsecond, time.Millisecond} {
			for _, waits := range waitsOf(t, 1, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 100, MaxWait: least})) {
				require.Equal(t, []time.Duration{time.Millisecond}, waits)
			}
		}
	})
}

// Two requests under way together are refused for the same reason, and each is
// sent again, although only the first of the refusals counts.
func TestRetryOfTwoRefusedTogether(t *testing.T) {
	for name, header := range map[string][]string{"Retry-After": {"Retry-After", "2"}, "no header": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := wire.Each(func(n int) wire.Step {
					return func(r *http.Request) (*http.Response, error) {
						time.Sleep(time.Duration(n) * time.Millisecond)
						if n <= 2 {
							return wire.Reply(429, "", header...)(r)
						}
						return done(r)
					}
				})
				c := clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}))
				one, two := begin(t.Context(), c), begin(t.Context(), c)
				require.NoError(t, <-one)
				require.NoError(t, <-two)
				assert.Len(t, s.Sent(), 4)
			})
		})
	}
}

// A call that is not sent again, because another one's 429 pauses the client for
// longer than its deadline, still tells what its own last response was.
func TestRetryThatAPausePrevents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Reply(503, "busy", "Retry-After", "2"), wire.Reply(429, "", "Retry-After", "20"))
		c := clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		busy := begin(ctx, c)
		synctest.Wait() // it meets the 503
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, call(ctx, c), epcclogs.ErrRateLimited)

		err := <-busy
		assert.Len(t, s.Sent(), 2)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, epcclogs.ErrServer)
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, "busy", string(apiErr.Body))
		require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: 503 Service Unavailable; "+
			"the server asks to wait 2s; the retry: 429 Too Many Requests: nothing was sent, because an earlier 429 "+
			"pauses the client for another 18s", "it names the request once")
	})
}
