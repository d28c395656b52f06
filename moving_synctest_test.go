//go:build go1.25

package epcclogs_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
)

const pollEvery = time.Minute

// short is a list of which a pager cannot tell which end grows: a late record may
// come to stand at the other one.
const short = 32

// follow follows the list through changes, outages, stops and quiet times. After
// each quiet time all of the list must have come, and a poll costs one request:
// two until the end that grows was seen to.
func (h *history) follow() {
	h.t.Helper()
	var changesEnd, outage, recovery, last time.Time
	between := func(from, to time.Time) bool { now := time.Now(); return !now.Before(from) && now.Before(to) }
	h.down = func() bool { return between(outage, recovery) }
	h.calm = func() bool { return time.Now().After(changesEnd) }
	polls := map[time.Time]int{} // requests
	shortest := 0                // length of the list in this phase
	grown := false               // records were added, and came, after all others had come
	h.rest = func() bool {
		now := time.Now()
		rest := now.Sub(last) > pollEvery/2
		last = now
		if rest {
			h.pollCost += 3 * (1 + window/max(1, h.least-1))
		}
		polls[now]++
		shortest = min(shortest, len(h.list.Now))
		return rest
	}
	answer := h.list.Answer
	h.list.Answer = func() int {
		status := answer()
		if h.calm() {
			h.rest() // counts the request
		}
		return status
	}

	pager := h.newPager("")
	for phase := range 1 + h.rng.IntN(3) {
		var end time.Time
		came, lost := len(h.handed), 0
		h.list.Do(func() {
			clear(polls)
			lost, shortest = h.lost, len(h.list.Now)
			h.left = h.rng.IntN(15)
			now := time.Now()
			changesEnd = now.Add(time.Duration(h.rng.IntN(8)) * pollEvery)
			end = changesEnd.Add(5*pollEvery + pollEvery/3)
			outage, recovery = time.Time{}, time.Time{}
			if h.rng.IntN(4) == 0 {
				outage = now.Add(time.Duration(h.rng.IntN(4))*pollEvery - pollEvery/7)
				recovery = outage.Add(time.Duration(h.rng.Int64N(int64(3 * pollEvery))))
				if recovery.After(changesEnd) {
					recovery = changesEnd
				}
			}
			h.list.Note("phase %d", phase, 0, 0)
		})
		ctx, cancel := context.WithCancel(h.t.Context())
		stop := time.AfterFunc(time.Until(end), cancel)
		started := time.Now()
		for ctx.Err() == nil {
			started = time.Now()
			most := -1
			if h.rng.IntN(2) == 0 {
				most = 1 + h.rng.IntN(30)
			}
			left := false
			for log, err := range pager.Follow(ctx, pollEvery) {
				if h.endless {
					h.failf("more than %d requests", h.most)
				}
				switch {
				case ctx.Err() != nil && err != nil:
					require.ErrorIs(h.t, err, context.Canceled)
				case err != nil && (outage.IsZero() || time.Now().Before(outage)):
					h.failf("%v", err)
				case err != nil:
					require.ErrorIs(h.t, err, epcclogs.ErrServer)
					left = h.rng.IntN(3) == 0
				default:
					h.take(log)
					most--
					left = most == 0
				}
				if left {
					break
				}
			}
			switch {
			case ctx.Err() != nil:
			case !left:
				h.failf("Follow ended")
			case h.rng.IntN(2) == 0:
				h.list.Do(func() { h.list.Note("the same pager goes on", 0, 0, 0) })
			default:
				pager = h.newPager(pager.Cursor())
			}
			if h.rng.IntN(3) == 0 && time.Now().Before(changesEnd) {
				time.Sleep(pollEvery)
			}
		}
		stop.Stop()
		cancel()
		h.complete(h.list.Requests)
		h.inOrder()
		h.list.Do(func() {
			if came > 0 && phase > 0 && shortest >= short && lost == h.lost {
				for _, n := range h.handed[came:] {
					grown = grown || !h.list.Ever[n].Late
				}
			}
			if h.lost > lost {
				grown = false
			}
		})
		if h.least >= window && end.Sub(started) > 4*pollEvery {
			most := 2
			// New records may not stand beside known ones. Nor do they, without a claim, if the
			// last known one was deleted.
			if silent := h.list.Envelope == "bare" || h.list.Envelope == "pages"; grown && !silent && h.profile.name != "wild" && h.profile.scatter == 0 {
				most = 1
			}
			at := slices.SortedFunc(maps.Keys(polls), time.Time.Compare)
			require.Greater(h.t, len(at), 2)
			for _, at := range at[len(at)-2:] {
				if polls[at] > most {
					h.failf("a quiet poll cost %d requests, want %d; the list was seen to grow: %t", polls[at], most, grown)
				}
			}
			if every := at[len(at)-1].Sub(at[len(at)-2]); every != pollEvery {
				h.failf("a poll %v after the one before", every)
			}
		}
		if h.rng.IntN(2) == 0 {
			pager = h.newPager(pager.Cursor())
		}
	}
}

