package epcclogs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	authID     = "client-id-0123456789"
	authSecret = "client-secret-0123456789"
)

var withSecret = epcclogs.WithClientCredentials(authID, authSecret)

// authServer has a token endpoint, which gives out fetched-token-1 and so on, and
// an API that answers every request with an empty list.
type authServer struct {
	*httptest.Server
	mu      sync.Mutex
	posts   []*http.Request // their bodies have been read by ParseForm
	bearers []string        // the Authorization header of each API request
}

// serveAuth starts one; token and api, where not nil, answer instead, n counting
// from 1.
func serveAuth(t testing.TB, token, api func(n int) http.Handler) *authServer {
	t.Helper()
	s := new(authServer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		var answers func(int) http.Handler
		var usual answer
		s.mu.Lock()
		if r.URL.Path == "/oauth/access_token" {
			assert.NoError(t, r.ParseForm())
			s.posts = append(s.posts, r)
			n, answers, usual = len(s.posts), token, ok(fmt.Sprintf(`{"access_token":"fetched-token-%d","expires_in":3600}`, len(s.posts)))
		} else {
			s.bearers = append(s.bearers, r.Header.Get("Authorization"))
			n, answers, usual = len(s.bearers), api, ok(bare())
		}
		s.mu.Unlock()
		if answers != nil {
			if h := answers(n); h != nil {
				h.ServeHTTP(w, r)
				return
			}
		}
		usual.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *authServer) counts() (posts int, bearers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.posts), append([]string{}, s.bearers...)
}

// always answers every request alike.
func authAlways(h http.Handler) func(int) http.Handler { return func(int) http.Handler { return h } }

func TestTokenRequest(t *testing.T) {
	const id, secret = "an id&=+%", "a secret/&=+%?"
	var body []byte
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		body, err = io.ReadAll(r.Body)
		assert.NoError(t, err)
		ok(`{"access_token":"fetched-token","token_type":"Bearer","expires_in":3600,"expires":1893456000,"identifier":"client_credentials"}`).ServeHTTP(w, r)
	}), ok(bare()))
	c := newClient(t, s.URL, epcclogs.WithClientCredentials(id, secret), epcclogs.WithUserAgent("my-service/1"))
	require.NoError(t, clientGet(t.Context(), c))
	require.Equal(t, []string{"POST /oauth/access_token", "GET /v2/integrations"}, s.sent(), "no query")

	post := s.requests[0]
	assert.Equal(t, []string{"application/x-www-form-urlencoded"}, post.Header.Values("Content-Type"))
	assert.Equal(t, []string{"application/json"}, post.Header.Values("Accept"))
	assert.Equal(t, []string{"my-service/1 epcclogs/" + epcclogs.Version}, post.Header.Values("User-Agent"))
	assert.NotContains(t, post.Header, "Authorization", "neither Basic nor Bearer")
	assert.Equal(t, int64(len(body)), post.ContentLength)
	form, err := url.ParseQuery(string(body))
	require.NoError(t, err)
	assert.Equal(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, form)

	assert.Equal(t, []string{"Bearer fetched-token"}, s.requests[1].Header.Values("Authorization"))
}

func TestTokenServesManyCalls(t *testing.T) {
	s := serveAuth(t, nil, nil)
	c := newClient(t, s.URL, withSecret)
	posts, _ := s.counts()
	assert.Zero(t, posts, "nothing is fetched before the first call")
	for range 5 {
		require.NoError(t, clientGet(t.Context(), c))
	}
	posts, bearers := s.counts()
	assert.Equal(t, 1, posts)
	require.Len(t, bearers, 5)
	for _, b := range bearers {
		assert.Equal(t, "Bearer fetched-token-1", b)
	}
	require.NoError(t, clientGet(t.Context(), newClient(t, s.URL, withSecret)))
	posts, _ = s.counts()
	assert.Equal(t, 2, posts, "each client has its own")
}

