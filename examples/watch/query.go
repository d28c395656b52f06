package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// period is a time up to now.
type period struct {
	Name, Label string
	length      time.Duration
}

var periods = []period{
	{"1h", "1 hour", hours},
	{"24h", "24 hours", days},
	{"7d", "7 days", 7 * days},
	{"30d", "30 days", 30 * days},
	{"1y", "1 year", 53 * 7 * days},
}

const defaultPeriod = "24h"

// filter chooses what is shown: a period, or a time of its own from From to To.
type filter struct {
	Integration string // an id; empty: all
	Period      period
	From, To    time.Time
}

// window is the time that a filter means, at a time.
type window struct {
	from, to time.Time
	slot     time.Duration
	grain    time.Duration // of the table sums
}

// window begins and ends at round times. So the last slot of a period is not over. It has
// slots that can be seen in a chart, of a grain that is kept for so long.
func (f filter) window(now time.Time) window {
	w := window{from: f.From.UTC(), to: f.To.UTC(), slot: 7 * days, grain: days}
	if f.Period.length > 0 {
		w.to = now.UTC().Add(1)
		w.from = w.to.Add(-f.Period.length)
	}
	for _, c := range []window{{slot: minutes, grain: minutes}, {slot: hours, grain: hours}, {slot: 3 * hours, grain: hours}, {slot: days, grain: days}} {
		kept := grains[c.grain] == 0 || now.Sub(w.from) < grains[c.grain]
		if kept && w.to.Sub(w.from) <= 80*c.slot {
			w.slot, w.grain = c.slot, c.grain
			break
		}
	}
	w.from, w.to = w.from.Truncate(w.slot), w.to.Add(w.slot-1).Truncate(w.slot)
	if f.Period.length > 0 {
		w.from = w.to.Add(-f.Period.length)
	}
	return w
}

// summary is what the page and /api/summary show. Its numbers are of one moment.
type summary struct {
	From         time.Time             `json:"from"`
	To           time.Time             `json:"to"`
	Newest       *time.Time            `json:"newest_record"` // null: there is none
	Undelivered  int                   `json:"undelivered"`   // events
	Older        int                   `json:"undelivered_before"`
	Counts                             // of attempts
	Statuses     []statusCount         `json:"failures_by_status"`
	Integrations []*integrationSummary `json:"integrations"` // what fails first
	Slots        []slot                `json:"slots"`
	Alerts       alertSummary          `json:"alerts"`
}

// Counts are of delivery attempts.
type Counts struct {
	Attempts int     `json:"attempts"`
	Failures int     `json:"failures"`
	Rate     float64 `json:"success_rate"` // 0 to 1; 0 without attempts
}

func (c *Counts) add(n int, succeeded bool) {
	c.Attempts += n
	if !succeeded {
		c.Failures += n
	}
	c.Rate = float64(c.Attempts-c.Failures) / float64(max(c.Attempts, 1))
}

type statusCount struct {
	Status int `json:"status"` // 0: no answer
	Count  int `json:"count"`
}

type integrationSummary struct {
	ID          string `json:"id"`
	Name        string `json:"name"` // the id when it is not known
	Undelivered int    `json:"undelivered"`
	Older       int    `json:"undelivered_before"`
	Counts
	Down         bool          `json:"down"`          // whether no attempt has succeeded since then
	FailingSince *time.Time    `json:"failing_since"` // if not down, the last attempt of the oldest undelivered event; null: all is delivered
	LastSuccess  *time.Time    `json:"last_success"`  // null: never
	Groups       []answerGroup `json:"groups"`        // of undelivered events, the largest first
}

// answerGroup is undelivered events that got the same status and about the same answer.
type answerGroup struct {
	Status int       `json:"status"`
	Answer string    `json:"answer"`
	Count  int       `json:"count"`
	First  time.Time `json:"first_at"`
	Last   time.Time `json:"last_at"`
}

type slot struct {
	Start time.Time `json:"start"`
	Counts
}

