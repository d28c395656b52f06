// Command plot draws docs/performance.svg from the output of BenchmarkDrain: logs
// a second over the pages under way, at a latency of 50 ms. Where a benchmark was
// run more than once, it takes the median.
//
//	go run ./internal/bench/plot <docs/bench.txt >docs/performance.svg
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	speeds, err := read(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	svg, err := draw(speeds)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(svg); err != nil {
		log.Fatal(err)
	}
}

// speeds are the logs a second of a client with n pages under way, of all runs.
type speeds map[string]map[int][]float64

var (
	drain = regexp.MustCompile(`^BenchmarkDrain/latency=50ms/client=(\w+)/n=(\d+)\S*\s`)
	speed = regexp.MustCompile(`\s([0-9.e+]+) logs/s`)
)

func read(r io.Reader) (speeds, error) {
	all := speeds{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value := drain.FindStringSubmatch(lines.Text()), speed.FindStringSubmatch(lines.Text())
		if name == nil || value == nil {
			continue
		}
		n, err := strconv.Atoi(name[2])
		if err != nil {
			return nil, err
		}
		logs, err := strconv.ParseFloat(value[1], 64)
		if err != nil {
			return nil, err
		}
		if all[name[1]] == nil {
			all[name[1]] = map[int][]float64{}
		}
		all[name[1]][n] = append(all[name[1]][n], logs)
	}
	return all, lines.Err()
}

// The picture, in pixels: the axes enclose left to right and top to bottom.
const (
	width, height = 760, 500
	left, right   = 76, 736
	top, bottom   = 122, 440

	ceiling = 10_000 // logs a second: 100 requests of 100 records
)

//go:embed style.css
var style string

func draw(all speeds) ([]byte, error) {
	var ns []int
	highest := float64(ceiling)
	for _, client := range []string{"sequential", "epcclogs", "ideal"} {
		if len(all[client]) == 0 {
			return nil, fmt.Errorf("no results of BenchmarkDrain/latency=50ms/client=%s", client)
		}
		for n, values := range all[client] {
			ns = append(ns, n)
			highest = max(highest, median(values))
		}
	}
	slices.Sort(ns)
	ns = slices.Compact(ns)
	if len(ns) < 2 || len(all["sequential"][1]) == 0 {
		return nil, fmt.Errorf("too few results of BenchmarkDrain/latency=50ms")
	}
	highest = 5000 * math.Ceil(highest/5000)
	most := ns[len(ns)-1]
	x := func(n int) float64 { return left + (right-left-24)*float64(n)/float64(most) }
	y := func(logs float64) float64 { return bottom - (bottom-top)*logs/highest }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title">`+"\n", width, height, width, height)
	fmt.Fprintln(&b, `<title id="title">Logs a second over the pages under way at once, at a latency of 50 ms</title>`)
	fmt.Fprintf(&b, "<style>\n%s</style>\n", style)
	text := func(x, y float64, class, format string, args ...any) {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" class="%s">%s</text>`+"\n", x, y, class, fmt.Sprintf(format, args...))
	}
	line := func(x1, y1, x2, y2 float64, class string) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
	}

	text(left, 24, "heading", "Logs a second: 10,000 logs, 50 ms a request")
	for tick := 0.0; tick <= highest; tick += 5000 {
		line(left, y(tick), right, y(tick), "grid")
		text(left-10, y(tick)+4, "end", "%s", thousands(tick))
	}
	for _, n := range ns {
		line(x(n), bottom, x(n), bottom+5, "axis")
		text(x(n), bottom+21, "middle", "%d", n)
	}
	line(left, bottom, right, bottom, "axis")
	text((left+right)/2, bottom+46, "middle", "pages under way at once, n")

	line(left, y(ceiling), right, y(ceiling), "ceiling")
	text(right, y(ceiling)+18, "end", "all that a limit of 100 requests a second lets through")

	sequential := median(all["sequential"][1])
	line(x(1), y(sequential), right, y(sequential), "sequential dashed")
	fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="5" class="sequential"/>`+"\n", x(1), y(sequential))
	text(right, y(sequential)-7, "end", "%s", thousands(sequential))
	for _, client := range []string{"ideal", "epcclogs"} {
		var points, dots strings.Builder
		for _, n := range ns {
			if values := all[client][n]; len(values) > 0 {
				fmt.Fprintf(&points, " %.1f,%.1f", x(n), y(median(values)))
				fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="%d" class="%s"/>`+"\n", x(n), y(median(values)), radius[client], client)
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" class="%s"/>`+"\n%s", points.String()[1:], client, dots.String())
	}
	if values := all["epcclogs"][most]; len(values) > 0 {
		text(x(most)-2, y(median(values))+26, "end", "%s", thousands(median(values)))
	}

	for i, entry := range []struct{ client, label string }{
		{"epcclogs", "epcclogs, Concurrent(n)"},
		{"ideal", "ideal client: n pages at once, in no order"},
		{"sequential", "plain loop: one page after the other"},
	} {
		at := float64(48 + 22*i)
		line(left, at, left+30, at, entry.client)
		fmt.Fprintf(&b, `<circle cx="%d" cy="%.0f" r="%d" class="%s"/>`+"\n", left+15, at, radius[entry.client], entry.client)
		text(left+42, at+4, "legend", "%s", entry.label)
	}
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes(), nil
}

// The ideal client lies beneath, wider, since the lines nearly coincide.
var radius = map[string]int{"epcclogs": 4, "ideal": 8, "sequential": 5}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// thousands writes a number as text does: 12,000.
func thousands(x float64) string {
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
