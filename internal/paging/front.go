package paging

import (
	"context"
	"slices"
)

// frontWalk is the way from the beginning of the list to the front of the block, and back.
type frontWalk[P any] struct {
	begun bool
	at    int       // offset of the page to look at next
	page  *sheet[P] // the one that was joined, until it is taken
}

// whole returns the page that was joined if it shows the whole list; else nil.
func (w *frontWalk[P]) whole() *sheet[P] {
	if w.page != nil && w.page.Offset == 0 && w.page.Claims.Ends {
		return w.page
	}
	return nil
}

// locate walks to the right until a page shows the front of the block, and one page further if
// fewer than late records of that page stand behind it: a late record may be among those.
func (r *Reader[P]) locate(ctx context.Context) error {
	w := &r.round.front
	w.begun, w.page = true, nil
	s, err := r.fetch(ctx, w.at)
	if err != nil {
		return err
	}
	if w.at == 0 && len(r.place.front) == 0 {
		r.capture(s)
	}
	best := nothing
	_, err = r.walk(ctx, s, func(s *sheet[P]) bool {
		if s.Offset == 0 { // there the walk begins anew
			best, w.page = nothing, nil
		}
		found := best != nothing
		i, seen := r.sees(s, atFront)
		if seen != nothing && seen >= best {
			best, w.page = seen, s
		}
		return found || seen != nothing && (i == 0 || i+min(late, len(s.Marks)/2) <= len(s.Marks))
	})
	switch best {
	case timed:
		r.moves.gone[atFront] = r.place.span
	case joined:
		r.moveTo(w.page)
	}
	return err
}

// moveTo notes how far the front of the block has moved, and so the place, as far as that was not
// seen yet. What was deleted between the two has moved the place alone.
func (r *Reader[P]) moveTo(s *sheet[P]) {
	i, _ := r.sees(s, atFront)
	if k := slices.Index(r.place.front, s.Marks[i].ID); k >= 0 {
		now := s.Offset + i - (len(r.place.front) - 1 - k)
		seen := max(min(now, 0), min(r.place.head, max(now, 0)))
		r.place.offset = max(s.Offset+i+1, r.place.offset+now-seen) // the place stands behind it
		r.place.head = now
	}
}

// capture makes the beginning of the list the front of the block. It is for a reader that
// began inside the list: what stands before that counts as read.
func (r *Reader[P]) capture(s *sheet[P]) {
	for _, m := range slices.Backward(s.Marks[:min(kept, len(s.Marks), r.place.offset)]) {
		r.memory.add(m.ID, atFront)
		r.place.front = append(r.place.front, m.ID)
	}
}

// readFront takes what was added in front, page by page from the block to the beginning of
// the list: the oldest records come first.
func (r *Reader[P]) readFront(ctx context.Context) error {
	for w := &r.round.front; ; {
		if w.page == nil {
			if err := r.locate(ctx); err != nil {
				return err
			}
		}
		s := w.page
		switch {
		case s == nil && w.at > 0: // it was looked for from there on
			w.at = 0
			continue
		case s == nil:
			return r.noFront(ctx)
		}
		w.page, w.at = nil, max(0, s.Offset-r.step(r.server.longest))
		fresh, to := r.before(s)
		if err := r.takeFront(s, fresh, to); err != nil || s.Offset == 0 && to > 0 {
			return err
		}
	}
}

// before returns the indexes of the new records that stand before the last one that joins the
// page to the front of the block, the last index first, and the index behind that one; 0 if
// there is none.
func (r *Reader[P]) before(s *sheet[P]) (fresh []int, to int) {
	for i, m := range slices.Backward(s.Marks) {
		if r.joins(m, atFront) {
			fresh = r.unknown(s.Marks[:i], atFront)
			slices.Reverse(fresh)
			return fresh, i + 1
		}
	}
	return nil, 0
}

// takeFront takes a page whose records up to an index belong to the block.
func (r *Reader[P]) takeFront(s *sheet[P], fresh []int, to int) error {
	for _, m := range s.Marks[:to] {
		r.memory.add(m.ID, atFront)
	}
	return r.take(s, taken{fresh: fresh, to: to, inFront: true})
}

// noFront decides what was added in front if nothing of the front of the block is left, and
// no creation times tell. If the place has moved to the left, the beginning of the list
// was deleted, and what is there now was read. Otherwise it is returned again.
func (r *Reader[P]) noFront(ctx context.Context) error {
	if len(r.place.last) > 0 && (!r.blind() || r.place.head >= 0) {
		return errRestart
	}
	s, err := r.fetch(ctx, 0)
	if err != nil {
		return err
	}
	return r.takeFront(s, nil, min(len(s.Marks), r.place.offset))
}
