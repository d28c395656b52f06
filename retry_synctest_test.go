//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// The clock of a bubble starts here.
var waitStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// waitTwice makes one call whose first attempt meets a 503 with the headers, and
// returns the wait before the second; false when there was none.
func waitTwice(t *testing.T, p epcclogs.RetryPolicy, header ...string) (time.Duration, bool) {
	t.Helper()
	w := &retryWire{steps: []retryStep{retryBody(503, "busy", header...), retryDone}}
	start := time.Now()
	err := retryGet(t.Context(), retryClient(t, w, epcclogs.WithRetry(p)))
	if len(w.at) == 2 {
		require.NoError(t, err)
		return w.at[1].Sub(w.at[0]), true
	}
	require.Len(t, w.at, 1)
	require.Equal(t, start, time.Now(), "nothing is waited for")
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, 503, apiErr.StatusCode)
	require.Equal(t, "busy", string(apiErr.Body))
	return 0, false
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	const hour = time.Hour
	// Of another year than the bubble, and of the same.
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
				// As without the header: random below MinWait, not always the least.
				var longest time.Duration
				for range 30 {
					got, sent := waitTwice(t, p, test.header...)
					require.True(t, sent)
					longest = max(longest, got)
				}
				assert.Greater(t, longest, 20*time.Millisecond)
				assert.Less(t, longest, p.MinWait)
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
		for value, want := range map[string]time.Duration{
			"1.5": 1500 * time.Millisecond, "0": 0, "-1": 0, "soon": 0, "120": 2 * time.Minute,
			"9223372036":             9223372036 * time.Second,
			"9223372037":             math.MaxInt64,
			strings.Repeat("9", 400): math.MaxInt64,
			waitStart.Add(2 * time.Hour).Format(http.TimeFormat): 2 * time.Hour,
			waitStart.Add(-time.Hour).Format(http.TimeFormat):    0,
		} {
			w := &retryWire{steps: []retryStep{retryBody(429, "", "Retry-After", value)}}
			err := retryGet(t.Context(), retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1})))
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
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

		w := &retryWire{steps: []retryStep{retryBody(503, ""), retryBody(429, "slow down", "Retry-After", "31")}}
		err := retryGet(t.Context(), retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{})))
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, 429, apiErr.StatusCode)
		assert.Equal(t, 31*time.Second, apiErr.RetryAfter)
		assert.Equal(t, "slow down", string(apiErr.Body))
		assert.Equal(t, 2, apiErr.Attempts)
		assert.Len(t, w.at, 2)
	})
}

// A Retry-After belongs to its own response, not to what fails after it.
func TestRetryAfterIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{
			retryBody(503, "", "Retry-After", "20"), retryBreak(errors.New("wire broke")), retryDone,
		}}
		require.NoError(t, retryGet(t.Context(), retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{}))))
		assert.Equal(t, 20*time.Second, w.at[1].Sub(w.at[0]))
		assert.Less(t, w.at[2].Sub(w.at[1]), time.Second)
	})
}

func TestDeadlineWithinTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			deadline time.Duration
			header   []string
			requests int
		}{
			{10*time.Second + time.Nanosecond, []string{"Retry-After", "10"}, 2},
			{10 * time.Second, []string{"Retry-After", "10"}, 1},
			{time.Second, []string{"Retry-After", "10"}, 1},
			{time.Millisecond, nil, 1}, // the least wait there is
		} {
			w := &retryWire{steps: []retryStep{retryBody(503, "busy", test.header...), retryDone}}
			c := retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
			err := retryGet(ctx, c)
			require.NoError(t, ctx.Err())
			cancel()
			assert.Len(t, w.at, test.requests)
			if test.requests > 1 {
				require.NoError(t, err)
				continue
			}
			assert.Equal(t, start, time.Now(), "nothing is waited for")
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, context.Canceled)
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, "busy", string(apiErr.Body))
		}
	})
}

// Without a response, too, a wait that the deadline ends is not begun.
func TestDeadlineWithinTheWaitAfterABrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("wire broke")
		w := &retryWire{steps: []retryStep{retryBreak(broken)}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := retryGet(ctx, retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{})))
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, w.at, 1)
	})
}

// waitsOf makes calls that always fail and returns, for each attempt but the
// first, all waits before it.
func waitsOf(t *testing.T, calls int, opts ...epcclogs.Option) [][]time.Duration {
	t.Helper()
	var waits [][]time.Duration
	for range calls {
		w := &retryWire{steps: []retryStep{retryBody(503, ""), retryBreak(errors.New("wire broke"))}}
		c, err := epcclogs.NewClient(append(opts, epcclogs.WithHTTPClient(&http.Client{Transport: w}))...)
		require.NoError(t, err)
		require.Error(t, retryGet(t.Context(), c))
		if waits == nil {
			waits = make([][]time.Duration, len(w.at)-1)
		}
		require.Len(t, w.at, len(waits)+1)
		for i := range waits {
			waits[i] = append(waits[i], w.at[i+1].Sub(w.at[i]))
		}
		require.Equal(t, w.at[len(w.at)-1], time.Now(), "no wait after the last attempt")
	}
	return waits
}

