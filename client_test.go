package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// marker stands in arguments and answers for what must be shown nowhere.
const marker = "hunter2-hunter2"

// clientWire is a transport without a network.
type clientWire func(*http.Request) (*http.Response, error)

func (w clientWire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func (w clientWire) option() epcclogs.Option {
	return epcclogs.WithHTTPClient(&http.Client{Transport: w})
}

func clientReply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// lastOf returns the latest request that the server has received.
func (s *script) lastOf(t *testing.T) *http.Request {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.requests)
	return s.requests[len(s.requests)-1]
}

func clientGet(ctx context.Context, c *epcclogs.Client) error {
	_, err := c.ListIntegrations(ctx, nil)
	return err
}

func TestNewClientRefuses(t *testing.T) {
	token := func(context.Context) (string, error) { return "token", nil }
	for name, opts := range map[string][]epcclogs.Option{
		"nil option":              {nil},
		"nil option among others": {epcclogs.WithTimeout(0), nil},
		"nil HTTP client":         {epcclogs.WithHTTPClient(nil)},
		"nil token function":      {epcclogs.WithTokenFunc(nil)},
		"nil logger":              {epcclogs.WithLogger(nil)},

		"base URL empty":                              {epcclogs.WithBaseURL("")},
		"base URL without scheme":                     {epcclogs.WithBaseURL("api.example.com")},
		"base URL scheme only":                        {epcclogs.WithBaseURL("https://")},
		"base URL without host":                       {epcclogs.WithBaseURL("https:///v2")},
		"base URL with port only":                     {epcclogs.WithBaseURL("https://:443")},
		"base URL with an impossible port":            {epcclogs.WithBaseURL("https://api.example.com:65536")},
		"base URL opaque":                             {epcclogs.WithBaseURL("https:api.example.com")},
		"base URL of another scheme":                  {epcclogs.WithBaseURL("ftp://api.example.com")},
		"base URL relative":                           {epcclogs.WithBaseURL("//api.example.com")},
		"base URL with a query":                       {epcclogs.WithBaseURL("https://api.example.com?key=" + marker)},
		"base URL with an empty query":                {epcclogs.WithBaseURL("https://api.example.com/v2?")},
		"base URL with a fragment":                    {epcclogs.WithBaseURL("https://api.example.com/#" + marker)},
		"base URL with an empty fragment":             {epcclogs.WithBaseURL("https://api.example.com#")},
		"base URL with a user":                        {epcclogs.WithBaseURL("https://user@api.example.com")},
		"base URL with a password":                    {epcclogs.WithBaseURL("https://user:" + marker + "@api.example.com")},
		"base URL with a password and a bad port":     {epcclogs.WithBaseURL("https://user:" + marker + "@api.example.com:port")},
		"base URL with a password and bad escapes":    {epcclogs.WithBaseURL("https://user:" + marker + "@api.example.com/%zz")},
		"base URL with a password and another scheme": {epcclogs.WithBaseURL("ftp://user:" + marker + "@api.example.com")},
		"base URL with a control character":           {epcclogs.WithBaseURL("https://api.example.com/" + marker + "\n")},

		"token empty":               {epcclogs.WithToken("")},
		"token with a space":        {epcclogs.WithToken(marker + " x")},
		"token with a newline":      {epcclogs.WithToken(marker + "\r\nX-Injected: 1")},
		"token not ASCII":           {epcclogs.WithToken(marker + "ü")},
		"token with DEL":            {epcclogs.WithToken(marker + "\x7f")},
		"client id empty":           {epcclogs.WithClientCredentials("", marker)},
		"client id unprintable":     {epcclogs.WithClientCredentials("id\n", marker)},
		"client secret empty":       {epcclogs.WithClientCredentials("id", "")},
		"client secret unprintable": {epcclogs.WithClientCredentials("id", marker+"\x00")},

		"two kinds: token, function":       {epcclogs.WithToken(marker), epcclogs.WithTokenFunc(token)},
		"two kinds: function, token":       {epcclogs.WithTokenFunc(token), epcclogs.WithToken(marker)},
		"two kinds: token, credentials":    {epcclogs.WithToken(marker), epcclogs.WithClientCredentials("id", marker)},
		"two kinds: credentials, token":    {epcclogs.WithClientCredentials("id", marker), epcclogs.WithToken(marker)},
		"two kinds: function, credentials": {epcclogs.WithTokenFunc(token), epcclogs.WithClientCredentials("id", marker)},
		"two kinds: credentials, function": {epcclogs.WithClientCredentials("id", marker), epcclogs.WithTokenFunc(token)},
		"two kinds: the first again":       {epcclogs.WithToken("a"), epcclogs.WithTokenFunc(token), epcclogs.WithToken("a")},

		"timeout negative":                     {epcclogs.WithTimeout(-1)},
		"attempts negative":                    {epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: -1})},
		"least wait negative":                  {epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: -1})},
		"longest wait negative":                {epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: -1})},
		"least wait above longest":             {epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 2, MaxWait: 1})},
		"least wait above the default longest": {epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 30*time.Second + 1})},
		"rate negative":                        {epcclogs.WithRateLimit(-1)},
		"rate slightly negative":               {epcclogs.WithRateLimit(-math.SmallestNonzeroFloat64)},
		"rate not a number":                    {epcclogs.WithRateLimit(math.NaN())},
		"rate infinite":                        {epcclogs.WithRateLimit(math.Inf(1))},
		"rate negative infinite":               {epcclogs.WithRateLimit(math.Inf(-1))},
		"response size 0":                      {epcclogs.WithMaxResponseSize(0)},
		"response size negative":               {epcclogs.WithMaxResponseSize(-1)},
		"user agent empty":                     {epcclogs.WithUserAgent("")},
		"user agent blank":                     {epcclogs.WithUserAgent("  ")},
		"user agent with a newline":            {epcclogs.WithUserAgent("a\r\nX-Injected: 1")},
		"user agent not ASCII":                 {epcclogs.WithUserAgent("ä/1")},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := epcclogs.NewClient(opts...)
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			assert.Nil(t, c)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), marker)
		})
	}
}

