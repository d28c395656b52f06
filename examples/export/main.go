// Export writes all logs of an integration to a file, as JSON Lines or as CSV,
// and goes on where the file ends when it is started again:
//
//	go run ./examples/export logs.jsonl
//	go run ./examples/export -format csv logs.txt
//
// With nothing set it runs on an embedded service with sample data. With
// EPCC_CLIENT_ID, EPCC_CLIENT_SECRET and, for other hosts than epcclogs.EUWest,
// EPCC_API_BASE_URL set, and the id of an integration as second argument, it
// runs on the real service.
//
// # What is guaranteed
//
// The program may be interrupted or killed at any time, and started again with
// the same arguments. It removes a record that was cut at the end of the file
// and asks for the list from the offset that follows the complete records. When
// it ends with exit status 0 and the list did not change meanwhile, the file is
// byte for byte that of an undisturbed run.
//
// The service has offsets only, no positions that stay, and new logs keep
// arriving. Where it lists the oldest first, they come at the end, and nothing
// is lost or repeated. Where it lists the newest first, each of them moves the
// others: as many records are repeated in the file as arrived since the first
// run began, and those that arrived are missing. Nothing else is lost. (Tell
// repeats by the whole record: ids are not promised to be unique.) Where the
// service removes logs from before the offset, as many that follow are missed.
// Past an offset of 10,000 it may answer with an error some day.
//
// A crash of the whole machine, not just of the program, may spoil more than the
// last record, because the file is synced to the disk only at the end.
// A file that holds anything else than what this program writes for the
// integration is refused and left as it is. One program at a time may write to a
// file.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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
		messages.Print("usage: export [-format jsonl|csv] file [integration id]\n" +
			"The id is for the real service, with EPCC_CLIENT_ID and EPCC_CLIENT_SECRET set.")
		flags.PrintDefaults()
	}
	formatName := flags.String("format", "", "`name` of the format, jsonl or csv (default: the extension of the file)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	path, id := flags.Arg(0), flags.Arg(1)
	if path == "" || flags.NArg() > 2 {
		flags.Usage()
		return 2
	}
	form, err := formatOf(path, *formatName)
	if err != nil {
		messages.Print("export: ", err)
		flags.Usage()
		return 2
	}

	var client *epcclogs.Client
	if cmp.Or(id, os.Getenv("EPCC_CLIENT_ID"), os.Getenv("EPCC_CLIENT_SECRET"), os.Getenv("EPCC_API_BASE_URL")) != "" {
		client, err = epcclogs.NewClientFromEnv()
		if err == nil && id == "" {
			flags.Usage()
			return 2
		}
	} else {
		sample := epcclogstest.SampleIntegration(0)
		logs := epcclogstest.SampleLogs(sample.ID, 2500)
		srv := epcclogstest.NewServer(epcclogstest.WithIntegration(sample, logs...))
		defer srv.Close()
		id = sample.ID
		client, err = epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"))
	}
	if err != nil {
		messages.Print("export: ", err)
		return 1
	}

	report := func(int, int) {}
	if terminal {
		report = progress(stderr, time.Now)
	}
	before, records, err := export(ctx, client, id, path, form, report)
	if terminal {
		messages.Println() // ends the line of the progress
	}
	if err != nil {
		messages.Print("export: ", err)
		if errors.Is(err, context.Canceled) {
			messages.Printf("Interrupted with %d records in %s. The same command goes on from there.", records, path)
		}
		return 1
	}
	if _, err := fmt.Fprintf(stdout, "%d records in %s, %d of them from an earlier run\n", records, path, before); err != nil {
		messages.Print("export: ", err)
		return 1
	}
	return 0
}

// progress returns a function that shows on w how many records are in the file,
// how many there are (0: not known), and how fast they come.
func progress(w io.Writer, now func() time.Time) func(records, total int) {
	first := -1
	var started time.Time
	return func(records, total int) {
		if first < 0 {
			first, started = records, now()
		}
		text := fmt.Sprintf("%d records", records)
		if total > 0 {
			text = fmt.Sprintf("%d of %d records", records, total)
		}
		if seconds := now().Sub(started).Seconds(); seconds > 0 {
			text += fmt.Sprintf(", %.0f/s", float64(records-first)/seconds)
		}
		_, _ = fmt.Fprintf(w, "\r%-60s", text) // of no importance where it fails
	}
}
