package epcclogs_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
)

var (
	movingSeed  = flag.Uint64("moving.seed", 0, "the one seed that the tests of moving lists use; 0: many")
	movingSeeds = flag.Int("moving.seeds", 400, "seeds of the tests of moving lists")
	movingStart = flag.Uint64("moving.start", 1, "first seed of the tests of moving lists; 0: a random one, to look for new failures")
)

// changes are how a list changes between two requests. The numbers are the most
// that happens at once, the others probabilities.
type changes struct {
	name                             string
	at                               float64 // that anything happens
	add, expire                      int
	late, burst, purge, middle, wipe float64
	scatter, change                  float64 // see deletions
}

var profiles = []changes{
	{name: "still"},
	{name: "calm", at: 0.15, add: 2, expire: 2, late: 0.1, burst: 0.02, purge: 0.02, middle: 0.1},
	{name: "steady", at: 0.8, add: 5, expire: 5, late: 0.1, middle: 0.1},
	{name: "growing", at: 0.5, add: 12, late: 0.2, burst: 0.1},
	{name: "shrinking", at: 0.5, add: 1, expire: 8, purge: 0.1, middle: 0.3},
	{name: "wild", at: 0.7, add: 20, expire: 20, late: 0.3, burst: 0.15, purge: 0.15, middle: 0.3, wipe: 0.03},
}

// window is how long pages must be for late records to be found.
const window = 17

// history is all that happens to one list: the changes, the pagers that read it,
// and what they handed out.
//
// It is fair where the rules cannot do better:
//   - When all that was known is deleted (the last records handed out, and the
//     first of the list), a record that is still there may come a second time.
//   - A record that is added late, where records come at the end of the list, may
//     come behind the place of a pager that reads there: it is owed to nobody. It
//     is owed when all else had been handed out: to the next run of a resumed
//     pager, or to the next poll. Where records come in front, it always is.
//   - Late records are found among the last 16 known ones, and within half a page.
//     Others are owed to nobody, and none is where no page is longer than 16.
//   - A late record that was not yet handed out is the oldest of the list only where it
//     is owed to nobody: there it looks like one that was added at the other end.
//   - Pages of one record hold nothing but the overlap: no such clamp.
type history struct {
	t       testing.TB
	seed    uint64
	profile changes
	list    *movinglist.List
	dice    *rand.Rand // of the changes; the list's lock is held
	rng     *rand.Rand // of the reader
	client  *epcclogs.Client
	most    int // requests until the test fails

	left    int // changes until the list stands still
	endless bool
	down    func() bool // requests fail
	calm    func() bool // nothing changes for now
	rest    func() bool // no page was read just before

	handed     []int        // numbers, in the order in which they came
	times      []int        // by number
	known      int          // how many of the last handed out the pager knows at least
	optional   map[int]bool // late records that are owed to nobody
	repeatable map[int]bool // records that may come again
	lost       int          // times that nothing known was left
	runs       int
	pollCost   int
	least      int // records a page
	ahead      int // the largest n
}

func newHistory(t testing.TB, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 1))
	size := rng.IntN(41)
	switch rng.IntN(20) {
	case 0:
		size = rng.IntN(1500)
	case 1, 2, 3, 4:
		size = rng.IntN(300)
	}
	shape := movinglist.Shape{
		Envelope:    movinglist.Envelopes[rng.IntN(len(movinglist.Envelopes))],
		NewestFirst: rng.IntN(2) == 0,
		SameIDs:     rng.IntN(4) == 0,
	}
	if rng.IntN(3) == 0 {
		shape.Clamp = []int{2, 3, 5, 10, 17, 25, 60}[rng.IntN(7)]
		// Page counts that do not know the clamp are wrong on the last pages.
		shape.Silent = rng.IntN(2) == 0 && shape.Envelope != "pages"
	}
	h := &history{
		t: t, seed: seed, rng: rng, dice: rand.New(rand.NewPCG(seed, 2)),
		profile: profiles[rng.IntN(len(profiles))],
		list:    movinglist.New(shape, size),
		left:    rng.IntN(60), known: 100, least: 100,
		optional: map[int]bool{}, repeatable: map[int]bool{},
	}
	never := func() bool { return false }
	h.down, h.calm, h.rest = never, never, never
	h.list.Answer = h.answer
	h.client = clientOf(t, h.list)
	return h
}

func (h *history) String() string {
	return fmt.Sprintf("seed %d (go test -run '%s' . -moving.seed %d): %s; %s", h.seed, h.t.Name(), h.seed, h.profile.name, h.list.Shape)
}

func (h *history) failf(format string, args ...any) {
	h.t.Helper()
	lines := 200
	if *movingSeed != 0 {
		lines = 10_000
	}
	h.t.Fatalf("%s\n%s\n%s", h, h.list.Story(lines), fmt.Sprintf(format, args...))
}