// Following a list, through stops and outages, hands out every record once.
func TestMovingListFollow(t *testing.T) {
	fixed := []uint64{
		7859, 1001499, 1004264, 1007216, 2014845, 2020553, 2024014, 2029532, 2038394, 7005235, 7005258, 7007821,
		110004347, 130014323, 200000043, 200000803, 240010508, 700005818, 931009752, 941009644, 951001912, 952003605, 961012874, 962010177, 972001259, 982012699, 1101036585,
		1402016005, 2800050014, 2800109767, 2600204442, 3200002271, 3800006253,
		4400181482, 4400242143, 5800004436, 8600012129, 8600063982, 8800073749, 9662, 8600133877, 11600062779,
	}
	histories(t, fixed, *movingSeeds/4, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { newHistory(t, seed).follow() })
	})
}

// So it does if records are deleted wherever they stand, and others are changed.
func TestMovingListFollowDeletions(t *testing.T) {
	fixed := []uint64{1097, 3290, 3947, 6814, 12867, 24346, 41979, 202495}
	histories(t, fixed, *movingSeeds/4, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(t, seed)
			h.deletions()
			h.follow()
		})
	})
}

// followed is one thing that a loop over Follow saw, and when.
type followed struct {
	at   time.Duration
	body string // of a record, or
	kind string // of an error
}

// watchFor follows the list for a while, and returns what the loop saw.
func watchFor(t *testing.T, pager *epcclogs.Pager[epcclogs.IntegrationLog], start time.Time, during time.Duration) (seen []followed) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer time.AfterFunc(during, cancel).Stop()
	for log, err := range pager.Follow(ctx, pollEvery) {
		if ctx.Err() != nil {
			require.ErrorIs(t, err, context.Canceled)
			continue // the last
		}
		saw := followed{at: time.Since(start), body: log.Body}
		if err != nil {
			saw.kind = kind(err)
		}
		seen = append(seen, saw)
	}
	require.Error(t, ctx.Err(), "Follow ended")
	return seen
}

