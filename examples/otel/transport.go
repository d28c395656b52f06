package main

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// client returns an HTTP client that makes a span of every request sent, below
// the span in the request's context, and measures how long it took: the metric
// http.client.request.duration, whose attributes tell the statuses apart.
func (t telemetry) client() *http.Client {
	return &http.Client{Transport: otelhttp.NewTransport(
		transport{http.DefaultTransport},
		otelhttp.WithTracerProvider(t.spans),
		otelhttp.WithMeterProvider(t.metrics),
	)}
}

// transport adds to the span of a request which attempt it is, counted from 1,
// and the offset of the page that it asks for.
type transport struct{ base http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	span := trace.SpanFromContext(req.Context())
	if a, ok := req.Context().Value(attemptsKey{}).(*attempts); ok {
		span.SetAttributes(attribute.Int("epcclogs.attempt", a.next(req)))
	}
	if query := req.URL.Query(); query.Has("page[limit]") {
		offset, _ := strconv.Atoi(query.Get("page[offset]")) // the first page is requested without an offset
		span.SetAttributes(attribute.Int("epcclogs.offset", offset))
	}
	return t.base.RoundTrip(req)
}

// countAttempts returns a context under which the attempts of each request are
// counted. Requests of the same URL are attempts of one request. So a page that
// the pager reads again, because the list has moved, counts as an attempt too.
func countAttempts(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptsKey{}, &attempts{sent: make(map[string]int)})
}

type attemptsKey struct{}

// attempts counts how often each request was sent. It is safe for concurrent use,
// since a pager may request several pages at the same time.
type attempts struct {
	mu   sync.Mutex
	sent map[string]int // by method and URL
}

func (a *attempts) next(req *http.Request) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := req.Method + " " + req.URL.String()
	a.sent[key]++
	return a.sent[key]
}
