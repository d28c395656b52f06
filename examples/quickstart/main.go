// Quickstart lists the deliveries of an integration that failed in the last 24 hours, and
// why. It then asks for an integration that does not exist, to show how the errors of the
// library are told apart.
//
// With nothing set it runs on an embedded service with made-up data:
//
//	go run ./examples/quickstart
//
// With the credentials of an application key it runs on the real service. It
// lists the integrations of the store, or the failures of the one whose id is given.
// EPCC_API_BASE_URL is needed for other hosts than the default, epcclogs.EUWest:
//
//	export EPCC_CLIENT_ID=... EPCC_CLIENT_SECRET=...
//	go run ./examples/quickstart
//	go run ./examples/quickstart 2b9f5f0e-5d1c-4c36-8f5a-0d7b6b1c9e11
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/examples/internal/service"
)

const (
	few       = 10 // rows of the table
	unknownID = "00000000-0000-0000-0000-000000000000"
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
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { messages.Print("usage: quickstart [integration id]\n" + service.Usage) }
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
		messages.Print("quickstart: ", err)
		return 1
	}
	return 0
}

// show prints what the service holds.
func show(ctx context.Context, id string, w io.Writer) error {
	now := time.Now()
	sample := epcclogstest.SampleIntegration(0)
	s, err := service.Connect(id, func() *epcclogstest.Server {
		logs := epcclogstest.SampleLogsUntil(sample, 5000, now) // some 40 hours
		return epcclogstest.NewServer(epcclogstest.WithIntegration(sample, logs...))
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Embedded == nil && id == "" {
		return listIntegrations(ctx, s.Client, w)
	}
	if s.Embedded != nil {
		id = sample.ID
		if _, err := fmt.Fprint(w, "No credentials are set, so the data below are made up.\n\n"); err != nil {
			return err
		}
	}
	if err := listFailures(ctx, s.Client, id, now.Add(-24*time.Hour), w); err != nil {
		return err
	}
	return askForUnknown(ctx, s.Client, w)
}

// listIntegrations prints the integrations of the store, and how to go on.
func listIntegrations(ctx context.Context, client *epcclogs.Client, w io.Writer) error {
	first := ""
	rows := []string{"ID\tTYPE\tENABLED\tNAME"}
	for in, err := range client.Integrations(nil).All(ctx) {
		if err != nil {
			return err
		}
		id := oneLine(in.ID)
		first = cmp.Or(first, id)
		rows = append(rows, fmt.Sprintf("%s\t%s\t%v\t%s", id, oneLine(in.IntegrationType), in.Enabled, oneLine(in.Name)))
	}
	if first == "" {
		_, err := fmt.Fprintln(w, "The store has no integrations, so it has no logs. Create an integration first.")
		return err
	}
	_, err := fmt.Fprintf(w, "%s\nTo list the failed deliveries of an integration, give its id:\n\n\tgo run ./examples/quickstart %s\n",
		table(rows), first)
	return err
}

// listFailures prints how many deliveries of an integration failed since then, and the
// newest of them.
func listFailures(ctx context.Context, client *epcclogs.Client, id string, since time.Time, w io.Writer) error {
	// The API cannot filter. The pager finds the first log of that time in a list of any
	// length, and asks for one page after the other from there.
	all := 0
	var failed []epcclogs.IntegrationLog
	for entry, err := range client.IntegrationLogs(id, nil).Since(since).All(ctx) {
		if err != nil {
			return err
		}
		if all++; !entry.Succeeded {
			failed = append(failed, entry)
		}
	}
	// The API does not document the order of the list.
	slices.SortStableFunc(failed, func(a, b epcclogs.IntegrationLog) int { return b.CreatedAt().Compare(a.CreatedAt()) })
	rows := []string{"TIME\tSTATUS\tATTEMPT\tJOB\tREASON"}
	for _, l := range failed[:min(len(failed), few)] {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s\t%s",
			timeOf(l), statusText(l.StatusCode), l.Attempt, oneLine(l.JobID()), oneLine(l.ErrorDetail)))
	}
	text := fmt.Sprintf("Integration %s: %d of %d deliveries failed in the last 24 hours.\n", id, len(failed), all)
	if len(failed) > 0 {
		text += "The newest of them:\n\n" + table(rows)
	}
	_, err := io.WriteString(w, text)
	return err
}

// table returns rows, the cells of which are separated by tabs, with the columns
// aligned.
func table(rows []string) string {
	var out bytes.Buffer // to which writing cannot fail
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(w, strings.Join(rows, "\n")+"\n")
	_ = w.Flush()
	return out.String()
}

// askForUnknown shows what a program learns from an error.
func askForUnknown(ctx context.Context, client *epcclogs.Client, w io.Writer) error {
	_, err := client.ListIntegrationLogs(ctx, unknownID, nil)
	if !errors.Is(err, epcclogs.ErrNotFound) {
		return err // another error, or none
	}
	said := "nothing"
	var body *epcclogs.ErrorBody
	if errors.As(err, &body) {
		said = fmt.Sprintf("%q, detail %q", body.Title, body.Detail)
	}
	_, err = fmt.Fprintf(w, "\nAn id that does not exist, %s, is not found, as expected.\nThe service says: %s\n", unknownID, said)
	return err
}

func timeOf(l epcclogs.IntegrationLog) string {
	if l.CreatedAt().IsZero() {
		return "unknown"
	}
	return l.CreatedAt().UTC().Format(time.RFC3339)
}

func statusText(status int) string {
	if status == 0 {
		return "none" // the integration did not answer
	}
	return strconv.Itoa(status)
}

// oneLine returns text from the service so that it can be printed in a table,
// whatever was sent.
func oneLine(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	return cmp.Or(strings.Join(words, " "), "-")
}