// What stands at the edge of what is refused.
func TestNewClientAccepts(t *testing.T) {
	c, err := epcclogs.NewClient()
	require.NoError(t, err)
	assert.NotNil(t, c)
	for name, opt := range map[string]epcclogs.Option{
		"default URL":        epcclogs.WithBaseURL(epcclogs.USEast),
		"scheme in capitals": epcclogs.WithBaseURL("HTTPS://api.example.com:8443"),
		"IPv6":               epcclogs.WithBaseURL("https://[2001:db8::1]:8443/v2"),
		"http":               epcclogs.WithBaseURL("http://api.example.com"),
		"no timeout":         epcclogs.WithTimeout(0),
		"no rate limit":      epcclogs.WithRateLimit(0),
		"rate limit":         epcclogs.WithRateLimit(0.5),
		"zero policy":        epcclogs.WithRetry(epcclogs.RetryPolicy{}),
		"equal waits":        epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 1, MaxWait: 1}),
		"short MaxWait":      epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 1}),
		"one byte":           epcclogs.WithMaxResponseSize(1),
		"all bytes":          epcclogs.WithMaxResponseSize(math.MaxInt64),
		"user agent":         epcclogs.WithUserAgent("my-service/1.2 (eu)"),
		"token":              epcclogs.WithToken("!~a.b-c_d/e+f=="),
		"spaces in a secret": epcclogs.WithClientCredentials("my id", "my secret"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := epcclogs.NewClient(opt)
			assert.NoError(t, err)
		})
	}
}

func TestLargestResponseSize(t *testing.T) {
	s := serve(t, ok(bare(record(1))))
	page, err := newClient(t, s.URL, epcclogs.WithMaxResponseSize(math.MaxInt64)).ListStoreLogs(t.Context(), nil)
	require.NoError(t, err)
	assert.Len(t, page.Data, 1)
}

// Every id, page and context that is refused, by every call that takes one.
func TestCallsRefuse(t *testing.T) {
	s := serve(t, ok(bare()))
	c := newClient(t, s.URL)
	type call func(ctx context.Context, id string, opts *epcclogs.ListOptions) error
	calls := map[string]call{
		"ListIntegrationLogs": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			_, err := c.ListIntegrationLogs(ctx, id, opts)
			return err
		},
		"ListJobLogs integration": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			_, err := c.ListJobLogs(ctx, id, "job", opts)
			return err
		},
		"ListJobLogs job": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			_, err := c.ListJobLogs(ctx, integration, id, opts)
			return err
		},
		"ListIntegrationJobs": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			_, err := c.ListIntegrationJobs(ctx, id, opts)
			return err
		},
		"IntegrationLogs": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.IntegrationLogs(id, opts))
		},
		"JobLogs integration": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.JobLogs(id, "job", opts))
		},
		"JobLogs job": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.JobLogs(integration, id, opts))
		},
		"IntegrationJobs": func(ctx context.Context, id string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.IntegrationJobs(id, opts))
		},
	}
	get := func(ctx context.Context, id string, _ *epcclogs.ListOptions) error {
		_, err := c.GetIntegration(ctx, id)
		return err
	}
	lists := map[string]call{
		"ListStoreLogs": func(ctx context.Context, _ string, opts *epcclogs.ListOptions) error {
			_, err := c.ListStoreLogs(ctx, opts)
			return err
		},
		"ListIntegrations": func(ctx context.Context, _ string, opts *epcclogs.ListOptions) error {
			_, err := c.ListIntegrations(ctx, opts)
			return err
		},
		"StoreLogs": func(ctx context.Context, _ string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.StoreLogs(opts))
		},
		"Integrations": func(ctx context.Context, _ string, opts *epcclogs.ListOptions) error {
			return clientDrain(ctx, c.Integrations(opts))
		},
	}
	ids := []string{
		"", ".", "..", "a/b", "/", `a\b`, "a b", " ", "a.b", "a%2Fb", "a?b", "a#b", "a:b", "a@b", "a+b", "a\nb", "a\x00",
		"é", "ａ", "\xff", "a/../b", strings.Repeat("a", 40) + "/",
	}
	takeIDs := map[string]call{"GetIntegration": get}
	for name, call := range calls {
		takeIDs[name] = call
		lists[name] = call
	}
	for name, call := range takeIDs {
		t.Run(name, func(t *testing.T) {
			for _, id := range ids {
				require.ErrorIsf(t, call(t.Context(), id, nil), epcclogs.ErrInvalidArgument, "id %q", id)
			}
			require.ErrorIs(t, call(clientNoContext(), integration, nil), epcclogs.ErrInvalidArgument, "nil context")
		})
	}
	for name, call := range lists {
		t.Run(name, func(t *testing.T) {
			for _, opts := range []epcclogs.ListOptions{
				{Limit: -1}, {Limit: 101}, {Limit: math.MaxInt}, {Offset: -1}, {Limit: 10, Offset: math.MinInt},
			} {
				require.ErrorIsf(t, call(t.Context(), integration, &opts), epcclogs.ErrInvalidArgument, "%+v", opts)
			}
			require.ErrorIs(t, call(clientNoContext(), integration, nil), epcclogs.ErrInvalidArgument, "nil context")
		})
	}
	assert.Empty(t, s.sent(), "nothing is sent")

	// The edges are not refused.
	for _, id := range []string{integration, "A", "z", "AZaz09-_", "-", "_", strings.Repeat("a", 300)} {
		require.NoErrorf(t, calls["ListIntegrationLogs"](t.Context(), id, nil), "id %q", id)
		assert.Equal(t, "/v2/integrations/"+id+"/logs", s.lastOf(t).RequestURI)
	}
	for _, opts := range []epcclogs.ListOptions{{}, {Limit: 1}, {Limit: 100}, {Offset: 0}, {Offset: math.MaxInt32}} {
		require.NoErrorf(t, lists["ListStoreLogs"](t.Context(), "", &opts), "%+v", opts)
	}
}