func TestRefusedSecret(t *testing.T) {
	for status, sentinel := range map[int]error{
		http.StatusBadRequest: nil, http.StatusUnauthorized: epcclogs.ErrUnauthorized, http.StatusForbidden: epcclogs.ErrForbidden,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := serveAuth(t, authAlways(answer{status: status, body: `{"errors":[{"title":"Refused","detail":"wrong secret"}]}`}), nil)
			c := newClient(t, s.URL, withSecret)
			err := clientGet(t.Context(), c)
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, status, apiErr.StatusCode)
			assert.Equal(t, http.MethodPost, apiErr.Method)
			assert.Equal(t, s.URL+"/oauth/access_token", apiErr.URL)
			assert.Equal(t, 1, apiErr.Attempts)
			assert.Empty(t, apiErr.Body, "of a token response")
			assert.Equal(t, []epcclogs.ErrorBody{{Title: "Refused", Detail: "wrong secret"}}, apiErr.Errors)
			if sentinel != nil {
				require.ErrorIs(t, err, sentinel)
			}
			posts, bearers := s.counts()
			assert.Equal(t, 1, posts, "exactly one POST")
			assert.Empty(t, bearers, "nothing is sent to the API")

			require.Error(t, clientGet(t.Context(), c))
			posts, _ = s.counts()
			assert.Equal(t, 2, posts, "the next call tries anew")
		})
	}
}

