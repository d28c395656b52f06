package epcclogstest

import (
	"context"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

// Server is a running server. Its methods are safe for concurrent use, and may
// be called from the function given to [Server.OnRequest], except for Close,
// which would wait for that function to return.
type Server struct {
	// URL is the base URL, such as http://127.0.0.1:34567: without /v2 and
	// without a final slash.
	URL string

	latency  time.Duration
	listener net.Listener // nil: one of a free port
	store    store
	pages    pages
	tokens   tokens
	intake   intake
	conns    connections

	http      *http.Server
	cancel    context.CancelFunc // ends the context of every request
	closeOnce sync.Once
}

// Option sets up a server before it starts; see the functions that return one.
type Option func(*Server)

// NewServer starts a server on a free port of 127.0.0.1, or where [WithListener] says.
// Without [WithIntegration] it holds the first three of [SampleIntegration], each with
// 250 logs of [SampleLogsUntil]: the newest are created when the server starts, and the
// oldest some two hours before. It is ready when NewServer returns; end it with Close.
// NewServer panics when it cannot listen, or when an option makes no sense, since a test
// can do nothing about either.
func NewServer(opts ...Option) *Server {
	s := &Server{pages: pages{maxLimit: defaultMaxLimit, maxOffset: math.MaxInt}}
	for _, opt := range opts {
		opt(s)
	}
	if len(s.store.allIntegrations()) == 0 {
		now := time.Now()
		for i := range 3 {
			in := SampleIntegration(i)
			s.store.addIntegration(in, SampleLogsUntil(in, 250, now))
		}
		slices.SortStableFunc(s.store.logs, func(a, b *epcclogs.IntegrationLog) int {
			return a.CreatedAt().Compare(b.CreatedAt())
		})
	}

	ctx, cancel := context.WithCancel(context.Background())
	if s.listener == nil {
		var err error
		if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			cancel()
			panic("epcclogstest: cannot listen: " + err.Error())
		}
	}
	s.URL = "http://" + s.listener.Addr().String()
	s.cancel = cancel
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.serve),
		ErrorLog:    log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   s.conns.follow,
	}
	s.conns.running.Add(1)
	go func() {
		defer s.conns.running.Done()
		_ = s.http.Serve(s.listener) // ends with ErrServerClosed
	}()
	return s
}

// Close stops the server and closes its connections. Requests that are delayed
// or stalled end at once, without an answer. When Close returns, nothing of the
// server is running any more. Further calls only wait for that.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.cancel()
		_ = s.http.Close()
		s.conns.close()
	})
	s.conns.running.Wait()
}

// serve answers every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// Read the body first: only then does net/http notice a client that leaves.
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	request := newRequest(r, body, s.tokens.accept(r))
	in := s.intake.receive(request)
	if in.hook != nil {
		in.hook(in.n, request)
	}
	if !sleep(r.Context(), s.latency) {
		panic(http.ErrAbortHandler)
	}

	var a answer
	switch {
	case request.Path == tokenPath:
		a = s.tokens.answer(r, body)
	case in.overLimit:
		a = RateLimited(time.Second).change(answer{})
	default:
		a = answerAPI(r, s.tokens.accept(r), s.pages, &s.store)
	}
	a = in.fault.change(a)
	if in.fault.breaksConnection() {
		s.conns.take(w, func(conn net.Conn) { in.fault.send(conn, a) })
		return
	}
	a.send(w)
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
