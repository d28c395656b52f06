package epcclogstest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

const goodForm = "grant_type=client_credentials&client_id=shop&client_secret=not-a-real-secret"

// fetch asks for a token.
func fetch(t *testing.T, srv *epcclogstest.Server, form string) (int, map[string]any) {
	t.Helper()
	resp, body, err := do(t.Context(), http.MethodPost, srv.URL+"/oauth/access_token", "", form)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, decode(t, body)
}

// try returns the status that the API answers to a bearer token.
func try(t *testing.T, srv *epcclogstest.Server, token string) int {
	t.Helper()
	resp, _, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations", token, "")
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestToken(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("shop", "not-a-real-secret", 0))
	before := time.Now().Add(time.Hour).Unix()
	status, v := fetch(t, srv, goodForm)
	if status != 200 {
		t.Fatal(status, v)
	}
	token := v["access_token"].(string)
	if expires := int64(v["expires"].(float64)); expires < before || expires > time.Now().Add(time.Hour).Unix() {
		t.Errorf("expires %d, asked at %d", expires, before)
	}
	delete(v, "access_token")
	delete(v, "expires")
	equal(t, v, `{"token_type": "Bearer", "expires_in": 3600, "identifier": "client_credentials"}`)

	if got := try(t, srv, token); got != 200 {
		t.Errorf("good token: %d", got)
	}
	if got := try(t, srv, "made-up"); got != 401 {
		t.Errorf("made-up token: %d", got)
	}
	srv.RevokeTokens()
	if got := try(t, srv, token); got != 401 {
		t.Errorf("revoked token: %d", got)
	}
	_, v = fetch(t, srv, goodForm)
	if got := try(t, srv, v["access_token"].(string)); got != 200 {
		t.Errorf("token given out after RevokeTokens: %d", got)
	}
}

func TestTokenExpires(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("shop", "not-a-real-secret", -time.Second))
	_, v := fetch(t, srv, goodForm)
	if got := try(t, srv, v["access_token"].(string)); got != 401 {
		t.Errorf("expired token: %d", got)
	}
}

func TestTokenRefused(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("shop", "not-a-real-secret", time.Minute))
	for form, want := range map[string]string{
		strings.Replace(goodForm, "not-a-", "", 1): `{"status": "401", "title": "Unauthorized", "detail": "The client credentials were refused."}`,
		strings.Replace(goodForm, "shop", "", 1):   `{"status": "401", "title": "Unauthorized", "detail": "The client credentials were refused."}`,
		"grant_type=implicit":                      `{"status": "400", "title": "Bad Request", "detail": "grant_type must be client_credentials."}`,
		"%zz":                                      `{"status": "400", "title": "Bad Request", "detail": "grant_type must be client_credentials."}`,
	} {
		_, v := fetch(t, srv, form)
		equal(t, v, `{"errors": [`+want+`]}`)
	}

	// HTTP Basic and a query are not read.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		srv.URL+"/oauth/access_token?"+goodForm, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("shop", "not-a-real-secret")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Error(resp.Status)
	}
}

func TestAnyClientAndAnyToken(t *testing.T) {
	srv := newServer(t)
	if status, v := fetch(t, srv, "grant_type=client_credentials&client_id=anybody"); status != 200 {
		t.Error(status, v)
	}
	if got := try(t, srv, "anything"); got != 200 {
		t.Error(got)
	}
}
