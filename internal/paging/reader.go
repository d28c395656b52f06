// Package paging reads a list by offset and limit while the list changes between any two
// requests. It knows marks of records, their creation times, and what a page claims; not
// how pages are got, and not what a record is.
//
// The rule: the reader remembers which records it has received, and takes only pages that
// are joined to them, which means that they show one of them, or begin the list. Of such a
// page, those records are new that stand behind the first remembered one and are not
// remembered. See docs/design.md for why that is enough.
package paging

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Mark stands for a record.
type Mark struct {
	ID uint64    // a hash of what tells the record apart from others
	At time.Time // when the record was created; zero if not sent
}

// Ask is a request for a page.
type Ask struct{ Offset, Limit int }

// Fetched is a page, with what the reader needs to know about it.
type Fetched[P any] struct {
	Page   P
	Marks  []Mark // of its records
	Claims Claims
	Age    time.Duration // how long ago the list was like that; 0 for a fresh answer
}

// Settings choose what a Reader reads.
type Settings struct {
	List   string    // the name of the list: a cursor belongs to one
	Limit  int       // the most records that a request asks for, 1 or more
	Offset int       // where to begin, without a cursor
	Pages  int       // how many pages to ask for at a time, 1 or more
	Since  time.Time // only records created then or later; the zero time: all
	Cursor string    // where to begin; empty: at Offset

	// Errorf makes an error about the paging of the server.
	Errorf func(format string, args ...any) error
	// Refused reports whether an error means that the server refuses the offset.
	Refused func(error) bool
}

// Refused says why a cursor cannot be used.
type Refused string

func (e Refused) Error() string { return string(e) }

// Reader reads a list in rounds. The first round reads the rest of the list behind the
// place. Later ones, and those of a reader that began at a cursor, read also what was added
// in front.
//
// It is not safe for concurrent use, except for CaughtUp.
type Reader[P any] struct {
	settings Settings
	ahead    ahead[P]
	server   server
	memory   memory
	place    place // behind the latest page
	latest   taken // that page
	moves    moves
	round    round[P]
	follows  bool // both ends are wanted
	older    int  // records in a row that are older than wanted
	caughtUp atomic.Pointer[time.Time]
}

// server is what pages have shown about the server.
type server struct {
	longest int  // number of records on the longest page
	length  int  // of the longest page that did not end the list; 0: not known
	exact   bool // it allows no overlap: pages are asked for exactly behind each other
}

// moves is what pages have shown about the moves of the list.
type moves struct {
	any       bool // the list has moved: marks decide what is new, and no longer positions
	left      int  // how far it has moved to the left lately; halved with each page in place
	idle      int  // pages in a row without a new record
	goneBack  span // creation times of what was returned, if all that was known of this end
	goneFront span // was deleted
}

// round is the state of a round.
type round[P any] struct {
	stage stage
	began time.Time
	age   time.Duration // of its oldest page
	wide  bool          // the next page shows many known records: late ones may stand between them
	front walk[P]
	err   error // of the rest, while the front is read
}

// stage is the part of a round that comes next.
type stage byte

const (
	start stage = iota
	rest
	front
	failed // what was left to read has been read, but for an error
	over
)

// sheet is a page and the request that it answers.
type sheet[P any] struct {
	Fetched[P]
	Ask
}

func (s *sheet[P]) end() int { return s.Offset + len(s.Marks) }

// New returns a reader. fetch gets a page; it is called from several goroutines if
// s.Pages is above 1. The error is of type Refused.
func New[P any](s Settings, fetch func(context.Context, Ask) (Fetched[P], error)) (*Reader[P], error) {
	r := &Reader[P]{settings: s, ahead: ahead[P]{fetch: fetch, most: s.Pages}, place: place{offset: s.Offset}}
	r.memory.gappy = s.Offset > 0
	if s.Cursor == "" {
		return r, nil
	}
	p, since, err := parseCursor(s.List, s.Cursor)
	if err != nil {
		return nil, err
	}
	if since.After(s.Since) {
		r.settings.Since = since
	}
	r.place, r.follows = p, true
	r.memory.gappy = p.offset > 0 || len(p.tail) > 0
	r.place.last = p.tail
	r.memory.addEnds(p.first, p.tail)
	return r, nil
}

