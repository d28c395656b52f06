package paging

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	histories = flag.Int("histories", 300, "random histories of each kind")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history; a failing one is told in full with -histories 1")
)

// changes are how a list changes between two requests: numbers are the most that happens at
// once, the others probabilities.
type changes struct {
	name                                      string
	at                                        float64 // that anything happens
	add, expire                               int
	late, burst, purge, middle, wipe, scatter float64
}

var profiles = []changes{
	{name: "still"},
	{name: "calm", at: 0.15, add: 2, expire: 2, late: 0.1, burst: 0.02, purge: 0.02, middle: 0.1},
	{name: "steady", at: 0.8, add: 5, expire: 5, late: 0.1, middle: 0.1},
	{name: "growing", at: 0.5, add: 12, late: 0.2, burst: 0.1},
	{name: "shrinking", at: 0.5, add: 1, expire: 8, purge: 0.1, middle: 0.3},
	{name: "wild", at: 0.7, add: 20, expire: 20, late: 0.3, burst: 0.15, purge: 0.15, middle: 0.3, wipe: 0.03},
}

// history is a model, and a reader of it.
type history struct {
	*model
	dice    *rand.Rand // of the reader's use
	profile changes
	left    int // changes until the list stands still
	limit   int
	pages   int
	from    time.Time // of Since
}

func newHistory(seed uint64, deletions bool) *history {
	dice := rand.New(rand.NewPCG(seed, 1))
	size := dice.IntN(41)
	switch dice.IntN(20) {
	case 0:
		size = dice.IntN(1500)
	case 1, 2, 3, 4:
		size = dice.IntN(300)
	}
	h := &history{model: newModel(rand.New(rand.NewPCG(seed, 2)), size), dice: dice}
	h.tells = *histories == 1
	h.profile = profiles[dice.IntN(len(profiles))]
	if deletions {
		h.profile.scatter = 0.15
		h.profile.name += ", with deletions"
	}
	h.left = dice.IntN(60)
	h.limit = []int{100, 1 + dice.IntN(100), 2 + dice.IntN(10), 10 + dice.IntN(30)}[dice.IntN(4)]
	h.pages = []int{1, 1, 2, 4, 1 + dice.IntN(16)}[dice.IntN(5)]
	if h.length() == 1 {
		h.left = 0 // there is no room for an overlap
	}
	h.change = func(*model) { h.move() }
	return h
}

func (h *history) length() int {
	if h.clamp > 0 {
		return min(h.limit, h.clamp)
	}
	return h.limit
}

func (h *history) String() string {
	return fmt.Sprintf("%s, limit %d, %d pages at a time, %s", h.profile.name, h.limit, h.pages, h.model)
}

// move lets the list change, or not.
func (h *history) move() {
	p, dice := h.profile, h.model.dice
	if h.left == 0 || dice.Float64() >= p.at {
		return
	}
	h.left--
	h.note("change before request %d", h.requests+1)
	length := max(h.length(), 5)
	grow := func() {
		h.add(dice.IntN(p.add + 1))
		if dice.Float64() < p.burst {
			h.add(length + dice.IntN(min(4*length, 250)))
		}
		if dice.Float64() < p.late {
			h.addLate(1 + dice.IntN(15))
		}
	}
	shrink := func() {
		h.expire(dice.IntN(p.expire + 1))
		if dice.Float64() < p.purge {
			h.expire(length + dice.IntN(min(4*length, 250)))
		}
		if dice.Float64() < p.wipe {
			h.expire(len(h.list))
		}
		if dice.Float64() < p.middle && len(h.list) > 0 {
			at := dice.IntN(len(h.list))
			h.remove(func(i int, _ *record) bool { return i == at })
		}
		if dice.Float64() < p.scatter {
			share := 1.2 * dice.Float64()
			h.remove(func(int, *record) bool { return dice.Float64() < share })
		}
	}
	if dice.IntN(2) == 0 {
		grow()
		shrink()
	} else {
		shrink()
		grow()
	}
}

func (h *history) reader(cursor string) *Reader[[]*record] {
	r, err := New(Settings{List: "list", Limit: h.limit, Pages: h.pages, Cursor: cursor, Errorf: fmt.Errorf, Since: h.from}, h.bounded)
	if err != nil {
		panic(err)
	}
	return r
}

