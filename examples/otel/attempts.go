package main

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/epcclogs/epcclogs"
)

// onAttempt returns a function for [epcclogs.WithOnAttempt]. It makes a span of every
// request sent, below the span in the context of the call, and measures how long it
// took: the metric http.client.request.duration, whose attributes tell the statuses
// apart.
func (t telemetry) onAttempt() (func(context.Context, epcclogs.Attempt), error) {
	const name = "github.com/epcclogs/epcclogs/examples/otel"
	tracer := t.spans.Tracer(name)
	durations, err := t.metrics.Meter(name).Float64Histogram("http.client.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of HTTP client requests."))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a epcclogs.Attempt) {
		outcome := []attribute.KeyValue{attribute.String("http.request.method", a.Method)}
		if a.StatusCode > 0 {
			outcome = append(outcome, attribute.Int("http.response.status_code", a.StatusCode))
		}
		durations.Record(ctx, a.Duration.Seconds(), metric.WithAttributes(outcome...))

		end := time.Now()
		_, span := tracer.Start(ctx, "HTTP "+a.Method, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithTimestamp(end.Add(-a.Duration)), trace.WithAttributes(outcome...),
			trace.WithAttributes(attribute.String("url.path", a.Path), attribute.Int("epcclogs.attempt", a.Number)))
		if query, err := url.ParseQuery(a.Query); err == nil && query.Has("page[limit]") {
			offset, _ := strconv.Atoi(query.Get("page[offset]")) // the first page is requested without an offset
			span.SetAttributes(attribute.Int("epcclogs.offset", offset))
		}
		if a.Err != nil {
			span.SetStatus(codes.Error, a.Err.Error())
		}
		span.End(trace.WithTimestamp(end))
	}, nil
}
