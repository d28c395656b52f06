package epcclogs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

func TestRetriedStatuses(t *testing.T) {
	again := map[int]bool{408: true, 425: true, 429: true}
	for status := 500; status <= 599; status++ {
		again[status] = status != http.StatusNotImplemented
	}
	for status := 201; status <= 650; status++ {
		s := wire.Steps(wire.Reply(status, "text"), done)
		err := call(t.Context(), clientOf(t, s))
		if again[status] {
			require.NoError(t, err, status)
			require.Len(t, s.Sent(), 2, status)
			continue
		}
		require.Len(t, s.Sent(), 1, status)
		apiErr := as[*epcclogs.APIError](t, err)
		require.Equal(t, status, apiErr.StatusCode)
		require.Equal(t, "text", string(apiErr.Body))
		require.Equal(t, 1, apiErr.Attempts)
	}
}

// The first request is one of MaxAttempts.
func TestAttemptsAreCounted(t *testing.T) {
	for maxAttempts, want := range map[int]int{0: 5, 1: 1, 2: 2, 7: 7} {
		s := wire.Steps(wire.Reply(500, ""), wire.Reply(503, ""))
		err := call(t.Context(), clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: maxAttempts, MaxWait: time.Nanosecond})))
		assert.Len(t, s.Sent(), want)
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, want, apiErr.Attempts)
	}
}

// A call tells its last response, also where a connection breaks after it.
func TestLastResponseReachesTheCaller(t *testing.T) {
	broken := errors.New("wire broke")
	busy := wire.Reply(503, "first", "X-Trace", "1")
	for _, row := range []struct {
		steps  []wire.Step
		sent   int
		status int
		body   string
		is     error
		isNot  error
	}{
		{[]wire.Step{busy, wire.Break(broken), wire.Reply(502, "last", "X-Trace", "3")}, 3, 502, "last", epcclogs.ErrServer, broken},
		{[]wire.Step{busy, wire.Reply(404, "gone", "X-Trace", "3")}, 2, 404, "gone", epcclogs.ErrNotFound, epcclogs.ErrServer},
		{[]wire.Step{busy, wire.Break(broken)}, 3, 503, "first", broken, epcclogs.ErrNotFound},
	} {
		s := wire.Steps(row.steps...)
		err := call(t.Context(), clientOf(t, s))
		require.ErrorIs(t, err, row.is)
		require.NotErrorIs(t, err, row.isNot)
		require.ErrorContains(t, err, "GET https://api.example.com/v2/integrations")
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, row.status, apiErr.StatusCode)
		assert.Equal(t, row.body, string(apiErr.Body))
		assert.Equal(t, row.body != "first", apiErr.Header.Get("X-Trace") == "3")
		assert.Len(t, s.Sent(), row.sent)
	}
}

// Connections that fail are retried, but for names that do not exist. They are not
// kept here, since net/http itself sends again what a kept one lost.
func TestConnectionFails(t *testing.T) {
	s, closed := wire.Serve(t, done), wire.Serve(t, done)
	closed.Close()
	dns := func(failure net.DNSError) error { return &net.OpError{Op: "dial", Net: "tcp", Err: &failure} }
	for name, row := range map[string]struct {
		failure error // nil: that of a closed port
		dials   int32
	}{
		"refused":       {nil, 3},
		"no such name":  {dns(net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}), 1},
		"server failed": {dns(net.DNSError{Err: "server misbehaving", Name: "api.test", IsTemporary: true}), 3},
		"no answer":     {dns(net.DNSError{Err: "i/o timeout", Name: "api.test", IsTimeout: true}), 3},
	} {
		t.Run(name, func(t *testing.T) {
			var dials, left atomic.Int32
			c := newClient(t, s.URL, over(&http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials.Add(1)
					if left.Add(-1) >= 0 {
						if row.failure != nil {
							return nil, row.failure
						}
						addr = closed.Listener.Addr().String()
					}
					return new(net.Dialer).DialContext(ctx, network, addr)
				},
			}))
			left.Store(1000)
			err := call(t.Context(), c)
			if row.failure == nil {
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
			} else {
				require.ErrorIs(t, err, row.failure)
			}
			require.ErrorContains(t, err, "GET "+s.URL+"/v2/integrations")
			assert.Equal(t, row.dials, dials.Load())
			if row.dials > 1 {
				require.ErrorContains(t, err, "(after 3 attempts)")
				left.Store(2)
				require.NoError(t, call(t.Context(), c))
				assert.EqualValues(t, 6, dials.Load())
			}
		})
	}
}