func clientNoContext() context.Context { return nil }

func clientDrain[T any](ctx context.Context, p *epcclogs.Pager[T]) error {
	for _, err := range p.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
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
			s := serve(t, ok(`{"access_token":"fetched-token","expires_in":3600}`), ok(bare()))
			c := newClient(t, s.URL+suffix, epcclogs.WithClientCredentials("id", "secret"))
			_, err := c.ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 5, Offset: 10})
			require.NoError(t, err)
			assert.Equal(t, []string{
				"POST " + prefix + "/oauth/access_token",
				"GET " + prefix + "/v2/integrations/" + integration + "/logs?page%5Blimit%5D=5&page%5Boffset%5D=10",
			}, s.sent())
		})
	}
}

// An error's URL is the one that was asked, made from the host as it was given.
func TestBaseURLKeepsHostAndPort(t *testing.T) {
	var asked []string
	refuse := clientWire(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return clientReply(http.StatusNotFound, ""), nil
	})
	for _, base := range []string{epcclogs.EUWest, "https://api.example.com:8443/x", "https://[2001:db8::1]:8443"} {
		c, err := epcclogs.NewClient(epcclogs.WithBaseURL(base), refuse.option())
		require.NoError(t, err)
		err = clientGet(t.Context(), c)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, base+"/v2/integrations", apiErr.URL)
		assert.Equal(t, apiErr.URL, asked[len(asked)-1])
	}
}

func TestCredentialsNeedTLSUnlessLoopback(t *testing.T) {
	kinds := map[string]epcclogs.Option{
		"token":       epcclogs.WithToken(marker),
		"function":    epcclogs.WithTokenFunc(func(context.Context) (string, error) { return marker, nil }),
		"credentials": epcclogs.WithClientCredentials("id", marker),
	}
	for base, allowed := range map[string]bool{
		"http://localhost":                 true,
		"http://localhost:8080/v2":         true,
		"http://127.0.0.1":                 true,
		"http://127.0.0.1:8080":            true,
		"http://127.8.9.1":                 true,
		"http://[::1]":                     true,
		"http://[::1]:8080/x":              true,
		"https://api.example.com":          true,
		"HTTPS://api.example.com":          true,
		"http://api.example.com":           false,
		"HTTP://api.example.com":           false,
		"http://10.0.0.1":                  false,
		"http://0.0.0.0":                   false,
		"http://[::]":                      false,
		"http://[2001:db8::1]":             false,
		"http://128.0.0.1":                 false,
		"http://localhost.example.com":     false,
		"http://example.localhost.com":     false,
		"http://127.0.0.1.example.com":     false,
		"http://mylocalhost":               false,
		"http://api.example.com/localhost": false,
	} {
		for kind, opt := range kinds {
			t.Run(base+" "+kind, func(t *testing.T) {
				// The order of the options makes no difference.
				for _, opts := range [][]epcclogs.Option{
					{epcclogs.WithBaseURL(base), opt}, {opt, epcclogs.WithBaseURL(base)},
				} {
					_, err := epcclogs.NewClient(opts...)
					if allowed {
						require.NoError(t, err)
						continue
					}
					require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
					assert.NotContains(t, err.Error(), marker)
				}
			})
		}
		_, err := epcclogs.NewClient(epcclogs.WithBaseURL(base))
		require.NoErrorf(t, err, "%s without credentials", base)
	}
}