type alertSummary struct {
	Waiting int    `json:"waiting"`
	Failing int    `json:"failing"` // of those waiting
	Error   string `json:"error,omitempty"`
}

// look reads a summary.
func (s *store) look(ctx context.Context, f filter, now time.Time) (*summary, error) {
	w := f.window(now)
	v := &summary{From: w.from, To: w.to, Statuses: []statusCount{}, Integrations: []*integrationSummary{}}
	return v, s.read(ctx, func(t *tx) {
		known := t.states(f.Integration)
		v.count(t, f, w, known)
		v.group(t, f, w, known)
		for _, in := range known {
			if in.Attempts > 0 || in.Undelivered+in.Older > 0 || in.ID == f.Integration {
				in.complete()
				v.Integrations = append(v.Integrations, in)
			}
		}
		slices.SortFunc(v.Integrations, urgent)
		v.Alerts = t.alerts()
		v.Newest = pointer(t.newest())
	})
}

// urgent says which of two integrations is to be seen first.
func urgent(a, b *integrationSummary) int {
	down := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(down[b.Down], down[a.Down]), cmp.Compare(b.Undelivered, a.Undelivered),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

const lastSuccess = `COALESCE((SELECT MAX(created_at) FROM logs WHERE integration = %s AND succeeded = TRUE), 0)`

// states reads since when integrations fail, with a look at an index for each.
func (t *tx) states(integration string) map[string]*integrationSummary {
	known := make(map[string]*integrationSummary)
	var id, name string
	var success, failures, failure int64
	const since = ` FROM logs WHERE integration = i.id AND succeeded = FALSE AND created_at > i.success`
	t.each(`
		SELECT id, name, success, (SELECT COUNT(*) FROM (SELECT 1`+since+` LIMIT 2) l), COALESCE((SELECT MIN(created_at)`+since+`), 0)
		FROM (SELECT id, name, `+fmt.Sprintf(lastSuccess, "n.id")+` AS success FROM integrations n WHERE $1 = '' OR id = $1) i`,
		[]any{integration}, []any{&id, &name, &success, &failures, &failure}, func() {
			in := &integrationSummary{ID: id, Name: name, Groups: []answerGroup{}}
			in.Down = failures > 1 // a single one is not yet an outage
			in.FailingSince, in.LastSuccess = pointer(failure), pointer(success)
			known[id] = in
		})
	return known
}

// pointer returns nil for 0.
func pointer(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := fromMicros(micros)
	return &t
}

// chosen is the condition of a filter: $1 and $2 are the time, $3 is the integration.
const chosen = ` AND ($3 = '' OR integration = $3) `

// count reads the attempts.
func (v *summary) count(t *tx, f filter, w window, known map[string]*integrationSummary) {
	v.Slots = make([]slot, w.to.Sub(w.from)/w.slot)
	for i := range v.Slots {
		v.Slots[i].Start = w.from.Add(time.Duration(i) * w.slot)
	}
	args := []any{w.from.UnixMicro(), w.to.UnixMicro(), f.Integration, int64(w.grain / time.Second)}
	var one sumRow
	statuses := make(map[int]int)
	t.each(`SELECT start, integration, succeeded, status, n FROM sums WHERE grain = $4 AND start >= $1 AND start < $2`+chosen, args,
		[]any{&one.Start, &one.Integration, &one.Succeeded, &one.Status, &one.N}, func() {
			slot := &v.Slots[(one.Start-w.from.UnixMicro())/w.slot.Microseconds()]
			v.add(one.N, one.Succeeded)
			known[one.Integration].add(one.N, one.Succeeded)
			slot.add(one.N, one.Succeeded)
			if !one.Succeeded {
				statuses[one.Status] += one.N
			}
		})
	for status, n := range statuses {
		v.Statuses = append(v.Statuses, statusCount{status, n})
	}
	slices.SortFunc(v.Statuses, func(a, b statusCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Status, b.Status))
	})
}

