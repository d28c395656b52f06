package epcclogs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/epcclogs/epcclogs/internal/paging"
)

// Pager reads a whole list: record by record with [Pager.All], page by page with
// [Pager.Pages], and for ever with [Pager.Follow]. It sends nothing before that.
//
// A Pager keeps its place. When a loop was left, the next loop begins with the next
// record. After an error, the next loop asks again for the page that failed. At the
// end of the list a pager has nothing more to return; [Pager.Cursor] and
// [Pager.Resume] return what is new since then.
//
// The list may change while it is read. Every record that is in it from the first
// request to the last is returned exactly once, or the loop ends with an error. That
// is [ErrPagination] when the list moves faster than it can be read, or when the
// server's paging cannot be followed. The limits:
//
//   - The records that stay must keep their order. A store that orders equal times anew
//     for each request loses records, whatever the client does.
//   - What tells records apart is [IntegrationLog.Key]. A pager returns one of two records
//     with the same key once the list has moved.
//   - After Resume it must be possible to find both ends of what was returned: see there.
//   - Some servers ignore offsets, or round them to whole pages. Pages of one or two
//     records show too little. Then a list that changes may lose or repeat records.
//   - Where answers tell neither the length of the list nor a next page, a loop goes on as
//     long as something new comes, which may be as long as records arrive with each request.
//   - A list whose records are so big that pages get shorter may lose some of its last ones, if
//     it gets shorter just between the two requests that show its end.
//   - A pager that begins at an Offset above 0 does not return what is added before that.
//
// A Pager is not safe for concurrent use, except for CaughtUp.
type Pager[T any] struct {
	url      string // of the list, for errors
	fetch    func(context.Context, paging.Ask) (paging.Fetched[sheet[T]], error)
	settings paging.Settings
	misuse   error                                   // a setting came after the first loop
	used     bool                                    // a loop has begun
	reader   atomic.Pointer[paging.Reader[sheet[T]]] // nil until the settings have been checked
	page     sheet[T]                                // what was not returned yet of the latest page
}

func newPager[T any](c *Client, opts *ListOptions, path ...string) *Pager[T] {
	name := strings.Join(path, "/")
	p := &Pager[T]{url: c.base + "/v2/" + name, settings: paging.Settings{List: name, Limit: maxLimit, Pages: 1}}
	if opts != nil {
		p.settings.Limit, p.settings.Offset = cmp.Or(opts.Limit, maxLimit), opts.Offset
	}
	p.settings.Errorf = func(format string, args ...any) error {
		return fmt.Errorf("%s: %w: %s", requestName(http.MethodGet, p.url), ErrPagination, fmt.Sprintf(format, args...))
	}
	p.fetch = func(ctx context.Context, ask paging.Ask) (f paging.Fetched[sheet[T]], err error) {
		page, err := list[T](ctx, c, &ListOptions{Limit: ask.Limit, Offset: ask.Offset}, path...)
		if page == nil {
			if status := new(APIError); ask.Offset > 0 && errors.As(err, &status) && status.refuses() {
				err = fmt.Errorf("%w; if the offset is too great, read less: Since, or the lists of single integrations or jobs", err)
			}
			return f, err
		}
		f.Page, f.Claims, f.Age = sheetOf(page, err), claimsOf(page, ask), page.age
		f.Page.placed = page.Meta != nil && (page.Meta.Offset > 0 || ask.Offset == 0 && page.Meta.Limit > 0)
		f.Marks = make([]paging.Mark, len(f.Page.records))
		for i := range f.Marks {
			f.Marks[i] = any(&f.Page.records[i]).(marked).mark()
		}
		for _, u := range page.unread {
			f.Marks[u.index] = paging.Mark{ID: u.hash}
		}
		return f, nil
	}
	return p
}

// marked is a record of a list.
type marked interface {
	// mark returns a hash of what tells the record apart from others, and when it was created.
	mark() paging.Mark
}

// untimed is a record of a list without creation times.
type untimed interface{ untimed() }

// start returns the reader. The first call checks the settings.
func (p *Pager[T]) start() (*paging.Reader[sheet[T]], error) {
	if p.misuse != nil {
		return nil, p.misuse
	}
	if r := p.reader.Load(); r != nil {
		return r, nil
	}
	s := p.settings
	if s.Pages < 1 {
		return nil, invalid("Concurrent(%d): n must be 1 or more", s.Pages)
	}
	if err := (&ListOptions{Limit: s.Limit, Offset: s.Offset}).validate(); err != nil {
		return nil, err
	}
	if _, ok := any(new(T)).(untimed); ok && !s.Since.IsZero() {
		return nil, invalid("Since was called for the list %s, whose records have no creation times", s.List)
	}
	r, err := paging.New(s, p.fetch)
	if err != nil {
		return nil, invalid("%v", err)
	}
	p.reader.Store(r)
	return r, nil
}

// set changes the settings, if no loop has begun.
func (p *Pager[T]) set(method string, change func(*paging.Settings)) *Pager[T] {
	if p.used {
		p.misuse = invalid("%s was called after the pager was used; call it before the first loop", method)
		return p
	}
	change(&p.settings)
	p.reader.Store(nil)
	return p
}

// Pages returns the rest of the list page by page. If a loop over All ended within a
// page, the first page is the rest of that one. Pages without new records are left
// out. At most [ListOptions].Limit records are asked for. If some of them cannot be read,
// the page comes with a [*DecodeError] that names them, and the loop may go on. A loop
// that gets another error gets nothing after it.
func (p *Pager[T]) Pages(ctx context.Context) iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		p.loop(ctx, false, func(err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			return yield(p.page.rest())
		})
	}
}

