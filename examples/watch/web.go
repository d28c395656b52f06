package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

const (
	pageEvents = 50   // on a page of the list
	apiEvents  = 1000 // and in /api/undelivered
)

//go:embed page
var files embed.FS

// web serves what is in the database, and how fresh that is.
type web struct {
	store     *store
	followers []*follower
	metrics   *metrics
	cache     *cache
	interval  time.Duration // of the readings
	title     string        // which store this is
	hosts     []string      // by which the page may be asked for, beside addresses
	alerting  bool
	logger    *slog.Logger
	pages     *template.Template
}

func (w *web) handler() (http.Handler, error) {
	assets, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	w.pages, err = template.New("").Funcs(template.FuncMap{
		"ago": ago, "count": count, "percent": percent, "seconds": secondsText, "status": statusText,
		"shorten": shorten, "hint": hint, "event": eventPath, "clock": clockText,
		"at":     func(now time.Time, at time.Time) moment { return moment{now, at} },
		"rest":   func(n, by int) int { return n % by },
		"micros": func(n int64) string { return secondsText(float64(n) / 1e6) },
	}).ParseFS(assets, "*.html")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.overview)
	mux.HandleFunc("GET /events", w.events)
	mux.HandleFunc("GET /event/{$}", w.event) // with ?job=
	mux.HandleFunc("GET /event/{job}", w.event)
	mux.HandleFunc("GET /api/summary", w.apiSummary)
	mux.HandleFunc("GET /api/undelivered", w.apiUndelivered)
	mux.HandleFunc("GET /healthz", w.health)
	mux.Handle("GET /metrics", w.metrics.handler(w))
	mux.Handle("GET /style.css", http.FileServerFS(assets))
	mux.Handle("GET /page.js", http.FileServerFS(assets))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; "+
			"style-src 'self' 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !w.ours(r.Host) {
			http.Error(rw, fmt.Sprintf("This monitor does not answer as %q. Start it with -public-url to give it that name.", r.Host),
				http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(rw, r)
	}), nil
}

// ours reports whether a request names this program, by an address or by a name that it
// was given. A page of another site can make its own name point to this machine, and
// would read what this program answers.
func (w *web) ours(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return net.ParseIP(host) != nil || host == "localhost" || slices.Contains(w.hosts, host)
}

// condition is how fresh the data are.
type condition struct {
	ReadAt   time.Time // all that was in the lists then is in the database; zero: never read
	Stale    bool      // too much may be missing
	Problems []problem
}

// problem is why nothing new comes in from a list; from all of them if that is empty.
type problem struct{ List, Text string }

// condition is that of the list that was read longest ago. A list that the API does not
// know can bring nothing, and does not count beside others.
func (w *web) condition(now time.Time) condition {
	var c condition
	counted := 0
	for _, f := range w.followers {
		at, err := f.reading.last()
		if err != nil {
			p := problem{f.list, err.Error()}
			if len(w.followers) == 1 {
				p.List = ""
			}
			c.Problems = append(c.Problems, p)
		}
		if errors.Is(err, epcclogs.ErrNotFound) && len(w.followers) > 1 {
			continue
		}
		if counted++; counted == 1 || at.Before(c.ReadAt) {
			c.ReadAt = at
		}
	}
	c.Stale = c.ReadAt.IsZero() || now.Sub(c.ReadAt) > 3*w.interval
	return c
}

// caughtUp returns how far this run has read the lists, for the alerts.
func (w *web) caughtUp() []read {
	var all []read
	for _, f := range w.followers {
		if at, ok := f.reading.caughtUp(time.Now()); ok {
			all = append(all, read{f.list, at})
		}
	}
	return all
}

// pageData is what all pages show.
type pageData struct {
	Title    string
	Filter   filter
	Periods  []period
	Now      time.Time
	Alerting bool
	Refresh  int // seconds
	Error    string
	condition
	Shown any // nil after an error
}

// Link is the URL of the first page with another period or integration.
func (d pageData) Link(period, integration string) string {
	return "/?" + query("period", period, "integration", integration)
}

// Here is the URL of a page with the filter, and more of the query.
func (d pageData) Here(path string, more ...string) string {
	return path + "?" + query(append(d.Filter.query(), more...)...)
}

// moment is a time, and when it is shown.
type moment struct{ Now, At time.Time }

