package epcclogs

import "context"

// find looks for the place when the page missed, which answers asked, does not show
// all of it: the list has moved. It returns a page that does; nil when the place is
// gone, and the reader goes on elsewhere.
func (r *reader[T]) find(ctx context.Context, missed ListOptions, page *Page[T], v view[T]) (*Page[T], ListOptions, view[T], error) {
	s := search[T]{reader: r, lo: missed.Offset, hi: missed.Offset + len(page.Data), head: -1}
	s.page, s.asked, s.view = page, missed, v
	if v.known >= 0 {
		err := s.stepBack(ctx)
		return s.page, s.asked, s.view, err
	}
	c := claimsOf(page, missed)
	s.note(c)
	total := c.total
	for range 2 { // the list may have moved behind the search's back
		found, err := s.hints(ctx, total)
		if !found && err == nil {
			found, err = s.sweep(ctx, total)
		}
		if err != nil {
			return nil, s.asked, s.view, err
		}
		if found {
			r.server.honest = true
			return s.page, s.asked, s.view, s.stepBack(ctx)
		}
	}
	if s.head >= 0 && s.end <= s.head+r.place.offset+maxLimit {
		// The list ends within what was read: the store has deleted the rest.
		if r.place.offset = s.end; s.over && s.last != nil {
			r.place.moveToEnd(s.last)
		}
		r.end()
	} else {
		r.restart()
	}
	return nil, s.asked, s.view, nil
}

// search is a search for the place.
type search[T any] struct {
	reader *reader[T]
	lo, hi int    // the part of the list that was looked at
	head   int    // offset of the head of the list; -1: not seen
	end    int    // of the list, as far as seen
	over   bool   // nothing follows it
	last   []mark // of the records from the head to there; nil when no page shows both

	asked ListOptions // the page looked at last
	page  *Page[T]
	view  view[T]
}

// try looks at the page at offset, and reports whether it shows the place.
func (s *search[T]) try(ctx context.Context, offset int) (bool, error) {
	r := s.reader
	s.asked = ListOptions{Limit: maxLimit, Offset: max(offset, 0)}
	page, err := r.ahead.list(ctx, &s.asked)
	if err != nil {
		return false, err
	}
	if m := page.Meta; m != nil && m.Offset > 0 && m.Offset != s.asked.Offset {
		return false, r.lost("the page at offset %d says that it starts at %d", s.asked.Offset, m.Offset)
	}
	r.server.note(claimsOf(page, s.asked), s.asked, len(page.Data))
	s.page, s.view = page, r.place.look(s.asked.Offset, page.Data)
	s.note(claimsOf(page, s.asked))
	return s.view.known >= 0, nil
}

// note takes note of what the page says of the head and of the end of the list.
func (s *search[T]) note(c claims) {
	marks, offset := s.view.marks, s.asked.Offset
	first := s.reader.place.indexHead(marks)
	if first >= 0 {
		s.head = offset + first
	}
	switch end := offset + len(marks); {
	case end > s.end || end == s.end && first >= 0:
		s.over = c.ends || len(marks) == 1 || s.over && end == s.end
		s.end, s.last = end, nil
		if first >= 0 {
			s.last = marks[first:]
		}
	case len(marks) < 2 && offset >= s.end-1:
		s.over = true
	}
}

// half is half of the longest page: a page that starts as much before the place
// shows it even if the list moves a little more.
func (s *search[T]) half() int { return s.reader.server.page() / 2 }

// hints tries where the total and the head of the list point to.
func (s *search[T]) hints(ctx context.Context, total int) (bool, error) {
	p := s.reader.place
	if moved := total - p.total; total > 0 && p.total > 0 && moved != 0 {
		if found, err := s.try(ctx, p.offset+moved-s.half()); found || err != nil {
			return found, err
		}
	}
	if p.found || len(p.head) == 0 || s.lo == 0 {
		return false, nil
	}
	found, err := s.try(ctx, 0)
	if err != nil || !found && s.head < 0 || found && s.view.last == p.at-1 {
		return found, err
	}
	moved, front := s.head, *s // how far the list has moved to the right
	if found {
		moved = p.moves(s.view)
	}
	nearer, err := s.try(ctx, p.offset+moved-s.half())
	if !nearer && found {
		s.page, s.asked, s.view = front.page, front.asked, front.view
	}
	return nearer || found, err
}

// sweep looks at the pages before and behind what was looked at, in turn.
func (s *search[T]) sweep(ctx context.Context, total int) (bool, error) {
	lo, hi, missed := s.lo, s.hi, s.lo
	if total > 0 {
		lo = min(lo, total)
	}
	left, right, step := lo > 0, hi > lo, lookBack
	for left || right {
		if left {
			from := max(0, lo-step)
			for at := from; at < lo; at += stride(len(s.page.Data)) {
				if found, err := s.try(ctx, at); found || err != nil {
					return found, err
				}
				if len(s.page.Data) == 0 {
					break
				}
			}
			lo, left = from, from > 0
			if step = stride(s.reader.server.page()); len(s.page.Data) == 0 {
				step = missed - lo // far behind the end of the list
			}
		}
		if right {
			if found, err := s.try(ctx, hi-1); found || err != nil {
				return found, err
			}
			hi, right = hi-1+len(s.page.Data), len(s.page.Data) > 1
		}
	}
	return false, nil
}

// stride is how far apart pages of a length stand that are looked at one by one:
// they overlap, for the list may move between two of them.
func stride(length int) int { return max(1, length-lookBack, length/2) }

// stepBack looks at the page before the one found where that starts within the
// latest records received: one that was committed late may stand before it.
func (s *search[T]) stepBack(ctx context.Context) error {
	p := s.reader.place
	if s.view.rank <= max(0, p.at-lookBack) || s.asked.Offset == 0 {
		return nil
	}
	page, asked, view := s.page, s.asked, s.view
	found, err := s.try(ctx, s.asked.Offset-min(lookBack, s.half()))
	if !found {
		s.page, s.asked, s.view = page, asked, view
	}
	return err
}
