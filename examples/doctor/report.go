package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// answered returns how many responses came from lists.
func (t *trace) answered() (n int) {
	for _, n2 := range t.notes {
		n += bit(n2.list != tokens && n2.status != 0)
	}
	return n
}

// traffic adds what all responses show.
func (d *doctor) traffic() {
	var took []time.Duration
	headers, odd := make(map[string]bool), make(map[string]int)
	lifetime := ""
	asked := false
	for _, n := range d.trace.notes {
		if n.list == tokens {
			asked, lifetime = true, n.lifetime
		}
		switch n.status {
		case http.StatusOK:
			took = append(took, n.took)
		case 0:
			odd["no response"]++
		default:
			odd[strconv.Itoa(n.status)]++
		}
		for _, h := range n.headers {
			headers[h] = true
		}
	}
	if asked {
		seconds, err := strconv.Atoi(lifetime)
		relied := "yes, a token is renewed before that; without a lifetime, when it is refused"
		if err != nil {
			d.add("lifetime of a token", relied, true, "not said in expires_in")
		} else {
			d.add("lifetime of a token", relied, seconds < 120, "%v", time.Duration(seconds)*time.Second)
		}
	} else {
		d.skip("the token endpoint")
	}
	names := slices.Sorted(maps.Keys(headers))
	d.add("headers about limits", "yes, only on Retry-After", false, "%s", orNone(names))
	var seen []string
	for _, status := range slices.Sorted(maps.Keys(odd)) {
		seen = append(seen, fmt.Sprintf("%d times %s", odd[status], status))
	}
	d.add("other answers than 200", "no, temporary failures are retried", odd["429"] > 0, "%s", orNone(seen))
	if len(took) > 0 {
		slices.Sort(took)
		median, longest := took[len(took)/2], took[len(took)-1]
		d.add("time of a request", "no", longest > 10*time.Second, "median %v, longest %v, of %d",
			median.Round(100*time.Microsecond), longest.Round(100*time.Microsecond), len(took))
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
	store := "the store of EPCC_CLIENT_ID"
	if embedded {
		store = "an embedded store with made-up data, since no EPCC_ variable is set"
	}
	fmt.Fprintf(&b, "Doctor of epcclogs %s, %s, %s, %d requests\nLooked at: %s\n",
		epcclogs.Version, runtime.Version(), time.Now().UTC().Format(time.DateOnly), d.trace.sent, store)
	list := ""
	var surprises []finding
	for _, f := range d.findings {
		of, what, ok := strings.Cut(f.what, ": ")
		if !ok {
			of, what = "everything", f.what
		}
		if of != list {
			list = of
			fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(list[:1])+list[1:])
		}
		mark := ' '
		if f.surprise {
			mark = '!'
			surprises = append(surprises, f)
		}
		fmt.Fprintf(&b, "%c %s: %s\n      relied on: %s\n", mark, what, f.seen, f.relied)
	}
	fmt.Fprintf(&b, "\nNot looked at: %s\n", strings.Join(append(d.skipped, never), "; "))
	if len(surprises) == 0 {
		fmt.Fprint(&b, "\nNothing of this is surprising.\n")
	} else {
		fmt.Fprintf(&b, "\nSurprising, %d:\n", len(surprises))
	}
	for _, f := range surprises {
		fmt.Fprintf(&b, "! %s: %s\n", f.what, f.seen)
	}
	fmt.Fprint(&b, "\nPlease send this report, also if nothing is surprising: https://github.com/epcclogs/epcclogs/issues\n"+
		"It holds no secret, no id and no content of a record.\n")
	_, err := w.Write(b.Bytes())
	return err
}
