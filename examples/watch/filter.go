package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
		kept := now.Sub(w.from) < grains[c.grain]
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

// readChoice reads the choice from the URL.
func readChoice(r *http.Request) (choice, error) {
	q := r.URL.Query()
	c := choice{
		Status: anyStatus, Answer: text(q.Get("answer"), answerLimit), Older: q.Get("older") != "", Page: 1,
		Job: text(cmp.Or(r.PathValue("job"), strings.TrimSpace(q.Get("job"))), idLimit),
	}
	c.Integration = text(q.Get("integration"), idLimit)
	for name, n := range map[string]*int{"status": &c.Status, "page": &c.Page} {
		if s := q.Get(name); s != "" {
			var err error
			if *n, err = strconv.Atoi(s); err != nil || c.Page < 1 || *n > 1e6 {
				return c, fmt.Errorf("there is no %s %q", name, s)
			}
		}
	}
	return c, c.readTime(q)
}

func (f *filter) readTime(q url.Values) error {
	if q.Get("from") != "" || q.Get("to") != "" {
		if f.From, f.To = readTime(q.Get("from")), readTime(q.Get("to")); f.From.IsZero() || !f.From.Before(f.To) {
			return errors.New("from and to are not times, or not in this order; write 2026-01-31T12:00Z, or without the Z, which is UTC as well")
		}
		return nil
	}
	name := cmp.Or(q.Get("period"), "24h")
	i := slices.IndexFunc(periods, func(p period) bool { return p.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no period %q, only 1h, 24h, 7d, 30d, 1y", name)
	}
	f.Period = periods[i]
	return nil
}

// readTime returns the zero time for what is none.
func readTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 2000 && t.Year() < 2200 {
			return t.UTC()
		}
	}
	return time.Time{}
}
