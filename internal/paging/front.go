package paging

import (
	"context"
	"slices"
)

// walk is the way from the beginning of the list to the front of the block, and back.
type walk[P any] struct {
	begun bool
	found bool      // a page was joined to the front of the block
	at    int       // offset of the page to look at next
	page  *sheet[P] // the one that was joined, until it is taken
}

// whole returns the page that was joined if it shows the whole list; else nil.
func (w *walk[P]) whole() *sheet[P] {
	if w.page != nil && w.page.Offset == 0 && w.page.Claims.Ends {
		return w.page
	}
	return nil
}

// locate walks to the right until a page shows the front of the block. At first it goes one
// page further if fewer than ends records of that page stand behind it: a late record may be
// among those.
func (r *Reader[P]) locate(ctx context.Context) error {
	w := &r.round.front
	w.begun, w.page = true, nil
	best, again := nothing, w.found
	s, err := r.fetch(ctx, w.at)
	if err == nil && w.at == 0 && len(r.place.first) == 0 {
		r.capture(s)
	}
	for over := false; err == nil; s, over, err = r.onward(ctx, s) {
		found := best != nothing
		i, seen := r.showsFront(s)
		if seen != nothing && seen >= best {
			best, w.page = seen, s
		}
		enough := seen != nothing && (again || i == 0 || i+ends <= len(s.Marks))
		if over || found || enough || s.last() {
			break
		}
	}
	if w.found = best != nothing; best == timed {
		r.moves.goneFront = r.place.span
	}
	return err
}

// onward gets the page behind another one, without a gap: it shows one of its records, or
// begins the list. over reports whether it shows nothing behind that page.
func (r *Reader[P]) onward(ctx context.Context, s *sheet[P]) (next *sheet[P], over bool, err error) {
	step := r.step(len(s.Marks))
	for offset, repeated := s.Offset+step, 0; ; {
		if next, err = r.fetch(ctx, offset); err != nil {
			return nil, false, err
		}
		n, same := len(next.Marks), next.endsLike(s)
		switch {
		case next.misplaced():
			return nil, false, r.misplacedError(next)
		case same && next.startsLike(s) && repeated < 3 && (n > 1 || offset > s.Offset): // or does the server ignore offsets?
			repeated++
			offset += step << repeated
		case same:
			return next, n == 1 || n < len(s.Marks) || repeated == 3, nil
		case offset == 0 || s.shares(next):
			return next, false, nil
		default:
			offset = max(0, offset-step)
		}
	}
}

// endsLike reports whether two pages end with the same record.
func (s *sheet[P]) endsLike(other *sheet[P]) bool {
	n, m := len(s.Marks), len(other.Marks)
	return n > 0 && m > 0 && s.Marks[n-1].ID == other.Marks[m-1].ID
}

// shares reports whether two pages show a record both.
func (s *sheet[P]) shares(other *sheet[P]) bool {
	return slices.ContainsFunc(other.Marks, func(m Mark) bool { return slices.Contains(s.Marks, m) })
}

// last reports whether nothing follows a page, as far as it says.
func (s *sheet[P]) last() bool { return len(s.Marks) == 0 || s.Claims.Ends }

// startsLike reports whether two pages begin with the same record.
func (s *sheet[P]) startsLike(other *sheet[P]) bool {
	return len(s.Marks) > 0 && len(other.Marks) > 0 && s.Marks[0].ID == other.Marks[0].ID
}

// capture makes the beginning of the list the front of the block. It is for a reader that
// began inside the list: what stands before that counts as read.
func (r *Reader[P]) capture(s *sheet[P]) {
	for _, m := range s.Marks[:min(ends, len(s.Marks), r.place.offset)] {
		r.memory.add(m.ID, atFront)
		r.place.first = append(r.place.first, m.ID)
	}
}