// query writes pairs of names and values; those without a value are left out.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values.Encode()
}

func (f filter) query() []string {
	if f.Period.Name != "" {
		return []string{"period", f.Period.Name, "integration", f.Integration}
	}
	return []string{"from", f.From.Format(time.RFC3339), "to", f.To.Format(time.RFC3339), "integration", f.Integration}
}

// eventPath is where the page of an event is. A job can have any name.
func eventPath(job string) string {
	if strings.Trim(job, ".") == "" {
		return "/event/?job=" + url.QueryEscape(job)
	}
	return "/event/" + url.PathEscape(job)
}

// listPath is where the undelivered events of an integration with a status are listed.
func listPath(integration string, status int) string {
	return "/events?" + query("period", "24h", "older", "1", "integration", integration, "status", strconv.Itoa(status))
}

// overview is what page/overview.html shows.
type overview struct {
	*summary
	Chart   chart
	Failing []*integrationSummary
	Chosen  string // the name of the integration
}

func (w *web) overview(rw http.ResponseWriter, r *http.Request) {
	w.page(rw, r, "overview.html", func(ctx context.Context, d *pageData, c choice) (any, error) {
		v, err := w.look(ctx, c.filter)
		if err != nil {
			return nil, err
		}
		o := overview{summary: v}
		o.Chart = newChart(c.window(d.Now), v.Slots, func(s slot) string {
			end := s.Start.Add(c.window(d.Now).slot)
			return "/events?" + query("from", s.Start.Format(time.RFC3339), "to", end.Format(time.RFC3339), "integration", c.Integration)
		})
		for _, in := range v.Integrations {
			if in.Undelivered > 0 {
				o.Failing = append(o.Failing, in)
			}
			if in.ID == c.Integration {
				o.Chosen = in.Name
			}
		}
		return o, nil
	})
}

// listing is what page/events.html shows.
type listing struct {
	*list
	choice
	From, To time.Time
	Pages    int
}

func (w *web) events(rw http.ResponseWriter, r *http.Request) {
	w.page(rw, r, "events.html", func(ctx context.Context, d *pageData, c choice) (any, error) {
		l, err := shared(ctx, w.cache, c, func(ctx context.Context) (*list, error) {
			return w.store.list(ctx, c, time.Now(), pageEvents)
		})
		if err != nil {
			return nil, err
		}
		win := c.window(d.Now)
		return listing{l, c, win.from, win.to, (l.Total + pageEvents - 1) / pageEvents}, nil
	})
}

// StatusText is the status in a query.
func (c choice) StatusText() string {
	if c.Status == anyStatus {
		return ""
	}
	return strconv.Itoa(c.Status)
}

// Turn is the URL of another page of the list.
func (d pageData) Turn(l listing, by int) string {
	older := ""
	if l.Older {
		older = "1"
	}
	return d.Here("/events", "status", l.StatusText(), "answer", l.Answer, "older", older, "page", strconv.Itoa(l.Page+by))
}

// happened is what page/event.html shows.
type happened struct {
	Job        string
	Deliveries []*deliveries
}

func (w *web) event(rw http.ResponseWriter, r *http.Request) {
	job := r.PathValue("job")
	if job == "" {
		job = strings.TrimSpace(r.URL.Query().Get("job"))
	}
	job = text(job, idLimit)
	w.page(rw, r, "event.html", func(ctx context.Context, _ *pageData, _ choice) (any, error) {
		all, err := shared(ctx, w.cache, [2]string{"event", job}, func(ctx context.Context) ([]*deliveries, error) {
			return w.store.event(ctx, job)
		})
		return happened{job, all}, err
	})
}

func (w *web) look(ctx context.Context, f filter) (*summary, error) {
	return shared(ctx, w.cache, f, func(ctx context.Context) (*summary, error) { return w.store.look(ctx, f, time.Now()) })
}

