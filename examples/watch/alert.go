package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	alertEvery    = time.Second // how often there is a look for what is due
	alertTimeout  = 10 * time.Second
	alertClaim    = 30 * time.Second // more than posting and noting take
	alertMinRetry = 5 * time.Second  // doubles with each failure
	alertMaxRetry = 5 * time.Minute
	alertMaxPause = time.Hour // of a Retry-After
	skew          = time.Minute
)

// alertClient follows no redirects: most of them turn a POST into a GET without a
// body, and an answer to that does not mean that the alert was received.
var alertClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// alerter posts what fails to a URL. What there is to tell is in the table incidents, which
// is the outbox, too. Before it posts, a process claims the row, so that others leave it
// alone for a while. A program that is killed between the answer and the note of it posts
// again, with the same Idempotency-Key.
type alerter struct {
	*program
	lists func(time.Time) []read

	failures int       // of the receiver in a row
	quiet    time.Time // until then
}

// read says that all that was in a list at a time is in the database. Of other lists
// nothing is known: a later attempt may have succeeded while the program did not run.
type read struct {
	list string
	at   time.Time
}

// look does what is due. If the clock was ahead, what was noted then waits from now on, and
// not until the clock shows that time again.
func (a *alerter) look(ctx context.Context) (time.Duration, error) {
	lists := a.lists(time.Now())
	if len(lists) == 0 {
		return alertEvery, nil
	}
	err := a.store.write(ctx, func(t *tx) {
		now := t.time()
		for _, ahead := range []string{
			`UPDATE events SET seen_at = $1 WHERE NOT succeeded AND NOT alerted AND seen_at > $2`,
			`UPDATE incidents SET told_at = $1 WHERE told_at > $2`,
			`UPDATE incidents SET tried_at = $1 WHERE tried_at > $2`,
		} {
			t.exec(ahead, now.UnixMicro(), now.Add(skew).UnixMicro())
		}
		for _, l := range lists {
			t.enqueue(l, now, a.alerts)
		}
	})
	for _, l := range lists {
		if err == nil {
			err = a.post(ctx, l)
		}
	}
	if err != nil {
		return alertMinRetry, err
	}
	return alertEvery, nil
}

// post posts what there is to tell of a list. A receiver that cannot take anything is left
// alone for a while; an alert that it does not want holds up no others.
func (a *alerter) post(ctx context.Context, l read) error {
	for ctx.Err() == nil && time.Now().After(a.quiet) {
		var i *incident
		var message alert
		if err := a.store.write(ctx, func(t *tx) {
			if i = t.claim(l); i != nil {
				message = t.describe(i, a.publicURL)
			}
		}); err != nil || i == nil {
			return err
		}
		// What has begun is finished, and noted, also while the program ends.
		whole := context.WithoutCancel(ctx)
		wait, problem := a.send(whole, i.idempotencyKey(), message)
		if err := a.note(whole, i, wait, problem); err != nil {
			return fmt.Errorf("note the outcome of an alert: %w", err)
		}
	}
	return nil
}

// send posts an alert. It also returns for how long the receiver wants none.
func (a *alerter) send(ctx context.Context, key string, message alert) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	body, err := json.Marshal(message)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.alerts.url, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL of the receiver cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := alertClient.Do(req)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which is a secret with many receivers
		}
		return backOff(a.failures), err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("the receiver answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	wait = retryAfter(resp.Header, time.Now())
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		wait = max(wait, backOff(a.failures))
	}
	return wait, err
}

// backOff returns how long to wait after so many failures before.
func backOff(failures int) time.Duration {
	return min(alertMinRetry<<min(failures, 10), alertMaxRetry)
}

// retryAfter returns the wait that a receiver asks for; 0 if it asks for none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), alertMaxPause)
}

// note writes down what came of a post, and for how long the receiver wants none.
func (a *alerter) note(ctx context.Context, i *incident, wait time.Duration, problem error) error {
	result := "sent"
	if problem != nil {
		result = "failed"
		a.logger.Warn("alert not posted", "key", i.idempotencyKey(), "tries", i.tries+1, "error", problem)
	}
	a.metrics.alerts.WithLabelValues(result).Inc()
	a.failures++
	a.quiet = time.Now().Add(wait)
	if wait == 0 {
		a.failures = 0
	}
	return a.store.write(ctx, func(t *tx) {
		now := t.time()
		if problem == nil {
			t.told(i, now)
			return
		}
		t.exec(`UPDATE incidents SET tried_at = $4, wait = $5, error = $6 WHERE `+thisIncident, i.integration, i.status, i.job,
			now.UnixMicro(), cmp.Or(wait, backOff(i.tries)).Microseconds(), text(problem.Error(), reasonLimit))
		if wait > 0 {
			t.exec(`UPDATE incidents SET tried_at = $1, wait = $2 WHERE tried_at + wait < $3`,
				now.UnixMicro(), wait.Microseconds(), now.Add(wait).UnixMicro())
		}
	})
}
