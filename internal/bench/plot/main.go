// Command plot draws docs/performance.svg from the output of BenchmarkDrain: logs
// a second over the pages under way, at a latency of 50 ms. Where a benchmark was
// run more than once, it takes the median. It is a module of its own, so that the
// chart library is no dependency of the library:
//
//	go -C internal/bench/plot run . < docs/bench.txt > docs/performance.svg
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"image/color"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

func main() {
	speeds, err := read(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if err := write(os.Stdout, speeds); err != nil {
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

// series are the lines of the chart; the wide one lies beneath, since two of them
// nearly coincide.
var series = []struct {
	client, label string
	color         color.RGBA
	width, radius vg.Length
}{
	{"ideal", "ideal client: n pages at once, in no order", color.RGBA{229, 203, 125, 255}, 7, 7},
	{"epcclogs", "epcclogs, Concurrent(n)", color.RGBA{9, 105, 218, 255}, 2, 3.5},
	{"sequential", "plain loop: one page after the other", color.RGBA{101, 109, 118, 255}, 2, 4},
}

func write(w io.Writer, all speeds) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text, p.Title.Padding = "10,000 logs, 50 ms a request", 10
	p.X.Label.Text, p.Y.Label.Text = "pages under way at once, n", "logs a second"
	p.X.Min, p.X.Max = 0, 16.5
	p.Y.Min, p.Y.Max = 0, 27_000 // room for the legend
	p.Y.Tick.Marker = plot.TickerFunc(thousands)
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 1, Label: "1"}, {Value: 4, Label: "4"}, {Value: 8, Label: "8"}, {Value: 16, Label: "16"}}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 4
	p.Add(plotter.NewGrid())

	for _, s := range series {
		var points plotter.XYs
		for n, values := range all[s.client] {
			points = append(points, plotter.XY{X: float64(n), Y: median(values)})
		}
		slices.SortFunc(points, func(a, b plotter.XY) int { return int(a.X - b.X) })
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("BenchmarkDrain/latency=50ms/client=%s: %w", s.client, err)
		}
		line.Color, line.Width = s.color, s.width
		dots.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: s.radius, Shape: draw.CircleGlyph{}}
		p.Add(line, dots)
		p.Legend.Add(s.label, line, dots)
	}

	ceiling := plotter.NewFunction(func(float64) float64 { return 10_000 })
	ceiling.Color, ceiling.Width, ceiling.Dashes = color.RGBA{207, 34, 46, 255}, 1.5, []vg.Length{6, 4}
	p.Add(ceiling)
	p.Legend.Add("all that a limit of 100 requests a second lets through", ceiling)

	chart, err := p.WriterTo(760, 500, "svg")
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err := chart.WriteTo(&svg); err != nil {
		return err
	}
	// Not every system has that font.
	_, err = w.Write(bytes.ReplaceAll(svg.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans,Helvetica,Arial,sans-serif")))
	return err
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// thousands labels the axis as text does: 10,000.
func thousands(lowest, highest float64) []plot.Tick {
	var ticks []plot.Tick
	for value := 0; float64(value) <= highest; value += 5000 {
		label := strconv.Itoa(value)
		if value > 0 {
			label = fmt.Sprintf("%d,%03d", value/1000, value%1000)
		}
		ticks = append(ticks, plot.Tick{Value: float64(value), Label: label})
	}
	return ticks
}
