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
// which must be positive. While nothing is new, that is two requests each time, and
// one if a page says that it is the whole list.
//
// The loop gets each error. If it goes on, Follow tries again after the interval, or
// after the pause that the server asked for if that is longer, and continues where it
// was. So an outage neither ends a service nor stays hidden. An error at one end of the
// list, such as an offset that the store refuses, does not keep Follow from reading the
// other end. Follow ends when ctx does, with the error of ctx as the last one, and after
// an [ErrInvalidArgument].
//
// A record that the store commits late, a few places before the end that grows, is
// returned if fewer than 16 records stand between it and that end at the next interval, if
// pages hold 32 records or more, and if nothing is deleted while they are read. Records
// that are added further inside the list are not seen. Where that matters, list everything
// again now and then.
func (p *Pager[T]) Follow(ctx context.Context, interval time.Duration) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if interval <= 0 {
			yield(none, invalid("the interval %v of Follow is not positive", interval))
			return
		}
		for going := true; going; {
			wait := interval
			p.records(ctx, true, func(record T, err error) bool {
				wait = max(wait, askedWait(err))
				// The error of a record that cannot be read is not the last one, also when ctx has ended.
				last := errors.Is(err, ErrInvalidArgument) || err != nil && errors.Is(err, ended(ctx))
				going = yield(record, err) && !last
				return going
			})
			if !going {
				return
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				yield(none, ctx.Err())
				return
			}
		}
	}
}

// askedWait returns the longest wait that the server has asked for in an error of a round, which
// may be one of each end of the list.
func askedWait(err error) time.Duration {
	switch e := err.(type) { //nolint:errorlint // it looks at each error that is wrapped
	case *APIError:
		return e.RetryAfter
	case interface{ Unwrap() []error }:
		var longest time.Duration
		for _, one := range e.Unwrap() {
			longest = max(longest, askedWait(one))
		}
		return longest
	case interface{ Unwrap() error }:
		return askedWait(e.Unwrap())
	}
	return 0
}