func TestLaterOptionWins(t *testing.T) {
	first, second := serve(t, ok(bare())), serve(t, ok(bare()))
	unused := clientWire(func(*http.Request) (*http.Response, error) { return nil, errors.New("the first transport was used") })
	var logged clientRecords
	c, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(first.URL), epcclogs.WithBaseURL(second.URL),
		epcclogs.WithToken("first-token"), epcclogs.WithToken("second-token"),
		epcclogs.WithUserAgent("first/1"), epcclogs.WithUserAgent("second/2"),
		unused.option(), epcclogs.WithHTTPClient(&http.Client{Transport: first.Client().Transport}),
		epcclogs.WithMaxResponseSize(1), epcclogs.WithMaxResponseSize(1000),
		epcclogs.WithLogger(slog.New(slog.DiscardHandler)), epcclogs.WithLogger(slog.New(&logged)),
	)
	require.NoError(t, err)
	require.NoError(t, clientGet(t.Context(), c))
	assert.Empty(t, first.sent())
	require.Len(t, second.sent(), 1)
	r := second.lastOf(t)
	assert.Equal(t, "Bearer second-token", r.Header.Get("Authorization"))
	assert.Equal(t, "second/2 epcclogs/"+epcclogs.Version, r.Header.Get("User-Agent"))
	assert.Len(t, logged.all(), 1)

	s := serve(t, answer{status: http.StatusInternalServerError})
	require.Error(t, clientGet(t.Context(), newClient(t, s.URL, quick, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))))
	assert.Len(t, s.sent(), 1, "the later policy")

	token := func(value string) epcclogs.Option {
		return epcclogs.WithTokenFunc(func(context.Context) (string, error) { return value, nil })
	}
	require.NoError(t, clientGet(t.Context(), newClient(t, first.URL, token("first"), token("second"))))
	assert.Equal(t, "Bearer second", first.lastOf(t).Header.Get("Authorization"))

	s = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "second", r.PostFormValue("client_secret"))
		ok(`{"access_token":"fetched"}`).ServeHTTP(w, r)
	}), ok(bare()))
	require.NoError(t, clientGet(t.Context(), newClient(t, s.URL,
		epcclogs.WithClientCredentials("id", "first"), epcclogs.WithClientCredentials("id", "second"))))
}

func TestHeaders(t *testing.T) {
	s := serve(t, ok(bare()))
	require.NoError(t, clientGet(t.Context(), newClient(t, s.URL)))
	r := s.lastOf(t)
	assert.Equal(t, []string{"application/json"}, r.Header.Values("Accept"))
	assert.Equal(t, []string{"epcclogs/" + epcclogs.Version}, r.Header.Values("User-Agent"))
	assert.NotContains(t, r.Header, "Authorization", "no credentials, no Authorization")
	assert.NotContains(t, r.Header, "Content-Type", "a GET has no body")
	assert.Zero(t, r.ContentLength)

	require.NoError(t, clientGet(t.Context(), newClient(t, s.URL, epcclogs.WithUserAgent("my-service/1.2"), epcclogs.WithToken("a-token"))))
	r = s.lastOf(t)
	assert.Equal(t, []string{"my-service/1.2 epcclogs/" + epcclogs.Version}, r.Header.Values("User-Agent"))
	assert.Equal(t, []string{"Bearer a-token"}, r.Header.Values("Authorization"))
}

// Over HTTP/2 an empty body is a frame of its own, and other transports may
// refuse a GET that has one.
func TestGetHasNoBody(t *testing.T) {
	c := newClient(t, "https://api.example.com", clientWire(func(r *http.Request) (*http.Response, error) {
		assert.True(t, r.Body == nil || r.Body == http.NoBody, "a GET without a body")
		return clientReply(http.StatusOK, bare()), nil
	}).option())
	require.NoError(t, clientGet(t.Context(), c))
}

// A gateway, or the caller's transport, may add the credentials.
func TestTransportMayAuthorize(t *testing.T) {
	s := serve(t, answer{status: http.StatusServiceUnavailable}, ok(bare()))
	c := newClient(t, s.URL, clientWire(func(r *http.Request) (*http.Response, error) {
		assert.Empty(t, r.Header.Values("Authorization"), "each attempt starts anew")
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer of-the-transport")
		return s.Client().Transport.RoundTrip(r)
	}).option())
	require.NoError(t, clientGet(t.Context(), c))
	assert.Equal(t, "Bearer of-the-transport", s.lastOf(t).Header.Get("Authorization"))
}