// group reads the undelivered events.
func (v *summary) group(t *tx, f filter, w window, known map[string]*integrationSummary) {
	var id string
	var older bool
	var g answerGroup
	var first, last int64
	t.each(`
		SELECT integration, last_at < $1, status, answer, COUNT(*), MIN(last_at), MAX(last_at) FROM events
		WHERE NOT succeeded AND last_at < $2`+chosen+`GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 7 DESC`,
		[]any{w.from.UnixMicro(), w.to.UnixMicro(), f.Integration},
		[]any{&id, &older, &g.Status, &g.Answer, &g.Count, &first, &last}, func() {
			in := known[id]
			if older {
				in.Older += g.Count
				v.Older += g.Count
				return
			}
			g.First, g.Last = fromMicros(first), fromMicros(last)
			in.Groups = append(in.Groups, g)
			in.Undelivered += g.Count
			v.Undelivered += g.Count
		})
}

// complete says what follows from what was read.
func (in *integrationSummary) complete() {
	switch {
	case in.Undelivered == 0:
		in.Down, in.FailingSince = false, nil
	case !in.Down:
		oldest := slices.MinFunc(in.Groups, func(a, b answerGroup) int { return a.First.Compare(b.First) })
		in.FailingSince = &oldest.First
	}
}

// newest returns 0 when there is no record.
func (t *tx) newest() (created int64) {
	t.get(`SELECT COALESCE(MAX(created_at), 0) FROM logs`, nil, &created)
	return created
}

// unsent is the condition that the receiver has not taken an alert yet.
const unsent = `(told_at = 0 OR error <> '')`

func (t *tx) alerts() (sum alertSummary) {
	t.get(`
		SELECT COUNT(*), COALESCE(SUM(CASE WHEN error <> '' THEN 1 ELSE 0 END), 0), COALESCE(MAX(error), '') FROM incidents WHERE `+unsent,
		nil, &sum.Waiting, &sum.Failing, &sum.Error)
	return sum
}

// undelivered is an event whose last attempt failed.
type undelivered struct {
	Job         string `json:"job"`
	Integration string `json:"integration"`
	Name        string `json:"integration_name"`
	Attempts    int    `json:"attempts"`
	Status      int    `json:"status"` // 0: no answer
	Reason      string `json:"reason"`
	Body        string `json:"body"`
	LastAttempt        // when it was
	AgeSeconds  int64  `json:"age_seconds"`
	Alerted     bool   `json:"alerted"` // an alert covers it, perhaps together with others
}

// LastAttempt is the time of an attempt, or that of reading if it was sent without one.
type LastAttempt struct {
	At    time.Time `json:"last_attempt_at"`
	Dated bool      `json:"last_attempt_dated"`
}

const anyStatus = -1

// choice is what a URL asks for: a part of the undelivered events of a filter, or one event.
type choice struct {
	filter
	Job    string // of the page of an event
	Status int    // anyStatus: any
	Answer string // empty: any
	Older  bool   // also those from before the period
	Page   int    // from 1
}

// list is a page of undelivered events, the latest first.
type list struct {
	From, To time.Time     `json:"-"`
	Total    int           `json:"total"`
	Pages    int           `json:"-"`
	Events   []undelivered `json:"events"`
}

func (s *store) list(ctx context.Context, c choice, now time.Time, size int) (*list, error) {
	w := c.window(now)
	from := w.from.UnixMicro()
	if c.Older {
		from = 0
	}
	args := []any{from, w.to.UnixMicro(), c.Integration, c.Status, c.Answer}
	const where = `last_at >= $1 AND last_at < $2` + chosen + `AND ($4 = -1 OR status = $4) AND ($5 = '' OR answer = $5)`
	l := &list{From: w.from, To: w.to, Events: []undelivered{}}
	return l, s.read(ctx, func(t *tx) {
		t.get(`SELECT COUNT(*) FROM events WHERE NOT succeeded AND `+where, args, &l.Total)
		l.Pages = (l.Total + size - 1) / size
		t.undelivered(where, args, size, size*max(c.Page-1, 0), func(e undelivered) {
			e.AgeSeconds = max(0, int64(now.Sub(e.At)/time.Second))
			l.Events = append(l.Events, e)
		})
	})
}

