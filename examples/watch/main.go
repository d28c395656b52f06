// Watch is a service that reads the logs of an integration again and again and
// serves the failed deliveries as JSON:
//
//	go run ./examples/watch
//	curl http://127.0.0.1:8080/failures
//	curl http://127.0.0.1:8080/healthz
//
// It shows how the library's typed errors become the answers of a service: an
// integration that is not found is a 404, a rate limit a 503 with Retry-After,
// anything else a 502. Every request to the API ends with the service's context.
//
// With nothing set it watches an embedded service with sample data. With
// EPCC_CLIENT_ID, EPCC_CLIENT_SECRET and, for other hosts than epcclogs.EUWest,
// EPCC_API_BASE_URL set, and the id of an integration as argument, it watches
// the real one.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// shutdownTime is how long requests under way may take once the service ends.
const shutdownTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	status := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0 when ctx ends, 1 after an error, 2 for bad
// arguments.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	messages := log.New(stderr, "", 0)
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		messages.Print("usage: watch [-addr host:port] [-interval duration] [integration id]\n" +
			"The id is for the real service, with EPCC_CLIENT_ID and EPCC_CLIENT_SECRET set.")
		flags.PrintDefaults()
	}
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen at")
	interval := flags.Duration("interval", time.Minute, "`time` from the end of one reading to the next")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 1 || *interval <= 0 {
		flags.Usage()
		return 2
	}

	id := flags.Arg(0)
	var client *epcclogs.Client
	var err error
	if cmp.Or(id, os.Getenv("EPCC_CLIENT_ID"), os.Getenv("EPCC_CLIENT_SECRET"), os.Getenv("EPCC_API_BASE_URL")) != "" {
		client, err = epcclogs.NewClientFromEnv()
		if err == nil && id == "" {
			flags.Usage()
			return 2
		}
	} else {
		api := epcclogstest.NewServer()
		defer api.Close()
		id = epcclogstest.SampleIntegration(0).ID
		client, err = epcclogs.NewClient(epcclogs.WithBaseURL(api.URL), epcclogs.WithToken("not-a-real-token"))
	}
	if err != nil {
		messages.Print("watch: ", err)
		return 1
	}

	w := &watcher{client: client, id: id, logger: slog.New(slog.NewTextHandler(stderr, nil))}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		messages.Print("watch: ", err)
		return 1
	}
	w.logger.Info("listening", "url", "http://"+listener.Addr().String()+"/failures")

	ctx, cancel := context.WithCancel(ctx)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		w.poll(ctx, *interval)
	}()
	err = serve(ctx, listener, w.handler())
	cancel()
	<-polled
	if err != nil {
		messages.Print("watch: ", err)
		return 1
	}
	w.logger.Info("shut down")
	return 0
}

// serve answers requests until ctx ends, and then lets those under way finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