// Begin begins a loop. With follow, the loop is one round of many: a round begins when the one
// before is over.
func (r *Reader[P]) Begin(follow bool) {
	if follow {
		r.follows = true
		if r.round.stage == over {
			r.round.stage = start
		}
	}
	r.round.wide = r.follows // some time may have passed since the last loop
	r.ahead.step = 0         // most rounds need a single page
}

// Stop ends the requests that are under way, and returns when they have ended.
func (r *Reader[P]) Stop() { r.ahead.stop() }

// Next returns the next page and the indexes of its new records, in the order in which they
// are to be returned; no indexes when the round is over.
func (r *Reader[P]) Next(ctx context.Context) (page P, fresh []int, err error) {
	for r.round.stage != over {
		var s *sheet[P]
		switch r.round.stage {
		case start:
			err = r.begin(ctx)
		case rest:
			s, err = r.readRest(ctx)
		case front:
			s, err = r.readFront(ctx)
		case failed:
			err = r.round.err
			r.round.err = nil
		}
		switch {
		case err != nil && r.round.stage == rest && r.round.front.begun && ctx.Err() == nil:
			r.round.stage, r.round.err = front, err // keeps nobody from reading the other end
		case err != nil:
			return page, nil, r.fail(err)
		case s != nil && len(r.latest.fresh) > 0:
			return s.Page, r.latest.fresh, nil
		}
	}
	began := r.round.began.Add(-r.round.age)
	r.caughtUp.Store(&began)
	return page, nil, nil
}

// fail ends the round with an error, so that the next one looks at both ends again.
func (r *Reader[P]) fail(err error) error {
	if r.follows {
		r.round.stage = start
	}
	if r.round.err != nil {
		err, r.round.err = errors.Join(r.round.err, err), nil
	}
	return err
}

// begin begins a round: it looks for the front, unless there is nothing before the place.
func (r *Reader[P]) begin(ctx context.Context) error {
	r.round = round[P]{began: time.Now(), wide: r.follows, err: r.round.err}
	r.ahead.step = 0
	if r.follows && (r.place.offset > 0 || len(r.place.last) > 0) {
		if err := r.locate(ctx); err != nil {
			return err
		}
		switch {
		case r.round.front.found && r.restIsOlder():
			r.round.stage = front
			return nil
		case !r.round.front.found && !r.memory.gappy:
			r.restart() // all that is remembered was deleted
		}
	}
	var err error
	if !r.settings.Since.IsZero() && len(r.place.last) == 0 && r.place.offset == 0 {
		err = r.seek(ctx)
	}
	if err == nil && r.round.stage == start {
		r.round.stage = rest
	}
	return err
}

// fetch gets a page that is not asked for early.
func (r *Reader[P]) fetch(ctx context.Context, offset int) (*sheet[P], error) {
	ask := Ask{Offset: offset, Limit: r.settings.Limit}
	f, err := r.ahead.fetch(ctx, ask)
	if err != nil {
		return nil, err
	}
	return r.note(f, ask), nil
}

// note notes what a page shows about the server.
func (r *Reader[P]) note(f Fetched[P], ask Ask) *sheet[P] {
	r.server.longest = max(r.server.longest, len(f.Marks))
	if f.Claims.More || len(f.Marks) >= ask.Limit {
		r.server.length = max(r.server.length, len(f.Marks))
	}
	r.round.age = max(r.round.age, f.Age)
	return &sheet[P]{f, ask}
}

// misplaced reports whether a page says that it begins elsewhere than asked.
func (s *sheet[P]) misplaced() bool { return s.Claims.Offset > 0 && s.Claims.Offset != s.Offset }