// An error is handed to the loop, once for each interval; nothing that comes
// before or after it is lost or comes twice, whatever the answer was.
func TestFollowGoesOnAfterErrors(t *testing.T) {
	for _, status := range []int{401, 403, 404, 500, 503} {
		for _, newest := range []bool{false, true} {
			for _, begun := range []bool{false, true} { // the error comes after the first page, or between two polls
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					l := movinglist.New(movinglist.Shape{Envelope: "meta", NewestFirst: newest}, 150)
					from, to := pollEvery/2, 3*pollEvery+pollEvery/2 // three polls fail
					if !begun {
						from = 0
					}
					l.Answer = func() int {
						if now := time.Since(start); l.Requests > 0 && now >= from && now < to {
							return status
						}
						return 0
					}
					time.AfterFunc(2*pollEvery, func() { l.Do(func() { l.Add(3) }) })
					time.AfterFunc(5*pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(2) }) })
					seen := watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), start, 8*pollEvery+pollEvery/2)
					came := map[string]int{}
					var failed []time.Duration
					for _, saw := range seen {
						if saw.kind == "" {
							came[saw.body]++
							continue
						}
						require.Equal(t, strconv.Itoa(status), saw.kind)
						failed = append(failed, saw.at.Truncate(pollEvery))
					}
					want := []time.Duration{pollEvery, 2 * pollEvery, 3 * pollEvery}
					if !begun {
						want = append([]time.Duration{0}, want...)
					}
					require.Equal(t, want, failed)
					require.Len(t, came, 155)
					for body, times := range came {
						require.Equal(t, 1, times, body)
					}
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
			l := movinglist.New(movinglist.Shape{Envelope: "links"}, 150)
			l.Answer = func() int {
				if l.Requests > 0 && time.Now().Second() == 30 {
					return http.StatusNotFound
				}
				return 0
			}
			c := clientOf(t, l)
			pager := c.IntegrationLogs(integration, nil)
			time.Sleep(30 * time.Second)
			came := 0
			for _, err := range pager.Follow(t.Context(), pollEvery) {
				if err != nil {
					require.ErrorIs(t, err, epcclogs.ErrNotFound)
					break
				}
				came++
			}
			require.Equal(t, 100, came)
			time.Sleep(10 * time.Second)
			if resume {
				pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
			}
			for _, saw := range watchFor(t, pager, time.Now(), pollEvery+pollEvery/2) {
				require.Equal(t, followed{at: saw.at, body: strconv.Itoa(came)}, saw)
				came++
			}
			require.Equal(t, 150, came)
		})
	}
}

// A poll of a list that stands still costs one request, and two until the end that grows
// was seen. The first poll of a pager that goes on at a cursor may cost more, if the server
// shortens pages or tells nothing. A short list does not show which end grows.
func TestFollowCost(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, clamp := range []int{0, 5, 16, 20} {
			for _, newest := range []bool{false, true} {
				sizes := []int{0, 1, 2, 5, 15, 16, 17, 40, 300}
				if clamp == 0 {
					sizes = append(sizes, 1500)
				}
				for _, size := range sizes {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest, Clamp: clamp}, size)
						polls := map[time.Duration]int{}
						start := time.Now()
						l.Answer = func() int { polls[time.Since(start)]++; return 0 }
						c := clientOf(t, l)
						pager := c.IntegrationLogs(integration, nil)
						came := 0
						first := 0 // more requests in the first poll at a cursor, which does not know how long pages are
						switch {
						case clamp > 0:
							first = 12
						case envelope == "bare" || envelope == "pages":
							first = 2
						}
						quiet := func(most int) {
							t.Helper()
							clear(polls)
							start = time.Now()
							pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
							require.Empty(t, watchFor(t, pager, start, 2*pollEvery+1), "%v, %d records", l.Shape, size)
							require.Len(t, polls, 3)
							for at, n := range polls {
								most := most
								if at == 0 {
									most += first
								}
								require.LessOrEqual(t, n, most, "%v, %d records, at %v", l.Shape, size, at)
							}
						}
						came += len(watchFor(t, pager, start, 3*pollEvery+1))
						for i := range 3 {
							require.LessOrEqual(t, polls[time.Duration(i+1)*pollEvery], 2, "%v, %d records", l.Shape, size)
						}
						quiet(2)
						for range 2 {
							l.Do(func() { l.Add(2) })
							pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
							came += len(watchFor(t, pager, start, pollEvery+1))
						}
						require.Equal(t, size+4, came)
						if size < short {
							quiet(2)
						} else {
							quiet(1)
						}
					})
				}
			}
		}
	}
}

// Polls become quiet again after one of the records was deleted by which a pager knows an
// end of the list.
func TestFollowCostAfterDeletion(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, clamp := range []int{0, 17, 25} {
				for at := 0; at < 29; at += 2 {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest, Clamp: clamp}, 29)
						polls := map[time.Duration]int{}
						start := time.Now()
						l.Answer = func() int { polls[time.Since(start)]++; return 0 }
						time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Delete(at) }) })
						require.Len(t, watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), start, 4*pollEvery+1), 29)
						for i := 2; i <= 4; i++ {
							require.LessOrEqual(t, polls[time.Duration(i)*pollEvery], 2, "%v, %d deleted", l.Shape, at)
						}
					})
				}
			}
		}
	}
}

