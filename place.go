package epcclogs

import (
	"reflect"
	"slices"
)

// end is an end of a list.
type end byte

const (
	unknownEnd end = iota
	frontEnd
	tailEnd
)

// place is where a pager is in a list that may change between any two requests. It
// knows the records at both ends of the part that was read, and where they stood. So
// it recognizes which records of a page are new.
type place[T any] struct {
	offset int       // of the record that comes next
	tail   []seen[T] // the latest records received, in the order of the list
	at     int       // tail[:at] stand before offset; tail[at:] were received before the list moved
	run    int       // so many of tail[:at] stand right before offset, with nothing between
	head   []seen[T] // the first records of the list; nil if they were not read
	total  int       // number of records in the list when the place was seen; 0 if not told
	found  bool      // the place was seen in this round; see reader.round
	shift  int       // how far the list is known to have moved to the right since the head was seen
	moved  int       // how far it has moved to the left lately; halved with each page that is in place
	ended  bool      // the end of the list was reached, and nothing new was found behind it since
	size   int       // so many records, at least, the list had when its beginning was read before this round
	grows  end       // where the store adds records

	pages   int  // number of pages received
	fresh   int  // number of new records on the latest page
	inFront bool // the latest page was read for what was added in front
	stale   int  // number of new records that stand where tail[at:] should come, since one of it was last seen
}

// next returns the page to ask for: the records that come next, and before them the
// overlap by which the place is recognized. If many of the records that come next were
// received before the list moved, a jump skips them.
func (p *place[T]) next(limit, overlap int, jump bool) ListOptions {
	overlap = min(overlap, p.run)
	asked := ListOptions{Limit: min(limit+overlap, maxLimit)}
	if skip := len(p.tail) - p.at; skip > 0 {
		asked.Limit = maxLimit // fewer requests
		if jump && skip > maxLimit/2 {
			overlap -= skip
		}
	}
	asked.Offset = max(p.offset-overlap, 0)
	return asked
}

// look compares the page at offset with what is known.
//
// If the overlap is in place, all records behind it are new. Otherwise the list has
// moved. Then those records are new that stand behind the first known record of the
// page and are not known themselves. A record before the first known one does not
// count as new: it may have been returned long ago.
func (p *place[T]) look(offset int, records []T) view[T] {
	v := view[T]{offset: offset, records: records, known: -1, last: -1}
	if n := p.offset - offset; p.inPlace(records, n) {
		v.known, v.rank, v.last, v.shown, v.fresh = 0, p.at-n, p.at-1, n, records[n:]
		return v
	}
	v.marks = marksOf(records)
	ranks := make(map[mark]int, len(p.tail))
	for i := range p.tail {
		ranks[p.tail[i].id()] = i
	}
	head := p.inHead()
	for i, m := range v.marks {
		rank, ok := ranks[m]
		switch {
		case ok:
			if v.known < 0 {
				v.known, v.rank = i, rank
			}
			v.last = max(v.last, rank)
			v.shown++
		case v.known >= 0 && !head[m]:
			v.fresh, v.nth = append(v.fresh, records[i]), append(v.nth, i)
		}
	}
	return v
}

// inPlace reports whether a page begins with the last n records that were received.
func (p *place[T]) inPlace(records []T, n int) bool {
	if n < 1 || n > len(records) || n > p.at || p.at != len(p.tail) {
		return false
	}
	for i := range n {
		if markOf(&records[i]) != p.tail[p.at-n+i].id() {
			return false
		}
	}
	return true
}

// inHead returns the marks of the head, as a set.
func (p *place[T]) inHead() map[mark]bool {
	head := make(map[mark]bool, len(p.head))
	for i := range p.head {
		head[p.head[i].id()] = true
	}
	return head
}

// further reports whether the page of v shows records that were received before the
// list moved, and that stand behind the place now.
func (p *place[T]) further(v view[T]) bool { return v.last >= p.at }

// endsHere reports whether v's page, which has records, ends with the latest one that was
// received, where that stood before.
func (p *place[T]) endsHere(v view[T]) bool {
	last := len(v.records) - 1
	return len(v.fresh) == 0 && v.offset+last+1 == p.offset && markOf(&v.records[last]) == p.tail[len(p.tail)-1].id()
}

// take moves the place behind the page of v, whose new records are known from now on.
func (p *place[T]) take(v view[T]) {
	p.pages++
	p.fresh, p.inFront = len(v.fresh), false
	added := make([]seen[T], len(v.fresh))
	own := slices.Clone(v.fresh)              // the caller may change the page,
	shared := hasSlices(reflect.TypeFor[T]()) // and the slices of a record
	for i := range own {
		added[i] = seen[T]{record: &own[i], page: p.pages, nth: i}
		if shared {
			added[i].id()
		}
	}
	p.fillHead(v, added)
	p.ended = p.ended && !v.endsNew()
	if v.marks == nil {
		p.moved /= 2
		drop := max(p.at-remembered, 0)
		p.tail = append(slices.Delete(p.tail, 0, drop), added...)
		p.at = len(p.tail)
		p.run = min(p.run+len(added), p.at)
	} else {
		p.merge(v, added)
	}
	p.offset = v.offset + len(v.records)
}

