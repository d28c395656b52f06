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

	ended bool  // the list ended here
	order order // of the creation times, if that was looked for
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
	fresh   []int // indexes of its new records, in their order
	wanted  []int // those of them that are returned: others may be older than wanted
	from    int   // its records from here on belong to the piece,
	to      int   // up to here
	inFront bool  // it was read for what was added in front
}

// place returns the place before the new records that were not returned yet.
func (t *taken) place(left []int) place {
	p := t.before
	unread := make([]bool, len(t.marks)) // the records from the next one on
	if len(left) > 0 {
		for _, i := range t.fresh[slices.Index(t.fresh, left[0]):] {
			unread[i] = true
		}
	}
	known := make([]uint64, 0, t.to-t.from)
	for i := t.from; i < t.to; i++ {
		if !unread[i] {
			known = append(known, t.marks[i].ID)
			p.add(t.marks[i].At)
		}
	}
	if t.inFront {
		t.takeFront(&p, known, left)
	} else {
		t.takeRest(&p, known, left)
	}
	return p
}

// takeFront adds what is known of a page to the front of a piece. left are the new records that
// were not returned yet.
func (t *taken) takeFront(p *place, known []uint64, left []int) {
	p.first = atMost(merge(known, p.first))
	if len(known) > 0 && p.first[0] == known[0] {
		p.head = t.offset
		if len(left) > 0 {
			p.head += left[0] + 1
		}
	}
	if shares(p.tail, known) {
		p.tail = lastOf(merge(known, p.tail))
	}
}

// takeRest adds what is known of a page to the end of a piece.
func (t *taken) takeRest(p *place, known []uint64, left []int) {
	p.ended = p.ended && len(t.fresh) == 0
	p.head += t.moved()
	p.total = cmp.Or(t.total, p.total)
	switch {
	case len(p.last) == 0 && t.offset == 0: // the page begins the list
		p.first = atMost(known)
	case shares(p.first, known):
		p.first = atMost(merge(p.first, known))
	}
	if n := len(t.fresh); len(p.tail) == 0 || shares(p.tail, known) || n > 0 && t.fresh[n-1] == len(t.marks)-1 {
		p.tail = lastOf(merge(p.tail, known))
	}
	p.last = lastOf(slices.Concat(before(p.last, known), known))
	p.offset = t.offset + len(t.marks)
	if len(left) > 0 {
		p.offset = t.offset + left[0]
	}
}

// before returns what stands in list before the first of its marks that page has.
func before(list, page []uint64) []uint64 {
	for i := range list {
		if slices.Contains(page, list[i]) {
			return list[:i]
		}
	}
	return list
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

func atMost(marks []uint64) []uint64 { return slices.Clip(marks[:min(ends, len(marks))]) }

func lastOf(marks []uint64) []uint64 { return marks[max(0, len(marks)-ends):] }
