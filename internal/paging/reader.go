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
	"cmp"
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
	state    state
	caughtUp atomic.Pointer[time.Time]
}

// server is what pages have shown about the server.
type server struct {
	longest int  // number of records on the longest page
	recent  int  // the same of the latest page with any: where records are big, pages get shorter
	exact   bool // it allows no overlap: pages are asked for exactly behind each other
}

// moves is what pages have shown about the moves of the list.
type moves struct {
	any     bool              // the list has moved: marks decide what is new, and no longer positions
	left    int               // how far it has moved to the left lately, or may have; halved with each page in place
	right   int               // the same to the right, while pages in front are read
	idle    int               // pages since the last new record
	shown   int               // the number of their records
	reach   int               // the greatest offset of these pages
	doubts  int               // looks in a row at a page that repeats the one before it
	doubted []Mark            // what stood exactly behind the place at these looks
	gone    [atFront + 1]span // by side: creation times of what was returned, if that end was deleted
}

// state says which rounds there are to read.
type state struct {
	follows bool      // both ends are wanted
	over    bool      // the latest round was read to its end
	began   time.Time // when the round began, maybe in an earlier loop
}

// round is the state of a round.
type round[P any] struct {
	yield   func(P, []int) bool
	age     time.Duration // of its oldest page
	wide    bool          // the next page shows many known records: late ones may stand between them
	older   int           // records in a row that are older than wanted
	front   *sheet[P]     // the page that was joined to the front of the block, until it is taken
	frontAt int           // offset of the page to look at next for the front; below 0: the first one
}

// late is how many places before the end that grows a late record may stand: so many known records a
// page shows where there may be one.
const late = 16

// What ends a round, besides the errors of requests.
var (
	errStopped = errors.New("the loop was left")
	errRestart = errors.New("all that was returned was deleted, or cannot be told any more")
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
	r.memory = memory{gappy: s.Offset > 0, full: generation}
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
	r.place, r.state.follows = p, true
	if n := len(p.back); n > 0 {
		r.place.tail = p.back[n-1]
	}
	r.memory.gappy = p.offset > 0 || len(p.back) > 0
	r.memory.age(p.front, p.back)
	return r, nil
}

// Read reads a round. It calls yield with each page that has new records, and with their
// indexes in the order in which they are to be returned, until yield returns false. After that,
// or after an error, the next call goes on behind the latest page. When a round is over, there
// is another one only if follow is true.
func (r *Reader[P]) Read(ctx context.Context, follow bool, yield func(page P, fresh []int) bool) error {
	if r.state.over && !follow {
		return nil
	}
	r.state.follows, r.state.over, r.moves.idle, r.moves.shown, r.moves.reach = r.state.follows || follow, false, 0, 0, 0
	if r.state.follows || r.state.began.IsZero() {
		r.state.began = time.Now()
	}
	defer r.ahead.stop()
	for {
		r.round = round[P]{yield: yield, wide: r.state.follows, frontAt: -1}
		r.ahead.step = 0 // most rounds need a single page
		switch err := r.readBoth(ctx); {
		case err == nil:
			r.state.over = true
			at := r.state.began.Add(-r.round.age)
			r.caughtUp.Store(&at)
			return nil
		case errors.Is(err, errStopped): // also if the rest could not be read: the next round tells
			return nil
		case errors.Is(err, errRestart): // at the beginning of the list, with a new block
			r.memory.restart()
			r.place, r.moves.any, r.moves.gone = place{}, true, [atFront + 1]span{}
		default:
			return err
		}
	}
}

// readBoth reads the rest, and then what was added in front. An error of the rest keeps nobody from
// reading the other end.
func (r *Reader[P]) readBoth(ctx context.Context) error {
	switch {
	case r.place.offset == 0 && len(r.place.back) == 0:
		return r.readAll(ctx)
	case !r.state.follows:
		return r.readRest(ctx)
	}
	if err := r.locate(ctx); err != nil {
		return err
	}
	var failed error
	if r.place.order != falling || !r.place.ended { // or what stands behind is older than wanted
		failed = r.readRest(ctx)
	}
	if errors.Is(failed, errStopped) || errors.Is(failed, errRestart) || ctx.Err() != nil {
		return failed
	}
	err := r.readFront(ctx)
	if failed != nil && err != nil {
		return errors.Join(failed, err)
	}
	return cmp.Or(failed, err)
}

// readAll reads a list of which nothing was read, from the first record on that is wanted.
func (r *Reader[P]) readAll(ctx context.Context) error {
	if !r.settings.Since.IsZero() {
		if err := r.seek(ctx); err != nil {
			return err
		}
	}
	return r.readRest(ctx)
}

// fetch gets a page that is not asked for early.
func (r *Reader[P]) fetch(ctx context.Context, offset int) (*sheet[P], error) {
	ask := Ask{Offset: max(0, offset), Limit: r.settings.Limit}
	f, err := r.ahead.fetch(ctx, ask)
	if err != nil {
		return nil, err
	}
	return r.note(f, ask)
}

// note notes what a page shows about the server. Pages without a new record are needed to look at what
// was read, and at the list as far as they go, but not for ever.
func (r *Reader[P]) note(f Fetched[P], ask Ask) (*sheet[P], error) {
	n := len(f.Marks)
	r.server.longest, r.server.recent = max(r.server.longest, n), cmp.Or(n, r.server.recent)
	r.round.age = max(r.round.age, f.Age)
	r.moves.idle, r.moves.shown, r.moves.reach = r.moves.idle+1, r.moves.shown+max(1, n), max(r.moves.reach, ask.Offset)
	if r.moves.idle > 200 && r.moves.shown > 4*r.memory.size()+10*r.moves.reach {
		return nil, r.settings.Errorf("%d pages in a row had nothing new, up to offset %d: the list changes faster than it is read, or is shorter than the server says", r.moves.idle, r.moves.reach)
	}
	return &sheet[P]{f, ask}, nil
}

// step is the distance to a page next to one of this length. The two overlap, because the
// list may move between two requests, and go on moving as it did.
func (r *Reader[P]) step(length, moved int) int {
	if !r.server.exact {
		length -= min(max(late, 1+2*moved), length/2)
	}
	return max(1, length)
}

// lags notes that a page does not show what it should, because the list moves faster than it did.
func (r *Reader[P]) lags() { r.moves.left = min(max(late, 2*r.moves.left), r.server.longest) }

// take moves the place behind a page, and yields its new records.
func (r *Reader[P]) take(s *sheet[P], t taken) error {
	t.before, t.offset, t.marks = r.place, s.Offset, s.Marks
	t.wanted = r.wanted(t.marks, t.fresh)
	r.latest, r.place = t, t.place(nil)
	r.memory.age(r.place.front, r.place.back)
	if len(t.fresh) > 0 {
		r.moves.idle, r.moves.shown, r.moves.reach = 0, 0, 0
	}
	if len(t.wanted) > 0 && !r.round.yield(s.Page, t.wanted) {
		return errStopped
	}
	return nil
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
