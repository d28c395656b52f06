package movinglist_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// At every place of a list, also between two pages and at both ends, the cursor
// leads a new pager to the next record.
func TestCursorOfEveryPlace(t *testing.T) {
	const size = 31
	for _, envelope := range envelopes {
		for _, n := range []int{1, 3} {
			l := movinglist.New(movinglist.Shape{Envelope: envelope}, size)
			newPager := pagers(t, l)
			pager := newPager(14).Concurrent(n)
			cursors := []string{pager.Cursor()}
			for _, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				cursors = append(cursors, pager.Cursor())
			}
			cursors = append(cursors, pager.Cursor())
			require.Len(t, cursors, size+2)
			for i, cursor := range cursors {
				if n > 1 && i%5 > 1 {
					continue
				}
				resumed := newPager(14).Concurrent(n).Resume(cursor + "\r\n"[:i%3]) // as read from a file
				again := newPager(14).Resume(resumed.Cursor())                      // before the first use it is the same place
				for _, p := range []*epcclogs.Pager[epcclogs.IntegrationLog]{resumed, again} {
					next := min(i, size)
					for log, err := range p.All(t.Context()) {
						require.NoError(t, err)
						require.Equal(t, strconv.Itoa(next), log.Body, "%s, n = %d, after %d", envelope, n, i)
						next++
					}
					require.Equal(t, size, next, "%s, n = %d, after %d", envelope, n, i)
				}
			}
		}
	}
}

// A loop over Pages leaves the cursor behind the page, and what is left of a
// page that All began can be resumed too.
func TestCursorAndPages(t *testing.T) {
	l, came := movinglist.New(movinglist.Shape{Envelope: "meta"}, 70), tally{}
	newPager := pagers(t, l)
	pager := newPager(30)
	came.add(t, pager.All(t.Context()), 5)
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		for _, log := range page.Data {
			came.one(t, log)
		}
		all := tally{}
		for n, times := range came {
			all[n] = times
		}
		all.add(t, newPager(30).Resume(pager.Cursor()).All(t.Context()), -1)
		all.check(t, l, 0, "")
	}
	require.Len(t, came, 70)
}

func TestCursorOfAnEmptyList(t *testing.T) {
	for _, envelope := range envelopes {
		l, came := movinglist.New(movinglist.Shape{Envelope: envelope}, 0), tally{}
		newPager := pagers(t, l)
		pager := newPager(0)
		came.add(t, pager.All(t.Context()), -1)
		require.Empty(t, came)
		l.Do(func() { l.Add(3) })
		came.add(t, newPager(0).Resume(pager.Cursor()).All(t.Context()), -1)
		require.Equal(t, tally{0: 1, 1: 1, 2: 1}, came, envelope)
	}
}

// What is left of the records around a place decides what is new: nothing of the list, or
// none of the 16 that a cursor holds of one end.
func TestCursorOfAPlaceThatWasDeleted(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			for name, change := range map[string]func(l *movinglist.List){
				"replaced": func(l *movinglist.List) { l.Expire(500); l.Add(240) },
				"the last 16 of the place deleted": func(l *movinglist.List) {
					for range 16 {
						l.Delete(320 - 16)
					}
				},
			} {
				l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 500), tally{}
				newPager := pagers(t, l)
				pager := newPager(0)
				came.add(t, pager.All(t.Context()), 320)
				l.Do(func() { change(l) })
				came.add(t, newPager(0).Resume(pager.Cursor()).All(t.Context()), -1)
				came.check(t, l, l.Requests, name)
			}
		}
	}
}

// The server may shorten pages more than when the cursor was taken.
func TestResumeShorterPages(t *testing.T) {
	for clamp := 2; clamp < 36; clamp++ {
		l, came := movinglist.New(movinglist.Shape{Envelope: "bare"}, 300), tally{}
		newPager := pagers(t, l)
		pager := newPager(0)
		came.add(t, pager.All(t.Context()), -1)
		l.Do(func() { l.Clamp = clamp; l.Add(50) })
		came.add(t, newPager(0).Resume(pager.Cursor()).All(t.Context()), -1)
		require.Len(t, came, 350, "clamp %d", clamp)
	}
}

