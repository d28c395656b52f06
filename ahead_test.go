package epcclogs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// inMemory is a transport that asks a handler, without a network.
func inMemory(h http.Handler) epcclogs.Option {
	return epcclogs.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Result(), r.Context().Err()
	})})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func memoryPager(t testing.TB, h http.Handler, n int, opts *epcclogs.ListOptions) *epcclogs.Pager[epcclogs.IntegrationLog] {
	t.Helper()
	pager := newClient(t, "https://example.com", inMemory(h)).IntegrationLogs(integration, opts)
	if n != 1 {
		return pager.Concurrent(n)
	}
	return pager
}

func TestConcurrentDrain(t *testing.T) {
	for name, write := range envelopes {
		for _, n := range sizes {
			for _, clamp := range []int{0, 25, 1} {
				for _, concurrent := range []int{1, 2, 3, 16} {
					t.Run(fmt.Sprintf("%s/%d/%d/%d", name, n, clamp, concurrent), func(t *testing.T) {
						pager := memoryPager(t, lister{all: records(0, n), write: write, clamp: clamp}, concurrent, nil)
						got, err := bodies(pager.All(t.Context()))
						require.NoError(t, err)
						assert.Equal(t, numbers(0, n), got)
						assert.Equal(t, n, pager.Offset())
					})
				}
			}
		}
	}
}

// Where the server tells its total, looking ahead asks for nothing beyond, and
// costs one request in a hundred.
func TestConcurrentAsksForNoMore(t *testing.T) {
	var requests atomic.Int32
	all := lister{all: records(0, 10_000), write: envelopes["meta"]}
	pager := memoryPager(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		all.ServeHTTP(w, r)
	}), 16, nil)
	got, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Len(t, got, 10_000)
	assert.EqualValues(t, 101, requests.Load())
}

