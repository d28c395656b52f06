// Watch is a delivery monitor: it copies the integration logs of a store into a
// database as they arrive, shows on a page what was delivered and what was not,
// and posts an alert for each event whose last attempt failed.
//
//	cd examples/watch && go run .
//
// With nothing set it runs against an embedded store with made-up deliveries.
// README.md tells how to run it against a real one.
//
// This is a module of its own, so that package epcclogs does not depend on
// databases.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/examples/internal/service"
)

// shutdownTime is how long requests under way may take once the program ends.
const shutdownTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	status := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(status)
}

// settings are what the user has asked for.
type settings struct {
	addr         string
	publicURL    string
	database     string
	keep         time.Duration
	since        time.Duration // what the first run reads; 0: all
	interval     time.Duration
	rate         float64
	integrations []string
	alerts       alertSettings
}

type alertSettings struct {
	url   string // empty: none
	each  bool
	grace time.Duration
}

// run returns the exit status: 0 when ctx ends, 1 after an error, 2 for a setting
// that makes no sense.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	messages := log.New(stderr, "", 0)
	set, err := readSettings(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		messages.Printf("watch: %v\nSee watch -help.", err)
		return 2
	}
	if err := watch(ctx, set, slog.New(slog.NewTextHandler(stderr, nil)), messages); err != nil {
		messages.Print("watch: ", err)
		return 1
	}
	return 0
}

func readSettings(args []string, stderr io.Writer) (*settings, error) {
	set := &settings{}
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run tells what is wrong
	flags.Usage = func() {}
	const usage = `usage: watch [flags] [integration id ...]

Copies the logs of the whole store, or of the integrations named, into a database
and serves a page that shows them. The store is that of EPCC_CLIENT_ID and
EPCC_CLIENT_SECRET, at EPCC_API_BASE_URL (` + epcclogs.EUWest + `
unless set); with none of them set, it is an embedded one with made-up data.
DATABASE_URL names a PostgreSQL database to use in place of a file, and ALERT_URL
an address to post to when deliveries begin to fail and when they have recovered.

`
	flags.StringVar(&set.addr, "addr", "127.0.0.1:8080", "`host:port` to serve the page at")
	flags.StringVar(&set.database, "db", "", "SQLite `file` (default watch.db; a temporary file for the embedded store)")
	flags.DurationVar(&set.interval, "interval", 10*time.Second, "`time` between two readings, at least 100ms")
	flags.Float64Var(&set.rate, "rate", 0, "`requests` a second to the API at most; 0 means 100")
	flags.StringVar(&set.publicURL, "public-url", "", "`URL` at which people open the page, for links in alerts")
	flags.BoolVar(&set.alerts.each, "alert-each", false, "post each undelivered event, not what they have in common")
	flags.DurationVar(&set.alerts.grace, "grace", 5*time.Minute, "`time` that a later attempt has to succeed before an alert")
	flags.DurationVar(&set.since, "since", 0, "`time` from which on the first run reads, such as 720h for 30 days; 0 means all")
	flags.DurationVar(&set.keep, "keep", 0, "`time` that a delivery attempt stays in the database, in whole days; 0 means for ever")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(stderr, usage)
			flags.SetOutput(stderr)
			flags.PrintDefaults()
		}
		return nil, err
	}
	set.integrations = flags.Args()
	return set, set.check()
}

