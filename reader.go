package epcclogs

import (
	"context"
	"sync/atomic"
	"time"
)

// reader reads a list that may change between any two requests: first what follows its
// place, then what was added in front.
type reader[T any] struct {
	limit   int // new records wanted on a page
	ahead   ahead[T]
	place   *place[T]
	stage   stage
	resumed bool // what was added in front is wanted too
	follows bool // records that are committed late are wanted near the end of the list too
	judge   judge[T]
	sought  bool // neither end was found, and so the place is looked for once more
	front   front[T]

	restarts int // since the end of the list was last reached

	began    time.Time                 // when the first request of the round was sent; zero before and after
	caughtUp atomic.Pointer[time.Time] // when the latest round began that was read to its end
}

type stage byte

const (
	readRest  stage = iota // what follows the place
	readFront              // what was added in front
	readAll                // nothing is left
)

// round begins a new round: the reader looks for new records once more.
func (r *reader[T]) round() {
	r.stage = readRest
	if r.place.ended && r.place.grows == frontEnd && len(r.place.head) > 0 {
		r.stage = readFront
	}
	r.place.found = false
	r.judge = judge[T]{source: &r.ahead, place: r.place, resumed: r.resumed}
	if server := r.ahead.server; r.place.ended && len(r.place.tail) > 0 && r.place.offset == 1 && server.silent && server.longest <= 1 {
		r.judge.doubt.step = askBehind // its page would not show whether pages have more than one record
	}
	r.front = newFront(&r.ahead, r.place, r.limit)
	r.ahead.expect(0, 0) // most rounds need a single page
}

// read returns the next page with its new records; nil if nothing is left.
func (r *reader[T]) read(ctx context.Context) (*Page[T], error) {
	if r.stage != readAll && r.began.IsZero() {
		r.began = time.Now()
	}
	for {
		var page *Page[T]
		var err error
		switch r.stage {
		case readRest:
			page, err = r.readRest(ctx)
		case readFront:
			page, err = r.readFront(ctx)
		case readAll:
			if began := r.began; !began.IsZero() {
				r.caughtUp.Store(&began)
				r.began = time.Time{}
				if r.resumed { // the beginning was read again, unless it does not grow
					r.place.size = max(r.place.offset, r.place.total)
				}
			}
			return nil, nil
		}
		if err != nil || page != nil && len(page.Data) > 0 {
			return page, err
		}
	}
}

// readRest reads the page that comes next; nil if it has nothing new. The offset always
// grows by the number of records received: servers shorten pages, with and without saying
// so, and their links cannot be relied on. See docs/design.md.
func (r *reader[T]) readRest(ctx context.Context) (*Page[T], error) {
	if r.follows && len(r.place.head) == 0 && r.place.offset > 0 && !r.front.visited {
		return nil, r.front.capture(ctx)
	}
	asked, overlap := r.next()
	page, v, err := r.get(ctx, asked, overlap)
	switch {
	case err != nil:
		return nil, err
	case misplaced(page, asked) && overlap == 0:
		return nil, r.ahead.lostAt(page, asked)
	case misplaced(page, asked):
		r.judge.misplaced(page.Data)
		return nil, nil
	case len(page.Data) == 0 && overlap == 0:
		return nil, r.empty(page, asked)
	case overlap > 0 && v.known < 0, overlap >= lookBack-1 && v.marks != nil && r.late():
		r.place.learn(v, claimsOf(page, asked).ends)
		return r.search(ctx, newSearch(&r.ahead, r.place, asked, page, v), overlap)
	}
	return r.accept(page, asked, v, overlap)
}

// empty goes on after an empty page where the next record should be: it is the end
// of the list, unless the page itself says that a record is there.
func (r *reader[T]) empty(page *Page[T], asked ListOptions) error {
	switch c := claimsOf(page, asked); {
	case c.total > asked.Offset:
		return r.ahead.lost("the page at offset %d is empty, although the total is %d", asked.Offset, c.total)
	case r.judge.doubt.step == askBehind && !r.judge.doubt.short && (c.total != asked.Offset || c.total != r.place.total):
		r.judge.emptyBehind() // or the list has become shorter
	default:
		r.end()
	}
	return nil
}

// search goes on where s finds the place. If s does not find it, the list ends within
// what was read, or all of that was deleted.
func (r *reader[T]) search(ctx context.Context, s *search[T], overlap int) (*Page[T], error) {
	found, err := s.find(ctx)
	switch {
	case err != nil:
		return nil, err
	case found:
		return r.accept(s.page, s.asked, s.view, overlap)
	case s.endsWithin():
		r.end()
	default:
		return nil, r.restart()
	}
	return nil, nil
}

// accept takes a page that shows the place, if the judge decides so, and returns it with
// its new records alone; nil if it is not taken.
func (r *reader[T]) accept(page *Page[T], asked ListOptions, v view[T], overlap int) (*Page[T], error) {
	c := claimsOf(page, asked)
	r.place.found = r.place.found || v.known >= 0
	r.place.total, r.front.zero = c.total, nil
	if asked.Offset == 0 {
		zero := *page // its records are about to be replaced by the new ones
		r.front.zero = &zero
	}
	verdict, err := r.judge.page(v, c, overlap)
	switch {
	case err != nil:
		return nil, err
	case verdict == over:
		r.end()
		return nil, nil
	case verdict == askedAgain:
		return nil, nil
	}
	r.place.learn(v, c.ends)
	r.take(page, v)
	r.follow(page, asked, c, len(v.records))
	return page, nil
}