// A server without a count of records, whose page numbers are rounded up for a
// page that starts between two.
func TestConcurrentAndRoundedPageNumbers(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		got, err := bodies(memoryPager(t, lister{all: records(0, 500), write: func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d}}`,
				q.list(), q.limit, q.offset, (q.offset+q.limit-1)/q.limit+1, (q.total+q.limit-1)/q.limit)
		}}, n, nil).All(t.Context()))
		require.NoError(t, err)
		assert.Equal(t, numbers(0, 500), got)
	}
}

func TestConcurrentPages(t *testing.T) {
	pager := memoryPager(t, lister{all: records(0, 950), write: envelopes["meta"]}, 4, &epcclogs.ListOptions{Offset: 30, Limit: 50})
	next := 30
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		require.NotEmpty(t, page.Data)
		require.Equal(t, next, page.Meta.Offset)
		for _, log := range page.Data {
			require.Equal(t, strconv.Itoa(next), log.Body)
			next++
		}
		require.Equal(t, next, pager.Offset())
	}
	assert.Equal(t, 950, next)
}

// randomServer answers by the query alone.
type randomServer struct {
	lister
	name      string
	poison    int // no page that holds this record is given
	threshold int // no page is given from this offset on
	ignore    bool
	echo      bool // ignores the offset, and says otherwise
	breaks    bool // refuses pages that hold some record
	moves     bool // ends, or refuses, by where a page starts
}

func (s randomServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
	limit, _ := strconv.Atoi(r.FormValue("page[limit]"))
	length := limit
	if s.clamp > 0 {
		length = min(limit, s.clamp)
	}
	if s.poison > 0 && offset <= s.poison && s.poison < offset+length {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if s.threshold > 0 && offset >= s.threshold {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if s.ignore || s.echo {
		q := question{limit: limit, total: len(s.all), data: s.all[:min(length, len(s.all))]}
		if s.echo {
			q.offset = offset
		}
		_, _ = w.Write([]byte(s.write(q)))
		return
	}
	s.lister.ServeHTTP(w, r)
}

func newRandomServer(rng *rand.Rand) randomServer {
	n := rng.IntN(700)
	s := randomServer{lister: lister{all: records(0, n)}}
	if rng.IntN(2) == 0 {
		s.clamp = []int{1, 2, 25, 60}[rng.IntN(4)]
		s.silent = rng.IntN(2) == 0
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range envelopes {
			if !yield(name) {
				return
			}
		}
	})
	s.name = names[rng.IntN(len(names))]
	write := envelopes[s.name]
	switch lie := rng.IntN(4); lie {
	case 0: // counts that are too large
		s.write = func(q question) string { q.total += 120; return write(q) }
		s.name += ", total too large"
	case 1: // counts that are too small
		s.write = func(q question) string { q.total = max(q.total-120, 0); return write(q) }
		s.name += ", total too small"
		s.moves = true
	default:
		s.write = write
	}
	switch rng.IntN(8) {
	case 0:
		s.poison, s.breaks = rng.IntN(n+1)-1, true // 0 and -1: none
	case 1:
		s.threshold, s.moves = rng.IntN(n+1)-1, true
	case 2:
		s.ignore = true
	case 3:
		s.echo = true
	}
	s.name += fmt.Sprintf(", %d records, clamp %d, silent %t, poison %d, threshold %d, ignore %t, echo %t",
		n, s.clamp, s.silent, s.poison, s.threshold, s.ignore, s.echo)
	return s
}

// kind tells errors apart as a caller would.
func kind(err error) string {
	var status *epcclogs.APIError
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, epcclogs.ErrPagination):
		return "pagination"
	case errors.As(err, &status):
		return strconv.Itoa(status.StatusCode)
	}
	return err.Error()
}

// Whatever the server, a pager that looks ahead gives what one that does not
// gives. Two kinds of servers make a difference of position, as its pages start
// elsewhere: with one that refuses every page with some record in it, the error
// may come less than a page earlier or later; and one that ends, or refuses, by
// where a page starts may do so at another one.
func TestConcurrentIsTheSame(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	servers := 400
	if testing.Short() {
		servers = 40
	}
	for range servers {
		s := newRandomServer(rng)
		opts := &epcclogs.ListOptions{Limit: []int{0, 1, 2, 7, 30, 100}[rng.IntN(6)], Offset: []int{0, 0, 13}[rng.IntN(3)]}
		one := memoryPager(t, s, 1, opts)
		want, wantErr := bodies(one.All(t.Context()))
		n := 2 + rng.IntN(15)
		many := memoryPager(t, s, n, opts)
		got, err := bodies(many.All(t.Context()))
		what := fmt.Sprintf("%s, %+v, n = %d", s.name, *opts, n)
		if !s.ignore && !s.echo { // to which an offset means nothing
			require.Equal(t, opts.Offset+len(got), many.Offset(), what)
		}
		if !s.moves {
			require.Equal(t, kind(wantErr), kind(err), what)
		}
		if s.breaks || s.moves {
			both := min(len(got), len(want))
			if !s.moves {
				require.Less(t, max(len(got), len(want))-both, 100, what)
			}
			got, want = got[:both], want[:both]
		}
		require.Equal(t, want, got, what)
	}
}

// changing is a list whose newest record comes first, and to which others are
// added while pages are read in an order that hurts.
type changing struct {
	mu    sync.Mutex
	list  []string
	write func(question) string
	batch int // so many pages are collected, and answered from the last to the first
	held  []held
}

type held struct {
	offset, limit int
	answer        chan string
}

// page is called with mu held.
func (c *changing) page(offset, limit int) string {
	from := min(offset, len(c.list))
	return c.write(question{offset: offset, limit: limit, total: len(c.list), data: c.list[from:min(from+limit, len(c.list))]})
}

func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := held{answer: make(chan string, 1)}
	h.offset, _ = strconv.Atoi(r.FormValue("page[offset]"))
	h.limit, _ = strconv.Atoi(r.FormValue("page[limit]"))
	c.mu.Lock()
	if h.offset == 0 || c.batch == 0 {
		h.answer <- c.page(h.offset, h.limit)
	} else if c.held = append(c.held, h); len(c.held) == c.batch {
		slices.SortFunc(c.held, func(a, b held) int { return cmp.Compare(b.offset, a.offset) })
		for i, h := range c.held {
			h.answer <- c.page(h.offset, h.limit)
			c.list = append([]string{record(-1 - i)}, c.list...)
		}
		c.batch = 0
	}
	c.mu.Unlock()
	select {
	case body := <-h.answer:
		_, _ = w.Write([]byte(body))
	case <-r.Context().Done():
	}
}

// Records that arrive between pages that are read out of order shift the seams:
// none that was there throughout may fall between two pages.
func TestConcurrentLosesNothingWhenRecordsArrive(t *testing.T) {
	for name, write := range envelopes {
		for _, n := range []int{2, 4, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				got, err := bodies(memoryPager(t, &changing{list: records(0, 1500), write: write, batch: n}, n, nil).All(t.Context()))
				require.NoError(t, err)
				seen := make(map[string]int)
				for _, body := range got {
					seen[body]++
				}
				for _, body := range numbers(0, 1500) {
					require.NotZero(t, seen[body], "record %s", body)
				}
				assert.Greater(t, len(got), 1500-1, "records may come twice")
			})
		}
	}
}

// The same over lists that change at random: grow in front or at the end while
// pages are read.
func TestConcurrentOverGrowingLists(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 200 {
		name := []string{"meta", "links", "nested", "bare"}[rng.IntN(4)]
		var mu sync.Mutex
		c := &changing{list: records(0, 300+rng.IntN(600)), write: envelopes[name]}
		start := len(c.list)
		added := 0
		pager := memoryPager(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if rng.IntN(4) == 0 && added < 50 {
				added++
				c.mu.Lock()
				if rng.IntN(3) == 0 {
					c.list = append(c.list, record(10_000+added))
				} else {
					c.list = append([]string{record(-added)}, c.list...)
				}
				c.mu.Unlock()
			}
			mu.Unlock()
			c.ServeHTTP(w, r)
		}), 1+rng.IntN(8), nil)
		got, err := bodies(pager.All(t.Context()))
		require.NoError(t, err, name)
		seen := make(map[string]bool)
		for _, body := range got {
			seen[body] = true
		}
		for _, body := range numbers(0, start) {
			require.True(t, seen[body], "%s: record %s", name, body)
		}
	}
}

// At most n requests are under way, and no more than n pages asked for beyond
// what was handed out.
func TestConcurrentBounds(t *testing.T) {
	const n = 5
	var under, most, requests atomic.Int32
	full := make(chan struct{}) // closed when n requests are under way
	all := lister{all: records(0, 3000), write: envelopes["links"]}
	pager := memoryPager(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if requests.Add(1) == 1+n {
			close(full)
		}
		if r.FormValue("page[offset]") != "" {
			<-full // which hangs where the pager does not look ahead so far
		}
		all.ServeHTTP(w, r)
	}), n, nil)
	pages := int32(0)
	for _, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		require.LessOrEqual(t, requests.Load(), pages+n, "asked for, and not handed out before this page")
		pages++
	}
	assert.EqualValues(t, n, most.Load())
}

// A guess that brings only the overlap tells nothing, as with this server, which
// cuts some pages to one record.
func TestConcurrentAndPagesOfOneRecord(t *testing.T) {
	for name, write := range envelopes {
		t.Run(name, func(t *testing.T) {
			all := records(0, 300)
			pager := memoryPager(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
				clamp := 10
				if offset%10 == 9 {
					clamp = 1
				}
				lister{all: all, clamp: clamp, silent: true, write: write}.ServeHTTP(w, r)
			}), 4, nil)
			got, err := bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(0, 300), got)
		})
	}
}

// When the loop is left, nothing that it started is left.
func TestConcurrentEndsWithTheLoop(t *testing.T) {
	var under atomic.Int32
	all := lister{all: records(0, 5000), write: envelopes["meta"]}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived := make(chan struct{}, 100)
	slow := roundTrip(func(r *http.Request) (*http.Response, error) {
		under.Add(1)
		defer under.Add(-1)
		rec := httptest.NewRecorder()
		all.ServeHTTP(rec, r)
		if offset, _ := strconv.Atoi(r.FormValue("page[offset]")); offset > 150 {
			arrived <- struct{}{}
			<-r.Context().Done() // no answer
			return nil, r.Context().Err()
		}
		return rec.Result(), nil
	})
	c := newClient(t, "https://example.com", epcclogs.WithHTTPClient(&http.Client{Transport: slow}))
	pager := c.IntegrationLogs(integration, nil).Concurrent(8)
	seen := 0
	for _, err := range pager.All(ctx) {
		require.NoError(t, err)
		if seen++; seen == 150 {
			for range 7 {
				<-arrived
			}
			require.EqualValues(t, 7, under.Load())
			break
		}
	}
	assert.Zero(t, under.Load(), "requests under way after break")
	assert.Equal(t, 150, pager.Offset())

	var last error
	for _, err := range pager.All(ctx) { // goes on at 150, and is cancelled while it waits
		if last = err; err != nil {
			break
		}
		if seen++; seen == 199 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	assert.Zero(t, under.Load(), "requests under way after the context ended")
	assert.Equal(t, 199, pager.Offset())
}

func TestConcurrentResumes(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	all := lister{all: records(0, 2000), write: envelopes["meta"]}
	pager := memoryPager(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
		if down.Load() && offset+100 > 850 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		all.ServeHTTP(w, r)
	}), 6, nil)
	got, err := bodies(pager.All(t.Context()))
	require.ErrorIs(t, err, epcclogs.ErrForbidden)
	assert.Equal(t, numbers(0, len(got)), got)
	assert.Equal(t, len(got), pager.Offset())
	down.Store(false)
	rest, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(len(got), 2000), rest)
}

// Without a context nothing is sent, nor handed out of a page begun before.
func TestConcurrentWithoutContext(t *testing.T) {
	pager := memoryPager(t, lister{all: records(0, 300), write: envelopes["meta"]}, 4, nil)
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		require.Len(t, page.Data, 100)
		break
	}
	var none context.Context
	got, err := bodies(pager.All(none))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	assert.Empty(t, got)
	assert.Equal(t, 100, pager.Offset())
}

func TestConcurrentRefusesMisuse(t *testing.T) {
	var requests atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte(bare()))
	})
	for _, n := range []int{0, -1} {
		_, err := bodies(memoryPager(t, h, n, nil).All(t.Context()))
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	}
	assert.Zero(t, requests.Load())

	pager := memoryPager(t, lister{all: records(0, 300), write: envelopes["meta"]}, 1, nil)
	for _, err := range pager.All(t.Context()) {
		require.NoError(t, err)
		break
	}
	require.Same(t, pager, pager.Concurrent(4))
	for range 2 {
		_, err := bodies(pager.All(t.Context()))
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		require.ErrorContains(t, err, "after the pager was used")
	}
}
