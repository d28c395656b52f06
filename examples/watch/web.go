package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/epcclogs/epcclogs"
)

const (
	pageEvents = 50   // on a page of the list
	apiEvents  = 1000 // and in /api/undelivered
)

//go:embed page
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"ago": ago, "count": count, "percent": percent, "took": took, "status": statusText,
	"shorten": shorten, "hint": hint, "event": eventPath, "chart": newChart,
	"add":  func(n, by int) int { return n + by },
	"rest": func(n, by int) int { return n % by },
}).ParseFS(files, "page/*.html"))

// web serves what is in the database, and how fresh that is.
type web struct {
	*program
	followers []*follower
	cache     *cache
}

func newWeb(p *program) *web {
	w := &web{program: p, cache: newCache(min(p.interval, time.Minute))}
	lists := p.integrations
	if len(lists) == 0 {
		lists = []string{wholeStore}
	}
	for _, list := range lists {
		w.followers = append(w.followers, &follower{program: p, list: list})
	}
	return w
}

func (w *web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.show("overview.html", w.summary))
	mux.HandleFunc("GET /events", w.show("events.html", w.list(pageEvents)))
	mux.HandleFunc("GET /event/{$}", w.show("event.html", w.event)) // with ?job=
	mux.HandleFunc("GET /event/{job}", w.show("event.html", w.event))
	mux.HandleFunc("GET /api/summary", w.show("", w.summary))
	mux.HandleFunc("GET /api/undelivered", w.show("", w.list(apiEvents)))
	mux.HandleFunc("GET /healthz", w.health)
	w.metrics.registry.MustRegister(prometheus.CollectorFunc(w.collect))
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.metrics.registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /page/style.css", http.FileServerFS(files))
	mux.Handle("GET /page/page.js", http.FileServerFS(files))
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
	})
}

// ours reports whether a request names this program, by an address or by a name that it
// was given. A page of another site can make its own name point to this machine, and
// would read what this program answers.
func (w *web) ours(host string) bool {
	own, _, _ := net.SplitHostPort(w.addr)
	public, _ := url.Parse(w.publicURL)
	name := (&url.URL{Host: host}).Hostname()
	return net.ParseIP(name) != nil || strings.EqualFold(name, "localhost") ||
		strings.EqualFold(name, own) || strings.EqualFold(name, public.Hostname())
}

// condition is how fresh the data are.
type condition struct {
	Status   string            `json:"status"`                // ok, or stale: too much may be missing
	ReadAt   time.Time         `json:"last_reading,omitzero"` // all that was in the lists then is in the database; zero: never read
	Problems map[string]string `json:"problems,omitempty"`    // by list: why nothing new comes in
	Lists    int               `json:"-"`
}

// condition is that of the list that was read longest ago. A list that the API does not
// know can bring nothing, and does not count beside others.
func (w *web) condition(now time.Time) condition {
	c := condition{Status: "ok", Problems: make(map[string]string), Lists: len(w.followers)}
	counted := 0
	for _, f := range w.followers {
		at, _, err := f.reading.last()
		if err != nil {
			c.Problems[f.list] = err.Error()
		}
		if errors.Is(err, epcclogs.ErrNotFound) && c.Lists > 1 {
			continue
		}
		if counted++; counted == 1 || at.Before(c.ReadAt) {
			c.ReadAt = at.UTC()
		}
	}
	if c.ReadAt.IsZero() || now.Sub(c.ReadAt) > 3*w.interval {
		c.Status = "stale"
	}
	return c
}

// caughtUp returns how far this run has read the lists, by the clock as it is now.
func (w *web) caughtUp(now time.Time) []read {
	var all []read
	for _, f := range w.followers {
		if at, live, _ := f.reading.last(); live {
			age := max(0, now.Sub(at)) // by the clock that nobody changes
			all = append(all, read{f.list, now.Round(0).Add(-age)})
		}
	}
	return all
}

// pageData is what all pages show.
type pageData struct {
	Title    string
	Filter   choice
	Periods  []period
	Now      time.Time
	Alerting bool
	Refresh  int // seconds
	Error    string
	query    url.Values
	condition
	Shown any // nil after an error
}

// Link is the URL of the first page with another period or integration.
func (d pageData) Link(period, integration string) string {
	return "/?" + query(nil, "period", period, "integration", integration)
}

// Here is the URL of a page with the same query but for some changes.
func (d pageData) Here(path string, changes ...string) string {
	return path + "?" + query(maps.Clone(d.query), changes...)
}

// query writes values and pairs of names and other values; what is empty is left out.
func query(values url.Values, pairs ...string) string {
	if values == nil {
		values = url.Values{}
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	maps.DeleteFunc(values, func(_ string, v []string) bool { return len(v) == 0 || v[0] == "" })
	return values.Encode()
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
	return "/events?" + query(nil, "period", "24h", "older", "1", "integration", integration, "status", strconv.Itoa(status))
}

// summary reads it once for all who ask for the same, as list and event do.
func (w *web) summary(ctx context.Context, c choice) (any, error) {
	return w.cache.get(ctx, c.filter, func(ctx context.Context) (any, error) { return w.store.look(ctx, c.filter, time.Now()) })
}

// list reads pages of so many events.
func (w *web) list(size int) func(context.Context, choice) (any, error) {
	return func(ctx context.Context, c choice) (any, error) {
		return w.cache.get(ctx, [2]any{size, c}, func(ctx context.Context) (any, error) { return w.store.list(ctx, c, time.Now(), size) })
	}
}

func (w *web) event(ctx context.Context, c choice) (any, error) {
	return w.cache.get(ctx, c, func(ctx context.Context) (any, error) { return w.store.event(ctx, c.Job) })
}

// show answers with what read returns: with a page, or with JSON if that has no name.
func (w *web) show(page string, read func(context.Context, choice) (any, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		now := time.Now()
		d := pageData{
			Title: w.title, Periods: periods, Now: now, Alerting: w.alerts.url != "", condition: w.condition(now), query: r.URL.Query(),
			Refresh: int(min(max(w.interval, 5*time.Second), time.Minute) / time.Second),
		}
		c, err := readChoice(r)
		d.Filter = c
		status := http.StatusOK
		if err != nil {
			status, d.Error = http.StatusBadRequest, err.Error()
		} else if d.Shown, err = read(r.Context(), c); err != nil {
			if r.Context().Err() != nil {
				return // the reader has gone
			}
			w.logger.Error("request not answered", "path", r.URL.Path, "error", err)
			status, d.Error, d.Shown = http.StatusInternalServerError, "The database cannot be read: "+err.Error(), nil
		}
		var body bytes.Buffer
		if page != "" {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			err = pages.ExecuteTemplate(&body, page, d)
		} else {
			rw.Header().Set("Content-Type", "application/json")
			if d.Error != "" {
				d.Shown = map[string]string{"error": d.Error}
			}
			err = json.NewEncoder(&body).Encode(d.Shown)
		}
		if err != nil {
			w.logger.Error("answer not made", "path", r.URL.Path, "error", err)
			http.Error(rw, "the answer cannot be made", http.StatusInternalServerError)
			return
		}
		rw.WriteHeader(status)
		_, _ = body.WriteTo(rw)
	}
}

func (w *web) health(rw http.ResponseWriter, _ *http.Request) {
	c := w.condition(time.Now())
	rw.Header().Set("Content-Type", "application/json")
	if c.Status != "ok" {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(rw).Encode(c)
}
