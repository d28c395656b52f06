package epcclogs

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Follow returns the rest of the list as All does, and then for ever the records
// that the store adds, at whichever end of the list it adds them: each record
// once, the oldest first. It asks for new ones once each interval, which must be
// positive; as long as nothing is new, that is one request (two until the first
// new record has shown which end of the list grows).
//
// An error is handed to the loop. If the loop goes on, so does Follow, after the
// interval and at the record that comes next: an outage is neither hidden nor the
// end of a service. Only the end of ctx, whose error is the last thing that the
// loop sees, and an [ErrInvalidArgument] end it.
//
// A record that the store commits late is found where it stands fewer than 16
// places from the end that grows. Records that are added further inside the list
// are not seen: list it again now and then where that matters.
func (p *Pager[T]) Follow(ctx context.Context, interval time.Duration) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if interval <= 0 {
			yield(none, invalid("the interval %v of Follow is not positive", interval))
			return
		}
		r := p.reader
		r.follows, r.resumed = true, true
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
