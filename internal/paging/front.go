package paging

import (
	"context"
	"slices"
)

// whole returns the page that was joined to the front of the block if it shows the whole list; else nil.
func (r *round[P]) whole() *sheet[P] {
	if r.front != nil && r.front.Offset == 0 && r.front.Claims.Ends {
		return r.front
	}
	return nil
}

// locate walks to the right until a page shows the front of the block.
func (r *Reader[P]) locate(ctx context.Context) error {
	s, err := r.fetch(ctx, r.round.frontAt)
	if err != nil {
		return err
	}
	if s.Offset == 0 && len(r.place.front) == 0 {
		r.capture(s)
	}
	found, seen, _, err := r.walk(ctx, s, atFront)
	r.round.front = found
	switch {
	case seen == timed:
		r.moves.gone[atFront] = r.place.span
	case seen == joined:
		r.moveTo(found)
	case err == nil && !r.memory.gappy: // no page shows anything of the block
		return errRestart
	}
	return err
}

// moveTo notes how far the front of the block has moved, and so the place, as far as that was not
// seen yet. What was deleted between the two has moved the place alone.
func (r *Reader[P]) moveTo(s *sheet[P]) {
	i, _ := r.sees(s, atFront)
	if k := slices.Index(r.place.front, s.Marks[i].ID); k >= 0 {
		now := s.Offset + i - (len(r.place.front) - 1 - k)
		if r.round.frontAt >= 0 { // the front was seen a moment ago
			r.moves.right = max(now-r.place.head, r.moves.right/2)
		}
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
// the list: the oldest records come first. If nothing of the front of the block is left, and no
// creation times tell, a place that has moved to the left means that the beginning of the list was
// deleted, and what is there now was read. Otherwise it is returned again.
func (r *Reader[P]) readFront(ctx context.Context) error {
	for {
		if r.round.front == nil {
			if err := r.locate(ctx); err != nil {
				return err
			}
		}
		s := r.round.front
		switch {
		case s != nil:
			r.round.front, r.round.frontAt = nil, max(0, s.Offset-r.step(len(s.Marks), r.moves.right))
			fresh, to := r.before(s)
			if err := r.takeFront(s, fresh, to); err != nil || s.Offset == 0 && to > 0 {
				return err
			}
		case len(r.place.back) > 0 && (!r.blind() || r.place.head >= 0):
			return errRestart
		case len(r.place.front) == 0: // nor is there another one
			return nil
		default: // locate makes the beginning of the list the front
			r.place.front, r.place.head, r.round.frontAt = nil, 0, 0
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
