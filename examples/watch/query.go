package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

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
	Status int `json:"status"` // 0: no HTTP answer
	Count  int `json:"count"`
}

// integration is an integration, whether or not there are records of it.
type integration struct {
	ID   string `json:"id"`
	Name string `json:"name"`             // the id when it is not known
	Type string `json:"integration_type"` // empty when it is not known
}

type integrationSummary struct {
	integration
	Undelivered int `json:"undelivered"`
	Older       int `json:"undelivered_before"`
	Counts
	Down         bool          `json:"down"`          // whether no attempt has succeeded since then
	FailingSince *time.Time    `json:"failing_since"` // if not down, the last attempt of the oldest undelivered event; null: all is delivered
	LastSuccess  *time.Time    `json:"last_success"`  // null: never
	Waiting      int           `json:"alerts_waiting"`
	Groups       []answerGroup `json:"groups"` // of undelivered events, the largest first
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
		v.alert(t, known)
		for _, in := range known {
			if in.Undelivered == 0 {
				in.Down, in.FailingSince = false, nil
			}
			v.Integrations = append(v.Integrations, in)
		}
		slices.SortFunc(v.Integrations, urgent)
		var newest int64
		t.get(`SELECT COALESCE(MAX(created_at), 0) FROM logs`, nil, &newest)
		v.Newest = pointer(newest)
	})
}

// Failing counts the integrations with undelivered events that are down, or those that
// are not. Those that are down come first.
func (v *summary) Failing(down bool) (n int) {
	for _, in := range v.Integrations {
		if in.Undelivered > 0 && in.Down == down {
			n++
		}
	}
	return n
}

