package epcclogs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
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

// together makes so many calls at once, and returns their errors.
func together(t *testing.T, c *epcclogs.Client, calls int) []error {
	t.Helper()
	var under []<-chan error
	for range calls {
		under = append(under, begin(t.Context(), c))
	}
	var errs []error
	for _, ended := range under {
		errs = append(errs, <-ended)
	}
	return errs
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

// What the token endpoint answers with is the call's error. Only temporary failures are
// retried, and nothing is shown of the body, which may hold a token.
func TestTokenRequestFails(t *testing.T) {
	const (
		body   = `{"errors":[{"title":"Refused","detail":"wrong secret"}],"x":"` + marker + `"}`
		oauth  = `{"error":"invalid_client","error_description":"no client ` + secret + ` here"}`
		advice = "; check the client id, the client secret and the base URL"
	)
	for _, row := range []struct {
		status int
		body   string
		posts  int
		is     error
		want   string
	}{
		{400, body, 1, nil, "400 Bad Request: Refused: wrong secret" + advice},
		{401, body, 1, epcclogs.ErrUnauthorized, "401 Unauthorized: Refused: wrong secret" + advice},
		{403, body, 1, epcclogs.ErrForbidden, "403 Forbidden: Refused: wrong secret" + advice},
		{404, body, 1, nil, "404 Not Found: Refused: wrong secret; no tokens are issued there, check the base URL"},
		{405, body, 1, nil, "405 Method Not Allowed: Refused: wrong secret; no tokens are issued there, check the base URL"},
		{501, body, 1, epcclogs.ErrServer, "501 Not Implemented: Refused: wrong secret"},
		{408, body, 3, nil, "408 Request Timeout: Refused: wrong secret (after 3 attempts)"},
		{502, body, 3, epcclogs.ErrServer, "502 Bad Gateway: Refused: wrong secret (after 3 attempts)"},
		{400, oauth, 1, nil, "400 Bad Request: invalid_client: no client [hidden] here" + advice},
		{401, oauth, 1, epcclogs.ErrUnauthorized, "401 Unauthorized: invalid_client: no client [hidden] here" + advice},
		{200, "", 3, nil, `the response is not the documented JSON: it is empty (Content-Type "application/json") (after 3 attempts); check the base URL`},
		{200, `{"ok":"` + marker + `"}`, 1, nil, `the response is not the documented JSON: access_token is missing, empty or not a token (Content-Type "application/json"); check the base URL`},
		{200, `{"access_token":"` + marker, 3, io.ErrUnexpectedEOF, `the response ended early: unexpected EOF (Content-Type "application/json") (after 3 attempts)`},
		{200, `{"access_token":"` + strings.Repeat(marker, 10) + `"}`, 1, epcclogs.ErrResponseTooLarge, "response too large: more than 100 bytes; check the base URL and WithMaxResponseSize"},
	} {
		t.Run(row.want, func(t *testing.T) {
			api := wire.NewAPI(wire.Always(wire.Reply(row.status, row.body)), nil)
			c := clientOf(t, api, withSecret, epcclogs.WithMaxResponseSize(100))
			err := call(t.Context(), c)
			require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: cannot get a bearer token: "+
				"POST https://api.example.com/oauth/access_token: "+row.want)
			if row.is != nil {
				require.ErrorIs(t, err, row.is)
			}
			require.NotErrorIs(t, err, epcclogs.ErrNotFound, "which is about an id")
			if row.status != 200 {
				apiErr := as[*epcclogs.APIError](t, err)
				require.EqualError(t, apiErr, "epcclogs: POST https://api.example.com/oauth/access_token: "+row.want)
				assert.Equal(t, row.posts, apiErr.Attempts)
				assert.Empty(t, apiErr.Body)
				assert.Len(t, apiErr.Errors, 1)
			}
			showsNot(t, err, marker, secret)
			assert.Equal(t, row.posts, api.Posts())
			require.Error(t, call(t.Context(), c))
			assert.Equal(t, 2*row.posts, api.Posts(), "the next call tries anew")
			assert.Empty(t, api.Bearers(), "nothing is sent to the API")

			if row.posts > 1 {
				api = wire.NewAPI(wire.First(2, wire.Reply(row.status, row.body)), nil)
				require.NoError(t, call(t.Context(), clientOf(t, api, withSecret)))
				assert.Equal(t, []string{"Bearer fetched-token-3"}, api.Bearers())
				for _, post := range api.Tokens.Requests() {
					assert.Contains(t, post.Form, secret, "the form is sent each time")
				}
			}
		})
	}
}

