package paging

import (
	"cmp"
	"slices"
	"time"
)

// ends is how many records at each end of what was returned a place and a cursor hold,
// and how many known ones a page shows where late records may stand.
const ends = 16

// place is how far a list was returned: a piece of it without gaps.
type place struct {
	offset int // of the record that comes next
	total  int // number of records in the list when offset was seen; 0: not told
	head   int // where the first record of the piece should stand now; below 0: the place has moved to the left

	last  []uint64 // marks of the records right before offset, in the order of the list
	tail  []uint64 // of the last records of the piece: they may stand behind offset, if the list has moved
	first []uint64 // of the first ones; none if what stands before the piece is not wanted

	span // of all that was returned

	beyond int   // how many of tail are new, and stand at the end if the others were deleted
	ended  bool  // the list ended here
	order  order // of the creation times, if that was looked for
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
	inFront  bool  // it was read for what was added in front
}

// place returns the place before the new records that were not returned yet.
func (t *taken) place(left []int) place {
	p := t.before
	if len(left) > 0 {
		left = t.fresh[slices.Index(t.fresh, left[0]):]
	}
	unread := make([]bool, len(t.marks))
	for _, i := range left {
		unread[i] = true
	}
	known := make([]uint64, 0, t.to-t.from)
	for i := t.from; i < t.to; i++ {
		if !unread[i] {
			known = append(known, t.marks[i].ID)
			p.add(t.marks[i].At)
		}
	}
	if t.inFront {
		p.extendFront(t, known, left)
	} else {
		p.extendBack(t, known, left)
	}
	return p
}

// extendFront adds what is known of a page to the front of the piece. left are the new records that
// were not returned yet.
func (p *place) extendFront(t *taken, known []uint64, left []int) {
	n := len(t.fresh) - len(left)
	if len(p.first) == 0 || shares(p.first, known) || n > 0 && t.fresh[n-1] == 0 || len(left) > 0 {
		p.first = merge(known, p.first)
		p.first = p.first[:min(ends, len(p.first))]
		if p.head = t.offset; len(left) > 0 {
			p.head += left[0] + 1
		}
	}
	if shares(p.tail, known) {
		p.tail = lastOf(merge(known, p.tail))
	}
}

// extendBack adds what is known of a page to the end of the piece.
func (p *place) extendBack(t *taken, known []uint64, left []int) {
	p.ended = p.ended && len(t.wanted) == 0
	p.head += t.moved()
	p.total = cmp.Or(t.total, p.total)
	if len(p.last) == 0 && t.offset == 0 || shares(p.first, known) {
		p.first = merge(p.first, known)
		p.first = p.first[:min(ends, len(p.first))]
	}
	again := slices.IndexFunc(p.last, func(id uint64) bool { return slices.Contains(known, id) })
	if again < 0 {
		again = len(p.last)
	}
	p.last = lastOf(slices.Concat(p.last[:again], known))
	p.extendTail(known, t.fresh[:len(t.fresh)-len(left)], t.marks)
	if p.offset = t.offset + len(t.marks); len(left) > 0 {
		p.offset = t.offset + left[0]
	}
}

// extendTail adds what is known of a page to the tail. If the tail is not on the page, and new records
// end that, they stand behind the tail, unless a late record happened to end the page.
func (p *place) extendTail(known []uint64, fresh []int, marks []Mark) {
	sure := p.tail[:len(p.tail)-p.beyond]
	switch n := len(fresh); {
	case len(sure) == 0 || shares(sure, known):
		p.tail, p.beyond = lastOf(merge(sure, known)), 0
	case n > 0 && marks[fresh[n-1]].ID == known[len(known)-1]:
		all := merge(p.tail, known)
		p.beyond += len(all) - len(p.tail)
		if p.tail = lastOf(all); p.beyond >= len(p.tail) {
			p.beyond = 0
		}
	case p.beyond > 0:
		if k := slices.Index(known, p.tail[len(p.tail)-1]); k >= 0 && k < len(known)-1 { // others that are known stand behind it
			p.tail, p.beyond = sure, 0
		}
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

func shares(a, b []uint64) bool {
	return slices.ContainsFunc(a, func(id uint64) bool { return slices.Contains(b, id) })
}

// merge returns the marks of two pieces of the list in its order. What has no place in the
// other piece comes first if it is of a.
func merge(a, b []uint64) (all []uint64) {
	for _, id := range a {
		if k := slices.Index(b, id); k >= 0 {
			all, b = append(all, b[:k]...), b[k+1:]
		}
		all = append(all, id)
	}
	return append(all, b...)
}

func lastOf(marks []uint64) []uint64 { return marks[max(0, len(marks)-ends):] }