// urgent says which of two integrations is to be seen first.
func urgent(a, b *integrationSummary) int {
	down := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(down[b.Down], down[a.Down]), cmp.Compare(b.Undelivered, a.Undelivered),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

const lastSuccess = `COALESCE((SELECT MAX(created_at) FROM logs WHERE integration = %s AND succeeded = TRUE), 0)`

// states reads since when integrations fail, with a look at an index for each.
func (t *tx) states(id string) map[string]*integrationSummary {
	known := make(map[string]*integrationSummary)
	var one integration
	var success, failures, failure int64
	const since = ` FROM logs WHERE integration = i.id AND succeeded = FALSE AND created_at > i.success`
	t.each(`
		SELECT id, name, type, success, (SELECT COUNT(*) FROM (SELECT 1`+since+` LIMIT 2) l), COALESCE((SELECT MIN(created_at)`+since+`), 0)
		FROM (SELECT n.*, `+fmt.Sprintf(lastSuccess, "n.id")+` AS success FROM integrations n WHERE $1 = '' OR id = $1) i`,
		[]any{id}, []any{&one.ID, &one.Name, &one.Type, &success, &failures, &failure}, func() {
			in := &integrationSummary{integration: one, Groups: []answerGroup{}, LastSuccess: pointer(success)}
			if failures > 1 { // a single one is not yet an outage
				in.Down, in.FailingSince = true, pointer(failure)
			}
			known[one.ID] = in
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
	var start int64
	var id string
	var succeeded bool
	var status, n int
	statuses := make(map[int]int)
	t.each(`SELECT start, integration, succeeded, status, n FROM sums WHERE grain = $4 AND start >= $1 AND start < $2`+chosen, args,
		[]any{&start, &id, &succeeded, &status, &n}, func() {
			v.add(n, succeeded)
			known[id].add(n, succeeded)
			v.Slots[(start-w.from.UnixMicro())/w.slot.Microseconds()].add(n, succeeded)
			if !succeeded {
				statuses[status] += n
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
			if !in.Down && (in.FailingSince == nil || g.First.Before(*in.FailingSince)) {
				in.FailingSince = pointer(first)
			}
		})
}

// alert counts the alerts that the receiver has not taken yet, those of all integrations.
func (v *summary) alert(t *tx, known map[string]*integrationSummary) {
	var id, problem string
	var waiting, failing int
	t.each(`
		SELECT integration, COUNT(*), SUM(CASE WHEN error <> '' THEN 1 ELSE 0 END), MAX(error) FROM incidents
		WHERE told_at = 0 OR error <> '' GROUP BY integration`, nil, []any{&id, &waiting, &failing, &problem}, func() {
		v.Alerts.Waiting += waiting
		v.Alerts.Failing += failing
		v.Alerts.Error = max(v.Alerts.Error, problem)
		if in := known[id]; in != nil {
			in.Waiting = waiting
		}
	})
}

// target is the integration that an event or an alert is about.
type target struct {
	Integration string `json:"integration"`
	Name        string `json:"integration_name"`
	Type        string `json:"integration_type"` // empty when it is not known
}

// undelivered is an event whose last attempt failed.
type undelivered struct {
	Job string `json:"job"`
	target
	Attempts   int       `json:"attempts"`
	Status     int       `json:"status"` // 0: no HTTP answer
	Reason     string    `json:"reason"`
	Body       string    `json:"body"`
	At         time.Time `json:"last_attempt_at"`    // that of reading if it is not dated
	Dated      bool      `json:"last_attempt_dated"` // the API sent a time
	AgeSeconds int64     `json:"age_seconds"`
	Alerted    bool      `json:"alerted"` // an alert covers it, perhaps together with others
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
		SELECT u.job, u.integration, i.name, i.type, u.attempt, u.status, l.reason, l.body, u.last_at, l.dated, u.alerted
		FROM (SELECT * FROM events WHERE NOT succeeded AND %s ORDER BY last_at DESC, key LIMIT %d OFFSET %d) u
		JOIN logs l ON l.key = u.key JOIN integrations i ON i.id = u.integration
		ORDER BY u.last_at DESC, u.key`, where, limit, offset), args,
		[]any{&e.Job, &e.Integration, &e.Name, &e.Type, &e.Attempts, &e.Status, &e.Reason, &e.Body, &at, &e.Dated, &e.Alerted}, func() {
			e.At = fromMicros(at)
			f(e)
		})
}

// deliveries are the attempts to deliver an event to one integration, the last one first,
// and the last alert that covers it.
type deliveries struct {
	Integration integration
	Attempts    []logRow
	Alerted     bool
	Incident    string // empty: there is none
	Told, Error string
	ToldAt      time.Time // zero: not yet
}

const maxAttempts = 1000 // on a page

// event reads all attempts of a job; nothing if there is none.
func (s *store) event(ctx context.Context, job string) (all []deliveries, err error) {
	var d deliveries
	var l logRow
	var previous string
	var at int64
	err = s.read(ctx, func(t *tx) {
		t.each(`
			SELECT l.key, n.id, n.name, n.type, l.attempt, l.succeeded, l.status, l.reason, substr(l.body, 1, 5000), l.processing, l.created_at, l.dated,
				e.alerted, COALESCE(i.key, ''), COALESCE(i.told, ''), COALESCE(i.error, ''), COALESCE(i.told_at, 0)
			FROM logs l JOIN integrations n ON n.id = l.integration JOIN events e ON e.integration = l.integration AND e.job = l.job
			LEFT JOIN incidents i ON i.integration = e.integration AND (i.job = e.job OR i.job = '' AND i.status = e.status AND e.alerted)
			WHERE l.job = $1 ORDER BY n.id, l.attempt DESC, l.created_at DESC, l.key, i.job DESC LIMIT $2`, []any{job, maxAttempts},
			[]any{
				&l.Key, &d.Integration.ID, &d.Integration.Name, &d.Integration.Type, &l.Attempt, &l.Succeeded, &l.Status, &l.Reason, &l.Body, &l.Processing,
				&l.CreatedAt, &l.Dated, &d.Alerted, &d.Incident, &d.Told, &d.Error, &at,
			}, func() {
				if l.Key == previous { // with one of a group, from a run without -alert-each
					return
				}
				if n := len(all); n == 0 || all[n-1].Integration.ID != d.Integration.ID {
					d.ToldAt = fromMicros(at)
					all = append(all, d)
				}
				last := &all[len(all)-1]
				last.Attempts, previous = append(last.Attempts, l), l.Key
			})
	})
	return all, err
}
