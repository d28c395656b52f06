package epcclogs

import "context"

// front is about what was added in front of the part of the list that was read.
type front[T any] struct {
	source *ahead[T]
	place  *place[T]
	limit  int // new records wanted on a page

	done bool // nothing new is left in front
	lost bool // neither the head nor the place is in the list any more

	zero    *Page[T] // the page at offset 0, when it is the latest
	visited bool     // the front was looked at in this round
	offset  int      // of the page to read next
	seen    bool     // the head was seen, and goes on behind the page before
	back    bool     // the head was found: the pages before it follow
	skipped int      // where to go on if the head is not where it should be; 0: nowhere
}

func newFront[T any](source *ahead[T], p *place[T], limit int) front[T] {
	return front[T]{source: source, place: p, limit: limit}
}

// read reads a page of what was added in front; nil when it has nothing new.
// It looks for the head from offset 0 on, and goes back from there, so that the
// oldest come first.
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
	fresh, last, sawTail := p.lookFront(page.Data)
	if last < 0 {
		return nil, f.noHead(ctx, page.Data, first, sawTail)
	}
	if !f.back && last == len(page.Data)-1 && last >= lookBack && !claimsOf(page, ListOptions{Offset: f.offset}).ends && p.headGoesOn(page.Data[last]) {
		f.seen = true
		f.offset += stride(len(page.Data)) // one that was committed late may stand there
		return nil, nil
	}
	f.back = true
	records := page.Data
	page.Data = p.takeFront(f.offset, records, fresh, last)
	if p.shift = f.offset; f.offset == 0 {
		f.done = true
	}
	f.offset = max(0, f.offset-stride(max(len(records), f.source.server.length)))
	return page, nil
}

func (f *front[T]) get(ctx context.Context) (*Page[T], error) {
	p := f.place
	asked := ListOptions{Limit: min(f.limit+lookBack, maxLimit), Offset: f.offset}
	if f.visited {
		asked.Limit = maxLimit // to be done with it soon
	}
	page, c, err := f.source.at(ctx, asked)
	if err != nil {
		return nil, err
	}
	total := c.total
	if total > 0 && p.total > 0 && !p.found && !f.visited {
		p.shift += max(total-p.total, 0)
	}
	p.total = total
	if asked.Offset == 0 {
		zero := *page
		f.zero = &zero
	}
	return page, nil
}

// noHead goes on after a page that does not show the head: it stands further on,
// or was deleted.
func (f *front[T]) noHead(ctx context.Context, records []T, first, sawTail bool) error {
	p := f.place
	next := f.offset + stride(len(records))
	if !first && len(records) > 1 && p.found && f.offset >= p.shift+remembered {
		// So much was not added in front, unless it was just now.
		still, err := f.stands(ctx)
		if err != nil {
			return err
		}
		sawTail = sawTail || still
	}
	switch over := sawTail || len(records) < 2; {
	case first && !over:
		f.offset = max(next, p.shift-f.source.server.page()/2) // where it should be by how far the list has moved
		if f.offset > next {
			f.skipped = next
		}
	case !over:
		f.offset = next
	case f.seen:
		f.offset, f.seen, f.back = max(0, f.offset-stride(max(len(records), f.source.server.length))), false, true
	case f.skipped > 0:
		f.offset, f.skipped = f.skipped, 0
	case sawTail:
		// The store has deleted the head; so it adds nothing in front.
		p.capture(f.zero.Data)
		f.done = true
	default:
		f.lost = true
	}
	return nil
}

// stands reports whether the place is where it was, or before.
func (f *front[T]) stands(ctx context.Context) (bool, error) {
	p := f.place
	asked := p.next(0, lookBack, false)
	page, _, err := f.source.at(ctx, asked)
	if err != nil {
		return false, err
	}
	v := p.look(asked.Offset, page.Data)
	if p.found = v.known >= 0; !p.found {
		return false, nil
	}
	moved := p.moves(v)
	p.offset += moved
	p.shift += max(moved, 0)
	return moved <= 0, nil
}

// capture reads the first records of a list that was not read from its beginning.
func (f *front[T]) capture(ctx context.Context) error {
	_, err := f.get(ctx)
	if err == nil {
		f.place.capture(f.zero.Data)
		f.visited = true
	}
	return err
}
