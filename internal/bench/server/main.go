// Command benchserver serves logs to the benchmarks, from a process of its own so
// that what a client costs can be told from what its server costs. It prints its
// address on standard output, and ends when its standard input does.
//
// The first element of a path makes a store, as a query does: under
//
//	/records=10000&latency=50ms&run=3/v2/integrations/ID/logs
//
// are 10,000 records, and each request takes 50 ms. The newest is created at the beginning
// of 2026, and each other one 30 seconds before the next. It is the last of the list, or with
// newest=true the first. Another run is another store. GET /.../requests tells how many
// requests a store got.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/epcclogs/epcclogs/internal/envelope"
)

func main() {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &server{logs: render(10_000), stores: map[string]*store{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{store}/v2/integrations/{integration}/logs", s.list)
	mux.HandleFunc("GET /{store}/requests", s.requests)
	go func() {
		log.Fatal((&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(listener))
	}()
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type server struct {
	logs rendered

	mu     sync.Mutex
	stores map[string]*store
}

// store returns the store that a request is for, and makes it at the first one.
func (s *server) store(w http.ResponseWriter, r *http.Request) *store {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("store")
	if s.stores[name] == nil {
		made, err := newStore(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		}
		s.stores[name] = made
	}
	return s.stores[name]
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	store := s.store(w, r)
	if store == nil {
		return
	}
	store.requests.Add(1)
	time.Sleep(store.latency)
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("page[limit]"))
	if err != nil || limit < 1 || limit > 100 {
		http.Error(w, "page[limit] must be 1 to 100", http.StatusBadRequest)
		return
	}
	offset := 0
	if o := query.Get("page[offset]"); o != "" {
		if offset, err = strconv.Atoi(o); err != nil || offset < 0 {
			http.Error(w, "page[offset] must be 0 or more", http.StatusBadRequest)
			return
		}
	}

	end := max(offset, min(offset+limit, store.records))
	page := envelope.Page{Offset: offset, Limit: limit, Total: store.records}
	b := page.Meta(s.logs.array(offset, end, store.created))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

func (s *server) requests(w http.ResponseWriter, r *http.Request) {
	if store := s.store(w, r); store != nil {
		_, _ = fmt.Fprint(w, store.requests.Load())
	}
}

// store is how the requests under one path are answered.
type store struct {
	records  int
	latency  time.Duration
	newest   bool // first
	requests atomic.Int64
}

// created returns the time of the record with that number.
func (s *store) created(number int) time.Time {
	if !s.newest {
		number = s.records - 1 - number
	}
	return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(-number) * 30 * time.Second)
}

func newStore(name string) (*store, error) {
	q, err := url.ParseQuery(name)
	if err != nil {
		return nil, err
	}
	s := new(store)
	if s.records, err = strconv.Atoi(q.Get("records")); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if s.latency, err = time.ParseDuration(q.Get("latency")); err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	s.newest = q.Get("newest") == "true"
	return s, nil
}
