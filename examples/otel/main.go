// Otel shows the client under OpenTelemetry: a transport that traces is given to
// it by WithHTTPClient, and each attempt of a call is a span below the span of
// the call. The spans are printed as JSON, one in each line:
//
//	cd examples/otel && go run .
//
// With nothing set it runs on an embedded service that answers the first request
// with a 503, so that the call has two attempts: a failed one and a good one.
// With EPCC_CLIENT_ID, EPCC_CLIENT_SECRET and, for other hosts than
// epcclogs.EUWest, EPCC_API_BASE_URL set, and the id of an integration as
// argument, it runs on the real service, where fetching the token is a span too.
//
// This is a module of its own, so that package epcclogs does not depend on
// OpenTelemetry.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0, 1 after an error, 2 for bad arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	messages := log.New(stderr, "", 0)
	flags := flag.NewFlagSet("otel", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		messages.Print("usage: otel [integration id]\n" +
			"The id is for the real service, with EPCC_CLIENT_ID and EPCC_CLIENT_SECRET set.")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 1 {
		flags.Usage()
		return 2
	}

	exporter, err := stdouttrace.New(stdouttrace.WithWriter(stdout))
	if err != nil {
		messages.Print("otel: ", err)
		return 1
	}
	provider := newProvider(sdktrace.WithBatcher(exporter))
	traced := epcclogs.WithHTTPClient(tracingClient(provider))

	id := flags.Arg(0)
	var client *epcclogs.Client
	if cmp.Or(id, os.Getenv("EPCC_CLIENT_ID"), os.Getenv("EPCC_CLIENT_SECRET"), os.Getenv("EPCC_API_BASE_URL")) != "" {
		client, err = epcclogs.NewClientFromEnv(traced)
		if err == nil && id == "" {
			flags.Usage()
			return 2
		}
	} else {
		srv := epcclogstest.NewServer()
		defer srv.Close()
		srv.Fail(1, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
		id = epcclogstest.SampleIntegration(0).ID
		client, err = epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"), traced)
	}
	if err == nil {
		err = listLogs(ctx, provider.Tracer("example"), client, id)
	}

	// The spans that are left are printed even after an interrupt.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := errors.Join(err, provider.Shutdown(last)); err != nil {
		messages.Print("otel: ", err)
		return 1
	}
	return 0
}

func newProvider(export sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	service := resource.NewSchemaless(attribute.String("service.name", "epcclogs-example"))
	return sdktrace.NewTracerProvider(export, sdktrace.WithResource(service))
}

// tracingClient returns an HTTP client that makes a span of every request sent,
// below the span in the request's context.
func tracingClient(provider trace.TracerProvider) *http.Client {
	return &http.Client{
		Transport: otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithTracerProvider(provider)),
	}
}

// listLogs gets the first page of an integration's logs within a span.
func listLogs(ctx context.Context, tracer trace.Tracer, client *epcclogs.Client, id string) error {
	ctx, span := tracer.Start(ctx, "list integration logs",
		trace.WithAttributes(attribute.String("epcclogs.integration_id", id)))
	defer span.End()

	page, err := client.ListIntegrationLogs(ctx, id, nil)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, "logs not listed")
		return err
	}
	span.SetAttributes(attribute.Int("epcclogs.records", len(page.Data)))
	return nil
}
