package movinglist_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// createdAt returns when record n was created: the model counts nanoseconds.
func createdAt(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC) }

// Since reads what was created then or later, and little else, whichever end is the newest and
// whatever the store tells.
func TestSince(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 5000), tally{}
			newPager := pagers(t, l)
			pager := newPager(0).Since(createdAt(4900))
			came.add(t, pager.All(t.Context()), -1)
			assert.Len(t, came, 100, l.Shape)
			assert.Contains(t, came, 4900)
			assert.LessOrEqual(t, l.Requests, 30, l.Shape)

			before := l.Requests
			l.Do(func() { l.Add(1) })
			came.add(t, newPager(0).Resume(pager.Cursor()).All(t.Context()), -1)
			assert.Len(t, came, 101, "a cursor remembers the time")
			assert.LessOrEqual(t, l.Requests-before, 4, l.Shape)
			for n, times := range came {
				require.Equal(t, 1, times, "record %d, %v", n, l.Shape)
			}
		}
	}
}

// Where a store refuses great offsets, the newest records can be read if they stand in front.
func TestSinceBehindTheLastOffset(t *testing.T) {
	l, came := movinglist.New(movinglist.Shape{Envelope: "meta", NewestFirst: true}, 3000), tally{}
	l.Answer = func(offset, _ int) wire.Step {
		if offset > 1000 {
			return wire.Reply(http.StatusBadRequest, `{"errors":[{"title":"offset too large"}]}`)
		}
		return nil
	}
	came.add(t, pagers(t, l)(0).Since(createdAt(2900)).All(t.Context()), -1)
	require.Len(t, came, 100)
	require.LessOrEqual(t, l.Requests, 4)
}
