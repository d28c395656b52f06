package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

const (
	batchSize   = 5000                   // records in one transaction at most
	batchTime   = 500 * time.Millisecond // how long the first of them waits for others
	pagesAhead  = 16                     // see Pager.Concurrent
	saveRetry   = 2 * time.Second        // while the database fails
	namesEvery  = 5 * time.Minute
	lastSave    = 5 * time.Second // for the records at hand when the program ends
	forgetEvery = time.Minute     // how often old records are looked for
)

// wholeStore is the name of the list of all logs; other lists have the id of an
// integration for a name.
const wholeStore = "store"

// follower brings one list of logs from the API into the database.
type follower struct {
	list     string
	pager    *epcclogs.Pager[epcclogs.IntegrationLog]
	store    *store
	interval time.Duration
	metrics  *metrics
	logger   *slog.Logger
	reading  reading
}

func newFollower(
	client *epcclogs.Client, list string, s *store, interval time.Duration, m *metrics, logger *slog.Logger,
) *follower {
	pager := client.StoreLogs(nil)
	if list != wholeStore {
		pager = client.IntegrationLogs(list, nil)
	}
	return &follower{list: list, pager: pager, store: s, interval: interval, metrics: m, logger: logger}
}

// entry is a record, and the place in the list behind it.
type entry struct {
	log    epcclogs.IntegrationLog
	cursor string
}

// run returns when ctx ends, or when the list cannot be followed at all.
func (f *follower) run(ctx context.Context) error {
	start, err := f.store.place(ctx, f.list)
	if err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	f.reading.stored(start.caughtUp)
	f.pager.Concurrent(pagesAhead).Resume(start.cursor)

	entries := make(chan entry, batchSize)
	ended := make(chan error, 1)
	go func() {
		defer close(entries)
		ended <- f.follow(ctx, entries)
	}()
	f.saveAll(ctx, entries, start)
	return <-ended
}

// follow sends what the list brings, until ctx ends or the pager was misused.
func (f *follower) follow(ctx context.Context, entries chan<- entry) error {
	var problem error
	for record, err := range f.pager.Follow(ctx, f.interval) {
		if problem = err; err != nil {
			if ctx.Err() == nil {
				f.reading.failed(err)
				f.logger.Warn("logs not read", "list", f.list, "error", err)
			}
			continue
		}
		select {
		case entries <- entry{record, f.pager.Cursor()}:
		case <-ctx.Done():
			return nil
		}
	}
	if ctx.Err() == nil {
		problem = fmt.Errorf("follow the logs of %s: %w", f.list, problem)
		if errors.Is(problem, epcclogs.ErrInvalidArgument) {
			problem = fmt.Errorf("%w (is the database that of another store?)", problem)
		}
		return problem
	}
	return nil
}

// saveAll stores the entries in batches until there are no more, or until ctx ends
// and a batch cannot be stored. While nothing is new, it stores how far the list was
// read. The list was read up to last before.
func (f *follower) saveAll(ctx context.Context, entries <-chan entry, last place) {
	wait := min(batchTime, f.interval)
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for {
		var batch []entry
		select {
		case first, ok := <-entries:
			if !ok {
				return
			}
			batch = gather(first, entries, wait)
		case <-tick.C:
		}
		next := place{last.cursor, f.caughtUp(entries, last.caughtUp)}
		if len(batch) > 0 {
			next.cursor = batch[len(batch)-1].cursor
		}
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
	at := f.pager.CaughtUp()
	if at.IsZero() || len(entries) > 0 {
		return last
	}
	return at
}

// gather returns a batch: what comes within a time, up to a limit.
func gather(first entry, entries <-chan entry, wait time.Duration) []entry {
	batch := append(make([]entry, 0, batchSize), first)
	enough := time.After(wait)
	for len(batch) < batchSize {
		select {
		case e, ok := <-entries:
			if !ok {
				return batch
			}
			batch = append(batch, e)
		case <-enough:
			return batch
		}
	}
	return batch
}

// save stores a batch and the place behind it, again and again until they are
// stored. Reading waits meanwhile. When ctx ends there is one last try, and save
// reports whether it succeeded: what is not stored then is read again at the next
// start, with all that came after it.
func (f *follower) save(ctx context.Context, batch []entry, p place) (stored bool) {
	logs := make([]epcclogs.IntegrationLog, len(batch))
	for i, e := range batch {
		logs[i] = e.log
	}
	for {
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if ctx.Err() != nil {
			attempt, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastSave)
		}
		err := f.store.save(attempt, f.list, logs, p, time.Now())
		cancel()
		if err == nil {
			f.metrics.stored(logs)
			f.reading.stored(p.caughtUp)
			return true
		}
		if ctx.Err() != nil && attempt != ctx {
			f.logger.Error("records not stored", "list", f.list, "records", len(logs), "error", err)
			return false
		}
		if ctx.Err() == nil {
			f.reading.failed(fmt.Errorf("store %d records: %w", len(logs), err))
			f.logger.Error("records not stored, trying again", "list", f.list, "records", len(logs), "error", err)
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
func learnNames(ctx context.Context, client *epcclogs.Client, s *store, logger *slog.Logger) {
	for ctx.Err() == nil {
		var all []epcclogs.Integration
		var err error
		for in, problem := range client.Integrations(nil).All(ctx) {
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

// forgetOld deletes what is older than a time from the database until ctx ends, in
// batches, so that others can write in between.
func forgetOld(ctx context.Context, s *store, keep time.Duration, logger *slog.Logger) {
	for ctx.Err() == nil {
		more, err := s.forget(ctx, time.Now().Add(-keep), batchSize)
		if err != nil && ctx.Err() == nil {
			logger.Error("old records not deleted", "error", err)
		}
		wait := forgetEvery
		if more {
			wait = batchTime
		}
		pause(ctx, wait)
	}
}

// reading is how far a list is in the database, and what has failed since.
type reading struct {
	mu  sync.Mutex
	at  time.Time // all that was in the list then is in the database
	err error     // nil when nothing has failed since records, or at, were stored
}

func (r *reading) stored(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = at, nil
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