// All returns the rest of the list record by record. In the place of a record that cannot
// be read, the loop gets a [*DecodeError] that names it, and may go on. A loop that gets
// another error gets nothing after it.
func (p *Pager[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { p.records(ctx, false, yield) }
}

// records calls yield with each record of the round.
func (p *Pager[T]) records(ctx context.Context, follow bool, yield func(T, error) bool) {
	p.loop(ctx, follow, func(err error) bool {
		if err != nil {
			var none T
			return yield(none, err)
		}
		for len(p.page.left) > 0 {
			if !yield(p.page.next()) {
				return false
			}
		}
		return true
	})
}

// loop calls yield when there is a page with new records, until yield returns false, or with
// an error at the end.
func (p *Pager[T]) loop(ctx context.Context, follow bool, yield func(error) bool) {
	if ctx == nil {
		yield(invalid("the context is nil"))
		return
	}
	p.used = true
	r, err := p.start()
	if err != nil {
		yield(err)
		return
	}
	if len(p.page.left) > 0 && !yield(nil) {
		return
	}
	err = r.Read(ctx, follow, func(page sheet[T], fresh []int) bool {
		p.page, p.page.left = page, fresh
		return yield(nil)
	})
	if err != nil {
		yield(err)
	}
}

// Offset returns the offset of the next record, as the list was when the page was
// read. Use [Pager.Cursor] to go on later: it is right although the list changes.
func (p *Pager[T]) Offset() int {
	if r, err := p.start(); err == nil {
		return r.Offset(len(p.page.left))
	}
	return p.settings.Offset
}

// Cursor returns the place of the pager, which is behind the record that was
// returned last, as a text for [Pager.Resume]. It may be taken at any time, also
// within a loop, and takes some microseconds. Save it together with the records.
//
// The text is at most 1 KB long and shows nothing of the records. Its form may
// change between releases; Resume refuses one that it cannot read.
func (p *Pager[T]) Cursor() string {
	if r, err := p.start(); err == nil {
		return r.Cursor(len(p.page.left))
	}
	return p.settings.Cursor // what was saved is not replaced by another place
}

// CaughtUp returns a time: everything that was in the list then has been returned by a
// loop. It is the zero time until a loop reaches the end of the list, also after
// [Pager.Resume]. In [Pager.Follow] it moves on with each interval, even while nothing
// is new. Compare it with the clock to see how old the data are, and with the time of
// a failed attempt to see whether a later attempt may still be unread.
//
// CaughtUp may be called while a loop runs, from any goroutine.
func (p *Pager[T]) CaughtUp() time.Time {
	if r := p.reader.Load(); r != nil {
		return r.CaughtUp()
	}
	return time.Time{}
}

// Resume makes the pager begin where another pager of the same list was when its
// [Pager.Cursor] was taken, and returns p. The pager then returns everything that
// was not returned before: the rest of the list, and then what was added in front of
// it meanwhile, the oldest first. The empty cursor is the beginning. Any other cursor
// replaces [ListOptions].Offset. A line break at its end is ignored.
//
// Each record is returned once, as long as one of the last 16 records that were returned
// and one of the first 16 is still in the list. Where an end was deleted, creation times
// decide: what was created between the oldest and the newest record that was returned
// is not returned again. They must rise or fall along the list. Without creation times, a
// list that has become shorter than what was read, or has moved to the left, counts as
// read at that end; otherwise records are returned again.
//
// Resume must be called before the pager is used. Otherwise, or if the cursor is
// damaged, of another list, or of a release that this one cannot read, the next loop
// gets an error that matches [ErrInvalidArgument], and nothing is sent. For such a cursor,
// begin without one, and leave out the records that you have by their keys.
func (p *Pager[T]) Resume(cursor string) *Pager[T] {
	return p.set("Resume", func(s *paging.Settings) { s.Cursor = strings.TrimRight(cursor, "\r\n") })
}

// Since makes the pager return only records that were created at t or later, and returns p.
// The zero time is no limit. A record without a creation time is returned.
//
// The API has no filter and no sort parameter, so the pager looks at both ends of the list.
// Where creation times rise along it, the pager finds the first record of t in some 20 requests
// for a million records; where they fall, it reads from the front until a page is older. A
// record may stand up to 15 places off. Where times are equal or missing, everything is read.
//
// After an error on the way there, the next loop begins anew to look for the first record.
//
// A store may refuse offsets above 10,000. Then the newest records of a list whose oldest
// records come first cannot be read, and the loop gets an error that says what to read.
//
// With [Pager.Follow] and time.Now(), only what is added from now on is returned. A cursor
// remembers t; of that and another one, the later counts. From a cursor of a pager without Since,
// the rest of the list is read whole.
//
// Since must be called before the pager is used. Otherwise, or if the records of the list have
// no creation times, as those of [Client.IntegrationJobs], the next loop gets an error that
// matches [ErrInvalidArgument], and nothing is sent.
func (p *Pager[T]) Since(t time.Time) *Pager[T] {
	return p.set("Since", func(s *paging.Settings) { s.Since = t })
}

// Concurrent makes the pager get up to n pages at a time, and returns p. The loop
// gets the same records in the same order, sooner: n pages take about the time of
// one, until the rate limit is reached. At 100 requests a second of 80 ms each, 8
// pages reach it, and more pages gain nothing.
//
// Above 64, connections are opened and closed all the time. If the server does not
// tell how many records there are, up to n requests go past the end of the list.
// Leaving a loop ends all requests that it has begun.
//
// Concurrent must be called before the pager is used. Otherwise, or if n is below 1,
// the next loop gets an error that matches [ErrInvalidArgument], and nothing is sent.
func (p *Pager[T]) Concurrent(n int) *Pager[T] {
	return p.set("Concurrent", func(s *paging.Settings) { s.Pages = n })
}