func TestNewClientFromEnv(t *testing.T) {
	var hosts []string
	here := clientWire(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.Scheme+"://"+r.URL.Host)
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			form, _ := url.ParseQuery(string(body))
			assert.Equal(t, "env-id", form.Get("client_id"))
			return clientReply(http.StatusOK, `{"access_token":"fetched-with-`+form.Get("client_secret")+`"}`), nil
		}
		assert.Equal(t, "Bearer fetched-with-"+marker, r.Header.Get("Authorization"))
		return clientReply(http.StatusOK, bare()), nil
	})
	setEnv := func(t *testing.T, base, id, secret string) {
		t.Setenv("EPCC_API_BASE_URL", base)
		t.Setenv("EPCC_CLIENT_ID", id)
		t.Setenv("EPCC_CLIENT_SECRET", secret)
		hosts = nil
	}

	t.Run("missing", func(t *testing.T) {
		for _, row := range []struct {
			id, secret     string
			named, unnamed []string
		}{
			{"", "", []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET"}, nil},
			{"env-id", "", []string{"EPCC_CLIENT_SECRET"}, []string{"EPCC_CLIENT_ID", "env-id"}},
			{"", marker, []string{"EPCC_CLIENT_ID"}, []string{"EPCC_CLIENT_SECRET", marker}},
		} {
			setEnv(t, "", row.id, row.secret)
			c, err := epcclogs.NewClientFromEnv(here.option())
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			assert.Nil(t, c)
			for _, name := range row.named {
				assert.Contains(t, err.Error(), name)
			}
			for _, name := range append(row.unnamed, "EPCC_API_BASE_URL") {
				assert.NotContains(t, err.Error(), name)
			}
		}
	})
	t.Run("default host", func(t *testing.T) {
		setEnv(t, "", "env-id", marker)
		c, err := epcclogs.NewClientFromEnv(here.option())
		require.NoError(t, err)
		require.NoError(t, clientGet(t.Context(), c))
		assert.Equal(t, []string{"https://euwest.api.elasticpath.com", "https://euwest.api.elasticpath.com"}, hosts)
	})
	t.Run("base URL", func(t *testing.T) {
		setEnv(t, epcclogs.USEast+"/v2", "env-id", marker)
		c, err := epcclogs.NewClientFromEnv(here.option())
		require.NoError(t, err)
		require.NoError(t, clientGet(t.Context(), c))
		assert.Equal(t, []string{epcclogs.USEast, epcclogs.USEast}, hosts)
	})
	t.Run("options come after", func(t *testing.T) {
		setEnv(t, epcclogs.USEast, "other-id", "other-secret")
		c, err := epcclogs.NewClientFromEnv(here.option(), epcclogs.WithBaseURL("https://option.example.com"),
			epcclogs.WithClientCredentials("env-id", marker))
		require.NoError(t, err)
		require.NoError(t, clientGet(t.Context(), c))
		assert.Equal(t, []string{"https://option.example.com", "https://option.example.com"}, hosts)
	})
	t.Run("refused", func(t *testing.T) {
		for _, base := range []string{"http://api.example.com", "https://user:" + marker + "@api.example.com", "example"} {
			setEnv(t, base, "env-id", marker)
			_, err := epcclogs.NewClientFromEnv(here.option())
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			assert.NotContains(t, err.Error(), marker)
		}
		setEnv(t, "", "env-id", marker)
		_, err := epcclogs.NewClientFromEnv(epcclogs.WithToken(marker))
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, "two kinds of credentials")
		_, err = epcclogs.NewClientFromEnv(nil)
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		assert.Empty(t, hosts)
	})
}

func TestNewClientReadsNoEnvironment(t *testing.T) {
	t.Setenv("EPCC_API_BASE_URL", "https://env.example.com")
	t.Setenv("EPCC_CLIENT_ID", "env-id")
	t.Setenv("EPCC_CLIENT_SECRET", marker)
	c, err := epcclogs.NewClient(clientWire(func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, epcclogs.EUWest+"/v2/integrations", r.URL.String())
		assert.NotContains(t, r.Header, "Authorization")
		return clientReply(http.StatusOK, bare()), nil
	}).option())
	require.NoError(t, err)
	require.NoError(t, clientGet(t.Context(), c))
}

