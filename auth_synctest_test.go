//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

func TestTokenLifetime(t *testing.T) {
	const (
		minute, hour = time.Minute, time.Hour
		now          = 946684800 // virtual time begins at 2000-01-01
		ahead        = 864000    // the server's clock is ten days ahead
		date         = "Tue, 11 Jan 2000 00:00:00 GMT"
	)
	expires := func(format string, at int) string { return fmt.Sprintf(format, at) }
	for _, row := range []struct {
		renewed time.Duration // after it was fetched
		date    string
		members []string
	}{
		{2*hour - minute, "", []string{
			`"expires_in":7200`, `"expires_in":"7200"`, `"expires_in":7200.0`, `"expires_in":7.2e3`, `"expires_in":"7200.0"`,
			expires(`"expires":%d`, now+7200),
		}},
		{2*hour - minute, "today", []string{expires(`"expires":%d`, now+7200)}},
		{2*hour - minute, date, []string{
			expires(`"expires":%d`, now+ahead+7200), expires(`"expires":"%d"`, now+ahead+7200),
			expires(`"expires_in":null,"expires":%d`, now+ahead+7200), expires(`"expires_in":0,"expires":%d`, now+ahead+7200),
		}},
		{2*hour - minute + 3500*time.Millisecond, "", []string{`"expires_in":7203.5`}},
		{90 * time.Second, "", []string{`"expires_in":100`}}, // a tenth early
		{9 * minute, "", []string{`"expires_in":600`}},
		{9 * minute, date, []string{expires(`"expires_in":600,"expires":%d`, now+ahead+7200)}}, // expires_in goes before
		{hour - minute, "", []string{`"token_type":"Bearer"`, `"expires_in":null,"expires":null`, `"expires_in":-1`}},
		{hour - minute, date, []string{expires(`"expires":%d`, now+ahead-1)}},          // passed already
		{1<<31*time.Second - minute - time.Second, "", []string{`"expires_in":1e300`}}, // too long for any Duration
	} {
		for _, members := range row.members {
			inTime(t, fmt.Sprintf("%s, Date %q", members, row.date), func(t *testing.T) {
				api := wire.NewAPI(func(n int) wire.Step {
					return wire.OK(fmt.Sprintf(`{"access_token":"fetched-token-%d",%s}`, n, members), "Date", row.date)
				}, nil)
				c := clientOf(t, api, withSecret)
				assert.Zero(t, api.Posts(), "nothing is fetched before the first call")
				require.NoError(t, call(t.Context(), c))
				time.Sleep(row.renewed - time.Millisecond)
				require.NoError(t, call(t.Context(), c))
				assert.Equal(t, 1, api.Posts(), "not before it is time")
				time.Sleep(2 * time.Millisecond)
				require.NoError(t, call(t.Context(), c))
				assert.Equal(t, 2, api.Posts())
				assert.Equal(t, []string{"Bearer fetched-token-1", "Bearer fetched-token-1", "Bearer fetched-token-2"}, api.Bearers())
			})
		}
	}
}

// Forty calls wait for one token. Another client has its own.
func TestOneFetchForAll(t *testing.T) {
	for status, want := range map[int]error{200: nil, 401: epcclogs.ErrUnauthorized} {
		inTime(t, fmt.Sprint(status), func(t *testing.T) {
			api := wire.NewAPI(wire.Always(wire.After(time.Second, wire.Reply(status, `{"access_token":"fetched-token"}`))), nil)
			for posts := 1; posts <= 2; posts++ {
				for _, err := range together(t, clientOf(t, api, withSecret), 40) {
					require.ErrorIs(t, err, want)
				}
				assert.Equal(t, posts, api.Posts())
			}
			if status == 200 {
				assert.Len(t, api.Bearers(), 80)
			} else {
				assert.Empty(t, api.Bearers())
			}
		})
	}
}

