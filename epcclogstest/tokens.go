package epcclogstest

import (
	"crypto/rand"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	tokenPath     = "/oauth/access_token"
	tokenLifetime = time.Hour // as documented
)

// tokens issues bearer tokens and knows those that are good.
type tokens struct {
	client *credentials // nil: any client, any token; set before the first request

	mu      sync.Mutex
	expires map[string]time.Time // by token
}

// credentials are those of the one client that may ask for tokens.
type credentials struct {
	id, secret string
	lifetime   time.Duration
}

// answer answers a token request. The errors give the status as a string, unlike
// those of the API.
func (t *tokens) answer(r *http.Request, body []byte) answer {
	if r.Method != http.MethodPost {
		return methodNotAllowed(http.MethodPost)
	}
	form := parseForm(r, body)
	if form.Get("grant_type") != "client_credentials" {
		return jsonAnswer(http.StatusBadRequest,
			errorBody("400", "Bad Request", "grant_type must be client_credentials."))
	}
	lifetime := tokenLifetime
	if c := t.client; c != nil {
		if form.Get("client_id") != c.id || form.Get("client_secret") != c.secret {
			return jsonAnswer(http.StatusUnauthorized,
				errorBody("401", "Unauthorized", "The client credentials were refused."))
		}
		lifetime = c.lifetime
	}

	token, expires := t.issue(lifetime)
	return jsonAnswer(http.StatusOK, fmt.Appendf(nil,
		`{"access_token":"%s","token_type":"Bearer","expires_in":%v,"expires":%d,"identifier":"client_credentials"}`,
		token, lifetime.Seconds(), expires.Unix()))
}

func (t *tokens) issue(lifetime time.Duration) (token string, expires time.Time) {
	token = rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.expires == nil {
		t.expires = make(map[string]time.Time)
	}
	expires = time.Now().Add(lifetime)
	t.expires[token] = expires
	return token, expires
}

func (t *tokens) revoke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.expires)
}

// accept reports whether the request carries a token that is good now.
func (t *tokens) accept(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return false
	}
	if t.client == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	expires, ok := t.expires[token]
	return ok && time.Now().Before(expires)
}

// parseForm reads the body of a token request; nil when it is not a form.
func parseForm(r *http.Request, body []byte) url.Values {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/x-www-form-urlencoded" {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	return form
}