// learn notes that the list grows at its end, if its end had been reached and v's page
// shows more records there than it had. ends says that the page is the last.
func (p *place[T]) learn(v view[T], ends bool) {
	gone := len(p.tail) - 1 - v.last // known records that are missing on the page
	if !p.ended || v.last < 0 || v.behind() <= gone || gone > 0 && !ends {
		return
	}
	// In a list that was settled, no late record stands behind so many known ones, or at the
	// end of a list that is still long.
	long := p.moves(v) <= 0 && v.offset+len(v.records)-v.behind() > lookBack
	if p.size >= settled && (long || v.shown >= lookBack/2) {
		p.grows = tailEnd
	}
}

// moves returns how far to the right the known records of v's page have moved.
func (p *place[T]) moves(v view[T]) int { return v.offset + v.known - (p.offset - p.at + v.rank) }

// move notes that the place has moved by so many records to the right, or to the left.
func (p *place[T]) move(by int) {
	p.offset = max(p.offset+by, 0)
	p.shift += max(by, 0)
}

// fillHead adds those records of v's page to a short head that follow it. added are the
// new ones among them.
func (p *place[T]) fillHead(v view[T], added []seen[T]) {
	n := len(p.head)
	if n == 0 || n >= lookBack || len(p.tail) == 0 {
		return
	}
	last := p.head[n-1].id()
	if v.marks == nil {
		if last == p.tail[len(p.tail)-1].id() {
			p.head = append(p.head, added[:min(lookBack-n, len(added))]...)
		}
		return
	}
	at := slices.Index(v.marks, last)
	for i := at + 1; at >= 0 && i < len(v.marks) && len(p.head) < lookBack; i++ {
		if nth := slices.Index(v.nth, i); nth >= 0 {
			p.head = append(p.head, added[nth])
		} else {
			p.head = append(p.head, seen[T]{mark: v.marks[i]})
		}
	}
}

// merge replaces what is known of a part of the list by the page of v. added are its
// new records.
func (p *place[T]) merge(v view[T], added []seen[T]) {
	shift := p.moves(v)
	p.move(shift)
	p.stale += v.behind()
	p.moved = max(-shift, 0)
	p.mergeHead(v, added)
	tail := slices.Clone(p.tail[max(v.rank-remembered, 0):v.rank])
	if v.offset == 0 || p.ended && p.fresh == 0 && v.known >= v.rank { // the page has room for those before: they have been deleted
		tail = nil
	}
	from := v.known // or from the records of the head right before: they were received too
	for head := p.inHead(); from > 0 && head[v.marks[from-1]]; {
		from--
	}
	if p.run -= p.at - v.rank; v.known > 0 || v.rank > p.at || p.run < 0 {
		p.run = 0 // others stand before them
	}
	p.run += len(v.records) - from
	for i := from; i < len(v.records); i++ {
		if len(v.nth) > 0 && v.nth[0] == i {
			tail, added, v.nth = append(tail, added[0]), added[1:], v.nth[1:]
		} else {
			tail = append(tail, seen[T]{mark: v.marks[i]})
		}
	}
	p.at = len(tail)
	p.run = min(p.run, p.at)
	// The known records further on will come again, or were deleted.
	if p.stale < lookBack {
		tail = append(tail, p.tail[v.last+1:]...)
	}
	p.tail = tail
	if p.at == len(p.tail) {
		p.stale = 0
	}
}

// mergeHead puts those new records into the head that stand right behind one of its
// records, and not behind the last.
func (p *place[T]) mergeHead(v view[T], added []seen[T]) {
	head := p.inHead()
	before := -1 // index in p.head of the record before, if it belongs to the head
	for i, m := range v.marks {
		switch nth := slices.Index(v.nth, i); {
		case head[m]:
			before = slices.IndexFunc(p.head, func(s seen[T]) bool { return s.mark == m })
		case nth >= 0 && 0 <= before && before < len(p.head)-1:
			before++
			p.head = slices.Insert(p.head, before, added[nth])
			p.head[before].id()
		default:
			before = -1
		}
	}
	p.head = p.head[:min(len(p.head), remembered)]
}

// takeUnchecked moves the place behind a page whose records all count as new: the
// first page, or a page of a server that allows no overlap.
func (p *place[T]) takeUnchecked(offset int, records []T) {
	p.tail, p.stale = p.tail[:p.at], 0
	p.take(view[T]{offset: offset, records: records, fresh: records, known: -1, last: -1})
	if offset == 0 && p.head == nil && p.at == len(records) {
		p.head, p.size = slices.Clone(p.tail[:min(lookBack, len(p.tail))]), len(records)
	}
}

// end notes that the place is at the end of the list.
func (p *place[T]) end() {
	// Known records that would come next are not in the list, or not yet again.
	p.ended, p.tail, p.stale = true, slices.Concat(p.tail[p.at:], p.tail[:p.at]), 0
	p.at = len(p.tail)
}

// restart forgets all that is known, because it was deleted.
func (p *place[T]) restart() {
	p.offset, p.tail, p.at, p.run, p.stale, p.head, p.shift, p.ended, p.size = 0, nil, 0, 0, 0, nil, 0, false, 0
}

// position returns the offset of the record that is returned next. rest is how many of
// the new records of the latest page were not returned yet.
func (p *place[T]) position(rest int) int {
	if p.inFront {
		return p.offset
	}
	return p.offset - rest
}

// returned reports whether s was returned. rest is as for position.
func (p *place[T]) returned(s seen[T], rest int) bool {
	return s.page == 0 || s.page != p.pages || s.nth < p.fresh-rest
}
