package epcclogs

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Follow returns the rest of the list as All does, and then goes on for ever with
// the records that the store adds, at whichever end of the list: each record once,
// the oldest first. Once the rest is read, it asks for new records each interval,
// which must be positive. While nothing is new, that is one request each time, and
// two until it has seen at which end the list grows. The first time after Resume costs
// some more if the list comes without record counts and links, or if the server shortens
// pages.
//
// The loop gets each error. If it goes on, Follow tries again after the interval and
// continues where it was. So an outage neither ends a service nor stays hidden.
// Follow ends when ctx does, with the error of ctx as the last one, and after an
// [ErrInvalidArgument].
//
// Follow is for pagers that begin at the beginning, or with [Pager.Resume]. One that
// begins at an Offset above 0 may return records before it, once those that were the
// first of the list have been deleted.
//
// A record that the store commits late is returned if fewer than 16 records, deleted
// ones included, stand between it and the end that grows, and if it is not the oldest of
// the list. Records that are added further inside the list are not seen. Where that
// matters, list everything again now and then.
func (p *Pager[T]) Follow(ctx context.Context, interval time.Duration) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if interval <= 0 {
			yield(none, invalid("the interval %v of Follow is not positive", interval))
			return
		}
		r := p.reader
		r.follows, r.resumed = true, true
		r.place.found = false // some time may have passed since the last loop
		for {
			if r.stage == readAll {
				r.round()
			}
			for record, err := range p.All(ctx) {
				if !yield(record, err) || err != nil && (errors.Is(err, ErrInvalidArgument) || ended(ctx) != nil) {
					return
				}
			}
			select {
			case <-time.After(interval):
			case <-ctx.Done():
				yield(none, ctx.Err())
				return
			}
		}
	}
}
