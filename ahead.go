package epcclogs

import (
	"context"
	"fmt"
	"net/http"
)

// ahead gets the pages of a list, some of them before they are wanted. It decides
// nothing: a page that was asked for early is either the one that is wanted, or is
// thrown away, also if it is an error.
type ahead[T any] struct {
	path   string // of the list, for cursors
	url    string // of the list, for errors
	server server

	list  func(context.Context, *ListOptions) (*Page[T], error)
	most  int         // pages under way or at hand
	early []*early[T] // in the order of their offsets
	step  int         // from the offset of a page to that of the next; 0: not known
	total int         // number of records; 0: not told
	wary  int         // pages that must come as expected before any is asked for early
	calm  int         // that number after the next miss: it doubles while the list moves
}

// The fewest and most pages that must come as expected after a miss.
const minCalm, maxCalm = 2, 64

// early is a page asked for before it is wanted.
type early[T any] struct {
	asked  ListOptions
	cancel context.CancelFunc
	done   chan struct{} // closed once page and err are set
	page   *Page[T]
	err    error
}

// get returns the page that asked names, and whether it was asked for early. It
// begins with so many records of the page before as overlap says.
func (a *ahead[T]) get(ctx context.Context, asked ListOptions, overlap int) (page *Page[T], early bool, err error) {
	if len(a.early) > 0 && a.early[0].asked != asked {
		a.miss()
	}
	a.start(ctx, asked, overlap)
	if len(a.early) > 0 {
		e := a.early[0]
		<-e.done
		if e.err == nil {
			a.early = a.early[1:]
			return e.page, true, nil
		}
		a.miss()
	}
	page, err = a.list(ctx, &asked)
	return page, false, err
}

// at returns the page that asked names, and what it claims.
func (a *ahead[T]) at(ctx context.Context, asked ListOptions) (*Page[T], claims, error) {
	page, err := a.list(ctx, &asked)
	if err != nil {
		return nil, claims{}, err
	}
	if misplaced(page, asked) {
		return nil, claims{}, a.lostAt(page, asked)
	}
	c := claimsOf(page, asked)
	a.server.note(c, asked, len(page.Data))
	return page, c, nil
}

// misplaced reports whether a page says that it starts elsewhere than asked.
func misplaced[T any](page *Page[T], asked ListOptions) bool {
	return page.Meta != nil && page.Meta.Offset > 0 && page.Meta.Offset != asked.Offset
}

// lostAt returns the error for a misplaced page.
func (a *ahead[T]) lostAt(page *Page[T], asked ListOptions) error {
	return a.lost("the server answers offset %d with the page at offset %d", asked.Offset, page.Meta.Offset)
}

// lost returns an error that matches ErrPagination.
func (a *ahead[T]) lost(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", requestName(http.MethodGet, a.url), ErrPagination, fmt.Sprintf(format, args...))
}

// start asks for the page that is wanted and for those behind it.
func (a *ahead[T]) start(ctx context.Context, wanted ListOptions, overlap int) {
	if a.most < 2 || a.wary > 0 || a.step < 1 || overlap == 0 {
		return
	}
	for len(a.early) < a.most {
		asked := wanted
		if last := len(a.early) - 1; last >= 0 {
			asked.Offset = a.early[last].asked.Offset + a.step
		}
		if a.total > 0 && asked.Offset+overlap >= a.total {
			return // nothing follows the overlap
		}
		e := &early[T]{asked: asked, done: make(chan struct{})}
		ctx, cancel := context.WithCancel(ctx)
		e.cancel = cancel
		go func() {
			defer close(e.done)
			defer cancel()
			e.page, e.err = a.list(ctx, &e.asked)
		}()
		a.early = append(a.early, e)
	}
}

// miss notes that a page asked for early was not the one wanted.
func (a *ahead[T]) miss() {
	a.stop()
	a.wary = max(a.calm, minCalm)
	a.calm = min(2*a.wary, maxCalm)
}

// expect notes that a page was taken: the next one is expected step further, and the
// list has total records, if told.
func (a *ahead[T]) expect(step, total int) {
	switch {
	case a.wary > 0 && step == a.step:
		a.wary--
	case a.wary == 0:
		a.calm = 0
	}
	a.step, a.total = step, total
}

// stop ends the requests that are left, and returns when they have ended.
func (a *ahead[T]) stop() {
	for _, e := range a.early {
		e.cancel()
	}
	for _, e := range a.early {
		<-e.done
	}
	a.early = nil
}
