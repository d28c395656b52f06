package epcclogstest

import (
	"crypto/rand"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	tokenPath     = "/oauth/access_token"
	tokenLifetime = time.Hour // documented
)

// credentials are those of the one client that may ask for tokens.
type credentials struct {
	clientID, clientSecret string
	lifetime               time.Duration
}

// answerToken answers a token request. Its errors give the status as a string,
// unlike those of the API.
func (s *Server) answerToken(method string, form url.Values) answer {
	if method != http.MethodPost {
		return methodNotAllowed(http.MethodPost)
	}
	if form.Get("grant_type") != "client_credentials" {
		return jsonAnswer(http.StatusBadRequest,
			errorBody(`"400"`, "Bad Request", "grant_type must be client_credentials."))
	}
	lifetime := tokenLifetime
	if c := s.credentials; c != nil {
		if form.Get("client_id") != c.clientID || form.Get("client_secret") != c.clientSecret {
			return jsonAnswer(http.StatusUnauthorized,
				errorBody(`"401"`, "Unauthorized", "The client credentials were refused."))
		}
		lifetime = c.lifetime
	}

	token := rand.Text()
	expires := time.Now().Add(lifetime)
	s.mu.Lock()
	s.tokens[token] = expires
	s.mu.Unlock()
	return jsonAnswer(http.StatusOK, fmt.Appendf(nil,
		`{"access_token":"%s","token_type":"Bearer","expires_in":%v,"expires":%d,"identifier":"client_credentials"}`,
		token, lifetime.Seconds(), expires.Unix()))
}

// RevokeTokens ends all tokens given out so far: they are answered 401 from now
// on. It has no effect without [WithClientCredentials].
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// authorized reports whether the request carries a token that is good now.
func (s *Server) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return false
	}
	if s.credentials == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.tokens[token]
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
