package paging

import (
	"context"
	"slices"
)

// sight is what a page shows of an end of the block.
type sight byte

const (
	nothing sight = iota
	timed         // records that were returned, by their times
	joined        // one that joins
)

// sees returns what a page shows of an end of the block, and the index of the first record that
// shows it.
func (r *Reader[P]) sees(s *sheet[P], end side) (int, sight) {
	if i := slices.IndexFunc(s.Marks, func(m Mark) bool { return r.memory.joins(m.ID, end) }); i >= 0 {
		return i, joined
	}
	if i := slices.IndexFunc(s.Marks, r.told); i >= 0 && r.memory.gappy && !r.place.newest.IsZero() {
		return i, timed
	}
	return -1, nothing
}

// told reports whether a record was returned, as far as marks and times tell.
func (r *Reader[P]) told(m Mark) bool { return r.memory.knows(m.ID) || r.place.inside(m.At) }

// shows reports whether a page shows anything of the end of the block.
func (r *Reader[P]) shows(s *sheet[P]) bool {
	_, seen := r.sees(s, atBack)
	return seen != nothing
}

// search takes a page that is joined to the end of the block. If there is none, all that is
// known of that end was deleted: then creation times decide, or the length of the list.
func (r *Reader[P]) search(ctx context.Context, missed *sheet[P]) (ended bool, err error) {
	from, err := r.guess(ctx, missed)
	if err != nil {
		return false, err
	}
	found, seen, last, err := r.walk(ctx, from, atBack)
	switch {
	case err != nil:
		return false, err
	case seen == timed:
		r.moves.gone[atBack] = r.place.span
	case seen == nothing && r.blind() && last.end() < r.place.offset: // what is left of the list was read, but for what was added in front
		return true, r.take(last, taken{from: min(len(last.Marks), max(0, r.place.head-last.Offset)), to: len(last.Marks), ends: true})
	case seen == nothing:
		return false, errRestart
	}
	fresh, at := r.behind(found)
	return r.takeRest(found, fresh, at)
}

// latestOn reports whether a page shows one of the outermost records of the end of the block.
func (r *Reader[P]) latestOn(s *sheet[P]) bool {
	return slices.ContainsFunc(s.Marks, func(m Mark) bool { return slices.Contains(r.place.back, m.ID) })
}

// blind reports whether pages within the block show nothing of it.
func (r *Reader[P]) blind() bool { return r.memory.gappy && r.place.newest.IsZero() }

// walk looks at the pages from s on, without a gap, for an end of the block, until one is there, or nothing
// follows; if that shows nothing, then from the beginning of the list on. It returns the page that shows
// most of it, the last of these, and the last page of all.
func (r *Reader[P]) walk(ctx context.Context, s *sheet[P], end side) (found *sheet[P], seen sight, last *sheet[P], err error) {
	for over, whole := false, false; err == nil; {
		if s.Offset == 0 { // there the walk begins anew
			found, seen, whole = nil, nothing, true
		}
		there, now := r.arrived(s, end, seen)
		if now > nothing && now >= seen {
			found, seen = s, now
		}
		switch there = there || over || s.last(); {
		case there && (whole || seen > nothing):
			return found, seen, s, nil
		case there: // it has moved away, or is somewhere else
			s, err = r.fetch(ctx, 0)
			over = false
		default:
			s, over, err = r.onward(ctx, s)
		}
	}
	return nil, nothing, nil, err
}

// arrived reports whether a walk for an end of the block is over at a page, and what that page shows
// of it. before is what the pages before it have shown.
func (r *Reader[P]) arrived(s *sheet[P], end side, before sight) (bool, sight) {
	i, now := r.sees(s, end)
	switch {
	case end == atFront: // at first one page further if fewer than late records stand behind it: a late one may be among those
		near := r.round.frontAt < 0 && i+min(late, len(s.Marks)/2) > len(s.Marks)
		return before > nothing || now > nothing && !near, now
	case now == joined:
		return !r.blind() || r.latestOn(s), now
	}
	return now == nothing && before == timed, now
}

