package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	remindEvery = time.Hour        // of what goes on failing
	quietAfter  = 30 * time.Minute // the API has delivered an event by then, or gives it up
	alertAnswer = 300              // bytes of an answer in an alert
)

// The kinds of alerts.
const (
	kindEvent     = "event"
	kindFailing   = "failing"
	kindReminder  = "reminder"
	kindRecovered = "recovered"
)

// alert is what is posted.
type alert struct {
	Text        string    `json:"text"` // the rest in words, as chat services show it
	Kind        string    `json:"kind"`
	Integration string    `json:"integration"`
	Name        string    `json:"integration_name"`
	Status      int       `json:"status"` // 0: no answer
	Answer      string    `json:"answer"` // its beginning; of a group, that of the last attempt
	URL         string    `json:"url,omitempty"`
	Since       time.Time `json:"since"` // of a single event, its last attempt
	counted
}

// counted is what an alert counts. The job is empty if it is about a group.
type counted struct {
	Job      string `json:"job,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	Events   int    `json:"events"` // undelivered
}

func (a alert) answer() string {
	s := statusText(a.Status)
	if a.Status != 0 {
		s = strings.TrimSpace(s + " " + http.StatusText(a.Status))
	}
	if a.Answer != "" {
		s += ": " + a.Answer
	}
	return s
}

// describe makes an alert from the latest of the undelivered events for which a condition
// holds.
func (t *tx) describe(kind, condition string, args ...any) alert {
	a := alert{Kind: kind}
	t.undelivered(condition, args, 1, 0, func(e undelivered) {
		a.Integration, a.Name, a.Status, a.Since = e.Integration, e.Name, e.Status, e.At
		a.Answer = text(strings.TrimSpace(cmp.Or(strings.TrimSpace(e.Body), e.Reason)), alertAnswer)
		a.counted = counted{Job: e.Job, Attempts: e.Attempts, Events: 1}
	})
	return a
}

// group is what alerts know of the undelivered events of an integration with a status.
type group struct {
	integration string
	status      int
	n           int   // events
	since, last int64 // attempts
	succeeded   int64 // the last success of the integration
	posted      int64 // the last alert; 0: none
	fresh       int   // events that came after that
}

// over reports whether all is delivered, or deliveries succeed again and the API tries the
// events of the group no more.
func (g group) over(now time.Time) bool {
	return g.n == 0 || g.succeeded > g.last && now.Sub(fromMicros(g.last)) > quietAfter
}

const lastSuccess = `COALESCE((SELECT MAX(created_at) FROM logs WHERE integration = %s AND succeeded = TRUE), 0)`

// enqueueGroups writes an alert for each group of events that begins to fail or has
// recovered, and reminds of those that have new events, once in an hour. What was over
// before it was seen, such as on the first run, needs no alert.
func (a *alerter) enqueueGroups(t *tx, l read, now time.Time) {
	limit := l.at.Add(-a.alerts.grace).UnixMicro()
	t.exec(`
		INSERT INTO incidents (integration, status, since, posted_at, fresh)
		SELECT integration, status, MIN(last_at), 0, COUNT(*) FROM events WHERE `+due+` GROUP BY 1, 2
		ON CONFLICT (integration, status) DO UPDATE SET fresh = incidents.fresh + excluded.fresh`, l.list, limit)
	t.exec(`UPDATE events SET alerted = TRUE WHERE `+due, l.list, limit)
	var all []group
	var g group
	t.each(`
		SELECT integration, status, since, posted_at, fresh, `+fmt.Sprintf(lastSuccess, "i.integration")+`,
			(SELECT COUNT(*) FROM events e WHERE e.integration = i.integration AND e.status = i.status AND NOT e.succeeded),
			(SELECT COALESCE(MAX(last_at), 0) FROM events e WHERE e.integration = i.integration AND e.status = i.status AND NOT e.succeeded)
		FROM incidents i WHERE `+within, []any{l.list},
		[]any{&g.integration, &g.status, &g.since, &g.posted, &g.fresh, &g.succeeded, &g.n, &g.last}, func() { all = append(all, g) })
	for _, g := range all {
		switch {
		case t.late():
			return
		case g.over(l.at):
			a.end(t, g, now)
		case g.posted == 0:
			a.tell(t, kindFailing, g, now)
		case g.fresh > 0 && now.Sub(fromMicros(g.posted)) >= remindEvery:
			a.tell(t, kindReminder, g, now)
		}
	}
}

// end forgets a group, and says so to those who were told that it fails.
func (a *alerter) end(t *tx, g group, now time.Time) {
	t.exec(`DELETE FROM incidents WHERE integration = $1 AND status = $2`, g.integration, g.status)
	unknown := t.exec(`DELETE FROM alerts WHERE integration = $1 AND status = $2 AND kind = '`+kindFailing+`' AND job = '' AND sent_at IS NULL`,
		g.integration, g.status)
	if g.posted != 0 && unknown == 0 {
		a.tell(t, kindRecovered, g, now)
	}
}

// tell writes an alert about a group to the outbox, in place of one that was not sent.
func (a *alerter) tell(t *tx, kind string, g group, now time.Time) {
	alert := alert{Kind: kind, Integration: g.integration, Status: g.status}
	t.exec(`DELETE FROM alerts WHERE integration = $1 AND status = $2 AND job = '' AND sent_at IS NULL`, g.integration, g.status)
	t.exec(`UPDATE incidents SET posted_at = $3, fresh = 0 WHERE integration = $1 AND status = $2`, g.integration, g.status, now.UnixMicro())
	if g.n > 0 {
		alert = t.describe(kind, `integration = $1 AND status = $2`, g.integration, g.status)
	} else {
		t.get(`SELECT name FROM integrations WHERE id = $1`, []any{g.integration}, &alert.Name)
	}
	alert.counted, alert.Since = counted{Events: g.n}, fromMicros(g.since)
	alert.URL = a.publicURL + listPath(g.integration, g.status)
	since := alert.Since.Format("2 Jan 15:04 UTC")
	switch {
	case kind != kindRecovered:
		alert.Text = fmt.Sprintf("%s: %s not delivered since %s. The last answer was %s", alert.Name, events(g.n), since, alert.answer())
		if kind == kindReminder {
			alert.Text = "Still failing: " + alert.Text
		}
	case g.n > 0:
		alert.Text = fmt.Sprintf("%s: deliveries succeed again. %s not delivered and tried no more (%s, since %s)",
			alert.Name, events(g.n), statusText(g.status), since)
	default:
		var other int
		t.get(`SELECT COUNT(*) FROM events WHERE integration = $1 AND NOT succeeded`, []any{g.integration}, &other)
		alert.Text = fmt.Sprintf("%s: no event fails with %s any more", alert.Name, statusText(g.status))
		if other > 0 {
			alert.Text += fmt.Sprintf("; %s still undelivered with another answer", events(other))
		}
	}
	a.enqueue(t, alert, rand.Text(), now)
}

// events counts events in words.
func events(n int) string {
	if n == 1 {
		return "1 event is"
	}
	return count(n) + " events are"
}
