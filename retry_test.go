package epcclogs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// retryStep is what a retryWire does with one request.
type retryStep func(*http.Request) (*http.Response, error)

// retryWire is a transport without a network, which counts: it takes its steps
// in turn, the last one for ever. It serves one call at a time.
type retryWire struct {
	steps []retryStep
	at    []time.Time // of each request
}

func (w *retryWire) RoundTrip(r *http.Request) (*http.Response, error) {
	step := w.steps[min(len(w.at), len(w.steps)-1)]
	w.at = append(w.at, time.Now())
	return step(r)
}

// retryBody answers with a status, headers (key, value, ...) and a body.
func retryBody(status int, body string, header ...string) retryStep {
	return func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// retryBreak fails as a connection does.
func retryBreak(err error) retryStep {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// retryHang answers nothing until the context of the request ends.
func retryHang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var retryDone = retryBody(http.StatusOK, bare(record(1)))

// retryClient returns a client that sends into the wire.
func retryClient(t testing.TB, w *retryWire, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	return newClient(t, "http://127.0.0.1", append(opts, epcclogs.WithHTTPClient(&http.Client{Transport: w}))...)
}

// retryGet makes one call.
func retryGet(ctx context.Context, c *epcclogs.Client) error {
	_, err := c.ListIntegrationLogs(ctx, integration, nil)
	return err
}

func TestRetriedStatuses(t *testing.T) {
	again := map[int]bool{408: true, 425: true, 429: true}
	for status := 500; status <= 599; status++ {
		again[status] = status != http.StatusNotImplemented
	}
	for status := 201; status <= 650; status++ {
		w := &retryWire{steps: []retryStep{retryBody(status, "text"), retryDone}}
		err := retryGet(t.Context(), retryClient(t, w))
		if again[status] {
			require.NoError(t, err, status)
			require.Len(t, w.at, 2, status)
			continue
		}
		require.Len(t, w.at, 1, status)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr, status)
		require.Equal(t, status, apiErr.StatusCode)
		require.Equal(t, "text", string(apiErr.Body))
		require.Equal(t, 1, apiErr.Attempts)
	}
}

// The first request is one of MaxAttempts.
func TestAttemptsAreCounted(t *testing.T) {
	for maxAttempts, want := range map[int]int{0: 4, 1: 1, 2: 2, 7: 7} {
		w := &retryWire{steps: []retryStep{retryBody(500, ""), retryBody(503, "")}}
		err := retryGet(t.Context(), retryClient(t, w, epcclogs.WithRetry(
			epcclogs.RetryPolicy{MaxAttempts: maxAttempts, MaxWait: time.Nanosecond})))
		assert.Len(t, w.at, want)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, want, apiErr.Attempts)
	}
}

func TestLastResponseReachesTheCaller(t *testing.T) {
	broken := errors.New("wire broke")
	w := &retryWire{steps: []retryStep{
		retryBody(503, "first", "X-Trace", "1"), retryBreak(broken), retryBody(502, "last", "X-Trace", "3"),
	}}
	err := retryGet(t.Context(), retryClient(t, w))
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, 502, apiErr.StatusCode)
	assert.Equal(t, "last", string(apiErr.Body))
	assert.Equal(t, "3", apiErr.Header.Get("X-Trace"))
	assert.Equal(t, 3, apiErr.Attempts)
	require.NotErrorIs(t, err, broken)

	// A permanent failure ends it, whatever came before.
	w = &retryWire{steps: []retryStep{retryBody(503, "first"), retryBody(404, "gone")}}
	err = retryGet(t.Context(), retryClient(t, w))
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	require.NotErrorIs(t, err, epcclogs.ErrServer)
	assert.Len(t, w.at, 2)

	// A broken connection at the end does not hide the response before it.
	w = &retryWire{steps: []retryStep{retryBody(503, "first"), retryBreak(broken)}}
	err = retryGet(t.Context(), retryClient(t, w))
	require.ErrorIs(t, err, broken)
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, "first", string(apiErr.Body))
	require.ErrorContains(t, err, "GET http://127.0.0.1/v2/integrations/"+integration+"/logs")
	assert.Len(t, w.at, 3)
}

func TestNothingIsSentAfterTheEnd(t *testing.T) {
	w := &retryWire{steps: []retryStep{retryDone}}
	c := retryClient(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := retryGet(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "GET http://127.0.0.1/v2/")
	assert.Empty(t, w.at)

	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.ErrorIs(t, retryGet(ctx, c), context.DeadlineExceeded)
	assert.Empty(t, w.at)
}

func TestRetryPolicyRefused(t *testing.T) {
	for _, p := range []epcclogs.RetryPolicy{
		{MaxAttempts: -1},
		{MinWait: -1},
		{MaxWait: -1},
		{MinWait: 2 * time.Second, MaxWait: time.Second},
		{MinWait: 31 * time.Second}, // above the default MaxWait
	} {
		_, err := epcclogs.NewClient(epcclogs.WithRetry(p))
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, p)
	}
	for _, p := range []epcclogs.RetryPolicy{
		{},
		{MaxWait: time.Millisecond}, // below the default MinWait
		{MinWait: time.Second, MaxWait: time.Second},
	} {
		_, err := epcclogs.NewClient(epcclogs.WithRetry(p))
		require.NoError(t, err, p)
	}
}

