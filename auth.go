package epcclogs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// defaultTokenLifetime is that of the API's documents, for a response that names
// none; WithClientCredentials states it.
const defaultTokenLifetime = time.Hour

// credentials hold the bearer token that was fetched with client credentials. All
// calls share it: one fetch serves every call that waits. A Client refers to it by
// functions alone, whose values fmt cannot look into.
type credentials struct {
	pace  *pace
	fetch func(context.Context, *flight) (token string, lifetime time.Duration, err error)

	mu      sync.Mutex
	current string    // empty when there is none, or the API refused it
	renewAt time.Time // shortly before current expires
	flight  *flight   // the fetch under way, nil when none is
}

// flight is one fetch of a token, and the calls that wait for it.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once token and err are set
	token  string
	err    error

	// Guarded by credentials.mu.
	waiting int
	failure error         // of the latest attempt, when another will follow
	next    time.Time     // which will not be before this
	news    chan struct{} // closed when these change
}

func newCredentials(c *Client, clientID, clientSecret string) *credentials {
	form := []byte(url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {clientID},
		"client_secret": {clientSecret},
	}.Encode())
	creds := &credentials{pace: c.pace}
	creds.fetch = func(ctx context.Context, f *flight) (string, time.Duration, error) {
		var t tokenResponse
		k := &call{
			client: c, method: http.MethodPost, url: c.base + "/oauth/access_token",
			form: form, secret: clientSecret, out: &t,
			retrying: func(failure error, wait time.Duration) { creds.retrying(f, failure, wait) },
		}
		err := c.send(ctx, k)
		return t.token, t.lifetime(k.header), err
	}
	return creds
}

// bearer returns the token, fetching it when there is none that lasts. It returns
// as soon as ctx ends, or is bound to end before the next attempt, and leaves the
// fetch to the other calls that wait; the last one to leave ends it.
func (c *credentials) bearer(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != "" && time.Now().Before(c.renewAt) {
		return c.current, nil
	}
	f := c.flight
	if f == nil {
		var fetchCtx context.Context
		f = &flight{done: make(chan struct{}), news: make(chan struct{})}
		fetchCtx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		c.flight = f
		go c.run(fetchCtx, f)
	}
	f.waiting++
	for {
		if deadline, ok := ctx.Deadline(); ok && f.failure != nil && !deadline.After(f.next) {
			c.leave(f)
			return "", f.failure
		}
		// The fetch waits out a pause; a call whose deadline comes before its end does not.
		_, _, paused, err := c.pace.try(ctx, false, false)
		if err != nil {
			c.leave(f)
			return "", err
		}
		news := f.news
		c.mu.Unlock()
		select {
		case <-f.done:
			c.mu.Lock()
			return f.token, f.err
		case <-news:
			c.mu.Lock()
		case <-paused:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			c.leave(f)
			if f.failure != nil {
				return "", fmt.Errorf("%w; the last attempt failed: %w", ctx.Err(), f.failure)
			}
			return "", ctx.Err()
		}
	}
}

// leave is called with mu held.
func (c *credentials) leave(f *flight) {
	if f.waiting--; f.waiting == 0 {
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
	f.token, f.err = token, err
	if c.flight == f {
		c.flight = nil
		if err == nil {
			// A minute early, or a tenth of the lifetime where that is less.
			c.current, c.renewAt = token, time.Now().Add(lifetime-min(time.Minute, lifetime/10))
		}
	}
	close(f.done)
}

// refused forgets token after the API has refused it, unless another call has
// renewed it since.
func (c *credentials) refused(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == token {
		c.current = ""
	}
}

// tokenResponse is the answer of the token endpoint. Its errors do not show any
// of it.
type tokenResponse struct {
	token     string
	expiresIn float64 // seconds; 0 when not sent
	expires   float64 // Unix seconds; 0 when not sent
}

func (t *tokenResponse) UnmarshalJSON(body []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return errors.New("not a JSON object")
	}
	if err := json.Unmarshal(members["access_token"], &t.token); err != nil || !isToken(t.token) {
		return errors.New("no usable access_token")
	}
	for name, value := range map[string]*float64{"expires_in": &t.expiresIn, "expires": &t.expires} {
		var n number
		if raw, sent := members[name]; sent && n.UnmarshalJSON(raw) != nil {
			return fmt.Errorf("%s is not a number", name)
		}
		*value = float64(n)
	}
	return nil
}

// lifetime is how long the token of a response with header h lives.
func (t *tokenResponse) lifetime(h http.Header) time.Duration {
	seconds := t.expiresIn
	if seconds <= 0 && t.expires > 0 {
		now, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		seconds = t.expires - float64(now.Unix())
	}
	switch {
	case seconds <= 0: // none that can be true of a new token
		return defaultTokenLifetime
	case seconds > math.MaxInt32: // 68 years
		return math.MaxInt32 * time.Second
	}
	return time.Duration(seconds * float64(time.Second))
}