// Each waiting call can give up at once; the fetch goes on for the rest.
func TestWaitingCallsGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		api := wire.NewAPI(wire.Always(wire.Hold(release, wire.OK(`{"access_token":"fetched-token"}`))), nil)
		c := clientOf(t, api, withSecret)
		start := time.Now()
		first, cancelFirst := context.WithCancel(t.Context()) // begins the fetch
		third, cancelThird := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelThird()
		var waiting []<-chan error
		for _, ctx := range []context.Context{first, t.Context(), third} {
			waiting = append(waiting, begin(ctx, c))
			synctest.Wait()
		}
		cancelFirst()
		err := <-waiting[0]
		require.ErrorIs(t, err, context.Canceled)
		assert.Contains(t, err.Error(), "/v2/integrations", "which call it was")
		assert.Zero(t, time.Since(start), "at once")
		require.ErrorIs(t, <-waiting[2], context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start), "at its deadline")
		close(release)
		require.NoError(t, <-waiting[1])
		assert.Equal(t, 1, api.Posts(), "the fetch went on")
		assert.Equal(t, []string{"Bearer fetched-token"}, api.Bearers())
	})
}

// The fetch ends with the last call, and not before. The next call starts afresh,
// even while the old fetch hangs on, and what that still brings is not taken.
func TestFetchIsLeftByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		release := make(chan struct{})
		api := wire.NewAPI(wire.First(1, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			ended.Store(true)
			<-release // as a transport that does not heed the context
			return wire.OK(`{"access_token":"late-token"}`)(r)
		}), nil)
		c := clientOf(t, api, withSecret, epcclogs.WithTimeout(0))
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		waiting := []<-chan error{begin(first, c), begin(second, c)}
		synctest.Wait()
		cancelFirst()
		require.ErrorIs(t, <-waiting[0], context.Canceled)
		synctest.Wait()
		assert.False(t, ended.Load(), "one call waits")
		cancelSecond()
		require.ErrorIs(t, <-waiting[1], context.Canceled)
		synctest.Wait()
		assert.True(t, ended.Load())

		require.NoError(t, call(t.Context(), c))
		close(release)
		synctest.Wait()
		require.NoError(t, call(t.Context(), c))
		assert.Equal(t, 2, api.Posts())
		assert.Equal(t, []string{"Bearer fetched-token-2", "Bearer fetched-token-2"}, api.Bearers())
	})
}

// Every attempt of a fetch is bounded, whether the caller's context is or not.
func TestStallingTokenEndpoint(t *testing.T) {
	const timeout = 10 * time.Second
	for name, stall := range map[string]wire.Step{"header": wire.Hang, "body": wire.Stall(200, "")} {
		inTime(t, name, func(t *testing.T) {
			// The waiting for the token is no part of the call's own attempt.
			api := wire.NewAPI(wire.First(2, stall), nil)
			start := time.Now()
			require.NoError(t, call(t.Context(), clientOf(t, api, withSecret, epcclogs.WithTimeout(timeout))))
			assert.Equal(t, 2*timeout+2*time.Millisecond, time.Since(start))
			assert.Len(t, api.Bearers(), 1)

			// The call is over before the attempt is.
			start = time.Now()
			err := within(t, clientOf(t, wire.NewAPI(wire.Always(stall), nil), withSecret, epcclogs.WithTimeout(timeout)), 4*time.Second)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "cannot get a bearer token: context deadline exceeded; no token has come from https://")
			assert.Equal(t, 4*time.Second, time.Since(start))
		})
	}
}

