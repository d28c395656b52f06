package epcclogs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/internal/wire"
)

const (
	clientID = "client-id-0123456789"
	secret   = "client-secret-0123456789"
)

var withSecret = epcclogs.WithClientCredentials(clientID, secret)

// api answers as the API does, without a network: its token endpoint hands out
// fetched-token-1 and so on, and its lists are empty.
type api struct{ tokens, lists *wire.Script }

// newAPI returns one. What token and list return, unless it is nil, is taken
// instead; n counts from 1.
func newAPI(token, list func(n int) wire.Step) *api {
	script := func(instead, usual func(n int) wire.Step) *wire.Script {
		return wire.Each(func(n int) wire.Step {
			if instead != nil {
				if step := instead(n); step != nil {
					return step
				}
			}
			return usual(n)
		})
	}
	return &api{
		tokens: script(token, func(n int) wire.Step {
			return wire.OK(fmt.Sprintf(`{"access_token":"fetched-token-%d","expires_in":3600}`, n))
		}),
		lists: script(list, always(wire.OK(wire.Page()))),
	}
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		return a.tokens.RoundTrip(r)
	}
	return a.lists.RoundTrip(r)
}

func (a *api) posts() int { return len(a.tokens.Sent()) }

func (a *api) bearers() []string { return a.lists.Headers("Authorization") }

// always answers every request alike.
func always(step wire.Step) func(int) wire.Step { return func(int) wire.Step { return step } }

// first answers so many requests alike.
func first(requests int, step wire.Step) func(int) wire.Step {
	return func(n int) wire.Step {
		if n <= requests {
			return step
		}
		return nil
	}
}

func TestTokenRequest(t *testing.T) {
	const id, secret = "an id&=+%", "a secret/&=+%?"
	s := wire.Serve(t, wire.OK(`{"access_token":"fetched-token","token_type":"Bearer","expires_in":3600,"expires":1893456000,"identifier":"client_credentials"}`), done)
	c := newClient(t, s.URL, epcclogs.WithClientCredentials(id, secret), epcclogs.WithUserAgent("my-service/1"))
	require.NoError(t, call(t.Context(), c))
	require.Equal(t, []string{"POST /oauth/access_token", "GET /v2/integrations"}, s.Sent(), "no query")

	post := s.Requests()[0]
	assert.Equal(t, []string{"application/x-www-form-urlencoded"}, post.Header.Values("Content-Type"))
	assert.Equal(t, []string{"application/json"}, post.Header.Values("Accept"))
	assert.Equal(t, []string{"my-service/1 epcclogs/" + epcclogs.Version}, post.Header.Values("User-Agent"))
	assert.NotContains(t, post.Header, "Authorization", "neither Basic nor Bearer")
	assert.Equal(t, int64(len(post.Form)), post.ContentLength)
	form, err := url.ParseQuery(post.Form)
	require.NoError(t, err)
	assert.Equal(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, form)
	assert.Equal(t, []string{"", "Bearer fetched-token"}, s.Headers("Authorization"))
}

func TestTokenServesManyCalls(t *testing.T) {
	api := newAPI(nil, nil)
	c := clientOf(t, api, withSecret)
	assert.Zero(t, api.posts(), "nothing is fetched before the first call")
	for range 3 {
		require.NoError(t, call(t.Context(), c))
	}
	assert.Equal(t, 1, api.posts())
	assert.Equal(t, []string{"Bearer fetched-token-1", "Bearer fetched-token-1", "Bearer fetched-token-1"}, api.bearers())
	require.NoError(t, call(t.Context(), clientOf(t, api, withSecret)))
	assert.Equal(t, 2, api.posts(), "each client has its own")
}

