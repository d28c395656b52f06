//go:build go1.25

package movinglist_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

const pollEvery = time.Minute

// followed is one thing that a loop over Follow saw, and when.
type followed struct {
	at   time.Duration
	body string // of a record, or
	err  error
}

// watchFor follows the list for a while, and returns what the loop saw.
func watchFor(t *testing.T, pager *epcclogs.Pager[epcclogs.IntegrationLog], during time.Duration) (seen []followed) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	defer time.AfterFunc(during, cancel).Stop()
	for log, err := range pager.Follow(ctx, pollEvery) {
		if ctx.Err() != nil {
			require.ErrorIs(t, err, context.Canceled)
			continue // the last
		}
		seen = append(seen, followed{time.Since(start), log.Body, err})
	}
	require.Error(t, ctx.Err(), "Follow ended")
	return seen
}

// split returns the records that a loop saw, and when it got errors, which must match want.
func split(t *testing.T, seen []followed, want error) (came tally, failed []time.Duration) {
	t.Helper()
	came = tally{}
	for _, saw := range seen {
		if saw.err != nil {
			require.ErrorIs(t, saw.err, want)
			failed = append(failed, saw.at.Truncate(pollEvery))
		} else {
			came.one(t, epcclogs.IntegrationLog{Body: saw.body})
		}
	}
	return came, failed
}

// inMinutes calls f n and a half minutes from now, with the lock of the list held.
func inMinutes(l *movinglist.List, n int, f func()) {
	time.AfterFunc(time.Duration(n)*pollEvery+pollEvery/2, func() { l.Do(f) })
}

// Whatever happens to a list while it is read, and although requests fail: each record comes
// at most once, and exactly once if it was there all the time. The histories of the package
// paging look for more, without HTTP.
func TestRandomLists(t *testing.T) {
	for seed := range uint64(45) {
		synctest.Test(t, func(t *testing.T) { randomList(t, seed) })
	}
}

func randomList(t *testing.T, seed uint64) {
	rng, dice := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	l := movinglist.New(movinglist.Shape{
		Envelope:    movinglist.Envelopes[rng.IntN(len(movinglist.Envelopes))],
		NewestFirst: rng.IntN(2) == 0, SameIDs: rng.IntN(2) == 0, Clamp: []int{0, 0, 7}[rng.IntN(3)],
	}, rng.IntN(400))
	start, left, fails := time.Now(), 40, rng.IntN(2) == 0
	l.Answer = func(int, int) wire.Step {
		if time.Since(start) > 10*pollEvery {
			return nil
		}
		if l.Requests > 0 && left > 0 && dice.IntN(3) == 0 {
			left--
			change(l, dice)
		}
		switch what := dice.IntN(40); {
		case fails && what == 0:
			return wire.Reply(http.StatusServiceUnavailable, "")
		case fails && what == 1:
			return wire.OK(`{"data":[{"id":"log-`)
		}
		return nil
	}
	n, way := []int{1, 4}[rng.IntN(2)], rng.IntN(3)
	pager, came, first := pagers(t, l)([]int{0, 5 + rng.IntN(40)}[rng.IntN(2)]).Concurrent(n), tally{}, 0
	what := fmt.Sprintf("seed %d, n = %d, way %d", seed, n, way)
	if way == 2 {
		for _, saw := range watchFor(t, pager, 16*pollEvery-1) {
			if saw.err == nil {
				came.one(t, epcclogs.IntegrationLog{Body: saw.body})
			} else {
				mayFail(t, saw.err, what)
			}
		}
		first = l.Requests
	}
	for over := way == 2; !over; { // an error keeps the place
		over = true
		if way == 0 {
			for log, err := range pager.All(t.Context()) {
				if over = mayFail(t, err, what); over {
					came.one(t, log)
				}
			}
			continue
		}
		for page, err := range pager.Pages(t.Context()) {
			if over = mayFail(t, err, what); over {
				require.NotEmpty(t, page.Data, what)
				for _, log := range page.Data {
					came.one(t, log)
				}
			}
		}
	}
	came.check(t, l, first, what)
}

