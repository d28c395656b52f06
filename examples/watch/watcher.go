package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/epcclogs/epcclogs"
)

// watcher keeps the outcome of the last reading of an integration's logs.
type watcher struct {
	client *epcclogs.Client
	id     string
	logger *slog.Logger
	last   atomic.Pointer[reading] // nil until the first has ended
}

// reading is what one look at the logs gave. It is not changed any more.
type reading struct {
	ReadAt   time.Time                 `json:"read_at"`
	Logs     int                       `json:"logs"` // all, not only the failed
	Failures []epcclogs.IntegrationLog `json:"failures"`
	err      error
}

// poll reads the logs every interval until ctx ends.
func (w *watcher) poll(ctx context.Context, interval time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.read(ctx)
		timer.Reset(pause(interval, w.last.Load().err))
	}
}

// pause is the time until the next reading. A limit that the service sets is
// kept, even past the retries of the client.
func pause(interval time.Duration, err error) time.Duration {
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		return max(interval, apiErr.RetryAfter)
	}
	return interval
}

// read reads all logs. To read only those after the last offset would be less
// work, but it would assume that new logs come at the end of the list, and the
// API does not document its order.
func (w *watcher) read(ctx context.Context) {
	r := &reading{Failures: []epcclogs.IntegrationLog{}}
	for entry, err := range w.client.IntegrationLogs(w.id, nil).All(ctx) {
		if err != nil {
			r.err = err
			break
		}
		r.Logs++
		if !entry.Succeeded {
			r.Failures = append(r.Failures, entry)
		}
	}
	if r.err != nil && ctx.Err() == nil {
		w.logger.Warn("logs not read", "integration", w.id, "error", r.err)
	}
	r.ReadAt = time.Now()
	w.last.Store(r)
}

func (w *watcher) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /failures", w.failures)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		w.reply(rw, http.StatusOK, map[string]string{"status": "ok"})
	})
	return mux
}

// failures answers with the failed deliveries, or with what the last reading met
// instead.
func (w *watcher) failures(rw http.ResponseWriter, _ *http.Request) {
	last := w.last.Load()
	var apiErr *epcclogs.APIError
	switch {
	case last == nil:
		w.later(rw, 0, "the logs are being read for the first time")
	case last.err == nil:
		w.reply(rw, http.StatusOK, last)
	case errors.Is(last.err, epcclogs.ErrNotFound):
		w.reply(rw, http.StatusNotFound, message("there is no integration "+w.id))
	case errors.Is(last.err, epcclogs.ErrRateLimited) && errors.As(last.err, &apiErr):
		w.later(rw, apiErr.RetryAfter, "the logs service limits the rate of requests")
	default: // the log tells more
		w.reply(rw, http.StatusBadGateway, message("the logs service cannot be read"))
	}
}

// later answers that the client should come again after the time, rounded up to
// seconds, of which one is the least.
func (w *watcher) later(rw http.ResponseWriter, after time.Duration, text string) {
	seconds := int64(after / time.Second)
	if after%time.Second > 0 {
		seconds++
	}
	rw.Header().Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	w.reply(rw, http.StatusServiceUnavailable, message(text))
}

func message(text string) map[string]string { return map[string]string{"error": text} }

func (w *watcher) reply(rw http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		w.logger.Error("answer not encoded", "error", err)
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	if _, err := rw.Write(append(body, '\n')); err != nil {
		w.logger.Debug("answer not sent", "error", err) // the client has left
	}
}
