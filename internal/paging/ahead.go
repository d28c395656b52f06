package paging

import "context"

// ahead gets the pages of a list, some of them before they are wanted. It decides
// nothing: a page that was asked for early is the one that is wanted, or is thrown away,
// also if it is an error.
type ahead[P any] struct {
	fetch func(context.Context, Ask) (Fetched[P], error)
	most  int         // pages under way or at hand
	early []*early[P] // in the order of their offsets
	step  int         // from the offset of a page to that of the next; 0: not known
	total int         // number of records; 0: not told
	wary  int         // pages that must be taken before any is asked for early again
}

// early is a page asked for before it is wanted.
type early[P any] struct {
	ask    Ask
	cancel context.CancelFunc
	done   chan struct{} // closed once page and err are set
	page   Fetched[P]
	err    error
}

// get returns the page that ask names.
func (a *ahead[P]) get(ctx context.Context, ask Ask) (Fetched[P], error) {
	if len(a.early) > 0 && a.early[0].ask != ask {
		a.miss()
	}
	a.start(ctx, ask)
	if len(a.early) > 0 {
		e := a.early[0]
		<-e.done
		if e.err == nil {
			a.early = a.early[1:]
			return e.page, nil
		}
		a.miss()
	}
	return a.fetch(ctx, ask)
}

// start asks for the page that is wanted and for those behind it.
func (a *ahead[P]) start(ctx context.Context, ask Ask) {
	if a.most < 2 || a.wary > 0 || a.step < 1 {
		return
	}
	ask.Offset += len(a.early) * a.step
	for ; len(a.early) < a.most; ask.Offset += a.step {
		if a.total > 0 && ask.Offset+1 >= a.total {
			return // nothing follows the overlap
		}
		e := &early[P]{ask: ask, done: make(chan struct{})}
		ctx, cancel := context.WithCancel(ctx)
		e.cancel = cancel
		go func() {
			defer close(e.done)
			defer cancel()
			e.page, e.err = a.fetch(ctx, e.ask)
		}()
		a.early = append(a.early, e)
	}
}

// miss notes that a page asked for early cannot be used.
func (a *ahead[P]) miss() {
	a.stop()
	a.wary = a.most
}

// expect notes that a page was taken: the next one is expected step further, and the
// list has total records, if told.
func (a *ahead[P]) expect(step, total int) {
	a.wary = max(0, a.wary-1)
	a.step, a.total = step, total
}

// stop ends the requests that are left, and returns when they have ended.
func (a *ahead[P]) stop() {
	for _, e := range a.early {
		e.cancel()
	}
	for _, e := range a.early {
		<-e.done
	}
	a.early = nil
}
