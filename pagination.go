package epcclogs

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
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

// Pager reads a list page by page. Nothing is sent until it is used. It holds
// its position: leaving a loop over [Pager.All] or [Pager.Pages] and ranging
// again goes on at the next record, and after an error the page that failed is
// asked for again. A pager that has come to the end yields nothing more; make a
// new one to read the list again.
//
// The pager asks for the page that starts where the last one ended, and trusts
// the server only in whether there is more. A listing that ends without an error
// holds every record that the server claims; where that cannot be had, it ends
// with [ErrPagination]. Records that are added while a listing runs may move
// others to a later page, which then hands them out twice. A list without counts
// and links that grows by a whole page between two requests looks like that of a
// server that does not page, and ends there.
//
// A Pager is not safe for concurrent use.
type Pager[T any] struct {
	list func(context.Context, *ListOptions) (*Page[T], error)
	want ListOptions // the page to ask for next
	used bool
	err  error // what is wrong with the use of the pager

	page *Page[T] // the page being handed out; its Data is what is left of it
	over bool     // no page follows it

	// What the rules need to know of the pages before.
	seen    [2][]T // their records, the latest first
	next    string // the link that the latest named
	toEmpty bool   // only an empty page is the end: see follow

	// What looking ahead needs: see Concurrent.
	concurrent int
	guesses    []*guess[T] // in the order of their offsets
	length     int         // of the pages before, as the server cuts them
	total      int         // of the records, where the server tells it
	wary       int         // pages that must come as expected before the next guess
}

func newPager[T any](opts *ListOptions, list func(context.Context, *ListOptions) (*Page[T], error)) *Pager[T] {
	p := &Pager[T]{list: list, page: new(Page[T]), concurrent: 1}
	if opts != nil {
		p.want = *opts
	}
	if p.want.Limit == 0 {
		p.want.Limit = maxLimit
	}
	return p
}

// Pages returns the rest of the list page by page. Empty pages are not handed
// out. Where a loop over All was left in the middle of a page, the first page is
// the rest of that one. An error is the last thing that the loop sees.
func (p *Pager[T]) Pages(ctx context.Context) iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		defer p.forget()
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
		defer p.forget()
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

// Offset returns the offset of the next record that was not yet handed out. A
// new pager with this [ListOptions].Offset goes on there.
func (p *Pager[T]) Offset() int { return p.want.Offset - len(p.page.Data) }

// fill returns the page being handed out, getting the next one when nothing is
// left of it; nil at the end of the list.
func (p *Pager[T]) fill(ctx context.Context) (*Page[T], error) {
	if ctx == nil {
		return nil, invalid("the context is nil")
	}
	p.used = true
	for p.err == nil && len(p.page.Data) == 0 {
		if p.over {
			return nil, nil
		}
		p.lookAhead(ctx)
		if p.takeGuess() {
			continue
		}
		page, err := p.list(ctx, &p.want)
		if err != nil {
			return nil, err
		}
		if err := p.follow(page, p.want, 0); err != nil {
			return nil, err
		}
	}
	return p.page, p.err
}

// follow takes in the page that answers p.want, and decides which comes next, or
// that none does. The position always moves by the records received: servers
// shorten pages, with and without saying so, and their links cannot be relied on.
//
//  1. A server claims how much there is by results.total, by meta.current and
//     meta.total, or by links. As long as one of them says that there is more,
//     go on; when one says that there is not, it is over. Without either only an
//     empty page ends the list, or one longer than asked, from a server that does
//     not page. The number of a page that starts between two does not say that it
//     is the last, and counts for nothing beside results.total.
//  2. An empty page is the end, unless results.total says that a record is there.
//  3. A page shorter than its own meta.limit, though there is more, makes counts
//     of pages worthless: unless results.total covers what follows, go on to an
//     empty page.
//  4. A server that ignores the offset repeats itself: see repeats. Without
//     claims, that is its whole list; with them, the rest cannot be had.
//  5. A page that says it starts elsewhere than asked cannot be placed.
//
// The first record of a page that was asked for ahead of time is the last one of
// the page before, once more (overlap is 1); the rules see the others.
func (p *Pager[T]) follow(page *Page[T], asked ListOptions, overlap int) error {
	length := len(page.Data)
	end := asked.Offset + length
	if m := page.Meta; m != nil && m.Offset > 0 && m.Offset != asked.Offset {
		return p.lost("the page at offset %d says that it starts at %d", asked.Offset, m.Offset)
	}

	var claims, more, ends bool // whether anything tells how much there is; says that there is more; that there is none
	total, next := 0, ""
	if page.Results != nil && page.Results.Total > 0 {
		claims, total = true, page.Results.Total
		more, ends = total > end, total == end // a total that is exceeded is none to go by
	}
	if m := page.Meta; m != nil && m.Current > 0 && m.Total > 0 {
		claims = true
		between := asked.Offset%cmp.Or(m.Limit, asked.Limit) != 0
		switch {
		case between && total >= end: // which is the better claim
		case m.Current < m.Total:
			more = true
		case !between:
			ends = true
		}
	}
	if page.Links != nil {
		claims, next = true, page.Links.Next
		more, ends = more || next != "", ends || next == ""
	}

	records := page.Data[overlap:]
	switch {
	case length == 0:
		if total > end {
			return p.lost("the page at offset %d of %d records is empty", asked.Offset, total)
		}
		more = false
	case p.repeats(records, page, asked, total, next):
		if claims {
			return p.lost("the page at offset %d repeats the one before", asked.Offset)
		}
		p.over = true
		return nil
	case p.toEmpty:
		more = true
	case !more && !ends:
		more = length <= asked.Limit
	case more && total <= end && page.Meta != nil && page.Meta.Limit > length:
		p.toEmpty = true
	}

	page.Data = records
	if page.Meta != nil && page.Meta.Offset == asked.Offset {
		page.Meta.Offset += overlap
	}
	p.page, p.over, p.want.Offset = page, !more, end
	p.seen[1], p.seen[0] = p.seen[0], slices.Clone(records) // the caller may change the page
	p.next = next
	p.expect(length, total)
	return nil
}

// repeats reports whether page is the one before once more: it holds the first
// record of that page, and nothing shows that it starts elsewhere; or it equals
// both pages before it, whatever it shows. Records are compared whole, since
// their ids may repeat; a list of equal records is believed if results.total
// bounds it.
func (p *Pager[T]) repeats(records []T, page *Page[T], asked ListOptions, total int, next string) bool {
	if len(p.seen[0]) == 0 {
		return false
	}
	placed := page.Meta != nil && page.Meta.Offset == asked.Offset || next != p.next
	if !placed && slices.ContainsFunc(records, func(r T) bool { return reflect.DeepEqual(r, p.seen[0][0]) }) {
		return true
	}
	differ := func(r T) bool { return !reflect.DeepEqual(r, records[0]) }
	return reflect.DeepEqual(records, p.seen[0]) && reflect.DeepEqual(records, p.seen[1]) &&
		(total == 0 || slices.ContainsFunc(records, differ))
}

func (p *Pager[T]) lost(format string, args ...any) error {
	return fmt.Errorf("epcclogs: %w: %s", ErrPagination, fmt.Sprintf(format, args...))
}