func (r *Reader[P]) misplacedError(s *sheet[P]) error {
	return r.settings.Errorf("the server answers offset %d with the page at offset %d", s.Offset, s.Claims.Offset)
}

// length returns how many records a page may have.
func (r *Reader[P]) length() int {
	if r.server.length == 0 {
		return r.settings.Limit
	}
	return min(r.server.length, r.settings.Limit)
}

// stride is the distance between pages that are looked at one after the other. They
// overlap, because the list may move between two requests.
func (r *Reader[P]) stride() int { return r.step(r.length()) }

// step is the stride behind a page of this length.
func (r *Reader[P]) step(length int) int {
	if r.server.exact {
		return max(1, length)
	}
	return max(1, length-min(ends, length/2))
}

// overlap returns how many known records the next page should begin with.
func (r *Reader[P]) overlap() int {
	if r.begins() {
		return 0
	}
	n := 1 + 2*r.moves.left // the list may go on moving as it did
	if near := r.place.total == 0 || r.place.total < r.place.offset+2*ends; r.round.wide || r.follows && near {
		n = max(n, ends)
	}
	return min(n, max(1, min(r.server.longest, r.settings.Limit)/2), r.place.offset)
}

// readRest reads the page that comes next.
func (r *Reader[P]) readRest(ctx context.Context) (*sheet[P], error) {
	if most := 100 + 2*r.memory.size()/r.length(); r.moves.idle > most {
		r.moves.idle = 0
		return nil, r.settings.Errorf("%d pages in a row brought nothing new, up to offset %d: the list changes faster than it is read, or is shorter than the server says", most, r.place.offset)
	}
	if s := r.round.front.whole(); s != nil { // it shows the rest too
		if fresh, from := r.fresh(s, max(1, r.place.offset)); from >= 0 {
			return r.takeRest(s, fresh, from), nil
		}
	}
	n := r.overlap()
	ask := Ask{Offset: r.place.offset - n, Limit: r.settings.Limit}
	f, early, err := r.ahead.get(ctx, ask)
	if err != nil {
		return nil, err
	}
	s := r.note(f, ask)
	fresh, from := r.fresh(s, n)
	if early && len(fresh) == 0 {
		r.ahead.miss()
		if s, err = r.fetch(ctx, ask.Offset); err != nil {
			return nil, err
		}
		fresh, from = r.fresh(s, n)
	}
	switch {
	case s.misplaced() && r.begins():
		return nil, r.misplacedError(s)
	case r.begins() && len(s.Marks) == 0:
		return r.empty(ctx, s)
	case s.misplaced(), len(s.Marks) == 0 && s.Claims.More, r.repeats(s, fresh, n):
		return r.doubt(ctx, s, n)
	case from < 0:
		return r.search(ctx, s)
	}
	return r.takeRest(s, fresh, from), nil
}

// fresh returns the indexes of the new records of a page that should begin with n known
// ones, and the index of the first known one; -1 if the page is not joined.
func (r *Reader[P]) fresh(s *sheet[P], n int) (fresh []int, from int) {
	switch {
	case n == 0 && !r.moves.any && r.begins(), r.inPlace(s.Marks, n):
		return indexes(n, len(s.Marks)), n - min(n, len(r.place.last))
	case n == 0 && r.begins():
		return r.unknown(s.Marks, r.moves.goneBack), 0
	}
	return r.behind(s.Marks)
}

// begins reports whether a page needs no known record: it begins the block, or the server
// allows no overlap.
func (r *Reader[P]) begins() bool { return len(r.place.last) == 0 || r.server.exact }

// inPlace reports whether a page begins with the n records before the place, in a list that
// has not moved so far.
func (r *Reader[P]) inPlace(marks []Mark, n int) bool {
	last := r.place.last
	if r.moves.any || n == 0 || n > len(marks) {
		return false
	}
	for i := 1; i <= min(n, len(last)); i++ {
		if marks[n-i].ID != last[len(last)-i] {
			return false
		}
	}
	return true
}

