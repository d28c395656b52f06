package epcclogs

import (
	"context"
	"math"
)

// search is a search for a place in a list that has moved.
type search[T any] struct {
	source *ahead[T]
	place  *place[T]
	lo, hi int // the part of the list that was looked at first
	total  int // number of records in the list lately; 0: not told
	tries  int
	end    endSeen
	head   headSeen

	asked ListOptions // the page looked at last
	page  *Page[T]
	view  view[T]
}

// endSeen is what was seen of the end of a list.
type endSeen struct {
	offset int    // of the end
	over   bool   // nothing follows it
	last   []mark // of the records from the head to there, as far as one page shows them
	at     int    // offset of the first of them
	try    int    // the one that showed them
}

// headSeen is where the head of a list was seen last.
type headSeen struct {
	seen  bool
	shift int // how far the list had moved to the right
	total int // number of records in the list
	try   int // the one that showed it
}

// maxTries is how many pages a search looks at: lists of a million records.
const maxTries = 20_000

// newSearch returns a search that begins at a page that should show the place, and
// does not, or not all of it.
func newSearch[T any](source *ahead[T], p *place[T], asked ListOptions, page *Page[T], v view[T]) *search[T] {
	c := claimsOf(page, asked)
	s := &search[T]{source: source, place: p, total: c.total, asked: asked, page: page, view: v}
	s.lo, s.hi = asked.Offset, asked.Offset+len(page.Data)
	s.note(c)
	return s
}

// find looks for the place, and reports whether it was found. Then s.page shows it.
func (s *search[T]) find(ctx context.Context) (found bool, err error) {
	if s.view.known >= 0 {
		return true, s.stepBack(ctx)
	}
	for again := range 2 { // the list may move during the first search
		lo, right := s.lo, s.hi > s.lo
		if again > 0 {
			lo, right = s.hi, true // the page that was looked at first too
		}
		found, err := s.hints(ctx)
		if !found && err == nil {
			found, err = s.sweep(ctx, lo, right)
		}
		if err != nil {
			return false, err
		}
		if found {
			server := &s.source.server
			if server.honest = true; s.asked.Offset+len(s.page.Data) > s.hi { // so the first page did not end the list
				server.length = max(server.length, s.hi-s.lo)
			}
			return true, s.stepBack(ctx)
		}
	}
	return false, nil
}

// endsWithin is for a search that did not find the place. It reports whether the head is
// still there and the list ends within what was read, because the rest was deleted.
// Then it moves the place to the end of the list.
func (s *search[T]) endsWithin() bool {
	since := maxLimit // how far the list may have moved since the head was seen
	if s.total > 0 && s.head.total > 0 {
		since = max(0, s.total-s.head.total)
	}
	within := s.place.ended && s.place.grows == frontEnd || s.end.offset <= s.place.offset+s.head.shift+since
	if !s.head.seen || !within {
		return false
	}
	s.place.offset, s.place.total = s.end.offset, s.total
	s.place.shift = max(s.place.shift+s.head.shift, 0)
	if s.end.over && len(s.end.last) > 0 && s.end.at >= s.place.shift && s.head.try >= s.end.try { // they stand behind the head
		s.place.moveToEnd(s.end.last)
	}
	return true
}

// try looks at the page at offset, and reports whether it shows the place.
func (s *search[T]) try(ctx context.Context, offset int) (bool, error) {
	if s.tries++; s.tries > maxTries {
		return false, s.source.lost("the place was not found on %d pages", maxTries)
	}
	asked := ListOptions{Limit: maxLimit, Offset: max(offset, 0)}
	page, c, err := s.source.at(ctx, asked)
	if err != nil {
		return false, err
	}
	s.asked, s.page, s.view, s.total = asked, page, s.place.look(asked.Offset, page.Data), c.total
	s.note(c)
	return s.view.known >= 0, nil
}

// note notes what the page shows of the head, of the end of the list, and of which end
// grows.
func (s *search[T]) note(c claims) {
	marks, offset := s.view.marks, s.asked.Offset
	first, rank := s.place.indexHead(marks)
	if first >= 0 {
		s.head = headSeen{seen: true, shift: offset + first - rank - s.place.shift, total: c.total, try: s.tries}
	}
	s.place.learnFront(marks, false)
	end, last := offset+len(marks), c.ends || len(marks) < 2
	switch {
	case len(marks) == 0 && offset > s.end.offset: // far behind the end
	case end == s.end.offset && first < 0:
		s.end.over = s.end.over || last
	case end >= s.end.offset || last:
		over, from := last || !c.more && s.end.over && end == s.end.offset, max(first, 0)
		s.end = endSeen{offset: end, over: over, last: marks[from:], at: offset + from, try: s.tries}
	}
}