// What the token endpoint answers with is the call's error. Only what may pass is
// asked for again, and nothing is shown of the body, which may hold a token.
func TestTokenRequestFails(t *testing.T) {
	for status, row := range map[int]struct {
		posts int
		is    error
	}{
		400: {1, nil}, 401: {1, epcclogs.ErrUnauthorized}, 403: {1, epcclogs.ErrForbidden}, 502: {3, epcclogs.ErrServer},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			api := newAPI(always(wire.Reply(status, `{"errors":[{"title":"Refused","detail":"wrong secret"}],"x":"`+marker+`"}`)), nil)
			c := clientOf(t, api, withSecret)
			err := call(t.Context(), c)
			apiErr := as[*epcclogs.APIError](t, err)
			assert.Equal(t, status, apiErr.StatusCode)
			assert.Equal(t, http.MethodPost, apiErr.Method)
			assert.Equal(t, "https://api.example.com/oauth/access_token", apiErr.URL)
			assert.Equal(t, row.posts, apiErr.Attempts)
			assert.Empty(t, apiErr.Body)
			assert.Equal(t, []epcclogs.ErrorBody{{Title: "Refused", Detail: "wrong secret"}}, apiErr.Errors)
			if row.is != nil {
				require.ErrorIs(t, err, row.is)
			}
			showsNot(t, err, marker)
			assert.Equal(t, row.posts, api.posts())
			require.Error(t, call(t.Context(), c))
			assert.Equal(t, 2*row.posts, api.posts(), "the next call tries anew")
			assert.Empty(t, api.bearers(), "nothing is sent to the API")
		})
	}
}

// A token request fails and is retried like any other.
func TestTokenRequestIsRetried(t *testing.T) {
	for name, step := range map[string]wire.Step{
		"500":             wire.Reply(500, ""),
		"408":             wire.Reply(408, ""),
		"empty":           wire.OK(""),
		"cut":             wire.OK(`{"access_token":"fetched-to`),
		"cut with length": wire.OK(`{"access_token":"x"}`, "Content-Length", "1000"),
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(first(2, step), nil)
			require.NoError(t, call(t.Context(), newClient(t, wire.Serve(t, api.RoundTrip).URL, withSecret)))
			assert.Equal(t, []string{"Bearer fetched-token-3"}, api.bearers())
			for _, post := range api.tokens.Requests() {
				assert.Contains(t, post.Form, secret, "the form is sent each time")
			}

			api = newAPI(always(step), nil)
			require.Error(t, call(t.Context(), newClient(t, wire.Serve(t, api.RoundTrip).URL, withSecret)))
			assert.Equal(t, 3, api.posts(), "MaxAttempts bounds the fetch, and the call does not fetch again")
			assert.Empty(t, api.bearers())
		})
	}
}

// A 200 that is no token is told without anything of the body, which may hold one.
func TestTokenResponseIsNoToken(t *testing.T) {
	for name, row := range map[string]struct {
		body  string
		posts int
	}{
		"no access_token":       {`{"refresh_token":"` + marker + `"}`, 1},
		"of another case":       {`{"ACCESS_TOKEN":"` + marker + `"}`, 1},
		"a number":              {`{"access_token":481516234200,"x":"` + marker + `"}`, 1},
		"a number too large":    {`{"access_token":481516234200e999,"x":"` + marker + `"}`, 1},
		"an object":             {`{"access_token":{"value":"` + marker + `"}}`, 1},
		"null":                  {`{"access_token":null,"x":"` + marker + `"}`, 1},
		"empty token":           {`{"access_token":"","x":"` + marker + `"}`, 1},
		"unprintable token":     {`{"access_token":"` + marker + `\nX-Injected: 1"}`, 1},
		"token with a space":    {`{"access_token":"` + marker + ` x"}`, 1},
		"token not ASCII":       {`{"access_token":"` + marker + `ü"}`, 1},
		"HTML":                  {`<html>` + marker, 1},
		"text":                  {marker, 1},
		"array":                 {`["` + marker + `"]`, 1},
		"string":                {`"` + marker + `"`, 1},
		"JSON null":             {`null`, 1},
		"two values":            {`{"access_token":"` + marker + `"} ` + marker, 1},
		"lifetime an object":    {`{"access_token":"` + marker + `","expires_in":{"` + marker + `":1}}`, 1},
		"lifetime a text":       {`{"access_token":"` + marker + `","expires_in":"` + marker + `"}`, 1},
		"lifetime not a number": {`{"access_token":"` + marker + `","expires_in":"NaN"}`, 1},
		"expiry a boolean":      {`{"access_token":"` + marker + `","expires":true}`, 1},
		"cut":                   {`{"access_token":"` + marker, 3},
		"empty":                 {``, 3},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(always(wire.OK(row.body)), nil)
			err := call(t.Context(), clientOf(t, api, withSecret))
			decodeErr := as[*epcclogs.DecodeError](t, err)
			assert.Equal(t, http.MethodPost, decodeErr.Method)
			assert.Equal(t, "https://api.example.com/oauth/access_token", decodeErr.URL)
			assert.Equal(t, "application/json", decodeErr.ContentType)
			assert.Empty(t, decodeErr.Body)
			showsNot(t, err, marker, "481516234200")
			assert.Equal(t, row.posts, api.posts())
			assert.Empty(t, api.bearers())
		})
	}
}

