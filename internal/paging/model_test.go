package paging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// record is one record that is or was in the list of a model.
type record struct {
	id     int
	at     time.Time
	since  int     // number of requests that were answered before it was added
	gone   bool    // it was deleted
	late   int     // so many places before the end that grows it was added; 0: at that end
	order  float64 // the order of the list, deleted records included
	pinned bool    // it is not deleted
	calm   bool    // it was added between two rounds, and nothing was deleted in the next one
}

// model is a list that changes between any two requests, and what is promised of it. It
// knows nothing of the reader.
type model struct {
	mu       sync.Mutex
	dice     *rand.Rand
	clock    func(place float64) time.Time // creation time by the place in the list
	envelope string
	clamp    int  // at most so many records on a page; 0: as many as asked for
	newest   bool // records are added in front
	cut      bool // pages are cut, some to one record
	untimed  bool // creation times are not sent
	between  bool // two rounds: no request is under way
	change   func(*model)
	down     func() bool

	list     []*record
	ever     []*record
	returned map[int]int
	requests int
	edge     float64 // the last order that was given at the end that grows
	story    []string
	tells    bool // the story is kept
}

var envelopes = []string{"meta", "nested", "results", "links", "pages", "bare"}

var errDown = errors.New("down")

func newModel(dice *rand.Rand, size int) *model {
	m := &model{dice: dice, returned: map[int]int{}}
	m.envelope = envelopes[dice.IntN(len(envelopes))]
	m.newest = dice.IntN(2) == 0
	if dice.IntN(3) == 0 {
		m.clamp = []int{2, 3, 5, 10, 17, 25, 60}[dice.IntN(7)]
	}
	m.down = func() bool { return false }
	m.change = func(*model) {}
	m.add(size)
	return m
}

func (m *model) note(format string, args ...any) {
	if m.tells {
		m.story = append(m.story, fmt.Sprintf(format, args...))
	}
}

func (m *model) insert(index, late int) *record {
	r := &record{id: len(m.ever), since: m.requests, late: late, calm: m.between}
	before, after := 0.0, 0.0 // orders of the neighbours; 0 is beyond the end that does not grow
	if index > 0 {
		before = m.list[index-1].order
	}
	if index < len(m.list) {
		after = m.list[index].order
	}
	switch {
	case index == len(m.list) && !m.newest:
		m.edge++
		r.order = m.edge
	case index == 0 && m.newest:
		m.edge++
		r.order = -m.edge
	default:
		r.order = (before + after) / 2
	}
	if r.at = time.Unix(1_700_000_000, int64(1e9*math.Abs(r.order))); m.clock != nil { // one that is committed late was created before
		r.at = m.clock(math.Abs(r.order))
	}
	m.ever = append(m.ever, r)
	m.list = slices.Insert(m.list, index, r)
	return r
}

// add adds records at the end that grows.
func (m *model) add(n int) {
	for range n {
		m.addLate(0)
	}
	if n > 0 {
		m.note("%d added, the last is %d: now %d", n, len(m.ever)-1, len(m.list))
	}
}

func (m *model) addLate(depth int) {
	depth = min(depth, len(m.list))
	index := len(m.list) - depth
	if m.newest {
		index = depth
	}
	r := m.insert(index, depth)
	if depth > 0 {
		m.note("%d added, %d places before the end that grows: now %d", r.id, depth, len(m.list))
	}
}

// remove deletes the records for which del returns true.
func (m *model) remove(del func(index int, r *record) bool) {
	before, kept := len(m.list), m.list[:0:0]
	for i, r := range m.list {
		if r.gone = !r.pinned && del(i, r); !r.gone {
			kept = append(kept, r)
		}
	}
	m.list = kept
	for _, r := range kept {
		r.calm = r.calm && (m.between || m.returned[r.id] > 0)
	}
	if n := before - len(kept); n > 0 {
		m.note("%d deleted: now %d", n, len(kept))
	}
}

