package epcclogs_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// TestMain fails when goroutines outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const integration = wire.Integration

// done is the answer to a request that succeeds.
var done = wire.OK(wire.Page(wire.Record(1)))

// noContext is what a caller passes by mistake.
var noContext context.Context

// quick is a policy that retries without a noticeable wait.
var quick = epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3, MinWait: time.Millisecond, MaxWait: time.Millisecond})

// newClient returns a client of the server that no rate limit slows down: the
// time between two requests is less than a nanosecond.
func newClient(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithBaseURL(url), epcclogs.WithRateLimit(1e10), quick}, opts...)
	c, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// clientOf returns a client whose requests the transport answers.
func clientOf(t testing.TB, transport http.RoundTripper, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	return newClient(t, "https://api.example.com", append([]epcclogs.Option{over(transport)}, opts...)...)
}

func over(transport http.RoundTripper) epcclogs.Option {
	return epcclogs.WithHTTPClient(&http.Client{Transport: transport})
}

// call makes one call, GET /v2/integrations.
func call(ctx context.Context, c *epcclogs.Client) error {
	return errorOf(c.ListIntegrations(ctx, nil))
}

// begin starts a call, and returns where its error arrives.
func begin(ctx context.Context, c *epcclogs.Client) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- call(ctx, c) }()
	return ended
}

// errorOf drops what a call returns beside its error.
func errorOf[T any](_ T, err error) error { return err }

// Every id, page and context that is refused, by every call that takes one.
func TestCallsRefuse(t *testing.T) {
	s := wire.Steps(wire.OK(wire.Page()))
	c := clientOf(t, s)
	withID := func(ctx context.Context, id string, opts *epcclogs.ListOptions) map[string]error {
		return map[string]error{
			"ListIntegrationLogs":      errorOf(c.ListIntegrationLogs(ctx, id, opts)),
			"ListIntegrationJobs":      errorOf(c.ListIntegrationJobs(ctx, id, opts)),
			"ListJobLogs, integration": errorOf(c.ListJobLogs(ctx, id, "job", opts)),
			"ListJobLogs, job":         errorOf(c.ListJobLogs(ctx, integration, id, opts)),
			"IntegrationLogs":          exhaust(ctx, c.IntegrationLogs(id, opts)),
			"IntegrationJobs":          exhaust(ctx, c.IntegrationJobs(id, opts)),
			"JobLogs, integration":     exhaust(ctx, c.JobLogs(id, "job", opts)),
			"JobLogs, job":             exhaust(ctx, c.JobLogs(integration, id, opts)),
		}
	}
	refused := func(errs map[string]error, what any) {
		t.Helper()
		for name, err := range errs {
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, "%s of %+v", name, what)
		}
	}
	for _, id := range []string{
		"", ".", "..", "a/b", "/", `a\b`, "a b", " ", "a.b", "a%2Fb", "a?b", "a#b", "a:b", "a@b", "a+b", "a\nb", "a\x00",
		"é", "ａ", "\xff", "a/../b", strings.Repeat("a", 40) + "/",
	} {
		refused(withID(t.Context(), id, nil), id)
		require.ErrorIs(t, errorOf(c.GetIntegration(t.Context(), id)), epcclogs.ErrInvalidArgument, "id %q", id)
	}
	lists := func(ctx context.Context, opts *epcclogs.ListOptions) map[string]error {
		errs := withID(ctx, integration, opts)
		errs["ListStoreLogs"] = errorOf(c.ListStoreLogs(ctx, opts))
		errs["ListIntegrations"] = errorOf(c.ListIntegrations(ctx, opts))
		errs["StoreLogs"] = exhaust(ctx, c.StoreLogs(opts))
		errs["Integrations"] = exhaust(ctx, c.Integrations(opts))
		return errs
	}
	for _, opts := range []epcclogs.ListOptions{
		{Limit: -1}, {Limit: 101}, {Limit: math.MaxInt}, {Offset: -1}, {Limit: 10, Offset: math.MinInt},
	} {
		refused(lists(t.Context(), &opts), opts)
	}
	refused(lists(noContext, nil), "nil context")
	require.ErrorIs(t, errorOf(c.GetIntegration(noContext, integration)), epcclogs.ErrInvalidArgument)
	assert.Empty(t, s.Sent(), "nothing is sent")

	// The edges are not refused.
	for _, opts := range []epcclogs.ListOptions{{}, {Limit: 1}, {Limit: 100}, {Offset: 0}, {Offset: math.MaxInt32}} {
		require.NoError(t, errorOf(c.ListStoreLogs(t.Context(), &opts)), "%+v", opts)
	}
}

