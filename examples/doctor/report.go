package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/epcclogs/epcclogs"
)

// traffic is what findings are of that belong to no list.
const traffic = "all requests"

// answered returns how many responses came from lists.
func (t *trace) answered() (n int) {
	for _, response := range t.notes {
		n += bit(response.list != tokens && response.status != 0)
	}
	return n
}

// summary adds what all responses show.
func (d *doctor) summary() {
	var took []time.Duration
	headers, odd, limited := make(map[string]bool), make(map[string]int), 0
	for _, n := range d.trace.notes {
		switch n.status {
		case http.StatusOK:
			took = append(took, n.took)
		case http.StatusTooManyRequests:
			limited++
		case 0:
			odd["no response"]++
		default:
			odd[strconv.Itoa(n.status)]++
		}
		for _, h := range n.headers {
			headers[h] = true
		}
	}
	d.tokens()
	d.add(traffic, "headers about limits", "yes, only on Retry-After", false, "%s", orNone(slices.Sorted(maps.Keys(headers))))
	d.add(traffic, "answers 429", "no, the client pauses", limited > 0, "%d of %d", limited, d.trace.sent)
	var seen []string
	for _, status := range slices.Sorted(maps.Keys(odd)) {
		seen = append(seen, fmt.Sprintf("%d times %s", odd[status], status))
	}
	d.add(traffic, "other answers than 200", "no, temporary failures are retried", false, "%s", orNone(seen))
	if len(took) > 0 {
		slices.Sort(took)
		median, longest := took[len(took)/2], took[len(took)-1]
		d.add(traffic, "time of a request", "no, each may take 30 seconds", longest > 10*time.Second, "median %v, longest %v, of %d",
			median.Round(100*time.Microsecond), longest.Round(100*time.Microsecond), len(took))
	}
}

// tokens adds what the last response of the token endpoint shows.
func (d *doctor) tokens() {
	var last *note
	for i, n := range d.trace.notes {
		if n.list == tokens {
			last = &d.trace.notes[i]
		}
	}
	if last == nil {
		d.skip("the token endpoint")
		return
	}
	what, relied := "token endpoint", "yes"
	switch last.status {
	case http.StatusOK:
		d.add(traffic, what, relied, false, "answers in %v", last.took.Round(100*time.Microsecond))
	case 0:
		d.add(traffic, what, relied, true, "no response")
		return
	default:
		d.add(traffic, what, relied, true, "%s", statusText(last.status))
		return
	}
	what, relied = "lifetime of a token", "yes, it is renewed before that; an hour is assumed if it is not said"
	if seconds, err := strconv.ParseFloat(last.lifetime, 32); err != nil || seconds <= 0 {
		d.add(traffic, what, relied, true, "not said in expires_in")
	} else {
		seconds = min(seconds, math.MaxInt32) // 68 years
		d.add(traffic, what, relied, seconds < 120, "%v", time.Duration(seconds*float64(time.Second)))
	}
}

func orNone(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, "; ")
}

// never is what is not looked at in any store.
const never = "more than 100 records a page; the limit of requests, which is not provoked; records that are added or deleted " +
	"in the meantime; how long after its creation a record appears; all but the first and last records of a list; other integrations than one"

// print prints the report.
func (d *doctor) print(w io.Writer, embedded bool) error {
	var b bytes.Buffer // to which writing cannot fail
	store := "a store at another host than " + epcclogs.EUWest + " and " + epcclogs.USEast
	switch {
	case embedded:
		store = "an embedded store with made-up data, since no EPCC_ variable is set"
	case d.trace.host == epcclogs.EUWest || d.trace.host == epcclogs.USEast:
		store = "a store at " + d.trace.host
	}
	fmt.Fprintf(&b, "Doctor of epcclogs %s, %s, %s, %d of at most %d requests\nLooked at: %s\n",
		epcclogs.Version, runtime.Version(), time.Now().UTC().Format(time.DateOnly), d.trace.sent, most, store)
	for _, list := range []string{integrations, storeLogs, integrationLogs, integrationJobs, jobLogs, traffic} {
		of := slices.DeleteFunc(slices.Clone(d.findings), func(f finding) bool { return f.of != list })
		if len(of) > 0 {
			fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(list[:1])+list[1:])
			writeTable(&b, of)
		}
	}
	surprises := slices.DeleteFunc(slices.Clone(d.findings), func(f finding) bool { return !f.surprise })
	fmt.Fprintf(&b, "\nNot looked at: %s\n", strings.Join(append(d.skipped, never), "; "))
	if len(surprises) == 0 {
		fmt.Fprint(&b, "\nNothing of this is surprising.\n")
	} else {
		fmt.Fprintf(&b, "\nSurprising, %d:\n", len(surprises))
	}
	for _, f := range surprises {
		fmt.Fprintf(&b, "! %s: %s: %s\n", f.of, f.what, f.seen)
	}
	fmt.Fprint(&b, "\nPlease send this report, also if nothing is surprising: https://github.com/epcclogs/epcclogs/issues\n"+
		"It holds no secret, no id and no content of a record.\n")
	_, err := w.Write(b.Bytes())
	return err
}

// writeTable writes a line for each finding.
func writeTable(b *bytes.Buffer, findings []finding) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		_, _ = fmt.Fprintf(w, "%s %s\t%s\trelied on: %s\n", map[bool]string{true: "!", false: " "}[f.surprise], f.what, f.seen, f.relied)
	}
	_ = w.Flush()
}
