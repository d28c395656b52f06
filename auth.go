package epcclogs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// WithClientCredentials states these.
const (
	defaultTokenLifetime = time.Hour        // as the API's documents say, for a response that does not
	renewEarly           = time.Minute      // before a token expires, or a tenth of its lifetime where that is less
	renewAgain           = 10 * time.Second // after a renewal that failed, while the old token lasts
	renewPatience        = time.Second      // for which calls wait for a renewal, while the old token lasts
)

// none is the source of a client without credentials.
type none struct{}

func (none) prepare(context.Context) error         { return nil }
func (none) token(context.Context) (string, error) { return "", nil }
func (none) refused(string) bool                   { return false }

// given is a source of the caller's.
type given func(context.Context) (string, error)

func (given) prepare(context.Context) error { return nil }

func (g given) token(ctx context.Context) (string, error) {
	token, err := g(ctx)
	if err == nil && !isToken(token) {
		err = errors.New("it is empty or has characters that no token has")
	}
	return token, err
}

func (given) refused(string) bool { return false }

// isToken reports whether s can be sent as a bearer token.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// credentials are the source of tokens that are fetched with an id and a secret.
// All calls share the token: one fetch serves every call that waits.
//
// A token is renewed shortly before it expires. As long as it lasts, no call fails
// for want of a new one: calls use the old token when the first attempt of the
// fetch has failed or takes long. The fetch goes on without them. If it fails, the
// next one begins a while later.
type credentials struct {
	sender sender // has no source of tokens of its own
	url    string
	form   url.Values

	mu      sync.Mutex
	current string    // empty when there is none, or the API refused it
	renewAt time.Time // when the next fetch begins
	expires time.Time // when current does
	flight  *flight   // the fetch under way, nil when none is
}

// flight is one fetch of a token, and the calls that wait for it.
type flight struct {
	cancel context.CancelFunc
	late   time.Time     // when calls that have an old token wait no longer
	done   chan struct{} // closed once token and err are set
	token  string
	err    error

	// Guarded by credentials.mu.
	waiting int
	failure error         // of the latest attempt, when another will follow
	next    time.Time     // which will not be before this
	news    chan struct{} // closed when these change
}

func newCredentials(s sender, base, clientID, clientSecret string) *credentials {
	s.tokens = none{}
	return &credentials{sender: s, url: base + "/oauth/access_token", form: url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {clientID},
		"client_secret": {clientSecret},
	}}
}

func (c *credentials) prepare(ctx context.Context) error {
	_, err := c.token(ctx)
	return err
}

// token returns the token, fetching it when there is none that lasts. It returns
// as soon as ctx ends, or as soon as its deadline is known to come before the next
// attempt, and leaves the fetch to the other calls that wait.
func (c *credentials) token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lasts() && time.Now().Before(c.renewAt) {
		return c.current, nil
	}
	f := c.flight
	if f == nil {
		f = c.start(ctx)
	}
	f.waiting++
	for {
		if c.lasts() && (f.failure != nil || !time.Now().Before(f.late)) {
			c.leave(f)
			return c.current, nil
		}
		if f.failure != nil && !outlasts(ctx, time.Until(f.next)) {
			c.leave(f)
			return "", f.failure
		}
		// The fetch waits out a pause; a call whose deadline comes before its end does not.
		paused, err := c.sender.paused(ctx)
		if err != nil {
			c.leave(f)
			return "", err
		}
		var late <-chan time.Time
		if c.lasts() {
			late = time.After(time.Until(f.late))
		}
		news := f.news
		c.mu.Unlock()
		select {
		case <-f.done:
			c.mu.Lock()
			return f.token, f.err
		case <-news:
		case <-late:
		case <-paused:
		case <-ctx.Done():
			c.mu.Lock()
			c.leave(f)
			if f.failure != nil {
				return "", fmt.Errorf("%w; the last attempt failed: %w", ctx.Err(), f.failure)
			}
			return "", ctx.Err()
		}
		c.mu.Lock()
	}
}

// lasts reports whether there is a token that is still good. It is called with mu
// held, as are start and leave.
func (c *credentials) lasts() bool { return c.current != "" && time.Now().Before(c.expires) }

// start begins a fetch, which the context of the first call does not end.
func (c *credentials) start(ctx context.Context) *flight {
	f := &flight{late: time.Now().Add(renewPatience), done: make(chan struct{}), news: make(chan struct{})}
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.flight = f
	go c.run(ctx, f)
	return f
}

// leave is called for each call that does not wait for the end of f. Unless there
// is an old token, the last one ends the fetch.
func (c *credentials) leave(f *flight) {
	if f.waiting--; f.waiting == 0 && !c.lasts() {
		f.cancel()
		if c.flight == f {
			c.flight = nil // whoever comes next starts afresh
		}
	}
}

// retrying takes note of an attempt that failed and will be followed by another.
func (c *credentials) retrying(f *flight, failure error, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.failure, f.next = failure, time.Now().Add(wait)
	close(f.news)
	f.news = make(chan struct{})
}

// run makes one fetch.
func (c *credentials) run(ctx context.Context, f *flight) {
	defer f.cancel()
	token, lifetime, err := c.fetch(ctx, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f {
		c.flight = nil
		now := time.Now()
		switch {
		case err == nil:
			c.current, c.expires = token, now.Add(lifetime)
			c.renewAt = c.expires.Add(-min(renewEarly, lifetime/10))
		case c.lasts():
			token, err, c.renewAt = c.current, nil, now.Add(renewAgain)
		}
	}
	f.token, f.err = token, err
	close(f.done)
}

// fetch asks the token endpoint.
func (c *credentials) fetch(ctx context.Context, f *flight) (token string, lifetime time.Duration, err error) {
	r, err := newRequest(ctx, http.MethodPost, c.url, []byte(c.form.Encode()))
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.read = func(h http.Header, body []byte) (err error) {
		token, lifetime, err = readToken(h, body)
		return err
	}
	r.hidden = redaction{secret: c.form.Get("client_secret"), bodies: true}
	r.onRetry = func(failure error, wait time.Duration) { c.retrying(f, failure, wait) }
	err = c.sender.send(r) //nolint:contextcheck // the request carries it
	return token, lifetime, err
}

// refused forgets token after the API has refused it, unless another call has
// renewed it since.
func (c *credentials) refused(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == token {
		c.current = ""
	}
	return true
}

// readToken reads the answer of the token endpoint, with header h. Its errors do
// not show any of it.
func readToken(h http.Header, body []byte) (token string, lifetime time.Duration, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", 0, errors.New("not a JSON object")
	}
	if err := json.Unmarshal(members["access_token"], &token); err != nil || !isToken(token) {
		return "", 0, errors.New("no usable access_token")
	}
	var expiresIn, expires number // seconds, Unix seconds; 0 when not sent
	for name, value := range map[string]*number{"expires_in": &expiresIn, "expires": &expires} {
		if raw, sent := members[name]; sent && value.UnmarshalJSON(raw) != nil {
			return "", 0, fmt.Errorf("%s is not a number", name)
		}
	}
	if expiresIn <= 0 && expires > 0 {
		now, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		expiresIn = expires - number(now.Unix())
	}
	switch {
	case expiresIn <= 0: // none that can be true of a new token
		return token, defaultTokenLifetime, nil
	case expiresIn > math.MaxInt32: // 68 years
		return token, math.MaxInt32 * time.Second, nil
	}
	return token, time.Duration(expiresIn * number(time.Second)), nil
}