func TestBaseURLPaths(t *testing.T) {
	for suffix, prefix := range map[string]string{
		"":                 "",
		"/":                "",
		"//":               "",
		"/v2":              "",
		"/v2/":             "",
		"/v2//":            "",
		"/gate":            "/gate",
		"/gate/":           "/gate",
		"/gate/v2":         "/gate",
		"/gate/v2/":        "/gate",
		"/gate//v2/":       "/gate",
		"/gate/epcc-v2":    "/gate/epcc-v2",
		"/v2/gate":         "/v2/gate",
		"/a%2Fb%20c/v2":    "/a%2Fb%20c",
		"/gate/version/v2": "/gate/version",
	} {
		t.Run(suffix, func(t *testing.T) {
			s := wire.Serve(t, wire.OK(`{"access_token":"fetched-token"}`), done)
			c := newClient(t, s.URL+suffix, epcclogs.WithClientCredentials("id", "secret"))
			_, err := c.ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 5, Offset: 10})
			require.NoError(t, err)
			assert.Equal(t, []string{
				"POST " + prefix + "/oauth/access_token",
				"GET " + prefix + "/v2/integrations/" + integration + "/logs?page%5Blimit%5D=5&page%5Boffset%5D=10",
			}, s.Sent())
		})
	}
}

// A base URL stays what it is on its way to the transport, and in errors.
func TestBaseURLIsKept(t *testing.T) {
	s := wire.Steps(wire.Reply(404, ""))
	for base, host := range map[string]string{
		epcclogs.EUWest: "euwest.api.elasticpath.com", "HTTPS://api.example.com:8443": "api.example.com:8443",
		"https://[2001:db8::1]:8443": "[2001:db8::1]:8443", "http://[fe80::1%25eth0]:8080": "[fe80::1%eth0]:8080",
		"https://b%C3%BCcher.example.com": "bücher.example.com",
	} {
		err := call(t.Context(), clientOf(t, s, epcclogs.WithBaseURL(base+"/a%2Fb/v2/")))
		sent := s.Last().URL
		assert.Equal(t, host, sent.Host)
		assert.Equal(t, "/a%2Fb/v2/integrations", sent.EscapedPath())
		assert.Equal(t, sent.String(), as[*epcclogs.APIError](t, err).URL)
	}
}

func TestHeaders(t *testing.T) {
	s := wire.Serve(t, done)
	require.NoError(t, call(t.Context(), newClient(t, s.URL)))
	r := s.Last()
	assert.Equal(t, []string{"application/json"}, r.Header.Values("Accept"))
	assert.Equal(t, []string{"no-cache"}, r.Header.Values("Cache-Control"))
	assert.Equal(t, []string{"epcclogs/" + epcclogs.Version}, r.Header.Values("User-Agent"))
	assert.NotContains(t, r.Header, "Authorization", "no credentials, no Authorization")
	assert.NotContains(t, r.Header, "Content-Type", "a GET has no body")
	assert.Zero(t, r.ContentLength)

	require.NoError(t, call(t.Context(), newClient(t, s.URL, epcclogs.WithUserAgent("my-service/1.2 (eu)"), epcclogs.WithToken("!~a.b-c_d/e+f=="))))
	r = s.Last()
	assert.Equal(t, []string{"my-service/1.2 (eu) epcclogs/" + epcclogs.Version}, r.Header.Values("User-Agent"))
	assert.Equal(t, []string{"Bearer !~a.b-c_d/e+f=="}, r.Header.Values("Authorization"))
}

// A gateway, or the caller's transport, may add the credentials. It may refuse a GET that has
// a body: over HTTP/2 an empty one is a frame of its own.
func TestTransportMayAuthorize(t *testing.T) {
	s := wire.Steps(wire.Reply(503, ""), done)
	require.NoError(t, call(t.Context(), clientOf(t, wire.Step(func(r *http.Request) (*http.Response, error) {
		assert.True(t, r.Body == nil || r.Body == http.NoBody)
		assert.Empty(t, r.Header.Values("Authorization"), "each attempt starts anew")
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer of-the-transport")
		return s.RoundTrip(r)
	}))))
	assert.Equal(t, "Bearer of-the-transport", s.Last().Header.Get("Authorization"))
}

