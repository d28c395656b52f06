package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// failed returns the log of a failed attempt.
func failed(integration, job string, attempt int, at time.Time, status int) epcclogs.IntegrationLog {
	l := epcclogstest.Log(integration, job, attempt, at)
	l.Succeeded, l.StatusCode, l.ErrorDetail = false, status, "The webhook failed"
	return l
}

func TestSave(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		now := time.Now()
		p, err := s.place(t.Context(), wholeStore)
		require.NoError(t, err)
		assert.Equal(t, place{}, p)

		odd := epcclogs.IntegrationLog{ID: "odd", Body: "nul \x00, quotes '\"\\, <b>, \u2028, 😀", ProcessingTime: 0.0123}
		logs := append(epcclogstest.SampleLogs("hook", 500), odd)
		at := now.Add(-time.Minute).Truncate(time.Microsecond).UTC()
		save(t, s, wholeStore, logs[:300], place{"one", time.Time{}}, now)
		p, err = s.place(t.Context(), wholeStore)
		require.NoError(t, err)
		assert.Equal(t, place{cursor: "one"}, p, "the end was not reached yet")
		save(t, s, wholeStore, logs[200:], place{"two", at}, now)
		save(t, s, "other", nil, place{"three", now}, now)
		p, err = s.place(t.Context(), wholeStore)
		require.NoError(t, err)
		assert.Equal(t, place{"two", at}, p)
		want := asRows(logs[:500])
		row := newLogRow(odd, now)
		assert.Equal(t, "nul \uFFFD, quotes '\"\\, <b>, \u2028, 😀", row.Body)
		assert.Equal(t, row.Key, row.Job, "a record without a job is an event of its own")
		want[row.Key] = row
		assert.Equal(t, want, stored(t, s))
	})
}

// Old attempts go, in batches; events and alerts go with their last attempt.
func TestForget(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		now := time.Now()
		old, kept := now.Add(-49*time.Hour), now.Add(-23*time.Hour)
		logs := []epcclogs.IntegrationLog{
			failed("hook", "half", 2, kept, 500), failed("hook", "new", 1, kept, 500), epcclogstest.Log("hook", "good", 1, kept),
			failed("hook", "half", 1, old, 500), failed("hook", "gone", 1, old, 500), failed("hook", "gone", 2, old, 500),
			failed("other", "new", 1, old, 500), epcclogstest.Log("hook", "done", 1, old),
		}
		c := &clock{t: now}
		c.read(t, s, logs...)
		a := newAlerter(s, newReceiver(t), c)
		a.alerts.grace = 0
		a.do(t)
		assert.Equal(t, 4, number(t, s.db, `SELECT COUNT(*) FROM incidents`))
		for _, want := range []bool{true, true, false} {
			more, err := s.forget(t.Context(), now, 24*time.Hour, 2)
			require.NoError(t, err)
			assert.Equal(t, want, more)
			assert.Zero(t, number(t, s.db, `SELECT COUNT(*) FROM events WHERE key NOT IN (SELECT key FROM logs)`))
		}
		assert.Equal(t, asRows(logs[:3]), stored(t, s))
		assert.Equal(t, 3, number(t, s.db, `SELECT COUNT(*) FROM events`))
		assert.Equal(t, 2, number(t, s.db, `SELECT COUNT(*) FROM incidents WHERE integration = 'hook' AND job IN ('half', 'new')`))
		assert.Equal(t, 2, number(t, s.db, `SELECT COUNT(*) FROM incidents`))

		// The program does so with -keep.
		c.read(t, s, logs...)
		api := epcclogstest.NewServer()
		defer api.Close()
		setenv(t, api)
		_, err := s.db.ExecContext(t.Context(), `DELETE FROM watch`)
		require.NoError(t, err)
		start(t, append(use(t, location), "-keep", "24h")...)
		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == 3 })
	})
}

