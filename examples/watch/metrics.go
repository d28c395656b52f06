package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/epcclogs/epcclogs"
)

const scrapeTimeout = 5 * time.Second // less than Prometheus waits

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

// attempt counts a request.
func (m *metrics) attempt(_ context.Context, a epcclogs.Attempt) {
	status := "error"
	if a.StatusCode != 0 {
		status = strconv.Itoa(a.StatusCode)
	}
	m.requests.WithLabelValues(status).Inc()
}

// stored counts records that are in the database now.
func (m *metrics) stored(rows []logRow) {
	for _, l := range rows {
		result := "failed"
		if l.Succeeded {
			result = "succeeded"
		}
		m.attempts.WithLabelValues(l.Integration, result).Inc()
	}
}

// handler answers scrapes. While the database fails, it answers with the rest.
func (m *metrics) handler(w *web) http.Handler {
	m.registry.MustRegister(&gauges{w})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

var (
	undeliveredDesc = prometheus.NewDesc("watch_undelivered_events",
		"Events whose last attempt failed, of all time.", []string{"integration", "name"}, nil)
	waitingDesc = prometheus.NewDesc("watch_alerts_waiting",
		"Alerts that the receiver has not taken yet.", nil, nil)
	newestDesc = prometheus.NewDesc("watch_newest_record_timestamp_seconds",
		"When the newest record was written by the API.", nil, nil)
	readDesc = prometheus.NewDesc("watch_last_reading_timestamp_seconds",
		"When the last reading of all that is new began that is in the database; of several lists, the oldest.", nil, nil)
	databaseDesc = prometheus.NewDesc("watch_database_up", "Whether the database can be read.", nil, nil)
)

// gauges reads the database when Prometheus asks.
type gauges struct{ web *web }

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{undeliveredDesc, waitingDesc, newestDesc, readDesc, databaseDesc} {
		ch <- d
	}
}

func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if at := g.web.condition(time.Now()).ReadAt; !at.IsZero() {
		gauge(readDesc, seconds(at))
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	t, err := shared(ctx, g.web.cache, "totals", g.web.store.totals)
	if err != nil {
		g.web.logger.Error("metrics not read", "error", err)
		gauge(databaseDesc, 0)
		return
	}
	gauge(databaseDesc, 1)
	for in, n := range t.undelivered {
		gauge(undeliveredDesc, float64(n), in.ID, in.Name)
	}
	gauge(waitingDesc, float64(t.alerts.Waiting))
	if !t.newest.IsZero() {
		gauge(newestDesc, seconds(t.newest))
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
