package limited

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

// A Drain is a list that is read from a store with a rate limit. Its times are in
// seconds.
type Drain struct {
	Limiter  string
	Rate     float64 // requests a second that the limiter allows
	Bound    float64 // of WithRateLimit; 0 means none, which is 100
	Requests int     // 20,000 unless set
	Pause    string  // Retry-After: "" means 1, "none" none, "date" the next second as a date
	Latency  float64 // 0.08 unless set; a quarter of it goes by before the limiter decides
	Jitter   float64 // of the way to the limiter
	Tenant   bool    // another client takes half of the limit in the middle third
	Halves   bool    // the limit is half in the middle third
	Clients  int     // that read at the same time; 1 unless set
}

// Result is how a Drain went.
type Result struct {
	Used    float64 // what was allowed, as a part of what the limiter lets through
	Refused float64 // part of the requests
	Share   float64 // what the client with the most got, over what that with the least did; for a tenant, what it asked for, over what it got
}

const (
	perPage = 4   // records that are new in a page
	spread  = 0.3 // of the latency, after the limiter has decided
)

// Run reads the list with the client, which must return every record once. It must
// be called in a bubble of package synctest.
func (d Drain) Run(ctx context.Context, seed uint64) (Result, error) {
	s := newStore(d, seed)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shares := make([]int, s.Clients)
	errs := make([]error, s.Clients)
	var wg sync.WaitGroup
	for i := range s.Clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(time.Duration(i) * 370 * time.Millisecond)
			defer cancel() // the first to be ready ends all
			shares[i], errs[i] = s.drain(ctx, int(math.Ceil(1.6*min(s.Rate, s.bound())*s.Latency)))
		}()
	}
	wg.Wait()
	return s.result(time.Since(s.start).Seconds(), shares), errors.Join(errs...)
}

// bound is what a client sends at most.
func (d Drain) bound() float64 {
	if d.Bound == 0 {
		return 100
	}
	return d.Bound
}

// store is the transport to the store.
type store struct {
	Drain
	limiter  Limiter
	start    time.Time
	phase    float64
	from, to float64 // the middle third

	mu       sync.Mutex
	random   *rand.Rand
	tenant   int // requests of the tenant that were allowed
	tenants  int // all of them
	requests int
	refused  int
}

func newStore(d Drain, seed uint64) *store {
	if d.Requests == 0 {
		d.Requests = 20_000
	}
	if d.Latency == 0 {
		d.Latency = 0.08
	}
	d.Clients = max(d.Clients, 1)
	s := &store{Drain: d, limiter: New(d.Limiter), random: rand.New(rand.NewPCG(seed, 0)), start: time.Now()}
	s.phase = 1000 + s.random.Float64() // windows begin at any moment
	whole := float64(d.Requests) / d.Rate * 6 / 5
	s.from, s.to = whole/3, 2*whole/3
	return s
}

// result returns how it went in the seconds that it took, when each client got its
// share.
func (s *store) result(took float64, shares []int) Result {
	rate := constant(s.Limiter, s.Rate)
	let := min(rate, s.bound()*float64(s.Clients)) * took
	if s.Halves {
		let -= (min(rate, s.bound()) - min(rate/2, s.bound())) * (min(s.to, took) - min(s.from, took))
	}
	r := Result{
		Refused: float64(s.refused) / float64(s.requests),
		Share:   float64(slices.Max(shares)) / float64(slices.Min(shares)),
	}
	if s.Tenant {
		let = min(let, rate*took-float64(s.tenant))
		r.Share = float64(s.tenants) / float64(s.tenant)
	}
	r.Used = float64(s.requests-s.refused) / let
	return r
}

func (s *store) records() int { return perPage * s.Requests }

// drain reads all records, or as many as it can before ctx is cancelled, and
// returns how many pages these were.
func (s *store) drain(ctx context.Context, n int) (pages int, err error) {
	client, err := epcclogs.NewClient(epcclogs.WithRateLimit(s.Bound), epcclogs.WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		return 0, err
	}
	next := 0
	for log, err := range client.IntegrationLogs("limited", &epcclogs.ListOptions{Limit: perPage}).Concurrent(max(n, 16)).All(ctx) {
		if ctx.Err() != nil && s.Clients > 1 {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("after %d records and %v: %w", next, time.Since(s.start), err)
		}
		if log.ID != strconv.Itoa(next) {
			return 0, fmt.Errorf("record %s comes where %d should", log.ID, next)
		}
		next++
	}
	if next != s.records() && s.Clients == 1 {
		return 0, fmt.Errorf("%d records instead of %d", next, s.records())
	}
	return next / perPage, nil
}

// before returns how long a request is under way to the limiter, in seconds.
func (s *store) before() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Latency/4 + s.Jitter*s.random.Float64()
}

// allow asks the limiter at the time t, and returns how long the response takes, in
// seconds.
func (s *store) allow(t float64) (ok bool, rest float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.Tenant {
		at := s.from + float64(s.tenants)/(s.Rate/2)
		if at > min(t, s.to) {
			break
		}
		s.tenants++
		if s.limiter.Allow(s.phase+at, s.Rate) {
			s.tenant++
		}
	}
	rate := s.Rate
	if s.Halves && s.from <= t && t < s.to {
		rate /= 2
	}
	ok = s.limiter.Allow(s.phase+t, rate)
	s.requests++
	if !ok {
		s.refused++
	}
	return ok, s.Latency * (0.75 + spread*(2*s.random.Float64()-1))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (s *store) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(seconds(s.before()))
	ok, rest := s.allow(time.Since(s.start).Seconds())
	decided := time.Now()
	time.Sleep(seconds(rest))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: http.NoBody}
	if !ok {
		resp.StatusCode = http.StatusTooManyRequests
		switch s.Pause {
		case "":
			resp.Header.Set("Retry-After", "1")
		case "none":
		case "date":
			resp.Header.Set("Date", decided.UTC().Format(http.TimeFormat))
			resp.Header.Set("Retry-After", decided.Add(time.Second).UTC().Format(http.TimeFormat))
		default:
			resp.Header.Set("Retry-After", s.Pause)
		}
		return resp, nil
	}
	offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
	limit, _ := strconv.Atoi(r.FormValue("page[limit]"))
	var body bytes.Buffer
	body.WriteString(`{"data":[`)
	for i := offset; i < min(offset+limit, s.records()); i++ {
		if i > offset {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"%d"}`, i)
	}
	fmt.Fprintf(&body, `],"results":{"total":%d}}`, s.records())
	resp.Body = io.NopCloser(&body)
	return resp, nil
}
