package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	demoDown = 20 * time.Minute // how long one endpoint has been down at the start
	demoTime = 24 * time.Hour   // of the logs before the start, and about that of those that come
	demoLogs = 6000             // of an integration, two a minute
)

// startDemo returns a store with the made-up logs of a day. It gets more for another day,
// or until ctx ends. One endpoint is down.
func startDemo(ctx context.Context) *epcclogstest.Server {
	now := time.Now()
	var options []epcclogstest.Option
	next := make(map[string][]epcclogs.IntegrationLog)
	for i := range 3 {
		in := epcclogstest.SampleIntegration(i)
		options = append(options, epcclogstest.WithIntegration(in))
		next[in.ID] = epcclogstest.SampleLogsUntil(in, demoLogs, now.Add(demoTime))
	}
	down := next[epcclogstest.SampleIntegration(0).ID]
	for i := range down {
		if l := &down[i]; l.CreatedAt().After(now.Add(-demoDown)) {
			l.Succeeded, l.StatusCode, l.ErrorDetail = false, http.StatusServiceUnavailable, "The endpoint answered 503"
			l.Body = "<html><body><h1>503 Service Unavailable</h1></body></html>"
		}
	}
	server := epcclogstest.NewServer(options...)
	add := func(now time.Time) {
		for id, logs := range next {
			n, _ := slices.BinarySearchFunc(logs, now, func(l epcclogs.IntegrationLog, t time.Time) int { return l.CreatedAt().Compare(t) })
			server.AddLogs(id, logs[:n]...)
			next[id] = logs[n:]
		}
	}
	add(now)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				add(now)
			}
		}
	}()
	return server
}
