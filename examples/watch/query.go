package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// filter chooses what is shown.
type filter struct {
	Integration string // an id; empty: all
	Period      period
}

// period is a time up to now, in slots for the chart.
type period struct {
	Name  string
	Label string
	slot  time.Duration
	slots int
	every int // so many slots have one label between them
}

var periods = []period{
	{"1h", "1 hour", time.Minute, 60, 10},
	{"24h", "24 hours", 30 * time.Minute, 48, 6},
	{"7d", "7 days", 3 * time.Hour, 56, 8},
	{"30d", "30 days", 12 * time.Hour, 60, 10},
	{"1y", "1 year", 7 * 24 * time.Hour, 53, 8},
}

const defaultPeriod = "24h"

// start is when the first slot begins. Slots begin at round times, so the last
// one is not over.
func (p period) start(now time.Time) time.Time {
	return now.UTC().Truncate(p.slot).Add(-time.Duration(p.slots-1) * p.slot)
}

// summary is what the page and /api/summary show. Its numbers are of one moment.
type summary struct {
	From         time.Time            `json:"from"`
	Integration  string               `json:"integration,omitempty"` // the filter
	Newest       *time.Time           `json:"newest_record"`         // null: there is none
	Undelivered  int                  `json:"undelivered"`           // events
	Counts                            // of attempts
	Statuses     []statusCount        `json:"failures_by_status"`
	Integrations []integrationSummary `json:"integrations"`
	Slots        []slot               `json:"slots"`
	Alerts       alertSummary         `json:"alerts"`
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
	Counts
	Median       float64 `json:"processing_median"` // seconds; 0 when not sent
	Percentile95 float64 `json:"processing_95th_percentile"`
}

type slot struct {
	Start    time.Time `json:"start"`
	Attempts int       `json:"attempts"`
	Failures int       `json:"failures"`
}

type alertSummary struct {
	Sent    int    `json:"sent"`
	Waiting int    `json:"waiting"`
	Failing int    `json:"failing"` // of those waiting
	Error   string `json:"error,omitempty"`
}

// undelivered is an event whose last attempt failed.
type undelivered struct {
	Job           string     `json:"job"`
	Integration   string     `json:"integration"`
	Name          string     `json:"integration_name"`
	Attempts      int        `json:"attempts"`
	Status        int        `json:"status"` // 0: no answer
	Reason        string     `json:"reason"`
	Body          string     `json:"body"`
	LastAttemptAt time.Time  `json:"last_attempt_at"`
	AgeSeconds    int64      `json:"age_seconds"`
	AlertedAt     *time.Time `json:"alerted_at,omitempty"`
	AlertError    string     `json:"alert_error,omitempty"`
}

// view is all that a page shows.
type view struct {
	summary
	Events []undelivered
	Known  []integrationSummary // all integrations, to choose from; only id and name are set
}

// look reads everything in one transaction; at most limit events.
func (s *store) look(ctx context.Context, f filter, now time.Time, limit int) (*view, error) {
	v := &view{}
	err := s.read(ctx, func(tx *sql.Tx) error {
		names, err := readNames(ctx, tx)
		if err != nil {
			return err
		}
		if f.Integration != "" {
			names[f.Integration] = cmp.Or(names[f.Integration], f.Integration)
		}
		if err := v.count(ctx, tx, f, now, names); err != nil {
			return err
		}
		if v.Alerts, err = readAlerts(ctx, tx); err != nil {
			return err
		}
		if v.Events, err = readUndelivered(ctx, tx, f, now, limit, names); err != nil {
			return err
		}
		for id, name := range names {
			v.Known = append(v.Known, integrationSummary{ID: id, Name: name})
		}
		slices.SortFunc(v.Known, byName)
		return nil
	})
	return v, err
}

func byName(a, b integrationSummary) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

func readNames(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	names := make(map[string]string)
	var id, name string
	err := each(ctx, tx, `SELECT id, name FROM integrations`, nil, []any{&id, &name}, func() {
		names[id] = cmp.Or(name, id)
	})
	return names, err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls f for each row of the query, once its columns are in dest.
func each(ctx context.Context, q querier, query string, args, dest []any, f func()) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f()
	}
	return rows.Err()
}

// chosen is the condition of a filter: $1 is the start of the period, $2 the
// integration.
const chosen = ` AND ($2 = '' OR integration = $2) `

