package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/epcclogs/epcclogs"
)

// metrics are for Prometheus. Counters begin at the start of the program; what is
// counted in the database is read at each scrape.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	attempts *prometheus.CounterVec
	alerts   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_api_requests_total", Help: "Requests to the API, by status; error when none was received.",
		}, []string{"status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_delivery_attempts_total", Help: "Delivery attempts stored since the start.",
		}, []string{"integration", "result"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_alert_posts_total", Help: "Posts to the alert URL since the start.",
		}, []string{"result"}),
	}
	m.registry.MustRegister(m.requests, m.attempts, m.alerts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// stored counts records that are in the database now.
func (m *metrics) stored(logs []epcclogs.IntegrationLog) {
	for _, l := range logs {
		result := "failed"
		if l.Succeeded {
			result = "succeeded"
		}
		m.attempts.WithLabelValues(text(l.IntegrationID()), result).Inc()
	}
}

// handler answers scrapes.
func (m *metrics) handler(s *store, fresh func() time.Time, logger *slog.Logger) http.Handler {
	m.registry.MustRegister(&gauges{store: s, fresh: fresh, logger: logger})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

var (
	undeliveredDesc = prometheus.NewDesc("watch_undelivered_events",
		"Events whose last attempt failed, of all time.", []string{"integration"}, nil)
	waitingDesc = prometheus.NewDesc("watch_alerts_waiting",
		"Alerts that the receiver has not taken yet.", nil, nil)
	newestDesc = prometheus.NewDesc("watch_newest_record_timestamp_seconds",
		"When the newest record was written by the API.", nil, nil)
	readDesc = prometheus.NewDesc("watch_last_reading_timestamp_seconds",
		"When the last reading of all that is new began that is in the database; of several lists, the oldest.", nil, nil)
)

// gauges reads the database when Prometheus asks.
type gauges struct {
	store  *store
	fresh  func() time.Time
	logger *slog.Logger
}

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{undeliveredDesc, waitingDesc, newestDesc, readDesc} {
		ch <- d
	}
}

func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if at := g.fresh(); !at.IsZero() {
		gauge(readDesc, seconds(at))
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	t, err := g.store.totals(ctx)
	if err != nil {
		g.logger.Error("metrics not read", "error", err)
		ch <- prometheus.NewInvalidMetric(undeliveredDesc, err)
		return
	}
	for id, n := range t.undelivered {
		gauge(undeliveredDesc, float64(n), id)
	}
	gauge(waitingDesc, float64(t.waiting))
	if !t.newest.IsZero() {
		gauge(newestDesc, seconds(t.newest))
	}
}

// requestLog is the handler of the client's logger: it counts the requests, and
// passes on only what a user wants to see.
type requestLog struct {
	slog.Handler
	metrics *metrics
}

func (h requestLog) Enabled(context.Context, slog.Level) bool { return true }

func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelDebug {
		r.Attrs(func(a slog.Attr) bool { // other records have neither
			switch a.Key {
			case "status":
				h.metrics.requests.WithLabelValues(a.Value.String()).Inc()
			case "error":
				h.metrics.requests.WithLabelValues("error").Inc()
			}
			return true
		})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
