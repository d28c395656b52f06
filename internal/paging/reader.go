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
	caughtUp atomic.Pointer[time.Time]
}

// server is what pages have shown about the server.
type server struct {
	longest int  // number of records on the longest page
	exact   bool // it allows no overlap: pages are asked for exactly behind each other
}

// moves is what pages have shown about the moves of the list.
type moves struct {
	any     bool          // the list has moved: marks decide what is new, and no longer positions
	left    int           // how far it has moved to the left lately; halved with each page in place
	idle    int           // pages in a row without a new record
	doubts  int           // looks in a row at a page that repeats the one before it
	doubted []Mark        // what stood exactly behind the place at these looks
	gone    map[side]span // creation times of what was returned, for an end that was deleted
}

// round is the state of a round.
type round[P any] struct {
	stage stage
	began time.Time
	age   time.Duration // of its oldest page
	wide  bool          // the next page shows many known records: late ones may stand between them
	older int           // records in a row that are older than wanted
	front walk[P]
	err   error // of the rest, while the front is read
}

// stage is the part of a round that comes next.
type stage byte

const (
	start stage = iota
	rest
	front
	over
)

// sheet is a page and the request that it answers.
type sheet[P any] struct {
	Fetched[P]
	Ask
}

// New returns a reader. fetch gets a page; it is called from several goroutines if
// s.Pages is above 1. The error is of type Refused.
func New[P any](s Settings, fetch func(context.Context, Ask) (Fetched[P], error)) (*Reader[P], error) {
	r := &Reader[P]{settings: s, ahead: ahead[P]{fetch: fetch, most: s.Pages}, place: place{offset: s.Offset}}
	r.moves.gone = make(map[side]span)
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
	r.place.last = p.back.marks
	r.memory.gappy = p.offset > 0 || len(p.back.marks) > 0
	r.memory.addEnds(p.front, p.back)
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
		}
		switch {
		case err != nil && r.round.stage == rest && r.round.front.begun && ctx.Err() == nil:
			r.round.stage, r.round.err = front, err // keeps nobody from reading the other end
		case err != nil:
			return page, nil, r.fail(err)
		case s != nil && len(r.latest.wanted) > 0:
			return s.Page, r.latest.wanted, nil
		}
	}
	if r.round.err != nil {
		return page, nil, r.fail(nil)
	}
	began := r.round.began.Add(-r.round.age)
	r.caughtUp.Store(&began)
	return page, nil, nil
}

// fail ends the round with an error, and with that of the rest if there was one. The next round
// looks at both ends again.
func (r *Reader[P]) fail(err error) error {
	before := r.round.err
	if r.round.err = nil; r.follows {
		r.round.stage = start
	}
	switch {
	case before == nil:
		return err
	case err == nil:
		return before
	}
	return errors.Join(before, err)
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
		case r.round.front.page == nil && !r.memory.gappy:
			r.restart() // all that is remembered was deleted
		case r.round.front.page != nil && r.restIsOlder():
			r.round.stage = front
			return nil
		}
	}
	if !r.settings.Since.IsZero() && len(r.place.last) == 0 && r.place.offset == 0 {
		if err := r.seek(ctx); err != nil {
			return err
		}
	}
	r.round.stage = rest
	return nil
}

// restart begins a new block at the beginning of the list, because all that was returned was
// deleted, or cannot be told any more.
func (r *Reader[P]) restart() {
	r.memory.restart()
	r.moves = moves{any: true, gone: make(map[side]span)}
	r.place = place{}
	r.round.front = walk[P]{}
	r.round.stage = start
}

// finish ends the round.
func (r *Reader[P]) finish() {
	r.moves.idle = 0
	r.round.stage = over
}

// fetch gets a page that is not asked for early.
func (r *Reader[P]) fetch(ctx context.Context, offset int) (*sheet[P], error) {
	ask := Ask{Offset: max(0, offset), Limit: r.settings.Limit}
	f, err := r.ahead.fetch(ctx, ask)
	if err != nil {
		return nil, err
	}
	return r.note(f, ask), nil
}

// note notes what a page shows about the server.
func (r *Reader[P]) note(f Fetched[P], ask Ask) *sheet[P] {
	r.server.longest = max(r.server.longest, len(f.Marks))
	r.round.age = max(r.round.age, f.Age)
	return &sheet[P]{f, ask}
}

// step is the distance to a page behind one of this length. The two overlap, because the
// list may move between two requests.
func (r *Reader[P]) step(length int) int {
	if !r.server.exact {
		length -= min(ends, length/2)
	}
	return max(1, length)
}

// took moves the place behind a page.
func (r *Reader[P]) took(t taken) {
	t.before = r.place
	t.wanted = r.wanted(t.marks, t.fresh)
	r.latest, r.place = t, t.place(nil)
	r.memory.age(r.place.front, r.place.back)
	if r.moves.idle++; len(t.fresh) > 0 {
		r.moves.idle = 0
	}
}

// CaughtUp returns when the latest round began that was read to its end; the zero time if
// there is none. It is safe for concurrent use.
func (r *Reader[P]) CaughtUp() time.Time {
	if at := r.caughtUp.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// placeBefore returns the place before the last rest records that the latest page returned.
func (r *Reader[P]) placeBefore(rest int) place {
	if rest == 0 {
		return r.place
	}
	return r.latest.place(r.latest.wanted[len(r.latest.wanted)-rest:])
}

// Offset returns the offset of the record that comes after those of the latest page, but the
// last rest ones.
func (r *Reader[P]) Offset(rest int) int { return r.placeBefore(rest).offset }
