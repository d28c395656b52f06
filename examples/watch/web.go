package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	queryTimeout = 30 * time.Second
	pageEvents   = 20   // undelivered events on the page
	apiEvents    = 1000 // and in /api/undelivered
	pageBody     = 4096 // bytes of an answer's body on the page
)

//go:embed page
var files embed.FS

// web serves what is in the database, and how fresh that is.
type web struct {
	store     *store
	followers []*follower
	metrics   *metrics
	interval  time.Duration // of the readings
	title     string        // which store this is
	alerting  bool
	logger    *slog.Logger
}

func (w *web) handler() (http.Handler, error) {
	assets, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"ago": ago, "count": count, "percent": percent, "seconds": secondsText, "status": statusText, "shorten": shorten,
	}).ParseFS(assets, "page.html")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, r *http.Request) { w.page(rw, r, page) })
	mux.HandleFunc("GET /api/summary", w.summary)
	mux.HandleFunc("GET /api/undelivered", w.undelivered)
	mux.HandleFunc("GET /healthz", w.health)
	mux.Handle("GET /metrics", w.metrics.handler(w.store, w.fresh, w.logger))
	mux.Handle("GET /style.css", http.FileServerFS(assets))
	mux.Handle("GET /refresh.js", http.FileServerFS(assets))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; "+
			"style-src 'self' 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(rw, r)
	}), nil
}

// fresh returns the time up to which all lists are in the database; the zero time
// when one was never read to its end.
func (w *web) fresh() time.Time {
	oldest, _ := w.reading()
	return oldest
}

// reading also returns why nothing new comes in; nil when something does.
func (w *web) reading() (oldest time.Time, problem error) {
	for i, f := range w.followers {
		at, err := f.reading.last()
		if i == 0 || at.Before(oldest) {
			oldest = at
		}
		if err != nil {
			problem = err
		}
	}
	return oldest, problem
}

// stale reports whether too much may be missing.
func (w *web) stale(at, now time.Time) bool { return at.IsZero() || now.Sub(at) > 3*w.interval }

// pageData is what page.html shows.
type pageData struct {
	View     *view // nil after an error
	Title    string
	Filter   filter
	Periods  []period
	Chart    template.HTML
	Narrow   template.HTML // the chart for phones
	Now      time.Time
	ReadAt   time.Time
	Stale    bool
	Problem  string // why nothing new comes in
	Alerting bool
	Refresh  int // seconds
	Error    string
}

// Link is the URL of the page with another period or integration.
func (d pageData) Link(period, integration string) string {
	query := url.Values{"period": {period}}
	if integration != "" {
		query.Set("integration", integration)
	}
	return "/?" + query.Encode()
}

// Name is what the chosen integration is called.
func (d pageData) Name() string {
	if d.View != nil {
		for _, in := range d.View.Known {
			if in.ID == d.Filter.Integration {
				return in.Name
			}
		}
	}
	return d.Filter.Integration
}

// Selected reports whether the page shows only this integration; Current whether
// it shows this period.
func (d pageData) Selected(id string) bool { return d.Filter.Integration == id }

func (d pageData) Current(p period) bool { return d.Filter.Period.Name == p.Name }

func (w *web) page(rw http.ResponseWriter, r *http.Request, page *template.Template) {
	now := time.Now()
	d := pageData{
		Title: w.title, Periods: periods, Now: now, Alerting: w.alerting,
		Refresh: int(min(max(w.interval, 5*time.Second), time.Minute) / time.Second),
	}
	at, problem := w.reading()
	d.ReadAt, d.Stale = at, w.stale(at, now)
	if problem != nil {
		d.Problem = problem.Error()
	}
	status := http.StatusOK
	var err error
	if d.Filter, err = readFilter(r); err != nil {
		status, d.Error = http.StatusBadRequest, err.Error()
	} else if err = w.fill(r.Context(), &d); err != nil {
		w.logger.Error("page not made", "error", err)
		status, d.Error = http.StatusInternalServerError, "The database cannot be read: "+err.Error()
	}
	var body bytes.Buffer
	if err := page.Execute(&body, d); err != nil {
		w.logger.Error("page not made", "error", err)
		http.Error(rw, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = body.WriteTo(rw)
}

func (w *web) fill(ctx context.Context, d *pageData) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	v, err := w.store.look(ctx, d.Filter, d.Now, pageEvents)
	if err != nil {
		return err
	}
	if d.Chart, err = drawChart(d.Filter.Period, v.Slots, 860, 220); err != nil {
		return err
	}
	if d.Narrow, err = drawChart(d.Filter.Period, v.Slots, 360, 200); err != nil {
		return err
	}
	d.View = v
	return nil
}

// readFilter reads the filter from the URL.
func readFilter(r *http.Request) (filter, error) {
	query := r.URL.Query()
	name := query.Get("period")
	if name == "" {
		name = defaultPeriod
	}
	f := filter{Integration: text(query.Get("integration"))}
	var names []string
	for _, p := range periods {
		if p.Name == name {
			f.Period = p
			return f, nil
		}
		names = append(names, p.Name)
	}
	return f, fmt.Errorf("there is no period %q, only %s", name, strings.Join(names, ", "))
}

func (w *web) summary(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, func(v *view) any { return v.summary })
}

func (w *web) undelivered(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, func(v *view) any {
		return map[string]any{"total": v.Undelivered, "events": v.Events}
	})
}

// answer answers a request of the API with what pick takes of the view.
func (w *web) answer(rw http.ResponseWriter, r *http.Request, pick func(*view) any) {
	f, err := readFilter(r)
	if err != nil {
		w.reply(rw, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	v, err := w.store.look(ctx, f, time.Now(), apiEvents)
	if err != nil {
		w.logger.Error("request not answered", "path", r.URL.Path, "error", err)
		w.reply(rw, http.StatusInternalServerError, map[string]string{"error": "the database cannot be read"})
		return
	}
	w.reply(rw, http.StatusOK, pick(v))
}

func (w *web) health(rw http.ResponseWriter, _ *http.Request) {
	at, problem := w.reading()
	status, body := http.StatusOK, map[string]any{"status": "ok"}
	if w.stale(at, time.Now()) {
		status, body = http.StatusServiceUnavailable, map[string]any{"status": "stale"}
	}
	if !at.IsZero() {
		body["last_reading"] = at.UTC()
	}
	if problem != nil {
		body["error"] = problem.Error()
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

// ago says how long before now a time was.
func ago(now, t time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// count writes a number with its thousands apart.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent is rounded down, so that a single failure is never 100 %.
func percent(rate float64) string {
	return strconv.FormatFloat(math.Floor(rate*1e4)/100, 'f', 2, 64) + " %"
}

// secondsText is a processing time; a dash when none was sent.
func secondsText(s float64) string {
	switch {
	case s == 0:
		return "–"
	case s < 1:
		return strconv.FormatFloat(s*1000, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(s, 'f', 1, 64) + " s"
}

func statusText(status int) string {
	if status == 0 {
		return "no answer"
	}
	return strconv.Itoa(status)
}

// shorten cuts a body to what the page shows.
func shorten(s string) string {
	if len(s) > pageBody {
		return strings.ToValidUTF8(s[:pageBody], "") + " …"
	}
	return s
}
