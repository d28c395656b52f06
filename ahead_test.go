package epcclogs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// randomServer answers by the query alone.
type randomServer struct {
	wire.List
	name      string
	poison    int // no page that holds this record is given
	threshold int // no page is given from this offset on
	ignore    bool
	echo      bool // ignores the offset, and says otherwise
	breaks    bool // refuses pages that hold some record
	moves     bool // ends, or refuses, by where a page starts
}

func (s randomServer) answer(r *http.Request) (*http.Response, error) {
	offset, limit := wire.Asked(r)
	length := limit
	if s.Clamp > 0 {
		length = min(limit, s.Clamp)
	}
	switch {
	case s.poison > 0 && offset <= s.poison && s.poison < offset+length:
		return wire.Reply(http.StatusConflict, "")(r)
	case s.threshold > 0 && offset >= s.threshold:
		return wire.Reply(http.StatusBadRequest, "")(r)
	case s.ignore || s.echo:
		q := wire.Question{Limit: limit, Total: len(s.All), Data: s.All[:min(length, len(s.All))]}
		if s.echo {
			q.Offset = offset
		}
		return wire.OK(s.Write(q))(r)
	}
	return s.Answer(r)
}

func newRandomServer(rng *rand.Rand) randomServer {
	size := rng.IntN([]int{60, 120, 500}[rng.IntN(3)])
	s := randomServer{List: wire.List{All: wire.Records(0, size)}}
	if rng.IntN(2) == 0 {
		s.Clamp = []int{1, 2, 25, 60}[rng.IntN(4)]
		s.Silent = rng.IntN(2) == 0
	}
	names := slices.Sorted(maps.Keys(wire.Envelopes))
	s.name = names[rng.IntN(len(names))]
	write := wire.Envelopes[s.name]
	switch rng.IntN(4) {
	case 0:
		s.Write = func(q wire.Question) string { q.Total += 120; return write(q) }
		s.name += ", total too large"
	case 1:
		s.Write = func(q wire.Question) string { q.Total = max(q.Total-120, 0); return write(q) }
		s.name += ", total too small"
		s.moves = true
	default:
		s.Write = write
	}
	switch rng.IntN(8) {
	case 0:
		s.poison, s.breaks = rng.IntN(size+1)-1, true // 0 and -1: none
	case 1:
		s.threshold, s.moves = rng.IntN(size+1)-1, true
	case 2:
		s.ignore = true
	case 3:
		s.echo = true
	}
	s.name += fmt.Sprintf(", %d records, clamp %d, silent %t, poison %d, threshold %d, ignore %t, echo %t",
		size, s.Clamp, s.Silent, s.poison, s.threshold, s.ignore, s.echo)
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
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := newRandomServer(rng)
		opts := &epcclogs.ListOptions{Limit: []int{0, 1, 2, 7, 30, 100}[rng.IntN(6)], Offset: []int{0, 0, 13}[rng.IntN(3)]}
		one, _ := pagerOf(t, s.answer, 1, opts)
		want, wantErr := bodies(one.All(t.Context()))
		n := 2 + rng.IntN(15)
		many, _ := pagerOf(t, s.answer, n, opts)
		got, err := bodies(many.All(t.Context()))
		what := fmt.Sprintf("seed %d: %s, %+v, n = %d", seed, s.name, *opts, n)
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

// backwards is a list to which records are added in front while pages are read, in an
// order that hurts.
type backwards struct {
	wire.List
	most int // so many requests come before one of them is answered, the last page first

	mu   sync.Mutex
	held []held
}

type held struct {
	offset int
	answer chan wire.Step
	r      *http.Request
}

func (b *backwards) answer(r *http.Request) (*http.Response, error) {
	h := held{answer: make(chan wire.Step, 1), r: r}
	h.offset, _ = wire.Asked(r)
	b.mu.Lock()
	if h.offset == 0 || b.most == 0 {
		h.answer <- wire.OK(b.Write(b.Ask(r)))
	} else if b.held = append(b.held, h); len(b.held) == b.most {
		slices.SortFunc(b.held, func(a, b held) int { return cmp.Compare(b.offset, a.offset) })
		for i, h := range b.held {
			h.answer <- wire.OK(b.Write(b.Ask(h.r)))
			b.All = append([]string{wire.Record(-1 - i)}, b.All...)
		}
		b.most = 0
	}
	b.mu.Unlock()
	select {
	case step := <-h.answer:
		return step(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// Records that arrive between pages that are read out of order shift the seams: what was
// there throughout comes once, in order.
func TestConcurrentWhileRecordsArrive(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, n := range []int{2, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				list := &backwards{List: wire.List{All: wire.Records(0, 1200), Write: write}, most: n}
				pager, _ := pagerOf(t, list.answer, n, nil)
				got, err := bodies(pager.All(t.Context()))
				require.NoError(t, err)
				assert.Equal(t, numbers(0, 1200), got)
			})
		}
	}
}

// At most n requests are under way, and no more than n pages asked for beyond
// what was handed out.
func TestConcurrentBounds(t *testing.T) {
	const n = 5
	var under, most atomic.Int32
	full := make(chan struct{}) // closed when n requests are under way
	isFull := sync.OnceFunc(func() { close(full) })
	list := wire.List{All: wire.Records(0, 3000), Write: wire.Envelopes["links"]}
	pager, s := pagerOf(t, func(r *http.Request) (*http.Response, error) {
		now := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if now == n {
			isFull()
		}
		if offset, _ := wire.Asked(r); offset > 0 {
			<-full // which hangs where the pager does not look ahead so far
		}
		return list.Answer(r)
	}, n, nil)
	pages := 0
	for _, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(s.Sent()), pages+n, "asked for, and not handed out before this page")
		pages++
	}
	assert.EqualValues(t, n, most.Load())
}

// A guess that brings only the overlap tells nothing, as with this server, which
// cuts some pages to one record.
func TestConcurrentAndPagesOfOneRecord(t *testing.T) {
	for name, write := range wire.Envelopes {
		t.Run(name, func(t *testing.T) {
			pager, _ := pagerOf(t, func(r *http.Request) (*http.Response, error) {
				list := wire.List{All: wire.Records(0, 300), Clamp: 10, Silent: true, Write: write}
				if offset, _ := wire.Asked(r); offset%10 == 9 {
					list.Clamp = 1
				}
				return list.Answer(r)
			}, 4, nil)
			got, err := bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(0, 300), got)
		})
	}
}

// When the loop is left, nothing that it started is left.
func TestConcurrentEndsWithTheLoop(t *testing.T) {
	var under atomic.Int32
	list := wire.List{All: wire.Records(0, 2000), Write: wire.Envelopes["meta"]}
	arrived := make(chan struct{}, 100)
	pager, _ := pagerOf(t, func(r *http.Request) (*http.Response, error) {
		under.Add(1)
		defer under.Add(-1)
		if offset, _ := wire.Asked(r); offset > 150 {
			arrived <- struct{}{}
			return wire.Hang(r)
		}
		return list.Answer(r)
	}, 8, nil)
	seen := 0
	for _, err := range pager.All(t.Context()) {
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

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
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
