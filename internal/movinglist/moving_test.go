package movinglist_test

import (
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// TestMain fails when goroutines outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clientOf returns a client whose requests the transport answers. No rate limit slows it down.
func clientOf(t testing.TB, transport http.RoundTripper, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	c, err := epcclogs.NewClient(append([]epcclogs.Option{
		epcclogs.WithBaseURL("https://api.example.com"), epcclogs.WithHTTPClient(&http.Client{Transport: transport}),
		epcclogs.WithRateLimit(1e10), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2}),
	}, opts...)...)
	require.NoError(t, err)
	return c
}

// pagers returns a function that makes pagers over the logs that the transport has.
func pagers(t testing.TB, transport http.RoundTripper) func(limit int) *epcclogs.Pager[epcclogs.IntegrationLog] {
	t.Helper()
	c := clientOf(t, transport)
	return func(limit int) *epcclogs.Pager[epcclogs.IntegrationLog] {
		return c.IntegrationLogs(wire.Integration, &epcclogs.ListOptions{Limit: limit})
	}
}

// envelopes are the ones of movinglist.Envelopes that differ most: with a count, with links, with
// nothing. The histories of the package paging have all.
var envelopes = []string{"meta", "links", "bare"}

// tally counts how often records came, by number.
type tally map[int]int

// add counts the records of a loop, at most so many of them; -1: all.
func (came tally) add(t testing.TB, logs iter.Seq2[epcclogs.IntegrationLog, error], most int) {
	t.Helper()
	for log, err := range logs {
		require.NoError(t, err)
		came.one(t, log)
		if most--; most == 0 {
			return
		}
	}
}

func (came tally) one(t testing.TB, log epcclogs.IntegrationLog) {
	t.Helper()
	n, err := strconv.Atoi(log.Body)
	require.NoError(t, err)
	came[n]++
}

// check checks what is promised: no record came twice, and each came that was in the list
// from a request on until now.
func (came tally) check(t testing.TB, l *movinglist.List, first int, what string) {
	t.Helper()
	for _, r := range l.Ever {
		require.LessOrEqual(t, came[r.N], 1, "record %d came again; %v, %s", r.N, l.Shape, what)
		if r.Born <= first && !r.Deleted {
			require.Equal(t, 1, came[r.N], "record %d was lost; %v, %s", r.N, l.Shape, what)
		}
	}
}

// 300 records that move while they are listed: each one that stays comes once.
func TestLists(t *testing.T) {
	once := func(f func(l *movinglist.List)) func(*movinglist.List) {
		return func(l *movinglist.List) {
			if l.Requests == 5 {
				f(l)
			}
		}
	}
	for name, tt := range map[string]struct {
		newest bool
		change func(l *movinglist.List) // before each request but the first
		stopAt int                      // for another pager, which goes on after change is called once
	}{
		"5 expire and 5 arrive a request": {change: func(l *movinglist.List) { l.Expire(5); l.Add(5) }},
		"one purge of 65":                 {change: once(func(l *movinglist.List) { l.Expire(65) })},
		"5 arrive in front a request":     {newest: true, change: func(l *movinglist.List) { l.Add(5) }},
		"one burst of 65 in front":        {newest: true, change: once(func(l *movinglist.List) { l.Add(65) })},
		"2 deleted in the middle a request": {change: func(l *movinglist.List) {
			l.Delete(len(l.Now) / 30 * (l.Requests % 30))
			l.Delete(len(l.Now) / 2)
		}},
		"30 expire between two pagers": {stopAt: 200, change: func(l *movinglist.List) { l.Expire(30) }},
		"two of three deleted between two pagers": {stopAt: 250, change: func(l *movinglist.List) {
			l.DeleteFunc(func(r *movinglist.Record) bool { return r.N%3 != 0 })
		}},
	} {
		for _, envelope := range envelopes {
			for _, n := range []int{1, 4} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, envelope, n), func(t *testing.T) {
					l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: tt.newest}, 300)
					l.Answer = func(int, int) wire.Step {
						if tt.stopAt == 0 && l.Requests > 0 && l.Requests < 200 {
							tt.change(l)
						}
						return nil
					}
					newPager := pagers(t, l)
					pager, came := newPager(20).Concurrent(n), tally{}
					if tt.stopAt > 0 {
						came.add(t, pager.All(t.Context()), tt.stopAt)
						l.Do(func() { tt.change(l) })
						pager = newPager(20).Concurrent(n).Resume(pager.Cursor())
					}
					came.add(t, pager.All(t.Context()), -1)
					came.check(t, l, 0, name)
					// 16 pages, and at each the place to be found again. Without a claim, the
					// end is where nothing is new.
					if envelope != "bare" {
						assert.LessOrEqual(t, l.Requests, 80*n, "requests")
					}
				})
			}
		}
	}
}

// On a list that stands still the overlap costs one request in a hundred. Where records are
// not counted, asking behind the last one shows the end; so where the last page is full, and
// the count may have stopped there.
func TestStillListCost(t *testing.T) {
	for envelope, want := range map[string]int{"meta": 22, "links": 21, "nested": 22, "results": 22, "bare": 23, "pages": 23} {
		l, came := movinglist.New(movinglist.Shape{Envelope: envelope}, 2080), tally{}
		came.add(t, pagers(t, l)(0).All(t.Context()), -1)
		came.check(t, l, 0, "")
		assert.Equal(t, want, l.Requests, envelope)
	}
}

