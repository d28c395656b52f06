// Doctor looks at a store and prints a report: what its answers look like, and whether
// they are as this library expects. The report holds no secret, no id and no content of
// a record, so it can be sent to the authors of the library, who have no store.
//
//	export EPCC_CLIENT_ID=... EPCC_CLIENT_SECRET=...
//	go run ./examples/doctor
//
// EPCC_API_BASE_URL is needed for other hosts than the default, epcclogs.EUWest. Doctor
// only reads. It sends at most 64 requests, 5 a second, so it takes about 15 seconds. The
// report says what was not looked at. With nothing set doctor looks at an embedded store
// with made-up data. Where credentials are refused or nothing answers, the report says so,
// and the exit status is 1.
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
	"slices"
	"syscall"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/examples/internal/service"
)

// most is how many requests are sent, and perSecond how many of them a second to a real store.
const most, perSecond = 64, 5

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0, 1 after an error, 2 for bad arguments. A real store is
// read with opts, which may replace the rate.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, opts ...epcclogs.Option) int {
	messages := log.New(stderr, "", 0)
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		messages.Print("usage: doctor\nIt looks at the store of EPCC_CLIENT_ID and EPCC_CLIENT_SECRET.")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	if err := examine(ctx, stdout, opts); err != nil {
		messages.Print("doctor: ", err)
		return 1
	}
	return 0
}

// examine prints the report on the store of the environment, or on an embedded one. Where
// nothing can be read, the report says so too.
func examine(ctx context.Context, w io.Writer, opts []epcclogs.Option) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	d := &doctor{trace: &trace{base: transport}}
	opts = slices.Concat([]epcclogs.Option{epcclogs.WithRateLimit(perSecond)}, opts,
		[]epcclogs.Option{epcclogs.WithHTTPClient(&http.Client{Transport: d.trace})})
	embedded := false
	s, err := service.Connect("", func() *epcclogstest.Server {
		embedded = true
		opts = opts[len(opts)-1:]
		return epcclogstest.NewServer()
	}, opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	d.client = s.Client
	failed := d.look(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(failed, d.print(w, embedded))
}
