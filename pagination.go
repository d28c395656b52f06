package epcclogs

import (
	"cmp"
	"context"
	"iter"
	"strings"
)

// ListOptions choose a page of a list. The zero value, like nil, asks for the
// first page.
type ListOptions struct {
	// Limit is the page length, 1 to 100. 0 means the store's own (25 unless it
	// was changed), and 100 in a [Pager].
	Limit int `url:"page[limit],omitempty"`
	// Offset is the number of records, not pages, to skip. The API's documents
	// speak of a soft limit at 10,000: past it, expect an error some day.
	Offset int `url:"page[offset],omitempty"`
}

// maxLimit is the largest page length that the API's documents allow.
const maxLimit = 100

func (o *ListOptions) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Limit < 0 || o.Limit > maxLimit:
		return invalid("Limit %d is not within 0 to %d", o.Limit, maxLimit)
	case o.Offset < 0:
		return invalid("Offset %d is negative", o.Offset)
	}
	return nil
}

// Page is a part of a list. Which of Meta, Results and Links a server sends
// differs between the API's documents, so a program that only wants the records
// does better with a [Pager].
type Page[T any] struct {
	Data    []T          `json:"data"`
	Meta    *PageMeta    `json:"meta,omitempty"`    // nil when the server sent none
	Results *PageResults `json:"results,omitempty"` // likewise
	Links   *PageLinks   `json:"links,omitempty"`   // likewise
}

// PageMeta says which part of the list a page is.
type PageMeta struct {
	Limit   int `json:"limit"`   // page length, as the server sees it
	Offset  int `json:"offset"`  // records before this page
	Current int `json:"current"` // number of this page, from 1
	Total   int `json:"total"`   // number of pages, not records
}

// PageResults count the whole list.
type PageResults struct {
	Total int `json:"total"` // number of records
}

// PageLinks point to other pages. They are for information: the servers'
// links lack parts of the path or name other hosts, and no call follows them.
type PageLinks struct {
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	Next  string `json:"next,omitempty"`
	Prev  string `json:"prev,omitempty"`
}

// Pager reads a list page by page. Nothing is sent until it is used. It keeps its
// place: a loop that was left goes on at the next record when the pager is ranged
// over again, and after an error the page that failed is asked for again. Once a
// pager has come to the end it returns nothing more; make a new one to read the
// list again, or go on at its [Pager.Cursor] for what is new.
//
// The list may change while it is read. Every record that is in it from the first
// request to the last is returned exactly once, or the loop ends with an error:
// [ErrPagination], where the server's paging does not allow it.
//
// A Pager is not safe for concurrent use.
type Pager[T any] struct {
	reader *reader[T]
	page   *Page[T] // the page being returned; its Data is what is left of it
	used   bool
	err    error // what is wrong with the use of the pager
}

func newPager[T any](c *Client, opts *ListOptions, path ...string) *Pager[T] {
	r := &reader[T]{path: strings.Join(path, "/"), limit: maxLimit, place: new(place[T])}
	r.ahead.most = 1
	r.ahead.list = func(ctx context.Context, opts *ListOptions) (*Page[T], error) {
		return list[T](ctx, c, opts, path...)
	}
	if opts != nil {
		r.limit, r.place.offset = cmp.Or(opts.Limit, maxLimit), opts.Offset
	}
	return &Pager[T]{reader: r, page: new(Page[T])}
}

// Pages returns the rest of the list page by page. A page has at most as many
// records as [ListOptions].Limit says, or 100 after the list has moved; pages
// without new records are left out. Where a loop over All was left in the middle
// of a page, the first page is the rest of that one. An error is the last thing
// that the loop sees.
func (p *Pager[T]) Pages(ctx context.Context) iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		defer p.reader.ahead.stop()
		for {
			page, err := p.fill(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if page == nil {
				return
			}
			p.page = new(Page[T])
			if !yield(page, nil) {
				return
			}
		}
	}
}

// All returns the rest of the list record by record. An error is the last thing
// that the loop sees.
func (p *Pager[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer p.reader.ahead.stop()
		for {
			page, err := p.fill(ctx)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if page == nil {
				return
			}
			record := page.Data[0]
			page.Data = page.Data[1:]
			if !yield(record, nil) {
				return
			}
		}
	}
}

// fill returns the page being returned, getting the next one when nothing is left
// of it; nil at the end of the list.
func (p *Pager[T]) fill(ctx context.Context) (*Page[T], error) {
	if ctx == nil {
		return nil, invalid("the context is nil")
	}
	p.used = true
	if p.err != nil {
		return nil, p.err
	}
	if len(p.page.Data) == 0 {
		page, err := p.reader.read(ctx)
		if page == nil || err != nil {
			return nil, err
		}
		p.page = page
	}
	return p.page, nil
}

// Offset returns the offset of the next record that was not yet returned, as the
// list stood when its page was read. Where the list may have changed since, go on
// by [Pager.Cursor] instead.
func (p *Pager[T]) Offset() int { return p.reader.place.position(len(p.page.Data)) }

// Cursor returns the place of the pager as text, for [Pager.Resume]: behind the
// record that was returned last, at any moment, also inside a loop. It is opaque,
// at most 1 KB long, and shows nothing of the records' content. To make it takes
// some microseconds.
func (p *Pager[T]) Cursor() string {
	return p.reader.place.cursor(p.reader.path, len(p.page.Data))
}

// Resume makes the pager go on where the pager of an earlier [Pager.Cursor] of the
// same list was; it returns p. What follows is everything that was not returned
// before the cursor was taken: the rest of the list, and then what was added in
// front of it meanwhile, the oldest first. The empty cursor is the beginning; any
// other replaces [ListOptions].Offset.
//
// When everything that was returned before has been deleted, all that is in the
// list now is returned. A pager that began at an Offset above 0 does not return
// what is added before that.
//
// It must be called before the pager is used. Then, and with a cursor that is
// damaged, of another list, or of a release that this one cannot read, the next
// use is an error that matches [ErrInvalidArgument].
func (p *Pager[T]) Resume(cursor string) *Pager[T] {
	r := p.reader
	switch {
	case p.used:
		p.err = invalid("Resume comes after the pager was used")
	case cursor != "":
		place, err := parseCursor[T](r.path, cursor)
		if err != nil {
			p.err = err
			break
		}
		r.place, r.resumed = place, true
		r.round()
	}
	return p
}

// Concurrent lets the pager have up to n pages under way or at hand, instead of
// one; it returns p. Pages and All return the same in the same order, and sooner:
// n pages take the time of one, until the API's rate limit is reached. That takes
// as many pages as the limit allows requests while one is answered: 8 for 100
// requests a second of 80 ms each. The library keeps 64 connections open; a larger
// n only opens and closes them. Where the server does not tell how many records
// there are, up to n requests go past the end of the list. Leaving a loop ends all
// requests that it started.
//
// It must be called before the pager is used. Then, and for n below 1, the next
// use is an error that matches [ErrInvalidArgument].
func (p *Pager[T]) Concurrent(n int) *Pager[T] {
	switch {
	case n < 1:
		p.err = invalid("Concurrent(%d): a pager needs one page at least", n)
	case p.used:
		p.err = invalid("Concurrent(%d) comes after the pager was used", n)
	}
	p.reader.ahead.most = n
	return p
}