// expire deletes the n oldest.
func (m *model) expire(n int) {
	if n = min(n, len(m.list)); n == 0 {
		return
	}
	if m.newest {
		m.remove(func(i int, _ *record) bool { return i >= len(m.list)-n })
	} else {
		m.remove(func(i int, _ *record) bool { return i < n })
	}
}

// fetch answers with a page of the list as it is now, or as it was a moment ago.
func (m *model) fetch(ctx context.Context, ask Ask) (Fetched[[]*record], error) {
	if err := ctx.Err(); err != nil {
		return Fetched[[]*record]{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests > 0 {
		m.change(m)
	}
	m.requests++
	if m.down() {
		m.note("offset %d: down", ask.Offset)
		return Fetched[[]*record]{}, errDown
	}
	length := ask.Limit
	if m.clamp > 0 {
		length = min(length, m.clamp)
	}
	if m.cut {
		length = 1 + m.dice.IntN(length)
	}
	from := min(ask.Offset, len(m.list))
	to := min(from+length, len(m.list))
	f := Fetched[[]*record]{Page: slices.Clone(m.list[from:to])}
	for _, r := range f.Page {
		mark := Mark{ID: uint64(r.id) + 1000}
		if !m.untimed {
			mark.At = r.at
		}
		f.Marks = append(f.Marks, mark)
	}
	f.Claims = m.claims(ask, length, to)
	m.note("offset %d, limit %d: %s", ask.Offset, ask.Limit, ids(f.Page))
	return f, nil
}

// claims returns what a page says that reaches up to an index.
func (m *model) claims(ask Ask, length, to int) (c Claims) {
	more := to < len(m.list)
	switch m.envelope {
	case "meta", "nested", "results":
		c = Claims{Total: len(m.list), More: more, Ends: !more && to == len(m.list) && ask.Offset <= to}
		if m.envelope != "results" {
			c.Offset = ask.Offset
		}
	case "links":
		c = Claims{More: more, Ends: !more}
	case "pages": // their numbers mean little on a page that starts between two
		c = Claims{More: more, Ends: !more && ask.Offset%length == 0}
	}
	return c
}

func ids(page []*record) string {
	switch len(page) {
	case 0:
		return "empty"
	case 1:
		return fmt.Sprint(page[0].id)
	}
	return fmt.Sprintf("%d records, %d to %d", len(page), page[0].id, page[len(page)-1].id)
}

// take is told of each record that is returned.
func (m *model) take(r *record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.returned[r.id]++
	m.note(" -> %d", r.id)
}

// wrong returns what was promised and is not true: a record that came twice, or one that is
// owed and did not come.
func (m *model) wrong(owed func(*record) bool) string {
	for _, r := range m.ever {
		switch n := m.returned[r.id]; {
		case n > 1:
			return fmt.Sprintf("record %d came %d times", r.id, n)
		case n == 0 && !r.gone && owed(r):
			return fmt.Sprintf("record %d was lost", r.id)
		}
	}
	return ""
}

// pin keeps one of the first and one of the last 16 records that were returned in the list, in
// its order. It reports whether there are any.
func (m *model) pin() bool {
	var piece []*record
	for _, r := range m.ever {
		r.pinned = false
		if m.returned[r.id] > 0 {
			piece = append(piece, r)
		}
	}
	slices.SortFunc(piece, func(a, b *record) int { return cmp.Compare(a.order, b.order) })
	for _, end := range [][]*record{piece[:min(16, len(piece))], piece[max(0, len(piece)-16):]} {
		left := slices.DeleteFunc(slices.Clone(end), func(r *record) bool { return r.gone })
		if len(left) == 0 {
			return len(piece) == 0
		}
		r := left[m.dice.IntN(len(left))]
		r.pinned = true
		m.note("%d stays", r.id)
	}
	return true
}

func (m *model) String() string {
	return fmt.Sprintf("%s, newest first %t, clamp %d, untimed %t\n%s", m.envelope, m.newest, m.clamp, m.untimed, strings.Join(m.story, "\n"))
}