// newPager returns a pager that goes on at the cursor.
func (h *history) newPager(cursor string) *epcclogs.Pager[epcclogs.IntegrationLog] {
	limit := []int{0, 1 + h.rng.IntN(100), 2 + h.rng.IntN(10), 10 + h.rng.IntN(30)}[h.rng.IntN(4)]
	if len(h.list.Now) > 300 {
		limit = 20 + h.rng.IntN(81)
	}
	n := []int{1, 1, 2, 4, 1 + h.rng.IntN(16)}[h.rng.IntN(5)]
	h.list.Do(func() {
		h.runs++
		h.ahead = max(h.ahead, n)
		length := limit
		if length == 0 {
			length = 100
		}
		if h.list.Clamp > 0 {
			length = min(length, h.list.Clamp)
		}
		h.least = min(h.least, length)
		h.known = 16 // as many as a cursor holds
		h.lookForKnown()
		h.list.Note("a new pager: limit %d, n = %d, after %d records", limit, n, len(h.handed))
	})
	pager := h.client.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: limit}).Resume(cursor)
	if n > 1 {
		pager.Concurrent(n)
	}
	return pager
}

// answer is called before each request is answered, with the list's lock held.
func (h *history) answer() int {
	// The bound. Every page ever in the list is read up to four times: by a drain, by
	// a search in both directions, and again from where that led to. So are those
	// that a change moved. A change costs a search's first pages, and the pages that
	// were asked for ahead; so does each new pager. When nothing known is left, that
	// was looked for on all pages.
	page := max(1, h.least-1) // beside the overlap
	pages := len(h.list.Ever)/page + 1
	h.most = 4*pages*(1+h.lost) + 4*h.list.Moved/page + (8+2*h.ahead)*(h.list.Changes+h.runs) + h.pollCost + 50
	switch {
	case h.list.Requests > h.most:
		h.endless = true
		return http.StatusNotFound // which is not tried again
	case h.down():
		return http.StatusServiceUnavailable
	case h.list.Requests > 0 && !h.calm():
		h.change(h.rest())
	}
	return 0
}

// change lets the list move, or not. A late record is owed only when the list is
// at rest: see history.
func (h *history) change(rest bool) {
	p, l, dice := h.profile, h.list, h.dice
	if h.left == 0 || dice.Float64() >= p.at {
		return
	}
	h.left--
	h.list.Note("change before request %d", h.list.Requests+1, 0, 0)
	rest = rest && h.missing(func(*movinglist.Record) bool { return true }) == nil
	length := max(h.least, 5)
	grow := func() {
		if n := dice.IntN(p.add + 1); n > 0 {
			l.Add(n)
		}
		if dice.Float64() < p.burst {
			l.Add(length + dice.IntN(min(4*length, 250)))
		}
		if depth := 1 + dice.IntN(15); dice.Float64() < p.late && depth <= len(l.Now) {
			r := l.AddLate(depth)
			h.optional[r.N] = !rest && !l.NewestFirst || r == l.Oldest()
			if p.scatter > 0 {
				r.Depth = h.depth(r)
				h.optional[r.N] = h.optional[r.N] || r.Depth >= 16
			}
		}
	}
	shrink := func() {
		if n := dice.IntN(p.expire + 1); n > 0 {
			l.Expire(n)
		}
		if dice.Float64() < p.purge {
			l.Expire(length + dice.IntN(min(4*length, 250)))
		}
		if dice.Float64() < p.wipe {
			l.Expire(len(l.Now))
		}
		if dice.Float64() < p.middle && len(l.Now) > 0 {
			l.Delete(dice.IntN(len(l.Now)))
		}
		if p.scatter > 0 {
			h.scatter()
		}
		for r := l.Oldest(); r != nil && r.Late && h.count(r.N) == 0 && !h.optional[r.N]; r = l.Oldest() {
			l.Expire(1)
		}
	}
	if dice.IntN(2) == 0 {
		grow()
		shrink()
	} else {
		shrink()
		grow()
	}
	h.lookForKnown()
}

// deletions makes the list one of which records are deleted wherever they stand, as when
// integrations are deleted, and some are changed. A record that is changed is another, owed
// to nobody. Each twelfth record stays, so that the pager knows some at its place.
func (h *history) deletions() {
	h.profile.name += ", with deletions"
	h.profile.scatter, h.profile.change, h.profile.middle = 0.1, 0.1, 0
	if h.list.Clamp < window {
		h.list.Clamp = 0 // a list that moves by several pages at each request may not be found again
	}
}

func stays(r *movinglist.Record) bool { return !r.Late && int(r.Place)%12 == 0 }

// scatter deletes and changes records, perhaps.
func (h *history) scatter() {
	l, dice := h.list, h.dice
	if at := dice.IntN(len(l.Now) + 1); dice.Float64() < h.profile.change && at < len(l.Now) && !stays(l.Now[at]) {
		h.optional[l.Change(at).N] = true
	}
	if dice.Float64() >= h.profile.scatter {
		return
	}
	share := 1.2 * dice.Float64()
	l.DeleteFunc(func(r *movinglist.Record) bool { return !stays(r) && dice.Float64() < share })
	for _, r := range l.Now { // its neighbours may be gone by now
		h.optional[r.N] = h.optional[r.N] || r.Late
	}
}