// What arrives is handed out at the next poll, the oldest first.
func TestFollowInTime(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			l := movinglist.New(movinglist.Shape{Envelope: "links", NewestFirst: newest}, 20)
			time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(2) }) })
			time.AfterFunc(2*pollEvery+1, func() { l.Do(func() { l.Add(120); l.Expire(15) }) })
			seen := watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), start, 4*pollEvery+1)
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

// Late records come, 15 places before the end that grows, whenever another record
// arrives between two requests.
func TestFollowLateRecords(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, clamp := range []int{0, 32} {
			for arrives := range 8 {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					l := movinglist.New(movinglist.Shape{Envelope: envelope, Clamp: clamp}, 40)
					l.Answer = func() int {
						if l.Requests == arrives {
							l.Add(1)
						}
						return 0
					}
					time.AfterFunc(2*pollEvery+1, func() { l.Do(func() { l.Add(20) }) })
					time.AfterFunc(3*pollEvery+1, func() { l.Do(func() { l.AddLate(15) }) })
					seen := watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), start, 5*pollEvery+1)
					require.Len(t, seen, len(l.Ever), "%s, %d a page, one arrives before request %d", envelope, clamp, arrives)
				})
			}
		}
	}
}

// So they do after Resume, when the pager has seen only what was added since then, some of
// it between two requests.
func TestFollowLateRecordsAfterResume(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for arrives := range 3 {
				for depth := 1; depth <= 15; depth += 2 {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 140)
						c := clientOf(t, l)
						pager := c.IntegrationLogs(integration, nil)
						time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(2) }) })
						came := len(watchFor(t, pager, time.Now(), pollEvery+1))
						arrives := l.Requests + arrives
						l.Answer = func() int {
							if l.Requests == arrives {
								l.Add(3)
							}
							return 0
						}
						pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
						time.AfterFunc(pollEvery+pollEvery/2, func() { l.Do(func() { l.AddLate(depth) }) })
						came += len(watchFor(t, pager, time.Now(), 3*pollEvery+1))
						require.Equal(t, 146, came, "%v, 3 arrive before request %d, one %d places before the end", l.Shape, arrives, depth)
					})
				}
			}
		}
	}
}

// In a short list, a record that is committed late may come to stand at the end that does
// not grow. It comes, and so does everything after it.
func TestFollowLateRecordAtTheOtherEnd(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, clamp := range []int{0, 20} {
				for _, size := range []int{1, 5, 15} {
					for _, added := range []int{1, 20, 31, 150} {
						synctest.Test(t, func(t *testing.T) {
							l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest, Clamp: clamp}, size)
							time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.AddLate(size); l.Add(added) }) })
							time.AfterFunc(2*pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(added) }) })
							came := map[string]int{}
							for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 5*pollEvery+1) {
								came[saw.body]++
								require.Equal(t, 1, came[saw.body], "%v, %d and %d records: record %s", l.Shape, size, added, saw.body)
							}
							require.Len(t, came, len(l.Ever), "%v, %d and %d records", l.Shape, size, added)
						})
					}
				}
			}
		}
	}
}

// So it is if the list has just become short: what is added later comes. The late record
// itself is the oldest of the list, and is owed to nobody.
func TestFollowLateRecordAfterPurge(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, added := range []int{1, 40} {
				for purged := 1; purged <= 7; purged++ {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 60)
						l.Answer = func() int {
							switch l.Requests {
							case purged:
								l.Expire(54)
							case purged + 1:
								l.AddLate(6)
								l.Add(added)
							}
							return 0
						}
						time.AfterFunc(6*pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(added) }) })
						came := map[string]int{}
						for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 9*pollEvery+1) {
							came[saw.body]++
						}
						for _, r := range l.Ever {
							if !r.Late {
								require.Equal(t, 1, came[strconv.Itoa(r.N)], "%v, purge before request %d, %d added: record %d", l.Shape, purged, added, r.N)
							}
						}
					})
				}
			}
		}
	}
}

