// Otel lists the logs of an integration under OpenTelemetry. The listing is a
// span. Each request sent is a span below it, with the attempt and the offset. A
// metric counts and times the requests. The spans are printed as JSON, one in
// each line, and the metric at the end.
//
//	cd examples/otel && go run .
//
// With nothing set it runs on an embedded service with made-up data that answers
// the first request with a 503, so that it is sent again. With EPCC_CLIENT_ID,
// EPCC_CLIENT_SECRET and, for other hosts than epcclogs.EUWest,
// EPCC_API_BASE_URL set, and the id of an integration as argument, it runs on the
// real service, where fetching the token is a span too.
//
// The function in attempts.go makes the spans of the attempts and the metric. The
// client gets it through [epcclogs.WithOnAttempt].
//
// This is a module of its own, so that package epcclogs does not depend on
// OpenTelemetry.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/examples/internal/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0, 1 after an error, 2 for bad arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	messages := log.New(stderr, "", 0)
	flags := flag.NewFlagSet("otel", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { messages.Print("usage: otel [integration id]\n" + service.Usage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 1 {
		flags.Usage()
		return 2
	}

	if err := show(ctx, flags.Arg(0), stdout); err != nil {
		messages.Print("otel: ", err)
		return 1
	}
	return 0
}

// show lists the logs of an integration and prints the spans and the metric.
func show(ctx context.Context, id string, stdout io.Writer) (err error) {
	spans, err := stdouttrace.New(stdouttrace.WithWriter(stdout))
	if err != nil {
		return err
	}
	metrics, err := stdoutmetric.New(stdoutmetric.WithWriter(stdout))
	if err != nil {
		return err
	}
	t := newTelemetry(sdktrace.WithBatcher(spans), sdkmetric.NewPeriodicReader(metrics))
	defer func() {
		// What is left is printed even after an interrupt.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, t.spans.Shutdown(last), t.metrics.Shutdown(last))
	}()

	onAttempt, err := t.onAttempt()
	if err != nil {
		return err
	}
	s, err := service.Connect(id, func() *epcclogstest.Server {
		srv := epcclogstest.NewServer()
		srv.Fail(1, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
		return srv
	}, epcclogs.WithOnAttempt(onAttempt))
	if err != nil {
		return err
	}
	defer s.Close()
	switch {
	case s.Embedded != nil:
		id = epcclogstest.SampleIntegration(0).ID
	case id == "":
		return service.ErrNoID
	}
	return listLogs(ctx, t.spans.Tracer("example"), s.Client, id)
}

// telemetry is where spans and metrics go to.
type telemetry struct {
	spans   *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
}

func newTelemetry(spans sdktrace.TracerProviderOption, metrics sdkmetric.Reader) telemetry {
	name := resource.NewSchemaless(attribute.String("service.name", "epcclogs-example"))
	return telemetry{
		spans:   sdktrace.NewTracerProvider(spans, sdktrace.WithResource(name)),
		metrics: sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics), sdkmetric.WithResource(name)),
	}
}

// listLogs reads all logs of an integration within a span.
func listLogs(ctx context.Context, tracer trace.Tracer, client *epcclogs.Client, id string) error {
	ctx, span := tracer.Start(ctx, "list integration logs",
		trace.WithAttributes(attribute.String("epcclogs.integration_id", id)))
	defer span.End()

	records := 0
	for _, err := range client.IntegrationLogs(id, nil).All(ctx) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, "logs not listed")
			return err
		}
		records++
	}
	span.SetAttributes(attribute.Int("epcclogs.records", records))
	return nil
}