func TestFullJitter(t *testing.T) {
	for name, test := range map[string]struct {
		opts   []epcclogs.Option
		bounds []time.Duration
	}{
		"no option": {nil, []time.Duration{250e6, 500e6, 1000e6}},
		"zero":      {[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{})}, []time.Duration{250e6, 500e6, 1000e6}},
		"MaxWait alone": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 100 * time.Millisecond})},
			[]time.Duration{100e6, 100e6, 100e6},
		},
		"MinWait alone": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 20 * time.Second})},
			[]time.Duration{20e9, 30e9, 30e9},
		},
		"doubling to MaxWait": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 8, MinWait: 100 * time.Millisecond, MaxWait: time.Second})},
			[]time.Duration{100e6, 200e6, 400e6, 800e6, 1000e6, 1000e6, 1000e6},
		},
		"huge MaxWait": {
			[]epcclogs.Option{epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Second, MaxWait: math.MaxInt64})},
			[]time.Duration{1e9, 2e9, 4e9},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits := waitsOf(t, 400, test.opts...)
				require.Len(t, waits, len(test.bounds))
				for i, bound := range test.bounds {
					least, most, over := bound, time.Duration(0), 0
					for _, d := range waits[i] {
						least, most = min(least, d), max(most, d)
						if d > bound/2 {
							over++
						}
					}
					// Each of these fails by chance less than once in 10^15 runs.
					assert.LessOrEqual(t, most, bound)
					assert.Greater(t, most, bound/10*9)
					assert.GreaterOrEqual(t, least, time.Millisecond)
					assert.Less(t, least, bound/10)
					assert.InDelta(t, 200, over, 100, "as many above the middle as below")
				}
			})
		})
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

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{retryBody(503, "busy", "Retry-After", "10"), retryDone}}
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(4*time.Second, cancel).Stop()
		start := time.Now()
		err := retryGet(ctx, retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{})))
		assert.Equal(t, 4*time.Second, time.Since(start), "at once")
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, 503, apiErr.StatusCode)
		assert.Equal(t, "busy", string(apiErr.Body))
		assert.Equal(t, 1, apiErr.Attempts)
		assert.Len(t, w.at, 1)
	})
}

// A context that ends in the middle of an attempt does not hide the failure
// before it.
func TestEndDuringAnAttempt(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, earlier := range []bool{true, false} {
					w := &retryWire{steps: []retryStep{retryHang}}
					if earlier {
						w.steps = []retryStep{retryBody(503, "busy", "Retry-After", "1"), retryHang}
					}
					ctx, cancel := test.end(t.Context())
					start := time.Now()
					var logged strings.Builder
					err := retryGet(ctx, retryClient(t, w, epcclogs.WithRetry(epcclogs.RetryPolicy{}), epcclogs.WithTimeout(10*time.Second),
						epcclogs.WithLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))))
					cancel()
					assert.Equal(t, len(w.steps)-1, strings.Count(logged.String(), "WARN"), "no retry is announced")
					assert.Contains(t, logged.String(), test.want.Error())
					assert.Equal(t, 5*time.Second, time.Since(start), "at once")
					require.ErrorIs(t, err, test.want)
					require.ErrorContains(t, err, "GET http://127.0.0.1/v2/")
					assert.Len(t, w.at, len(w.steps))
					var apiErr *epcclogs.APIError
					require.Equal(t, earlier, errors.As(err, &apiErr))
					if earlier {
						assert.Equal(t, "busy", string(apiErr.Body))
					}
				}
			})
		})
	}
}

// The status is known although its body is not whole.
func TestEndDuringTheBodyOfAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{func(r *http.Request) (*http.Response, error) {
			resp, err := retryBody(502, "")(r)
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), waitReader{r.Context()}))
			return resp, err
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := retryGet(ctx, retryClient(t, w))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, epcclogs.ErrServer)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, "half", string(apiErr.Body))
		assert.Len(t, w.at, 1)
	})
}

// waitReader sends nothing until its context ends.
type waitReader struct{ ctx context.Context }