// A cursor is short, one word, and tells nothing of the records.
func TestCursorText(t *testing.T) {
	pager := pagers(t, movinglist.New(movinglist.Shape{Envelope: "meta"}, 250))(0)
	for log, err := range pager.All(t.Context()) {
		require.NoError(t, err)
		cursor := pager.Cursor()
		require.LessOrEqual(t, len(cursor), 1024)
		require.Regexp(t, `^[!-~]+$`, cursor)
		readable := []string{cursor}
		for _, decode := range []func(string) ([]byte, error){
			hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
			base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
		} {
			if b, err := decode(cursor); err == nil {
				readable = append(readable, string(b))
			}
		}
		require.Greater(t, len(readable), 1)
		for _, text := range readable {
			require.NotContains(t, text, log.ID)
			require.NotContains(t, text, "secret")
		}
	}
}

// misused checks that the loops of a pager fail with ErrInvalidArgument, again
// and again, and send nothing.
func misused(t *testing.T, l *movinglist.List, p *epcclogs.Pager[epcclogs.IntegrationLog], what string) {
	t.Helper()
	before := l.Requests
	for name, loop := range map[string]iter.Seq2[epcclogs.IntegrationLog, error]{
		"All": p.All(t.Context()), "Follow": p.Follow(t.Context(), time.Hour),
	} {
		refused(t, loop, name+" of "+what)
	}
	times := 0
	for page, err := range p.Pages(t.Context()) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, what)
		require.Nil(t, page)
		times++
	}
	require.Equal(t, 1, times, what)
	require.Equal(t, before, l.Requests, what)
	_ = p.Cursor() // does not panic
}

// refused checks that a loop gets one error, and no record.
func refused(t *testing.T, loop iter.Seq2[epcclogs.IntegrationLog, error], what string) {
	t.Helper()
	times := 0
	for _, err := range loop {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, what)
		times++
	}
	require.Equal(t, 1, times, what)
}

// A cursor that is not whole, or belongs to another list, is refused, and
// nothing is sent.
func TestResumeRefuses(t *testing.T) {
	const other = "0b9dd2f0-4b76-4a1c-a9a1-5d1a7f4a0c11"
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	newPager := pagers(t, l)
	first := newPager(0)
	tally{}.add(t, first.All(t.Context()), 130)
	cursor := first.Cursor()
	refuse := func(cursor, what string) {
		t.Helper()
		misused(t, l, newPager(0).Resume(cursor), what)
	}
	for i := range len(cursor) {
		for bit := range 8 {
			spoilt := []byte(cursor)
			spoilt[i] ^= 1 << bit
			if i < len(cursor)-1 || spoilt[i] != '\n' {
				refuse(string(spoilt), fmt.Sprintf("bit %d of byte %d flipped", bit, i))
			}
		}
		if i > 0 {
			refuse(cursor[:i], fmt.Sprintf("cut after %d bytes", i))
			refuse(cursor[i:], fmt.Sprintf("without the first %d bytes", i))
			refuse(cursor[:i]+cursor[i+1:], fmt.Sprintf("without byte %d", i))
		}
	}
	for b := byte(' '); b <= '~'; b++ { // among them other versions
		if b != cursor[0] {
			refuse(string(b)+cursor[1:], fmt.Sprintf("with %q as the first byte", b))
		}
	}
	for _, text := range []string{cursor + cursor, cursor + "=", " " + cursor, cursor[:20] + "\n" + cursor[20:], " ", "0", "\x00", strings.Repeat("A", 5000), "\xff"} {
		refuse(text, fmt.Sprintf("%.60q", text))
	}

	c := clientOf(t, l)
	for name, list := range map[string]func() *epcclogs.Pager[epcclogs.IntegrationLog]{
		"another integration": func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.IntegrationLogs(other, nil) },
		"the store":           func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.StoreLogs(nil) },
		"a job":               func() *epcclogs.Pager[epcclogs.IntegrationLog] { return c.JobLogs(wire.Integration, other, nil) },
	} {
		misused(t, l, list().Resume(cursor), name)
		foreign := list()
		tally{}.add(t, foreign.All(t.Context()), 130)
		refuse(foreign.Cursor(), "of "+name)
	}
	tally{}.add(t, newPager(0).Resume(cursor).All(t.Context()), -1) // the cursor itself is good
}

// A cursor of an earlier release is refused with words that say what to do.
func TestResumeSaysWhatToDo(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 3)
	old := base64.RawURLEncoding.EncodeToString([]byte("\x01 and whatever it held"))
	for _, err := range pagers(t, l)(0).Resume(old).All(t.Context()) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		require.ErrorContains(t, err, "version 1")
		require.ErrorContains(t, err, "begin without a cursor")
	}
	require.Zero(t, l.Requests)
}

