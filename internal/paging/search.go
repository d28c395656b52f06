package paging

import "context"

// sight is what a page shows of an end of the block.
type sight byte

const (
	nothing sight = iota
	timed         // records that were returned, by their times
	joined        // one that joins
)

// sees returns what a page shows of the end of the block.
func (r *Reader[P]) sees(s *sheet[P]) sight {
	seen := nothing
	for _, m := range s.Marks {
		if r.memory.joins(m.ID, atBack) {
			return joined
		}
		if r.memory.gappy && r.returned(m, r.place.span) {
			seen = timed
		}
	}
	return seen
}

// search takes a page that is joined to the end of the block. If there is none, all that is
// known of that end was deleted.
func (r *Reader[P]) search(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	r.moves.any = true
	from, err := r.guess(ctx, missed)
	if err != nil {
		return nil, err
	}
	found, seen, length, err := r.survey(ctx, from)
	if err == nil && seen == nothing && from.Offset > 0 { // it has moved away, or is somewhere else
		if from, err = r.fetch(ctx, 0); err == nil {
			found, seen, length, err = r.survey(ctx, from)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case seen == nothing && r.memory.gappy && r.place.newest.IsZero() && length < r.place.offset:
		return nil, r.endAt(ctx, length)
	case seen == nothing:
		r.restart()
		return nil, nil
	case seen == timed:
		r.moves.goneBack = r.place.span
	}
	fresh, at := r.behind(found.Marks)
	return r.takeRest(found, fresh, at), nil
}

// guess returns a page near the end of the block, from which a survey may begin. It looks at
// the page that a change of the total points to. Where all pages to the left must show
// something of the block, it goes there by steps that double, and back by halves.
func (r *Reader[P]) guess(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	s, err := r.hinted(ctx, missed)
	if err != nil || r.sees(s) == nothing && r.memory.gappy && r.place.newest.IsZero() {
		if err == nil {
			s, err = r.fetch(ctx, 0)
		}
		return s, err
	}
	hi := max(missed.Offset, s.Offset) // nothing was seen there, or nothing more
	for step := r.stride(); err == nil && r.sees(s) == nothing && s.Offset > 0; step *= 2 {
		hi = s.Offset
		s, err = r.fetch(ctx, max(0, hi-step))
	}
	if err == nil && r.sees(s) != nothing {
		s, err = r.halve(ctx, s, hi)
	}
	if err == nil && r.sees(s) == timed && s.Offset > 0 { // late records stand a few places off
		s, err = r.fetch(ctx, max(0, s.Offset-surely))
	}
	return s, err
}

// hinted returns the page that a change of the total points to, if the missed one does not show
// anything.
func (r *Reader[P]) hinted(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	total, before := missed.Claims.Total, r.place.total
	if r.sees(missed) != nothing || total == 0 || before == 0 || total == before {
		return missed, nil
	}
	return r.fetch(ctx, max(0, missed.Offset+total-before))
}

// halve returns the page that shows something and is nearest to the offset hi, where nothing does.
func (r *Reader[P]) halve(ctx context.Context, s *sheet[P], hi int) (*sheet[P], error) {
	for hi-s.Offset > r.stride() {
		mid, err := r.fetch(ctx, (s.Offset+hi)/2)
		switch {
		case err != nil:
			return nil, err
		case r.sees(mid) == nothing:
			hi = mid.Offset
		default:
			s = mid
		}
	}
	return s, nil
}

// survey looks at the pages from s on, without a gap, until one is joined. If none is, it
// returns the last page that shows records by their times. length is that of the list, as far
// as it was looked at.
func (r *Reader[P]) survey(ctx context.Context, s *sheet[P]) (found *sheet[P], seen sight, length int, err error) {
	for over := false; err == nil; s, over, err = r.onward(ctx, s) {
		switch now := r.sees(s); {
		case now == joined:
			return s, joined, length, nil
		case now == timed:
			found, seen = s, timed
		case seen == timed && s.Offset >= found.end():
			return found, seen, length, nil
		}
		length = max(length, s.end())
		if over || len(s.Marks) == 0 || s.Claims.Ends {
			break
		}
	}
	return found, seen, length, err
}

// endAt moves the place to the end of a list that has become shorter than what was read of
// it, and counts as read.
func (r *Reader[P]) endAt(ctx context.Context, length int) error {
	s, err := r.fetch(ctx, max(0, length-ends))
	if err != nil {
		return err
	}
	r.takeRest(s, nil, min(len(s.Marks), max(0, r.place.head-s.Offset))) // not what was added in front
	r.place.tail = r.place.last
	r.endRest()
	return nil
}