// guess returns a page near the end of the block, from which a walk may begin. It goes to the left
// by steps that double until a page shows something of the block, and back by halves.
func (r *Reader[P]) guess(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	s, err := r.hinted(ctx, missed)
	hi := 0
	for step := late; err == nil && !r.shows(s) && s.Offset > 0; step *= 2 {
		hi = s.Offset
		s, err = r.fetch(ctx, hi-step)
	}
	if err == nil && r.shows(s) {
		s, err = r.halve(ctx, s, hi, r.shows)
	}
	if err != nil {
		return nil, err
	}
	if _, seen := r.sees(s, atBack); seen == timed || r.round.wide {
		return r.leftOf(ctx, s, r.told)
	}
	return s, nil
}

// hinted returns the page that a change of the total points to, if the missed one does not show
// anything.
func (r *Reader[P]) hinted(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	total, before := missed.Claims.Total, r.place.total
	if r.shows(missed) || total == 0 || before == 0 || total == before {
		return missed, nil
	}
	return r.fetch(ctx, missed.Offset+total-before)
}

// leftOf returns a page to the left of another one, far enough for late records between the two,
// for all of whose records yes is true: the first page of the list if there is none.
func (r *Reader[P]) leftOf(ctx context.Context, s *sheet[P], yes func(Mark) bool) (*sheet[P], error) {
	for step := max(surely, r.server.longest); s.Offset > 0; step *= 2 {
		left, err := r.fetch(ctx, s.Offset-step)
		if err != nil {
			return nil, err
		}
		if s = left; all(s.Marks, yes) {
			break
		}
	}
	return s, nil
}

// halve returns the page for which yes is true that is nearest to the offset hi, where it is not.
func (r *Reader[P]) halve(ctx context.Context, lo *sheet[P], hi int, yes func(*sheet[P]) bool) (*sheet[P], error) {
	for hi-lo.Offset > r.step(r.server.longest, 0) {
		mid, err := r.fetch(ctx, (lo.Offset+hi)/2)
		switch {
		case err != nil:
			return nil, err
		case yes(mid):
			lo = mid
		default:
			hi = mid.Offset
		}
	}
	return lo, nil
}

// onward gets the page behind another one, without a gap: it shows one of its records, or
// begins the list. over reports whether it shows nothing behind that page.
func (r *Reader[P]) onward(ctx context.Context, s *sheet[P]) (next *sheet[P], over bool, err error) {
	step := r.step(len(s.Marks), r.moves.left)
	for offset, repeated, turns := s.Offset+step, 0, 0; ; {
		next, err = r.fetch(ctx, offset)
		switch {
		case err != nil:
			return nil, false, err
		case next.misplaced():
			return nil, false, r.misplacedError(next)
		case !next.endsLike(s) && (offset == 0 || s.shares(next)):
			return next, false, nil
		case !next.endsLike(s):
			r.lags()
			if offset = max(0, offset-r.step(r.server.longest, r.moves.left)); turns < 3 {
				repeated = 0
			}
		case len(next.Marks) == 1 || len(next.Marks) < len(s.Marks) || repeated == 3:
			return next, true, nil
		default: // the list has moved to the right, or the server ignores offsets
			repeated, turns = repeated+1, turns+1
			offset += step << repeated
		}
	}
}

func (s *sheet[P]) end() int { return s.Offset + len(s.Marks) }

// last reports whether nothing follows a page, as far as it says.
func (s *sheet[P]) last() bool { return len(s.Marks) == 0 || s.Claims.Ends }

// startsLike reports whether two pages begin with the same record.
func (s *sheet[P]) startsLike(other *sheet[P]) bool {
	return len(s.Marks) > 0 && len(other.Marks) > 0 && s.Marks[0].ID == other.Marks[0].ID
}

// endsLike reports whether two pages end with the same record.
func (s *sheet[P]) endsLike(other *sheet[P]) bool {
	n, m := len(s.Marks), len(other.Marks)
	return n > 0 && m > 0 && s.Marks[n-1].ID == other.Marks[m-1].ID
}

// shares reports whether two pages show a record both.
func (s *sheet[P]) shares(other *sheet[P]) bool {
	return slices.ContainsFunc(other.Marks, func(m Mark) bool { return slices.Contains(s.Marks, m) })
}