// behind returns the indexes of the new records that stand behind the first one that joins
// the page to the end of the block, and the index of that one; -1 if there is none. The list
// has moved, or may have.
func (r *Reader[P]) behind(marks []Mark) (fresh []int, from int) {
	r.moves.any = r.moves.any || len(marks) > 0
	gone := r.moves.goneBack
	for i, m := range marks {
		if r.memory.joins(m.ID, atBack) || r.returned(m, gone) {
			fresh = r.unknown(marks[i:], gone)
			for k := range fresh {
				fresh[k] += i
			}
			return fresh, i
		}
	}
	return nil, -1
}

// returned reports whether a record was returned, as far as the times tell that are known of
// an end that is gone.
func (r *Reader[P]) returned(m Mark, gone span) bool {
	return gone.inside(m.At) || !gone.newest.IsZero() && r.memory.knows(m.ID)
}

// unknown returns the indexes of the records that are not remembered, and were not returned
// by their times, if what was known of an end is gone.
func (r *Reader[P]) unknown(marks []Mark, gone span) (fresh []int) {
	for i, m := range marks {
		if !r.memory.knows(m.ID) && !gone.inside(m.At) {
			fresh = append(fresh, i)
		}
	}
	return fresh
}

func indexes(from, to int) []int {
	all := make([]int, 0, max(0, to-from))
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// takeRest takes a page whose records from an index on belong to the block.
func (r *Reader[P]) takeRest(s *sheet[P], fresh []int, from int) *sheet[P] {
	for _, m := range s.Marks[from:] {
		r.memory.add(m.ID, atBack)
	}
	if len(fresh) > 0 && fresh[0] > 0 {
		r.server.length = max(r.server.length, len(r.latest.marks)) // more follows the page before
	}
	r.took(taken{before: r.place, offset: s.Offset, total: s.Claims.Total, marks: s.Marks, news: fresh, fresh: r.wanted(s.Marks, fresh), from: from, to: len(s.Marks)})
	if moved := r.latest.moved(); moved < 0 {
		r.moves.left = -moved
	} else {
		r.moves.left /= 2
	}
	r.round.wide = false
	if s.Claims.Ends || s == r.round.front.whole() || r.enough(s.Marks) {
		r.endRest()
		return s
	}
	r.ahead.expect(r.place.offset-r.overlap()-s.Offset, s.Claims.Total)
	return s
}

// took moves the place behind a page.
func (r *Reader[P]) took(t taken) {
	r.latest = t
	r.place = t.place(len(t.fresh))
	r.memory.age(r.place.first, r.place.tail)
	if r.moves.idle++; len(t.news) > 0 {
		r.moves.idle = 0
	}
}

// endRest notes that the list was read to its end.
func (r *Reader[P]) endRest() {
	r.place.ended = true
	if r.round.stage = front; !r.round.front.begun {
		r.finish()
	}
}

// finish ends the round.
func (r *Reader[P]) finish() {
	r.moves.idle = 0
	if r.round.err != nil {
		r.round.stage = failed
		return
	}
	r.round.stage = over
}

// CaughtUp returns when the latest round began that was read to its end; the zero time if
// there is none. It is safe for concurrent use.
func (r *Reader[P]) CaughtUp() time.Time {
	if at := r.caughtUp.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// placeBefore returns the place before the rest new records of the latest page.
func (r *Reader[P]) placeBefore(rest int) place {
	if rest == 0 {
		return r.place
	}
	return r.latest.place(len(r.latest.fresh) - rest)
}

// Offset returns the offset of the record that comes after those of the latest page, but the
// last rest ones.
func (r *Reader[P]) Offset(rest int) int { return r.placeBefore(rest).offset }

// restart begins a new block at the beginning of the list, because all that was returned was
// deleted.
func (r *Reader[P]) restart() {
	r.memory.restart()
	r.moves.any, r.moves.goneBack, r.moves.goneFront = true, span{}, span{}
	r.place = place{}
	r.round.front = walk[P]{}
	r.round.stage = start
}