// A pager that goes on reads little more than what is new, whichever records were deleted.
func TestResumeCost(t *testing.T) {
	for _, tt := range []struct {
		name    string
		newest  bool
		reading func(l *movinglist.List) // before the 21st request
		between func(l *movinglist.List) // the two pagers
	}{
		{name: "the first are deleted meanwhile", reading: func(l *movinglist.List) { l.Expire(20) }},
		{name: "the first are deleted", between: func(l *movinglist.List) { l.Expire(20) }},
		{name: "half is deleted, newest first", newest: true, between: func(l *movinglist.List) { l.Expire(500) }},
		{name: "the first are deleted, and others added", newest: true, between: func(l *movinglist.List) {
			for range 16 {
				l.Delete(0)
			}
			l.Add(3)
		}},
	} {
		for _, envelope := range envelopes {
			l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: tt.newest}, 1000), tally{}
			l.Answer = func(int, int) wire.Step {
				if l.Requests == 20 && tt.reading != nil {
					tt.reading(l)
				}
				return nil
			}
			newPager := pagers(t, l)
			pager := newPager(40)
			came.add(t, pager.All(t.Context()), -1)
			if tt.between != nil {
				l.Do(func() { tt.between(l) })
			}
			before := l.Requests
			came.add(t, newPager(40).Resume(pager.Cursor()).All(t.Context()), -1)
			came.check(t, l, before, tt.name)
			require.LessOrEqual(t, l.Requests-before, 20, "%s, %s", tt.name, envelope)
		}
	}
}

// Pages of two replicas that answer in turn, one of them one record behind: no record comes
// twice, although each second page shows the list as it was. Without a claim, a list that is
// longer and shorter in turn may have no end.
func TestReplicas(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			for _, n := range []int{1, 4} {
				l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 180), tally{}
				l.Answer = func(int, int) wire.Step {
					l.Behind = l.Requests % 2
					return nil
				}
				newPager := pagers(t, l)
				pager := newPager(40).Concurrent(n)
				for range 5 { // each pager gets what was added since the last one
					for log, err := range pager.All(t.Context()) {
						if err == nil {
							came.one(t, log)
						} else if require.ErrorIs(t, err, epcclogs.ErrPagination); envelope != "bare" {
							require.NoError(t, err, "%v", l.Shape)
						}
					}
					l.Do(func() { l.Add(1) })
					pager = newPager(40).Concurrent(n).Resume(pager.Cursor())
				}
				l.Answer = func(int, int) wire.Step { l.Behind = 0; return nil }
				came.add(t, pager.All(t.Context()), -1)
				came.check(t, l, l.Requests, fmt.Sprintf("n = %d", n))
			}
		}
	}
}

// The service may add members to its records, or change them: they are the same records.
func TestChangedRecords(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 250), tally{}
			newPager := pagers(t, l)
			pager := newPager(0)
			came.add(t, pager.All(t.Context()), 130)
			l.Do(func() { l.More = `,"region":"eu","succeeded":true`; l.Add(40) })
			resumed := newPager(0).Resume(pager.Cursor())
			came.add(t, resumed.All(t.Context()), -1)
			came.check(t, l, l.Requests, "resumed")
			require.Len(t, came, 290)

			came.add(t, pager.All(t.Context()), -1) // the same pager goes on too
			for n, times := range came {
				require.LessOrEqual(t, times, 2, "record %d, which either pager returns once, %v", n, l.Shape)
			}
			l.Do(func() { l.More = ""; l.Add(3) })
			again := tally{}
			again.add(t, newPager(0).Resume(resumed.Cursor()).All(t.Context()), -1)
			require.Equal(t, tally{290: 1, 291: 1, 292: 1}, again, l.Shape)
		}
	}
}

// No request asks for more than Limit, although the list moves: it may be all that the
// server can send.
func TestLimitIsTheMost(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			for _, n := range []int{1, 4} {
				l, came := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 150), tally{}
				l.Answer = func(_, limit int) wire.Step {
					if l.Requests > 0 && l.Requests < 60 {
						l.Expire(1)
						l.Add(1)
					}
					if limit > 10 {
						return wire.Reply(http.StatusBadGateway, "<html>")
					}
					return nil
				}
				newPager := pagers(t, l)
				pager := newPager(10).Concurrent(n)
				came.add(t, pager.All(t.Context()), 90)
				came.add(t, newPager(10).Concurrent(n).Resume(pager.Cursor()).All(t.Context()), -1)
				came.check(t, l, 0, fmt.Sprintf("n = %d", n))
			}
		}
	}
}

// A record's key tells it from others, and stays what it is.
func TestKeys(t *testing.T) {
	l := movinglist.New(movinglist.Shape{Envelope: "meta", SameIDs: true}, 150)
	newPager, keys := pagers(t, l), map[string]string{}
	for range 2 {
		for log, err := range newPager(0).All(t.Context()) {
			require.NoError(t, err)
			if body, known := keys[log.Key()]; known {
				require.Equal(t, body, log.Body)
			}
			keys[log.Key()] = log.Body
		}
		l.Do(func() { l.Expire(10); l.Add(10); l.More = `,"region":"eu"` })
	}
	require.Len(t, keys, 160)
}