// So it is if nearly all records are deleted, wherever they stand, as when an integration is
// deleted that most of them belong to.
func TestFollowLateRecordAfterDeletions(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, learned := range []int{0, 2} { // records that show which end grows
				for _, left := range [][]int{{0, 1, 2}, {0, 10, 20, 30, 39}} {
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 40)
						time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(learned) }) })
						time.AfterFunc(2*pollEvery+pollEvery/2, func() {
							l.Do(func() {
								for i := len(l.Now) - 1; i >= 0; i-- {
									if !slices.Contains(left, l.Now[i].N) {
										l.Delete(i)
									}
								}
								l.AddLate(len(left))
							})
						})
						for i := range 3 {
							time.AfterFunc(time.Duration(4+i)*pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(3) }) })
						}
						came := map[string]int{}
						for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 8*pollEvery+1) {
							came[saw.body]++
						}
						for _, r := range l.Now {
							if !r.Late {
								require.NotZero(t, came[strconv.Itoa(r.N)], "%v, %v left, %d added before: record %d", l.Shape, left, learned, r.N)
							}
						}
					})
				}
			}
		}
	}
}

// Nothing is lost if most of the list is deleted while what was added is read.
func TestFollowWhileMostIsDeleted(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, learned := range []int{0, 2} { // records that show which end grows
				for nth := range 15 { // the records that are left, and the request before which the others are deleted
					left, before := 3+nth/5, nth%5
					synctest.Test(t, func(t *testing.T) {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 120)
						time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(learned) }) })
						polls := 0
						time.AfterFunc(pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(300); polls = l.Requests }) })
						l.Answer = func() int {
							if polls > 0 && l.Requests == polls+before {
								l.DeleteFunc(func(r *movinglist.Record) bool { return r.N%left != 0 })
							}
							return 0
						}
						came := map[string]int{}
						for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 4*pollEvery+1) {
							came[saw.body]++
						}
						for _, r := range l.Now {
							require.Equal(t, 1, came[strconv.Itoa(r.N)], "%v, each of %d left before request %d, %d added before: record %d", l.Shape, left, before, learned, r.N)
						}
					})
				}
			}
		}
	}
}

// A page that the server has shortened does not hide the rest of the records by which the
// beginning of the list is known.
func TestFollowAShortPage(t *testing.T) {
	notByChance(t)
	for _, envelope := range movinglist.Envelopes {
		for _, clamp := range []int{5, 12} {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: true}, 300)
				for i, change := range []func(){
					func() { l.Add(3) },
					func() { l.Clamp = clamp; l.Add(3) },
					func() {
						l.Clamp = 0
						for range clamp {
							l.Delete(0)
						}
						l.Add(2)
					},
				} {
					time.AfterFunc(time.Duration(i)*pollEvery+pollEvery/2, func() { l.Do(change) })
				}
				came := map[string]int{}
				for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 5*pollEvery+1) {
					came[saw.body]++
				}
				for _, r := range l.Now {
					require.Equal(t, 1, came[strconv.Itoa(r.N)], "%v, %d a page: record %d", l.Shape, clamp, r.N)
				}
			})
		}
	}
}

// What is added in front comes, although the first records of the list were deleted just
// before. It comes alone if the last 200 records are all of the list.
func TestFollowAfterTheFirstWereDeleted(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		for _, size := range []int{60, 500} {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: true}, size)
				time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(2) }) })
				time.AfterFunc(pollEvery+pollEvery/2, func() {
					l.Do(func() {
						for range 20 {
							l.Delete(0)
						}
						l.Add(5)
					})
				})
				came := map[string]int{}
				for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 4*pollEvery+1) {
					came[saw.body]++
				}
				require.Len(t, came, size+7, l.Shape)
				if size < 200 {
					for body, times := range came {
						require.Equal(t, 1, times, "%v, record %s", l.Shape, body)
					}
				}
			})
		}
	}
}

// A record that is changed counts as another. One at an end of the list does not show that
// the list grows there.
func TestFollowChangedRecord(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for _, at := range []int{0, 39} {
				synctest.Test(t, func(t *testing.T) {
					l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 40)
					time.AfterFunc(pollEvery/2, func() {
						l.Do(func() {
							l.Delete(at)
							if newest {
								l.AddLate(at)
							} else {
								l.AddLate(39 - at)
							}
						})
					})
					for i := range 2 {
						time.AfterFunc(time.Duration(2+2*i)*pollEvery+pollEvery/2, func() { l.Do(func() { l.Add(3) }) })
					}
					came := map[string]int{}
					for _, saw := range watchFor(t, clientOf(t, l).IntegrationLogs(integration, nil), time.Now(), 7*pollEvery+1) {
						came[saw.body]++
					}
					for _, r := range l.Ever {
						require.Equal(t, 1, came[strconv.Itoa(r.N)], "%v, record %d, the one at %d was changed", l.Shape, r.N, at)
					}
				})
			}
		}
	}
}