// The bound of an attempt is the deadline that its transport sees.
func TestTimeoutOfAnAttempt(t *testing.T) {
	for name, row := range map[string]struct {
		http time.Duration
		opts []epcclogs.Option
		want time.Duration // 0: none
	}{
		"default":                   {want: 30 * time.Second},
		"WithTimeout":               {opts: []epcclogs.Option{epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout twice":         {opts: []epcclogs.Option{epcclogs.WithTimeout(time.Second), epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout 0":             {opts: []epcclogs.Option{epcclogs.WithTimeout(0)}},
		"the http.Client's":         {http: 7 * time.Minute, want: 7 * time.Minute},
		"WithTimeout goes before":   {http: 7 * time.Minute, opts: []epcclogs.Option{epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout 0 goes before": {http: 7 * time.Minute, opts: []epcclogs.Option{epcclogs.WithTimeout(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			attempts := 0
			hc := &http.Client{Timeout: row.http, Transport: clientWire(func(r *http.Request) (*http.Response, error) {
				attempts++
				deadline, ok := r.Context().Deadline()
				assert.Equal(t, row.want > 0, ok)
				if ok {
					assert.False(t, deadline.Before(start.Add(row.want)), "not shorter")
					assert.False(t, deadline.After(time.Now().Add(row.want)), "not longer")
				}
				if attempts == 1 {
					return clientReply(http.StatusServiceUnavailable, ""), nil
				}
				return clientReply(http.StatusOK, bare()), nil
			})}
			// On both sides of the other options: the order makes no difference.
			for _, opts := range [][]epcclogs.Option{
				append([]epcclogs.Option{epcclogs.WithHTTPClient(hc)}, row.opts...),
				append(slices.Clone(row.opts), epcclogs.WithHTTPClient(hc)),
			} {
				attempts, start = 0, time.Now()
				require.NoError(t, clientGet(t.Context(), newClient(t, "https://api.example.com", opts...)))
				assert.Equal(t, 2, attempts)
			}
		})
	}
}

// clientJar counts its uses.
type clientJar struct {
	http.CookieJar
	uses atomic.Int32
}

func (j *clientJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.uses.Add(1)
	j.CookieJar.SetCookies(u, cookies)
}

func (j *clientJar) Cookies(u *url.URL) []*http.Cookie {
	j.uses.Add(1)
	return j.CookieJar.Cookies(u)
}

func TestCallersHTTPClientIsLeftAlone(t *testing.T) {
	target := serve(t, ok(bare()))
	s := serve(t,
		answer{status: http.StatusOK, body: bare(), header: map[string]string{"Set-Cookie": "session=" + marker}},
		ok(bare()),
		answer{status: http.StatusFound, header: map[string]string{"Location": target.URL}},
	)
	inner, err := cookiejar.New(nil)
	require.NoError(t, err)
	jar := &clientJar{CookieJar: inner}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	redirects := 0
	check := func(*http.Request, []*http.Request) error { redirects++; return nil }
	hc := &http.Client{Transport: transport, CheckRedirect: check, Jar: jar, Timeout: time.Minute}

	c := newClient(t, s.URL, epcclogs.WithHTTPClient(hc))
	assert.Same(t, transport, hc.Transport)
	assert.Same(t, jar, hc.Jar)
	assert.NotNil(t, hc.CheckRedirect)
	assert.Equal(t, time.Minute, hc.Timeout)

	require.NoError(t, clientGet(t.Context(), c))
	require.NoError(t, clientGet(t.Context(), c))
	assert.NotContains(t, s.lastOf(t).Header, "Cookie")
	err = clientGet(t.Context(), c)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, http.StatusFound, apiErr.StatusCode)
	assert.Zero(t, redirects, "CheckRedirect is not used")
	assert.Zero(t, jar.uses.Load(), "Jar is not used")
	assert.Empty(t, target.sent())

	assert.Same(t, transport, hc.Transport)
	assert.Same(t, jar, hc.Jar)
	assert.Equal(t, time.Minute, hc.Timeout)
	assert.True(t, transport.Proxy == nil && transport.DialContext == nil && transport.MaxIdleConnsPerHost == 0 &&
		transport.ResponseHeaderTimeout == 0 && transport.IdleConnTimeout == 0, "the transport is not modified")

	// It was copied: what its owner changes later means nothing here.
	hc.Transport = clientWire(func(*http.Request) (*http.Response, error) { return nil, errors.New("replaced") })
	before := len(s.sent())
	require.ErrorAs(t, clientGet(t.Context(), c), &apiErr)
	assert.Len(t, s.sent(), before+1)
}

// connections returns how many connections the requests came by.
func (s *script) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := make(map[string]bool)
	for _, r := range s.requests {
		from[r.RemoteAddr] = true
	}
	return len(from)
}

// clientCounter counts how often its idle connections are closed.
type clientCounter struct {
	http.Transport
	closes atomic.Int32
}

func (c *clientCounter) CloseIdleConnections() {
	c.closes.Add(1)
	c.Transport.CloseIdleConnections()
}

// Calls of every outcome leave the connections of the caller's transport open.
func TestCallersConnectionsAreNotClosed(t *testing.T) {
	transport := new(clientCounter)
	t.Cleanup(transport.Transport.CloseIdleConnections)
	s := serve(t,
		ok(bare()),
		answer{status: http.StatusNotFound}, // permanent
		answer{status: http.StatusServiceUnavailable}, answer{status: http.StatusServiceUnavailable}, answer{status: http.StatusServiceUnavailable},
		ok("{"), ok("{"), ok("{"), // retried, then a DecodeError
		ok("[]"), // DecodeError
		ok(bare()),
	)
	c := newClient(t, s.URL, epcclogs.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, clientGet(t.Context(), c))
	for range 4 {
		require.Error(t, clientGet(t.Context(), c))
	}
	c.CloseIdleConnections()
	require.NoError(t, clientGet(t.Context(), c))
	require.Len(t, s.sent(), 10)
	assert.Equal(t, 1, s.connections(), "one connection served all")

	closed := serve(t, ok(bare()))
	closed.Close()
	refused := newClient(t, closed.URL, epcclogs.WithHTTPClient(&http.Client{Transport: transport}))
	require.Error(t, clientGet(t.Context(), refused))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, clientGet(ctx, c), context.Canceled)
	refused.CloseIdleConnections()
	assert.Zero(t, transport.closes.Load())
}