// countingJar counts its uses.
type countingJar struct{ uses atomic.Int32 }

func (j *countingJar) SetCookies(*url.URL, []*http.Cookie) { j.uses.Add(1) }

func (j *countingJar) Cookies(*url.URL) []*http.Cookie { j.uses.Add(1); return nil }

func TestCallersHTTPClientIsLeftAlone(t *testing.T) {
	target := wire.Serve(t, done)
	s := wire.Serve(t, wire.OK(wire.Page(), "Set-Cookie", "session="+marker), done, wire.Reply(302, "", "Location", target.URL))
	jar, transport := new(countingJar), new(http.Transport)
	redirects := 0
	check := func(*http.Request, []*http.Request) error { redirects++; return nil }
	hc := &http.Client{Transport: transport, CheckRedirect: check, Jar: jar, Timeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)

	c := newClient(t, s.URL, epcclogs.WithHTTPClient(hc))
	require.NoError(t, call(t.Context(), c))
	require.NoError(t, call(t.Context(), c))
	assert.NotContains(t, s.Last().Header, "Cookie")
	apiErr := as[*epcclogs.APIError](t, call(t.Context(), c))
	assert.Equal(t, http.StatusFound, apiErr.StatusCode)
	assert.Zero(t, redirects, "CheckRedirect is not used")
	assert.Zero(t, jar.uses.Load(), "Jar is not used")
	assert.Empty(t, target.Sent())

	assert.Same(t, transport, hc.Transport)
	assert.Same(t, jar, hc.Jar)
	assert.NotNil(t, hc.CheckRedirect)
	assert.Equal(t, time.Minute, hc.Timeout)
	assert.True(t, transport.Proxy == nil && transport.DialContext == nil && transport.MaxIdleConnsPerHost == 0 &&
		transport.ResponseHeaderTimeout == 0 && transport.IdleConnTimeout == 0, "the transport is not modified")

	// It was copied: what its owner changes later means nothing here.
	hc.Transport = wire.Break(errors.New("replaced"))
	require.ErrorAs(t, call(t.Context(), c), &apiErr)
	assert.Len(t, s.Sent(), 4)
}

// countingTransport counts how often its idle connections are closed.
type countingTransport struct {
	http.Transport
	closes atomic.Int32
}

func (c *countingTransport) CloseIdleConnections() {
	c.closes.Add(1)
	c.Transport.CloseIdleConnections()
}

// Calls of every outcome leave the connections of the caller's transport open.
func TestCallersConnectionsAreNotClosed(t *testing.T) {
	transport := new(countingTransport)
	t.Cleanup(transport.Transport.CloseIdleConnections)
	s := wire.Serve(t,
		done,
		wire.Reply(404, ""), // permanent
		wire.Reply(503, ""), wire.Reply(503, ""), wire.Reply(503, ""),
		wire.OK("{"), wire.OK("{"), wire.OK("{"), // retried, then a DecodeError
		wire.OK("[]"), // DecodeError
		done,
	)
	c := newClient(t, s.URL, over(transport))
	require.NoError(t, call(t.Context(), c))
	for range 4 {
		require.Error(t, call(t.Context(), c))
	}
	c.CloseIdleConnections()
	require.NoError(t, call(t.Context(), c))
	require.Len(t, s.Sent(), 10)
	assert.Equal(t, 1, s.Connections(), "one connection served all")

	closed := wire.Serve(t, done)
	closed.Close()
	refused := newClient(t, closed.URL, over(transport))
	require.Error(t, call(t.Context(), refused))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, call(ctx, c), context.Canceled)
	refused.CloseIdleConnections()
	assert.Zero(t, transport.closes.Load())
}

// A client of its caller without a transport has http.DefaultTransport, which
// others use too.
func TestDefaultTransportIsNotClosed(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := wire.Serve(t, done)
	c := newClient(t, s.URL, over(nil))
	require.NoError(t, call(t.Context(), c))
	c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 1, s.Connections(), "it is http.DefaultTransport")
}