// mayFail reports that there was no error, and checks the one that there was.
func mayFail(t *testing.T, err error, what string) bool {
	t.Helper()
	if err != nil && !errors.Is(err, epcclogs.ErrServer) {
		require.ErrorAs(t, err, new(*epcclogs.DecodeError), what)
	}
	return err == nil
}

// change makes one change to a list.
func change(l *movinglist.List, dice *rand.Rand) {
	switch dice.IntN(10) {
	case 0:
		l.Expire(dice.IntN(len(l.Now) + 1))
	case 1:
		share := dice.Float64()
		l.DeleteFunc(func(*movinglist.Record) bool { return dice.Float64() < share })
	case 2:
		l.Add(dice.IntN(250))
	case 3, 4:
		if len(l.Now) > 0 {
			l.Delete(dice.IntN(len(l.Now)))
		}
	case 5, 6:
		l.Expire(dice.IntN(6))
	default:
		l.Add(dice.IntN(10))
	}
}

// The loop gets an error, once for each interval; nothing that comes before or after it is
// lost or comes twice, whatever the answer was.
func TestFollowGoesOnAfterErrors(t *testing.T) {
	for status, want := range map[int]error{401: epcclogs.ErrUnauthorized, 404: epcclogs.ErrNotFound, 503: epcclogs.ErrServer} {
		for _, newest := range []bool{false, true} {
			for _, begun := range []bool{false, true} { // the error comes after the first page, or between two polls
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					l := movinglist.New(movinglist.Shape{Envelope: "meta", NewestFirst: newest}, 150)
					from, to := pollEvery/2, 3*pollEvery+pollEvery/2 // three polls fail
					if !begun {
						from = 0
					}
					l.Answer = func(int, int) wire.Step {
						if now := time.Since(start); l.Requests > 0 && now >= from && now < to {
							return wire.Reply(status, "")
						}
						return nil
					}
					inMinutes(l, 1, func() { l.Add(3) })
					inMinutes(l, 5, func() { l.Add(2) })
					came, failed := split(t, watchFor(t, pagers(t, l)(0), 8*pollEvery+pollEvery/2), want)
					expected := []time.Duration{pollEvery, 2 * pollEvery, 3 * pollEvery}
					if !begun {
						expected = append([]time.Duration{0}, expected...)
					}
					require.Equal(t, expected, failed)
					came.check(t, l, l.Requests, strconv.Itoa(status))
				})
			}
		}
	}
}

// A loop that is left at an error can go on, with the same pager or with its
// cursor.
func TestFollowIsLeftAtAnError(t *testing.T) {
	for _, resume := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			l := movinglist.New(movinglist.Shape{Envelope: "links"}, 150)
			l.Answer = func(int, int) wire.Step {
				if l.Requests > 0 && time.Since(start) < time.Second {
					return wire.Reply(http.StatusNotFound, "")
				}
				return nil
			}
			newPager := pagers(t, l)
			pager, came := newPager(0), tally{}
			for log, err := range pager.Follow(t.Context(), pollEvery) {
				if err != nil {
					require.ErrorIs(t, err, epcclogs.ErrNotFound)
					break
				}
				came.one(t, log)
			}
			require.Len(t, came, 100)
			time.Sleep(10 * time.Second)
			if resume {
				pager = newPager(0).Resume(pager.Cursor())
			}
			for _, saw := range watchFor(t, pager, pollEvery+pollEvery/2) {
				require.Equal(t, followed{body: strconv.Itoa(len(came))}, saw, "at once, and in order")
				came.one(t, epcclogs.IntegrationLog{Body: saw.body})
			}
			came.check(t, l, l.Requests, "")
		})
	}
}

