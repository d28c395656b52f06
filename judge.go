package epcclogs

// judge decides what becomes of a page. A page that brings nothing new, or looks like
// the page before it, raises a doubt: is the list over, has it moved, or does the server
// ignore offsets or round them?
type judge[T any] struct {
	source  *ahead[T]
	place   *place[T]
	resumed bool // the first page did not begin the list
	doubt   doubt
	before  pageBefore
}

// pageBefore is what a judge remembers of the page before.
type pageBefore struct {
	offset, total, length int
	first                 mark // of its records
}

// doubt is about pages that bring nothing new.
type doubt struct {
	step     doubtStep
	repeated mark // first record of a page that looked like the one before, although another offset was asked for
	unknown  bool // a page asked for without an overlap showed nothing known
	empty    bool // it was empty
	short    bool // the page before that one was in place, and shorter than others
	moves    int  // pages in a row that showed only that the list has moved
	pages    int  // pages in a row without a new record
	more     bool // one of them claimed that there is more
}

// doubtStep is what a doubt asks for: what is exactly behind the last record, and then
// a page with an overlap again and with as many records as possible.
type doubtStep byte

const (
	noDoubt doubtStep = iota
	askBehind
	askAgain
)

// verdict is what becomes of a page.
type verdict byte

const (
	askedAgain verdict = iota // it is not taken; ask as the doubt says
	takeIt
	over // it is the end of the list
)

const (
	// minRepeat is how many records a page needs to look like a repeat of the page
	// before. A shorter one may start with the same record because the list has
	// moved.
	minRepeat = lookBack
	// maxMoves is how many pages in a row may show only that the list has moved: no
	// new record, and none that was received later than the page before.
	maxMoves = 20
	// maxPages is how many pages in a row may show nothing new: records that were
	// received before the list moved, on the way to those that come next.
	maxPages = 2 * remembered
)

// page judges a page that has records.
func (j *judge[T]) page(v view[T], c claims, overlap int) (verdict, error) {
	before, first := j.before, markOf(&v.records[0])
	repeat := j.repeats(v, c, first)
	j.before = pageBefore{v.offset, c.total, len(v.records), first}
	server := &j.source.server
	switch {
	case len(j.place.tail) == 0 || server.exact && v.known < 0:
		return takeIt, nil
	case j.suspects(v, first, repeat && overlap > 0, before):
		return askedAgain, nil
	case j.progress(v, c, before):
		return takeIt, nil
	case j.ends(v, c):
		j.place.take(v)
		return over, nil
	case v.marks != nil && !repeat && overlap > 0:
		return j.moved(v, c)
	}
	return j.stuck(v, c, overlap)
}

// ends reports whether a page without anything new ends the list.
func (j *judge[T]) ends(v view[T], c claims) bool {
	server := j.source.server
	if c.ends {
		return !server.toEmpty
	}
	return !c.more && j.place.ended && j.place.endsHere(v) && len(v.records) < server.longest
}

// stuck judges a page that shows only what the page before it showed.
func (j *judge[T]) stuck(v view[T], c claims, overlap int) (verdict, error) {
	server := &j.source.server
	switch {
	case j.doubt.step == noDoubt && overlap > 0:
		j.doubt.step = askBehind
		j.doubt.short = v.marks == nil && !c.more && len(v.records) < server.longest
		return askedAgain, nil
	case j.doubt.empty:
		j.place.take(v)
		return over, nil
	case j.doubt.unknown && len(v.records) < server.longest && j.doubt.moves < 2: // what was behind has been deleted
		j.doubt = doubt{step: askBehind, moves: j.doubt.moves + 1}
		return askedAgain, nil
	case j.doubt.unknown: // there is no room for an overlap: pages have one record
		j.doubt, server.exact = doubt{}, true
		return askedAgain, nil
	case c.more || c.any && !server.honest:
		return askedAgain, j.source.lost("the page at offset %d has nothing new, although the server says that more follows; try again, and report it if it comes again", v.offset)
	}
	return over, nil
}

// repeats reports whether a page looks like the one before it, for another offset.
func (j *judge[T]) repeats(v view[T], c claims, first mark) bool {
	if j.source.server.honest || j.resumed || j.place.pages != 1 || c.placed || len(v.records) < minRepeat {
		return false
	}
	return j.before.first == first && j.before.offset != v.offset && j.before.total == c.total
}

// suspects reports whether the server may ignore offsets, or round them, so that
// the page is not what it seems.
func (j *judge[T]) suspects(v view[T], first mark, repeat bool, before pageBefore) bool {
	d, server := &j.doubt, &j.source.server
	switch {
	case d.step == askAgain && d.unknown && d.repeated == first: // another offset made no difference
		*d, server.exact = doubt{}, true
	case d.step == askBehind:
		server.length = max(server.length, before.length) // the page before did not end the list
		d.step, d.unknown = askAgain, v.known < 0
	case d.step == noDoubt && v.marks != nil && repeat:
		d.step, d.repeated = askBehind, first
	default:
		return false
	}
	return true
}

// misplaced notes that a page says that it starts elsewhere than asked.
func (j *judge[T]) misplaced(records []T) {
	j.doubt.step = askBehind
	if len(records) > 0 {
		j.doubt.repeated = markOf(&records[0])
	}
}

// emptyBehind notes an empty page exactly behind the last record.
func (j *judge[T]) emptyBehind() { j.doubt.step, j.doubt.empty = askAgain, true }

// progress reports whether a page shows a new record, or one that was received later
// than the page before.
func (j *judge[T]) progress(v view[T], c claims, before pageBefore) bool {
	d, server := &j.doubt, &j.source.server
	switch {
	case len(v.fresh) > 0:
		*d = doubt{}
		if v.endsNew() { // so the page before did not end the list
			server.length = max(server.length, before.length)
			server.honest = server.honest || v.offset > 0
		}
	case j.place.further(v) && d.pages < maxPages:
		*d = doubt{pages: d.pages + 1, more: d.more || c.more}
	default:
		return false
	}
	return true
}

// moved judges a page that shows that the list has moved, and nothing new.
func (j *judge[T]) moved(v view[T], c claims) (verdict, error) {
	d := &j.doubt
	if d.empty && !c.more && v.offset+len(v.records) == j.place.offset && len(v.records) < j.source.server.longest {
		j.place.take(v)
		return over, nil // nothing stands behind it: what was received from there has been deleted
	}
	*d = doubt{moves: d.moves + 1, pages: d.pages + 1, more: d.more || c.more}
	switch {
	case d.moves <= maxMoves && d.pages <= maxPages:
		if !c.more {
			d.step = askBehind
		}
		return takeIt, nil
	case d.more:
		return askedAgain, j.source.lost("%d pages up to offset %d brought nothing new: the list moves faster than it can be read, or is shorter than the server says",
			d.pages, v.offset)
	}
	return over, nil
}