// A client of its caller without a transport has http.DefaultTransport, which
// others use too.
func TestDefaultTransportIsNotClosed(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := serve(t, ok(bare()))
	c := newClient(t, s.URL, epcclogs.WithHTTPClient(&http.Client{}))
	require.NoError(t, clientGet(t.Context(), c))
	c.CloseIdleConnections()
	require.NoError(t, clientGet(t.Context(), c))
	assert.Equal(t, 1, s.connections())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 1, s.connections(), "it is http.DefaultTransport")
}

func TestCloseIdleConnections(t *testing.T) {
	s := serve(t, ok(bare()), answer{status: http.StatusNotFound}, ok(bare()))
	c := newClient(t, s.URL)
	require.NoError(t, clientGet(t.Context(), c))
	require.Error(t, clientGet(t.Context(), c))
	require.NoError(t, clientGet(t.Context(), c))
	assert.Equal(t, 1, s.connections(), "kept, also after a failed call")
	c.CloseIdleConnections()
	require.NoError(t, clientGet(t.Context(), c), "still of use")
	assert.Equal(t, 2, s.connections())

	other := newClient(t, s.URL)
	require.NoError(t, clientGet(t.Context(), other))
	c.CloseIdleConnections()
	require.NoError(t, clientGet(t.Context(), other))
	assert.Equal(t, 3, s.connections(), "each client has its own")
}

// clientMeeting returns a function that returns once n goroutines have called it,
// then once n more have, and so on; or when the test is over.
func clientMeeting(t *testing.T, n int) func() {
	var mu sync.Mutex
	here, all := 0, make(chan struct{})
	return func() {
		mu.Lock()
		mine := all
		if here++; here == n {
			close(all)
			here, all = 0, make(chan struct{})
		}
		mu.Unlock()
		select {
		case <-mine:
		case <-t.Context().Done():
		}
	}
}

// Connections that were open together are all kept for the next requests.
func TestConnectionsAreKept(t *testing.T) {
	const parallel = 40
	meet := clientMeeting(t, parallel)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		meet()
		ok(bare()).ServeHTTP(w, r)
	}))
	c := newClient(t, s.URL)
	for range 2 {
		errs := make(chan error, parallel)
		for range parallel {
			go func() { errs <- clientGet(t.Context(), c) }()
		}
		for range parallel {
			require.NoError(t, <-errs)
		}
	}
	assert.Equal(t, parallel, s.connections())
}

func TestResponseWithoutBody(t *testing.T) {
	status := http.StatusOK
	c := newClient(t, "https://api.example.com", clientWire(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status}, nil
	}).option())
	var decodeErr *epcclogs.DecodeError
	require.ErrorAs(t, clientGet(t.Context(), c), &decodeErr)
	assert.Empty(t, decodeErr.Body)

	status = http.StatusNotFound
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, clientGet(t.Context(), c), &apiErr)
	require.ErrorIs(t, apiErr, epcclogs.ErrNotFound)
	assert.Empty(t, apiErr.Body)
}

// clientRecords keeps what is logged, at any level.
type clientRecords struct {
	mu      sync.Mutex
	records []slog.Record
}

func (l *clientRecords) Enabled(context.Context, slog.Level) bool { return true }
func (l *clientRecords) WithAttrs([]slog.Attr) slog.Handler       { panic("not used") }
func (l *clientRecords) WithGroup(string) slog.Handler            { panic("not used") }
func (l *clientRecords) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r.Clone())
	return nil
}

// clientRecord is a record in a form to compare. Durations are left out of attrs.
type clientRecord struct {
	level     slog.Level
	attrs     map[string]any
	durations map[string]time.Duration
}

func (l *clientRecords) all() []clientRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []clientRecord
	for _, r := range l.records {
		c := clientRecord{level: r.Level, attrs: make(map[string]any), durations: make(map[string]time.Duration)}
		r.Attrs(func(a slog.Attr) bool {
			if a.Value.Kind() == slog.KindDuration {
				c.durations[a.Key] = a.Value.Duration()
			} else {
				c.attrs[a.Key] = a.Value.Any()
			}
			return true
		})
		all = append(all, c)
	}
	return all
}

// expect compares level, attributes and the names of durations.
func (c clientRecord) expect(t *testing.T, level slog.Level, duration string, attrs map[string]any) {
	t.Helper()
	assert.Equal(t, level, c.level)
	assert.Equal(t, attrs, c.attrs)
	require.Len(t, c.durations, 1)
	require.Contains(t, c.durations, duration)
	assert.GreaterOrEqual(t, c.durations[duration], time.Duration(0))
}

