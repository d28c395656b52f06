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
	coming := make(map[string][]epcclogs.IntegrationLog)
	for i := range 3 {
		in := epcclogstest.SampleIntegration(i)
		logs := epcclogstest.SampleLogsUntil(in, demoLogs, now.Add(demoTime))
		for j := range logs {
			if l := &logs[j]; i == 0 && l.CreatedAt().After(now.Add(-demoDown)) {
				l.Succeeded, l.StatusCode, l.ErrorDetail = false, http.StatusServiceUnavailable, "The endpoint answered 503"
				l.Body = "<html><body><h1>503 Service Unavailable</h1></body></html>"
			}
		}
		n, _ := slices.BinarySearchFunc(logs, now, func(l epcclogs.IntegrationLog, t time.Time) int { return l.CreatedAt().Compare(t) })
		options = append(options, epcclogstest.WithIntegration(in, logs[:n]...))
		coming[in.ID] = logs[n:]
	}
	server := epcclogstest.NewServer(options...)
	for id, logs := range coming {
		go func() {
			for _, l := range logs {
				if pause(ctx, time.Until(l.CreatedAt())); ctx.Err() != nil {
					return
				}
				server.AddLogs(id, l)
			}
		}()
	}
	return server
}
