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

// patient is the default policy.
var patient = epcclogs.WithRetry(epcclogs.RetryPolicy{})

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
	const hour, tooLong, unreadable = time.Hour, -1, -2
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for _, row := range []struct {
		want   time.Duration
		date   string
		values []string
	}{
		{7 * time.Second, "", []string{"7", " 7\t", "007"}},
		{1500 * time.Millisecond, "", []string{"1.5"}},
		{250 * time.Millisecond, "", []string{".25"}},
		{2 * time.Second, "", []string{"2."}},
		{time.Millisecond, "", []string{"0", "0.0000001"}},
		{hour, "", []string{"3600"}},
		{10 * time.Second, date, []string{"Sun, 06 Nov 1994 08:49:47 GMT", "Sunday, 06-Nov-94 08:49:47 GMT", "Sun Nov  6 08:49:47 1994"}},
		{time.Millisecond, date, []string{date, "Sun, 06 Nov 1994 08:00:00 GMT"}}, // over already
		{hour, date, []string{"Sun, 06 Nov 1994 09:49:37 GMT"}},

		// Without a Date that can be read, the client's own clock has to do. It begins at 2000-01-01.
		{9 * time.Second, "", []string{"Sat, 01 Jan 2000 00:00:09 GMT", "Saturday, 01-Jan-00 00:00:09 GMT", "Sat Jan  1 00:00:09 2000"}},
		{9 * time.Second, "yesterday", []string{"Sat, 01 Jan 2000 00:00:09 GMT"}},

		{tooLong, "", []string{
			"3600.001", "3601", "9223372036",
			"9223372037",           // over the longest Duration
			"18446744073.709552",   // would be about 0 again
			"99999999999999999999", // over an int64
			strings.Repeat("9", 400),
		}},
		{tooLong, date, []string{"Sun, 06 Nov 1994 09:49:38 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"}},
		{unreadable, "", []string{
			"", "-5", "-99999999999999999999", "soon", "5 seconds", "1.5.2", ".", "NaN", "Inf", "1e3", "0x10", "5, 10",
		}},
		{unreadable, date, []string{"Sun, 06 Nov 1994", "1994-11-06T08:49:47Z"}},
	} {
		for _, value := range row.values {
			inTime(t, fmt.Sprintf("%.40q, Date %q", value, row.date), func(t *testing.T) {
				p := epcclogs.RetryPolicy{MinWait: 100 * time.Millisecond, MaxWait: hour}
				header := []string{"Retry-After", value, "Date", row.date}
				switch got, sent := waitTwice(t, p, header...); row.want {
				case tooLong:
					assert.False(t, sent)
				case unreadable: // as without the header: random up to MinWait, not always the least
					longest := got
					for range 30 {
						got, sent := waitTwice(t, p, header...)
						require.True(t, sent)
						longest = max(longest, got)
					}
					assert.Greater(t, longest, 60*time.Millisecond)
					assert.LessOrEqual(t, longest, p.MinWait)
				default:
					assert.True(t, sent)
					assert.Equal(t, row.want, got)
				}
			})
		}
	}
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

// A Retry-After belongs to its own response, not to what fails after it.
func TestRetryAfterIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wire.Steps(wire.Reply(503, "", "Retry-After", "20"), wire.Break(errors.New("wire broke")), done)
		require.NoError(t, call(t.Context(), clientOf(t, s, patient)))
		assert.Equal(t, 20*time.Second, s.Times()[1].Sub(s.Times()[0]))
		assert.LessOrEqual(t, s.Times()[2].Sub(s.Times()[1]), time.Second)
	})
}