var errEndless = errors.New("too many requests")

// bounded is fetch, with a bound that no history should need.
func (h *history) bounded(ctx context.Context, ask Ask) (Fetched[[]*record], error) {
	h.mu.Lock()
	over := h.requests > 2000+60*(len(h.ever)/max(1, h.length()-1)+1)
	h.mu.Unlock()
	if over {
		return Fetched[[]*record]{}, errEndless
	}
	return h.fetch(ctx, ask)
}

// drain reads the list to its end, with stops in between.
func (h *history) drain() string {
	r := h.reader("")
	for {
		most := -1
		if h.dice.IntN(2) == 0 {
			most = h.dice.IntN(1 + len(h.list))
		}
		u := h.read(r, false, most)
		if u.err != nil && !errors.Is(u.err, errDown) {
			return u.err.Error()
		}
		if u.over {
			return h.wrong(func(r *record) bool { return r.since == 0 })
		}
	}
}

type used struct {
	over bool
	err  error
}

// read reads whole pages until so many records were returned.
func (h *history) read(r *Reader[[]*record], follow bool, most int) used {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if most == 0 {
		return used{}
	}
	stopped := false
	err := r.Read(ctx, follow, func(page []*record, fresh []int) bool {
		for _, k := range fresh {
			h.take(page[k])
		}
		if most > 0 {
			most = max(0, most-len(fresh))
		}
		stopped = most == 0
		return !stopped
	})
	return used{err == nil && !stopped, err}
}

// follow reads the list in rounds.
func (h *history) follow() string {
	r := h.reader("")
	downFrom := h.dice.IntN(100)
	if h.dice.IntN(3) == 0 {
		h.down = func() bool { return h.requests > downFrom && h.requests < downFrom+5 }
	}
	quiet := 0
	for quiet < 3 {
		most := -1
		if h.dice.IntN(3) == 0 {
			most = 1 + h.dice.IntN(30)
		}
		u := h.read(r, true, most)
		if u.err != nil && !errors.Is(u.err, errDown) {
			return u.err.Error()
		}
		h.mu.Lock()
		h.between = u.over
		for range h.dice.IntN(3) {
			h.move()
		}
		h.between = false
		if h.dice.IntN(4) == 0 {
			h.left = max(0, h.left-3)
		}
		if h.left == 0 || h.profile.at == 0 {
			if u.over {
				quiet++
			}
		}
		h.mu.Unlock()
	}
	return h.wrong(func(r *record) bool { return r.late == 0 || r.calm && h.length() >= 2*late })
}

// stopAt reads until so many records were returned, and returns a cursor; empty at the end.
func (h *history) stopAt(r *Reader[[]*record], most int) (cursor string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = r.Read(ctx, false, func(page []*record, fresh []int) bool {
		for i, k := range fresh {
			if most--; most < 0 {
				cursor = r.Cursor(len(fresh) - i)
				return false
			}
			h.take(page[k])
		}
		return true
	})
	return cursor, err
}

// resume reads the list with several readers, each of which goes on at the cursor of the one
// before. Without creation times, one of the records at each end of what was returned stays.
func (h *history) resume() string {
	h.untimed = h.dice.IntN(2) == 0
	h.profile.wipe, h.pages = 0, 1 // so that a seed is the same history each time
	cursor := ""
	for stops := 1 + h.dice.IntN(4); ; stops-- {
		r := h.reader(cursor)
		begun := h.requests
		most := math.MaxInt
		if stops > 0 {
			most = h.dice.IntN(1 + len(h.list))
		}
		h.note("resumed at %d, head %d, front %v, back %v", r.place.offset, r.place.head, r.place.front, r.place.back)
		next, err := h.stopAt(r, most)
		if err != nil {
			return err.Error()
		}
		if next == "" {
			if problem := h.wrong(func(r *record) bool { return r.late == 0 && r.since <= begun }); problem != "" || stops <= 0 {
				return problem
			}
			next = r.Cursor(0)
		}
		cursor = next
		h.note("stopped")
		if h.untimed && !h.pin() {
			return "" // outside of the promise
		}
		for range h.dice.IntN(3) {
			h.move()
		}
	}
}

