package epcclogs

import (
	"cmp"
	"context"
	"fmt"
)

// reader reads a list that may change between any two requests: first what stands
// behind its place, then what was added in front.
type reader[T any] struct {
	path    string // of the list, for errors and cursors
	limit   int    // new records wanted on a page
	ahead   ahead[T]
	place   *place[T]
	stage   stage
	resumed bool // what was added in front is read too
	follows bool // records that are committed late are looked for on every page
	server  server
	doubt   doubt
	front   front[T]
}

type stage byte

const (
	readRest  stage = iota // what stands behind the place
	readFront              // what was added in front
	readAll                // nothing is left
)

// server is what the pages tell about the server.
type server struct {
	exact   bool // it ignores offsets or rounds them, and so allows no overlap
	honest  bool // it does not
	toEmpty bool // its claims are worth nothing: only an empty page is the end
	length  int  // of its longest page that does not end the list; 0: not known
}

// note takes note of a page of length records.
func (s *server) note(c claims, asked ListOptions, length int) {
	if c.more || length >= asked.Limit {
		s.length = max(s.length, length)
	}
}

// page returns how many records a page has at most.
func (s *server) page() int { return cmp.Or(s.length, maxLimit) }

// doubt is about pages that bring nothing new though there should be more.
type doubt struct {
	step     doubtStep
	repeated mark // first record of a page that looked like the one before it, for another offset
	unknown  bool // a page asked for without an overlap showed nothing known
	moves    int  // pages in a row that show that the list has moved, and nothing new
	pages    int  // pages in a row without a new record
	more     bool // one of them claimed that there is more

	before pageBefore
}

type pageBefore struct {
	offset, total, length int
	first                 mark // of its records
}

// The steps of a doubt: ask once more exactly behind the last record, and then
// with a longer overlap and for as many records as possible.
type doubtStep byte

const (
	noDoubt doubtStep = iota
	askBehind
	askAgain
)

// minRepeat is how many records a page needs to look like a repeat of the page
// before. A shorter one may start with the same record because the list has moved.
const minRepeat = lookBack

const (
	// maxMoves is how many pages in a row may show that the list has moved, and
	// nothing that is new or was received later than the page before.
	maxMoves = 10
	// maxPages is how many pages in a row may show nothing new: those that were
	// received already, on the way to where the list goes on.
	maxPages = 2 * remembered
)

// round begins to look for new records once more.
func (r *reader[T]) round() {
	r.stage = readRest
	if r.place.ended && r.place.grows == frontEnd {
		r.stage = readFront
	}
	r.place.found = false
	r.front = front[T]{}
	r.ahead.expect(0, 0) // most rounds need a single page
}

// read returns the next page with its new records; nil when nothing is left.
func (r *reader[T]) read(ctx context.Context) (*Page[T], error) {
	for {
		var page *Page[T]
		var err error
		switch r.stage {
		case readRest:
			page, err = r.readRest(ctx)
		case readFront:
			page, err = r.readFront(ctx)
		case readAll:
			return nil, nil
		}
		if err != nil || page != nil && len(page.Data) > 0 {
			return page, err
		}
	}
}