// A call whose deadline comes before the next attempt of its token's request has
// nothing to wait for. Others do, and one that comes later joins them. When all have
// left the fetch for that, it ends, and the next call starts afresh.
func TestWaitForTheFetchThatTheDeadlineEnds(t *testing.T) {
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			api := wire.NewAPI(wire.First(1, wire.Reply(503, "", "Retry-After", "20")), nil)
			c := clientOf(t, api, withSecret, patient)
			start := time.Now()
			if !alone {
				defer func(other <-chan error) { require.NoError(t, <-other) }(begin(t.Context(), c))
				synctest.Wait()
			}
			err := within(t, c, 19*time.Second)
			require.ErrorIs(t, err, epcclogs.ErrServer)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "it has not come yet")
			assert.Zero(t, time.Since(start), "at once")
			require.NoError(t, within(t, c, 21*time.Second), "long enough")
			want := 20 * time.Second
			if alone {
				want = 0
			}
			assert.Equal(t, want, time.Since(start))
			assert.Equal(t, 2, api.Posts())
		})
	}
}

// What a call learns of a token that another has renewed since is old news.
func TestLateRefusalsRenewNothing(t *testing.T) {
	const calls = 40
	synctest.Test(t, func(t *testing.T) {
		released := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		api := wire.NewAPI(nil, func(n int) wire.Step {
			return func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") != "Bearer fetched-token-1" {
					return done(r)
				}
				return wire.Hold(released[n%2], refused)(r)
			}
		})
		c := clientOf(t, api, withSecret)
		var waiting []<-chan error
		for range calls {
			waiting = append(waiting, begin(t.Context(), c))
		}
		synctest.Wait() // all have sent the first token
		assert.Len(t, api.Bearers(), calls)
		close(released[0])
		synctest.Wait() // half of them are done, with the second
		assert.Equal(t, 2, api.Posts())
		assert.Len(t, api.Bearers(), calls+calls/2)
		close(released[1])
		for _, ended := range waiting {
			require.NoError(t, <-ended)
		}
		assert.Equal(t, 2, api.Posts(), "one renewal")
		assert.Len(t, api.Bearers(), 2*calls)
	})
}

// A token function has the call's context, not that of an attempt, and its time
// is not the attempt's.
func TestTokenFuncIsNotTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := wire.NewAPI(nil, nil)
		c := clientOf(t, api, epcclogs.WithTimeout(10*time.Second), epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
			_, bounded := ctx.Deadline()
			assert.False(t, bounded)
			time.Sleep(20 * time.Second)
			return "a-given-token", ctx.Err()
		}))
		require.NoError(t, call(t.Context(), c))
		assert.Equal(t, []string{"Bearer a-given-token"}, api.Bearers())
	})
}

// A request that had to wait for its turn carries a token that is still good.
func TestTokenIsFreshAfterThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, lifetime = 40, 10 * time.Second
		api := wire.NewAPI(func(int) wire.Step {
			return wire.OK(fmt.Sprintf(`{"access_token":"token-%d","expires_in":10}`, time.Now().UnixNano()))
		}, func(int) wire.Step {
			return func(r *http.Request) (*http.Response, error) {
				var issued int64
				if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token-%d", &issued); err != nil {
					return nil, err
				}
				assert.LessOrEqual(t, time.Since(time.Unix(0, issued)), lifetime)
				return done(r)
			}
		})
		c := clientOf(t, api, withSecret, epcclogs.WithRateLimit(1))
		for _, err := range together(t, c, calls) {
			require.NoError(t, err)
		}
	})
}

// renewing returns a client whose first token is in its last minute, and the API. step
// answers the requests for a token that follow.
func renewing(t *testing.T, step, list func(n int) wire.Step) (*epcclogs.Client, *wire.API) {
	t.Helper()
	api := wire.NewAPI(func(n int) wire.Step {
		if n > 1 {
			return step(n - 1)
		}
		return nil
	}, list)
	c := clientOf(t, api, withSecret, patient, epcclogs.WithTimeout(epcclogs.DefaultTimeout))
	require.NoError(t, call(t.Context(), c))
	time.Sleep(59 * time.Minute)
	return c, api
}

