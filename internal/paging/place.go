package paging

import (
	"cmp"
	"slices"
	"time"
)

// kept is how many marks at each end of what was returned a place and a cursor hold.
const kept = 32

// place is how far a list was returned: a piece of it without gaps.
type place struct {
	offset int // of the record that comes next
	total  int // number of records in the list when offset was seen; 0: not told
	head   int // where the first record of the piece should stand now; below 0: the place has moved to the left

	tail  uint64   // mark of the last known record of the latest page: that before offset, if the page was returned whole
	front []uint64 // marks at the front of the piece, the outermost last; empty if what stands before it is not wanted
	back  []uint64 // marks at its end; they may stand behind offset, if the list has moved

	span // of all that was returned

	ended bool  // the list ended here
	order order // of the creation times, if that was looked for
}

// span are the oldest and the newest creation time of some records; zero if not sent.
type span struct{ oldest, newest time.Time }

// add extends the span.
func (s *span) add(at time.Time) {
	switch {
	case at.IsZero():
	case s.newest.IsZero():
		*s = span{at, at}
	case at.Before(s.oldest):
		s.oldest = at
	case at.After(s.newest):
		s.newest = at
	}
}

// inside reports whether a time is within the span. The edges are not: there may stand
// another record that was created at the same time.
func (s span) inside(at time.Time) bool { return at.After(s.oldest) && at.Before(s.newest) }

// taken is a page that was taken, with what is needed for the place within it.
type taken struct {
	before   place // the page
	offset   int   // of the page
	total    int
	marks    []Mark
	fresh    []int // indexes of its new records, in the order in which they are returned
	wanted   []int // those of them that are returned: others may be older than wanted
	from, to int   // its records in between belong to the piece
	ends     bool  // it ends what is wanted of the list
	inFront  bool  // it was read for what was added in front
}

// place returns the place before the new records that were not returned yet.
func (t *taken) place(left []int) place {
	p := t.before
	if len(left) > 0 {
		left = t.fresh[slices.Index(t.fresh, left[0]):]
	}
	known := make([]uint64, 0, t.to-t.from)
	for i := t.from; i < t.to; i++ {
		if !slices.Contains(left, i) {
			known = append(known, t.marks[i].ID)
			p.add(t.marks[i].At)
		}
	}
	fresh := make([]uint64, 0, len(t.fresh))
	for _, i := range t.fresh[:len(t.fresh)-len(left)] {
		fresh = append(fresh, t.marks[i].ID)
	}
	if t.inFront {
		p.extendFront(t, known, fresh, left)
	} else {
		p.extendBack(t, known, fresh, left)
	}
	return p
}

// extendFront adds the known records of a page to the front of the piece. left are the new ones that
// were not returned yet.
func (p *place) extendFront(t *taken, known, fresh []uint64, left []int) {
	if len(p.back) > 0 {
		p.back = extend(p.back, known, nil)
	}
	slices.Reverse(known)
	for t.offset == 0 && len(left) == 0 && len(p.front) > 0 && !shares(known, p.front[len(p.front)-1:]) {
		p.front = p.front[:len(p.front)-1] // the page begins the list: this one was deleted
	}
	p.front = extend(p.front, known, fresh)
	if n, m := len(known), len(p.front); n > 0 && known[n-1] == p.front[m-1] {
		if p.head = t.offset; len(left) > 0 {
			p.head += left[0] + 1
		}
	}
}

// extendBack adds the known records of a page to the end of the piece.
func (p *place) extendBack(t *taken, known, fresh []uint64, left []int) {
	p.ended = len(left) == 0 && t.ends
	p.head += t.moved()
	p.total = cmp.Or(t.total, p.total)
	p.extendEnd(t, known, fresh)
	if p.offset = t.offset + len(t.marks); len(left) > 0 {
		p.offset = t.offset + left[0]
	}
	if len(p.front) > 0 || t.offset == 0 && len(t.before.back) == 0 {
		slices.Reverse(known)
		p.front = extend(p.front, known, nil)
	}
}

// extendEnd adds the known records of a page to the end of the piece. While each page begins with those
// in their place, equal records are different ones.
func (p *place) extendEnd(t *taken, known, fresh []uint64) {
	n := len(known) // so many were known before
	if len(t.fresh) > 0 {
		n = t.fresh[0] - t.from
	}
	if before := max(0, len(p.back)-n); (n > 0 || len(p.back) == 0) && slices.Equal(p.back[before:], known[:n]) {
		p.back = outermost(slices.Concat(p.back, known[n:]))
	} else {
		p.back = extend(p.back, known, fresh)
	}
	if len(known) > 0 {
		p.tail = known[len(known)-1]
	}
}

// extend adds the records of a page that belong to a piece of the list to the outermost ones at one of
// its ends, in the order towards that end. A page that shows none of these, and does not end with a
// fresh record, shows what stands further inside.
func extend(end, known, fresh []uint64) []uint64 {
	if len(end) > 0 && !shares(end, known) && !shares(fresh, known[max(0, len(known)-1):]) {
		return end
	}
	return outermost(merge(end, known))
}

func outermost(marks []uint64) []uint64 { return marks[max(0, len(marks)-kept):] }

// shares reports whether two pieces of the list have a record in common.
func shares(a, b []uint64) bool {
	return slices.ContainsFunc(a, func(id uint64) bool { return slices.Contains(b, id) })
}

// merge returns the marks of two pieces of the list in its order, which b knows better. What has no
// place in the other piece comes first if it is of a.
func merge(a, b []uint64) (all []uint64) {
	all = make([]uint64, 0, len(a)+len(b))
	for _, id := range a {
		if k := slices.Index(b, id); k >= 0 {
			all, b = append(all, b[:k]...), b[k+1:]
		}
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return append(all, b...)
}

// moved returns how far to the right the list has moved since the page before.
func (t *taken) moved() int {
	back := t.before.back
	tail := slices.Index(back, t.before.tail)
	for i, m := range slices.Backward(t.marks) {
		if k := slices.Index(back, m.ID); k >= 0 && tail >= 0 {
			return t.offset + i - (t.before.offset - 1 - tail + k)
		}
	}
	return 0
}
