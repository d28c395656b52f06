package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/epcclogs/epcclogs"
)

const (
	batchSize   = 5000                   // records in one transaction at most
	batchBytes  = 8 << 20                // and about how much memory they take
	batchTime   = 500 * time.Millisecond // how long the first of them waits for others
	waitingRows = 2000                   // that were read and are in no batch yet
	pagesAhead  = 8                      // see Pager.Concurrent
	pageLimit   = 100                    // records on a page; fewer when pages are too large
	minPage     = 4                      // the pager may ask for 16 more, which it knows
	pageBytes   = 32 << 20               // see WithMaxResponseSize; there is as much in memory for each page ahead
	saveRetry   = 2 * time.Second        // while the database fails
	namesEvery  = 5 * time.Minute
	lastSave    = 5 * time.Second // for the records at hand when the program ends
	tidyEvery   = time.Minute     // how often old records are looked for
)

// wholeStore is the name of the list of all logs; other lists have the id of an
// integration for a name.
const wholeStore = "store"

type logPager = epcclogs.Pager[epcclogs.IntegrationLog]

// follower brings one list of logs from the API into the database.
type follower struct {
	list     string
	since    time.Time // of a list that was never read; zero: all of it
	api      *api
	store    *store
	interval time.Duration
	metrics  *metrics
	logger   *slog.Logger
	pager    atomic.Pointer[logPager]
	reading  reading
}

// entry is a record, and the place in the list behind it.
type entry struct {
	row    logRow
	cursor string
}

// run returns when ctx ends, or when the list cannot be followed at all.
func (f *follower) run(ctx context.Context) error {
	start, err := f.store.place(ctx, f.list)
	if err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	if start.caughtUp.After(time.Now()) { // an earlier run had another idea of the time
		start.caughtUp = time.Time{}
	}
	f.reading.stored(start.caughtUp, false)
	entries := make(chan entry, waitingRows)
	ended := make(chan error, 1)
	go func() {
		defer close(entries)
		ended <- f.follow(ctx, start.cursor, entries)
	}()
	f.saveAll(ctx, entries, start)
	return <-ended
}

// follow sends what the list brings, until ctx ends or it cannot be followed. When
// pages are too large for memory it goes on with shorter ones, and after a long pause
// perhaps with another client.
func (f *follower) follow(ctx context.Context, cursor string, entries chan<- entry) error {
	client, limit := f.api.current(), pageLimit
	for ctx.Err() == nil {
		options := &epcclogs.ListOptions{Limit: limit}
		pager := client.StoreLogs(options)
		if f.list != wholeStore {
			pager = client.IntegrationLogs(f.list, options)
		}
		if cursor == "" {
			pager.Since(f.since)
		}
		f.pager.Store(pager.Concurrent(max(1, pagesAhead*limit/pageLimit)).Resume(cursor))
		problem := f.read(ctx, limit, entries)
		cursor = pager.Cursor()
		switch {
		case errors.Is(problem, epcclogs.ErrResponseTooLarge):
			limit = max(limit/4, minPage)
		case pauseOf(problem) > f.api.wait:
			client = f.api.probe(ctx, client)
		case ctx.Err() == nil:
			return fmt.Errorf("follow the logs of %s: %w", f.list, problem)
		}
	}
	return nil
}

