// Export writes all logs of an integration to a file, as JSON Lines or as CSV.
// Started again, it goes on where it was stopped, and later appends what is new:
//
//	go run ./examples/export logs.jsonl
//	go run ./examples/export -slow logs.csv
//	go run ./examples/export -since 720h last-month.jsonl ID
//
// With nothing set it runs on an embedded service with made-up data. Try to kill
// it: with -slow it takes twenty seconds. With EPCC_CLIENT_ID,
// EPCC_CLIENT_SECRET and, for other hosts than epcclogs.EUWest,
// EPCC_API_BASE_URL set, and the id of an integration as second argument, it
// runs on the real service. The requests count against the rate limit of the
// store, which its shop shares.
//
// # Since
//
// With -since a new file gets only what was created since then: in the last 720 hours, or
// since a time such as 2026-01-08T12:00:00Z (the made-up data are from 5 to 8 January
// 2026). A record without a creation time is always written. A file that is there already
// keeps the time of its first run, so the same command leaves no gap however late it runs
// again. The records that were created before are left out of what is guaranteed below.
//
// # CSV and spreadsheets
//
// Bodies come from other servers, and spreadsheets take cells that begin with = + -
// or @ for formulas. So such cells get an apostrophe in front, which makes them text.
// With -raw they stay as they are, for programs that read the file.
//
// # What is guaranteed
//
// The program may be interrupted or killed at any time, and started again with
// the same arguments. After a run with exit status 0, each record that was in the
// list from the first request of the first run to the last request of this run is
// in the file exactly once, whatever the order of the list and whatever was added
// or removed meanwhile. What was added during a run may be left to the next one.
// New records are appended, oldest first.
//
// # The cursor file
//
// Beside logs.jsonl the program keeps logs.jsonl.cursor: the place in the list
// that follows the records in the file, and the size of the file with them. It is
// replaced after each page, once the records are on the disk. What was written
// after it is removed by the next run, which reads it again.
//
// The program refuses files that do not belong together, and changes nothing: a
// file without a cursor file, one that holds another integration or format, one
// that is shorter than the cursor file says or ends in other bytes. Changes
// further in front are not noticed. One program at a time may write to a file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/examples/internal/service"
)

const slowRate = 5 // requests a second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr, isTerminal(os.Stderr))
	stop()
	os.Exit(status)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// run returns the exit status: 0, 1 after an error, 2 for bad arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, terminal bool) int {
	messages := log.New(stderr, "", 0)
	flags := flag.NewFlagSet("export", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		messages.Print("usage: export [-format jsonl|csv] [-n pages] [-raw] [-since when] [-slow] file [integration id]\n" + service.Usage)
		flags.PrintDefaults()
	}
	formatName := flags.String("format", "", "`name` of the format, jsonl or csv (default: the extension of the file)")
	n := flags.Int("n", 8, "`pages` to request at the same time")
	raw := flags.Bool("raw", false, "leave CSV cells that begin with = + - or @ as they are; without it, an apostrophe\nin front keeps spreadsheets from taking them for formulas")
	var since time.Time
	flags.Func("since", "write only what was created since `when`, a time such as 2026-01-08T12:00:00Z or a duration\nbefore now such as 24h; a file that is there already keeps the time of its first run", func(text string) (err error) {
		since, err = sinceOf(text, time.Now())
		return err
	})
	slow := flags.Bool("slow", false, fmt.Sprintf("make no more than %d requests a second", slowRate))
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	path, id := flags.Arg(0), flags.Arg(1)
	for _, arg := range flags.Args() {
		if strings.HasPrefix(arg, "-") {
			messages.Printf("export: %q: flags come first, and the file cannot be standard output", arg)
			return 2
		}
	}
	if path == "" || flags.NArg() > 2 {
		flags.Usage()
		return 2
	}
	form, err := formatOf(path, *formatName, *raw)
	if err == nil && *n < 1 {
		err = fmt.Errorf("-n %d: at least one page must be requested", *n)
	}
	if err != nil {
		messages.Print("export: ", err)
		flags.Usage()
		return 2
	}

	s, id, err := connect(id, *slow)
	if err != nil {
		messages.Print("export: ", err)
		return 1
	}
	defer s.Close()
	if s.Embedded != nil {
		messages.Print("No credentials are set, so the data are made up.")
	}

	shown := &progress{w: stderr, terminal: terminal}
	stop := shown.start()
	before, records, err := export(ctx, s.Client.IntegrationLogs(id, nil).Concurrent(*n), id, path, form, since, shown.report)
	stop()
	if errors.Is(err, context.Canceled) {
		messages.Printf("export: interrupted with %d records in %s; the same command goes on from there", records, path)
		return 1
	}
	if err != nil {
		messages.Print("export: ", err)
		return 1
	}
	if _, err := fmt.Fprintf(stdout, "%d records in %s, %d of them from an earlier run\n", records, path, before); err != nil {
		messages.Print("export: ", err)
		return 1
	}
	return 0
}

// sinceOf returns the time that -since names.
func sinceOf(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, errors.New("want a duration such as 24h or a time such as 2026-01-08T12:00:00Z")
	}
	return now.Add(-d), nil
}

// connect returns the service and the id of the integration to export.
func connect(id string, slow bool) (*service.Service, string, error) {
	var opts []epcclogs.Option
	if slow {
		opts = append(opts, epcclogs.WithRateLimit(slowRate))
	}
	sample := epcclogstest.SampleIntegration(0)
	s, err := service.Connect(id, func() *epcclogstest.Server {
		return epcclogstest.NewServer(
			epcclogstest.WithIntegration(sample, epcclogstest.SampleLogs(sample.ID, 10_000)...))
	}, opts...)
	switch {
	case err != nil:
		return nil, "", err
	case s.Embedded != nil:
		id = sample.ID
	case id == "":
		s.Close()
		return nil, "", service.ErrNoID
	}
	return s, id, nil
}
