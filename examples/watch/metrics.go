package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

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
	attempts map[attempt]int // those stored by integration and by whether they succeeded
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watch_api_requests_total", Help: "Requests to the API, by status; error when none was received.",
		}, []string{"status"}),
		attempts: make(map[attempt]int),
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
func (m *metrics) stored(added []attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range added {
		m.attempts[attempt{Integration: a.Integration, Succeeded: a.Succeeded}]++
	}
}

// collect reads the database when Prometheus asks. While that fails, it sends the rest.
func (w *web) collect(ch chan<- prometheus.Metric) {
	send := func(name, help string, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if strings.HasSuffix(name, "_total") {
			kind = prometheus.CounterValue
		}
		names := []string{"integration", "name", "result"}[:len(labels)]
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, labels...)
	}
	at := func(name, help string, when *time.Time, labels ...string) {
		if when != nil {
			send(name, help, float64(when.UnixMicro())/1e6, labels...)
		}
	}
	at("watch_last_reading_timestamp_seconds",
		"When the last reading of all that is new began that is in the database; of several lists, the oldest.",
		pointer(toMicros(w.condition(time.Now()).ReadAt)))
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	const up, upHelp = "watch_database_up", "Whether the database can be read."
	read, err := w.cache.get(ctx, "metrics", func(ctx context.Context) (any, error) {
		return w.store.look(ctx, filter{Period: periods[0]}, time.Now().Add(days)) // a record may be so far ahead
	})
	if err != nil {
		w.logger.Error("metrics not read", "error", err)
		send(up, upHelp, 0)
		return
	}
	send(up, upHelp, 1)
	v := read.(*summary)
	at("watch_newest_record_timestamp_seconds", "When the newest record was written by the API.", v.Newest)
	w.metrics.mu.Lock()
	defer w.metrics.mu.Unlock()
	for _, in := range v.Integrations {
		send("watch_undelivered_events", "Events whose last attempt failed, of all time.", float64(in.Undelivered+in.Older), in.ID, in.Name)
		send("watch_alerts_waiting", "Alerts that the receiver has not taken yet.", float64(in.Waiting), in.ID, in.Name)
		at("watch_last_success_timestamp_seconds", "When the newest attempt that succeeded was made.", in.LastSuccess, in.ID, in.Name)
		for succeeded, label := range map[bool]string{true: "succeeded", false: "failed"} {
			send("watch_delivery_attempts_total", "Delivery attempts stored since the start.",
				float64(w.metrics.attempts[attempt{Integration: in.ID, Succeeded: succeeded}]), in.ID, in.Name, label)
		}
	}
}