// A wait that is above MaxWait, 30 seconds by default, or that the deadline does not
// outlast is not begun. The call returns what it has met.
func TestWaitThatIsTooLong(t *testing.T) {
	busy := func(retryAfter string) wire.Step { return wire.Reply(503, "busy", "Retry-After", retryAfter) }
	for _, row := range []struct {
		deadline time.Duration
		steps    []wire.Step // before one that succeeds
		requests int
	}{
		{10*time.Second + time.Nanosecond, []wire.Step{busy("10")}, 2},
		{10 * time.Second, []wire.Step{busy("10")}, 1},
		{time.Second, []wire.Step{busy("10")}, 1},
		{time.Millisecond, []wire.Step{wire.Reply(503, "busy")}, 1}, // the least wait there is
		{time.Millisecond, []wire.Step{wire.Break(syscall.ECONNRESET)}, 1},
		{time.Hour, []wire.Step{busy("30")}, 2},
		{time.Hour, []wire.Step{busy("30.001")}, 1},
		{time.Hour, []wire.Step{busy("1"), wire.Reply(429, "busy", "Retry-After", "31")}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := wire.Steps(append(row.steps, done)...)
			ctx, cancel := context.WithTimeout(t.Context(), row.deadline)
			defer cancel()
			err := call(ctx, clientOf(t, s, patient))
			require.NoError(t, ctx.Err())
			require.Len(t, s.Sent(), row.requests)
			if row.requests > len(row.steps) {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, s.Last().At, time.Now(), "nothing is waited for")
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, context.Canceled)
			if !errors.Is(err, syscall.ECONNRESET) {
				apiErr := as[*epcclogs.APIError](t, err)
				assert.Equal(t, "busy", string(apiErr.Body))
				assert.Equal(t, row.requests, apiErr.Attempts)
			}
		})
	}
}

// A call that is cancelled while it waits ends at once, with what it has met; also
// where it waits for the request for its token.
func TestCancelledWhileWaiting(t *testing.T) {
	for body, opt := range map[string]epcclogs.Option{"busy": patient, "": withSecret} {
		synctest.Test(t, func(t *testing.T) {
			s := wire.Steps(wire.Reply(503, "busy", "Retry-After", "10"), done)
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(4*time.Second, cancel).Stop()
			start := time.Now()
			err := call(ctx, clientOf(t, s, patient, opt))
			assert.Equal(t, 4*time.Second, time.Since(start), "at once")
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			apiErr := as[*epcclogs.APIError](t, err)
			assert.Equal(t, 503, apiErr.StatusCode)
			assert.Equal(t, body, string(apiErr.Body))
			assert.Equal(t, 1, apiErr.Attempts)
			assert.Len(t, s.Sent(), 1)
		})
	}
}

// Nothing is sent, nor told, after the end of the context.
func TestNothingIsSentAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(2 * time.Second)
		s := wire.Steps(done)
		var logged journal
		for ctx, want := range map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded} {
			for _, opt := range []epcclogs.Option{quick, epcclogs.WithToken("a-token"), withSecret} {
				err := call(ctx, clientOf(t, s, opt, epcclogs.WithLogger(slog.New(&logged)),
					epcclogs.WithOnAttempt(func(context.Context, epcclogs.Attempt) { assert.Fail(t, "told") })))
				require.ErrorIs(t, err, want)
				require.ErrorContains(t, err, "GET https://api.example.com/v2/integrations")
			}
		}
		synctest.Wait()
		assert.Empty(t, s.Sent())
		assert.Empty(t, logged.all())
	})
}

// waitsOf makes calls that always fail and returns, for each attempt but the
// first, all waits before it.
func waitsOf(t *testing.T, calls int, p epcclogs.RetryPolicy) [][]time.Duration {
	t.Helper()
	var waits [][]time.Duration
	for range calls {
		s := wire.Steps(wire.Reply(503, ""), wire.Break(errors.New("wire broke")))
		require.Error(t, call(t.Context(), clientOf(t, s, epcclogs.WithRetry(p))))
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
		policy epcclogs.RetryPolicy
		bounds []time.Duration
	}{
		"zero":          {epcclogs.RetryPolicy{}, []time.Duration{500e6, 1000e6, 2000e6, 4000e6}},
		"MaxWait alone": {epcclogs.RetryPolicy{MaxWait: 100e6}, []time.Duration{100e6, 100e6, 100e6, 100e6}},
		"MinWait alone": {epcclogs.RetryPolicy{MinWait: 20e9}, []time.Duration{20e9, 30e9, 30e9, 30e9}},
		"doubling to MaxWait": {
			epcclogs.RetryPolicy{MaxAttempts: 8, MinWait: 100e6, MaxWait: 1e9},
			[]time.Duration{100e6, 200e6, 400e6, 800e6, 1000e6, 1000e6, 1000e6},
		},
		"huge MaxWait": {epcclogs.RetryPolicy{MinWait: 1e9, MaxWait: math.MaxInt64}, []time.Duration{1e9, 2e9, 4e9, 8e9}},
	} {
		inTime(t, name, func(t *testing.T) {
			waits := waitsOf(t, 200, test.policy)
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
	}
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
			inTime(t, name+", "+kind, func(t *testing.T) {
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
		}
	}
}