// showsFront returns the index of the first record of a page that belongs to the block, and
// whether that is known by its mark or by its time. If the front has moved, so has the place.
func (r *Reader[P]) showsFront(s *sheet[P]) (int, sight) {
	for i, m := range s.Marks {
		if !r.memory.joins(m.ID, atFront) {
			continue
		}
		if k := slices.Index(r.place.first, m.ID); k >= 0 {
			moved := s.Offset + i - k - r.place.head
			r.place.head += moved
			r.place.offset = max(0, r.place.offset+moved)
		}
		return i, joined
	}
	for i, m := range s.Marks {
		if r.memory.gappy && r.returned(m, r.place.span) {
			return i, timed
		}
	}
	return -1, nothing
}

// readFront reads the page of what was added in front that stands next to the block: the
// oldest records come first.
func (r *Reader[P]) readFront(ctx context.Context) (*sheet[P], error) {
	w := &r.round.front
	if w.found && w.page == nil {
		if err := r.locate(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case !w.found && w.at > 0: // it was looked for from there on
		*w = walk[P]{begun: true, found: true}
		return nil, nil
	case !w.found:
		return nil, r.noFront(ctx)
	}
	s := w.page
	w.page, w.at = nil, max(0, s.Offset-r.step(r.server.longest))
	fresh, to := r.before(s.Marks)
	if to == 0 { // the page has been forgotten since
		return nil, nil
	}
	r.takeFront(s, fresh, to)
	if s.Offset == 0 {
		r.finish()
	}
	return s, nil
}

// before returns the indexes of the new records that stand before the last one that joins the
// page to the front of the block, the last index first, and the index behind that one; 0 if
// there is none.
func (r *Reader[P]) before(marks []Mark) (fresh []int, to int) {
	gone := r.moves.goneFront
	for i, m := range slices.Backward(marks) {
		if r.memory.joins(m.ID, atFront) || r.returned(m, gone) {
			fresh = r.unknown(marks[:i], gone)
			slices.Reverse(fresh)
			return fresh, i + 1
		}
	}
	return nil, 0
}

// takeFront takes a page whose records up to an index belong to the block.
func (r *Reader[P]) takeFront(s *sheet[P], fresh []int, to int) {
	if r.memory.gappy {
		to = r.read(s, to)
	}
	for _, m := range s.Marks[:to] {
		r.memory.add(m.ID, atFront)
	}
	r.took(taken{before: r.place, offset: s.Offset, marks: s.Marks, news: fresh, fresh: r.wanted(s.Marks, fresh), to: to, inFront: true})
}

// read returns how many records of a page were read long ago, if those up to an index belong to
// the front of the block: all that stand before its end.
func (r *Reader[P]) read(s *sheet[P], to int) int {
	for i, m := range s.Marks {
		if r.memory.joins(m.ID, atBack) {
			return max(to, i)
		}
	}
	if s.Claims.More || len(s.Marks) >= s.Limit {
		return len(s.Marks)
	}
	return to
}

// noFront decides what was added in front if nothing of the front of the block is left, and
// no creation times tell. If the place has moved to the left, the beginning of the list
// was deleted, and what is there now was read. Otherwise it is returned again.
func (r *Reader[P]) noFront(ctx context.Context) error {
	if !r.memory.gappy {
		r.restart()
		return nil
	}
	if r.place.newest.IsZero() && r.place.head < 0 || len(r.place.last) == 0 {
		s, err := r.fetch(ctx, 0)
		if err != nil {
			return err
		}
		r.takeFront(s, nil, min(len(s.Marks), r.place.offset))
		r.finish()
		return nil
	}
	if slices.Equal(r.place.first, r.place.tail) { // nor is anything of its end
		r.restart()
		return nil
	}
	r.place.first = r.place.tail
	r.place.head = r.place.offset - len(r.place.tail)
	r.memory.addEnds(r.place.first, nil)
	r.round.front = walk[P]{begun: true, found: true}
	return nil
}