// While the token endpoint fails in the last minute of a token's life, calls use
// the old token, and the endpoint is not asked by each of them.
func TestOldTokenWhileTheRenewalFails(t *testing.T) {
	for name, row := range map[string]struct {
		step  wire.Step
		posts int // in the last minute
	}{
		"unavailable":       {wire.Reply(503, "busy"), 25}, // five attempts, then ten seconds without
		"unavailable, long": {wire.Reply(503, "busy", "Retry-After", "25"), 3},
		"refused":           {wire.Reply(401, ""), 6},
		"no token":          {wire.OK(`{}`), 6},
		"broken":            {wire.Break(errors.New("wire broke")), 25},
		"stalled":           {wire.Hang, 2},
		"stalled body":      {wire.Stall(200, `{"access_token":`), 2},
	} {
		inTime(t, name, func(t *testing.T) {
			c, api := renewing(t, wire.Always(row.step), nil)
			waited := time.Duration(0)
			for expires := time.Now().Add(time.Minute); time.Now().Before(expires); time.Sleep(200 * time.Millisecond) {
				took := timed(t, c, 1)
				assert.LessOrEqual(t, took, time.Second)
				waited += took
			}
			assert.LessOrEqual(t, waited, 2*time.Second, "calls hardly wait")
			bearers := api.Bearers()
			for _, bearer := range bearers {
				require.Equal(t, "Bearer fetched-token-1", bearer)
			}
			assert.InDelta(t, row.posts, api.Posts()-1, float64(row.posts)/4)

			// Then there is none.
			require.Error(t, within(t, c, 200*time.Millisecond))
			assert.Equal(t, bearers, api.Bearers())
		})
	}
}

// A token endpoint that works again renews the token: ten seconds after a fetch
// that failed, and at the end of one that is slow.
func TestRenewalThatSucceedsLate(t *testing.T) {
	for name, row := range map[string]struct {
		step func(n int) wire.Step
		from time.Duration // when the new token is used
		want string
	}{
		"refused once": {wire.First(1, wire.Reply(403, "")), 10 * time.Second, "Bearer fetched-token-3"},
		"slow":         {wire.Always(wire.After(7*time.Second, wire.OK(`{"access_token":"slow"}`))), 7 * time.Second, "Bearer slow"},
	} {
		inTime(t, name, func(t *testing.T) {
			c, api := renewing(t, row.step, nil)
			for start := time.Now(); time.Since(start) < row.from-100*time.Millisecond; time.Sleep(100 * time.Millisecond) {
				timed(t, c, 1)
				assert.Equal(t, "Bearer fetched-token-1", api.Lists.Last().Header.Get("Authorization"))
			}
			time.Sleep(200 * time.Millisecond)
			assert.Zero(t, timed(t, c, 1))
			assert.Equal(t, row.want, api.Lists.Last().Header.Get("Authorization"))
		})
	}
}

// An old token that the API refuses is not used again, although it has not expired.
func TestOldTokenThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, api := renewing(t, wire.Always(wire.Reply(403, "")), func(n int) wire.Step {
			if n == 3 {
				return refused
			}
			return nil
		})
		require.NoError(t, call(t.Context(), c))
		for range 2 {
			require.ErrorIs(t, call(t.Context(), c), epcclogs.ErrForbidden)
			assert.Len(t, api.Bearers(), 3)
		}
		assert.Equal(t, 1+3, api.Posts())
	})
}

// Some servers take a token only a moment after they have issued it.
func TestTokenIsTakenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			var issued time.Time
			api := wire.NewAPI(func(int) wire.Step { issued = time.Now(); return nil }, func(int) wire.Step {
				if time.Since(issued) < 300*time.Millisecond {
					return refused
				}
				return nil
			})
			require.NoError(t, call(t.Context(), clientOf(t, api, withSecret, patient)))
			assert.Equal(t, 2, api.Posts(), "the first refusal renews it, the second does not")
			assert.Len(t, api.Bearers(), 3)
		}
	})
}