// depth returns how many records stand between a late one and the end that grows, and those
// that stood there, or beside it, and were handed out.
func (h *history) depth(late *movinglist.Record) int {
	l, n := h.list, 0
	at, inner := slices.Index(l.Now, late), math.Inf(-1)
	switch {
	case !l.NewestFirst && at > 0:
		inner = l.Now[at-1].Place
	case l.NewestFirst && at < len(l.Now)-1:
		inner = -l.Now[at+1].Place
	}
	for _, r := range l.Ever {
		place := r.Place
		if l.NewestFirst {
			place = -place
		}
		if r != late && place > inner && (!r.Deleted || h.count(r.N) > 0) {
			n++
		}
	}
	return n
}

// lookForKnown takes note when nothing is left by which a pager could find its
// place: what was handed out may come again.
func (h *history) lookForKnown() {
	deleted := func(n int) bool { return h.list.Ever[n].Deleted }
	last := h.handed[max(0, len(h.handed)-h.known):]
	for _, n := range slices.Backward(last) {
		if !deleted(n) {
			return
		}
	}
	if h.profile.scatter > 0 {
		h.nothingKnown() // the first of the list show no more than where that begins
		return
	}
	first := slices.Clone(h.handed)
	slices.SortFunc(first, func(a, b int) int {
		if h.list.Ever[a].Place < h.list.Ever[b].Place {
			return -1
		}
		return 1
	})
	first = first[:min(len(first), 16)]
	if !slices.ContainsFunc(first, func(n int) bool { return !deleted(n) }) {
		h.nothingKnown()
	}
}

func (h *history) nothingKnown() {
	if len(h.handed) > 0 {
		h.lost++
		h.list.Note("nothing known is left", 0, 0, 0)
	}
	for _, n := range h.handed {
		h.repeatable[n] = true
	}
}

func (h *history) count(n int) int {
	if n < len(h.times) {
		return h.times[n]
	}
	return 0
}

// take is told of each record that is handed out.
func (h *history) take(log epcclogs.IntegrationLog) {
	h.t.Helper()
	n, err := strconv.Atoi(log.Body)
	require.NoError(h.t, err)
	problem := ""
	h.list.Do(func() {
		if n >= len(h.list.Ever) {
			problem = "was never in the list"
			return
		}
		for n >= len(h.times) {
			h.times = append(h.times, 0)
		}
		h.handed = append(h.handed, n)
		h.times[n]++
		if h.known < 100 {
			h.known++
		}
		if h.times[n] > 1 && !h.repeatable[n] {
			problem = fmt.Sprintf("came %d times", h.times[n])
		}
		h.list.Handed(n)
	})
	if problem != "" {
		h.failf("record %d %s\nhanded out: %v", n, problem, h.handed)
	}
}

// rewind goes back to where the pager had handed out n records.
func (h *history) rewind(n int) {
	h.list.Do(func() {
		for _, r := range h.handed[n:] {
			h.times[r]--
			if h.list.Ever[r].Late { // its neighbours may be gone by now
				h.optional[r] = true
			}
		}
		h.handed = h.handed[:n]
		h.list.Note("back to where %d records had been handed out", n, 0, 0)
	})
}

// missing returns a record of the list that is owed and was not handed out.
func (h *history) missing(owed func(*movinglist.Record) bool) *movinglist.Record {
	for _, r := range h.list.Now {
		if h.count(r.N) == 0 && !h.optional[r.N] && (!r.Late || h.least >= window && 2*(r.Depth+1) <= h.least) && owed(r) {
			return r
		}
	}
	return nil
}

// complete checks that nothing is missing of what was there when that many
// requests had been sent.
func (h *history) complete(requests int) {
	h.t.Helper()
	var lost *movinglist.Record
	h.list.Do(func() {
		lost = h.missing(func(r *movinglist.Record) bool { return r.Born <= requests })
	})
	if lost != nil {
		h.failf("record %d was lost; it was added after %d requests, and is owed when it was before %d\nhanded out: %v",
			lost.N, lost.Born, requests, h.handed)
	}
}

// inOrder checks the order of what came: that of the list, and of what was then
// added in front the oldest first. Late records may come anywhere in between.
func (h *history) inOrder() {
	h.t.Helper()
	if h.lost > 0 {
		return // the list was read again from its beginning
	}
	front := false
	last := -1
	for _, n := range h.handed {
		r := h.list.Ever[n]
		if r.Late || r.Deleted { // a page asked for early may bring a record that has gone since
			continue
		}
		if last >= 0 {
			behind := r.Place > h.list.Ever[last].Place
			if h.list.NewestFirst && !behind {
				front = true
			}
			if behind == front {
				h.failf("record %d came after %d\nhanded out: %v", n, last, h.handed)
			}
		}
		last = n
	}
}

