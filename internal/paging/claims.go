package paging

import (
	"context"
	"slices"
)

// Claims are what a page says about the whole list.
type Claims struct {
	Total  int  // number of records in the list; 0 if not told
	More   bool // one claim says that records follow the page
	Ends   bool // there are claims, and none of them says that
	Offset int  // where the page says that it begins; 0 if not told
}

// misplaced reports whether a page says that it begins elsewhere than asked.
func (s *sheet[P]) misplaced() bool { return s.Claims.Offset > 0 && s.Claims.Offset != s.Offset }

func (r *Reader[P]) misplacedError(s *sheet[P]) error {
	return r.settings.Errorf("the server answers offset %d with the page at offset %d", s.Offset, s.Claims.Offset)
}

// repeats reports whether a page has nothing new, and does not say that the list ends there: it
// shows nothing but the known records that it was to begin with, or so many others, or the same as the
// page before.
func (r *Reader[P]) repeats(s *sheet[P], fresh []int, n int) bool {
	length := len(s.Marks)
	if length == 0 || len(r.place.back) == 0 || len(fresh) > 0 || s.Claims.Ends {
		return false
	}
	if s.Marks[length-1].ID != r.place.tail {
		return length == n
	}
	return length <= n || len(r.latest.marks) > 0 && s.Marks[0].ID == r.latest.marks[0].ID && s.Offset != r.latest.offset
}

// hadRoom reports whether a page of a poll shows the end, because the server has sent longer ones.
func (r *Reader[P]) hadRoom(s *sheet[P]) bool {
	n := len(s.Marks)
	return r.place.ended && !s.Claims.More && !s.misplaced() && 0 < n && n < r.server.longest
}

// looks is how often a page is looked at before the server is taken for one without overlaps,
// and not the list for one that moves.
const looks = 3

// doubt decides about a page that repeats the one before it, or lacks what it should begin
// with although it claims that more follows: is the list over, or has the server no room for
// an overlap, because it rounds offsets or sends single records? What stands exactly behind
// the place shows that, if it is the same at each look.
func (r *Reader[P]) doubt(ctx context.Context, s *sheet[P], n int) (ended bool, err error) {
	next, err := r.fetch(ctx, r.place.offset)
	switch {
	case err != nil:
		return false, err
	case next.misplaced():
		return false, r.misplacedError(next)
	}
	fresh, from := r.behind(next)
	if r.moves.doubts++; r.moves.doubts == 1 || !slices.Equal(next.Marks, r.moves.doubted) {
		r.moves.doubts, r.moves.doubted = 1, next.Marks
	}
	switch {
	case len(fresh) > 0, from >= 0 && !next.startsLike(s): // the list has moved to the right
		return r.takeRest(next, fresh, from)
	case len(next.Marks) == 0 && len(s.Marks) <= n:
		next.Claims.More = next.Claims.More || s.Claims.More
		return r.empty(ctx, next)
	case r.moves.doubts < looks:
		return false, nil // the page is asked for again
	}
	r.moves.doubts = 0
	return r.noOverlap(ctx, s, next, from)
}

// noOverlap decides about a page that repeats the one before it, and the page behind it, which
// has nothing new behind a known record.
func (r *Reader[P]) noOverlap(ctx context.Context, s, next *sheet[P], from int) (ended bool, err error) {
	switch {
	case from < 0 && len(next.Marks) > 0:
		if len(s.Marks) > 1 { // replicas that answer in turn show other records in the middle
			middle, err := r.fetch(ctx, r.place.offset-1-len(s.Marks)/2)
			if err != nil || !middle.startsLike(s) {
				return false, err
			}
		}
		r.server.exact = r.server.exact || len(s.Marks) > 0
		return r.takeRest(next, r.unknown(next.Marks, atBack), 0)
	case s.Claims.More || next.Claims.More || r.place.total > r.place.offset:
		return false, r.settings.Errorf("the page at offset %d has nothing new, although the server says that more follows", next.Offset)
	}
	return true, nil
}

// empty decides about an empty page exactly behind the place: it is the end, unless it claims
// that more follows. Then the page behind it decides.
func (r *Reader[P]) empty(ctx context.Context, s *sheet[P]) (ended bool, err error) {
	if s.Claims.More {
		next, err := r.fetch(ctx, s.Offset+s.Limit)
		switch {
		case err != nil:
			return false, err
		case len(next.Marks) > 0:
			return r.takeRest(next, r.unknown(next.Marks, atBack), 0)
		case s.Claims.Total > s.Offset:
			return false, r.settings.Errorf("the page at offset %d is empty, although the total is %d", s.Offset, s.Claims.Total)
		}
	}
	return true, nil
}
