package epcclogs

import (
	"context"
	"reflect"
)

// Concurrent lets the pager have up to n pages under way or at hand, instead of
// one; it returns p. What Pages and All yield stays the same, in the same order,
// and comes sooner: n pages cost the time of one, until the API's rate limit is
// reached. That takes about as many pages as the limit allows requests during
// the time that one request takes: 8 for 100 requests a second of 80 ms each, and
// rarely more than 16. The library keeps 64 connections open; an n above that
// only makes it open and close them. Where the server tells no number of records,
// up to n requests go past the end of the list. Pages of one record ([ListOptions]
// with Limit 1) are read one at a time. Leaving a loop ends all requests that it
// started.
//
// It must be called before the pager is used; then, and for n below 1, the next
// use is an error that matches [ErrInvalidArgument].
//
// A request ahead of time may be read by the server before the one it follows,
// and a record that is added in between would move another one past the seam of
// the two pages, unseen. So each such page starts with the last record of the
// page before it: only when the two are the same is the page taken, and
// otherwise it is asked for again in its turn.
func (p *Pager[T]) Concurrent(n int) *Pager[T] {
	switch {
	case n < 1:
		p.err = invalid("Concurrent(%d): a pager needs one page at least", n)
	case p.used:
		p.err = invalid("Concurrent(%d) comes after the pager was used", n)
	}
	p.concurrent = n
	return p
}

// guess is a page asked for ahead of time, because the rules will probably want
// it. It never decides anything: one that is not wanted, or not as expected, is
// forgotten, together with its error.
type guess[T any] struct {
	opts   ListOptions
	cancel context.CancelFunc
	done   chan struct{} // closed once page and err are set
	page   *Page[T]
	err    error
}

// lookAhead starts guesses until there are as many as may be. Each begins at what
// should be the last record of the page before.
func (p *Pager[T]) lookAhead(ctx context.Context) {
	if p.wary > 0 || p.length < 2 {
		return
	}
	for len(p.guesses) < p.concurrent && p.concurrent > 1 {
		opts := ListOptions{Limit: p.want.Limit, Offset: p.want.Offset - 1}
		if last := len(p.guesses) - 1; last >= 0 {
			opts.Offset = p.guesses[last].opts.Offset + p.length - 1
		}
		if p.total > 0 && opts.Offset+1 >= p.total {
			return // nothing follows the overlap
		}
		g := &guess[T]{opts: opts, done: make(chan struct{})}
		ctx, cancel := context.WithCancel(ctx)
		g.cancel = cancel
		go func() {
			defer close(g.done)
			defer cancel()
			g.page, g.err = p.list(ctx, &g.opts)
		}()
		p.guesses = append(p.guesses, g)
	}
}

// takeGuess takes in the first guess, and reports whether it was the page wanted
// and followed the one before without a gap. If not, all guesses are forgotten,
// and none is made until two pages came as expected.
func (p *Pager[T]) takeGuess() bool {
	if len(p.guesses) == 0 {
		return false
	}
	g := p.guesses[0]
	if g.opts.Offset == p.want.Offset-1 {
		<-g.done
		before := p.seen[0]
		// The overlap alone is no page: whether it is the end is not for it to say.
		if g.err == nil && len(g.page.Data) > 1 &&
			reflect.DeepEqual(&g.page.Data[0], &before[len(before)-1]) && p.follow(g.page, g.opts, 1) == nil {
			p.guesses = p.guesses[1:]
			return true
		}
	}
	p.forget()
	p.wary = 2
	return false
}

// expect takes note of a page that has come, for the guesses that follow.
func (p *Pager[T]) expect(length, total int) {
	if p.wary > 0 && length == p.length {
		p.wary--
	}
	p.length, p.total = length, total
}

// forget ends the guesses that are left, and returns when their requests have
// ended.
func (p *Pager[T]) forget() {
	for _, g := range p.guesses {
		g.cancel()
	}
	for _, g := range p.guesses {
		<-g.done
	}
	p.guesses = nil
}