// read lets the pager go on, for at most so many records (-1: all), and reports
// whether it came to the end. With pages, whole pages are read.
func (h *history) read(pager *epcclogs.Pager[epcclogs.IntegrationLog], most int, marks *[]mark) (end bool) {
	h.t.Helper()
	ctx := h.t.Context()
	fail := func(err error) {
		if h.endless {
			h.failf("more than %d requests", h.most)
		}
		h.failf("%v\nhanded out: %v", err, h.handed)
	}
	note := func() {
		if h.rng.IntN(10) == 0 {
			*marks = append(*marks, mark{pager.Cursor(), len(h.handed)})
		}
	}
	if h.rng.IntN(3) == 0 {
		for page, err := range pager.Pages(ctx) {
			if err != nil {
				fail(err)
			}
			if len(page.Data) == 0 {
				h.failf("an empty page was handed out")
			}
			for _, log := range page.Data {
				h.take(log)
				most--
			}
			note()
			if most >= -len(page.Data) && most < 0 {
				return false
			}
		}
		return true
	}
	for log, err := range pager.All(ctx) {
		if err != nil {
			fail(err)
		}
		h.take(log)
		note()
		if most--; most == 0 {
			return false
		}
	}
	return true
}

// mark is a cursor, and how many records had been handed out when it was taken.
type mark struct {
	cursor string
	handed int
}

// drain reads the list in one of many ways, to its end and again.
func (h *history) drain() {
	h.t.Helper()
	pause := func(rest bool) {
		h.list.Do(func() {
			for range h.rng.IntN(3) {
				h.change(rest)
			}
		})
	}
	pager := h.newPager("")
	first := 0 // requests sent before this pager's
	stops := h.rng.IntN(4)
	for again := h.rng.IntN(3); ; {
		var marks []mark
		most := -1
		if stops > 0 {
			stops--
			most = 1 + h.rng.IntN(1+min(2*len(h.list.Now), 40*(1+h.rng.IntN(10))))
		}
		if h.read(pager, most, &marks) {
			h.list.Note("the end", 0, 0, 0)
			h.complete(first)
			h.inOrder()
			requests := h.list.Requests
			for _, err := range pager.All(h.t.Context()) {
				h.failf("something follows the end: %v", err)
			}
			if h.list.Requests != requests {
				h.failf("a request follows the end")
			}
			if again--; again < 0 {
				return
			}
			if again == 0 {
				pause(true)
				h.left = 0
			}
		} else if h.rng.IntN(2) == 0 {
			h.list.Note("the same pager goes on", 0, 0, 0)
			if h.rng.IntN(2) == 0 {
				pause(false)
			}
			continue
		}
		cursor := pager.Cursor()
		if len(marks) > 0 && h.rng.IntN(2) == 0 {
			m := marks[h.rng.IntN(len(marks))]
			cursor = m.cursor
			h.rewind(m.handed)
		}
		if h.rng.IntN(2) == 0 {
			pause(true)
		}
		pager = h.newPager(cursor)
		first = h.list.Requests
	}
}

// histories runs one history for each seed: those of failures that were fixed, and many
// others; with -short only a twentieth of the others.
func histories(t *testing.T, fixed []uint64, many int, run func(t *testing.T, seed uint64)) {
	if *movingSeed != 0 {
		run(t, *movingSeed)
		return
	}
	if testing.Short() {
		fixed, many = nil, many/20
	}
	for _, seed := range fixed {
		run(t, seed)
	}
	start := *movingStart
	if start == 0 {
		start = rand.Uint64()
	}
	for i := range many {
		run(t, start+uint64(i))
	}
}

// Whatever happens to a list while it is read, every record that is in it
// throughout comes exactly once.
func TestMovingList(t *testing.T) {
	fixed := []uint64{
		1015783, 2012887, 2015408, 2049052, 2058685, 2062879, 2082429, 2084720, 2098578, 2131680, 2139025, 2161301,
		3005551, 4042214, 5007384, 6003838, 6007076, 8002965, 8065848, 100013505, 120000016, 270000784, 1202516938, 1402502044, 527941, 6300018734,
	}
	histories(t, fixed, *movingSeeds, func(t *testing.T, seed uint64) { newHistory(t, seed).drain() })
}

// So it does if records are deleted wherever they stand, and others are changed.
func TestMovingListDeletions(t *testing.T) {
	fixed := []uint64{
		7671, 4009, 5809, 7636, 14207, 18222, 23061, 31115, 39604, 54681, 122061, 124370, 200801, 225589,
	}
	histories(t, fixed, *movingSeeds, func(t *testing.T, seed uint64) {
		h := newHistory(t, seed)
		h.deletions()
		h.drain()
	})
}

// tally counts what a loop hands out, by number.
func tally(t testing.TB, logs iter.Seq2[epcclogs.IntegrationLog, error], into map[int]int, most int) {
	t.Helper()
	for log, err := range logs {
		require.NoError(t, err)
		n, err := strconv.Atoi(log.Body)
		require.NoError(t, err)
		into[n]++
		if most--; most == 0 {
			return
		}
	}
}