// A token request fails and is retried like any other.
func TestTokenRequestIsRetried(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"500":             answer{status: http.StatusInternalServerError},
		"408":             answer{status: http.StatusRequestTimeout},
		"empty":           ok(""),
		"cut":             ok(`{"access_token":"fetched-to`),
		"cut with length": answer{status: http.StatusOK, header: map[string]string{"Content-Length": "1000"}, body: `{"access_token":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveAuth(t, func(n int) http.Handler {
				if n <= 2 {
					return h
				}
				return nil
			}, nil)
			c := newClient(t, s.URL, withSecret)
			require.NoError(t, clientGet(t.Context(), c))
			posts, bearers := s.counts()
			assert.Equal(t, 3, posts)
			assert.Equal(t, []string{"Bearer fetched-token-3"}, bearers)
			for _, post := range s.posts {
				assert.Equal(t, authSecret, post.PostForm.Get("client_secret"), "the form is sent each time")
			}

			s = serveAuth(t, authAlways(h), nil)
			require.Error(t, clientGet(t.Context(), newClient(t, s.URL, withSecret)))
			posts, bearers = s.counts()
			assert.Equal(t, 3, posts, "MaxAttempts bounds the fetch, and the call does not fetch again")
			assert.Empty(t, bearers)
		})
	}
}

func TestServerErrorOfTokenEndpoint(t *testing.T) {
	s := serveAuth(t, authAlways(answer{status: http.StatusBadGateway, body: "<h1>" + marker + "</h1>"}), nil)
	err := clientGet(t.Context(), newClient(t, s.URL, withSecret))
	require.ErrorIs(t, err, epcclogs.ErrServer)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, 3, apiErr.Attempts)
	assert.Empty(t, apiErr.Body)
	authShowsNot(t, err, marker)
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
			s := serveAuth(t, authAlways(ok(row.body)), nil)
			err := clientGet(t.Context(), newClient(t, s.URL, withSecret))
			var decodeErr *epcclogs.DecodeError
			require.ErrorAs(t, err, &decodeErr)
			assert.Equal(t, http.MethodPost, decodeErr.Method)
			assert.Equal(t, s.URL+"/oauth/access_token", decodeErr.URL)
			assert.Equal(t, "application/json", decodeErr.ContentType)
			assert.Empty(t, decodeErr.Body)
			authShowsNot(t, err, marker, "481516234200")
			posts, bearers := s.counts()
			assert.Equal(t, row.posts, posts)
			assert.Empty(t, bearers)
		})
	}
}

func TestTokenResponseTooLarge(t *testing.T) {
	s := serveAuth(t, authAlways(ok(`{"access_token":"`+marker+`","x":"`+strings.Repeat("x", 100)+`"}`)), nil)
	err := clientGet(t.Context(), newClient(t, s.URL, withSecret, epcclogs.WithMaxResponseSize(100)))
	require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	authShowsNot(t, err, marker)
	posts, _ := s.counts()
	assert.Equal(t, 1, posts)
}

var authRefusal = answer{status: http.StatusUnauthorized, body: `{"errors":[{"title":"Unauthorized","status":401}]}`}

// authRefuse refuses every token, and breaks what would be an endless loop.
func authRefuse(n int) http.Handler {
	if n > 10 {
		return answer{status: http.StatusNotFound}
	}
	return authRefusal
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	for _, attempts := range []int{1, 4} {
		t.Run(fmt.Sprintf("MaxAttempts %d", attempts), func(t *testing.T) {
			policy := epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: attempts, MaxWait: time.Millisecond})
			s := serveAuth(t, nil, func(n int) http.Handler {
				if n == 2 {
					return authRefusal
				}
				return nil
			})
			c := newClient(t, s.URL, withSecret, policy)
			for range 3 {
				require.NoError(t, clientGet(t.Context(), c))
			}
			posts, bearers := s.counts()
			assert.Equal(t, 2, posts)
			assert.Equal(t, []string{
				"Bearer fetched-token-1", "Bearer fetched-token-1", "Bearer fetched-token-2", "Bearer fetched-token-2",
			}, bearers)

			// Never a loop.
			s = serveAuth(t, nil, authRefuse)
			err := clientGet(t.Context(), newClient(t, s.URL, withSecret, policy))
			require.ErrorIs(t, err, epcclogs.ErrUnauthorized)
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, http.MethodGet, apiErr.Method)
			assert.Equal(t, 2, apiErr.Attempts)
			posts, bearers = s.counts()
			assert.Equal(t, 2, posts)
			assert.Equal(t, []string{"Bearer fetched-token-1", "Bearer fetched-token-2"}, bearers)
		})
	}
}

// The request that follows a renewal comes on top of MaxAttempts, wherever it
// falls.
func TestRenewalComesOnTop(t *testing.T) {
	unavailable := answer{status: http.StatusServiceUnavailable}
	for name, row := range map[string]struct {
		answers []http.Handler
		sent    int
		is      error
	}{
		"401 first":            {[]http.Handler{authRefusal, unavailable}, 4, epcclogs.ErrServer},
		"401 between":          {[]http.Handler{unavailable, authRefusal, unavailable}, 4, epcclogs.ErrServer},
		"401 last":             {[]http.Handler{unavailable, unavailable, authRefusal, unavailable}, 4, epcclogs.ErrServer},
		"401 last, then good":  {[]http.Handler{unavailable, unavailable, authRefusal, ok(bare())}, 4, nil},
		"401 again, later":     {[]http.Handler{authRefusal, unavailable, authRefusal, ok(bare())}, 3, epcclogs.ErrUnauthorized},
		"401 after all others": {[]http.Handler{unavailable, unavailable, unavailable, authRefusal}, 3, epcclogs.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveAuth(t, nil, func(n int) http.Handler { return row.answers[min(n, len(row.answers))-1] })
			err := clientGet(t.Context(), newClient(t, s.URL, withSecret)) // 3 attempts
			if row.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, row.is)
			}
			_, bearers := s.counts()
			assert.Len(t, bearers, row.sent)
		})
	}
}

func TestRenewalFails(t *testing.T) {
	s := serveAuth(t, func(n int) http.Handler {
		if n > 1 {
			return answer{status: http.StatusForbidden}
		}
		return nil
	}, authRefuse)
	err := clientGet(t.Context(), newClient(t, s.URL, withSecret))
	require.ErrorIs(t, err, epcclogs.ErrForbidden)
	posts, bearers := s.counts()
	assert.Equal(t, 2, posts)
	assert.Len(t, bearers, 1)
}

// Forty calls meet one revoked token, and all before any learns of it.
func TestRevokedTokenIsRenewedOnceForAll(t *testing.T) {
	const calls = 40
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials(authID, authSecret, time.Hour))
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL, withSecret)
	require.NoError(t, clientGet(t.Context(), c))
	meet := clientMeeting(t, calls)
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n > 1 && n <= 1+calls {
			meet()
		}
	})
	srv.RevokeTokens()
	errs := make(chan error, calls)
	for range calls {
		go func() { errs <- clientGet(t.Context(), c) }()
	}
	for range calls {
		require.NoError(t, <-errs)
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
			s := serveAuth(t, nil, authRefuse)
			require.ErrorIs(t, clientGet(t.Context(), newClient(t, s.URL, opt)), epcclogs.ErrUnauthorized)
			posts, bearers := s.counts()
			assert.Zero(t, posts)
			assert.Len(t, bearers, 1, "not sent again")
		})
	}
}

// authKey is that of a context's value.
type authKey struct{}

func TestTokenFunc(t *testing.T) {
	s := serveAuth(t, nil, func(n int) http.Handler {
		if n <= 2 {
			return answer{status: http.StatusServiceUnavailable}
		}
		return nil
	})
	var seen []any
	c := newClient(t, s.URL, epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
		seen = append(seen, ctx.Value(authKey{}))
		return fmt.Sprintf("of-func-%d", len(seen)), nil
	}))
	assert.Empty(t, seen, "not called before it is needed")
	require.NoError(t, clientGet(context.WithValue(t.Context(), authKey{}, "first call"), c))
	require.NoError(t, clientGet(context.WithValue(t.Context(), authKey{}, "second call"), c))
	assert.Equal(t, []any{"first call", "first call", "first call", "second call"}, seen)
	_, bearers := s.counts()
	assert.Equal(t, []string{"Bearer of-func-1", "Bearer of-func-2", "Bearer of-func-3", "Bearer of-func-4"}, bearers)
}

// The function ends with the call's context.
func TestTokenFuncSeesTheEnd(t *testing.T) {
	s := serveAuth(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, s.URL, epcclogs.WithTokenFunc(func(ctx context.Context) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}))
	require.ErrorIs(t, clientGet(ctx, c), context.Canceled)
	_, bearers := s.counts()
	assert.Empty(t, bearers)
}

// authError is an error of a token function, of a type of its own.
type authError struct{ error }

func (e authError) Unwrap() error { return e.error }

func TestTokenFuncFails(t *testing.T) {
	cause := errors.New("the vault is sealed")
	for name, f := range map[string]func() (string, error){
		"error":             func() (string, error) { return "", authError{cause} },
		"error and a token": func() (string, error) { return marker, authError{cause} },
		"empty":             func() (string, error) { return "", nil },
		"newline":           func() (string, error) { return marker + "\n", nil },
		"injection":         func() (string, error) { return marker + "\r\nX-Injected: 1", nil },
		"space":             func() (string, error) { return "Bearer " + marker, nil },
		"not ASCII":         func() (string, error) { return marker + "é", nil },
		"DEL":               func() (string, error) { return marker + "\x7f", nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := serveAuth(t, nil, nil)
			calls := 0
			c := newClient(t, s.URL, epcclogs.WithTokenFunc(func(context.Context) (string, error) { calls++; return f() }))
			err := clientGet(t.Context(), c)
			require.Error(t, err)
			if strings.HasPrefix(name, "error") {
				require.ErrorIs(t, err, cause)
				var own authError
				require.ErrorAs(t, err, &own)
				assert.Contains(t, err.Error(), "the vault is sealed")
			}
			assert.Equal(t, 1, calls, "not retried")
			_, bearers := s.counts()
			assert.Empty(t, bearers, "nothing is sent")
			authShowsNot(t, err, marker)
		})
	}
}

// The error of a later attempt's token is the call's too, and ends it.
func TestTokenFuncFailsLater(t *testing.T) {
	cause := errors.New("the vault is sealed")
	s := serveAuth(t, nil, authAlways(answer{status: http.StatusServiceUnavailable}))
	calls := 0
	c := newClient(t, s.URL, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
		if calls++; calls > 1 {
			return "", cause
		}
		return "a-good-token", nil
	}))
	require.ErrorIs(t, clientGet(t.Context(), c), cause)
	assert.Equal(t, 2, calls)
	_, bearers := s.counts()
	assert.Len(t, bearers, 1)
}

// A time-out in the token function is not the caller's.
func TestTokenFuncErrorIsNotRetriedWhateverItIs(t *testing.T) {
	s := serveAuth(t, nil, nil)
	calls := 0
	c := newClient(t, s.URL, epcclogs.WithTokenFunc(func(context.Context) (string, error) {
		calls++
		return "", &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}))
	var opErr *net.OpError
	require.ErrorAs(t, clientGet(t.Context(), c), &opErr)
	assert.Equal(t, 1, calls)
}

func TestRedirectsCarryNoCredentials(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			target := serve(t, ok(`{"access_token":"stolen-token","data":[]}`))
			redirect := func(path string) answer {
				return answer{status: status, header: map[string]string{"Location": target.URL + path}}
			}

			s := serveAuth(t, authAlways(redirect("/oauth/access_token")), nil)
			err := clientGet(t.Context(), newClient(t, s.URL, withSecret))
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, status, apiErr.StatusCode)
			assert.Equal(t, http.MethodPost, apiErr.Method)
			posts, bearers := s.counts()
			assert.Equal(t, 1, posts)
			assert.Empty(t, bearers)

			s = serveAuth(t, nil, authAlways(redirect("/v2/integrations")))
			for _, opt := range []epcclogs.Option{withSecret, epcclogs.WithToken("a-given-token")} {
				require.ErrorAs(t, clientGet(t.Context(), newClient(t, s.URL, opt)), &apiErr)
				assert.Equal(t, status, apiErr.StatusCode)
			}
			_, bearers = s.counts()
			assert.Len(t, bearers, 2)
			assert.Empty(t, target.sent(), "nothing reaches the target")
		})
	}
}

// Links of a page that point to another host are not followed with the token.
func TestLinksCarryNoToken(t *testing.T) {
	other := serve(t, ok(bare()))
	s := serveAuth(t, nil, func(n int) http.Handler {
		if n == 1 {
			return ok(`{"data":[` + record(1) + `],"links":{"next":"` + other.URL + `/v2/integrations/logs?page[offset]=1"}}`)
		}
		return ok(`{"data":[],"links":{}}`)
	})
	require.NoError(t, clientDrain(t.Context(), newClient(t, s.URL, withSecret).StoreLogs(nil)))
	assert.Empty(t, other.sent())
	_, bearers := s.counts()
	assert.Len(t, bearers, 2)
}

// authCall starts a call and returns where its error arrives.
func authCall(ctx context.Context, c *epcclogs.Client) <-chan error {
	done := make(chan error, 1)
	go func() { done <- clientGet(ctx, c) }()
	return done
}

// authStall takes requests, tells arrived, and answers when release is closed or
// the client has left, which it tells left.
type authStall struct {
	arrived, left chan struct{}
	release       chan struct{}
}

func newAuthStall() *authStall {
	return &authStall{arrived: make(chan struct{}, 100), left: make(chan struct{}, 100), release: make(chan struct{})}
}

func (s *authStall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.arrived <- struct{}{}
	select {
	case <-s.release:
		ok(`{"access_token":"late-token"}`).ServeHTTP(w, r)
	case <-r.Context().Done():
		s.left <- struct{}{}
	}
}

// Who leaves does not take the fetch away from the others.
func TestWaitingCallLeavesAlone(t *testing.T) {
	stall := newAuthStall()
	s := serveAuth(t, authAlways(stall), nil)
	c := newClient(t, s.URL, withSecret)
	ctx, cancel := context.WithCancel(t.Context())
	first := authCall(ctx, c) // starts the fetch
	<-stall.arrived
	second, third := authCall(t.Context(), c), authCall(t.Context(), c)
	// The others' waiting cannot be seen from here; the virtual-time tests do. A
	// call that comes later joins as well, or fetches anew without harm.
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(stall.release)
	require.NoError(t, <-second)
	require.NoError(t, <-third)
}

func TestFetchEndsWithTheLastCall(t *testing.T) {
	stall := newAuthStall()
	s := serveAuth(t, func(n int) http.Handler {
		if n == 1 {
			return stall
		}
		return nil
	}, nil)
	c := newClient(t, s.URL, withSecret, epcclogs.WithTimeout(0))
	ctx, cancel := context.WithCancel(t.Context())
	first, second := authCall(ctx, c), authCall(ctx, c)
	select {
	case <-stall.arrived:
	case err := <-first:
		require.NoError(t, err, "before anything happened")
	}
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	require.ErrorIs(t, <-second, context.Canceled)
	<-stall.left // the request has ended, not just the waiting for it
	require.NoError(t, clientGet(t.Context(), c))
	posts, bearers := s.counts()
	assert.Equal(t, 2, posts, "the next call starts afresh")
	assert.Equal(t, []string{"Bearer fetched-token-2"}, bearers)
}

// authTexts returns what can be read from v: its texts in all formats, what the
// loggers write, and for errors what each of the chain holds.
func authTexts(v any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%+v\n%#v\n", v, v, v)
	if err, isError := v.(error); isError {
		fmt.Fprintf(&b, "%s\n%q\n", err, err)
	}
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}),
		slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}),
	} {
		slog.New(h).Error("it", "value", v)
	}
	if encoded, err := json.Marshal(v); err == nil {
		b.Write(encoded)
	}
	switch e := v.(type) {
	case *epcclogs.APIError:
		fmt.Fprintf(&b, "\n%s\n%v\n%v\n%+v\n", e.Body, e.Header, e.Errors, *e)
	case *epcclogs.DecodeError:
		fmt.Fprintf(&b, "\n%s\n%v\n%v\n%+v\n", e.Body, e.ContentType, e.Err, *e)
	}
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			b.WriteString(authTexts(inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			b.WriteString(authTexts(inner))
		}
	}
	return b.String()
}

// authShowsNot fails when v shows one of the secrets, plainly or as in a form.
func authShowsNot(t *testing.T, v any, secrets ...string) {
	t.Helper()
	texts := authTexts(v)
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret)} {
			if at := strings.Index(texts, form); at >= 0 {
				assert.Failf(t, "a secret is shown", "...%s...", texts[max(0, at-150):at+len(form)])
				return
			}
		}
	}
}

func TestClientShowsNoSecret(t *testing.T) {
	wire := clientWire(func(r *http.Request) (*http.Response, error) {
		return clientReply(http.StatusOK, `{"access_token":"`+marker+`","data":[]}`), nil
	})
	for name, opt := range map[string]epcclogs.Option{
		"WithToken":             epcclogs.WithToken(marker),
		"WithTokenFunc":         epcclogs.WithTokenFunc(func(context.Context) (string, error) { return marker, nil }),
		"WithClientCredentials": withSecret,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, "https://api.example.com", opt, wire.option(), epcclogs.WithLogger(slog.New(slog.DiscardHandler)))
			authShowsNot(t, opt, marker, authSecret)
			for range 2 { // before and after the token is there
				authShowsNot(t, c, marker, authSecret)
				authShowsNot(t, *c, marker, authSecret)
				authShowsNot(t, struct{ Client *epcclogs.Client }{c}, marker, authSecret)
				authShowsNot(t, []any{*c, c, c.StoreLogs(nil), *c.StoreLogs(nil)}, marker, authSecret)
				require.NoError(t, clientGet(t.Context(), c))
			}
		})
	}
}

// authEcho answers with what the request held, in body and headers, as debugging
// pages do; body has a %s for it.
func authEcho(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // done already for a POST
		echo := strings.TrimSpace(r.Header.Get("Authorization") + " " + r.PostForm.Get("client_secret"))
		answer{status: status, body: strings.ReplaceAll(body, "%s", echo), header: map[string]string{
			"X-Request": "it was " + echo, "WWW-Authenticate": `Bearer error="` + echo + `"`, "Retry-After": "0",
			"Content-Type": "application/json; was=" + echo,
		}}.ServeHTTP(w, r)
	})
}

// Nothing that a server sends back shows the secrets, in errors and logs.
func TestEchoedSecretsAreHidden(t *testing.T) {
	const bearer = "0123456789abcdef-0123456789abcdef-0123456789" // as long as real ones
	start := bearer[:16]                                          // an excerpt is as good as none
	bodies := map[string]string{
		"error body":    `{"errors":[{"title":"%s","detail":"you sent %s","request_id":"%s"},{"title":"%s"}]}`,
		"text":          "you sent %s",
		"HTML":          "<pre>Authorization: %s</pre>",
		"no data":       `{"you":"%s"}`,
		"a string":      `"%s"`,
		"not JSON":      `%s`,
		"cut":           `{"data":["%s`,
		"wrong record":  `{"data":["%s"]}`,
		"member":        `{"data":[{"id":1,"name":"%s"}]}`,
		"member's name": `{"data":[{"meta":{"timestamps":{"%s":1}},"id":{"%s":1}}]}`,
		"time":          `{"data":[{"id":"1","meta":{"timestamps":{"created_at":"%s"}}}]}`,
		"number":        `{"data":[{"id":"1","attempt":"%s"}]}`,
		"status":        `{"data":[{"id":"1","status_code":"%s"}],"meta":{"page":"%s"}}`,
		"paging":        `{"data":[],"meta":{"limit":"%s"}}`,
	}
	for name, body := range bodies {
		for _, status := range []int{200, 302, 400, 401, 403, 404, 500} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				echo := authAlways(authEcho(status, body))
				for _, side := range []string{"API", "token endpoint"} {
					token, api := echo, echo
					if side == "API" {
						token = authAlways(ok(`{"access_token":"` + bearer + `"}`))
					}
					s := serveAuth(t, token, api)
					var logged bytes.Buffer
					for _, h := range []slog.Handler{
						slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}),
						slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}),
					} {
						c := newClient(t, s.URL, withSecret, epcclogs.WithLogger(slog.New(h)))
						_, err := c.ListIntegrationLogs(t.Context(), integration, nil)
						authShowsNot(t, err, authSecret[:16], start)
						_, err = c.GetIntegration(t.Context(), integration)
						authShowsNot(t, err, authSecret[:16], start)
					}
					authShowsNot(t, logged.String(), authSecret[:16], start)
				}
			})
		}
	}
}

