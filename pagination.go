package epcclogs

import (
	"cmp"
	"context"
	"iter"
	"strings"
	"time"
)

// Pager reads a whole list: record by record with [Pager.All], page by page with
// [Pager.Pages]. It sends nothing before that.
//
// A Pager keeps its place. When a loop was left, the next loop begins with the next
// record. After an error, the next loop asks again for the page that failed. At the
// end of the list a pager has nothing more to return; [Pager.Cursor] and
// [Pager.Resume] return what is new since then, and [Pager.Follow] waits for it.
//
// The list may change while it is read. Every record that is in it from the first
// request to the last is returned exactly once, or the loop ends with an error. That
// is [ErrPagination] when the list moves faster than it can be read, or when the
// server's paging cannot be followed. The limits:
//
//   - Records that are inserted far inside the list may be missed. One that the
//     store commits late is returned if fewer than 16 records, deleted ones included,
//     stand between it and the end that grows, if it is not the oldest of the list,
//     and if pages hold 32 records or more.
//   - When the 200 records that were returned last have been deleted (16 for a
//     cursor), the whole list may be returned again, so that nothing is lost. If the
//     list has become shorter than what was read, it counts as read to its end; if it
//     comes without a number of records, up to 100 behind those may be missed.
//   - When the first 16 of a list that grows in front have been deleted, and it has
//     more than 200, the whole list may be returned again as well. While no request
//     has shown yet at which end it grows, what was added in front just then may be
//     missed.
//   - A pager that begins at an Offset above 0 does not return what is added before
//     that.
//   - A record that is changed counts as another: it may be returned again. Logs do not
//     change, but integrations may.
//   - Some servers ignore offsets, or round them to whole pages. Then records are
//     not recognized from page to page, and a list that changes may lose or repeat
//     some. The same holds for pages of a single record.
//
// A Pager is not safe for concurrent use, except for CaughtUp.
type Pager[T any] struct {
	reader *reader[T]
	page   *Page[T] // the page being returned; its Data is what is left of it
	used   bool
	err    error // what is wrong with the use of the pager

	refused string // the cursor that Resume refused
}

func newPager[T any](c *Client, opts *ListOptions, path ...string) *Pager[T] {
	r := &reader[T]{limit: maxLimit, place: new(place[T])}
	r.ahead.path, r.ahead.most = strings.Join(path, "/"), 1
	r.ahead.url = c.base + "/v2/" + r.ahead.path
	r.ahead.list = func(ctx context.Context, opts *ListOptions) (*Page[T], error) {
		return list[T](ctx, c, opts, path...)
	}
	if opts != nil {
		r.limit, r.place.offset = cmp.Or(opts.Limit, maxLimit), opts.Offset
	}
	r.round()
	return &Pager[T]{reader: r, page: new(Page[T])}
}

// Pages returns the rest of the list page by page. If a loop over All ended within a
// page, the first page is the rest of that one. Pages without new records are left
// out. A page has at most [ListOptions].Limit records, but up to 100 when the list
// has moved. A loop that gets an error gets nothing after it.
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

// All returns the rest of the list record by record. A loop that gets an error gets
// nothing after it.
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

// Offset returns the offset of the next record, as the list was when the page was
// read. Use [Pager.Cursor] to go on later: it is right although the list changes.
func (p *Pager[T]) Offset() int { return p.reader.place.position(len(p.page.Data)) }

// Cursor returns the place of the pager, which is behind the record that was
// returned last, as a text for [Pager.Resume]. It may be taken at any time, also
// within a loop, and takes some microseconds. Save it together with the records.
//
// The text is at most 1 KB long and shows nothing of the records. Its form may
// change between releases; Resume refuses one that it cannot read.
func (p *Pager[T]) Cursor() string {
	if p.refused != "" {
		return p.refused // what was saved is not replaced by another place
	}
	return p.reader.place.cursor(p.reader.ahead.path, len(p.page.Data))
}

// CaughtUp returns a time: everything that was in the list then has been returned by a
// loop. It is the zero time until a loop reaches the end of the list, also after
// [Pager.Resume]. In [Pager.Follow] it moves on with each interval, even while nothing
// is new. Compare it with the clock to see how old the data are, and with the time of
// a failed attempt to see whether a later attempt may still be unread.
//
// CaughtUp may be called while a loop runs, from any goroutine.
func (p *Pager[T]) CaughtUp() time.Time {
	if at := p.reader.caughtUp.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Resume makes the pager begin where another pager of the same list was when its
// [Pager.Cursor] was taken, and returns p. The pager then returns everything that
// was not returned before: the rest of the list, and then what was added in front of
// it meanwhile, the oldest first. The empty cursor is the beginning. Any other cursor
// replaces [ListOptions].Offset.
//
// Resume must be called before the pager is used. Otherwise, or if the cursor is
// damaged, of another list, or of a release that this one cannot read, the next loop
// gets an error that matches [ErrInvalidArgument], and nothing is sent.
func (p *Pager[T]) Resume(cursor string) *Pager[T] {
	r := p.reader
	switch {
	case p.used:
		p.err = invalid("Resume was called after the pager was used; call it before the first loop")
	case cursor != "":
		place, err := parseCursor[T](r.ahead.path, cursor)
		if err != nil {
			p.err, p.refused = err, cursor
			break
		}
		r.place, r.resumed = place, true
		r.round()
	}
	return p
}

// Concurrent makes the pager get up to n pages at a time, and returns p. The loop
// gets the same records in the same order, sooner: n pages take about the time of
// one, until the rate limit is reached. At 100 requests a second of 80 ms each, 8
// pages reach it, and more pages gain nothing.
//
// Above 64, connections are opened and closed all the time. If the server does not
// tell how many records there are, up to n requests go past the end of the list.
// Leaving a loop ends all requests that it has begun.
//
// Concurrent must be called before the pager is used. Otherwise, or if n is below 1,
// the next loop gets an error that matches [ErrInvalidArgument], and nothing is sent.
func (p *Pager[T]) Concurrent(n int) *Pager[T] {
	switch {
	case n < 1:
		p.err = invalid("Concurrent(%d): n must be 1 or more", n)
	case p.used:
		p.err = invalid("Concurrent(%d) was called after the pager was used; call it before the first loop", n)
	}
	p.reader.ahead.most = n
	return p
}
