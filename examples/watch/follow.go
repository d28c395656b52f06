package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/epcclogs/epcclogs"
)

const (
	batchSize  = 5000                   // records in one transaction at most
	batchBytes = 8 << 20                // and about how much memory they take
	batchTime  = 500 * time.Millisecond // how often what there is of a batch is stored
	pagesAhead = 8                      // see Pager.Concurrent
	pageLimit  = 100                    // records on a page; fewer when pages are too large
	minPage    = 4                      // the pager may ask for 16 more, which it knows
	pageBytes  = 32 << 20               // see WithMaxResponseSize; there is as much in memory for each page ahead
	saveRetry  = 2 * time.Second        // while the database fails
	lastSave   = 5 * time.Second        // for the records at hand when the program ends
	longPause  = 5 * time.Minute        // see impatient
	namesEvery = 5 * time.Minute
	tidyEvery  = time.Minute // how often old records are looked for
)

// wholeStore is the name of the list of all logs; other lists have the id of an
// integration for a name.
const wholeStore = "store"

// impatient is a transport that shortens the pauses that the API asks for: outages end
// sooner than expected, and a request in five minutes does no harm.
type impatient struct{ http.RoundTripper }

func newImpatient() impatient {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * pagesAhead
	return impatient{transport}
}

func (i impatient) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := i.RoundTripper.RoundTrip(req)
	if err == nil && retryAfter(resp.Header, time.Now()) > longPause {
		resp.Header.Set("Retry-After", strconv.Itoa(int(longPause/time.Second)))
	}
	return resp, err
}

// follower brings one list of logs from the API into the database.
type follower struct {
	*program
	list    string
	pager   atomic.Pointer[epcclogs.Pager[epcclogs.IntegrationLog]]
	reading reading

	mu    sync.Mutex // locked while a batch is stored: reading waits
	batch []logRow   // what was read and is not stored yet
	size  int        // how much memory that takes
	next  place      // behind the batch
	saved place
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
	f.next, f.saved = start, start
	f.reading.stored(start.caughtUp, false)
	saving, end := context.WithCancel(ctx)
	var saver sync.WaitGroup
	saver.Go(func() {
		for saving.Err() == nil {
			pause(saving, min(batchTime, f.interval))
			f.mu.Lock()
			f.save(saving)
			f.mu.Unlock()
		}
	})
	err = f.follow(ctx)
	end()
	saver.Wait()
	// What is not stored now is read again at the next start.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
	defer cancel()
	f.save(last)
	return err
}

// follow reads the list until ctx ends or it cannot be followed. When pages are too large
// for memory it goes on with shorter ones.
func (f *follower) follow(ctx context.Context) error {
	limit := pageLimit
	for ctx.Err() == nil {
		options := &epcclogs.ListOptions{Limit: limit}
		pager := f.client.StoreLogs(options)
		if f.list != wholeStore {
			pager = f.client.IntegrationLogs(f.list, options)
		}
		if f.next.cursor == "" && f.since > 0 {
			pager.Since(time.Now().Add(-f.since))
		}
		f.pager.Store(pager.Concurrent(max(1, pagesAhead*limit/pageLimit)).Resume(f.next.cursor))
		err := f.read(ctx, limit)
		if ctx.Err() == nil && !errors.Is(err, epcclogs.ErrResponseTooLarge) {
			return fmt.Errorf("follow the logs of %s: %w", f.list, err)
		}
		limit = max(limit/4, minPage)
	}
	return nil
}

// read adds what the pager brings to the batch, until it cannot go on.
func (f *follower) read(ctx context.Context, limit int) (problem error) {
	pager := f.pager.Load()
	for record, err := range pager.Follow(ctx, f.interval) {
		if problem = err; err == nil {
			f.add(ctx, newLogRow(record, time.Now()), pager.Cursor())
			continue
		}
		if ctx.Err() == nil {
			f.reading.failed(err)
			f.logger.Warn("logs not read", "list", f.list, "error", err)
		}
		if errors.Is(err, epcclogs.ErrResponseTooLarge) && limit > minPage {
			break
		}
	}
	return problem
}

// add adds a record, and the place behind it, to the batch.
func (f *follower) add(ctx context.Context, row logRow, cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batch, f.next.cursor = append(f.batch, row), cursor
	if f.size += row.size(); len(f.batch) >= batchSize || f.size >= batchBytes {
		f.save(ctx)
	}
}

// save stores the batch and the place behind it, again and again until they are stored
// or ctx ends. While nothing is new, it stores how far the list was read. All that the
// loop returned before the pager's time is in the batch, or stored.
func (f *follower) save(ctx context.Context) {
	live := false
	if pager := f.pager.Load(); pager != nil && !pager.CaughtUp().IsZero() {
		f.next.caughtUp, live = pager.CaughtUp(), true
	}
	for ctx.Err() == nil && (len(f.batch) > 0 || f.next != f.saved) {
		added, err := f.store.save(ctx, f.list, f.batch, f.next, time.Now())
		switch {
		case err == nil:
			f.metrics.stored(added)
			f.reading.stored(f.next.caughtUp, live)
			f.batch, f.size, f.saved = nil, 0, f.next
		case ctx.Err() == nil:
			f.reading.failed(fmt.Errorf("store %d records: %w", len(f.batch), err))
			f.logger.Error("records not stored, trying again", "list", f.list, "records", len(f.batch), "error", err)
			pause(ctx, saveRetry)
		}
	}
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// repeat does something until ctx ends, with pauses as long as it returns.
func (p *program) repeat(ctx context.Context, problem string, do func(context.Context) (time.Duration, error)) {
	for ctx.Err() == nil {
		wait, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			p.logger.Error(problem, "error", err)
		}
		pause(ctx, wait)
	}
}

// learnNames keeps the names of the integrations. Without them the page shows ids.
func (p *program) learnNames(ctx context.Context) (time.Duration, error) {
	for in, err := range p.client.Integrations(nil).All(ctx) {
		if err == nil {
			err = p.store.saveIntegration(ctx, in)
		}
		if err != nil {
			return namesEvery / 10, err
		}
	}
	return namesEvery, nil
}

// tidy deletes what no page shows any more: in batches, so that others can write in between.
func (p *program) tidy(ctx context.Context) (time.Duration, error) {
	more, err := p.store.forget(ctx, time.Now(), p.keep, batchSize)
	if more {
		return batchTime, err
	}
	return tidyEvery, err
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

func (r *reading) last() (at time.Time, live bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.live, r.err
}