func TestTokenResponseTooLarge(t *testing.T) {
	api := newAPI(always(wire.OK(`{"access_token":"`+marker+`","x":"`+strings.Repeat("x", 100)+`"}`)), nil)
	err := call(t.Context(), clientOf(t, api, withSecret, epcclogs.WithMaxResponseSize(100)))
	require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	showsNot(t, err, marker)
	assert.Equal(t, 1, api.posts())
}

// refused is the answer to a token that is no longer good.
var refused = wire.Reply(401, `{"errors":[{"title":"Unauthorized","status":401}]}`)

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	for attempts, bearers := range map[int][]string{
		1: {"Bearer fetched-token-1", "Bearer fetched-token-2"},
		4: {"Bearer fetched-token-1", "Bearer fetched-token-2", "Bearer fetched-token-2"}, // it may be too new
	} {
		t.Run(fmt.Sprintf("MaxAttempts %d", attempts), func(t *testing.T) {
			policy := epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: attempts, MaxWait: time.Millisecond})
			api := newAPI(nil, func(n int) wire.Step {
				if n == 2 {
					return refused
				}
				return nil
			})
			c := clientOf(t, api, withSecret, policy)
			for range 3 {
				require.NoError(t, call(t.Context(), c))
			}
			assert.Equal(t, 2, api.posts())
			assert.Equal(t, []string{
				"Bearer fetched-token-1", "Bearer fetched-token-1", "Bearer fetched-token-2", "Bearer fetched-token-2",
			}, api.bearers())

			// Never a loop.
			api = newAPI(nil, first(10, refused))
			err := call(t.Context(), clientOf(t, api, withSecret, policy))
			require.ErrorIs(t, err, epcclogs.ErrUnauthorized)
			apiErr := as[*epcclogs.APIError](t, err)
			assert.Equal(t, http.MethodGet, apiErr.Method)
			assert.Equal(t, len(bearers), apiErr.Attempts)
			assert.Equal(t, 2, api.posts())
			assert.Equal(t, bearers, api.bearers())
		})
	}
}

// The request that follows a renewal comes on top of MaxAttempts, wherever it
// falls, and once.
func TestRenewalComesOnTop(t *testing.T) {
	busy := wire.Reply(503, "")
	for name, row := range map[string]struct {
		steps    []wire.Step
		attempts int
		sent     int
		is       error
	}{
		"401 first":            {[]wire.Step{refused, busy}, 3, 4, epcclogs.ErrServer},
		"401 between":          {[]wire.Step{busy, refused, busy}, 3, 4, epcclogs.ErrServer},
		"401 last":             {[]wire.Step{busy, busy, refused, busy}, 3, 4, epcclogs.ErrServer},
		"401 last, then good":  {[]wire.Step{busy, busy, refused, done}, 3, 4, nil},
		"401 again, later":     {[]wire.Step{refused, busy, refused, done}, 3, 4, nil},
		"401 for ever":         {[]wire.Step{refused}, 5, 3, epcclogs.ErrUnauthorized},
		"401 after all others": {[]wire.Step{busy, busy, busy, refused}, 3, 3, epcclogs.ErrServer},

		"of two: 401 alone":       {[]wire.Step{refused, done}, 2, 2, nil},
		"of two: 401 twice":       {[]wire.Step{refused, refused, done}, 2, 3, nil},
		"of one: 401 twice":       {[]wire.Step{refused, refused, done}, 1, 2, epcclogs.ErrUnauthorized},
		"of two: 401 first":       {[]wire.Step{refused, busy, done}, 2, 3, nil},
		"of two: 401 last":        {[]wire.Step{busy, refused, done}, 2, 3, nil},
		"of two: one on top only": {[]wire.Step{busy, refused, busy, done}, 2, 3, epcclogs.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(nil, func(n int) wire.Step { return row.steps[min(n, len(row.steps))-1] })
			err := call(t.Context(), clientOf(t, api, withSecret,
				epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: row.attempts, MaxWait: time.Nanosecond})))
			require.ErrorIs(t, err, row.is)
			assert.Len(t, api.bearers(), row.sent)
		})
	}
}