// A handshake that is cut is retried. Where the certificate is not trusted, another
// attempt is of no use.
func TestTLSHandshake(t *testing.T) {
	for name, row := range map[string]struct {
		config   func(trusting *tls.Config) *tls.Config
		accepted int32 // connections, the first two of which are cut; 1: none is
	}{
		"cut":               {func(trusting *tls.Config) *tls.Config { return trusting }, 3},
		"unknown authority": {func(*tls.Config) *tls.Config { return new(tls.Config) }, 1},
		"wrong name": {func(trusting *tls.Config) *tls.Config {
			return &tls.Config{RootCAs: trusting.RootCAs, ServerName: "other.test"}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := wire.ServeTLS(t, row.accepted-1, done)
			config := row.config(s.Trusting)
			err := call(t.Context(), newClient(t, s.URL, over(&http.Transport{TLSClientConfig: config}), epcclogs.WithToken("token")))
			if row.accepted > 1 {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			}
			assert.Equal(t, row.accepted, s.Accepted())
		})
	}
}

// A body that just stops, wherever it does, is retried.
func TestCutBodiesAreRetried(t *testing.T) {
	whole := `{"data":[` + wire.Record(1) + `],"meta":{"limit":100},"results":null,"x":[true,-1.5e3,"ä😀\n"]}`
	for n := range len(whole) {
		s := wire.Steps(wire.OK(whole[:n]), done)
		require.NoError(t, call(t.Context(), clientOf(t, s)), whole[:n])
		require.Len(t, s.Sent(), 2, whole[:n])
	}
	s := wire.Steps(wire.OK(whole))
	require.NoError(t, call(t.Context(), clientOf(t, s)))
	require.Len(t, s.Sent(), 1)
}

// FuzzRetryAfter reads the header: never below zero, and waited for as it says.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "7", "1.5", ".5", "5.", ".", "-1", "1e9", "NaN", "9223372036", "9223372037", "99999999999999999999",
		strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1", " 7 ", "soon", "5, 6",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		f.Add(seed, "Sun, 06 Nov 1994 08:49:30 GMT")
		f.Add(seed, "Mon, 01 Jan 0001 00:00:00 GMT")
		f.Add(seed, "")
	}
	policy, err := epcclogs.RetryPolicy{}.WithDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		d, ok := epcclogs.RetryAfter(h)
		if d < 0 || !ok && d != 0 {
			t.Errorf("%v, %v", d, ok)
		}
		if _, err := http.ParseTime(date); err != nil {
			h.Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT") // time must not pass between the two
			d, ok = epcclogs.RetryAfter(h)
		}
		wait := policy.Wait(1, h)
		switch {
		case !ok && (wait < policy.MinWait/2 || wait > policy.MinWait):
			t.Errorf("waits %v without a header", wait)
		case ok && wait != max(d, time.Millisecond):
			t.Errorf("waits %v for %v", wait, d)
		}
	})
}

// FuzzWait reckons the wait of any policy after any attempt. However little MaxWait is,
// it is a millisecond.
func FuzzWait(f *testing.F) {
	for _, n := range []int{1, 2, 3, 62, 63, 64, 65, math.MaxInt} {
		f.Add(n, int64(time.Second), int64(math.MaxInt64))
		f.Add(n, int64(math.MaxInt64), int64(math.MaxInt64))
		f.Add(n, int64(0), int64(0))
		f.Add(n, int64(1), int64(1))
		f.Add(n, int64(0), int64(time.Microsecond))
	}
	f.Fuzz(func(t *testing.T, n int, least, most int64) {
		p, err := epcclogs.RetryPolicy{MinWait: time.Duration(least), MaxWait: time.Duration(most)}.WithDefaults()
		if err != nil || n < 1 {
			return
		}
		bound := min(float64(p.MinWait)*math.Pow(2, float64(n-1)), float64(p.MaxWait))
		if d := p.Wait(n, nil); d < time.Millisecond || float64(d) < bound/2 || float64(d) > bound {
			t.Errorf("%+v waits %v after attempt %d", p, d, n)
		}
	})
}
