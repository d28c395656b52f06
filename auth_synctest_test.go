//go:build go1.25

package epcclogs_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// authFake is authServer without a network, for bubbles of virtual time.
type authFake struct {
	token, api func(n int, r *http.Request) (*http.Response, error) // nil: as usual

	mu      sync.Mutex
	posts   int
	bearers []string
}

func (f *authFake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	n, answers, usual := 0, f.api, bare()
	if r.Method == http.MethodPost {
		f.posts++
		n, answers, usual = f.posts, f.token, fmt.Sprintf(`{"access_token":"fetched-token-%d","expires_in":3600}`, f.posts)
	} else {
		f.bearers = append(f.bearers, r.Header.Get("Authorization"))
		n = len(f.bearers)
	}
	f.mu.Unlock()
	if answers != nil {
		if resp, err := answers(n, r); resp != nil || err != nil {
			return resp, err
		}
	}
	return clientReply(http.StatusOK, usual), nil
}

func (f *authFake) client(t *testing.T, opts ...epcclogs.Option) *epcclogs.Client {
	opts = append([]epcclogs.Option{withSecret, epcclogs.WithHTTPClient(&http.Client{Transport: f})}, opts...)
	return newClient(t, "https://api.example.com", opts...)
}

func (f *authFake) countPosts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts
}

// authPass lets virtual time pass.
func authPass(d time.Duration) { <-time.After(d) }

func TestTokenLifetime(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	// Virtual time begins at 2000-01-01. The server's clock is ten days ahead.
	const ahead = 10 * 24 * hour
	at := func(d time.Duration) int64 {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Unix()
	}
	date := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(ahead).Format(http.TimeFormat)
	for name, row := range map[string]struct {
		members string
		date    string
		renewed time.Duration // after it was fetched
	}{
		"a minute early":            {members: `"expires_in":7200`, renewed: 2*hour - minute},
		"a tenth early":             {members: `"expires_in":100`, renewed: 90 * time.Second},
		"ten minutes":               {members: `"expires_in":600`, renewed: 9 * minute},
		"numeric string":            {members: `"expires_in":"7200"`, renewed: 2*hour - minute},
		"float":                     {members: `"expires_in":7200.0`, renewed: 2*hour - minute},
		"half a second":             {members: `"expires_in":7203.5`, renewed: 2*hour - minute + 3500*time.Millisecond},
		"exponent":                  {members: `"expires_in":7.2e3`, renewed: 2*hour - minute},
		"float in a string":         {members: `"expires_in":"7200.0"`, renewed: 2*hour - minute},
		"expires, by Date":          {members: fmt.Sprintf(`"expires":%d`, at(ahead+2*hour)), date: date, renewed: 2*hour - minute},
		"expires, a string":         {members: fmt.Sprintf(`"expires":"%d"`, at(ahead+2*hour)), date: date, renewed: 2*hour - minute},
		"expires, without Date":     {members: fmt.Sprintf(`"expires":%d`, at(2*hour)), renewed: 2*hour - minute},
		"expires, Date not a date":  {members: fmt.Sprintf(`"expires":%d`, at(2*hour)), date: "today", renewed: 2*hour - minute},
		"expires_in goes before":    {members: fmt.Sprintf(`"expires_in":600,"expires":%d`, at(ahead+2*hour)), date: date, renewed: 9 * minute},
		"expires_in null":           {members: fmt.Sprintf(`"expires_in":null,"expires":%d`, at(ahead+2*hour)), date: date, renewed: 2*hour - minute},
		"expires_in 0":              {members: fmt.Sprintf(`"expires_in":0,"expires":%d`, at(ahead+2*hour)), date: date, renewed: 2*hour - minute},
		"neither":                   {members: `"token_type":"Bearer"`, renewed: hour - minute},
		"both null":                 {members: `"expires_in":null,"expires":null`, renewed: hour - minute},
		"negative":                  {members: `"expires_in":-1`, renewed: hour - minute},
		"expires passed already":    {members: fmt.Sprintf(`"expires":%d`, at(ahead-1)), date: date, renewed: hour - minute},
		"too long for any Duration": {members: `"expires_in":1e300`, renewed: 1<<31*time.Second - minute - time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &authFake{token: func(n int, _ *http.Request) (*http.Response, error) {
					resp := clientReply(http.StatusOK, fmt.Sprintf(`{"access_token":"fetched-token-%d",%s}`, n, row.members))
					if row.date != "" {
						resp.Header.Set("Date", row.date)
					}
					return resp, nil
				}}
				c := f.client(t)
				require.NoError(t, clientGet(t.Context(), c))
				authPass(row.renewed - time.Millisecond)
				require.NoError(t, clientGet(t.Context(), c))
				assert.Equal(t, 1, f.posts, "not before it is time")
				authPass(2 * time.Millisecond)
				require.NoError(t, clientGet(t.Context(), c))
				assert.Equal(t, 2, f.posts)
				assert.Equal(t, []string{"Bearer fetched-token-1", "Bearer fetched-token-1", "Bearer fetched-token-2"}, f.bearers)
			})
		})
	}
}