// What the token endpoint says in the form of OAuth is in the error, but for the secret.
func TestOAuthErrorOfATokenRequest(t *testing.T) {
	for status, want := range map[int]string{
		400: "400 Bad Request: invalid_client: no client [hidden] here; check the client id, the client secret and the base URL",
		401: "401 Unauthorized: invalid_client: no client [hidden] here; check the client id, the client secret and the base URL",
	} {
		s := newAPI(always(wire.Reply(status, `{"error":"invalid_client","error_description":"no client `+secret+` here"}`)), nil)
		err := call(t.Context(), clientOf(t, s, withSecret))
		require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: cannot get a bearer token: "+
			"POST https://api.example.com/oauth/access_token: "+want)
		showsNot(t, err, secret)
		assert.Equal(t, 1, s.posts())
	}
}

func TestRenewalFails(t *testing.T) {
	api := newAPI(func(n int) wire.Step {
		if n > 1 {
			return wire.Reply(403, "")
		}
		return nil
	}, first(10, refused))
	err := call(t.Context(), clientOf(t, api, withSecret))
	require.ErrorIs(t, err, epcclogs.ErrForbidden)
	require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: cannot get a bearer token: "+
		"POST https://api.example.com/oauth/access_token: 403 Forbidden; check the client id, the client secret and the base URL; "+
		"the last response was: 401 Unauthorized; check the credentials")
	assert.Equal(t, 2, api.posts())
	assert.Len(t, api.bearers(), 1)
}

// Forty calls meet one revoked token, and all before any learns of it.
func TestRevokedTokenIsRenewedOnceForAll(t *testing.T) {
	const calls = 40
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials(clientID, secret, time.Hour))
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL, withSecret)
	require.NoError(t, call(t.Context(), c))
	meet := wire.Meeting(t, calls)
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n > 1 && n <= 1+calls {
			meet()
		}
	})
	srv.RevokeTokens()
	var waiting []<-chan error
	for range calls {
		waiting = append(waiting, begin(t.Context(), c))
	}
	for _, ended := range waiting {
		require.NoError(t, <-ended)
	}
	posts, gets, refused := 0, 0, 0
	for _, r := range srv.Requests() {
		switch {
		case r.Method == http.MethodPost:
			posts++
		case r.Authorized:
			gets++
		default:
			refused++
		}
	}
	assert.Equal(t, 2, posts, "one renewal")
	assert.Equal(t, calls, refused)
	assert.Equal(t, 1+calls, gets)
}

func TestGivenTokenIsNotRenewed(t *testing.T) {
	for name, opt := range map[string]epcclogs.Option{
		"WithToken":     epcclogs.WithToken("a-given-token"),
		"WithTokenFunc": epcclogs.WithTokenFunc(func(context.Context) (string, error) { return "a-given-token", nil }),
		"none":          quick,
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(nil, first(10, refused))
			require.ErrorIs(t, call(t.Context(), clientOf(t, api, opt)), epcclogs.ErrUnauthorized)
			assert.Zero(t, api.posts())
			assert.Len(t, api.bearers(), 1, "not sent again")
		})
	}
}

func TestTokenFunc(t *testing.T) {
	type key struct{}
	api := newAPI(nil, first(2, wire.Reply(503, "")))
	var seen []any
	c := clientOf(t, api, epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
		seen = append(seen, ctx.Value(key{}))
		return fmt.Sprintf("of-func-%d", len(seen)), nil
	}))
	assert.Empty(t, seen, "not called before it is needed")
	require.NoError(t, call(context.WithValue(t.Context(), key{}, "first call"), c))
	require.NoError(t, call(context.WithValue(t.Context(), key{}, "second call"), c))
	assert.Equal(t, []any{"first call", "first call", "first call", "second call"}, seen)
	assert.Equal(t, []string{"Bearer of-func-1", "Bearer of-func-2", "Bearer of-func-3", "Bearer of-func-4"}, api.bearers())
}