// retryDialer returns an http.Client whose connections come from dial and are
// not kept, since net/http itself sends again what a kept one lost.
func retryDialer(t testing.TB, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*http.Client, *atomic.Int32) {
	t.Helper()
	dials := new(atomic.Int32)
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}, dials
}

// retryClosedPort returns an address at which nobody listens.
func retryClosedPort(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestConnectionRefused(t *testing.T) {
	closed := retryClosedPort(t)
	s := serve(t, ok(bare(record(1))))
	var left atomic.Int32
	hc, dials := retryDialer(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if left.Add(-1) >= 0 {
			addr = closed
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	c := newClient(t, s.URL, epcclogs.WithHTTPClient(hc))
	left.Store(2)
	require.NoError(t, retryGet(t.Context(), c))
	assert.EqualValues(t, 3, dials.Load())

	left.Store(1000)
	dials.Store(0)
	err := retryGet(t.Context(), c)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, "GET "+s.URL+"/v2/integrations/"+integration+"/logs")
	assert.EqualValues(t, 3, dials.Load())
}

func TestConnectionReset(t *testing.T) {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	hc, dials := retryDialer(t, new(net.Dialer).DialContext)
	c := newClient(t, srv.URL, epcclogs.WithHTTPClient(hc), epcclogs.WithToken("token"))
	id := epcclogstest.SampleIntegration(0).ID

	srv.Fail(2, epcclogstest.Reset())
	page, err := c.ListIntegrationLogs(t.Context(), id, nil)
	require.NoError(t, err)
	assert.Len(t, page.Data, 25)
	assert.Len(t, srv.Requests(), 3)

	srv.Fail(1000, epcclogstest.Reset())
	dials.Store(0)
	_, err = c.ListIntegrationLogs(t.Context(), id, nil)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	assert.EqualValues(t, 3, dials.Load())
}

// retryListener cuts the first connections before anything is said on them.
type retryListener struct {
	net.Listener
	cut, accepted atomic.Int32
}

func (l *retryListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.accepted.Add(1)
		if l.cut.Add(-1) < 0 {
			return conn, nil
		}
		if err := conn.Close(); err != nil {
			return nil, err
		}
	}
}

// retryTLS starts a TLS server behind a retryListener.
func retryTLS(t testing.TB) (*httptest.Server, *retryListener) {
	t.Helper()
	s := httptest.NewUnstartedServer(ok(bare(record(1))))
	l := &retryListener{Listener: s.Listener}
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, l
}

func TestTLSHandshakeCut(t *testing.T) {
	s, l := retryTLS(t)
	c := newClient(t, s.URL, epcclogs.WithHTTPClient(s.Client()), epcclogs.WithToken("token"))
	l.cut.Store(2)
	require.NoError(t, retryGet(t.Context(), c))
	assert.EqualValues(t, 3, l.accepted.Load())
}

func TestUntrustedCertificateIsPermanent(t *testing.T) {
	for name, hc := range map[string]func(*httptest.Server) *http.Client{
		"unknown authority": func(*httptest.Server) *http.Client { return &http.Client{Transport: new(http.Transport)} },
		"wrong name": func(s *httptest.Server) *http.Client {
			known := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: known, ServerName: "other.test"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := retryTLS(t)
			err := retryGet(t.Context(), newClient(t, s.URL, epcclogs.WithHTTPClient(hc(s))))
			var untrusted *tls.CertificateVerificationError
			require.ErrorAs(t, err, &untrusted)
			assert.EqualValues(t, 1, l.accepted.Load())
		})
	}
}

func TestNameNotFoundIsPermanent(t *testing.T) {
	hc, dials := retryDialer(t, func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}}
	})
	c := newClient(t, "https://api.test", epcclogs.WithHTTPClient(hc))
	err := retryGet(t.Context(), c)
	var unknown *net.DNSError
	require.ErrorAs(t, err, &unknown)
	assert.True(t, unknown.IsNotFound)
	assert.EqualValues(t, 1, dials.Load())
}

// A resolver that does not answer may do so later.
func TestNameServerFailureIsRetried(t *testing.T) {
	for _, failure := range []*net.DNSError{
		{Err: "server misbehaving", Name: "api.test", IsTemporary: true},
		{Err: "i/o timeout", Name: "api.test", IsTimeout: true},
	} {
		hc, dials := retryDialer(t, func(context.Context, string, string) (net.Conn, error) { return nil, failure })
		err := retryGet(t.Context(), newClient(t, "https://api.test", epcclogs.WithHTTPClient(hc)))
		require.ErrorAs(t, err, new(*net.DNSError))
		assert.EqualValues(t, 3, dials.Load(), failure)
	}
}