// read sends what the pager brings until it cannot go on.
func (f *follower) read(ctx context.Context, limit int, entries chan<- entry) (problem error) {
	pager := f.pager.Load()
	for record, err := range pager.Follow(ctx, f.interval) {
		if problem = err; err == nil {
			select {
			case entries <- entry{newLogRow(record, time.Now()), pager.Cursor()}:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if ctx.Err() == nil {
			f.reading.failed(err)
			f.logger.Warn("logs not read", "list", f.list, "error", err)
		}
		if errors.Is(err, epcclogs.ErrResponseTooLarge) && limit > minPage || pauseOf(err) > f.api.wait {
			return err
		}
	}
	return problem
}

// saveAll stores the entries in batches until there are no more, or until ctx ends
// and a batch cannot be stored. While nothing is new, it stores how far the list was
// read. The list was read up to last before.
func (f *follower) saveAll(ctx context.Context, entries <-chan entry, last place) {
	wait := min(batchTime, f.interval)
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for {
		var batch []logRow
		next := last
		select {
		case first, ok := <-entries:
			if !ok {
				return
			}
			batch, next.cursor = gather(first, entries, wait)
		case <-tick.C:
		}
		next.caughtUp = f.caughtUp(entries, last.caughtUp)
		if len(batch) > 0 || next != last {
			if !f.save(ctx, batch, next) {
				return
			}
			last = next
		}
	}
}

// caughtUp returns the time up to which the list is in the database, once all that
// was taken from entries is; last if that has not changed. What the loop returned
// before the pager's time is in entries, or was taken: so first the time, then the
// length.
func (f *follower) caughtUp(entries <-chan entry, last time.Time) time.Time {
	pager := f.pager.Load()
	if pager == nil {
		return last
	}
	at := pager.CaughtUp()
	if at.IsZero() || len(entries) > 0 {
		return last
	}
	return at
}

// gather returns a batch and the cursor behind it: what comes within a time, up to a
// number of records and bytes.
func gather(first entry, entries <-chan entry, wait time.Duration) (batch []logRow, cursor string) {
	batch, cursor = append(batch, first.row), first.cursor
	size := first.row.size()
	enough := time.After(wait)
	for len(batch) < batchSize && size < batchBytes {
		select {
		case e, ok := <-entries:
			if !ok {
				return batch, cursor
			}
			batch, cursor = append(batch, e.row), e.cursor
			size += e.row.size()
		case <-enough:
			return batch, cursor
		}
	}
	return batch, cursor
}

// save stores a batch and the place behind it, again and again until they are
// stored. Reading waits meanwhile. When ctx ends there is one last try, and save
// reports whether it succeeded: what is not stored then is read again at the next
// start, with all that came after it.
func (f *follower) save(ctx context.Context, batch []logRow, p place) (stored bool) {
	for {
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if ctx.Err() != nil {
			attempt, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastSave)
		}
		added, err := f.store.save(attempt, f.list, batch, p, time.Now())
		cancel()
		if err == nil {
			f.metrics.stored(added)
			f.reading.stored(p.caughtUp, !f.pager.Load().CaughtUp().IsZero())
			return true
		}
		if ctx.Err() != nil && attempt != ctx {
			f.logger.Error("records not stored", "list", f.list, "records", len(batch), "error", err)
			return false
		}
		if ctx.Err() == nil {
			f.reading.failed(fmt.Errorf("store %d records: %w", len(batch), err))
			f.logger.Error("records not stored, trying again", "list", f.list, "records", len(batch), "error", err)
			pause(ctx, saveRetry)
		}
	}
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// learnNames keeps the names of the integrations until ctx ends. Without them the
// page shows ids.
func learnNames(ctx context.Context, api *api, s *store, logger *slog.Logger) {
	for ctx.Err() == nil {
		var all []epcclogs.Integration
		var err error
		for in, problem := range api.current().Integrations(nil).All(ctx) {
			if err = problem; err == nil {
				all = append(all, in)
			}
		}
		if err == nil {
			err = s.saveIntegrations(ctx, all)
		}
		wait := namesEvery
		if err != nil && ctx.Err() == nil {
			logger.Warn("names of integrations not read", "error", err)
			wait = namesEvery / 10
		}
		pause(ctx, wait)
	}
}

// tidy deletes what no page shows any more until ctx ends, and of the records what is
// older than keep, if that is not 0: in batches, so that others can write in between.
func tidy(ctx context.Context, s *store, keep time.Duration, logger *slog.Logger) {
	for ctx.Err() == nil {
		wait := tidyEvery
		err := s.forgetSums(ctx, time.Now())
		if err == nil && keep > 0 {
			var more bool
			if more, err = s.forget(ctx, time.Now().Add(-keep), batchSize); more {
				wait = batchTime
			}
		}
		if err != nil && ctx.Err() == nil {
			logger.Error("old records not deleted", "error", err)
		}
		pause(ctx, wait)
	}
}

// reading is how far a list is in the database, and what has failed since.
type reading struct {
	mu   sync.Mutex
	at   time.Time // all that was in the list then is in the database
	live bool      // whether this run has read that
	err  error     // nil when nothing has failed since records, or at, were stored
}

func (r *reading) stored(at time.Time, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.live, r.err = at, r.live || live, nil
}

func (r *reading) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *reading) last() (at time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.err
}

// caughtUp returns what last does, once this run has read the list. Of a clock that was
// changed since, it returns what that would have shown.
func (r *reading) caughtUp(now time.Time) (at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.live {
		return time.Time{}, false
	}
	age := now.Sub(r.at) // by the clock that nobody changes
	return now.Round(0).Add(-max(age, 0)), true
}