// The function ends with the call's context.
func TestTokenFuncSeesTheEnd(t *testing.T) {
	api := newAPI(nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c := clientOf(t, api, epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}))
	require.ErrorIs(t, call(ctx, c), context.Canceled)
	assert.Empty(t, api.bearers())
}

// A failure of the function is not retried, though it looks as if it could pass.
func TestTokenFuncFails(t *testing.T) {
	cause := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for name, row := range map[string]struct {
		token string
		err   error
	}{
		"error":             {"", cause},
		"error and a token": {marker, cause},
		"empty":             {"", nil},
		"newline":           {marker + "\n", nil},
		"injection":         {marker + "\r\nX-Injected: 1", nil},
		"space":             {"Bearer " + marker, nil},
		"not ASCII":         {marker + "é", nil},
		"DEL":               {marker + "\x7f", nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(nil, nil)
			calls := 0
			err := call(t.Context(), clientOf(t, api, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
				calls++
				return row.token, row.err
			})))
			require.Error(t, err)
			if row.err != nil {
				require.ErrorIs(t, err, row.err)
				require.ErrorAs(t, err, new(*net.OpError))
				assert.Contains(t, err.Error(), "connection refused")
			}
			assert.Equal(t, 1, calls, "not retried")
			assert.Empty(t, api.bearers(), "nothing is sent")
			showsNot(t, err, marker)
		})
	}
}

// The error of a later attempt's token is the call's too, and ends it.
func TestTokenFuncFailsLater(t *testing.T) {
	cause := errors.New("the vault is sealed")
	api := newAPI(nil, always(wire.Reply(503, "")))
	calls := 0
	c := clientOf(t, api, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
		if calls++; calls > 1 {
			return "", cause
		}
		return "a-good-token", nil
	}))
	require.ErrorIs(t, call(t.Context(), c), cause)
	assert.Equal(t, 2, calls)
	assert.Len(t, api.bearers(), 1)
}

// Redirects are errors: nothing reaches the target, credentials least of all.
func TestRedirectsAreNotFollowed(t *testing.T) {
	target := wire.Serve(t, wire.OK(`{"access_token":"stolen-token","data":[]}`))
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }, Transport: new(http.Transport)}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{target.URL + "/elsewhere", "/v2/integrations/logs", "::not a url::", ""} {
			redirect := always(wire.Reply(status, "", "Location", location))
			for _, row := range []struct {
				api    *api
				opt    epcclogs.Option
				method string
			}{
				{newAPI(redirect, nil), withSecret, http.MethodPost},
				{newAPI(nil, redirect), withSecret, http.MethodGet},
				{newAPI(nil, redirect), epcclogs.WithToken("a-given-token"), http.MethodGet},
			} {
				s := wire.Serve(t, row.api.RoundTrip)
				err := call(t.Context(), newClient(t, s.URL, row.opt, epcclogs.WithHTTPClient(follow)))
				follow.CloseIdleConnections()
				apiErr := as[*epcclogs.APIError](t, err)
				assert.Equal(t, status, apiErr.StatusCode)
				assert.Equal(t, row.method, apiErr.Method)
				assert.Equal(t, location, apiErr.Header.Get("Location"))
				assert.Equal(t, 1, apiErr.Attempts)
			}
		}
	}
	assert.Empty(t, target.Sent())
}

// Links of a page that point to another host are not followed with the token.
func TestLinksCarryNoToken(t *testing.T) {
	api := newAPI(nil, first(1, wire.OK(`{"data":[`+wire.Record(1)+`],"links":{"next":"https://other.example.com/v2/integrations/logs?page[offset]=1"}}`)))
	require.NoError(t, exhaust(t.Context(), clientOf(t, api, withSecret).StoreLogs(nil)))
	for _, r := range api.lists.Requests() {
		assert.Equal(t, "api.example.com", r.URL.Host)
	}
	assert.Len(t, api.bearers(), 3) // the list is gone after the first: it is looked for twice
}