// page answers with a page that shows what read returns.
func (w *web) page(rw http.ResponseWriter, r *http.Request, name string, read func(context.Context, *pageData, choice) (any, error)) {
	now := time.Now()
	d := pageData{
		Title: w.title, Periods: periods, Now: now, Alerting: w.alerting, condition: w.condition(now),
		Refresh: int(min(max(w.interval, 5*time.Second), time.Minute) / time.Second),
	}
	status := http.StatusOK
	c, err := readChoice(r)
	d.Filter = c.filter
	if err != nil {
		status, d.Error = http.StatusBadRequest, err.Error()
	} else if d.Shown, err = read(r.Context(), &d, c); err != nil {
		if r.Context().Err() != nil {
			return // the reader has gone
		}
		w.logger.Error("page not made", "error", err)
		status, d.Error, d.Shown = http.StatusInternalServerError, "The database cannot be read: "+err.Error(), nil
	}
	var body bytes.Buffer
	if err := w.pages.ExecuteTemplate(&body, name, d); err != nil {
		w.logger.Error("page not made", "error", err)
		http.Error(rw, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = body.WriteTo(rw)
}

// readChoice reads the choice from the URL.
func readChoice(r *http.Request) (choice, error) {
	q := r.URL.Query()
	c := choice{Status: anyStatus, Answer: text(q.Get("answer"), answerLimit), Older: q.Get("older") != "", Page: 1}
	c.Integration = text(q.Get("integration"), idLimit)
	var err error
	if s := q.Get("status"); s != "" {
		if c.Status, err = strconv.Atoi(s); err != nil {
			return c, fmt.Errorf("%q is not a status", s)
		}
	}
	if s := q.Get("page"); s != "" {
		if c.Page, err = strconv.Atoi(s); err != nil || c.Page < 1 || c.Page > 1e6 {
			return c, fmt.Errorf("there is no page %q", s)
		}
	}
	return c, c.readTime(q)
}

func (f *filter) readTime(q url.Values) error {
	if q.Get("from") != "" || q.Get("to") != "" {
		var problems [2]error
		f.From, problems[0] = readTime(q.Get("from"))
		f.To, problems[1] = readTime(q.Get("to"))
		if problems[0] != nil || problems[1] != nil || !f.From.Before(f.To) {
			return errors.New("from and to are not times, or not in this order; write 2026-01-31T12:00Z, or without the Z, which is UTC as well")
		}
		return nil
	}
	name := q.Get("period")
	if name == "" {
		name = defaultPeriod
	}
	var names []string
	for _, p := range periods {
		if p.Name == name {
			f.Period = p
			return nil
		}
		names = append(names, p.Name)
	}
	return fmt.Errorf("there is no period %q, only %s", name, strings.Join(names, ", "))
}

func readTime(s string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if t, err = time.Parse(layout, s); err == nil && t.Year() >= 2000 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return t, errors.New("not a time")
}

func (w *web) apiSummary(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, func(ctx context.Context, c choice) (any, error) { return w.look(ctx, c.filter) })
}

func (w *web) apiUndelivered(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, func(ctx context.Context, c choice) (any, error) {
		return shared(ctx, w.cache, [2]any{"api", c}, func(ctx context.Context) (*list, error) {
			return w.store.list(ctx, c, time.Now(), apiEvents)
		})
	})
}

// answer answers a request of the API with what read returns.
func (w *web) answer(rw http.ResponseWriter, r *http.Request, read func(context.Context, choice) (any, error)) {
	c, err := readChoice(r)
	if err != nil {
		w.reply(rw, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	v, err := read(r.Context(), c)
	switch {
	case err == nil:
		w.reply(rw, http.StatusOK, v)
	case r.Context().Err() == nil:
		w.logger.Error("request not answered", "path", r.URL.Path, "error", err)
		w.reply(rw, http.StatusInternalServerError, map[string]string{"error": "the database cannot be read"})
	}
}

func (w *web) health(rw http.ResponseWriter, _ *http.Request) {
	c := w.condition(time.Now())
	status, body := http.StatusOK, map[string]any{"status": "ok"}
	if c.Stale {
		status, body = http.StatusServiceUnavailable, map[string]any{"status": "stale"}
	}
	if !c.ReadAt.IsZero() {
		body["last_reading"] = c.ReadAt.UTC()
	}
	if len(c.Problems) > 0 {
		problems := make(map[string]string)
		for _, p := range c.Problems {
			list := p.List
			if list == "" {
				list = w.followers[0].list
			}
			problems[list] = p.Text
		}
		body["problems"] = problems
	}
	w.reply(rw, status, body)
}

func (w *web) reply(rw http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		w.logger.Error("answer not encoded", "error", err)
		http.Error(rw, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, _ = rw.Write(append(body, '\n'))
}