// refused is the answer to a token that is no longer good.
var refused = wire.Reply(401, `{"errors":[{"title":"Unauthorized","status":401}]}`)

// A refused token is renewed once. The request that follows comes on top of MaxAttempts,
// wherever it falls. The second token may be too new, so one more refusal is retried.
func TestRenewal(t *testing.T) {
	for _, row := range []struct {
		statuses []int // the last one for ever
		attempts int
		sent     int
		is       error
	}{
		{[]int{401, 503}, 3, 4, epcclogs.ErrServer},
		{[]int{503, 401, 503}, 3, 4, epcclogs.ErrServer},
		{[]int{503, 503, 401, 503}, 3, 4, epcclogs.ErrServer},
		{[]int{503, 503, 401, 200}, 3, 4, nil},
		{[]int{401, 503, 401, 200}, 3, 4, nil},
		{[]int{401}, 5, 3, epcclogs.ErrUnauthorized},
		{[]int{503, 503, 503, 401}, 3, 3, epcclogs.ErrServer},

		{[]int{401, 200}, 2, 2, nil},
		{[]int{401, 401, 200}, 2, 3, nil},
		{[]int{401, 503, 200}, 2, 3, nil},
		{[]int{503, 401, 200}, 2, 3, nil},
		{[]int{503, 401, 503, 200}, 2, 3, epcclogs.ErrServer},

		{[]int{401, 200}, 1, 2, nil},
		{[]int{401, 401, 200}, 1, 2, epcclogs.ErrUnauthorized},
	} {
		t.Run(fmt.Sprint(row.statuses, " of ", row.attempts), func(t *testing.T) {
			api := wire.NewAPI(nil, func(n int) wire.Step {
				return wire.Reply(row.statuses[min(n, len(row.statuses))-1], wire.Page())
			})
			c := clientOf(t, api, withSecret, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: row.attempts, MaxWait: time.Nanosecond}))
			err := call(t.Context(), c)
			require.ErrorIs(t, err, row.is)
			if err != nil {
				apiErr := as[*epcclogs.APIError](t, err)
				assert.Equal(t, http.MethodGet, apiErr.Method)
				assert.Equal(t, row.sent, apiErr.Attempts)
			} else {
				require.NoError(t, call(t.Context(), c), "it keeps the second token")
				row.sent++
			}
			token := 1
			var bearers []string
			for n := range row.sent {
				bearers = append(bearers, fmt.Sprint("Bearer fetched-token-", token))
				if row.statuses[min(n, len(row.statuses)-1)] == 401 {
					token = 2
				}
			}
			assert.Equal(t, bearers, api.Bearers())
			assert.Equal(t, token, api.Posts())
		})
	}
}

func TestRenewalFails(t *testing.T) {
	api := wire.NewAPI(func(n int) wire.Step {
		if n > 1 {
			return wire.Reply(403, "")
		}
		return nil
	}, wire.First(10, refused))
	err := call(t.Context(), clientOf(t, api, withSecret))
	require.ErrorIs(t, err, epcclogs.ErrForbidden)
	require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: cannot get a bearer token: "+
		"POST https://api.example.com/oauth/access_token: 403 Forbidden; check the client id, the client secret and the base URL; "+
		"the last response was: 401 Unauthorized; check the credentials")
	assert.Equal(t, 2, api.Posts())
	assert.Len(t, api.Bearers(), 1)
}