// A late record comes too if it stands between the first two records of a list that has
// become shorter than an overlap.
func TestFollowLateRecordInAListThatShrank(t *testing.T) {
	for _, envelope := range []string{"meta", "links", "nested", "results", "pages"} {
		for size := 2; size <= 16; size++ {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: envelope}, 40)
				c := clientOf(t, l)
				pager := c.IntegrationLogs(integration, nil)
				time.AfterFunc(pollEvery/2, func() { l.Do(func() { l.Add(2) }) })
				time.AfterFunc(pollEvery+pollEvery/2, func() { l.Do(func() { l.Expire(42 - size) }) })
				came := len(watchFor(t, pager, time.Now(), 2*pollEvery+1))
				pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
				time.AfterFunc(pollEvery+pollEvery/2, func() { l.Do(func() { l.AddLate(size - 1) }) })
				came += len(watchFor(t, pager, time.Now(), 3*pollEvery+1))
				require.Equal(t, 43, came, "%s, %d records", envelope, size)
			})
		}
	}
}

// A pager that begins inside the list loses nothing that stands behind its beginning.
func TestFollowFromOffset(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		for _, newest := range []bool{false, true} {
			for arrives := range 8 {
				synctest.Test(t, func(t *testing.T) {
					l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: newest}, 40)
					l.Answer = func() int {
						if l.Requests == arrives {
							l.Add(1)
						}
						return 0
					}
					var first *movinglist.Record // of those that are owed
					l.Do(func() { first = l.Now[6] })
					came := map[string]int{}
					pager := clientOf(t, l).IntegrationLogs(integration, &epcclogs.ListOptions{Offset: 5, Limit: 2})
					for _, saw := range watchFor(t, pager, time.Now(), 3*pollEvery+1) {
						came[saw.body]++
					}
					for _, r := range l.Now {
						if r.Place >= first.Place {
							require.Equal(t, 1, came[strconv.Itoa(r.N)], "%v, one arrives before request %d: record %d", l.Shape, arrives, r.N)
						}
					}
				})
			}
		}
	}
}

// CaughtUp moves on with each poll that succeeds, also while nothing is new, and not
// before all records of the poll were returned.
func TestCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 250)
		l.Answer = func() int {
			now := time.Since(start)
			if now == 3*pollEvery || l.Requests == 1 { // the second page, at first
				return http.StatusForbidden
			}
			return 0
		}
		time.AfterFunc(4*pollEvery-1, func() { l.Do(func() { l.Add(1) }) })
		pager := clientOf(t, l).IntegrationLogs(integration, nil)
		require.Zero(t, pager.CaughtUp())
		var seen []time.Duration
		watch := func(at time.Duration) {
			time.Sleep(at - time.Since(start))
			if at := pager.CaughtUp(); !at.IsZero() {
				seen = append(seen, at.Sub(start))
			} else {
				seen = append(seen, -1)
			}
		}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for i := range 6 {
				watch(time.Duration(i)*pollEvery + 1)
			}
		}()
		came := 0
		ctx, cancel := context.WithTimeout(t.Context(), 6*pollEvery-1)
		defer cancel()
		for log, err := range pager.Follow(ctx, pollEvery) {
			if err == nil {
				came++
			}
			if log.Body == "250" { // the one that was added
				require.Equal(t, 2*pollEvery, pager.CaughtUp().Sub(start))
			}
		}
		<-watched
		require.Equal(t, 251, came)
		// The first round took two polls, since one failed; so did that of the fourth.
		require.Equal(t, []time.Duration{-1, 0, 2 * pollEvery, 2 * pollEvery, 3 * pollEvery, 5 * pollEvery}, seen)
	})
}