// The last attempt of an event is found in whatever order the attempts come.
func TestLastAttempt(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		now := time.Now()
		first, second := failed("hook", "job", 1, now.Add(-time.Hour), 500), failed("hook", "job", 2, now.Add(-time.Minute), 503)
		third := epcclogstest.Log("hook", "job", 3, now)
		look := func(logs ...epcclogs.IntegrationLog) []undelivered {
			for _, table := range []string{"logs", "events"} {
				_, err := s.db.ExecContext(t.Context(), `DELETE FROM `+table)
				require.NoError(t, err)
			}
			save(t, s, wholeStore, logs[:1], place{"", now}, now)
			save(t, s, wholeStore, logs[1:], place{"", now}, now)
			v, err := s.look(t.Context(), filter{Period: periods[1]}, now)
			require.NoError(t, err)
			l, err := s.list(t.Context(), choice{filter: filter{Period: periods[1]}, Status: anyStatus}, now, 10)
			require.NoError(t, err)
			assert.Equal(t, l.Total, v.Undelivered)
			assert.Len(t, l.Events, l.Total)
			return l.Events
		}
		for _, logs := range [][]epcclogs.IntegrationLog{{first, second}, {second, first}, {first, first, second}} {
			events := look(logs...)
			require.Len(t, events, 1)
			assert.Equal(t, 2, events[0].Attempts)
			assert.Equal(t, 503, events[0].Status)
			assert.Equal(t, int64(60), events[0].AgeSeconds)
		}
		assert.Empty(t, look(first, second, third))
		assert.Empty(t, look(third, second, first))
		assert.Empty(t, look(second, third, first))
	})
}

// The summary is checked against what plain Go counts, for each filter.
func TestSummary(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		now := time.Now()
		var logs []epcclogs.IntegrationLog
		for i := range 3 {
			in := epcclogstest.SampleIntegration(i)
			require.NoError(t, s.saveIntegration(t.Context(), in))
			sample := epcclogstest.SampleLogs(in.ID, 1500)
			late := now.Sub(sample[len(sample)-1].CreatedAt())
			for j := range sample {
				sample[j].Meta.Timestamps.CreatedAt = sample[j].CreatedAt().Add(late)
			}
			logs = append(logs, sample...)
		}
		save(t, s, wholeStore, logs, place{"", now}, now)

		for _, p := range periods {
			for _, id := range []string{"", epcclogstest.SampleIntegration(1).ID, "unknown"} {
				f := filter{Integration: id, Period: p}
				v, err := s.look(t.Context(), f, now)
				require.NoError(t, err)
				l, err := s.list(t.Context(), choice{filter: f, Status: anyStatus}, now, 1<<20)
				require.NoError(t, err)
				from := f.window(now).from
				var chosen []epcclogs.IntegrationLog
				for _, l := range logs {
					if !l.CreatedAt().Before(from) && (id == "" || l.IntegrationID() == id) {
						chosen = append(chosen, l)
					}
				}
				assert.Equal(t, counts(chosen), v.Counts)
				length := f.window(now).slot
				assert.Len(t, v.Slots, int(p.length/length))
				in := 0
				for i, slot := range v.Slots {
					if i > 0 {
						assert.Equal(t, length, slot.Start.Sub(v.Slots[i-1].Start))
					}
					in += slot.Attempts
				}
				assert.Equal(t, len(chosen), in)
				statuses := 0
				for _, st := range v.Statuses {
					n := 0
					for _, l := range chosen {
						if !l.Succeeded && l.StatusCode == st.Status {
							n++
						}
					}
					assert.Equal(t, n, st.Count)
					statuses += n
				}
				assert.Equal(t, v.Failures, statuses)

				last := make(map[string]epcclogs.IntegrationLog)
				for _, l := range logs {
					if l.Attempt >= last[l.JobID()].Attempt {
						last[l.JobID()] = l
					}
				}
				open := make(map[string]int)
				for _, l := range last {
					if !l.Succeeded && !l.CreatedAt().Before(from) && (id == "" || l.IntegrationID() == id) {
						open[l.JobID()] = l.Attempt
					}
				}
				found := make(map[string]int)
				for _, e := range l.Events {
					found[e.Job] = e.Attempts
				}
				assert.Equal(t, open, found)
				assert.Equal(t, len(open), v.Undelivered)

				for _, sum := range v.Integrations {
					if id == "unknown" {
						assert.Zero(t, sum.Counts)
						continue
					}
					var own []epcclogs.IntegrationLog
					for _, l := range chosen {
						if l.IntegrationID() == sum.ID {
							own = append(own, l)
						}
					}
					assert.Equal(t, counts(own), sum.Counts)
				}
			}
		}
		c := choice{filter: filter{Period: periods[4]}, Status: anyStatus, Page: 2}
		l, err := s.list(t.Context(), c, now, 7)
		require.NoError(t, err)
		assert.Len(t, l.Events, 7)
		assert.True(t, slices.IsSortedFunc(l.Events, func(a, b undelivered) int { return cmp.Compare(a.AgeSeconds, b.AgeSeconds) }))
		all, err := s.list(t.Context(), choice{filter: c.filter, Status: anyStatus}, now, 1000)
		require.NoError(t, err)
		assert.Equal(t, all.Events[7:14], l.Events)
	})
}

