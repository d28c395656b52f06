package paging

import "context"

// search takes the page that is joined to the end of the block and nearest to one that is
// not. If there is none, all that is known of that end was deleted.
func (r *Reader[P]) search(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	r.moves.any = true
	f := finder[P]{Reader: r}
	found, err := f.find(ctx, missed)
	if err == nil && found == nil {
		found, err = f.survey(ctx)
	}
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		fresh, from := r.behind(found.Marks)
		return r.takeWide(ctx, found, fresh, from)
	case r.memory.gappy && r.place.newest.IsZero() && f.length < r.place.offset:
		return nil, r.endAt(ctx, f.length)
	}
	r.restart()
	return nil, nil
}

// survey looks at the whole list, from its beginning on and without a gap. So what is not seen
// is not there.
func (f *finder[P]) survey(ctx context.Context) (best *sheet[P], err error) {
	f.length = 0
	s, err := f.fetch(ctx, 0)
	for over := false; err == nil; s, over, err = f.onward(ctx, s) {
		switch seen := f.sees(s); {
		case seen == joined:
			return s, nil
		case seen == timed:
			best = s
		}
		if over || len(s.Marks) == 0 || s.Claims.Ends {
			break
		}
	}
	if best != nil {
		f.moves.goneBack = f.place.span
	}
	return best, err
}

// endAt moves the place to the end of a list that has become shorter than what was read of
// it, and counts as read.
func (r *Reader[P]) endAt(ctx context.Context, length int) error {
	s, err := r.fetch(ctx, max(0, length-ends))
	if err != nil {
		return err
	}
	r.takeRest(s, nil, 0)
	r.place.tail = r.place.last
	r.endRest()
	return nil
}

// finder looks for a page that is joined to the end of the block.
type finder[P any] struct {
	*Reader[P]
	length int  // of the list, as far as it was looked at
	ended  bool // the end of the list was seen
}

// sight is what a page shows of the end of the block.
type sight byte

const (
	nothing sight = iota
	timed         // records that were returned, by their times
	joined        // one that joins
)

func (f *finder[P]) sees(s *sheet[P]) sight {
	if len(s.Marks) > 0 {
		f.length = max(f.length, s.end())
	}
	f.ended = f.ended || len(s.Marks) == 0 || s.Claims.Ends
	inside := false
	for _, m := range s.Marks {
		if f.memory.joins(m.ID, atBack) {
			return joined
		}
		inside = inside || f.memory.gappy && f.returned(m, f.place.span)
	}
	if inside {
		return timed
	}
	return nothing
}

// look gets the page at the offset.
func (f *finder[P]) look(ctx context.Context, offset int) (*sheet[P], sight, error) {
	s, err := f.fetch(ctx, max(0, offset))
	if err == nil && s.misplaced() {
		err = f.misplacedError(s)
	}
	if err != nil {
		return nil, nothing, err
	}
	return s, f.sees(s), nil
}

// find returns the page that is joined, by its marks or by its times; nil if there is none.
func (f *finder[P]) find(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	s, seen, hi, err := f.near(ctx, missed)
	// A step to the left may have been too long: go back by halves.
	for err == nil && seen != nothing && hi-s.Offset > f.stride() {
		mid, seenMid, e := f.look(ctx, (s.Offset+hi)/2)
		switch err = e; {
		case err != nil:
		case seenMid == nothing:
			hi = mid.Offset
		default:
			s, seen = mid, seenMid
		}
	}
	if err == nil && seen == timed {
		s, seen, err = f.beside(ctx, s)
	}
	if err != nil || seen == nothing {
		return nil, err
	}
	if seen == timed {
		f.moves.goneBack = f.place.span
	}
	return s, nil
}

// beside looks for a page that is joined beside one that only its times point to, since late
// records stand a few places off: first on its left, and then on its right as far as times point
// there. Otherwise it returns the last page that they point to.
func (f *finder[P]) beside(ctx context.Context, s *sheet[P]) (*sheet[P], sight, error) {
	for left := s.Offset; left > 0 && left > s.Offset-surely; {
		left = max(0, left-f.stride())
		if l, seen, err := f.look(ctx, left); err != nil || seen == joined {
			return l, seen, err
		}
	}
	for !s.Claims.Ends {
		next, seen, err := f.look(ctx, s.Offset+f.step(len(s.Marks)))
		switch {
		case err != nil || seen == joined:
			return next, seen, err
		case seen == nothing:
			return s, timed, nil
		}
		s = next
	}
	return s, timed, nil
}

// near looks where a change of the total points to, and then to the left and to the right in
// turn, the nearest first. If all pages to the left must show something of the block, the
// steps to there double. Behind hi, nothing was seen.
func (f *finder[P]) near(ctx context.Context, missed *sheet[P]) (s *sheet[P], seen sight, hi int, err error) {
	left, right, step := missed.Offset, missed, f.stride()
	follows := len(missed.Marks) > 0 // there are records at hi
	if s, seen = missed, f.sees(missed); seen != nothing {
		return s, seen, 0, nil
	}
	if total := missed.Claims.Total; total > 0 && f.place.total > 0 && total != f.place.total {
		if s, seen, err = f.look(ctx, left+total-f.place.total); seen != nothing || err != nil {
			return s, seen, 0, err
		}
	}
	for left > 0 || !f.ended {
		if left > 0 {
			hi, left = left, max(0, left-step)
			if s, seen, err = f.look(ctx, left); seen != nothing || err != nil {
				return s, seen, hi, err
			}
			switch {
			case !f.memory.gappy || !f.place.newest.IsZero():
				step *= 2
			case follows && len(s.Marks) > 0 && s.end() < hi && f.step(len(s.Marks)) < step: // the server shortens pages
				left, step = hi, f.step(len(s.Marks))
			}
			follows = len(s.Marks) > 0
		}
		if !f.ended {
			if right, seen, err = f.look(ctx, right.Offset+f.step(len(right.Marks))); seen != nothing || err != nil {
				return right, seen, 0, err
			}
		}
	}
	return nil, nothing, 0, nil
}