// readRest reads the page that comes next; nil when it has nothing new. The
// position always moves by the records received: servers shorten pages, with and
// without saying so, and their links cannot be relied on. See docs/design.md.
func (r *reader[T]) readRest(ctx context.Context) (*Page[T], error) {
	if r.follows && len(r.place.head) == 0 && r.place.offset > 0 && !r.front.visited {
		return nil, r.captureHead(ctx)
	}
	asked, overlap := r.next()
	page, v, err := r.get(ctx, asked, overlap)
	if err != nil {
		return nil, err
	}
	if m := page.Meta; m != nil && m.Offset > 0 && m.Offset != asked.Offset {
		if overlap == 0 {
			return nil, r.lost("the page at offset %d says that it starts at %d", asked.Offset, m.Offset)
		}
		r.doubt.step = askBehind
		if len(page.Data) > 0 {
			r.doubt.repeated = markOf(&page.Data[0])
		}
		return nil, nil
	}
	if len(page.Data) == 0 && overlap == 0 {
		if c := claimsOf(page, asked); c.total > asked.Offset {
			return nil, r.lost("the page at offset %d of %d records is empty", asked.Offset, c.total)
		}
		r.end()
		return nil, nil
	}
	if overlap > 0 && (v.known < 0 || v.marks != nil && overlap >= lookBack && r.late()) {
		if page, asked, v, err = r.find(ctx, asked, page, v); page == nil || err != nil {
			return nil, err
		}
	}
	r.place.found = r.place.found || v.known >= 0
	c := claimsOf(page, asked)
	r.place.total, r.front.zero = c.total, nil
	if asked.Offset == 0 {
		zero := *page
		r.front.zero = &zero
	}
	take, err := r.judge(v, c, overlap)
	if !take || err != nil {
		return nil, err
	}
	if p := r.place; p.ended && p.offset >= settled && v.endsNew() && v.last >= 0 && (v.last == len(p.tail)-1 || c.ends) {
		p.grows = tailEnd // new records stand behind all that was known
	}
	r.take(page, v)
	r.follow(page, asked, c, len(v.records))
	return page, nil
}

// next returns the page to ask for, and how many records before the new ones it
// should start.
func (r *reader[T]) next() (asked ListOptions, overlap int) {
	p := r.place
	if len(p.tail) == 0 || r.server.exact || r.doubt.step == askBehind {
		return ListOptions{Limit: r.limit, Offset: p.offset}, 0
	}
	overlap = 1 + 2*p.moved // of a list that goes on moving as it did
	if r.late() {
		overlap = max(overlap, lookBack)
	}
	overlap = min(overlap, max(1, r.server.page()/2))
	if !p.found && r.resumed && p.grows == unknownEnd && p.offset <= r.server.page()-lookBack {
		return ListOptions{Limit: maxLimit}, max(overlap, p.offset) // shows both ends
	}
	asked = p.next(r.limit, overlap, r.doubt.pages < 2)
	if r.doubt.step == askAgain {
		asked.Limit = maxLimit
		if r.doubt.repeated != 0 { // does another offset make no difference?
			asked.Offset = max(asked.Offset-1, 0)
		}
	}
	return asked, overlap
}

// late reports whether records that are committed late may stand among those
// received last, and are wanted.
func (r *reader[T]) late() bool {
	p := r.place
	return !p.found || r.follows && (p.total == 0 || p.total < p.offset+2*lookBack)
}

// get gets a page, and what the place makes of it. A page that was asked for
// early, and is not what it should be, may be older than the page before it: it
// is asked for again.
func (r *reader[T]) get(ctx context.Context, asked ListOptions, overlap int) (*Page[T], view[T], error) {
	page, early, err := r.ahead.get(ctx, asked, overlap)
	if err != nil {
		return nil, view[T]{}, err
	}
	v := r.place.look(asked.Offset, page.Data)
	if early && (v.known < 0 || len(v.fresh) == 0) {
		r.ahead.miss()
		if page, err = r.ahead.list(ctx, &asked); err != nil {
			return nil, view[T]{}, err
		}
		v = r.place.look(asked.Offset, page.Data)
	}
	r.server.note(claimsOf(page, asked), asked, len(page.Data))
	return page, v, nil
}

