// Quickstart lists the logs of an integration: what was delivered, what failed,
// and why. It then asks for an integration that does not exist, to show how the
// errors of the library are told apart.
//
// With nothing set it runs on an embedded service with made-up data:
//
//	go run ./examples/quickstart
//
// With the credentials of an application key it runs on the real service. It
// lists the integrations of the store, or the logs of the one whose id is given.
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
	"maps"
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
	sample := epcclogstest.SampleIntegration(0)
	s, err := service.Connect(id, func() *epcclogstest.Server {
		logs := epcclogstest.SampleLogsUntil(sample, 226, time.Now())
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
	if err := listLogs(ctx, s.Client, id, w); err != nil {
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
	_, err := fmt.Fprintf(w, "%s\nTo list the logs of an integration, give its id:\n\n\tgo run ./examples/quickstart %s\n",
		table(rows, 0), first)
	return err
}

// listLogs prints the newest logs of an integration and a summary of all.
func listLogs(ctx context.Context, client *epcclogs.Client, id string, w io.Writer) error {
	type count struct{ logs, failed int }
	var all count
	byStatus := make(map[int]count)
	var newest []epcclogs.IntegrationLog // at most few

	// The pager asks for one page after the other, so that a list of any length
	// can be read. The API does not document the order of the list.
	for entry, err := range client.IntegrationLogs(id, nil).All(ctx) {
		if err != nil {
			return err
		}
		status := byStatus[entry.StatusCode]
		status.logs++
		all.logs++
		if !entry.Succeeded {
			status.failed++
			all.failed++
		}
		byStatus[entry.StatusCode] = status

		i, _ := slices.BinarySearchFunc(newest, entry, func(a, b epcclogs.IntegrationLog) int {
			return b.CreatedAt().Compare(a.CreatedAt())
		})
		newest = slices.Insert(newest, i, entry)
		newest = newest[:min(len(newest), few)]
	}

	logs := []string{"TIME\tSUCCEEDED\tSTATUS\tATTEMPT\tJOB\tREASON"}
	for _, l := range newest {
		logs = append(logs, fmt.Sprintf("%s\t%v\t%s\t%d\t%s\t%s",
			timeOf(l), l.Succeeded, statusText(l.StatusCode), l.Attempt, oneLine(l.JobID()), oneLine(l.ErrorDetail)))
	}
	counts := []string{"STATUS\tLOGS\tFAILED\t"}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		n := byStatus[status]
		counts = append(counts, fmt.Sprintf("%s\t%d\t%d\t", statusText(status), n.logs, n.failed))
	}
	counts = append(counts, fmt.Sprintf("all\t%d\t%d\t", all.logs, all.failed))
	_, err := fmt.Fprintf(w, "The newest logs of integration %s:\n\n%s\nAll logs:\n\n%s",
		id, table(logs, 0), table(counts, tabwriter.AlignRight))
	return err
}

// table returns rows, the cells of which are separated by tabs, with the columns
// aligned.
func table(rows []string, flags uint) string {
	var out bytes.Buffer // to which writing cannot fail
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', flags)
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
