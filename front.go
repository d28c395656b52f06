package epcclogs

import (
	"context"
	"slices"
)

// front reads what was added in front of the part of the list that was read.
type front[T any] struct {
	source *ahead[T]
	place  *place[T]
	limit  int // new records wanted on a page

	done bool // nothing new is left in front
	lost bool // the head was deleted, and nothing shows what was added before it

	zero    *Page[T] // the page at offset 0, if it is the latest one
	visited bool     // the front was looked at in this round
	offset  int      // of the page to read next
	total   int      // number of records in the list, as the latest page says; 0: not told
	seen    bool     // the head was seen on the page before, and goes on behind it
	seenAt  int      // where that page begins
	tries   int      // pages without the head
	repeats repeats  // among them
	back    bool     // the whole head was found; now the pages before it are read
	cut     bool     // what does not stand on that page of the head was deleted
	taken   []mark   // the records of the page that was taken before; nil: none
	gaps    int      // pages that did not reach to that one
	skipped int      // where to look next if the head is not where it was expected; 0: nowhere
}

func newFront[T any](source *ahead[T], p *place[T], limit int) front[T] {
	return front[T]{source: source, place: p, limit: limit}
}

// read reads a page; nil if it has nothing new. It looks for the head, from offset 0 on,
// and goes back from there, so that the oldest records come first.
func (f *front[T]) read(ctx context.Context) (*Page[T], error) {
	p := f.place
	page := f.zero
	if page == nil || f.visited {
		var err error
		if page, err = f.get(ctx); err != nil {
			return nil, err
		}
	}
	first := !f.visited
	f.visited = true
	fresh, last, sawTail := f.look(page.Data)
	if last < 0 {
		return nil, f.noHead(ctx, page.Data, first, sawTail)
	}
	if !f.back && len(page.Data) > lookBack && len(page.Data)-last < lookBack && !claimsOf(page, ListOptions{Offset: f.offset}).ends && p.headGoesOn(page.Data[last]) {
		f.seen, f.seenAt = true, f.offset
		f.offset += stride(len(page.Data)) // one that was committed late may stand there
		return nil, nil
	}
	f.seen, f.back = false, true
	if f.cut {
		p.cutHead(markOf(&page.Data[last]))
		f.cut = false
	}
	if f.gap(page.Data) {
		f.offset += stride(len(page.Data))
		return nil, nil
	}
	records := page.Data
	ends := claimsOf(page, ListOptions{Offset: f.offset}).ends
	page.Data = p.takeFront(f.offset, records, fresh, last, ends)
	p.total = f.total
	if f.offset == 0 {
		f.done = true
	}
	f.offset = max(0, f.offset-stride(max(len(records), f.source.server.length)))
	return page, nil
}

// look compares a page with the head. If the head was deleted, and the list grows in front,
// the records of the tail on the first page are the head from now on.
func (f *front[T]) look(records []T) (fresh []int, last int, sawTail bool) {
	p := f.place
	fresh, last, sawTail = p.lookFront(records)
	if last < 0 && sawTail && f.offset == 0 && p.grows == frontEnd {
		p.headFromTail(records)
		return p.lookFront(records)
	}
	return fresh, last, sawTail
}

// gap reports whether a page does not reach to the one that was taken before it, because
// many records have been added meanwhile. One that was committed late may stand between.
func (f *front[T]) gap(records []T) bool {
	before := f.taken
	if before == nil && f.offset == 0 {
		return false // the only page, as in most polls
	}
	f.taken = marksOf(records)
	if before == nil || f.gaps == maxMoves || slices.ContainsFunc(f.taken, func(m mark) bool { return slices.Contains(before, m) }) {
		return false
	}
	f.taken = before
	f.gaps++
	return true
}