// 1,500 records that move while they are listed: each one that stays comes once. With
// -short, a fifth of everything.
func TestMovingListByExample(t *testing.T) {
	const oldestFirst, newestFirst = false, true
	part := 1
	if testing.Short() {
		part = 5
	}
	of := func(n int) int { return max(1, n/part) }
	once := func(f func(l *movinglist.List)) func(*movinglist.List) {
		return func(l *movinglist.List) {
			if l.Requests == 5 {
				f(l)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		newest bool
		change func(l *movinglist.List) // before each request but the first
		stopAt int                      // for another pager, which goes on after change is called once
	}{
		{name: "5 expire and 5 arrive a request", newest: oldestFirst, change: func(l *movinglist.List) { l.Expire(of(5)); l.Add(of(5)) }},
		{name: "3 expire a request", newest: oldestFirst, change: func(l *movinglist.List) { l.Expire(of(3)) }},
		{name: "one purge of 130", newest: oldestFirst, change: once(func(l *movinglist.List) { l.Expire(of(130)) })},
		{name: "5 arrive in front a request", newest: newestFirst, change: func(l *movinglist.List) { l.Add(of(5)) }},
		{name: "one burst of 130 in front", newest: newestFirst, change: once(func(l *movinglist.List) { l.Add(of(130)) })},
		{name: "2 deleted in the middle a request", newest: oldestFirst, change: func(l *movinglist.List) {
			l.Delete(len(l.Now) / 30 * (l.Requests % 30))
			l.Delete(len(l.Now) / 2)
		}},
		{name: "60 expire between two pagers", newest: oldestFirst, change: func(l *movinglist.List) { l.Expire(of(60)) }, stopAt: of(400)},
		{name: "two of three deleted between two pagers", newest: oldestFirst, change: func(l *movinglist.List) {
			l.DeleteFunc(func(r *movinglist.Record) bool { return r.N%3 != 0 })
		}, stopAt: of(1200)},
	} {
		for _, envelope := range movinglist.Envelopes {
			for _, n := range unlessShort(1, 4) {
				t.Run(fmt.Sprintf("%s/%s/%d", tt.name, envelope, n), func(t *testing.T) {
					l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: tt.newest}, of(1500))
					l.Answer = func() int {
						if tt.stopAt == 0 && l.Requests > 0 && l.Requests < 200 {
							tt.change(l)
						}
						return 0
					}
					c := clientOf(t, l)
					opts := &epcclogs.ListOptions{Limit: of(100)}
					pager := c.IntegrationLogs(integration, opts).Concurrent(n)
					came := map[int]int{}
					if tt.stopAt > 0 {
						tally(t, pager.All(t.Context()), came, tt.stopAt)
						l.Do(func() { tt.change(l) })
						pager = c.IntegrationLogs(integration, opts).Concurrent(n).Resume(pager.Cursor())
					}
					tally(t, pager.All(t.Context()), came, -1)
					lost, twice := 0, 0
					for _, r := range l.Ever {
						if came[r.N] > 1 {
							twice++
						}
						if r.Born == 0 && !r.Deleted && came[r.N] == 0 {
							lost++
						}
					}
					t.Logf("%d requests", l.Requests)
					assert.Zero(t, lost, "lost")
					assert.Zero(t, twice, "twice")
					// 16 pages, and at each the place to be found again. Without a claim, the
					// end is where nothing is new.
					if envelope != "bare" && envelope != "pages" {
						assert.LessOrEqual(t, l.Requests, 80*n, "requests")
					}
				})
			}
		}
	}
}

// On a list that stands still the overlap costs one request in a hundred.
func TestStillListCost(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		l := movinglist.New(movinglist.Shape{Envelope: envelope}, 10_000)
		came := map[int]int{}
		tally(t, clientOf(t, l).IntegrationLogs(integration, nil).All(t.Context()), came, -1)
		assert.Len(t, came, 10_000, envelope)
		most := 102
		if envelope == "bare" {
			most += 2 // only asking behind the last record shows the end
		}
		assert.LessOrEqual(t, l.Requests, most, envelope)
	}
}

// A pager that goes on reads little more than what is new, whichever records were deleted.
func TestResumeCost(t *testing.T) {
	notByChance(t)
	for _, tt := range []struct {
		name    string
		newest  bool
		reading func(l *movinglist.List) // before the 51st request
		between func(l *movinglist.List) // the two pagers
	}{
		{name: "the first are deleted meanwhile", reading: func(l *movinglist.List) { l.Expire(20) }},
		{name: "the first are deleted", between: func(l *movinglist.List) { l.Expire(20) }},
		{name: "half is deleted, newest first", newest: true, between: func(l *movinglist.List) { l.Expire(10_000) }},
		{name: "the first are deleted, and others added", newest: true, between: func(l *movinglist.List) {
			for range 16 {
				l.Delete(0)
			}
			l.Add(3)
		}},
	} {
		for _, envelope := range movinglist.Envelopes {
			l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: tt.newest}, 20_000)
			l.Answer = func() int {
				if l.Requests == 50 && tt.reading != nil {
					tt.reading(l)
				}
				return 0
			}
			c := clientOf(t, l)
			pager := c.IntegrationLogs(integration, nil)
			tally(t, pager.All(t.Context()), map[int]int{}, -1)
			if tt.between != nil {
				l.Do(func() { tt.between(l) })
			}
			before := l.Requests
			tally(t, c.IntegrationLogs(integration, nil).Resume(pager.Cursor()).All(t.Context()), map[int]int{}, -1)
			require.LessOrEqual(t, l.Requests-before, 40, "%s, %s", tt.name, envelope)
		}
	}
}

