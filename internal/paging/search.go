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
	r.moves.any = true
	from, err := r.guess(ctx, missed)
	if err != nil {
		return false, err
	}
	found, seen, last, err := r.survey(ctx, from)
	if err == nil && seen == nothing && from.Offset > 0 { // it has moved away, or is somewhere else
		if from, err = r.fetch(ctx, 0); err == nil {
			found, seen, last, err = r.survey(ctx, from)
		}
	}
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

// survey looks at the pages from s on, without a gap, until one is joined. If none is, it
// returns the last page that shows records by their times. last is the last page of all.
func (r *Reader[P]) survey(ctx context.Context, s *sheet[P]) (found *sheet[P], seen sight, last *sheet[P], err error) {
	last, err = r.walk(ctx, s, func(s *sheet[P]) bool {
		_, now := r.sees(s, atBack)
		if now > nothing || s.Offset == 0 { // there the walk begins anew
			found, seen = s, now
		}
		return now == joined && (!r.blind() || r.latestOn(s)) || now == nothing && seen == timed && s.Offset >= found.end()
	})
	return found, seen, last, err
}

// latestOn reports whether a page shows one of the records right before the place.
func (r *Reader[P]) latestOn(s *sheet[P]) bool {
	return slices.ContainsFunc(s.Marks, func(m Mark) bool { return slices.Contains(r.place.last, m.ID) })
}

// blind reports whether pages within the block show nothing of it.
func (r *Reader[P]) blind() bool { return r.memory.gappy && r.place.newest.IsZero() }

// walk looks at the pages from s on, without a gap, until look returns true or nothing follows. It
// returns the last of them.
func (r *Reader[P]) walk(ctx context.Context, s *sheet[P], look func(*sheet[P]) bool) (*sheet[P], error) {
	for over := false; !look(s) && !over && !s.last(); {
		next, done, err := r.onward(ctx, s)
		if err != nil {
			return nil, err
		}
		s, over = next, done
	}
	return s, nil
}

// guess returns a page near the end of the block, from which a walk may begin. Where all pages to
// the left must show something of the block, it goes there by steps that double, and back by halves.
func (r *Reader[P]) guess(ctx context.Context, missed *sheet[P]) (*sheet[P], error) {
	s, err := r.hinted(ctx, missed)
	if err == nil && r.blind() && !r.shows(s) {
		return r.fetch(ctx, 0)
	}
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
	for hi-lo.Offset > r.step(r.server.longest) {
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
	step := r.step(len(s.Marks))
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
			if offset = max(0, offset-step); turns < 3 {
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
