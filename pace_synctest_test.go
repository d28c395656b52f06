//go:build go1.25

package epcclogs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// limited is a transport to a store of total records with a rate limit: a bucket
// of burst requests that fills at rate a second. It takes latency to answer,
// 429s too unless eager.
type limited struct {
	rate, burst float64
	latency     time.Duration
	eager       bool
	total       int

	mu        sync.Mutex
	tokens    float64
	at        time.Time
	times     []time.Time // of all requests
	throttled int
}

func (l *limited) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.at.IsZero() {
		l.tokens = l.burst
	} else {
		l.tokens = min(l.burst, l.tokens+now.Sub(l.at).Seconds()*l.rate)
	}
	l.at = now
	l.times = append(l.times, now)
	if l.rate > 0 && l.tokens < 1 {
		l.throttled++
		return false
	}
	l.tokens--
	return true
}

func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r}
	ok := l.allow()
	if ok || !l.eager {
		select {
		case <-time.After(l.latency):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if !ok {
		resp.StatusCode = http.StatusTooManyRequests
		resp.Header.Set("Retry-After", "1")
		resp.Body = http.NoBody
		return resp, nil
	}
	offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
	limit, _ := strconv.Atoi(r.FormValue("page[limit]"))
	var body bytes.Buffer
	body.WriteString(`{"data":[`)
	for i := offset; i < min(offset+limit, l.total); i++ {
		if i > offset {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"%d"}`, i)
	}
	fmt.Fprintf(&body, `],"results":{"total":%d}}`, l.total)
	resp.Body = io.NopCloser(&body)
	return resp, nil
}

func limitedClient(t *testing.T, l *limited, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithHTTPClient(&http.Client{Transport: l})}, opts...)
	c, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	return c
}

// Told the limit, the client keeps to it: nothing is refused.
func TestRateLimitIsKept(t *testing.T) {
	for _, rate := range []float64{25, 60, 100} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &limited{rate: rate, burst: rate / 10, latency: 80 * time.Millisecond, total: 100_000}
				start := time.Now()
				n := 0
				for _, err := range limitedClient(t, l, epcclogs.WithRateLimit(rate)).IntegrationLogs(integration, nil).Concurrent(16).All(t.Context()) {
					require.NoError(t, err)
					n++
				}
				assert.Equal(t, l.total, n)
				assert.Zero(t, l.throttled)
				assert.Greater(t, float64(n)/100/rate/time.Since(start).Seconds(), 0.95)
				for i := range l.times {
					if i > 0 {
						require.GreaterOrEqual(t, l.times[i].Sub(l.times[i-1]), time.Duration(0.99*float64(time.Second)/rate), "evenly spaced")
					}
				}
			})
		})
	}
}

// All calls share the pace, those for tokens and retries too.
func TestRateLimitCountsEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		c, err := epcclogs.NewClient(epcclogs.WithRateLimit(2), epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"),
			epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond}),
			epcclogs.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
				body, status := bare(), http.StatusOK
				if r.Method == http.MethodPost {
					body = string(fixture(t, "token.json"))
				} else if len(times) == 2 {
					status = http.StatusServiceUnavailable
				}
				return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewBufferString(body)), Request: r}, nil
			})}))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := c.ListStoreLogs(t.Context(), nil)
				assert.NoError(t, err)
			}()
		}
		wg.Wait()
		require.Len(t, times, 6, "a token, four calls, a retry")
		for i := range times {
			assert.Equal(t, time.Duration(i)*500*time.Millisecond, times[i].Sub(times[0]))
		}
	})
}

// busy is a transport that answers 429 to the requests that arrive in the first
// second, each after a tenth of one.
func busy(times *[]time.Time, retryAfter string) epcclogs.Option {
	var mu sync.Mutex
	start := time.Now()
	return epcclogs.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		*times = append(*times, time.Now())
		mu.Unlock()
		resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewBufferString(bare())), Request: r}
		if time.Since(start) < time.Second {
			resp.StatusCode = http.StatusTooManyRequests
			resp.Header.Set("Retry-After", retryAfter)
		}
		time.Sleep(100 * time.Millisecond)
		return resp, nil
	})})
}

// Ten calls that are refused together make one pause, which costs one of them an
// attempt, and go on evenly.
func TestOnePauseForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		start := time.Now()
		c, err := epcclogs.NewClient(busy(&times, "3"), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 10 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := c.ListStoreLogs(t.Context(), nil)
				assert.NoError(t, err)
			}()
		}
		wg.Wait()
		require.Len(t, times, 20)
		for i, at := range times[10:] {
			want := 3100*time.Millisecond + time.Duration(float64(i)*float64(time.Second)/100)
			assert.InDelta(t, want.Seconds(), at.Sub(start).Seconds(), 0.001)
		}
	})
}

// A call that is refused in its turn, after a pause, has used an attempt.
func TestThrottledAfterThePauseCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		c, err := epcclogs.NewClient(busy(&times, "0.2"), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3}))
		require.NoError(t, err)
		_, err = c.ListStoreLogs(t.Context(), nil)
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		var status *epcclogs.APIError
		require.ErrorAs(t, err, &status)
		assert.Equal(t, 3, status.Attempts)
		assert.Len(t, times, 3)
	})
}

// A pause that outlasts a call's deadline is not waited out, by a call that
// begins in it, nor by one that the pause finds waiting for its turn.
func TestDeadlineWithinThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		c, err := epcclogs.NewClient(busy(&times, "20"), epcclogs.WithRateLimit(1))
		require.NoError(t, err)
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 { // the second and the third wait for the rate limit when the pause begins
			wg.Add(1)
			go func() {
				defer wg.Done()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := c.ListStoreLogs(ctx, nil)
				assert.ErrorIs(t, err, epcclogs.ErrRateLimited)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
			}()
		}
		wg.Wait()
		assert.Equal(t, 100*time.Millisecond, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = c.ListStoreLogs(ctx, nil)
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		assert.Equal(t, 100*time.Millisecond, time.Since(start))
		assert.Len(t, times, 1)

		_, err = c.ListStoreLogs(t.Context(), nil) // without a deadline it waits
		require.NoError(t, err)
		assert.Equal(t, 20200*time.Millisecond, time.Since(start))
	})
}

// The same for a call that waits for a token, whose request the pause holds up.
func TestDeadlineWithinThePauseOfATokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		c, err := epcclogs.NewClient(busy(&times, "20"), epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"))
		require.NoError(t, err)
		start := time.Now()
		for want := 100 * time.Millisecond; want < 101*time.Millisecond; want += time.Millisecond {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err = c.ListStoreLogs(ctx, nil)
			cancel()
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, want, time.Since(start))
		}
		assert.Len(t, times, 1)
	})
}

// refusing is a transport that answers 429 as long as refuse is above 0, which it
// counts down. It keeps when the requests came.
type refusing struct {
	refuse     int
	retryAfter string
	times      []time.Time
}

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.times = append(r.times, time.Now())
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewBufferString(bare())), Request: req}
	if r.refuse > 0 {
		r.refuse--
		resp.StatusCode = http.StatusTooManyRequests
		resp.Header.Set("Retry-After", r.retryAfter)
	}
	return resp, nil
}

// get makes calls one after the other, and returns how long they take.
func (r *refusing) get(t *testing.T, c *epcclogs.Client, calls int) time.Duration {
	t.Helper()
	start := time.Now()
	for range calls {
		_, err := c.ListStoreLogs(t.Context(), nil)
		require.NoError(t, err)
	}
	return time.Since(start)
}

func (r *refusing) client(t *testing.T, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	c, err := epcclogs.NewClient(append(opts, epcclogs.WithHTTPClient(&http.Client{Transport: r}))...)
	require.NoError(t, err)
	return c
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
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r refusing
				assert.Equal(t, 99*tt.want, r.get(t, r.client(t, tt.opts...), 100))
			})
		})
	}
}

// A 429 now and then, to requests that come alone, is other clients' doing: it
// does not slow down what comes later.
func TestStrayRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := refusing{retryAfter: "1"}
		c := r.client(t)
		for range 20 {
			time.Sleep(time.Minute)
			r.refuse = 1
			assert.Equal(t, time.Second, r.get(t, c, 1))
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 990*time.Millisecond, r.get(t, c, 100))
	})
}

// Refused in the midst of work, again and again, the client goes slower. When
// nothing is refused any more, it comes back to its bound within half a minute.
func TestPaceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := refusing{retryAfter: "1"}
		c := r.client(t)
		for range 4 {
			r.get(t, c, 10)
			r.refuse = 1
			assert.GreaterOrEqual(t, r.get(t, c, 1), time.Second)
		}
		assert.Greater(t, r.get(t, c, 20), time.Second)
		start := time.Now()
		for r.get(t, c, 10) > 100*time.Millisecond {
			require.Less(t, time.Since(start), 30*time.Second)
		}
	})
}

// A refusal of the first request after a pause makes the next pause twice as long,
// up to 10 s, and leaves the rate as it is.
func TestPauseThatIsTooShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := refusing{retryAfter: "1.5", refuse: 5}
		r.get(t, r.client(t, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 6})), 11)
		want := []float64{1.5, 3, 6, 10, 10, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01}
		require.Len(t, r.times, len(want)+1)
		for i, seconds := range want {
			assert.InDelta(t, seconds, r.times[i+1].Sub(r.times[i]).Seconds(), 1e-6, i)
		}
	})
}

// The log tells when the pace changes by much, and no more than that.
func TestPaceIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&records, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := refusing{retryAfter: "1"}
		c := r.client(t, epcclogs.WithLogger(logger))
		r.get(t, c, 10)
		r.refuse = 1
		r.get(t, c, 2000)
		var pace []string
		for line := range strings.Lines(records.String()) {
			if _, attributes, found := strings.Cut(line, `msg="epcclogs: pace" `); found {
				pace = append(pace, strings.TrimSpace(attributes))
			}
		}
		assert.Equal(t, []string{"rate=50 pause=1s", "rate=75.03 pause=0s", "rate=100 pause=0s"}, pace)
	})
}

// Waiting for the rate limit ends with the context.
func TestRateLimitIsCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		c, err := epcclogs.NewClient(busy(&times, "1"), epcclogs.WithRateLimit(0.001))
		require.NoError(t, err)
		time.Sleep(2 * time.Second) // the server is no longer busy
		_, err = c.ListStoreLogs(t.Context(), nil)
		require.NoError(t, err)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = c.ListStoreLogs(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.Len(t, times, 1)
	})
}

// With a policy of one attempt, a 429 is returned, whenever its request was sent.
func TestOneAttemptIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		c, err := epcclogs.NewClient(busy(&times, "1"), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 5 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := c.ListStoreLogs(t.Context(), nil)
				assert.ErrorIs(t, err, epcclogs.ErrRateLimited)
			}()
		}
		wg.Wait()
		assert.Len(t, times, 5)
	})
}
