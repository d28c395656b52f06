package main

import (
	"context"
	"net/http"
	"strconv"
	"sync"
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
	alerts   *prometheus.CounterVec

	mu       sync.Mutex
	attempts map[result]int
}

// result is what came of attempts of an integration.
type result struct {
	integration string
	succeeded   bool
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_api_requests_total", Help: "Requests to the API, by status; error when none was received.",
		}, []string{"status"}),
		attempts: make(map[result]int),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_alert_posts_total", Help: "Posts to the alert URL since the start.",
		}, []string{"result"}),
	}
	m.registry.MustRegister(m.requests, m.alerts,
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
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range rows {
		m.attempts[result{l.Integration, l.Succeeded}]++
	}
}

// handler answers scrapes. While the database fails, it answers with the rest.
func (m *metrics) handler(w *web) http.Handler {
	m.registry.MustRegister(&gauges{w})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

var (
	ofIntegration = []string{"integration", "name"}
	attemptsDesc  = prometheus.NewDesc("watch_delivery_attempts_total",
		"Delivery attempts stored since the start.", append(ofIntegration, "result"), nil)
	undeliveredDesc = prometheus.NewDesc("watch_undelivered_events",
		"Events whose last attempt failed, of all time.", ofIntegration, nil)
	successDesc = prometheus.NewDesc("watch_last_success_timestamp_seconds",
		"When the newest attempt that succeeded was made.", ofIntegration, nil)
	waitingDesc = prometheus.NewDesc("watch_alerts_waiting",
		"Alerts that the receiver has not taken yet.", ofIntegration, nil)
	newestDesc = prometheus.NewDesc("watch_newest_record_timestamp_seconds",
		"When the newest record was written by the API.", nil, nil)
	readDesc = prometheus.NewDesc("watch_last_reading_timestamp_seconds",
		"When the last reading of all that is new began that is in the database; of several lists, the oldest.", nil, nil)
	databaseDesc = prometheus.NewDesc("watch_database_up", "Whether the database can be read.", nil, nil)
)

// gauges reads the database when Prometheus asks.
type gauges struct{ web *web }

// Describe sends nothing, so that the names are not checked beforehand.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if d == attemptsDesc {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	at := func(d *prometheus.Desc, micros int64, labels ...string) {
		if micros != 0 {
			send(d, float64(micros)/1e6, labels...)
		}
	}
	at(readDesc, toMicros(g.web.condition(time.Now()).ReadAt))
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	t, err := shared(ctx, g.web.cache, "totals", g.web.store.totals)
	if err != nil {
		g.web.logger.Error("metrics not read", "error", err)
		send(databaseDesc, 0)
		return
	}
	send(databaseDesc, 1)
	at(newestDesc, t.newest)
	m := g.web.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, in := range t.integrations {
		send(undeliveredDesc, float64(in.undelivered), in.ID, in.Name)
		send(waitingDesc, float64(in.waiting), in.ID, in.Name)
		at(successDesc, in.success, in.ID, in.Name)
		for succeeded, label := range map[bool]string{true: "succeeded", false: "failed"} {
			send(attemptsDesc, float64(m.attempts[result{in.ID, succeeded}]), in.ID, in.Name, label)
		}
	}
}
