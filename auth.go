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

// WithClientCredentials documents these.
const (
	defaultTokenLifetime = time.Hour        // that of the API's documents, if the response has none
	renewEarly           = time.Minute      // a token is renewed so long before it expires, or a tenth of its lifetime if that is less
	renewAgain           = 10 * time.Second // from a renewal that failed to the next, while the old token is good
	renewPatience        = time.Second      // the longest that calls wait for a renewal, while the old token is good
)

// given is a source that the user of the library supplies.
type given func(context.Context) (string, error)

func (given) prepare(context.Context) error { return nil }

func (g given) token(ctx context.Context) (string, error) {
	token, err := g(ctx)
	if err == nil && !isToken(token) {
		err = errors.New("the function of WithTokenFunc returned one that " + badToken)
	}
	return token, err
}

func (given) refused(string) bool { return false }

// badToken says what is wrong with a text that isToken refuses.
const badToken = "is empty or has a space, a line break or another character that tokens cannot have"

// isToken reports whether s can be sent as a bearer token.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// credentials are the source of tokens that are fetched with an id and a secret.
// All calls share the token: one fetch serves every call that waits.
//
// A token is renewed shortly before it expires. While the old token is good, no call
// fails because a renewal fails. Calls use the old token as soon as the first attempt
// of the renewal has failed, or the renewal takes longer than renewPatience. It goes
// on in the background. If it fails, the next one begins after renewAgain.
type credentials struct {
	sender *sender
	url    string
	form   url.Values

	mu      sync.Mutex
	current string    // the token; empty when there is none, or the API refused it
	renewAt time.Time // from then on a call begins a fetch
	expires time.Time // from then on current is not used
	flight  *flight   // the fetch under way, nil when none is
}

// flight is one fetch of a token, and the calls that wait for it.
type flight struct {
	cancel context.CancelFunc
	late   time.Time     // from then on calls use the old token, if it is good
	done   chan struct{} // closed once token and err are set
	token  string
	err    error

	// Guarded by credentials.mu.
	waiting int
	failure error         // of the latest attempt, if another will follow
	next    time.Time     // the other one is not sent before
	news    chan struct{} // closed when failure and next change
}

func newCredentials(s *sender, base, clientID, clientSecret string) *credentials {
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

// token returns the token. If there is none, or it is time to renew it, token waits
// for a fetch. It returns early when ctx ends, or as soon as the deadline of ctx is
// known to come before the next attempt of the fetch. Other calls go on waiting.
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
		// The fetch has no deadline, so it waits for the end of a pause. This call may not.
		paused, err := c.sender.transport.pace.watch(ctx)
		if gives, token, err := c.givesUp(ctx, f, err); gives {
			c.leave(f)
			return token, err
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
		}
		c.mu.Lock()
	}
}

// givesUp reports whether a call with ctx does not wait for f any longer, and what
// it gets then. pause is the error of a pause that is too long for it. The caller
// holds mu, as for lasts, start and leave.
func (c *credentials) givesUp(ctx context.Context, f *flight, pause error) (gives bool, token string, err error) {
	switch over := ctx.Err(); {
	case c.lasts() && f.doubtful():
		return true, c.current, nil
	case over != nil && f.failure != nil:
		return true, "", fail("", "%s; the last attempt failed: %s", over, f.failure)
	case over != nil:
		return true, "", fail("", "%s; %s", over, errors.New("no token has come from "+c.url))
	case f.failure != nil && !outlasts(ctx, time.Until(f.next)):
		return true, "", f.failure
	}
	return pause != nil, "", pause
}

// doubtful reports whether an attempt of f has failed, or f takes long.
func (f *flight) doubtful() bool { return f.failure != nil || !time.Now().Before(f.late) }

// lasts reports whether there is a token that is still good.
func (c *credentials) lasts() bool { return c.current != "" && time.Now().Before(c.expires) }

// start begins a fetch. It does not end with ctx, since other calls wait for it too.
func (c *credentials) start(ctx context.Context) *flight {
	f := &flight{late: time.Now().Add(renewPatience), done: make(chan struct{}), news: make(chan struct{})}
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.flight = f
	go c.run(ctx, f)
	return f
}

// leave notes that a call does not wait for f any longer. If it was the last one, and
// there is no old token that is good, the fetch ends.
func (c *credentials) leave(f *flight) {
	if f.waiting--; f.waiting == 0 && !c.lasts() {
		f.cancel()
		if c.flight == f {
			c.flight = nil // the next call begins another
		}
	}
}

// retrying notes that an attempt of f failed and that another one follows.
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
	r.forToken = true
	r.hidden = redaction{secret: c.form.Get("client_secret"), bodies: true}
	r.onRetry = func(failure error, wait time.Duration) { c.retrying(f, failure, wait) }
	err = c.sender.send(r) //nolint:contextcheck // the request carries it
	return token, lifetime, err
}

// refused makes the next call fetch a token, unless another one was fetched since
// token was sent.
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
		return "", 0, errors.New("it is not a JSON object")
	}
	if err := json.Unmarshal(members["access_token"], &token); err != nil || !isToken(token) {
		if isListed(members["errors"]) || isListed(members["error"]) { // as OAuth names a single one
			return "", 0, errListed
		}
		return "", 0, errors.New("access_token is missing, empty or not a token")
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
	case expiresIn <= 0: // not sent, or not true
		return token, defaultTokenLifetime, nil
	case expiresIn > math.MaxInt32: // 68 years
		return token, math.MaxInt32 * time.Second, nil
	}
	return token, time.Duration(expiresIn * number(time.Second)), nil
}
