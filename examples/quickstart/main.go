// Quickstart lists the logs of an integration: what was delivered, what failed,
// and why. It then asks for an integration that does not exist, to show how the
// errors of the library are told apart.
//
// With nothing set it runs on an embedded service with sample data:
//
//	go run ./examples/quickstart
//
// With the credentials of an application key and the id of an integration it
// runs on the real service. EPCC_API_BASE_URL is needed for other hosts than
// the default, epcclogs.EUWest:
//
//	export EPCC_CLIENT_ID=... EPCC_CLIENT_SECRET=...
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
	"time"
	"unicode"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	few       = 10 // rows of the table
	unknownID = "00000000-0000-0000-0000-000000000000"
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
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		messages.Print("usage: quickstart [integration id]\n" +
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
		sample := epcclogstest.SampleIntegration(0)
		logs := epcclogstest.SampleLogs(sample.ID, 226)
		srv := epcclogstest.NewServer(epcclogstest.WithIntegration(sample, logs...))
		defer srv.Close()
		id = sample.ID
		client, err = epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"))
	}
	if err == nil {
		err = listLogs(ctx, client, id, stdout)
	}
	if err == nil {
		err = askForUnknown(ctx, client, stdout)
	}
	if err != nil {
		messages.Print("quickstart: ", err)
		return 1
	}
	return 0
}

// listLogs prints the newest logs of an integration and a summary of all.
func listLogs(ctx context.Context, client *epcclogs.Client, id string, w io.Writer) error {
	var newest []epcclogs.IntegrationLog // at most few
	total, failed, byStatus := 0, 0, make(map[int]int)

	// The pager asks for one page after the other, so that a list of any length
	// can be read. The API does not document the order of the list.
	for entry, err := range client.IntegrationLogs(id, nil).All(ctx) {
		if err != nil {
			return err
		}
		total++
		byStatus[entry.StatusCode]++
		if !entry.Succeeded {
			failed++
		}
		i, _ := slices.BinarySearchFunc(newest, entry, func(a, b epcclogs.IntegrationLog) int {
			return b.CreatedAt().Compare(a.CreatedAt())
		})
		newest = slices.Insert(newest, i, entry)
		newest = newest[:min(len(newest), few)]
	}

	var out bytes.Buffer
	fmt.Fprintf(&out, "The newest logs of integration %s:\n\n", id)
	row := "%-20s  %-9v  %-6v  %7v  %-36s  %s\n"
	fmt.Fprintf(&out, row, "TIME", "SUCCEEDED", "STATUS", "ATTEMPT", "JOB", "REASON")
	for _, l := range newest {
		fmt.Fprintf(&out, row, timeOf(l), l.Succeeded, statusText(l.StatusCode), l.Attempt, l.JobID(), reason(l))
	}
	fmt.Fprintf(&out, "\n%d logs, %d failed. By status:", total, failed)
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		fmt.Fprintf(&out, " %s: %d", statusText(status), byStatus[status])
	}
	out.WriteString("\n")
	_, err := w.Write(out.Bytes())
	return err
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
	_, err = fmt.Fprintf(w, "\nIntegration %s is not found, as expected.\nThe service says: %s\n", unknownID, said)
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

// reason returns the reason of a failure on one line, whatever was sent.
func reason(l epcclogs.IntegrationLog) string {
	words := strings.FieldsFunc(l.ErrorDetail, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	return cmp.Or(strings.Join(words, " "), "-")
}