// A loop that goes on after ErrPagination gets what is there once the server claims no more
// than it has.
func TestFollowGoesOnAfterErrPagination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 150)
		l.Answer = func(offset, _ int) wire.Step {
			if time.Since(start) < 2*pollEvery && offset > 0 {
				return wire.OK(`{"data":[],"results":{"total":1000}}`)
			}
			return nil
		}
		inMinutes(l, 2, func() { l.Add(5) })
		came, failed := split(t, watchFor(t, pagers(t, l)(0), 4*pollEvery), epcclogs.ErrPagination)
		require.Equal(t, []time.Duration{0, pollEvery}, failed)
		came.check(t, l, l.Requests, "")
	})
}

// The pause that the server asks for is waited for, if it is longer than the interval. It is
// too long for a call, which returns at once.
func TestFollowWaitsForRetryAfter(t *testing.T) {
	for status, want := range map[int]error{429: epcclogs.ErrRateLimited, 503: epcclogs.ErrServer} {
		for pause, next := range map[time.Duration]time.Duration{30 * time.Second: pollEvery, 10 * time.Minute: 10 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 50)
				var asked []time.Duration
				l.Answer = func(int, int) wire.Step {
					asked = append(asked, time.Since(start).Truncate(pollEvery))
					if len(asked) == 1 {
						return wire.Reply(status, "", "Retry-After", strconv.Itoa(int(pause/time.Second)))
					}
					return nil
				}
				c := clientOf(t, l, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
				came, failed := split(t, watchFor(t, c.IntegrationLogs(wire.Integration, nil), next+pollEvery/2), want)
				require.Equal(t, []time.Duration{0}, failed)
				require.Equal(t, []time.Duration{0, next}, asked)
				came.check(t, l, l.Requests, "")
			})
		}
	}
}

// A store that refuses offsets: the loop gets the error at each interval, and also every
// record that is added in front.
func TestFollowRefusedOffsets(t *testing.T) {
	const most = 1000
	for _, envelope := range envelopes {
		synctest.Test(t, func(t *testing.T) {
			l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: true}, most+500)
			l.Answer = func(offset, _ int) wire.Step {
				if offset > most {
					return wire.Reply(http.StatusBadRequest, `{"errors":[{"title":"offset too large"}]}`)
				}
				return nil
			}
			for i := range 4 {
				inMinutes(l, i, func() { l.Add([]int{3, 0, 150, 2}[i]) })
			}
			pager, came := pagers(t, l)(0), tally{}
			var failed []time.Duration
			for _, saw := range watchFor(t, pager, 5*pollEvery+1) {
				var status *epcclogs.APIError
				if saw.err == nil {
					came.one(t, epcclogs.IntegrationLog{Body: saw.body})
					continue
				}
				require.ErrorAs(t, saw.err, &status)
				require.Equal(t, http.StatusBadRequest, status.StatusCode)
				failed = append(failed, saw.at)
			}
			require.Equal(t, []time.Duration{0, pollEvery, 2 * pollEvery, 3 * pollEvery, 4 * pollEvery, 5 * pollEvery}, failed)
			for _, r := range l.Ever {
				require.LessOrEqual(t, came[r.N], 1)
				if r.N >= 500 { // which are not behind what the store refuses
					require.Equal(t, 1, came[r.N], "%s, record %d", envelope, r.N)
				}
			}
			require.Zero(t, pager.CaughtUp())
		})
	}
}

// No poll asks for more than Limit, which may be all that the server can send.
func TestFollowKeepsToTheLimit(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 60)
				l.Answer = func(_, limit int) wire.Step {
					if limit > 10 {
						return wire.Reply(http.StatusBadGateway, "<html>")
					}
					return nil
				}
				newPager := pagers(t, l)
				inMinutes(l, 0, func() { l.Add(35) })
				inMinutes(l, 1, func() { l.Expire(30); l.Add(3) })
				pager := newPager(10)
				came, failed := split(t, watchFor(t, pager, 3*pollEvery), nil)
				require.Empty(t, failed)
				l.Do(func() { l.Expire(5); l.Add(30) })
				for _, saw := range watchFor(t, newPager(10).Resume(pager.Cursor()), pollEvery+1) {
					require.NoError(t, saw.err)
					came.one(t, epcclogs.IntegrationLog{Body: saw.body})
				}
				came.check(t, l, l.Requests, "")
			})
		}
	}
}