// Settings are for the time before the first loop. The last value counts.
func TestSettingsOfAPager(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	newPager := pagers(t, l)
	used := func() *epcclogs.Pager[epcclogs.IntegrationLog] {
		p := newPager(0)
		tally{}.add(t, p.All(t.Context()), 1)
		return p
	}
	cursor := used().Cursor()
	p := used()
	require.Same(t, p, p.Resume(cursor))
	misused(t, l, p, "Resume after use")
	misused(t, l, used().Resume(""), "Resume from the beginning after use")
	misused(t, l, used().Concurrent(3), "Concurrent after use")
	misused(t, l, newPager(0).Concurrent(0).Resume(cursor), "Concurrent(0)")
	misused(t, l, newPager(0).Resume(cursor).Concurrent(-1), "Concurrent(-1)")
	came := tally{}
	came.add(t, newPager(0).Concurrent(0).Resume("damaged").Concurrent(4).Resume(cursor).All(t.Context()), -1)
	require.Len(t, came, 249)
	for name, p := range map[string]*epcclogs.Pager[epcclogs.IntegrationLog]{"damaged": newPager(0).Resume("damaged"), "whole": newPager(0).Resume(cursor)} {
		misused(t, l, p.Concurrent(0), name)
		_ = p.CaughtUp()
	}
}

func TestLoopsRefuse(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
	newPager := pagers(t, l)
	refused(t, newPager(0).Follow(t.Context(), 0), "no interval")
	refused(t, newPager(0).Follow(t.Context(), -time.Second), "negative interval")
	refused(t, newPager(0).Follow(nil, time.Second), "no context")     //nolint:staticcheck // that is the mistake
	refused(t, newPager(0).Resume("").All(nil), "no context, resumed") //nolint:staticcheck // that is the mistake
	require.Zero(t, l.Requests)
}

// Whatever text a cursor is: it is refused, or the loop ends, after a bounded
// number of requests, with an error that is documented.
func FuzzResume(f *testing.F) {
	for i, envelope := range movinglist.Envelopes {
		for _, most := range []int{1, 20, 59, 60, -1} {
			pager := pagers(f, movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: i%2 == 0}, 60))(30)
			f.Add(pager.Cursor(), byte(i), byte(30), byte(60))
			tally{}.add(f, pager.All(f.Context()), most)
			for _, size := range []byte{0, 1, 60, 200} { // also a list that the cursor does not know
				f.Add(pager.Cursor(), byte(i), byte(29), size)
			}
		}
	}
	for _, text := range []string{"", " ", "0", "v1", "1.", "e30", `{"offset":-1}`, strings.Repeat("/", 2000)} {
		f.Add(text, byte(0), byte(9), byte(60))
	}
	f.Fuzz(func(t *testing.T, cursor string, shape, limit, size byte) {
		l := movinglist.New(movinglist.Shape{
			Envelope:    movinglist.Envelopes[int(shape)%len(movinglist.Envelopes)],
			NewestFirst: shape%2 == 0,
		}, int(size))
		l.Answer = func(int, int) wire.Step {
			if l.Requests > 20*(int(size)+2) {
				return wire.Reply(http.StatusForbidden, "")
			}
			return nil
		}
		length := 2 + int(limit)%99
		pager, came := pagers(t, l)(length).Resume(cursor), map[string]int{}
		var failed error
		for log, err := range pager.All(t.Context()) {
			if failed = err; err == nil {
				came[log.Body]++
			}
		}
		if pages := int(size)/(length-1) + 1; l.Requests > 4*pages+20 {
			t.Errorf("%d requests for %d pages", l.Requests, pages)
		}
		switch {
		case errors.Is(failed, epcclogs.ErrInvalidArgument):
			if l.Requests > 0 || len(came) > 0 {
				t.Errorf("a cursor that is refused after %d requests", l.Requests)
			}
		case failed != nil && !errors.Is(failed, epcclogs.ErrPagination) && !errors.As(failed, new(*epcclogs.APIError)) && !errors.Is(failed, io.ErrUnexpectedEOF):
			t.Errorf("%T %v", failed, failed)
		case cursor == "" && len(came) != int(size):
			t.Errorf("%d of %d records", len(came), size)
		}
		for body, times := range came {
			if times > 1 {
				t.Errorf("record %s came %d times", body, times)
			}
		}
		_ = pager.Cursor()
	})
}