// next returns the page to ask for, and its overlap: how many known records it should
// begin with.
func (r *reader[T]) next() (asked ListOptions, overlap int) {
	p, server := r.place, &r.ahead.server
	if len(p.tail) == 0 || server.exact || r.judge.doubt.step == askBehind {
		return ListOptions{Limit: r.limit, Offset: p.offset}, 0
	}
	overlap = r.overlap()
	switch {
	case p.found || !r.resumed:
	case p.grows == unknownEnd && !server.silent && p.offset <= server.page()-lookBack:
		return ListOptions{Limit: maxLimit}, max(overlap, p.offset) // shows both ends
	case server.longest > 0 && (server.silent || p.total == 0 && p.offset > lookBack):
		// A page that is shorter than others shows the end, without claims too.
		overlap = min(overlap, max(1, server.longest-1))
	}
	asked = p.next(r.limit, overlap, r.judge.doubt.pages < 2)
	if r.judge.doubt.step == askAgain {
		asked.Limit = maxLimit
		if r.judge.doubt.repeated != 0 { // does another offset make no difference?
			asked.Offset = max(asked.Offset-1, 0)
		}
	}
	return asked, overlap
}

// overlap returns how many known records a page should begin with.
func (r *reader[T]) overlap() int {
	p, server := r.place, &r.ahead.server
	overlap := 1 + 2*p.moved // the list may go on moving as it did
	if r.late() {
		overlap = max(overlap, lookBack)
	}
	most := max(1, server.page()/2)
	if !p.found { // how long pages are may be a guess
		most = max(most, min(lookBack, server.longest-1))
	}
	return min(overlap, most)
}

// late reports whether a record that is committed late may stand among those received
// last, and is wanted.
func (r *reader[T]) late() bool {
	p := r.place
	return !p.found || r.follows && (p.total == 0 || p.total < p.offset+2*lookBack)
}

// get gets a page, and what the place makes of it. A page that was asked for early may be
// older than the page before it. If it does not bring just what follows, it is asked for
// again.
func (r *reader[T]) get(ctx context.Context, asked ListOptions, overlap int) (*Page[T], view[T], error) {
	page, early, err := r.ahead.get(ctx, asked, overlap)
	if err != nil {
		return nil, view[T]{}, err
	}
	v := r.place.look(asked.Offset, page.Data)
	if early && (v.marks != nil || len(v.fresh) == 0) {
		r.ahead.miss()
		if page, err = r.ahead.list(ctx, &asked); err != nil {
			return nil, view[T]{}, err
		}
		v = r.place.look(asked.Offset, page.Data)
	}
	r.ahead.server.note(claimsOf(page, asked), asked, len(page.Data))
	return page, v, nil
}

// take moves the place behind a page, and leaves only the new records in it.
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

// follow decides whether another page follows the one that was taken, which had length
// records.
func (r *reader[T]) follow(page *Page[T], asked ListOptions, c claims, length int) {
	more := c.more || !c.ends && length <= asked.Limit
	if c.shortened(page.Meta, asked.Offset+length, length) {
		r.ahead.server.toEmpty = true
	}
	if !more && !r.ahead.server.toEmpty {
		r.end()
		return
	}
	next, overlap := r.next()
	if length >= asked.Limit {
		length = next.Limit // the server does not shorten pages
	}
	r.ahead.expect(length-overlap, c.total)
}

// end notes that the list was read to its end.
func (r *reader[T]) end() {
	r.place.end()
	r.restarts = 0
	r.judge.doubt, r.stage = doubt{}, readAll
	if r.resumed && len(r.place.head) > 0 && r.place.grows != tailEnd {
		r.stage = readFront
	} else {
		r.sought = false
	}
}

// restart begins at the beginning, because all that was read was deleted.
func (r *reader[T]) restart() error {
	if r.restarts++; r.restarts > maxRestarts {
		return r.ahead.lost("nothing of what was read is found again, %d times in a row; the list changes faster than it is read, or its records change", maxRestarts)
	}
	r.place.restart()
	r.sought = false
	r.judge.doubt = doubt{}
	r.round()
	return nil
}

// maxRestarts is how often a list may be begun again before its end is reached.
const maxRestarts = 20

// readFront reads a page of what was added in front; nil if it has nothing new.
func (r *reader[T]) readFront(ctx context.Context) (*Page[T], error) {
	page, err := r.front.read(ctx)
	switch {
	case r.front.done:
		r.stage, r.sought = readAll, false
	case r.front.lost && !r.sought:
		r.round() // the list may have moved meanwhile: look for the place
		r.stage, r.sought = readRest, true
	case r.front.lost:
		return nil, r.restart()
	}
	return page, err
}