func counts(logs []epcclogs.IntegrationLog) Counts {
	var c Counts
	for _, l := range logs {
		c.add(1, l.Succeeded)
	}
	return c
}

// The database of one store is not used for another one, until it is said that it is the
// same one under another key.
func TestOtherStore(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		reopen := func(store string) error {
			s, err := openStore(t.Context(), location, store)
			if err == nil {
				require.NoError(t, s.close())
			}
			return err
		}
		require.NoError(t, reopen("A"))
		require.NoError(t, reopen("A"))
		require.ErrorContains(t, reopen("B"), "it is that of another store: of A, not of B; use another one, or empty its table watch")
		require.NoError(t, reopen("A"))
		_, err := open(t, location).db.ExecContext(t.Context(), `DELETE FROM watch`)
		require.NoError(t, err)
		require.NoError(t, reopen("B"))
		require.ErrorContains(t, reopen("A"), "it is that of another store: of B, not of A")
	})
}

// The database of release 0.2 is refused, and stays as it is.
func TestEarlierRelease(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, err := connect(location)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.close()) }()
		_, err = s.db.ExecContext(t.Context(), `CREATE TABLE events (integration TEXT NOT NULL, job TEXT NOT NULL, succeeded BOOLEAN NOT NULL, last_at BIGINT NOT NULL)`)
		require.NoError(t, err)
		_, err = openStore(t.Context(), location, "A")
		require.ErrorContains(t, err, "a database of release 0.2 cannot be used")
		require.Error(t, s.db.QueryRowContext(t.Context(), `SELECT * FROM watch`).Err(), "there is no such table")
	})
}

// Many processes that start together on a new database all do.
func TestStartTogether(t *testing.T) {
	for kind, location := range databases {
		for range 5 {
			location := location(t)
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					s, err := openStore(t.Context(), location, "A")
					if assert.NoError(t, err, kind) {
						assert.NoError(t, s.close())
					}
				})
			}
			all.Wait()
		}
	}
}