func TestGivenTokenIsNotRenewed(t *testing.T) {
	for name, opt := range map[string]epcclogs.Option{
		"WithToken":     epcclogs.WithToken("a-given-token"),
		"WithTokenFunc": epcclogs.WithTokenFunc(func(context.Context) (string, error) { return "a-given-token", nil }),
		"none":          quick,
	} {
		t.Run(name, func(t *testing.T) {
			api := wire.NewAPI(nil, wire.First(10, refused))
			require.ErrorIs(t, call(t.Context(), clientOf(t, api, opt)), epcclogs.ErrUnauthorized)
			assert.Zero(t, api.Posts())
			assert.Len(t, api.Bearers(), 1, "not sent again")
		})
	}
}

// The function is called for each attempt, and its context is that of the call.
func TestTokenFunc(t *testing.T) {
	type key struct{}
	api := wire.NewAPI(nil, wire.First(2, wire.Reply(503, "")))
	ctx, cancel := context.WithCancel(t.Context())
	var seen []any
	c := clientOf(t, api, epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
		seen = append(seen, ctx.Value(key{}))
		if len(seen) == 5 {
			cancel()
			<-ctx.Done()
			return "", &url.Error{Op: "Post", URL: "https://vault.test", Err: ctx.Err()}
		}
		return fmt.Sprintf("of-func-%d", len(seen)), nil
	}))
	assert.Empty(t, seen, "not called before it is needed")
	require.NoError(t, call(context.WithValue(t.Context(), key{}, "first call"), c))
	require.NoError(t, call(context.WithValue(t.Context(), key{}, "second call"), c))
	err := call(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, `cannot get a bearer token: Post "https://vault.test"`)
	assert.Equal(t, []any{"first call", "first call", "first call", "second call", nil}, seen)
	assert.Equal(t, []string{"Bearer of-func-1", "Bearer of-func-2", "Bearer of-func-3", "Bearer of-func-4"}, api.Bearers())
}

// A failure of the function is not retried, though it looks temporary. It ends the call,
// also where it comes with a later attempt, or together with the end of the context.
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
		for i := range 4 {
			good, ended := i/2, i%2 == 1 // attempts before; the context ends too
			t.Run(fmt.Sprint(name, ", after ", good, ended), func(t *testing.T) {
				api := wire.NewAPI(nil, wire.Always(wire.Reply(503, "")))
				calls := 0
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := call(ctx, clientOf(t, api, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
					if calls++; calls <= good {
						return "a-good-token", nil
					}
					if ended {
						cancel()
					}
					return row.token, row.err
				})))
				require.Equal(t, ended, errors.Is(err, context.Canceled))
				require.ErrorContains(t, err, "cannot get a bearer token: ")
				require.Equal(t, row.err != nil, errors.Is(err, cause) && strings.Contains(err.Error(), "connection refused"))
				assert.Equal(t, good+1, calls, "not retried")
				assert.Len(t, api.Bearers(), good, "nothing more is sent")
				showsNot(t, err, marker)
			})
		}
	}
}