func TestLogger(t *testing.T) {
	var logged clientRecords
	logger := epcclogs.WithLogger(slog.New(&logged))
	s := serve(t,
		answer{status: http.StatusServiceUnavailable, header: map[string]string{"Retry-After": "0.002"}},
		ok(`{"data":[`),
		answer{status: http.StatusBadGateway},
		ok(bare(record(1))),
		answer{status: http.StatusNotFound},
	)
	c := newClient(t, s.URL+"/gate", logger,
		epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Millisecond, MaxWait: 3 * time.Millisecond}))
	_, err := c.ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 7})
	require.NoError(t, err)
	all := logged.all()
	require.Len(t, all, 7)
	path := "/gate/v2/integrations/" + integration + "/logs"
	attempt := func(n int, outcome string, value any) map[string]any {
		return map[string]any{"method": "GET", "path": path, "attempt": int64(n), outcome: value}
	}
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(503)))
	all[1].expect(t, slog.LevelWarn, "wait", attempt(1, "reason", "status 503"))
	assert.Equal(t, 2*time.Millisecond, all[1].durations["wait"])
	cut, isText := all[2].attrs["error"].(string)
	require.True(t, isText)
	assert.NotEmpty(t, cut)
	all[2].expect(t, slog.LevelDebug, "duration", attempt(2, "error", cut))
	all[3].expect(t, slog.LevelWarn, "wait", attempt(2, "reason", cut))
	assert.LessOrEqual(t, all[3].durations["wait"], 3*time.Millisecond)
	assert.Positive(t, all[3].durations["wait"])
	all[4].expect(t, slog.LevelDebug, "duration", attempt(3, "status", int64(502)))
	all[5].expect(t, slog.LevelWarn, "wait", attempt(3, "reason", "status 502"))
	all[6].expect(t, slog.LevelDebug, "duration", attempt(4, "status", int64(200)))

	// A failure that is not retried has no warning.
	require.Error(t, clientGet(t.Context(), c))
	all = logged.all()[7:]
	require.Len(t, all, 1)
	path = "/gate/v2/integrations"
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(404)))

	// Nor has the last one.
	s = serve(t, answer{status: http.StatusInternalServerError})
	logged = clientRecords{}
	require.Error(t, clientGet(t.Context(), newClient(t, s.URL, logger,
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MaxWait: time.Millisecond}))))
	all = logged.all()
	require.Len(t, all, 3)
	path = "/v2/integrations"
	all[2].expect(t, slog.LevelDebug, "duration", attempt(2, "status", int64(500)))

	// A connection that fails.
	s.Close()
	logged = clientRecords{}
	err = clientGet(t.Context(), newClient(t, s.URL, logger, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1})))
	require.Error(t, err)
	all = logged.all()
	require.Len(t, all, 1)
	all[0].expect(t, slog.LevelDebug, "duration", attempt(1, "error", err.Error()))

	// The token's request is logged as any other; a renewal is a retry without a wait.
	s = serve(t, ok(`{"access_token":"first-token"}`), answer{status: http.StatusUnauthorized},
		ok(`{"access_token":"second-token"}`), ok(bare()))
	logged = clientRecords{}
	require.NoError(t, clientGet(t.Context(), newClient(t, s.URL, logger, epcclogs.WithClientCredentials("id", marker))))
	all = logged.all()
	require.Len(t, all, 5)
	post := map[string]any{"method": "POST", "path": "/oauth/access_token", "attempt": int64(1), "status": int64(200)}
	all[0].expect(t, slog.LevelDebug, "duration", post)
	all[1].expect(t, slog.LevelDebug, "duration", attempt(1, "status", int64(401)))
	all[2].expect(t, slog.LevelWarn, "wait", attempt(1, "reason", "status 401"))
	assert.Zero(t, all[2].durations["wait"])
	all[3].expect(t, slog.LevelDebug, "duration", post)
	all[4].expect(t, slog.LevelDebug, "duration", attempt(2, "status", int64(200)))
}

// What was not sent is no attempt: there is a record for each request that left,
// and none besides.
func TestLoggerCountsRequestsOnly(t *testing.T) {
	failing := epcclogs.WithTokenFunc(func(context.Context) (string, error) { return "", errors.New("no token today") })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		ctx context.Context
		opt epcclogs.Option
	}{
		"token function failed": {t.Context(), failing},
		"secret refused":        {t.Context(), epcclogs.WithClientCredentials("id", marker)},
		"context ended":         {ended, epcclogs.WithToken("a-token")},
	} {
		t.Run(name, func(t *testing.T) {
			var logged clientRecords
			s := serve(t, answer{status: http.StatusUnauthorized})
			c := newClient(t, s.URL, row.opt, epcclogs.WithLogger(slog.New(&logged)))
			require.Error(t, clientGet(row.ctx, c))
			var attempts []string
			for _, r := range logged.all() {
				assert.Equal(t, slog.LevelDebug, r.level)
				attempts = append(attempts, fmt.Sprint(r.attrs["method"], " ", r.attrs["path"]))
			}
			assert.Equal(t, s.sent(), attempts)
		})
	}
}