// Records that are changed or come late among those read last are owed to nobody. The others
// come once, also if the list moves then.
func TestMovingListOfChangedRecords(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, change := range []func(l *movinglist.List, at int){
			func(l *movinglist.List, at int) { l.Change(at) },
			func(l *movinglist.List, at int) { l.AddLate(at) },
		} {
			l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: true}, 1000), map[int]int{}
			pager := clientOf(t, l).IntegrationLogs(integration, nil)
			tally(t, pager.All(t.Context()), came, 500)
			l.Do(func() {
				for at := 301; at < 498; at += 5 {
					change(l, at)
				}
				l.Add(190)
			})
			tally(t, pager.All(t.Context()), came, -1)
			for _, r := range l.Ever {
				if r.Born == 0 && !r.Deleted {
					require.Equal(t, 1, came[r.N], "%s, record %d", envelope, r.N)
				}
			}
		}
	}
}

// A list that is short when its first page is read, and grows while the rest is, may get a
// late record at the end that does not grow. What is added later comes at each Resume.
func TestResumeAfterAShortList(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 14)
			l.Answer = func() int {
				if l.Requests == 1 {
					l.AddLate(14)
					l.Add(200)
				}
				return 0
			}
			c := clientOf(t, l)
			came, cursor := map[int]int{}, ""
			for _, added := range []int{0, 0, 5, 5} {
				l.Do(func() { l.Add(added) })
				pager := c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 6}).Resume(cursor)
				tally(t, pager.All(t.Context()), came, -1)
				cursor = pager.Cursor()
			}
			for _, r := range l.Ever {
				if !r.Late { // it is the oldest of the list
					require.Equal(t, 1, came[r.N], "%v, record %d", l.Shape, r.N)
				}
			}
		}
	}
}

// At every place of a list, also between two pages and at both ends, the cursor
// leads a new pager to the next record.
func TestCursorOfEveryPlace(t *testing.T) {
	const size = 70
	for _, envelope := range movinglist.Envelopes {
		for _, n := range unlessShort(1, 3) {
			l := movinglist.New(movinglist.Shape{Envelope: envelope}, size)
			c := clientOf(t, l)
			newPager := func() *epcclogs.Pager[epcclogs.IntegrationLog] {
				return c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 30}).Concurrent(n)
			}
			pager := newPager()
			cursors := []string{pager.Cursor()}
			for _, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				cursors = append(cursors, pager.Cursor())
			}
			cursors = append(cursors, pager.Cursor())
			require.Len(t, cursors, size+2)
			for i, cursor := range cursors {
				if testing.Short() && i%4 != 0 {
					continue
				}
				resumed := newPager().Resume(cursor)
				again := newPager().Resume(resumed.Cursor()) // before the first use it is the same place
				for _, p := range []*epcclogs.Pager[epcclogs.IntegrationLog]{resumed, again} {
					got, err := bodies(p.All(t.Context()))
					require.NoError(t, err)
					require.Equal(t, numbers(min(i, size), size), got, "%s, n = %d, after %d", envelope, n, i)
				}
			}
		}
	}
}

// A loop over Pages leaves the cursor behind the page, and what is left of a
// page that All began can be resumed too.
func TestCursorAndPages(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 70)
	c := clientOf(t, l)
	opts := &epcclogs.ListOptions{Limit: 30}
	pager := c.IntegrationLogs(integration, opts)
	tally(t, pager.All(t.Context()), map[int]int{}, 5)
	handed := 5
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		handed += len(page.Data)
		got, err := bodies(c.IntegrationLogs(integration, opts).Resume(pager.Cursor()).All(t.Context()))
		require.NoError(t, err)
		require.Equal(t, numbers(handed, 70), got)
	}
	require.Equal(t, 70, handed)
}

func TestCursorOfAnEmptyList(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		l := movinglist.New(movinglist.Shape{Envelope: envelope}, 0)
		c := clientOf(t, l)
		pager := c.IntegrationLogs(integration, nil)
		came := map[int]int{}
		tally(t, pager.All(t.Context()), came, -1)
		require.Empty(t, came)
		l.Do(func() { l.Add(3) })
		tally(t, c.IntegrationLogs(integration, nil).Resume(pager.Cursor()).All(t.Context()), came, -1)
		require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1}, came, envelope)
	}
}

// When nothing is left of what was handed out, all that is there is new.
func TestCursorOfAListThatWasReplaced(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 500)
			c := clientOf(t, l)
			pager := c.IntegrationLogs(integration, nil)
			tally(t, pager.All(t.Context()), map[int]int{}, 320)
			l.Do(func() { l.Expire(500); l.Add(240) })
			came := map[int]int{}
			tally(t, c.IntegrationLogs(integration, nil).Resume(pager.Cursor()).All(t.Context()), came, -1)
			require.Len(t, came, 240, "%s, newest first %t", envelope, newest)
		}
	}
}

