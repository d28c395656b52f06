package paging

import (
	"context"
	"slices"
)

// readRest reads the list from the place to its end.
func (r *Reader[P]) readRest(ctx context.Context) error {
	for {
		if ended, err := r.readPage(ctx); ended || err != nil {
			r.place.ended = r.place.ended || err == nil
			return err
		}
	}
}

// readPage takes the page that comes next behind the place. It reports whether the list ends there.
func (r *Reader[P]) readPage(ctx context.Context) (ended bool, err error) {
	if s := r.round.whole(); s != nil { // it shows the rest too
		if fresh, from := r.fresh(s, max(1, r.place.offset)); from >= 0 {
			return r.takeRest(s, fresh, from)
		}
	}
	n := r.overlap()
	s, err := r.next(ctx, n)
	if err != nil {
		return false, err
	}
	return r.judge(ctx, s, n)
}

// judge decides about a page that should begin with the n known records before the place.
func (r *Reader[P]) judge(ctx context.Context, s *sheet[P], n int) (ended bool, err error) {
	fresh, from := r.fresh(s, n)
	switch {
	case s.misplaced() && r.begins():
		return false, r.misplacedError(s)
	case len(s.Marks) == 0 && r.begins():
		return r.empty(ctx, s)
	case r.narrow(s, fresh, from, n): // a late record may stand before it
		return r.search(ctx, s)
	case from >= 0 && r.repeats(s, fresh, n) && r.hadRoom(s):
		_, err = r.takeRest(s, fresh, from)
		return true, err
	case s.misplaced(), len(s.Marks) == 0 && s.Claims.More, from >= 0 && r.repeats(s, fresh, n):
		return r.doubt(ctx, s, n)
	case from < 0:
		r.lags()
		return r.search(ctx, s)
	}
	return r.takeRest(s, fresh, from)
}

// narrow reports whether a page that should show many known records, the first of which has the index
// from, shows fewer than the n that it should begin with.
func (r *Reader[P]) narrow(s *sheet[P], fresh []int, from, n int) bool {
	known := len(s.Marks)
	if len(fresh) > 0 {
		known = fresh[0]
	}
	return r.round.wide && from >= 0 && known-from < n
}

// overlap returns how many known records the next page should begin with.
func (r *Reader[P]) overlap() int {
	if r.begins() {
		return 0
	}
	n := min(1+2*r.moves.left, max(1, r.server.recent/2)) // the list may go on moving as it did
	if near := r.place.total == 0 || r.place.total < r.place.offset+2*late; r.round.wide || r.state.follows && near {
		n = max(n, late)
	}
	return min(n, max(1, min(r.server.longest, r.settings.Limit)/2), r.place.offset)
}

// next gets the page that begins n records before the place.
func (r *Reader[P]) next(ctx context.Context, n int) (*sheet[P], error) {
	ask := Ask{Offset: r.place.offset - n, Limit: r.settings.Limit}
	f, err := r.ahead.get(ctx, ask)
	if err != nil {
		return nil, err
	}
	return r.note(f, ask)
}

// fresh returns the indexes of the new records of a page that should begin with n known
// ones, and the index of the first known one; -1 if the page is not joined.
func (r *Reader[P]) fresh(s *sheet[P], n int) (fresh []int, from int) {
	switch {
	case r.inPlace(s.Marks, n):
		return indexes(n, len(s.Marks)), n - min(n, len(r.place.back))
	case n == 0 && r.begins():
		return r.unknown(s.Marks, atBack), 0
	}
	return r.behind(s)
}

// begins reports whether a page needs no known record: it begins the block, or the server
// allows no overlap.
func (r *Reader[P]) begins() bool { return len(r.place.back) == 0 || r.server.exact }

// inPlace reports whether a page begins with the n records before the place, in a list that
// has not moved so far.
func (r *Reader[P]) inPlace(marks []Mark, n int) bool {
	back := r.place.back
	if r.moves.any || n > len(marks) || n == 0 && !r.begins() {
		return false
	}
	known := min(n, len(back))
	return slices.EqualFunc(marks[n-known:n], back[len(back)-known:], func(m Mark, id uint64) bool { return m.ID == id })
}

// behind returns the indexes of the new records that stand behind the first one that joins
// the page to the end of the block, and the index of that one; -1 if there is none. The list
// has moved, or may have.
func (r *Reader[P]) behind(s *sheet[P]) (fresh []int, from int) {
	r.moves.any = r.moves.any || len(s.Marks) > 0
	from = slices.IndexFunc(s.Marks, func(m Mark) bool { return r.joins(m, atBack) })
	if from < 0 {
		return nil, -1
	}
	fresh = r.unknown(s.Marks[from:], atBack)
	for k := range fresh {
		fresh[k] += from
	}
	return fresh, from
}

// joins reports whether a record joins a page to an end of the block.
func (r *Reader[P]) joins(m Mark, end side) bool {
	gone := r.moves.gone[end]
	return r.memory.joins(m.ID, end) || gone != span{} && (gone.inside(m.At) || r.memory.knows(m.ID))
}

// unknown returns the indexes of the records that are not remembered, and were not returned by
// their times if the end of the block was deleted.
func (r *Reader[P]) unknown(marks []Mark, end side) (fresh []int) {
	gone := r.moves.gone[end]
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

// takeRest takes a page whose records from an index on belong to the block. It reports whether
// that ends the rest.
func (r *Reader[P]) takeRest(s *sheet[P], fresh []int, from int) (ended bool, err error) {
	for _, m := range s.Marks[from:] {
		r.memory.add(m.ID, atBack)
	}
	ended = s.Claims.Ends || s == r.round.whole() || r.enough(s.Marks, len(fresh))
	front := r.place.front
	err = r.take(s, taken{total: s.Claims.Total, fresh: fresh, from: from, to: len(s.Marks), ends: ended})
	if r.memory.gappy && s != r.round.front && !slices.Equal(front, r.place.front) {
		r.round.front = nil // it may show what was forgotten since, between records of the new front
	}
	if r.moves.doubts = 0; len(r.latest.before.back) > 0 {
		r.moves.left = max(-r.latest.moved(), r.moves.left/2)
	}
	r.round.wide = false
	r.ahead.expect(r.place.offset-r.overlap()-s.Offset, s.Claims.Total)
	return ended, err
}