// A secret with characters that forms escape is hidden as it was sent, too.
func TestEchoedFormIsHidden(t *testing.T) {
	const secret = "client/secret+with=escapes"
	for _, status := range []int{200, 400} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			form, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			answer{
				status: status, body: `{"errors":[{"title":"you sent ` + string(form) + `"}]}`,
				header: map[string]string{"X-Form": string(form)},
			}.ServeHTTP(w, r)
		}))
		err := clientGet(t.Context(), newClient(t, s.URL, epcclogs.WithClientCredentials(authID, secret)))
		require.Error(t, err)
		authShowsNot(t, err, secret)
	}
}

// Nor does a token show that comes back with its slashes escaped, as some servers
// write JSON.
func TestEchoedTokenWithEscapesIsHidden(t *testing.T) {
	const token = "abc/def+ghi/jklmnop="
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := strings.ReplaceAll(r.Header.Get("Authorization"), "/", `\/`)
		answer{status: http.StatusBadRequest, body: `{"errors":[{"title":"you sent ` + seen + `"}]}`}.ServeHTTP(w, r)
	}))
	err := clientGet(t.Context(), newClient(t, s.URL, epcclogs.WithToken(token)))
	var status *epcclogs.APIError
	require.ErrorAs(t, err, &status)
	assert.JSONEq(t, `{"errors":[{"title":"you sent Bearer [hidden]"}]}`, string(status.Body))
	assert.Equal(t, "you sent Bearer [hidden]", status.Errors[0].Title)
}