// When all 16 records by which a cursor knows its place were deleted, what stands behind
// them is not lost, although the beginning of the list is still there: the number of
// records shows that more follow.
func TestCursorOfAPlaceThatWasDeleted(t *testing.T) {
	notByChance(t)
	for _, envelope := range []string{"meta", "nested", "results"} {
		l := movinglist.New(movinglist.Shape{Envelope: envelope}, 150)
		c := clientOf(t, l)
		pager, came := c.IntegrationLogs(integration, nil), map[int]int{}
		tally(t, pager.All(t.Context()), came, 100)
		l.Do(func() {
			for range 16 {
				l.Delete(84)
			}
		})
		tally(t, c.IntegrationLogs(integration, nil).Resume(pager.Cursor()).All(t.Context()), came, -1)
		require.Len(t, came, 150, envelope)
	}
}

// A cursor is short, one word, and tells nothing of the records.
func TestCursorText(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	pager := clientOf(t, l).IntegrationLogs(integration, nil)
	for log, err := range pager.All(t.Context()) {
		require.NoError(t, err)
		cursor := pager.Cursor()
		require.LessOrEqual(t, len(cursor), 1024)
		require.NotEmpty(t, cursor)
		for _, c := range cursor {
			require.True(t, c > ' ' && c <= '~', "%q", cursor)
		}
		readable := []string{cursor}
		for _, decode := range []func(string) ([]byte, error){
			hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
			base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
		} {
			for _, part := range strings.FieldsFunc(cursor, func(r rune) bool { return strings.ContainsRune(".:,;~", r) }) {
				if b, err := decode(part); err == nil {
					readable = append(readable, string(b))
				}
			}
		}
		for _, text := range readable {
			require.NotContains(t, text, log.ID)
			require.NotContains(t, text, "secret")
		}
	}
}

// misused checks that the loops of a pager fail with ErrInvalidArgument, again
// and again, and send nothing.
func misused(t *testing.T, l *movinglist.List, p *epcclogs.Pager[epcclogs.IntegrationLog], what string) {
	t.Helper()
	before := l.Requests
	for name, loop := range map[string]iter.Seq2[epcclogs.IntegrationLog, error]{
		"All": p.All(t.Context()), "Follow": p.Follow(t.Context(), time.Hour),
	} {
		times := 0
		for _, err := range loop {
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, "%s of %s", name, what)
			times++
		}
		require.Equal(t, 1, times, "%s of %s", name, what)
	}
	times := 0
	for page, err := range p.Pages(t.Context()) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, what)
		require.Nil(t, page)
		times++
	}
	require.Equal(t, 1, times, what)
	require.Equal(t, before, l.Requests, what)
	_ = p.Cursor() // does not panic
}

// A cursor that is not whole, or belongs to another list, is refused, and
// nothing is sent.
func TestResumeRefuses(t *testing.T) {
	const other = "0b9dd2f0-4b76-4a1c-a9a1-5d1a7f4a0c11"
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	c := clientOf(t, l)
	first := c.IntegrationLogs(integration, nil)
	tally(t, first.All(t.Context()), map[int]int{}, 130)
	cursor := first.Cursor()
	refused := func(cursor, what string) {
		t.Helper()
		misused(t, l, c.IntegrationLogs(integration, nil).Resume(cursor), what)
	}
	for i := range len(cursor) {
		for bit := range 8 {
			spoilt := []byte(cursor)
			spoilt[i] ^= 1 << bit
			refused(string(spoilt), fmt.Sprintf("bit %d of byte %d flipped", bit, i))
		}
		if i > 0 {
			refused(cursor[:i], fmt.Sprintf("cut after %d bytes", i))
			refused(cursor[i:], fmt.Sprintf("without the first %d bytes", i))
			refused(cursor[:i]+cursor[i+1:], fmt.Sprintf("without byte %d", i))
		}
	}
	for b := byte(' '); b <= '~'; b++ { // among them newer versions
		if b != cursor[0] {
			refused(string(b)+cursor[1:], fmt.Sprintf("with %q as the first byte", b))
		}
	}
	for _, text := range []string{cursor + cursor, cursor + "\n", cursor + "=", " " + cursor, " ", "0", "\x00", strings.Repeat("A", 5000), "\xff"} {
		refused(text, fmt.Sprintf("%.60q", text))
	}
	lists := map[string]func() *epcclogs.Pager[epcclogs.IntegrationLog]{
		"another integration": func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.IntegrationLogs(other, nil) },
		"the store":           func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.StoreLogs(nil) },
		"a job":               func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.JobLogs(integration, other, nil) },
	}
	for name, list := range lists {
		misused(t, l, list().Resume(cursor), name)
		foreign := list()
		tally(t, foreign.All(t.Context()), map[int]int{}, 130)
		refused(foreign.Cursor(), "of "+name)
	}
	jobs := c.IntegrationJobs(integration, nil)
	for _, err := range jobs.All(t.Context()) {
		require.NoError(t, err)
		break
	}
	refused(jobs.Cursor(), "of the jobs")
	require.NoError(t, func() error { // the cursor itself is good
		_, err := bodies(c.IntegrationLogs(integration, nil).Resume(cursor).All(t.Context()))
		return err
	}())
}