// Forty calls wait for one token.
func TestOneFetchForAll(t *testing.T) {
	const calls = 40
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				f := &authFake{token: func(int, *http.Request) (*http.Response, error) {
					<-release
					return clientReply(status, `{"access_token":"fetched-token"}`), nil
				}}
				c := f.client(t)
				var waiting []<-chan error
				for range calls {
					waiting = append(waiting, authCall(t.Context(), c))
				}
				synctest.Wait()
				assert.Equal(t, 1, f.countPosts())
				close(release)
				for _, done := range waiting {
					if err := <-done; status == http.StatusOK {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, epcclogs.ErrUnauthorized)
					}
				}
				assert.Equal(t, 1, f.posts)
				if status == http.StatusOK {
					assert.Len(t, f.bearers, calls)
				} else {
					assert.Empty(t, f.bearers)
				}
			})
		})
	}
}

// Each waiting call can give up at once; the fetch goes on for the rest.
func TestWaitingCallsGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &authFake{token: func(_ int, r *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return nil, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}}
		c := f.client(t)
		start := time.Now()
		first, cancelFirst := context.WithCancel(t.Context()) // begins the fetch
		third, cancelThird := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelThird()
		var waiting []<-chan error
		for _, ctx := range []context.Context{first, t.Context(), third} {
			waiting = append(waiting, authCall(ctx, c))
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
		assert.Equal(t, 1, f.posts, "the fetch went on")
		assert.Equal(t, []string{"Bearer fetched-token-1"}, f.bearers)
	})
}

// The fetch ends with the last call, and not before. The next call starts afresh,
// even while the old fetch hangs on, and what that still brings is not taken.
func TestFetchIsLeftByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, release := make(chan struct{}), make(chan struct{})
		f := &authFake{token: func(n int, r *http.Request) (*http.Response, error) {
			if n == 1 {
				<-r.Context().Done()
				close(ended)
				<-release // as a transport that does not heed the context
			}
			return nil, nil
		}}
		c := f.client(t, epcclogs.WithTimeout(0))
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		waiting := []<-chan error{authCall(first, c), authCall(second, c)}
		synctest.Wait()
		cancelFirst()
		require.ErrorIs(t, <-waiting[0], context.Canceled)
		synctest.Wait()
		select {
		case <-ended:
			assert.Fail(t, "the fetch ended although one call waits")
		default:
		}
		cancelSecond()
		require.ErrorIs(t, <-waiting[1], context.Canceled)
		<-ended

		require.NoError(t, clientGet(t.Context(), c))
		close(release)
		synctest.Wait()
		require.NoError(t, clientGet(t.Context(), c))
		assert.Equal(t, 2, f.posts)
		assert.Equal(t, []string{"Bearer fetched-token-2", "Bearer fetched-token-2"}, f.bearers)
	})
}

// A call that is over before it begins fetches nothing.
func TestEndedCallFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(authFake)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, clientGet(ctx, f.client(t)), context.Canceled)
		synctest.Wait()
		assert.Zero(t, f.countPosts())
	})
}

// authStalledBody is one that sends nothing until the request ends.
type authStalledBody struct{ ctx context.Context }

func (b authStalledBody) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }
func (b authStalledBody) Close() error             { return nil }

// Every attempt of a fetch is bounded, whether the caller's context is or not.
func TestStallingTokenEndpoint(t *testing.T) {
	for name, stall := range map[string]func(int, *http.Request) (*http.Response, error){
		"header": func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"body": func(_ int, r *http.Request) (*http.Response, error) {
			resp := clientReply(http.StatusOK, "")
			resp.Body = authStalledBody{r.Context()}
			return resp, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &authFake{token: stall}
				start := time.Now()
				err := clientGet(t.Context(), f.client(t, epcclogs.WithTimeout(10*time.Second)))
				require.Error(t, err)
				require.NotErrorIs(t, err, context.DeadlineExceeded, "that is the caller's")
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				assert.True(t, timeout.Timeout())
				assert.Equal(t, 3, f.posts)
				assert.Equal(t, 30*time.Second+2*time.Millisecond, time.Since(start), "with the waits")
				assert.Empty(t, f.bearers)
			})
		})
	}
	// The waiting for the token is no part of the call's own attempt.
	t.Run("twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &authFake{token: func(n int, r *http.Request) (*http.Response, error) {
				if n > 2 {
					return nil, nil
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			}}
			start := time.Now()
			require.NoError(t, clientGet(t.Context(), f.client(t, epcclogs.WithTimeout(10*time.Second))))
			assert.Equal(t, 20*time.Second+2*time.Millisecond, time.Since(start))
			assert.Len(t, f.bearers, 1)
		})
	})
	t.Run("longer than the call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &authFake{token: func(_ int, r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}}
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			err := clientGet(ctx, f.client(t, epcclogs.WithTimeout(10*time.Second)))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 4*time.Second, time.Since(start))
		})
	})
}

