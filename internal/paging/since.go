package paging

import (
	"context"
	"slices"
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
const surely = 2 * late

// older reports whether a record was created before the time of Since. One without a creation
// time was not.
func (r *Reader[P]) older(m Mark) bool { return !m.At.IsZero() && m.At.Before(r.settings.Since) }

// all reports whether a page has records, and yes is true for each.
func all(marks []Mark, yes func(Mark) bool) bool {
	return len(marks) > 0 && !slices.ContainsFunc(marks, func(m Mark) bool { return !yes(m) })
}

// wanted returns the indexes of the records that were created late enough.
func (r *Reader[P]) wanted(marks []Mark, fresh []int) []int {
	if r.settings.Since.IsZero() {
		return fresh
	}
	return slices.DeleteFunc(slices.Clone(fresh), func(i int) bool { return r.older(marks[i]) })
}

// enough reports whether a page with so many new records ends what is wanted of the list: where
// creation times fall, nothing newer stands behind so many older records.
func (r *Reader[P]) enough(marks []Mark, fresh int) bool {
	if r.round.older += fresh; r.place.order != falling || !all(marks, r.older) {
		r.round.older = 0
	}
	return r.round.older >= surely
}

// seek moves the place behind records that are older than wanted, if creation times rise. So
// what stands before it is never read. A server that rounds offsets, or ignores them, is read whole.
func (r *Reader[P]) seek(ctx context.Context) error {
	first, err := r.fetch(ctx, 0)
	if err != nil || first.last() {
		return err
	}
	if r.place.order, err = r.trend(ctx, first); err != nil || r.place.order != rising || !all(first.Marks, r.older) {
		return err
	}
	if next, over, err := r.onward(ctx, first); err != nil || over || next.Offset == 0 || next.startsLike(first) {
		return err
	}
	last, err := r.lastOlder(ctx, first)
	if err != nil || last.Offset == 0 {
		return err
	}
	return r.skip(first, last)
}

// skip makes a page the block, and the first page its front, as if all between had been read.
func (r *Reader[P]) skip(first, s *sheet[P]) error {
	r.memory.gappy = true
	for _, m := range first.Marks {
		r.place.add(m.At)
	}
	r.place.offset = s.Offset
	for _, m := range s.Marks {
		r.memory.add(m.ID, atBack)
	}
	r.capture(first)
	return r.take(s, taken{to: len(s.Marks)})
}

// trend returns the order of a list, by two records that stand so far apart that late ones make
// no difference.
func (r *Reader[P]) trend(ctx context.Context, first *sheet[P]) (order, error) {
	a, b := first.Marks[0].At, first.Marks[len(first.Marks)-1].At
	if len(first.Marks) < surely {
		s, err := r.fetch(ctx, surely)
		if err != nil || len(s.Marks) == 0 {
			return anyhow, err
		}
		b = s.Marks[0].At
	}
	switch {
	case a.IsZero() || b.IsZero() || a.Equal(b):
		return anyhow, nil
	case a.Before(b):
		return rising, nil
	}
	return falling, nil
}

// lastOlder returns a page of older records near the first one that is wanted: by steps that
// double, or from the end if that is told, by halves, and then to the left, since the list may
// have moved there. It is the first page if the times do not rise.
func (r *Reader[P]) lastOlder(ctx context.Context, lo *sheet[P]) (*sheet[P], error) {
	first := lo
	next := max(surely, r.step(r.server.longest, 0), lo.Claims.Total-r.server.longest/2)
	hasOlder := func(s *sheet[P]) bool {
		return slices.ContainsFunc(s.Marks, func(m Mark) bool { return m.At.Before(r.settings.Since) })
	}
	for {
		s, err := r.fetch(ctx, next)
		switch {
		case err != nil:
			return nil, err
		case !hasOlder(s): // also an empty page
			if lo, err = r.halve(ctx, lo, next, hasOlder); err != nil {
				return nil, err
			}
			return r.leftOf(ctx, lo, r.older)
		case s.Marks[0].At.Before(first.Marks[0].At), next > maxNumber/2:
			return first, nil
		case s.Claims.Ends:
			return r.leftOf(ctx, s, r.older)
		}
		lo, next = s, 2*next
	}
}