// judge reports whether to take in a page that has records. One that brings
// nothing, or looks like the page before it, raises a doubt: does the list end
// there, has it moved, or does the server ignore offsets or round them?
func (r *reader[T]) judge(v view[T], c claims, overlap int) (take bool, err error) {
	p, d := r.place, &r.doubt
	before, first := d.before, markOf(&v.records[0])
	defer func() { d.before = pageBefore{v.offset, c.total, len(v.records), first} }()
	repeat := !r.server.honest && !r.resumed && p.pages == 1 && !c.placed && len(v.records) >= minRepeat &&
		before.first == first && before.offset != v.offset && before.total == c.total
	switch {
	case len(p.tail) == 0 || r.server.exact && v.known < 0:
		return true, nil
	case d.step == askAgain && d.unknown && d.repeated == first: // it makes none
		*d, r.server.exact = doubt{}, true
		return false, nil
	case d.step == askBehind:
		r.server.length = max(r.server.length, before.length) // the page before did not end the list
		d.step, d.unknown = askAgain, v.known < 0
		return false, nil
	case d.step == noDoubt && overlap > 0 && v.marks != nil && repeat:
		d.step, d.repeated = askBehind, first
		return false, nil
	case len(v.fresh) > 0:
		if v.endsNew() { // so the page before did not end the list
			r.server.length = max(r.server.length, before.length)
		}
		*d = doubt{}
		r.server.honest = r.server.honest || v.endsNew() && v.offset > 0
		return true, nil
	case p.further(v) && d.pages < maxPages:
		*d = doubt{pages: d.pages + 1, more: d.more || c.more}
		return true, nil
	case c.ends && !r.server.toEmpty, p.ended && !c.more && v.marks == nil && len(v.records) < r.server.length:
		p.take(v)
		r.end()
		return false, nil
	case v.marks != nil && !repeat && overlap > 0:
		*d = doubt{moves: d.moves + 1, pages: d.pages + 1, more: d.more || c.more}
		if d.moves <= maxMoves && d.pages <= maxPages {
			if !c.more {
				d.step = askBehind
			}
			return true, nil
		}
		if d.more {
			return false, r.lost("%d pages up to offset %d brought nothing new; the list moves faster than it is read, or is shorter than the server says", d.pages, v.offset)
		}
	case d.step == noDoubt && overlap > 0:
		d.step = askBehind
		return false, nil
	case d.unknown:
		*d, r.server.exact = doubt{}, true
		return false, nil
	case c.more || c.any && !r.server.honest:
		return false, r.lost("the page at offset %d repeats what came before", v.offset)
	}
	r.end()
	return false, nil
}

// take moves the place behind a page, and leaves the new records in it.
func (r *reader[T]) take(page *Page[T], v view[T]) {
	if v.known < 0 {
		r.place.takeUnchecked(v.offset, v.records)
		v.fresh = v.records
	} else {
		r.place.take(v)
	}
	r.place.found = true
	if m := page.Meta; m != nil && m.Offset == v.offset && len(v.fresh) > 0 {
		m.Offset += v.first()
	}
	page.Data = v.fresh
}

// follow decides whether a page follows the one of length records that was taken.
func (r *reader[T]) follow(page *Page[T], asked ListOptions, c claims, length int) {
	more := c.more || !c.ends && length <= asked.Limit
	if c.shortened(page.Meta, asked.Offset+length, length) {
		r.server.toEmpty = true
	}
	if !more && !r.server.toEmpty {
		r.end()
		return
	}
	next, overlap := r.next()
	if length >= asked.Limit {
		length = next.Limit // the server does not shorten pages
	}
	r.ahead.expect(length-overlap, c.total)
}

// end takes note of the end of the list.
func (r *reader[T]) end() {
	r.place.end()
	r.doubt, r.stage = doubt{}, readAll
	if r.resumed && len(r.place.head) > 0 && r.place.grows != tailEnd {
		r.stage = readFront
	}
}

// restart begins at the beginning: all that was read has been deleted.
func (r *reader[T]) restart() {
	r.place.restart()
	r.stage, r.doubt, r.front = readRest, doubt{}, front[T]{}
	r.ahead.expect(0, 0)
}

func (r *reader[T]) lost(format string, args ...any) error {
	return fmt.Errorf("epcclogs: GET %s: %w: %s", r.path, ErrPagination, fmt.Sprintf(format, args...))
}
