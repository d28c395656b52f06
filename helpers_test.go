package epcclogs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

const integration = "ff8634a8-a89e-4eac-baab-9b7b8c4f8720"

// fixture returns a response as a server sends it.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

// quick is a policy that retries without a noticeable wait.
var quick = epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3, MinWait: time.Millisecond, MaxWait: time.Millisecond})

// newClient returns a client of the server that no rate limit slows down: the
// time between two requests is less than a nanosecond.
func newClient(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithBaseURL(url), epcclogs.WithRateLimit(1e10), quick}, opts...)
	c, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

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