// The server may shorten pages more than when the cursor was taken.
func TestResumeShorterPages(t *testing.T) {
	for clamp := 2; clamp < 36; clamp++ {
		l := movinglist.New(movinglist.Shape{Envelope: "bare"}, 300)
		c := clientOf(t, l)
		pager, came := c.IntegrationLogs(integration, nil), map[int]int{}
		tally(t, pager.All(t.Context()), came, -1)
		l.Do(func() { l.Clamp = clamp; l.Add(50) })
		tally(t, c.IntegrationLogs(integration, nil).Resume(pager.Cursor()).All(t.Context()), came, -1)
		require.Len(t, came, 350, "clamp %d", clamp)
	}
}

func TestResumeAfterUse(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	c := clientOf(t, l)
	used := func() *epcclogs.Pager[epcclogs.IntegrationLog] {
		p := c.IntegrationLogs(integration, nil)
		tally(t, p.All(t.Context()), map[int]int{}, 1)
		return p
	}
	cursor := used().Cursor()
	p := used()
	require.Same(t, p, p.Resume(cursor))
	misused(t, l, p, "Resume after use")
	misused(t, l, used().Resume(""), "Resume from the beginning after use")
	misused(t, l, used().Concurrent(3), "Concurrent after use")
	misused(t, l, c.IntegrationLogs(integration, nil).Concurrent(0).Resume(cursor), "Concurrent(0)")
	misused(t, l, c.IntegrationLogs(integration, nil).Resume(cursor).Concurrent(0), "Concurrent(0)")
}

func TestFollowRefuses(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	c := clientOf(t, l)
	for name, loop := range map[string]iter.Seq2[epcclogs.IntegrationLog, error]{
		"no interval":       c.IntegrationLogs(integration, nil).Follow(t.Context(), 0),
		"negative interval": c.IntegrationLogs(integration, nil).Follow(t.Context(), -time.Second),
		"no context":        c.IntegrationLogs(integration, nil).Follow(noContext, time.Second),
	} {
		times := 0
		for _, err := range loop {
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, name)
			times++
		}
		require.Equal(t, 1, times, name)
	}
	for _, err := range c.IntegrationLogs(integration, nil).Resume("").All(noContext) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	}
	require.Zero(t, l.Requests)
}

// A record's key tells it from others, and stays what it is.
func TestKeysOfMovingList(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta", SameIDs: true}, 150)
	c := clientOf(t, l)
	keys := map[string]string{}
	for range 2 {
		for log, err := range c.IntegrationLogs(integration, nil).All(t.Context()) {
			require.NoError(t, err)
			if body, known := keys[log.Key()]; known {
				require.Equal(t, body, log.Body)
			}
			keys[log.Key()] = log.Body
		}
		l.Do(func() { l.Expire(10); l.Add(10) })
	}
}

// Whatever text a cursor is: it is refused, or the loop ends, after a bounded
// number of requests, with an error that is documented.
func FuzzResume(f *testing.F) {
	for i, envelope := range movinglist.Envelopes {
		for _, most := range []int{1, 20, 59, 60, -1} {
			l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: i%2 == 0}, 60)
			pager := clientOf(f, l).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 30})
			f.Add(pager.Cursor(), byte(i), byte(30), byte(60))
			tally(f, pager.All(f.Context()), map[int]int{}, most)
			for _, size := range []byte{0, 1, 60, 200} { // also a list that the cursor does not know
				f.Add(pager.Cursor(), byte(i), byte(29), size)
			}
		}
	}
	for _, text := range []string{"", " ", "0", "v1", "1.", "e30", `{"offset":-1}`, strings.Repeat("/", 2000)} {
		f.Add(text, byte(0), byte(9), byte(60))
	}
	f.Fuzz(func(t *testing.T, cursor string, shape, limit, size byte) {
		l := movinglist.New(movinglist.Shape{
			Envelope:    movinglist.Envelopes[int(shape)%len(movinglist.Envelopes)],
			NewestFirst: shape%2 == 0,
		}, int(size))
		l.Answer = func() int {
			if l.Requests > 20*(int(size)+2) {
				return http.StatusForbidden
			}
			return 0
		}
		length := 2 + int(limit)%99
		pager := clientOf(t, l).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: length}).Resume(cursor)
		came := map[string]int{}
		var failed error
		for log, err := range pager.All(t.Context()) {
			if failed = err; err == nil {
				came[log.Body]++
			}
		}
		if pages := int(size)/(length-1) + 1; l.Requests > 4*pages+20 {
			t.Errorf("%d requests for %d pages", l.Requests, pages)
		}
		switch {
		case errors.Is(failed, epcclogs.ErrInvalidArgument):
			if l.Requests > 0 || len(came) > 0 {
				t.Errorf("a cursor that is refused after %d requests", l.Requests)
			}
		case failed != nil && !pagerKnows(failed):
			t.Errorf("%T %v", failed, failed)
		case cursor == "" && len(came) != int(size):
			t.Errorf("%d of %d records", len(came), size)
		}
		for body, times := range came {
			if times > 1 {
				t.Errorf("record %s came %d times", body, times)
			}
		}
		_ = pager.Cursor()
	})
}
