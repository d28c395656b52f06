package epcclogstest

import (
	"context"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

// Server is a running server. Its methods may be called from several
// goroutines at once, and from the function given to [Server.OnRequest], but
// for Close, which would wait for that function.
type Server struct {
	// URL is the base URL, such as http://127.0.0.1:34567: without /v2 and
	// without a final slash.
	URL string

	// What the options set; not changed after NewServer.
	envelope      Envelope
	latency       time.Duration
	maxLimit      int
	silentLimit   bool
	maxOffset     int
	ignoredOffset bool
	credentials   *credentials

	store     store
	http      *http.Server
	cancel    context.CancelFunc // ends the context of every request
	closeOnce sync.Once
	running   sync.WaitGroup // the accept loop, and each open connection

	mu          sync.Mutex // guards what follows
	closed      bool
	conns       map[net.Conn]struct{} // all open ones, hijacked ones included
	requests    []Request
	apiRequests int // received so far
	onRequest   func(n int, r Request)
	faults      schedule // of API requests
	tokenFaults schedule
	limit       *bucket // nil: unlimited
	tokens      map[string]time.Time
}

// NewServer starts a server on a free port of 127.0.0.1 and returns when it can
// be called. End it with Close. NewServer panics when it cannot listen, or when
// an option makes no sense, since a test can do nothing about either.
func NewServer(opts ...Option) *Server {
	s := &Server{
		maxLimit:  defaultMaxLimit,
		maxOffset: math.MaxInt,
		conns:     make(map[net.Conn]struct{}),
		tokens:    make(map[string]time.Time),
	}
	for _, opt := range opts {
		opt(s)
	}
	if s.store.integrations == nil {
		for i := range 3 {
			in := SampleIntegration(i)
			s.store.addIntegration(in, SampleLogs(in.ID, 250))
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		panic("epcclogstest: cannot listen: " + err.Error())
	}
	s.URL = "http://" + listener.Addr().String()
	s.cancel = cancel
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.serve),
		ErrorLog:    log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   s.connState,
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		_ = s.http.Serve(listener) // ends with ErrServerClosed
	}()
	return s
}

// Close stops the server and closes its connections, whatever is under way on
// them: delayed and stalled requests end at once, without an answer. When Close
// returns, nothing of the server is running any more. Calls after the first
// only wait for that.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.cancel()
		_ = s.http.Close()
		s.mu.Lock()
		s.closed = true
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
	})
	s.running.Wait()
}

// AddLogs puts logs that arrive now, the oldest first, at the growing end of an
// integration's listing and of the list of the whole store: the end, or the
// front with [WithNewestFirst]. It panics when the server does not hold the
// integration.
func (s *Server) AddLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	s.store.add(integrationID, logs)
}

// PrependLogs is [Server.InsertLogs] at index 0: it puts logs at the front of
// an integration's listing. All others move to higher offsets, and a client that
// is paging meets some of them again.
func (s *Server) PrependLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	s.InsertLogs(integrationID, 0, logs...)
}

// InsertLogs puts logs into an integration's listing, in the order in which they
// are then listed, so that the first has the index: a record that was committed
// late stands a few places before the growing end. The list of the whole store
// gets them at the same end, or else right beside their neighbours in the
// integration's listing. InsertLogs panics when the server does not hold the
// integration, and when index is not from 0 to the number of its logs.
func (s *Server) InsertLogs(integrationID string, index int, logs ...epcclogs.IntegrationLog) {
	s.store.insert(integrationID, index, logs)
}

// RemoveLogs deletes those logs of an integration for which remove returns true,
// as a store's retention deletes the oldest, and returns how many they were. It
// calls remove once for each log, in the order in which they arrived. Requests
// wait meanwhile, and remove must not call the server's methods. RemoveLogs
// panics when the server does not hold the integration.
func (s *Server) RemoveLogs(integrationID string, remove func(epcclogs.IntegrationLog) bool) int {
	return s.store.remove(integrationID, remove)
}

// connState follows the connections, because http.Server.Close neither knows
// those that a fault has hijacked nor waits for any.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew: // called by the accept loop, so Wait cannot have returned
		s.running.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns[c] = struct{}{}
		if s.closed { // accepted while the listener was being closed
			_ = c.Close()
		}
	case http.StateClosed:
		s.released(c)
	}
}

// released forgets a connection that is closed.
func (s *Server) released(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.running.Done()
}

// serve answers every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// Read the body first: only then does net/http notice a client that leaves.
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	in := s.receive(r, body)
	if in.hook != nil {
		in.hook(in.n, in.request)
	}
	if !sleep(r.Context(), s.latency) {
		panic(http.ErrAbortHandler)
	}

	var a answer
	switch {
	case in.token:
		a = s.answerToken(r.Method, in.form)
	case in.overLimit:
		a = errorAnswer(http.StatusTooManyRequests, "Too Many Requests", "")
		a.header.Set("Retry-After", "1")
	default:
		a = s.answer(r)
	}
	in.fault.apply(s, w, a)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