// check says what is wrong with the settings, and takes those of the environment in.
func (set *settings) check() error {
	location := os.Getenv("DATABASE_URL")
	set.alerts.url, set.publicURL = os.Getenv("ALERT_URL"), strings.TrimRight(set.publicURL, "/")
	_, _, noAddress := net.SplitHostPort(set.addr)
	for _, c := range []struct {
		wrong   bool
		problem string
	}{
		{set.interval < 100*time.Millisecond, fmt.Sprintf("-interval %v is less than 100ms", set.interval)},
		{set.alerts.grace < 0, fmt.Sprintf("-grace %v is negative", set.alerts.grace)},
		{set.since < 0, fmt.Sprintf("-since %v is negative", set.since)},
		{set.keep < 0, fmt.Sprintf("-keep %v is negative", set.keep)},
		{set.rate < 0, fmt.Sprintf("-rate %v is negative", set.rate)},
		{location != "" && set.database != "", "-db and DATABASE_URL are both set; unset one"},
		{location != "" && !isPostgres(location), "DATABASE_URL does not start with postgres://; name a SQLite file with -db"},
		{noAddress != nil, fmt.Sprintf("-addr %q is not host:port", set.addr)},
		{!isWeb(set.alerts.url), "ALERT_URL is not an http or https URL"}, // and may be a secret
		{!isWeb(set.publicURL), fmt.Sprintf("-public-url %q is not an http or https URL", set.publicURL)},
	} {
		if c.wrong {
			return errors.New(c.problem)
		}
	}
	for i, id := range set.integrations {
		if strings.HasPrefix(id, "-") {
			return fmt.Errorf("the flag %s stands behind an integration id; flags come first", id)
		}
		if slices.Contains(set.integrations[:i], id) {
			return fmt.Errorf("the integration %s is named twice", id)
		}
	}
	set.database = cmp.Or(location, set.database)
	return nil
}

// isWeb also accepts an empty URL, which is that of nothing.
func isWeb(s string) bool {
	u, err := url.Parse(s)
	return s == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// program is what its parts share.
type program struct {
	*settings
	title   string // which store this is
	client  *epcclogs.Client
	store   *store
	metrics *metrics
	logger  *slog.Logger
}

// watch watches a store until ctx ends or something cannot go on.
func watch(ctx context.Context, set *settings, logger *slog.Logger, messages *log.Logger) error {
	p := &program{settings: set, metrics: newMetrics(), logger: logger}
	made, end := context.WithCancel(ctx) // as long as data are made up
	defer end()
	s, err := service.Connect(cmp.Or(set.integrations...), func() *epcclogstest.Server { return startDemo(made) },
		epcclogs.WithHTTPClient(&http.Client{Transport: newImpatient()}),
		epcclogs.WithLogger(logger),
		epcclogs.WithOnAttempt(p.metrics.attempt),
		epcclogs.WithRateLimit(set.rate),
		epcclogs.WithMaxResponseSize(pageBytes),
		epcclogs.WithUserAgent("epcclogs-watch"),
	)
	if err != nil {
		return err
	}
	defer s.Close()
	p.client = s.Client
	p.title = strings.TrimPrefix(cmp.Or(os.Getenv("EPCC_API_BASE_URL"), epcclogs.EUWest), "https://")
	identity := fmt.Sprintf("%s with the key %s", p.title, os.Getenv("EPCC_CLIENT_ID")) // stores of a region have the same URL
	if s.Embedded != nil {
		p.title, identity = "embedded store, made-up data", "the embedded store"
		directory, err := os.MkdirTemp("", "watch-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(directory) }()
		set.database = cmp.Or(set.database, filepath.Join(directory, "watch.db"))
	}
	if p.store, err = openStore(ctx, cmp.Or(set.database, "watch.db"), identity); err != nil {
		return err
	}
	return errors.Join(p.run(ctx, messages), p.store.close())
}

// run runs all parts side by side. It returns when ctx ends, or when one of them cannot
// go on, which ends the others.
func (p *program) run(ctx context.Context, messages *log.Logger) error {
	w := newWeb(p)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	messages.Printf("Open http://%s/ (end with Ctrl-C)", listener.Addr())

	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	part := func(f func(context.Context) error) {
		work.Go(func() {
			if err := f(running); err != nil {
				cancel(err)
			}
		})
	}
	for _, f := range w.followers {
		part(f.run)
	}
	part(func(ctx context.Context) error { return serve(ctx, listener, w.handler()) })
	work.Go(func() { p.repeat(running, "names of integrations not read", p.learnNames) })
	work.Go(func() { p.repeat(running, "old records not deleted", p.tidy) })
	if p.alerts.url != "" {
		a := &alerter{program: p, lists: w.caughtUp}
		work.Go(func() { p.repeat(running, "alerts not handled", a.look) })
	}
	<-running.Done()
	work.Wait()
	if ctx.Err() == nil {
		return context.Cause(running)
	}
	messages.Print("Ended.")
	return nil
}

// serve answers requests until ctx ends, and then lets those under way finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		stopped <- server.Shutdown(last)
	})
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return <-stopped
}
