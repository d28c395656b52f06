package epcclogs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/epcclogs/epcclogs/internal/wire"
)

// fixture returns a response as a server sends it.
func fixture(t testing.TB, name string) []byte { return []byte(wire.Fixture(t, name)) }

// answer is a raw response.
type answer struct {
	status int
	header map[string]string
	body   string
}

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

// script is a server that gives its answers in turn, the last one for ever, and
// keeps the requests.
type script struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []http.Handler
	requests []*http.Request
}

func serve(t testing.TB, answers ...http.Handler) *script {
	t.Helper()
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		next := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// sent returns the requests so far, as "METHOD uri".
func (s *script) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sent []string
	for _, r := range s.requests {
		sent = append(sent, r.Method+" "+r.RequestURI)
	}
	return sent
}

func ok(body string) answer { return answer{status: http.StatusOK, body: body} }

// record is the JSON of log n.
func record(n int) string {
	return fmt.Sprintf(`{"id":"log-%d","type":"integration","succeeded":true,"attempt":1,"body":"%d","status_code":200,"error_detail":""}`, n, n)
}

func records(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, record(n))
	}
	return all
}

func bare(records ...string) string { return `{"data":[` + strings.Join(records, ",") + `]}` }