// What is kept of a body ends somewhere, and that must not uncover a token.
func TestEchoedTokenAtTheEndOfWhatIsKept(t *testing.T) {
	for _, status := range []int{200, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			const kept = 64 << 10
			head := marker[:len(marker)-1]
			s := serve(t, answer{status: status, body: strings.Repeat(" ", kept-len(head)) + marker + "..."})
			err := clientGet(t.Context(), newClient(t, s.URL, epcclogs.WithToken(marker)))
			require.Error(t, err)
			assert.NotContains(t, authTexts(err), head)
		})
	}
}

// A server that does not speak HTTP, such as one that echoes what it receives.
func TestEchoInPlaceOfHTTPIsHidden(t *testing.T) {
	for name, format := range map[string]string{
		"status line": "%s\r\n\r\n",
		"header":      "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = fmt.Fprintf(conn, format, "Bearer "+marker)
					_ = conn.Close()
				}
			}()
			t.Cleanup(func() { _ = listener.Close(); <-done })
			var logged bytes.Buffer
			c := newClient(t, "http://"+listener.Addr().String(), epcclogs.WithToken(marker),
				epcclogs.WithLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			err = clientGet(t.Context(), c)
			require.Error(t, err)
			authShowsNot(t, err, marker)
			authShowsNot(t, logged.String(), marker)
		})
	}
}