func (r waitReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// The time-out of one attempt is not the caller's.
func TestAttemptTimeout(t *testing.T) {
	stalled := func(r *http.Request) (*http.Response, error) {
		resp, err := retryBody(200, "")(r)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"data":[`), waitReader{r.Context()}))
		return resp, err
	}
	for name, step := range map[string]retryStep{"no answer": retryHang, "body stalls": stalled} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				w := &retryWire{steps: []retryStep{step}}
				start := time.Now()
				err := retryGet(ctx, retryClient(t, w, epcclogs.WithTimeout(2*time.Second)))
				assert.Len(t, w.at, 3)
				assert.Equal(t, 6*time.Second+2*time.Millisecond, time.Since(start))
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, context.Canceled)
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				assert.True(t, timeout.Timeout())
				require.ErrorContains(t, err, "2s")

				// One that passes.
				w = &retryWire{steps: []retryStep{step, retryDone}}
				require.NoError(t, retryGet(ctx, retryClient(t, w, epcclogs.WithTimeout(2*time.Second))))
				assert.Len(t, w.at, 2)
			})
		})
	}
}

// Without WithTimeout an attempt may take 30 seconds, and with 0 any time.
func TestAttemptTimeoutDefault(t *testing.T) {
	late := func(d time.Duration) retryStep {
		return func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(d):
				return retryDone(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			late     time.Duration
			opts     []epcclogs.Option
			requests int
		}{
			{30*time.Second - 1, nil, 1},
			{30*time.Second + 1, nil, 2},
			{24 * time.Hour, []epcclogs.Option{epcclogs.WithTimeout(0)}, 1},
		} {
			w := &retryWire{steps: []retryStep{late(test.late), retryDone}}
			require.NoError(t, retryGet(t.Context(), retryClient(t, w, test.opts...)))
			assert.Len(t, w.at, test.requests, test.late)
		}
	})
}

// What a dialer of its own deadline reports looks like the caller's deadline.
func TestTimeoutOfTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{retryBreak(&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded})}}
		err := retryGet(t.Context(), retryClient(t, w))
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Len(t, w.at, 3)
	})
}

// Fetching the token is not the attempt's time.
func TestAttemptTimeoutStartsWithSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{retryDone}}
		c := retryClient(t, w, epcclogs.WithTimeout(time.Second), epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
			select {
			case <-time.After(20 * time.Second):
				return "token", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}))
		require.NoError(t, retryGet(t.Context(), c))
		assert.Len(t, w.at, 1)
	})
}

// The caller's deadline is the caller's also when it is that of the attempt.
func TestBothDeadlinesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &retryWire{steps: []retryStep{retryHang}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := retryGet(ctx, retryClient(t, w, epcclogs.WithTimeout(2*time.Second)))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, w.at, 1)
	})
}

// Two requests under way together are refused for the same reason, and each is
// sent again, although only the first of the refusals counts.
func TestRetryOfTwoRefusedTogether(t *testing.T) {
	for name, header := range map[string][]string{"Retry-After": {"Retry-After", "2"}, "no header": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				c := newClient(t, "http://127.0.0.1", epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}),
					epcclogs.WithHTTPClient(&http.Client{Transport: retryFunc(func(r *http.Request) (*http.Response, error) {
						n := requests.Add(1)
						time.Sleep(time.Duration(n) * time.Millisecond)
						if n <= 2 {
							return retryBody(429, "", header...)(r)
						}
						return retryDone(r)
					})}))
				done := make(chan error, 2)
				for range 2 {
					go func() {
						defer func() {
							if r := recover(); r != nil {
								done <- fmt.Errorf("panic: %v", r)
							}
						}()
						done <- retryGet(t.Context(), c)
					}()
				}
				require.NoError(t, <-done)
				require.NoError(t, <-done)
				assert.EqualValues(t, 4, requests.Load())
			})
		})
	}
}

// A call that is not sent again, because another one's 429 pauses the client for
// longer than its deadline, still tells what its own last response was.
func TestRetryThatAPausePrevents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		c := newClient(t, "http://127.0.0.1", epcclogs.WithRetry(epcclogs.RetryPolicy{}),
			epcclogs.WithHTTPClient(&http.Client{Transport: retryFunc(func(r *http.Request) (*http.Response, error) {
				if requests.Add(1) == 1 {
					return retryBody(503, "busy", "Retry-After", "2")(r)
				}
				return retryBody(429, "", "Retry-After", "20")(r)
			})}))
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			done <- retryGet(ctx, c)
		}()
		synctest.Wait() // it meets the 503
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, retryGet(ctx, c), epcclogs.ErrRateLimited)

		err := <-done
		assert.EqualValues(t, 2, requests.Load())
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, epcclogs.ErrServer)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, "busy", string(apiErr.Body))
	})
}

// retryFunc is a transport for several calls at a time.
type retryFunc func(*http.Request) (*http.Response, error)

func (f retryFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A request that had to wait for its turn carries a token that is still good.
func TestTokenIsFreshAfterThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = 10 * time.Second
		var mu sync.Mutex
		refused := 0
		c := newClient(t, "http://127.0.0.1", epcclogs.WithClientCredentials("id", "secret-secret"), epcclogs.WithRateLimit(1),
			epcclogs.WithHTTPClient(&http.Client{Transport: retryFunc(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				now := time.Now()
				if r.Method == http.MethodPost {
					return retryBody(200, fmt.Sprintf(`{"access_token":"token-%d","expires_in":10}`, now.UnixNano()))(r)
				}
				var issued int64
				_, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token-%d", &issued)
				if err != nil || now.Sub(time.Unix(0, issued)) > lifetime {
					refused++
					return retryBody(401, "")(r)
				}
				return retryDone(r)
			})}))
		const calls = 40
		done := make(chan error, calls)
		for range calls {
			go func() { done <- retryGet(t.Context(), c) }()
		}
		failed := 0
		for range calls {
			if err := <-done; err != nil {
				failed++
				t.Log(err)
			}
		}
		assert.Zero(t, failed)
		assert.Zero(t, refused)
	})
}