// followOn reads a round from a cursor or further, until so many records were returned.
func (h *history) followOn(r *Reader[[]*record], most int) (cursor string, err error) {
	err = r.Read(context.Background(), true, func(page []*record, fresh []int) bool {
		for i, k := range fresh {
			if most--; most < 0 {
				cursor = r.Cursor(len(fresh) - i)
				return false
			}
			h.take(page[k])
		}
		return true
	})
	if cursor == "" {
		cursor = r.Cursor(0)
	}
	return cursor, err
}

// followFromCursor follows a list without creation times from a cursor near its beginning. The list changes
// between two rounds, and one of the records at each end of what was returned stays.
func (h *history) followFromCursor() string {
	h.untimed, h.pages, h.profile.late, h.profile.wipe = true, 1, 0, 0
	moves := h.left
	h.left = 0
	cursor, err := h.followOn(h.reader(""), 1+h.dice.IntN(20))
	if err != nil {
		return err.Error()
	}
	r := h.reader(cursor)
	for range 12 {
		if !h.pin() {
			return ""
		}
		h.left = moves
		for range h.dice.IntN(3) {
			h.move()
		}
		h.left = 0
		if _, err := h.followOn(r, math.MaxInt); err != nil {
			return err.Error()
		}
	}
	return h.wrong(func(r *record) bool { return r.late == 0 })
}

// simple is a history of a kind that is common: a stop in the middle, then arrivals, some
// expired, and a third deleted here and there.
func (h *history) simple() string {
	h.untimed = h.dice.IntN(2) == 0
	h.left, h.pages, h.clamp, h.limit = 0, 1, 0, []int{25, 100}[h.dice.IntN(2)]
	h.list, h.ever, h.edge = nil, nil, 0
	h.add(40 + h.dice.IntN(600))
	cursor, err := h.stopAt(h.reader(""), len(h.list)/4+h.dice.IntN(len(h.list)/2))
	if err != nil {
		return err.Error()
	}
	h.add(h.dice.IntN(500))
	h.expire(h.dice.IntN(7))
	h.remove(func(_ int, r *record) bool { return r.id%7 != 0 && h.dice.IntN(3) == 0 })
	if _, err = h.stopAt(h.reader(cursor), math.MaxInt); err != nil {
		return err.Error()
	}
	return h.wrong(func(*record) bool { return true })
}

// many runs a history for each of many seeds.
func many(t *testing.T, n int, run func(seed uint64) (h fmt.Stringer, problem string)) {
	t.Helper()
	var next atomic.Uint64
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) || failed.Load() > 5 {
					return
				}
				if h, problem := run(*firstSeed + i); problem != "" {
					failed.Add(1)
					t.Errorf("seed %d: %s\n%v", *firstSeed+i, problem, h)
				}
			}
		}()
	}
	wg.Wait()
}

func TestDrain(t *testing.T) {
	for _, deletions := range []bool{false, true} {
		t.Run(fmt.Sprintf("deletions %t", deletions), func(t *testing.T) {
			many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
				h := newHistory(seed, deletions)
				return h, h.drain()
			})
		})
	}
}

func TestFollow(t *testing.T) {
	for _, deletions := range []bool{false, true} {
		t.Run(fmt.Sprintf("deletions %t", deletions), func(t *testing.T) {
			many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
				h := newHistory(seed, deletions)
				return h, h.follow()
			})
		})
	}
}

func TestResume(t *testing.T) {
	for _, deletions := range []bool{false, true} {
		t.Run(fmt.Sprintf("deletions %t", deletions), func(t *testing.T) {
			many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
				h := newHistory(seed, deletions)
				return h, h.resume()
			})
		})
	}
	t.Run("simple", func(t *testing.T) {
		many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
			h := newHistory(seed, false)
			return h, h.simple()
		})
	})
}

func TestFollowFromCursor(t *testing.T) {
	many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, seed%2 == 0)
		return h, h.followFromCursor()
	})
}

// Servers that cut pages, some to nothing but the overlap.
func TestDrainOfCutPages(t *testing.T) {
	many(t, *histories/4, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, false)
		h.left, h.cut = 0, true
		return h, h.drain()
	})
}