// A call that ends while its token's request waits for the next attempt tells
// what that one met, as a call of the API does.
func TestEndWhileTheFetchWaitsTellsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &authFake{token: func(int, *http.Request) (*http.Response, error) {
			resp := clientReply(http.StatusServiceUnavailable, "")
			resp.Header.Set("Retry-After", "20")
			return resp, nil
		}}
		c := f.client(t, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
		ctx, cancel := context.WithCancel(t.Context())
		done := authCall(ctx, c)
		synctest.Wait()
		assert.Equal(t, 1, f.countPosts())
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, epcclogs.ErrServer)
	})
}

// A call whose deadline comes before the next attempt of its token's request has
// nothing to wait for. Others do, and one that comes later joins them.
func TestWaitForTheFetchThatTheDeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &authFake{token: func(n int, _ *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			resp := clientReply(http.StatusServiceUnavailable, "")
			resp.Header.Set("Retry-After", "20")
			return resp, nil
		}}
		c := f.client(t, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
		start := time.Now()
		patient := authCall(t.Context(), c)
		synctest.Wait()
		for _, d := range []time.Duration{5 * time.Second, 19 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			err := clientGet(ctx, c)
			require.ErrorIs(t, err, epcclogs.ErrServer)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "it has not come yet")
			assert.Zero(t, time.Since(start), "at once")
			cancel()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
		defer cancel()
		require.NoError(t, clientGet(ctx, c), "long enough")
		assert.Equal(t, 20*time.Second, time.Since(start))
		require.NoError(t, <-patient)
		assert.Equal(t, 2, f.posts)
	})
}

// When all have left a fetch for that, it ends, and the next call starts afresh.
func TestFetchThatNoDeadlineOutlastsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &authFake{token: func(n int, _ *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			resp := clientReply(http.StatusServiceUnavailable, "")
			resp.Header.Set("Retry-After", "20")
			return resp, nil
		}}
		c := f.client(t, epcclogs.WithRetry(epcclogs.RetryPolicy{}))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, clientGet(ctx, c), epcclogs.ErrServer)
		require.NoError(t, clientGet(t.Context(), c))
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 2, f.posts)
	})
}

// A token request waits before the next attempt like any other.
func TestTokenRequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &authFake{token: func(n int, _ *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			resp := clientReply(http.StatusServiceUnavailable, "")
			resp.Header.Set("Retry-After", "20")
			return resp, nil
		}}
		start := time.Now()
		require.NoError(t, clientGet(t.Context(), f.client(t, epcclogs.WithRetry(epcclogs.RetryPolicy{}))))
		assert.Equal(t, 20*time.Second, time.Since(start))
	})
}

// What a call learns of a token that another has renewed since is old news.
func TestLateRefusalsRenewNothing(t *testing.T) {
	const calls = 40
	synctest.Test(t, func(t *testing.T) {
		var released [2]chan struct{}
		for i := range released {
			released[i] = make(chan struct{})
		}
		f := &authFake{api: func(n int, r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") != "Bearer fetched-token-1" {
				return nil, nil
			}
			<-released[n%2]
			return clientReply(http.StatusUnauthorized, ""), nil
		}}
		c := f.client(t)
		var waiting []<-chan error
		for range calls {
			waiting = append(waiting, authCall(t.Context(), c))
		}
		synctest.Wait() // all have sent the first token
		assert.Len(t, f.bearers, calls)
		close(released[0])
		synctest.Wait() // half of them are done, with the second
		assert.Equal(t, 2, f.countPosts())
		assert.Len(t, f.bearers, calls+calls/2)
		close(released[1])
		for _, done := range waiting {
			require.NoError(t, <-done)
		}
		assert.Equal(t, 2, f.posts, "one renewal")
		assert.Len(t, f.bearers, 2*calls)
	})
}

// A token function has the call's context, not that of an attempt, and its time
// is not the attempt's.
func TestTokenFuncIsNotTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(authFake)
		c := newClient(t, "https://api.example.com", epcclogs.WithHTTPClient(&http.Client{Transport: f}),
			epcclogs.WithTimeout(10*time.Second), epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
				_, bounded := ctx.Deadline()
				assert.False(t, bounded)
				authPass(20 * time.Second)
				return "a-given-token", ctx.Err()
			}))
		require.NoError(t, clientGet(t.Context(), c))
		assert.Equal(t, []string{"Bearer a-given-token"}, f.bearers)
	})
}

// With a verb that does not fit, fmt prints what pointers point to.
func TestClientShowsNoSecretByAnyVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(authFake)
		c := f.client(t)
		require.NoError(t, clientGet(t.Context(), c))
		synctest.Wait()
		for _, format := range []string{"%s", "%q", "%d", "%x", "%t"} {
			for _, v := range []any{c, *c} {
				shown := fmt.Sprintf(format, v)
				for _, secret := range []string{"fetched-token-1", authSecret} {
					assert.NotContains(t, shown, secret, format)
					assert.NotContains(t, shown, fmt.Sprintf("%x", secret), format)
				}
			}
		}
	})
}