// get gets the page at the offset.
func (f *front[T]) get(ctx context.Context) (*Page[T], error) {
	p := f.place
	asked := ListOptions{Limit: min(f.limit+lookBack, maxLimit), Offset: f.offset}
	if f.visited {
		asked.Limit = maxLimit // fewer requests
	}
	page, c, err := f.source.at(ctx, asked)
	if err != nil {
		return nil, err
	}
	f.total = c.total
	if f.total > 0 && p.total > 0 && !p.found && !f.visited {
		p.move(max(f.total-p.total, 0))
		p.total = f.total
	}
	if asked.Offset == 0 {
		zero := *page
		f.zero = &zero
	}
	return page, nil
}

// noHead decides what to do after a page that does not show the head: the head stands
// further on, or was deleted.
func (f *front[T]) noHead(ctx context.Context, records []T, first, sawTail bool) error {
	p := f.place
	next := f.offset + stride(len(records))
	sawTail, err := f.knows(ctx, records, first, sawTail)
	if err != nil {
		return err
	}
	switch over := sawTail || len(records) < 2 || ignoresOffsets(&f.repeats, &f.source.server, records); {
	case over && f.seen: // an earlier page shows all that is left of the head
		f.offset, f.seen, f.back, f.cut = f.seenAt, false, true, true
	case first && !over:
		f.offset = max(next, p.shift-f.source.server.page()/2) // where it should be by how far the list has moved
		if f.offset > next {
			f.skipped = next
		}
	case !over:
		if f.tries++; f.tries > maxTries {
			return f.source.lost("the place was not found on %d pages", maxTries)
		}
		f.offset, f.back = next, false
	case f.skipped > 0:
		f.offset, f.skipped = f.skipped, 0
	case sawTail:
		return f.gone(ctx, records)
	default:
		f.lost = true
	}
	return nil
}

// knows reports whether the tail was seen, or so much of the list was looked at that
// the head must have been deleted: more cannot have been added in front. If the list grows
// there, only the tail shows that.
func (f *front[T]) knows(ctx context.Context, records []T, first, sawTail bool) (bool, error) {
	p := f.place
	if first || sawTail || len(records) < 2 || !p.found || p.grows == frontEnd || f.offset < p.shift+remembered {
		return sawTail, nil
	}
	return f.stands(ctx) // or it was added just now
}

// gone is for when the tail stands on a page with these records, or behind it, and no page
// up to there has shown the head. The store has deleted that, unless the list has moved to
// the left meanwhile: then the first pages show it. Where the store deletes records, it
// adds none.
func (f *front[T]) gone(ctx context.Context, records []T) error {
	p := f.place
	if v := p.look(f.offset, records); v.known >= 0 {
		p.move(p.moves(v))
		p.total = f.total
	}
	zero, shown := f.zero, f.offset == 0
	f.offset = 0
	for i := 0; !shown && i < maxMoves && f.offset < remembered; i++ {
		page, err := f.get(ctx)
		if err != nil {
			return err
		}
		var last int
		if _, last, shown = f.look(page.Data); last >= 0 {
			return nil
		}
		if len(page.Data) < 2 {
			break
		}
		f.offset += stride(len(page.Data))
	}
	if p.grows == frontEnd {
		f.lost = true
		return nil
	}
	if shown {
		zero = f.zero // the tail is there, and so these records were read
	}
	p.capture(zero.Data)
	f.done = true
	return nil
}

// stands looks for the place where it was, and reports whether it has not moved to the
// right.
func (f *front[T]) stands(ctx context.Context) (bool, error) {
	p := f.place
	asked := p.next(0, lookBack, false)
	page, c, err := f.source.at(ctx, asked)
	if err != nil {
		return false, err
	}
	v := p.look(asked.Offset, page.Data)
	if p.found = v.known >= 0; !p.found {
		return false, nil
	}
	moved := p.moves(v)
	p.move(moved)
	p.total = c.total
	return moved <= 0, nil
}

// capture reads the head of a list that was not read from its beginning.
func (f *front[T]) capture(ctx context.Context) error {
	_, err := f.get(ctx)
	if err == nil {
		f.place.capture(f.zero.Data)
		f.visited = true
	}
	return err
}
