// Package wire is the other side of the connection, for the tests of epcclogs:
// the bytes that a server sends, and what it was asked. It knows nothing of
// epcclogs, so that tests in that package can use it too.
package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Step answers one request. It is an http.RoundTripper, for tests without a
// network, and an http.Handler, which closes the connection where the step fails.
type Step func(*http.Request) (*http.Response, error)

// RoundTrip answers the request.
func (s Step) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// ServeHTTP sends the answer as it is, also where a Content-Length of its header
// is not that of its body.
func (s Step) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp, err := s(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_ = http.NewResponseController(w).Flush() // the header is on its way, whatever becomes of the body
	_, _ = io.Copy(w, resp.Body)
}

// Reply sends a status, a body, and headers (name, value, ...). The Content-Type
// is application/json unless they name another.
func Reply(status int, body string, header ...string) Step {
	return func(r *http.Request) (*http.Response, error) {
		return respond(r, status, strings.NewReader(body), header), nil
	}
}

// OK sends the body with status 200.
func OK(body string, header ...string) Step { return Reply(http.StatusOK, body, header...) }

// Stall sends what Reply does, and no end of the body until the request ends.
func Stall(status int, body string, header ...string) Step {
	return func(r *http.Request) (*http.Response, error) {
		return respond(r, status, io.MultiReader(strings.NewReader(body), endless{r.Context()}), header), nil
	}
}

// Hang sends nothing until the request ends.
func Hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Break fails as a connection does.
func Break(err error) Step {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// Hold waits until the channel is closed, and then takes the step.
func Hold(until <-chan struct{}, then Step) Step {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-until:
			return then(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// After waits, and then takes the step.
func After(d time.Duration, then Step) Step {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return then(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func respond(r *http.Request, status int, body io.Reader, header []string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), Request: r}
	resp.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// A Request is one that a script was asked.
type Request struct {
	*http.Request
	At   time.Time
	Form string // the body
}

// A Script answers requests, and keeps them. It is an http.RoundTripper and an
// http.Handler, as a Step is.
type Script struct {
	step func(n int) Step

	mu       sync.Mutex
	requests []Request
}

// Steps returns a script that takes the steps in turn, and the last one for ever.
func Steps(steps ...Step) *Script {
	return Each(func(n int) Step { return steps[min(n, len(steps))-1] })
}

// Each returns a script that asks for the step of each request; n counts from 1.
func Each(step func(n int) Step) *Script { return &Script{step: step} }

// Answer is the Step of the script.
func (s *Script) Answer(r *http.Request) (*http.Response, error) {
	asked := Request{Request: r, At: time.Now()}
	r = r.WithContext(r.Context()) // a copy, since a transport leaves its requests alone
	if r.Body == nil {
		r.Body = http.NoBody
	}
	form, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	asked.Form = string(form)
	r.Body = io.NopCloser(strings.NewReader(asked.Form))
	s.mu.Lock()
	s.requests = append(s.requests, asked)
	step := s.step(len(s.requests))
	s.mu.Unlock()
	return step(r)
}

// RoundTrip answers the request.
func (s *Script) RoundTrip(r *http.Request) (*http.Response, error) { return s.Answer(r) }

// ServeHTTP answers the request.
func (s *Script) ServeHTTP(w http.ResponseWriter, r *http.Request) { Step(s.Answer).ServeHTTP(w, r) }

// Requests returns the requests so far.
func (s *Script) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request{}, s.requests...)
}

// Last returns the latest request.
func (s *Script) Last() Request {
	all := s.Requests()
	return all[len(all)-1]
}

// Sent returns the requests so far as "METHOD uri".
func (s *Script) Sent() []string {
	var sent []string
	for _, r := range s.Requests() {
		sent = append(sent, r.Method+" "+r.URL.RequestURI())
	}
	return sent
}

// Times returns when the requests so far came.
func (s *Script) Times() []time.Time {
	var all []time.Time
	for _, r := range s.Requests() {
		all = append(all, r.At)
	}
	return all
}

// Headers returns the header of that name of each request so far.
func (s *Script) Headers(name string) []string {
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Header.Get(name))
	}
	return all
}

// Connections returns by how many connections the requests came.
func (s *Script) Connections() int {
	from := make(map[string]bool)
	for _, r := range s.Requests() {
		from[r.RemoteAddr] = true
	}
	return len(from)
}

// A Server is a script behind a loopback address.
type Server struct {
	*Script
	*httptest.Server
}

// Serve starts a server that takes the steps in turn, and the last one for ever.
func Serve(t testing.TB, steps ...Step) *Server {
	t.Helper()
	s := &Server{Script: Steps(steps...)}
	s.Server = httptest.NewServer(s.Script)
	t.Cleanup(s.Close)
	return s
}

// Meeting returns a function that returns once n goroutines have called it, then
// once n more have, and so on; or when the test is over.
func Meeting(t testing.TB, n int) func() {
	var mu sync.Mutex
	here, all := 0, make(chan struct{})
	return func() {
		mu.Lock()
		mine := all
		if here++; here == n {
			close(all)
			here, all = 0, make(chan struct{})
		}
		mu.Unlock()
		select {
		case <-mine:
		case <-t.Context().Done():
		}
	}
}

// Fixture returns a response in testdata, as a server sends it.
func Fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Gzip compresses a body.
func Gzip(body []byte) string {
	var b bytes.Buffer // which takes everything
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.String()
}

// Seeds adds the responses in testdata whose names match one of the patterns to those of a
// fuzz test, whole and cut.
func Seeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(names) == 0 {
			f.Fatal(pattern, err)
		}
		for _, name := range names {
			body := Fixture(f, filepath.Base(name))
			f.Add([]byte(body))
			f.Add([]byte(body[:len(body)/2]))
		}
	}
}