func TestTestServerKeepsNoSecret(t *testing.T) {
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials(authID, authSecret, time.Hour))
	t.Cleanup(srv.Close)
	var mu sync.Mutex
	tokens := make(map[string]bool)
	c := newClient(t, srv.URL, withSecret, clientWire(func(r *http.Request) (*http.Response, error) {
		if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
			mu.Lock()
			tokens[bearer] = true
			mu.Unlock()
		}
		return http.DefaultTransport.RoundTrip(r)
	}).option())
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	require.NoError(t, clientGet(t.Context(), c))
	srv.RevokeTokens()
	require.NoError(t, clientGet(t.Context(), c))
	require.Len(t, tokens, 2)
	requests := srv.Requests()
	require.Len(t, requests, 5)
	for token := range tokens {
		authShowsNot(t, requests, token, authSecret)
	}
	assert.Contains(t, fmt.Sprint(requests), authID)
}

// Calls, renewals and cancellations all at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	const workers, rounds = 16, 25
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials(authID, authSecret, time.Hour))
	t.Cleanup(srv.Close)
	var logged clientRecords
	c := newClient(t, srv.URL, withSecret, epcclogs.WithLogger(slog.New(&logged)))
	id := epcclogstest.SampleIntegration(0).ID
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := c.ListIntegrationLogs(ctx, id, nil); return err },
		func(ctx context.Context) error { return clientDrain(ctx, c.IntegrationLogs(id, nil)) },
		func(ctx context.Context) error { _, err := c.GetIntegration(ctx, id); return err },
		func(ctx context.Context) error { return clientGet(ctx, c) },
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
				authShowsNot(t, err, authSecret)
			}
		}()
	}
	wg.Wait()
	assert.Positive(t, succeeded.Load())
	require.NoError(t, clientGet(t.Context(), c), "of use as before")
	assert.NotEmpty(t, logged.all())
}
