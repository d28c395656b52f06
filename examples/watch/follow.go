package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

const (
	batchSize  = 5000                   // records in one transaction at most
	batchTime  = 500 * time.Millisecond // how long the first of them waits for others
	pagesAhead = 16                     // see Pager.Concurrent
	saveRetry  = 2 * time.Second        // while the database fails
	namesEvery = 5 * time.Minute
	lastSave   = 5 * time.Second // for the records at hand when the program ends
)

// wholeStore is the name of the list of all logs; other lists have the id of an
// integration for a name.
const wholeStore = "store"

// follower brings one list of logs from the API into the database.
type follower struct {
	list     string
	client   *epcclogs.Client
	store    *store
	interval time.Duration
	metrics  *metrics
	logger   *slog.Logger
	reading  reading
}

// entry is a record, and the place in the list behind it.
type entry struct {
	log    epcclogs.IntegrationLog
	cursor string
}

// run returns when ctx ends, or when the list cannot be followed at all.
func (f *follower) run(ctx context.Context) error {
	cursor, readAt, err := f.store.place(ctx, f.list)
	if err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	f.reading.begin(readAt)
	pager := f.client.StoreLogs(nil)
	if f.list != wholeStore {
		pager = f.client.IntegrationLogs(f.list, nil)
	}
	pager.Concurrent(pagesAhead).Resume(cursor)

	entries := make(chan entry, batchSize)
	ended := make(chan error, 1)
	go func() {
		defer close(entries)
		ended <- f.follow(ctx, pager, entries)
	}()
	f.saveAll(ctx, entries)
	return <-ended
}

// follow sends what the list brings, until ctx ends or the pager was misused.
func (f *follower) follow(ctx context.Context, pager *epcclogs.Pager[epcclogs.IntegrationLog], entries chan<- entry) error {
	var problem error
	for record, err := range pager.Follow(withReading(ctx, &f.reading), f.interval) {
		if problem = err; err != nil {
			if ctx.Err() == nil {
				f.reading.failed(err)
				f.logger.Warn("logs not read", "list", f.list, "error", err)
			}
			continue
		}
		entries <- entry{record, pager.Cursor()}
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

// saveAll stores the entries in batches until there are no more.
func (f *follower) saveAll(ctx context.Context, entries <-chan entry) {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for {
		select {
		case first, ok := <-entries:
			if !ok {
				return
			}
			f.save(ctx, gather(first, entries))
		case <-tick.C:
			if at, _ := f.reading.last(); !at.IsZero() {
				if err := f.store.saveReading(ctx, f.list, at); err != nil && ctx.Err() == nil {
					f.logger.Error("reading not stored", "list", f.list, "error", err)
				}
			}
		}
	}
}

// gather returns a batch: what comes within a moment, up to a limit.
func gather(first entry, entries <-chan entry) []entry {
	batch := append(make([]entry, 0, batchSize), first)
	enough := time.After(batchTime)
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

// save stores a batch, again and again until it is stored. Reading waits
// meanwhile. When ctx ends there is one last try: what is not stored then is read
// again at the next start.
func (f *follower) save(ctx context.Context, batch []entry) {
	logs := make([]epcclogs.IntegrationLog, len(batch))
	for i, e := range batch {
		logs[i] = e.log
	}
	for {
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if ctx.Err() != nil {
			attempt, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastSave)
		}
		err := f.store.save(attempt, f.list, logs, batch[len(batch)-1].cursor, time.Now())
		cancel()
		if err == nil {
			f.metrics.stored(logs)
			return
		}
		if ctx.Err() != nil && attempt != ctx {
			f.logger.Error("records not stored", "list", f.list, "records", len(logs), "error", err)
			return
		}
		if ctx.Err() == nil {
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

// reading is how fresh a list is. It is told of each request by the client's log:
// Follow itself says nothing of a reading that brought nothing new.
type reading struct {
	mu       sync.Mutex
	at       time.Time // of the last success
	previous time.Time // of the success before
	err      error     // why reading fails; nil when it does not
}

// begin takes over what an earlier run of the program has noted.
func (r *reading) begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.previous = at, at
}

func (r *reading) succeeded(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.previous, r.err = at, r.at, nil
}

func (r *reading) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, epcclogs.ErrPagination) {
		r.at = r.previous // the answer was a 200, but of no use
	}
	r.err = err
}

// last returns when the last successful reading was, the zero time when there was
// none, and what has failed since.
func (r *reading) last() (at time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.err
}

type readingKey struct{}

func withReading(ctx context.Context, r *reading) context.Context {
	return context.WithValue(ctx, readingKey{}, r)
}

// requestLog is the handler of the client's logger: it counts the requests and
// tells the reading in their context, and passes on only what a user wants to
// see.
type requestLog struct {
	slog.Handler
	metrics *metrics
}

func (h requestLog) Enabled(context.Context, slog.Level) bool { return true }

func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelDebug {
		outcome := "error"
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "status" {
				outcome = a.Value.String()
			}
			return true
		})
		h.metrics.requests.WithLabelValues(outcome).Inc()
		if reading, ok := ctx.Value(readingKey{}).(*reading); ok && outcome == fmt.Sprint(http.StatusOK) {
			reading.succeeded(r.Time)
		}
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