func (v *summary) count(ctx context.Context, tx *sql.Tx, f filter, now time.Time, names map[string]string) error {
	from := f.Period.start(now)
	v.From, v.Integration = from, f.Integration
	v.Slots = make([]slot, f.Period.slots)
	for i := range v.Slots {
		v.Slots[i].Start = from.Add(time.Duration(i) * f.Period.slot)
	}
	args := []any{from.UnixMicro(), f.Integration}
	integrations := make(map[string]*integrationSummary)
	of := func(id string) *integrationSummary {
		in := integrations[id]
		if in == nil {
			in = &integrationSummary{ID: id, Name: cmp.Or(names[id], id)}
			integrations[id] = in
		}
		return in
	}

	var id string
	var succeeded bool
	var slot, status, n int
	statuses := make(map[int]int)
	err := each(ctx, tx, `
		SELECT integration, (created_at - $1) / $3, succeeded, CASE WHEN succeeded THEN 0 ELSE status END, COUNT(*)
		FROM logs WHERE created_at >= $1`+chosen+`GROUP BY 1, 2, 3, 4`,
		append(args, f.Period.slot.Microseconds()), []any{&id, &slot, &succeeded, &status, &n}, func() {
			v.add(n, succeeded)
			of(id).add(n, succeeded)
			slot = min(slot, len(v.Slots)-1) // the API's clock may be ahead
			v.Slots[slot].Attempts += n
			if !succeeded {
				v.Slots[slot].Failures += n
				statuses[status] += n
			}
		})
	if err != nil {
		return err
	}
	v.Statuses = []statusCount{} // not nil, which is null in JSON
	for status, n := range statuses {
		v.Statuses = append(v.Statuses, statusCount{status, n})
	}
	slices.SortFunc(v.Statuses, func(a, b statusCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Status, b.Status))
	})

	// A histogram is enough for exact percentiles, and small: the service sends
	// tenths of milliseconds, and waits for ten seconds at most.
	var micros int64
	times := make(map[string][]bar)
	err = each(ctx, tx, `
		SELECT integration, processing, COUNT(*)
		FROM logs WHERE created_at >= $1 AND processing > 0`+chosen+`GROUP BY 1, 2 ORDER BY 1, 2`,
		args, []any{&id, &micros, &n}, func() { times[id] = append(times[id], bar{micros, n}) })
	if err != nil {
		return err
	}
	for id, bars := range times {
		of(id).Median, of(id).Percentile95 = percentile(bars, 50), percentile(bars, 95)
	}

	err = each(ctx, tx, `
		SELECT integration, COUNT(*) FROM events
		WHERE NOT succeeded AND last_at >= $1`+chosen+`GROUP BY 1`,
		args, []any{&id, &n}, func() {
			v.Undelivered += n
			of(id).Undelivered = n
		})
	if err != nil {
		return err
	}
	v.Integrations = []integrationSummary{}
	for _, in := range integrations {
		v.Integrations = append(v.Integrations, *in)
	}
	slices.SortFunc(v.Integrations, byName)

	newest, err := readNewest(ctx, tx)
	if !newest.IsZero() {
		v.Newest = &newest
	}
	return err
}

// readNewest returns the zero time when there is no record.
func readNewest(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var newest sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT MAX(created_at) FROM logs`).Scan(&newest)
	return fromMicros(newest.Int64), err
}

func readAlerts(ctx context.Context, tx *sql.Tx) (alertSummary, error) {
	var sum alertSummary
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM alerts WHERE sent_at IS NOT NULL`).Scan(&sum.Sent); err != nil {
		return sum, err
	}
	var failing bool
	var n int
	var problem string
	return sum, each(ctx, tx, `
		SELECT a.error <> '', COUNT(*), MAX(a.error)
		FROM alerts a JOIN events e ON e.integration = a.integration AND e.job = a.job
		WHERE a.sent_at IS NULL AND NOT e.succeeded GROUP BY 1`, nil, []any{&failing, &n, &problem}, func() {
		sum.Waiting += n
		if failing {
			sum.Failing, sum.Error = n, problem
		}
	})
}

func readUndelivered(ctx context.Context, tx *sql.Tx, f filter, now time.Time, limit int, names map[string]string) ([]undelivered, error) {
	events := []undelivered{}
	var e undelivered
	var lastAt int64
	var sentAt sql.NullInt64
	err := each(ctx, tx, `
		SELECT u.job, u.integration, u.attempt, l.status, l.reason, l.body, u.last_at, a.sent_at, COALESCE(a.error, '')
		FROM (
			SELECT * FROM events WHERE NOT succeeded AND last_at >= $1`+chosen+`ORDER BY last_at DESC LIMIT $3
		) u JOIN logs l ON l.key = u.key
		LEFT JOIN alerts a ON u.alerted AND a.integration = u.integration AND a.job = u.job
		ORDER BY u.last_at DESC, u.key`,
		[]any{f.Period.start(now).UnixMicro(), f.Integration, limit},
		[]any{&e.Job, &e.Integration, &e.Attempts, &e.Status, &e.Reason, &e.Body, &lastAt, &sentAt, &e.AlertError},
		func() {
			e.Name = cmp.Or(names[e.Integration], e.Integration)
			e.LastAttemptAt = fromMicros(lastAt)
			e.AgeSeconds = max(0, int64(now.Sub(e.LastAttemptAt)/time.Second))
			e.AlertedAt = nil
			if sentAt.Valid {
				at := fromMicros(sentAt.Int64)
				e.AlertedAt = &at
			}
			events = append(events, e)
		})
	return events, err
}

// totals are the gauges for Prometheus.
type totals struct {
	undelivered map[string]int // by integration
	waiting     int            // alerts
	newest      time.Time
}

func (s *store) totals(ctx context.Context) (t totals, err error) {
	t.undelivered = make(map[string]int)
	err = s.read(ctx, func(tx *sql.Tx) error {
		var id string
		var n int
		if err := each(ctx, tx, `SELECT integration, COUNT(*) FROM events WHERE NOT succeeded GROUP BY 1`,
			nil, []any{&id, &n}, func() { t.undelivered[id] = n }); err != nil {
			return err
		}
		alerts, err := readAlerts(ctx, tx)
		if err != nil {
			return err
		}
		t.waiting = alerts.Waiting
		t.newest, err = readNewest(ctx, tx)
		return err
	})
	return t, err
}

// bar says how many deliveries took a time.
type bar struct {
	micros int64
	n      int
}

// percentile returns the time in seconds that p of 100 deliveries took at most,
// by the nearest rank; the bars are in order.
func percentile(bars []bar, p int) float64 {
	total := 0
	for _, b := range bars {
		total += b.n
	}
	rank := (total*p + 99) / 100
	for _, b := range bars {
		if rank -= b.n; rank <= 0 {
			return float64(b.micros) / 1e6
		}
	}
	return 0
}
