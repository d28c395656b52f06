package main

import (
	"cmp"
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

// incident is a row of the table incidents: undelivered events of which there is
// something to tell.
type incident struct {
	integration string
	status      int    // anyStatus if it is about one event
	job         string // empty if it is about all events with the status
	key         string // of an attempt with which it began
	since, told int64  // told is 0 before the first alert
	fresh       int    // events that came after the last alert
	tries       int    // to post the next one
	kind        string // what that is
}

const thisIncident = `integration = $1 AND status = $2 AND job = $3`

// idempotencyKey is the same when an alert is posted again.
func (i *incident) idempotencyKey() string {
	if i.job != "" {
		return i.key
	}
	return fmt.Sprintf("%s-%s-%d", i.key, i.kind, i.told)
}

// within is the condition that a row is of the list $1.
const within = `($1 = '` + wholeStore + `' OR integration = $1)`

// over is the condition that all is delivered, or that deliveries succeed again and the API
// has tried the events no more since $3.
var over = `NOT EXISTS (
		SELECT 1 FROM events e WHERE e.integration = i.integration AND e.job = i.job AND NOT e.succeeded)
	AND NOT EXISTS (
		SELECT 1 FROM events e WHERE e.integration = i.integration AND e.status = i.status AND NOT e.succeeded
			AND (e.last_at >= $3 OR e.last_at >= ` + fmt.Sprintf(lastSuccess, "i.integration") + `))`

// enqueue adds the events that have no alert, and no later attempt within the grace
// period, to the incidents. That period ends with the time up to which the list was read,
// not with that of the clock: nobody knows of attempts that are not read. What was over
// before it was told, such as on the first run, needs no alert.
func (t *tx) enqueue(l read, now time.Time, set alertSettings) {
	const due = within + ` AND NOT succeeded AND NOT alerted AND seen_at <= $2`
	limit := l.at.Add(-set.grace).UnixMicro()
	together := `status, ''`
	if set.each {
		together = `-1, job`
	}
	t.exec(`
		INSERT INTO incidents (integration, status, job, key, since, fresh)
		SELECT integration, `+together+`, MIN(key), MIN(last_at), COUNT(*) FROM events WHERE `+due+` GROUP BY 1, 2, 3
		ON CONFLICT (integration, status, job) DO UPDATE SET fresh = incidents.fresh + excluded.fresh`, l.list, limit)
	t.exec(`UPDATE events SET alerted = TRUE WHERE `+due, l.list, limit)
	t.exec(`DELETE FROM incidents AS i WHERE `+within+` AND told_at = 0 AND tried_at + wait <= $2 AND `+over,
		l.list, now.UnixMicro(), l.at.Add(-quietAfter).UnixMicro())
}

// claim returns an incident of which there is something to tell now: nobody else gets it
// before the claim is over. It returns nil when there is none.
func (t *tx) claim(l read) *incident {
	now := t.time()
	i := &incident{}
	if !t.get(`
		SELECT integration, status, job, key, since, told_at, fresh, tries, kind FROM (
			SELECT i.*, CASE
				WHEN job <> '' THEN CASE WHEN told_at = 0 THEN '`+kindEvent+`' ELSE '' END
				WHEN `+over+` THEN '`+kindRecovered+`'
				WHEN told_at = 0 THEN '`+kindFailing+`'
				WHEN fresh > 0 AND told_at <= $4 THEN '`+kindReminder+`'
				ELSE '' END AS kind
			FROM incidents i WHERE `+within+` AND tried_at + wait <= $2) i
		WHERE kind <> '' ORDER BY tries, since, key LIMIT 1`,
		[]any{l.list, now.UnixMicro(), l.at.Add(-quietAfter).UnixMicro(), now.Add(-remindEvery).UnixMicro()},
		&i.integration, &i.status, &i.job, &i.key, &i.since, &i.told, &i.fresh, &i.tries, &i.kind) {
		return nil
	}
	t.exec(`UPDATE incidents SET tries = tries + 1, tried_at = $4, wait = $5 WHERE `+thisIncident,
		i.integration, i.status, i.job, now.UnixMicro(), alertClaim.Microseconds())
	return i
}

// told notes that the receiver has taken an alert.
func (t *tx) told(i *incident, now time.Time) {
	if i.kind == kindRecovered && t.exec(`DELETE FROM incidents WHERE `+thisIncident+` AND fresh = $4`, i.integration, i.status, i.job, i.fresh) > 0 {
		return // and no event came meanwhile
	}
	t.exec(`
		UPDATE incidents SET told = $4, told_at = $5, fresh = fresh - $6, tries = 0, tried_at = 0, wait = 0, error = ''
		WHERE `+thisIncident, i.integration, i.status, i.job, i.kind, now.UnixMicro(), i.fresh)
}

// alert is what is posted.
type alert struct {
	Text string `json:"text"` // the rest in words, as chat services show it
	Kind string `json:"kind"`
	target
	Status   int       `json:"status"` // 0: no HTTP answer
	Answer   string    `json:"answer"` // its beginning; of a group, that of the last attempt
	URL      string    `json:"url,omitempty"`
	Since    time.Time `json:"since"`              // of a single event, its last attempt
	Job      string    `json:"job,omitempty"`      // empty: it is about a group
	Attempts int       `json:"attempts,omitempty"` // of the job
	Events   int       `json:"events"`             // undelivered
}

// chatText escapes what chat services take for markup, such as <!channel>.
var chatText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// describe makes an alert of an incident as it is now.
func (t *tx) describe(i *incident, publicURL string) alert {
	a := alert{Kind: i.kind, target: target{Integration: i.integration}, Status: i.status, Since: fromMicros(i.since)}
	these, args, path := `integration = $1 AND status = $2`, []any{i.integration, i.status}, listPath(i.integration, i.status)
	if i.job != "" {
		these, args, path = `integration = $1 AND job = $2`, []any{i.integration, i.job}, eventPath(i.job)
	}
	t.get(`SELECT name, type FROM integrations WHERE id = $1`, args[:1], &a.Name, &a.Type)
	t.get(`SELECT COUNT(*) FROM events WHERE NOT succeeded AND `+these, args, &a.Events)
	t.undelivered(these, args, 1, 0, func(e undelivered) {
		a.Status, a.Answer = e.Status, text(strings.TrimSpace(cmp.Or(strings.TrimSpace(e.Body), e.Reason)), alertAnswer)
		if i.job != "" {
			a.Job, a.Attempts, a.Since = e.Job, e.Attempts, e.At
		}
	})
	a.Text = chatText.Replace(a.words())
	if publicURL != "" {
		a.URL = publicURL + path
		a.Text += "\n" + a.URL
	}
	return a
}

func (a alert) words() string {
	since := a.Since.Format("2 Jan 15:04 UTC")
	how, last := "with "+statusText(a.Status), strings.TrimSpace(fmt.Sprintf("The last answer was %d %s", a.Status, http.StatusText(a.Status)))
	if a.Status == 0 {
		how, last = "without a status", "The last attempt failed"
	}
	if a.Answer != "" {
		last += ": " + a.Answer
	}
	switch {
	case a.Kind == kindEvent:
		return fmt.Sprintf("%s: event %s is not delivered after %d attempts. %s", a.Name, a.Job, a.Attempts, last)
	case a.Kind == kindFailing:
		return fmt.Sprintf("%s: %s not delivered since %s. %s", a.Name, events(a.Events), since, last)
	case a.Kind == kindReminder:
		return fmt.Sprintf("Still failing: %s: %s not delivered since %s. %s", a.Name, events(a.Events), since, last)
	case a.Events > 0:
		return fmt.Sprintf("%s: deliveries succeed again. %s not delivered and tried no more (%s, since %s)",
			a.Name, events(a.Events), statusText(a.Status), since)
	}
	return fmt.Sprintf("%s: no event fails %s any more", a.Name, how)
}

// events counts events in words.
func events(n int) string {
	if n == 1 {
		return "1 event is"
	}
	return count(n) + " events are"
}