func TestPermanentBodies(t *testing.T) {
	for name, body := range map[string]string{
		"malformed":         `{"data":[}`,
		"malformed and cut": `{"data":[}{"`,
		"more than one":     `{"data":[]} {"data":[`,
		"HTML":              `<html>`,
		"wrong type":        `{"data":[{"id":7}]}`,
		"no data":           `{}`,
		"not an object":     `[]`,
		"not UTF-8":         "\xff\xfe{",
	} {
		t.Run(name, func(t *testing.T) {
			w := &retryWire{steps: []retryStep{retryBody(200, body, "Content-Type", "text/x"), retryDone}}
			err := retryGet(t.Context(), retryClient(t, w))
			var decodeErr *epcclogs.DecodeError
			require.ErrorAs(t, err, &decodeErr)
			assert.Equal(t, body, string(decodeErr.Body))
			assert.Equal(t, "text/x", decodeErr.ContentType)
			assert.Len(t, w.at, 1)
		})
	}
}

// A body that just stops, wherever it does, is retried.
func TestCutBodiesAreRetried(t *testing.T) {
	whole := `{"data":[` + record(1) + `],"meta":{"limit":100},"results":null,"x":[true,-1.5e3,"ä😀\n"]}`
	for n := range len(whole) {
		w := &retryWire{steps: []retryStep{retryBody(200, whole[:n]), retryDone}}
		require.NoError(t, retryGet(t.Context(), retryClient(t, w)), whole[:n])
		require.Len(t, w.at, 2, whole[:n])
	}
	w := &retryWire{steps: []retryStep{retryBody(200, whole)}}
	require.NoError(t, retryGet(t.Context(), retryClient(t, w)))
	require.Len(t, w.at, 1)
}

func TestTooLargeIsPermanent(t *testing.T) {
	body := bare(record(1))
	w := &retryWire{steps: []retryStep{retryBody(200, body)}}
	err := retryGet(t.Context(), retryClient(t, w, epcclogs.WithMaxResponseSize(int64(len(body))-1)))
	require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	require.ErrorContains(t, err, fmt.Sprint(len(body)-1))
	require.ErrorContains(t, err, "GET http://127.0.0.1/v2/")
	assert.Len(t, w.at, 1)

	w.at = nil
	require.NoError(t, retryGet(t.Context(), retryClient(t, w, epcclogs.WithMaxResponseSize(int64(len(body))))))
	assert.Len(t, w.at, 1)
}

// The request that follows a renewed token comes on top of MaxAttempts, once.
func TestRetryAfterRenewalIsOnTop(t *testing.T) {
	post := retryBody(200, `{"access_token":"not-a-real-token","expires_in":3600}`)
	refused := retryBody(401, `{"errors":[{"title":"Unauthorized"}]}`)
	for name, test := range map[string]struct {
		steps []retryStep // of the GETs
		gets  int
		want  error
	}{
		"renewed":             {[]retryStep{refused, retryDone}, 2, nil},
		"refused twice":       {[]retryStep{refused, refused, retryDone}, 2, epcclogs.ErrUnauthorized},
		"then unavailable":    {[]retryStep{refused, retryBody(503, ""), retryDone}, 3, nil},
		"unavailable, later":  {[]retryStep{retryBody(503, ""), refused, retryDone}, 3, nil},
		"never more than one": {[]retryStep{retryBody(503, ""), refused, retryBody(503, ""), retryDone}, 3, epcclogs.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			gets := &retryWire{steps: test.steps}
			both := &retryWire{steps: []retryStep{func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return post(r)
				}
				return gets.RoundTrip(r)
			}}}
			c := retryClient(t, both, epcclogs.WithClientCredentials("id", "secret-secret"),
				epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MaxWait: time.Nanosecond}))
			require.ErrorIs(t, retryGet(t.Context(), c), test.want)
			assert.Len(t, gets.at, test.gets)
		})
	}

	// Without client credentials there is nothing to renew.
	w := &retryWire{steps: []retryStep{refused, retryDone}}
	require.ErrorIs(t, retryGet(t.Context(), retryClient(t, w, epcclogs.WithToken("token"))), epcclogs.ErrUnauthorized)
	assert.Len(t, w.at, 1)
}

// A POST for a token is retried as a GET is.
func TestRetryOfTokenRequest(t *testing.T) {
	w := &retryWire{steps: []retryStep{
		retryBody(503, ""), retryBody(200, `{"access_tok`),
		retryBody(200, `{"access_token":"not-a-real-token"}`),
		retryDone,
	}}
	require.NoError(t, retryGet(t.Context(), retryClient(t, w, epcclogs.WithClientCredentials("id", "secret-secret"))))
	assert.Len(t, w.at, 4)
}

func TestRetryNotAfterTokenFunc(t *testing.T) {
	calls := 0
	refused := &net.OpError{Op: "read", Err: syscall.ECONNRESET} // looks as if it could pass
	w := &retryWire{steps: []retryStep{retryDone}}
	c := retryClient(t, w, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
		calls++
		return "", refused
	}))
	require.ErrorIs(t, retryGet(t.Context(), c), refused)
	assert.Equal(t, 1, calls)
	assert.Empty(t, w.at)
}