// A poll of a list that stands still costs two requests, and one if a page shows the whole
// list and says so. The first poll of a pager that goes on at a cursor may cost more, if the
// server shortens pages or tells nothing.
func TestFollowCost(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		claims := envelope != "bare" && envelope != "pages"
		for _, clamp := range []int{0, 20} {
			for _, newest := range []bool{false, true} {
				for _, size := range []int{0, 1, 2, 17, 130} {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest, Clamp: clamp}, size)
						polls, start := map[time.Duration]int{}, time.Now()
						l.Answer = func(int, int) wire.Step { polls[time.Since(start)]++; return nil }
						newPager := pagers(t, l)
						pager := newPager(0)
						quiet := func(first int) { // polls
							t.Helper()
							most := 2
							if claims && len(l.Now) <= 100 && (clamp == 0 || len(l.Now) <= clamp) {
								most = 1
							}
							if envelope == "bare" && len(l.Now) == 1 {
								most = 3 // the record may be all that the server has room for
							}
							for at, n := range polls {
								if at >= time.Duration(first)*pollEvery {
									require.LessOrEqual(t, n, most, "%v, %d records, at %v", l.Shape, size, at)
								}
							}
							require.Len(t, polls, 4)
							clear(polls)
							start = time.Now()
						}
						came := len(watchFor(t, pager, 3*pollEvery+1))
						quiet(1)
						inMinutes(l, 0, func() {
							l.Add(2)
							if size > 2 {
								l.Delete(size / 2)
							}
						})
						came += len(watchFor(t, pager, 3*pollEvery+1))
						quiet(2)
						require.Empty(t, watchFor(t, newPager(0).Resume(pager.Cursor()), 3*pollEvery+1))
						require.LessOrEqual(t, polls[0], 12, l.Shape)
						quiet(1)
						require.Equal(t, size+2, came, "%v, %d records", l.Shape, size)
					})
				}
			}
		}
	}
}

// What arrives comes at the next poll, the oldest first.
func TestFollowInTime(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := movinglist.New(movinglist.Shape{Envelope: "links", NewestFirst: newest}, 20)
			inMinutes(l, 0, func() { l.Add(2) })
			inMinutes(l, 2, func() { l.Add(120); l.Expire(15) })
			seen := watchFor(t, pagers(t, l)(0), 4*pollEvery+1)
			require.Len(t, seen, 142)
			for i, saw := range seen[20:] {
				want := followed{at: pollEvery, body: strconv.Itoa(20 + i)}
				if i >= 2 {
					want.at = 3 * pollEvery
				}
				require.Equal(t, want, saw)
			}
		})
	}
}

// Late records come, up to 15 places before the end that grows, also if other records arrive
// between two requests, and after Resume.
func TestFollowLateRecords(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			for arrives := range 4 {
				for _, depth := range []int{1, 15} {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 56)
						newPager := pagers(t, l)
						pager := newPager(40)
						inMinutes(l, 0, func() { l.Add(2) })
						inMinutes(l, 1, func() { l.AddLate(depth) })
						came := len(watchFor(t, pager, 2*pollEvery+1))
						arrives := l.Requests + arrives
						l.Answer = func(int, int) wire.Step {
							if l.Requests == arrives {
								l.Add(3)
							}
							return nil
						}
						inMinutes(l, 1, func() { l.AddLate(depth) })
						came += len(watchFor(t, newPager(40).Resume(pager.Cursor()), 3*pollEvery+1))
						require.Equal(t, len(l.Ever), came, "%v, 3 arrive before request %d, one %d places before the end", l.Shape, arrives, depth)
					})
				}
			}
		}
	}
}