// What is counted as records arrive is what a count of the records says, however often
// and by however many processes they are stored.
func TestSums(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		now := time.Now()
		logs := epcclogstest.SampleLogs("hook", 2000)
		late := now.Sub(logs[len(logs)-1].CreatedAt())
		for i := range logs {
			logs[i].Meta.Timestamps.CreatedAt = logs[i].CreatedAt().Add(late)
		}
		var added atomic.Int64
		var all sync.WaitGroup
		for range 3 {
			s := open(t, location)
			all.Go(func() {
				for i := 0; i < len(logs); i += 100 {
					added.Add(int64(save(t, s, wholeStore, append(slices.Clone(logs[i:i+100]), logs[i]), place{}, now)))
				}
			})
		}
		all.Wait()
		s := open(t, location)
		assert.Equal(t, int64(2000), added.Load())
		assert.Equal(t, 2000, number(t, s.db, `SELECT SUM(n) FROM sums WHERE grain = 86400`))
		assert.Equal(t, number(t, s.db, `SELECT COUNT(*) FROM logs WHERE NOT succeeded`),
			number(t, s.db, `SELECT SUM(n) FROM sums WHERE grain = 86400 AND NOT succeeded`))
		_, err := s.forget(t.Context(), now.Add(100*days), 0, 0)
		require.NoError(t, err)
		assert.Zero(t, number(t, s.db, `SELECT COUNT(*) FROM sums WHERE grain < 86400`))
		assert.Equal(t, 2000, number(t, s.db, `SELECT SUM(n) FROM sums`))
	})
}

// A file that is no database is refused as it is.
// Who waits for others that write does so no longer than its context, or the time-out.
func TestWaitingToWrite(t *testing.T) {
	s := open(t, databases["sqlite"](t))
	s.writing <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.write(ctx, func(*tx) {}), context.DeadlineExceeded)
	s.timeout = 10 * time.Millisecond
	require.ErrorContains(t, s.write(t.Context(), func(*tx) {}), "waiting for others that write")
	<-s.writing
	s.timeout = queryTimeout
	require.NoError(t, s.write(t.Context(), func(*tx) {}))
}

func TestNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(path, []byte("Remember the milk."), 0o644))
	_, err := openStore(t.Context(), path, "A")
	require.ErrorContains(t, err, path+" is not an SQLite database")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm())
}

func TestAnswers(t *testing.T) {
	for _, tc := range []struct{ one, two, common string }{
		{`{"error":"unknown SKU","job":"00ab-12"}`, `{"error":"unknown SKU","job":"77cd-99"}`, `{"error":"unknown SKU","job":"…"}`},
		{"<html><h1>503 Service\nUnavailable</h1></html>", "503 Service Unavailable", "503 Service Unavailable"},
		{"at 2026-03-01T00:00:00Z", "at 2026-04-02T01:00:00Z", "at …:00:00Z"},
		{"", " ", "The webhook failed"},
	} {
		for _, body := range []string{tc.one, tc.two} {
			assert.Equal(t, tc.common, answerOf(logRow{Body: body, Reason: "The webhook failed"}))
		}
	}
	assert.LessOrEqual(t, len(answerOf(logRow{Body: strings.Repeat("😀", 1000)})), answerLimit)
}

// Each period and each time of one's own has a number of bars that can be seen, of
// counts that are kept.
func TestWindows(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for i, p := range periods {
		w := filter{Period: p}.window(now)
		assert.Equal(t, []time.Duration{60, 24, 56, 30, 53}[i], w.to.Sub(w.from)/w.slot)
		assert.True(t, w.from.Before(now) && w.to.After(now))
		assert.Zero(t, w.slot%w.grain)
	}
	for _, tc := range []struct {
		ago, length, slot time.Duration
	}{
		{2 * time.Hour, time.Hour, minutes},
		{60 * time.Hour, time.Hour, hours},
		{50 * days, time.Hour, days},
		{14 * days, 11 * days, days},
		{9 * days, 9 * days, 3 * hours},
		{364 * days, 364 * days, 7 * days},
	} {
		w := filter{From: now.Add(-tc.ago), To: now.Add(tc.length - tc.ago)}.window(now)
		assert.Equal(t, tc.slot, w.slot, tc)
		assert.Zero(t, w.to.Sub(w.from)%w.slot)
		assert.False(t, w.from.After(now.Add(-tc.ago)))
	}
}