func TestCloseIdleConnections(t *testing.T) {
	s := wire.Serve(t, done, wire.Reply(404, ""), done)
	c := newClient(t, s.URL)
	require.NoError(t, call(t.Context(), c))
	require.Error(t, call(t.Context(), c))
	require.NoError(t, call(t.Context(), c))
	assert.Equal(t, 1, s.Connections(), "kept, also after a failed call")
	c.CloseIdleConnections()
	require.NoError(t, call(t.Context(), c), "still of use")
	assert.Equal(t, 2, s.Connections())

	other := newClient(t, s.URL)
	require.NoError(t, call(t.Context(), other))
	c.CloseIdleConnections()
	require.NoError(t, call(t.Context(), other))
	assert.Equal(t, 3, s.Connections(), "each client has its own")
}

// Connections that were open together are all kept for the next requests, also by a transport
// with the line that WithHTTPClient documents.
func TestConnectionsAreKept(t *testing.T) {
	const parallel = 40
	theirs := http.DefaultTransport.(*http.Transport).Clone()
	theirs.MaxIdleConnsPerHost = 64
	t.Cleanup(theirs.CloseIdleConnections)
	for name, opts := range map[string][]epcclogs.Option{"own": nil, "WithHTTPClient": {over(theirs)}} {
		t.Run(name, func(t *testing.T) {
			meet := wire.Meeting(t, parallel)
			s := wire.Serve(t, func(r *http.Request) (*http.Response, error) {
				meet()
				return done(r)
			})
			c := newClient(t, s.URL, opts...)
			for range 2 {
				var calls []<-chan error
				for range parallel {
					calls = append(calls, begin(t.Context(), c))
				}
				for _, ended := range calls {
					require.NoError(t, <-ended)
				}
			}
			assert.Equal(t, parallel, s.Connections())
		})
	}
}

// A connection of HTTP/2 that has died is shared by all requests. It must be
// found out within one attempt, or every retry would take it again.
func TestDeadConnectionIsFoundWithinAnAttempt(t *testing.T) {
	const timeout = 800 * time.Millisecond
	s := wire.ServeTLS(t, 0, done)
	transport := epcclogs.NewTransport(timeout)
	transport.TLSClientConfig = s.Trusting
	c := newClient(t, s.URL, over(transport), epcclogs.WithTimeout(timeout))
	require.NoError(t, call(t.Context(), c))
	s.Lose()
	require.NoError(t, call(t.Context(), c))
	assert.EqualValues(t, 2, s.Accepted())
	config := epcclogs.NewTransport(0).HTTP2
	assert.Less(t, config.SendPingTimeout+config.PingTimeout, epcclogs.DefaultTimeout)
}

func TestResponseWithoutBody(t *testing.T) {
	status := http.StatusOK
	c := clientOf(t, wire.Step(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: status}, nil }))
	decodeErr := as[*epcclogs.DecodeError](t, call(t.Context(), c))
	assert.Empty(t, decodeErr.Body)

	status = http.StatusNotFound
	apiErr := as[*epcclogs.APIError](t, call(t.Context(), c))
	require.ErrorIs(t, apiErr, epcclogs.ErrNotFound)
	assert.Empty(t, apiErr.Body)
}

// FuzzID takes ids: refused before anything is sent, or exactly one segment of
// the path each.
func FuzzID(f *testing.F) {
	for _, id := range []string{
		"", ".", "..", "A", "z", "AZaz09-_", "-", "_", "ff8634a8-a89e-4eac-baab-9b7b8c4f8720", "a/b", "a%2fb", "a?b", "a#b", "a b", "ä", "a\x00",
		"..%2f", "a\n", "\xff", ";", "logs", "İ", "ſ", "%", "+", "~", ":", "@", "\u202e", "a\u0301", "Ａ",
	} {
		f.Add(id, "job-1")
		f.Add("integration-1", id)
	}
	allowed := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	f.Fuzz(func(t *testing.T, id, job string) {
		s := wire.Steps(wire.OK(wire.Page()))
		_, err := clientOf(t, s, epcclogs.WithBaseURL("https://127.0.0.1/prefix")).ListJobLogs(t.Context(), id, job, nil)
		if !allowed.MatchString(id) || !allowed.MatchString(job) {
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			require.Empty(t, s.Sent())
			return
		}
		require.NoError(t, err)
		sent := s.Last().URL
		want := "https://127.0.0.1/prefix/v2/integrations/" + id + "/jobs/" + job + "/logs"
		again, err := url.Parse(sent.String())
		require.NoError(t, err)
		require.Equal(t, want, sent.String())
		require.Equal(t, want, again.JoinPath().String())
		require.Equal(t, again.Path, again.EscapedPath())
		require.Equal(t, 7, strings.Count(again.Path, "/"))
	})
}
