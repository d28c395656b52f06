package paging

import (
	"cmp"
	"slices"
	"time"
)

// place is how far a list was returned: a piece of it without gaps.
type place struct {
	offset int // of the record that comes next
	total  int // number of records in the list when offset was seen; 0: not told
	head   int // where the first record of the piece should stand now; below 0: the place has moved to the left

	last  []uint64 // marks of the records right before offset, in the order of the list
	front edge     // of the piece; empty if what stands before it is not wanted
	back  edge     // it may stand behind offset, if the list has moved

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

// extendFront adds what is known of a page to the front of the piece. left are the new records that
// were not returned yet.
func (p *place) extendFront(t *taken, known, fresh []uint64, left []int) {
	if n := len(p.back.marks); n > 0 && n < ends { // the page may be older than the latest of the rest
		p.back.marks = lastOf(merge(known, p.back.marks))
	}
	slices.Reverse(known)
	n := len(known)
	if t.offset == 0 && len(left) == 0 && n > 0 && !slices.Contains(fresh, known[n-1]) { // it begins the list: nothing else is left
		p.front = edge{marks: p.front.marks[:slices.Index(p.front.marks, known[n-1])+1]}
	}
	p.front = p.front.extend(known, fresh)
	if n > 0 && p.front.outermost() == known[n-1] {
		if p.head = t.offset; len(left) > 0 {
			p.head += left[0] + 1
		}
	}
}

// extendBack adds what is known of a page to the end of the piece.
func (p *place) extendBack(t *taken, known, fresh []uint64, left []int) {
	p.ended = len(left) == 0 && (t.ends || p.ended && len(t.wanted) == 0)
	p.head += t.moved()
	p.total = cmp.Or(t.total, p.total)
	again := slices.IndexFunc(p.last, func(id uint64) bool { return slices.Contains(known, id) })
	if again < 0 {
		again = len(p.last)
	}
	p.last = lastOf(slices.Concat(p.last[:again], known))
	if p.offset = t.offset + len(t.marks); len(left) > 0 {
		p.offset = t.offset + left[0]
	}
	p.back = p.back.extend(known, fresh)
	if shares(p.front.marks, known) || t.offset == 0 && len(t.before.last) == 0 {
		slices.Reverse(known)
		p.front = p.front.extend(known, nil)
	}
}

// moved returns how far to the right the list has moved since the page before.
func (t *taken) moved() int {
	last := t.before.last
	for i, m := range t.marks {
		if k := slices.Index(last, m.ID); k >= 0 {
			return t.offset + i - (t.before.offset - len(last) + k)
		}
	}
	return 0
}