// A pager that begins inside the list loses nothing that stands behind its beginning.
func TestFollowFromOffset(t *testing.T) {
	for _, envelope := range envelopes {
		for _, newest := range []bool{false, true} {
			for arrives := range 8 {
				synctest.Test(t, func(t *testing.T) {
					l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 40)
					l.Answer = func(int, int) wire.Step {
						if l.Requests == arrives {
							l.Add(1)
						}
						return nil
					}
					owed := l.Now[6:]
					pager := clientOf(t, l).IntegrationLogs(wire.Integration, &epcclogs.ListOptions{Offset: 5, Limit: 2})
					came, failed := split(t, watchFor(t, pager, 3*pollEvery+1), nil)
					require.Empty(t, failed)
					for _, r := range owed {
						require.Equal(t, 1, came[r.N], "%v, one arrives before request %d: record %d", l.Shape, arrives, r.N)
					}
					came.check(t, l, -1, "")
				})
			}
		}
	}
}

// CaughtUp is when the latest round began that came to its end, also while nothing is new. A
// round that fails begins anew.
func TestCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
		l.Answer = func(int, int) wire.Step {
			if time.Since(start) == 3*pollEvery || l.Requests == 1 { // the second page, at first
				return wire.Reply(http.StatusForbidden, "")
			}
			return nil
		}
		inMinutes(l, 3, func() { l.Add(1) })
		pager := pagers(t, l)(0)
		require.Zero(t, pager.CaughtUp())
		watched := make(chan []time.Duration)
		go func() {
			var seen []time.Duration
			time.Sleep(time.Nanosecond)
			for range 6 {
				if at := pager.CaughtUp(); !at.IsZero() {
					seen = append(seen, at.Sub(start))
				} else {
					seen = append(seen, -1)
				}
				time.Sleep(pollEvery)
			}
			watched <- seen
		}()
		came, _ := split(t, watchFor(t, pager, 6*pollEvery-1), epcclogs.ErrForbidden)
		require.Len(t, came, 251)
		require.Equal(t, []time.Duration{-1, pollEvery, 2 * pollEvery, 2 * pollEvery, 4 * pollEvery, 5 * pollEvery}, <-watched)
	})
}

// An answer that a cache has kept makes CaughtUp as much older.
func TestCaughtUpOfACachedPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := pagers(t, wire.OK(`{"data":[`+wire.Record(0)+`],"results":{"total":1}}`, "Age", "60"))(0)
		for _, err := range pager.All(t.Context()) {
			require.NoError(t, err)
		}
		require.Equal(t, time.Now().Add(-time.Minute), pager.CaughtUp())
	})
}

// Followed from a time on, only what is added since then comes, and the list is not read from
// its beginning.
func TestFollowSince(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := movinglist.New(movinglist.Shape{Envelope: "links", NewestFirst: newest}, 30_000)
			inMinutes(l, 1, func() { l.Add(3) })
			pager := pagers(t, l)(0).Since(createdAt(30_000))
			came, failed := split(t, watchFor(t, pager, 2*pollEvery+1), nil)
			require.Empty(t, failed)
			require.Equal(t, tally{30_000: 1, 30_001: 1, 30_002: 1}, came)
			require.LessOrEqual(t, l.Requests, 40)
		})
	}
}

// When the list has moved, the pages that were asked for early are used if they show a known
// record. Otherwise the place is looked for, and none is asked for early for a while.
func TestConcurrentCost(t *testing.T) {
	for name, tt := range map[string]struct {
		expire   func(page int) int // records deleted in front after a page
		requests int
	}{
		"stands still": {func(int) int { return 0 }, 31},
		"moves once": {func(page int) int {
			if page == 5 {
				return 30
			}
			return 0
		}, 43},
		"keeps moving": {func(int) int { return 3 }, 58},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 3000)
				came, page := tally{}, 0
				for p, err := range pagers(t, wire.After(time.Millisecond, l.RoundTrip))(0).Concurrent(4).Pages(t.Context()) {
					require.NoError(t, err)
					for _, log := range p.Data {
						came.one(t, log)
					}
					synctest.Wait() // the pages that were asked for early are as old as this one
					page++
					l.Do(func() { l.Expire(tt.expire(page)) })
				}
				came.check(t, l, 0, name)
				assert.LessOrEqual(t, l.Requests, tt.requests)
			})
		})
	}
}