// Calls, renewals and cancellations all at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	workers, rounds := 16, 25
	if testing.Short() {
		rounds = 8
	}
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials(clientID, secret, time.Hour))
	t.Cleanup(srv.Close)
	var logged journal
	c := newClient(t, srv.URL, withSecret, epcclogs.WithLogger(slog.New(&logged)))
	id := epcclogstest.SampleIntegration(0).ID
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := c.ListIntegrationLogs(ctx, id, nil); return err },
		func(ctx context.Context) error { return exhaust(ctx, c.IntegrationLogs(id, nil)) },
		func(ctx context.Context) error { _, err := c.GetIntegration(ctx, id); return err },
		func(ctx context.Context) error { return call(ctx, c) },
		func(context.Context) error { _ = fmt.Sprintf("%+v", c); c.CloseIdleConnections(); return nil },
	}
	var succeeded atomic.Int32
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				cancelled := random.IntN(4) == 0
				if cancelled {
					go cancel() // some time during the call, or before it
				}
				if random.IntN(10) == 0 {
					srv.RevokeTokens()
				}
				err := calls[random.IntN(len(calls))](ctx)
				cancel()
				switch {
				case err == nil:
					succeeded.Add(1)
				case cancelled && errors.Is(err, context.Canceled):
				case errors.Is(err, epcclogs.ErrUnauthorized): // revoked twice within one call
				default:
					assert.NoError(t, err)
				}
				showsNot(t, err, secret)
			}
		}()
	}
	wg.Wait()
	assert.Positive(t, succeeded.Load())
	require.NoError(t, call(t.Context(), c), "of use as before")
	assert.NotEmpty(t, logged.all())
}

// FuzzToken reads the answers of the token endpoint. Errors show nothing of them,
// and what no error was is a token that is sent.
func FuzzToken(f *testing.F) {
	seeds(f, "token.json", "error_*.json")
	for _, seed := range []string{
		`{"access_token":"` + marker + `"}`, `{"access_token":"` + marker + `","expires_in":"` + marker + `"}`,
		`{"access_token":"` + marker + ` "}`, `{"access_token":["` + marker + `"]}`, `"` + marker + `"`, marker,
		`{"access_token":"a","expires_in":"Inf","expires":"-Inf"}`, `{"access_token":"a","expires_in":"NaN"}`,
		`{"access_token":"a","expires_in":1e308}`, `{"access_token":"a","expires":1e308}`, `{"access_token":"a","expires_in":-1,"expires":"1"}`,
		`{"access_token":"a","expires_in":{"` + marker + `":1}}`, `{"access_token":"a","expires_in":1e-300}`, `{"` + marker + `":`,
	} {
		f.Add([]byte(seed))
	}
	// All that is said about the answer.
	said := regexp.MustCompile(`: (unexpected EOF|it is empty|it is not a JSON object|access_token is missing, empty or not a token|expires(_in)? is not a number) \(Content-Type "application/json"\)( \(after 3 attempts\))?$`)
	printable := regexp.MustCompile(`^Bearer [!-~]+$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		api := newAPI(always(wire.OK(string(body))), nil)
		err := call(t.Context(), clientOf(t, api, withSecret))
		if err == nil {
			require.Regexp(t, printable, api.bearers()[0])
			require.True(t, json.Valid(body))
			return
		}
		require.Empty(t, api.bearers())
		if apiErr := new(epcclogs.APIError); errors.As(err, &apiErr) { // the body lists errors, which are for all to see
			require.Empty(t, apiErr.Body)
			return
		}
		decodeErr := as[*epcclogs.DecodeError](t, err)
		require.Regexp(t, said, err.Error())
		require.Empty(t, decodeErr.Body)
		require.NotContains(t, err.Error(), marker)
	})
}

// FuzzTokenLifetime reads how long a token lives: never below zero, nor longer
// than seconds can be counted.
func FuzzTokenLifetime(f *testing.F) {
	for _, seed := range []string{"0", "-1", "1e-300", "1e308", `"Inf"`, `"-Inf"`, `"NaN"`, "null"} {
		f.Add(seed, "null", "")
		f.Add("null", seed, "Sun, 06 Nov 1994 08:49:37 GMT")
	}
	f.Fuzz(func(t *testing.T, expiresIn, expires, date string) {
		body := `{"access_token":"a","expires_in":` + expiresIn + `,"expires":` + expires + `}`
		_, d, err := epcclogs.ReadToken(http.Header{"Date": {date}}, []byte(body))
		if err == nil && (d < 0 || d > math.MaxInt32*time.Second) {
			t.Errorf("lives for %v", d)
		}
	})
}