// undelivered calls f for undelivered events for which a condition holds, the latest first.
func (t *tx) undelivered(where string, args []any, limit, offset int, f func(undelivered)) {
	var e undelivered
	var at int64
	t.each(fmt.Sprintf(`
		SELECT u.job, u.integration, i.name, u.attempt, u.status, l.reason, l.body, u.last_at, l.dated, u.alerted
		FROM (SELECT * FROM events WHERE NOT succeeded AND %s ORDER BY last_at DESC, key LIMIT %d OFFSET %d) u
		JOIN logs l ON l.key = u.key JOIN integrations i ON i.id = u.integration
		ORDER BY u.last_at DESC, u.key`, where, limit, offset), args,
		[]any{&e.Job, &e.Integration, &e.Name, &e.Attempts, &e.Status, &e.Reason, &e.Body, &at, &e.Dated, &e.Alerted}, func() {
			e.At = fromMicros(at)
			f(e)
		})
}

// deliveries are the attempts to deliver an event to one integration, the last one first,
// and the last alert that covers it.
type deliveries struct {
	Integration integrationRow
	Attempts    []logRow
	Alerted     bool
	Incident    string // empty: there is none
	Told, Error string
	ToldAt      time.Time // zero: not yet
}

const maxAttempts = 1000 // on a page

// event reads all attempts of a job; nothing if there is none.
func (s *store) event(ctx context.Context, job string) (all []*deliveries, err error) {
	err = s.read(ctx, func(t *tx) {
		var name string
		var d logRow
		t.each(`
			SELECT key, name, integration, job, attempt, succeeded, status, reason, substr(body, 1, 5000), processing, created_at, dated
			FROM logs JOIN integrations i ON i.id = integration WHERE job = $1 ORDER BY integration, attempt DESC, created_at DESC LIMIT $2`, []any{job, maxAttempts},
			[]any{&d.Key, &name, &d.Integration, &d.Job, &d.Attempt, &d.Succeeded, &d.Status, &d.Reason, &d.Body, &d.Processing, &d.CreatedAt, &d.Dated},
			func() {
				if len(all) == 0 || all[len(all)-1].Integration.ID != d.Integration {
					all = append(all, &deliveries{Integration: integrationRow{d.Integration, name}})
				}
				last := all[len(all)-1]
				last.Attempts = append(last.Attempts, d)
			})
		for _, d := range all {
			var at int64
			t.get(`
				SELECT e.alerted, COALESCE(i.key, ''), COALESCE(i.told, ''), COALESCE(i.error, ''), COALESCE(i.told_at, 0) FROM events e
				LEFT JOIN incidents i ON i.integration = e.integration AND (i.job = e.job OR i.job = '' AND i.status = e.status AND e.alerted)
				WHERE e.integration = $1 AND e.job = $2`,
				[]any{d.Integration.ID, job}, &d.Alerted, &d.Incident, &d.Told, &d.Error, &at)
			d.ToldAt = fromMicros(at)
		}
	})
	return all, err
}

// total is what Prometheus gets of an integration.
type total struct {
	integrationRow
	undelivered, waiting int
	success              int64 // when
}

type totals struct {
	integrations []total
	newest       int64
}

func (s *store) totals(ctx context.Context) (all totals, err error) {
	err = s.read(ctx, func(t *tx) {
		var in total
		t.each(`
			SELECT id, name, (SELECT COUNT(*) FROM events e WHERE e.integration = i.id AND NOT succeeded),
				(SELECT COUNT(*) FROM incidents a WHERE a.integration = i.id AND `+unsent+`), `+fmt.Sprintf(lastSuccess, "i.id")+`
			FROM integrations i`, nil, []any{&in.ID, &in.Name, &in.undelivered, &in.waiting, &in.success}, func() { all.integrations = append(all.integrations, in) })
		all.newest = t.newest()
	})
	return all, err
}
