package paging

import (
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

	last  []uint64 // marks of the last records of the piece, in the order of the list
	first []uint64 // of the first ones; none if what stands before the piece is not wanted

	span // of all that was returned

	ended bool // the list ended here
}

// span are the oldest and the newest creation time of some records; zero if not sent.
type span struct{ oldest, newest time.Time }

// add extends the span.
func (s *span) add(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.oldest.IsZero() || at.Before(s.oldest) {
		s.oldest = at
	}
	if at.After(s.newest) {
		s.newest = at
	}
}

// inside reports whether a time is within the span. The edges are not: there may stand
// another record that was created at the same time.
func (s span) inside(at time.Time) bool { return at.After(s.oldest) && at.Before(s.newest) }

// taken is a page that was taken, with what is needed for the place within it.
type taken struct {
	before  place // the page
	offset  int   // of the page
	total   int
	marks   []Mark
	fresh   []int // indexes of its new records, in the order in which they are returned
	from    int   // its records from here on belong to the piece,
	to      int   // up to here
	inFront bool  // it was read for what was added in front
}

// place returns the place after so many of the new records were returned.
func (t *taken) place(returned int) place {
	p := t.before
	for _, i := range t.fresh[:returned] {
		p.span.add(t.marks[i].At)
	}
	left := t.fresh[returned:]
	known := make([]uint64, 0, t.to-t.from)
	for i := t.from; i < t.to; i++ {
		if len(left) == 0 || !slices.Contains(left, i) {
			known = append(known, t.marks[i].ID)
		}
	}
	if t.inFront {
		p.head = t.offset + t.from
		if len(left) > 0 {
			p.head = t.offset + left[0] + 1
		}
		p.first = atMost(ends, known, behind(p.first, known))
		return p
	}
	next := t.offset + len(t.marks)
	if len(left) > 0 {
		next = t.offset + left[0]
	}
	p.ended = p.ended && len(t.fresh) == 0
	p.head += t.moved()
	p.offset = next
	if t.total > 0 {
		p.total = t.total
	}
	switch {
	case len(p.last) == 0 && t.offset == 0: // the page begins the list
		p.first = atMost(ends, known)
	case 0 < len(p.first) && len(p.first) < ends && slices.Contains(known, p.first[len(p.first)-1]):
		p.first = atMost(ends, p.first, behind(known, p.first))
	}
	p.last = lastOf(slices.Concat(before(p.last, known), known))
	return p
}

// moved returns how far to the right the list has moved since the page before.
func (t *taken) moved() int {
	if n := len(t.before.last); n > 0 {
		for i, m := range t.marks {
			if k := slices.Index(t.before.last, m.ID); k >= 0 {
				return t.offset + i - (t.before.offset - n + k)
			}
		}
		if len(t.fresh) > 0 && t.fresh[0] > 0 {
			return t.offset + t.fresh[0] - t.before.offset
		}
	}
	return 0
}

// behind returns what stands in list behind the last of its marks that others has; all of it
// where it has none of them.
func behind(list, others []uint64) []uint64 {
	for i := len(list) - 1; i >= 0; i-- {
		if slices.Contains(others, list[i]) {
			return list[i+1:]
		}
	}
	return list
}

// before returns what stands in list before the first of its marks that others has.
func before(list, others []uint64) []uint64 {
	for i := range list {
		if slices.Contains(others, list[i]) {
			return list[:i]
		}
	}
	return list
}

func atMost(n int, lists ...[]uint64) []uint64 {
	all := slices.Concat(lists...)
	return slices.Clip(all[:min(n, len(all))])
}

func lastOf(marks []uint64) []uint64 { return marks[max(0, len(marks)-ends):] }
