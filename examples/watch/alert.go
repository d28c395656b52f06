package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

const (
	alertEvery    = time.Second // how often the outbox is looked at
	alertBatch    = 100         // alerts that are written or posted in one look
	alertTimeout  = 10 * time.Second
	alertMinRetry = 5 * time.Second // doubles with each failure
	alertMaxRetry = 5 * time.Minute
)

// alertClient follows no redirects: most of them turn a POST into a GET without a
// body, and an answer to that does not mean that the alert was received.
var alertClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// alerter posts each undelivered event to a URL, once. An event is first written
// to the outbox, the table alerts, with its key and its payload; it leaves it when
// the receiver has answered 2xx. A program that is killed between that answer and
// the note of it posts again, with the same Idempotency-Key.
type alerter struct {
	url     string
	grace   time.Duration // that a later attempt has to succeed
	started time.Time     // see known
	store   *store
	now     func() time.Time
	metrics *metrics
	logger  *slog.Logger
}

// alert is what is posted.
type alert struct {
	key           string
	Text          string    `json:"text"` // the rest in words, as chat services show it
	Job           string    `json:"job"`
	Integration   string    `json:"integration"`
	Name          string    `json:"integration_name"`
	Attempts      int       `json:"attempts"`
	Status        int       `json:"status"` // 0: no answer
	Reason        string    `json:"reason"`
	LastAttemptAt time.Time `json:"last_attempt_at"`
}

// waiting is a row of the outbox that is due.
type waiting struct {
	integration, job, key, payload string
	tries                          int
}

// known is the condition that the program knows the attempts of an event e: since
// its start, at $1, it has read all of a list c that has them. Before that, a later
// attempt may have succeeded while the program did not run.
const known = `c.read_at >= $1 AND c.list IN ('` + wholeStore + `', e.integration)`

func (a *alerter) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.enqueue(ctx)
		if err == nil {
			err = a.post(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.logger.Error("alerts not handled", "error", err)
		}
		pause(ctx, alertEvery)
	}
}

// enqueue writes the undelivered events to the outbox that have stayed so for the
// grace period.
func (a *alerter) enqueue(ctx context.Context) error {
	due, err := a.due(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	now := a.now().UnixMicro()
	return a.store.write(ctx, func(tx *sql.Tx) error {
		for _, e := range due {
			payload, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO alerts (integration, job, key, payload, created_at, next_at) VALUES ($1, $2, $3, $4, $5, $5)
				ON CONFLICT (integration, job) DO NOTHING`, e.Integration, e.Job, e.key, string(payload), now); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE events SET alerted = TRUE WHERE integration = $1 AND job = $2`,
				e.Integration, e.Job); err != nil {
				return err
			}
		}
		return nil
	})
}

// due returns events without an alert whose last attempt failed, with no later one
// within the grace period. It goes by the time up to which the list is in the
// database, not by the clock: nobody knows of later attempts that are not read.
func (a *alerter) due(ctx context.Context) ([]alert, error) {
	var due []alert
	var e alert
	var lastAt int64
	err := each(ctx, a.store.db, `
		SELECT e.key, e.integration, COALESCE(i.name, e.integration), e.job, e.attempt, l.status, l.reason, e.last_at
		FROM lists c CROSS JOIN events e JOIN logs l ON l.key = e.key LEFT JOIN integrations i ON i.id = e.integration
		WHERE `+known+` AND NOT e.succeeded AND NOT e.alerted AND e.seen_at <= c.read_at - $2
		ORDER BY e.seen_at LIMIT $3`, []any{a.started.UnixMicro(), a.grace.Microseconds(), alertBatch},
		[]any{&e.key, &e.Integration, &e.Name, &e.Job, &e.Attempts, &e.Status, &e.Reason, &lastAt}, func() {
			e.LastAttemptAt = fromMicros(lastAt)
			e.Text = fmt.Sprintf("%s: event %s is not delivered after %d attempts, the last answer was %s",
				e.Name, e.Job, e.Attempts, statusText(e.Status))
			due = append(due, e)
		})
	return due, err
}

// post posts what is due. The first failure ends the round, so that a receiver
// that is down gets one request in each.
func (a *alerter) post(ctx context.Context) error {
	var due []waiting
	var w waiting
	err := each(ctx, a.store.db, `
		SELECT a.integration, a.job, a.key, a.payload, a.tries
		FROM lists c CROSS JOIN alerts a JOIN events e ON e.integration = a.integration AND e.job = a.job
		WHERE `+known+` AND a.sent_at IS NULL AND a.next_at <= $2 AND NOT e.succeeded
		ORDER BY a.next_at LIMIT $3`, []any{a.started.UnixMicro(), a.now().UnixMicro(), alertBatch},
		[]any{&w.integration, &w.job, &w.key, &w.payload, &w.tries}, func() { due = append(due, w) })
	if err != nil {
		return err
	}
	// What has begun is finished, and noted, also while the program ends.
	whole := context.WithoutCancel(ctx)
	for _, w := range due {
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		problem := a.send(whole, w)
		if err := a.note(whole, w, problem); err != nil {
			return fmt.Errorf("note the outcome of an alert: %w", err)
		}
		if problem != nil {
			a.metrics.alerts.WithLabelValues("failed").Inc()
			a.logger.Warn("alert not posted", "key", w.key, "tries", w.tries+1, "error", problem)
			return nil
		}
		a.metrics.alerts.WithLabelValues("sent").Inc()
	}
	return nil
}

func (a *alerter) send(ctx context.Context, w waiting) error {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader([]byte(w.payload)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", w.key)
	resp, err := alertClient.Do(req)
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		return wrapped.Err // without the URL, which is a secret with many receivers
	} else if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return nil
}

func (a *alerter) note(ctx context.Context, w waiting, problem error) error {
	now := a.now()
	if problem == nil {
		_, err := a.store.db.ExecContext(ctx, `
			UPDATE alerts SET sent_at = $3, tries = tries + 1, error = '' WHERE integration = $1 AND job = $2`,
			w.integration, w.job, now.UnixMicro())
		return err
	}
	wait := min(alertMinRetry<<min(w.tries, 10), alertMaxRetry)
	_, err := a.store.db.ExecContext(ctx, `
		UPDATE alerts SET next_at = $3, tries = tries + 1, error = $4 WHERE integration = $1 AND job = $2`,
		w.integration, w.job, now.Add(wait).UnixMicro(), text(problem.Error()))
	return err
}