// Redirects are errors: nothing reaches the target, credentials least of all.
func TestRedirectsAreNotFollowed(t *testing.T) {
	target := wire.Serve(t, wire.OK(`{"access_token":"stolen-token","data":[]}`))
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }, Transport: new(http.Transport)}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{target.URL + "/elsewhere", "/v2/integrations/logs", "::not a url::", ""} {
			redirect := wire.Always(wire.Reply(status, "", "Location", location))
			for _, row := range []struct {
				api    *wire.API
				opt    epcclogs.Option
				method string
			}{
				{wire.NewAPI(redirect, nil), withSecret, http.MethodPost},
				{wire.NewAPI(nil, redirect), withSecret, http.MethodGet},
				{wire.NewAPI(nil, redirect), epcclogs.WithToken("a-given-token"), http.MethodGet},
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
	api := wire.NewAPI(nil, wire.First(1, wire.OK(`{"data":[`+wire.Record(1)+`],"links":{"next":"https://other.example.com/v2/integrations/logs?page[offset]=1"}}`)))
	require.NoError(t, exhaust(t.Context(), clientOf(t, api, withSecret).StoreLogs(nil)))
	for _, r := range api.Lists.Requests() {
		assert.Equal(t, "api.example.com", r.URL.Host)
	}
	assert.Len(t, api.Bearers(), 3) // the list is gone after the first: it is looked for twice
}

// Calls, renewals and cancellations all at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	const workers, rounds = 16, 12
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
				if err == nil {
					succeeded.Add(1)
				} else if !errors.Is(err, epcclogs.ErrUnauthorized) { // revoked twice within one call
					assert.True(t, cancelled && errors.Is(err, context.Canceled), err)
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

// FuzzToken reads the answers of the token endpoint. A token that is taken is the
// member access_token. Errors show nothing of the answer, which may hold one.
func FuzzToken(f *testing.F) {
	wire.Seeds(f, "token.json", "error_*.json")
	for _, seed := range []string{
		`{"refresh_token":"M"}`, `{"ACCESS_TOKEN":"M"}`, // none
		`{"access_token":481516234200,"x":"M"}`, `{"access_token":481516234200e999}`, `{"access_token":{"value":"M"}}`,
		`{"access_token":["M"]}`, `{"access_token":null,"x":"M"}`, `{"access_token":"","x":"M"}`,
		`{"access_token":"M\nX-Injected: 1"}`, `{"access_token":"M x"}`, `{"access_token":"M "}`, `{"access_token":"Mü"}`,
		`<html>M`, `M`, `["M"]`, `"M"`, `null`, `{"access_token":"M"} M`, `{"access_token":"M`, `{"M":`, ``, // no object
		`{"access_token":"M","expires_in":{"M":1}}`, `{"access_token":"M","expires_in":"M"}`, `{"access_token":"M","expires_in":"NaN"}`,
		`{"access_token":"M","expires_in":true}`, `{"access_token":"M","expires":true}`, `{"access_token":"M","expires":["M"]}`,
		`{"access_token":"M"}`, `{"access_token":"a","expires_in":1e-300}`, `{"access_token":"a","expires_in":1e11}`, // good
		`{"access_token":"a","expires":1e308}`, `{"access_token":"a","expires_in":-1,"expires":"1"}`,
		`{"access_token":"a","expires_in":"Inf","expires":"-Inf"}`,
	} {
		f.Add([]byte(strings.ReplaceAll(seed, "M", marker)))
	}
	// All that is said about the answer.
	said := regexp.MustCompile(`: (unexpected EOF|it is empty|it is not a JSON object|access_token is missing, empty or not a token|expires(_in)? is not a number) \(Content-Type "application/json"\)( \(after 3 attempts\))?(; check the base URL)?$`)
	printable := regexp.MustCompile(`^[!-~]+$`)
	isNumber := func(raw json.RawMessage) bool {
		number, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
		return raw == nil || string(raw) == "null" || !math.IsNaN(number) && (err == nil || errors.Is(err, strconv.ErrRange))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		api := wire.NewAPI(wire.Always(wire.OK(string(body))), nil)
		err := call(t.Context(), clientOf(t, api, withSecret))
		if err == nil {
			var members map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(body, &members))
			var token string
			require.NoError(t, json.Unmarshal(members["access_token"], &token))
			require.Regexp(t, printable, token)
			require.Equal(t, []string{"Bearer " + token}, api.Bearers())
			require.True(t, isNumber(members["expires_in"]) && isNumber(members["expires"]))
			_, lives, _ := epcclogs.ReadToken(http.Header{"Date": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, body)
			require.GreaterOrEqual(t, lives, time.Duration(0))
			require.LessOrEqual(t, lives, math.MaxInt32*time.Second)
			return
		}
		require.Empty(t, api.Bearers())
		if apiErr := new(epcclogs.APIError); errors.As(err, &apiErr) { // the body lists errors, which are for all to see
			require.Empty(t, apiErr.Body)
			return
		}
		decodeErr := as[*epcclogs.DecodeError](t, err)
		require.Equal(t, http.MethodPost, decodeErr.Method)
		require.Equal(t, "https://api.example.com/oauth/access_token", decodeErr.URL)
		require.Equal(t, "application/json", decodeErr.ContentType)
		require.Empty(t, decodeErr.Body)
		require.Regexp(t, said, err.Error())
		showsNot(t, err, marker, "481516234200")
	})
}
