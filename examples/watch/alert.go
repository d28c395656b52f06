package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// alerter posts what fails to a URL. An alert is first written to the outbox, the table
// alerts, and leaves it when the receiver has answered 2xx. Before it posts one, a
// process claims it there, so that others leave it alone for a while. A program that is
// killed between the answer and the note of it posts again, with the same
// Idempotency-Key.
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

// within is the condition that a row is of the list $1.
const within = `($1 = '` + wholeStore + `' OR integration = $1)`

// waiting is a row of the outbox that this process has claimed.
type waiting struct {
	key, payload string
	tries        int
}

func (a *alerter) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := alertEvery
		if err := a.look(ctx); err != nil && ctx.Err() == nil {
			a.logger.Error("alerts not handled", "error", err)
			wait = alertMinRetry
		}
		pause(ctx, wait)
	}
}

// look does what is due.
func (a *alerter) look(ctx context.Context) error {
	lists := a.lists(time.Now())
	if len(lists) == 0 {
		return nil
	}
	if err := a.store.write(ctx, func(t *tx) {
		now := t.time()
		t.mendTimes(now)
		for _, l := range lists {
			if a.alerts.each {
				a.enqueueEvents(t, l, now)
			} else {
				a.enqueueGroups(t, l, now)
			}
		}
	}); err != nil {
		return err
	}
	return a.post(ctx, lists)
}

// mendTimes is for a clock that was ahead: what was noted then waits from now on, and
// not until the clock shows that time again.
func (t *tx) mendTimes(now time.Time) {
	for _, statement := range []string{
		`UPDATE events SET seen_at = $1 WHERE NOT succeeded AND NOT alerted AND seen_at > $2`,
		`UPDATE incidents SET posted_at = $1 WHERE posted_at > $2`,
		`UPDATE alerts SET tried_at = $1 WHERE sent_at IS NULL AND tried_at > $2`,
	} {
		t.exec(statement, now.UnixMicro(), now.Add(skew).UnixMicro())
	}
}

// due is the condition that an event of the list $1 has no alert, and that no later
// attempt came within the grace period, before $2. That is time up to which the list
// was read, not that of the clock: nobody knows of attempts that are not read.
const due = within + ` AND NOT succeeded AND NOT alerted AND seen_at <= $2`

// enqueueEvents writes an alert for each event that is due and never had one.
func (a *alerter) enqueueEvents(t *tx, l read, now time.Time) {
	var events []eventRow
	var e eventRow
	t.each(`SELECT integration, job, key FROM events WHERE `+due+` ORDER BY seen_at LIMIT 100`,
		[]any{l.list, l.at.Add(-a.alerts.grace).UnixMicro()}, []any{&e.Integration, &e.Job, &e.Key}, func() { events = append(events, e) })
	for _, e := range events {
		if t.late() {
			return
		}
		alert := t.describe(kindEvent, `key = $1`, e.Key)
		alert.URL = a.publicURL + eventPath(e.Job)
		alert.Text = fmt.Sprintf("%s: event %s is not delivered after %d attempts, the last answer was %s",
			alert.Name, e.Job, alert.Attempts, alert.answer())
		a.enqueue(t, alert, e.Key, now)
		t.exec(`UPDATE events SET alerted = TRUE WHERE integration = $1 AND job = $2`, e.Integration, e.Job)
	}
}

// chatText escapes what chat services take for markup, such as <!channel>.
var chatText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// enqueue writes an alert to the outbox, unless its event had one, and a link to
// its text.
func (a *alerter) enqueue(t *tx, alert alert, key string, now time.Time) {
	alert.Text = chatText.Replace(alert.Text)
	if a.publicURL == "" {
		alert.URL = ""
	} else {
		alert.Text += "\n" + alert.URL
	}
	t.exec(`
		INSERT INTO alerts (key, integration, job, status, kind, payload, created_at)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT)
		WHERE $3 = '' OR NOT EXISTS (SELECT 1 FROM alerts WHERE integration = $2 AND job = $3)`,
		key, alert.Integration, alert.Job, alert.Status, alert.Kind, t.rows(alert), now.UnixMicro())
}

// post posts what is due. A receiver that cannot take anything is left alone for a
// while; an alert that it does not want holds up no others.
func (a *alerter) post(ctx context.Context, lists []read) error {
	for _, l := range lists {
		for ctx.Err() == nil && time.Now().After(a.quiet) {
			w, err := a.claim(ctx, l.list)
			if err != nil || w.key == "" {
				if err != nil {
					return err
				}
				break
			}
			// What has begun is finished, and noted, also while the program ends.
			whole := context.WithoutCancel(ctx)
			wait, problem := a.send(whole, w)
			if err := a.note(whole, w, wait, problem); err != nil {
				return fmt.Errorf("note the outcome of an alert: %w", err)
			}
		}
	}
	return nil
}

// unsent is the condition that an alert waits. An event that was delivered meanwhile needs
// none any more.
const unsent = `sent_at IS NULL AND (a.job = '' OR EXISTS (
	SELECT 1 FROM events e WHERE e.integration = a.integration AND e.job = a.job AND NOT e.succeeded))`

// claim takes one alert that is due from the outbox: nobody else does so before the
// claim is over. The key is empty when none is due.
func (a *alerter) claim(ctx context.Context, list string) (w waiting, err error) {
	err = a.store.write(ctx, func(t *tx) {
		now := t.time().UnixMicro()
		if t.get(`
			SELECT key, payload, tries FROM alerts a
			WHERE `+within+` AND tried_at + wait <= $2 AND `+unsent+`
			ORDER BY tries, created_at LIMIT 1`, []any{list, now}, &w.key, &w.payload, &w.tries) {
			t.exec(`UPDATE alerts SET tries = tries + 1, tried_at = $2, wait = $3 WHERE key = $1`, w.key, now, alertClaim.Microseconds())
		}
	})
	return w, err
}

// send posts an alert. It also returns for how long the receiver wants none.
func (a *alerter) send(ctx context.Context, w waiting) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.alerts.url, bytes.NewReader([]byte(w.payload)))
	if err != nil {
		return 0, errors.New("the URL of the receiver cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", w.key)
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
func (a *alerter) note(ctx context.Context, w waiting, wait time.Duration, problem error) error {
	result := "sent"
	if problem != nil {
		result = "failed"
		a.logger.Warn("alert not posted", "key", w.key, "tries", w.tries+1, "error", problem)
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
			t.exec(`UPDATE alerts SET sent_at = $2, error = '' WHERE key = $1`, w.key, now.UnixMicro())
			return
		}
		own := cmp.Or(wait, backOff(w.tries))
		t.exec(`UPDATE alerts SET tried_at = $2, wait = $3, error = $4 WHERE key = $1`,
			w.key, now.UnixMicro(), own.Microseconds(), text(problem.Error(), reasonLimit))
		if wait > 0 {
			t.exec(`UPDATE alerts SET tried_at = $1, wait = $2 WHERE sent_at IS NULL AND tried_at + wait < $3`,
				now.UnixMicro(), wait.Microseconds(), now.Add(wait).UnixMicro())
		}
	})
}