// half is half of the longest page. A page that starts so far before the place shows it
// even if the list moves a little meanwhile.
func (s *search[T]) half() int { return s.source.server.page() / 2 }

// hints looks where the total and the head of the list say that the place should be.
func (s *search[T]) hints(ctx context.Context) (bool, error) {
	p := s.place
	if moved := s.total - p.total; s.total > 0 && p.total > 0 && moved != 0 {
		if found, err := s.try(ctx, p.offset+moved-s.half()); found || err != nil {
			return found, err
		}
	}
	if p.found || len(p.head) == 0 || s.lo == 0 {
		return false, nil
	}
	return s.fromHead(ctx)
}

// fromHead looks for the head on the first pages of the list, and then where the place
// should be according to it.
func (s *search[T]) fromHead(ctx context.Context) (bool, error) {
	p := s.place
	found, err := s.try(ctx, 0)
	for err == nil && !found && !s.head.seen && len(s.page.Data) > 1 && s.asked.Offset < remembered {
		found, err = s.try(ctx, s.asked.Offset+stride(len(s.page.Data)))
	}
	if err != nil || found && s.view.last == p.at-1 || !found && !s.head.seen {
		return found, err
	}
	moved, first := s.head.shift, *s // how far the list has moved to the right
	if found {
		moved = p.moves(s.view)
	}
	nearer, err := s.try(ctx, p.offset+moved-s.half())
	if !nearer && found {
		s.page, s.asked, s.view = first.page, first.asked, first.view
	}
	return nearer || found, err
}

// window returns the part of the list in which the place must be.
func (s *search[T]) window() (from, to int) {
	p := s.place
	if !s.head.seen {
		return 0, math.MaxInt
	}
	at := p.offset + s.head.shift
	if p.ended && p.grows != tailEnd { // little stands behind the place
		from = max(0, at-2*remembered)
	}
	return from, at + 2*remembered + max(0, s.total-s.head.total) // what came since
}

// sweep looks at the pages before lo and, if right is true, at those behind what was
// looked at first, in turn, the nearest first.
func (s *search[T]) sweep(ctx context.Context, lo int, right bool) (bool, error) {
	least, most := s.window()
	if s.total > 0 {
		lo = min(lo, s.total)
		least = max(0, min(least, lo-2*remembered))
	}
	hi, missed, step := s.hi, lo, lookBack
	left, right := lo > least, right && hi < most
	var same repeats
	for left || right {
		if left {
			from := max(least, lo-step)
			if found, err := s.between(ctx, from, lo); found || err != nil {
				return found, err
			}
			lo, left = from, from > least
			if step = stride(s.source.server.page()); len(s.page.Data) == 0 {
				step = missed - lo // far behind the end of the list
			}
		}
		if right {
			if found, err := s.try(ctx, hi-1); found || err != nil {
				return found, err
			}
			hi = hi - 1 + len(s.page.Data)
			right = hi < most && len(s.page.Data) > 1 && !ignoresOffsets(&same, &s.source.server, s.page.Data)
		}
	}
	return false, nil
}

// between looks at the pages from one offset to another, up to the end of the list.
func (s *search[T]) between(ctx context.Context, from, to int) (bool, error) {
	for at := from; at < to; at += stride(len(s.page.Data)) {
		found, err := s.try(ctx, at)
		if found || err != nil || len(s.page.Data) == 0 || claimsOf(s.page, s.asked).ends {
			return found, err
		}
	}
	return false, nil
}

// stepBack looks a little before the page that was found, if that begins within the
// latest records received: one that was committed late may stand before it. If the list
// moves to the left meanwhile, it looks again.
func (s *search[T]) stepBack(ctx context.Context) error {
	p := s.place
	for range maxMoves {
		if s.view.rank <= max(0, p.at-lookBack) || s.asked.Offset == 0 {
			return nil
		}
		page, asked, view := s.page, s.asked, s.view
		found, err := s.try(ctx, s.asked.Offset-min(lookBack, s.half()))
		if !found && err == nil {
			found, err = s.hints(ctx)
		}
		if !found && err == nil {
			found, err = s.sweep(ctx, s.hi, true)
		}
		if !found {
			s.page, s.asked, s.view = page, asked, view
		}
		if err != nil || !found || p.moves(s.view) >= p.moves(view) {
			return err
		}
	}
	return nil
}
