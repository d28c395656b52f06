package paging

import (
	"context"
	"fmt"
	"time"
)

// order is how the creation times of a list run along it, give or take a few places.
type order byte

const (
	anyhow  order = iota // not known, or not at all: everything is read
	rising               // the newest are at the end
	falling              // the newest are in front
)

// surely is how many records must be older than a time, so that all behind them are, although
// late records stand a few places off.
const surely = 2 * ends

// older reports whether all records were created before t.
func older(marks []Mark, t time.Time) bool {
	for _, m := range marks {
		if m.At.IsZero() || !m.At.Before(t) {
			return false
		}
	}
	return len(marks) > 0
}

// newer reports whether all records were created at t or later.
func newer(marks []Mark, t time.Time) bool {
	for _, m := range marks {
		if m.At.Before(t) {
			return false
		}
	}
	return true
}

// wanted returns the indexes of the records that were created late enough. Those without a
// creation time are.
func (r *Reader[P]) wanted(marks []Mark, fresh []int) []int {
	if r.settings.Since.IsZero() {
		return fresh
	}
	kept := fresh[:0:0]
	for _, i := range fresh {
		if at := marks[i].At; at.IsZero() || !at.Before(r.settings.Since) {
			kept = append(kept, i)
		}
	}
	return kept
}

// enough reports whether a page ends what is wanted of the list: where creation times fall,
// nothing newer stands behind so many older records.
func (r *Reader[P]) enough(marks []Mark) bool {
	if r.place.order != falling || !older(marks, r.settings.Since) {
		r.older = 0
		return false
	}
	r.older += len(marks)
	return r.older >= surely
}

// seek moves the place behind records that are older than wanted, if creation times rise. So
// what stands before it is never read.
func (r *Reader[P]) seek(ctx context.Context) error {
	first, err := r.fetch(ctx, 0)
	if err != nil || len(first.Marks) == 0 || first.Claims.Ends {
		return err
	}
	if r.place.order, err = r.trend(ctx, first); err != nil || r.place.order != rising || !older(first.Marks, r.settings.Since) {
		return err
	}
	last, err := r.lastOlder(ctx, first)
	if err != nil || last == nil {
		r.place.order = anyhow
		return err
	}
	for step := max(surely, r.length()); ; step *= 2 { // the list may move to the left meanwhile
		s, err := r.fetch(ctx, max(0, last.Offset-step))
		if err != nil || s.Offset == 0 {
			return err
		}
		if older(s.Marks, r.settings.Since) {
			r.skip(first, s)
			return nil
		}
	}
}

// skip makes a page the block, and the first page its front, as if all between had been read.
func (r *Reader[P]) skip(first, s *sheet[P]) {
	r.memory.gappy = true
	for _, m := range first.Marks {
		r.place.add(m.At)
	}
	r.place.offset, r.place.last = s.Offset, nil
	r.takeRest(s, nil, 0)
	r.place.tail = r.place.last
	r.capture(first)
	r.round.stage = rest
}

// trend returns the order of a list, by two records that stand so far apart that late ones make
// no difference.
func (r *Reader[P]) trend(ctx context.Context, first *sheet[P]) (order, error) {
	a, b := first.Marks[0], first.Marks[len(first.Marks)-1]
	if len(first.Marks) < surely {
		s, err := r.fetch(ctx, surely)
		if err != nil || len(s.Marks) == 0 {
			return anyhow, err
		}
		b = s.Marks[0]
	}
	switch {
	case a.At.IsZero(), b.At.IsZero(), a.At.Equal(b.At):
		return anyhow, nil
	case a.At.Before(b.At):
		return rising, nil
	}
	return falling, nil
}

// lastOlder returns a page near the last record that is older than wanted: by steps that
// double, or from the end if that is told, and then by halves. It returns nil if the times do
// not rise.
func (r *Reader[P]) lastOlder(ctx context.Context, first *sheet[P]) (*sheet[P], error) {
	lo, hi := first, 0 // hi is the offset of a page that has none; 0: not known yet
	next := max(surely, r.stride())
	if first.Claims.Total > 0 {
		next = max(next, first.Claims.Total-r.length()/2)
	}
	for hi == 0 || hi-lo.Offset > r.stride() {
		if hi > 0 {
			next = (lo.Offset + hi) / 2
		}
		s, err := r.fetch(ctx, next)
		switch {
		case err != nil && r.settings.Refused(err):
			return nil, fmt.Errorf("%w; the newest records of this list stand behind that offset, because the oldest come first: read the lists of single integrations or jobs instead", err)
		case err != nil:
			return nil, err
		case newer(s.Marks, r.settings.Since): // also an empty page
			hi = next
		case next >= surely && s.Marks[0].At.Before(first.Marks[0].At):
			return nil, nil
		default:
			lo = s
			if s.Claims.Ends {
				return lo, nil
			}
			next *= 2
		}
	}
	return lo, nil
}
