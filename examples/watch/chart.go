package main

import (
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/go-analyze/charts"
)

// The chart is drawn in these colours, which are then replaced by the colours of
// the page, so that one chart serves its light and its dark scheme.
var (
	chartText   = charts.Color{R: 1, A: 255}
	chartGrid   = charts.Color{R: 2, A: 255}
	chartFailed = charts.Color{R: 3, A: 255}
	chartGood   = charts.Color{R: 4, A: 255}

	pageColours = strings.NewReplacer(
		"rgb(1,0,0)", "var(--muted)",
		"rgb(2,0,0)", "var(--line)",
		"rgb(3,0,0)", "var(--bad)",
		"rgb(4,0,0)", "var(--good)",
		"font-family:'Roboto Medium',sans-serif", "font-family:inherit",
	)
)

// drawChart returns deliveries over time as SVG: failed attempts, and on top of
// them the successful ones. A narrow one has fewer labels.
func drawChart(p period, slots []slot, width, height int) (template.HTML, error) {
	failed, good, names := make([]float64, len(slots)), make([]float64, len(slots)), make([]string, len(slots))
	highest, every := 1.0, p.every
	if width < 500 {
		every *= 2
	}
	for i, s := range slots {
		failed[i], good[i] = float64(s.Failures), float64(s.Attempts-s.Failures)
		highest = max(highest, float64(s.Attempts))
		if i%every == 0 {
			names[i] = s.Start.Format(p.timeLayout())
		}
	}
	style := charts.FontStyle{FontSize: 9, FontColor: chartText}
	top, steps := niceScale(highest)
	opt := charts.NewBarChartOptionWithData([][]float64{failed, good})
	opt.StackSeries = charts.Ptr(true)
	opt.BarSize = 0.75
	opt.Padding = charts.NewBox(0, 8, 4, 0)
	opt.Legend.Show = charts.Ptr(false)
	opt.Theme = charts.GetTheme(charts.ThemeLight).
		WithBackgroundColor(charts.ColorTransparent).
		WithXAxisColor(chartGrid).WithYAxisColor(chartGrid).WithAxisSplitLineColor(chartGrid).
		WithTextColor(chartText).
		WithSeriesColors([]charts.Color{chartFailed, chartGood})
	opt.CategoryAxis.Labels = names
	opt.CategoryAxis.LabelCount = len(names)
	opt.CategoryAxis.LabelFontStyle = style
	opt.ValueAxis = []charts.ValueAxisOption{{
		Min: charts.Ptr(0.0), Max: charts.Ptr(top), LabelCount: steps + 1, LabelFontStyle: style,
		RangeValuePaddingScale: charts.Ptr(0.0),
	}}
	opt.ValueFormatter = func(v float64) string { return count(int(math.Round(v))) }
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height})
	if err := painter.BarChart(opt); err != nil {
		return "", err
	}
	svg, err := painter.Bytes()
	if err != nil {
		return "", err
	}
	// Nothing in it comes from a record: the labels are times and numbers.
	return template.HTML(pageColours.Replace(string(svg))), nil
}

// niceScale returns a round number that is not below highest, and into how many
// round steps to cut it.
func niceScale(highest float64) (top float64, steps int) {
	unit := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, n := range []struct {
		top   float64
		steps int
	}{{1, 4}, {1.5, 3}, {2, 4}, {3, 3}, {4, 4}, {5, 5}, {6, 3}, {8, 4}, {10, 5}} {
		if top := n.top * unit; top >= highest && top/float64(n.steps) >= 1 {
			return top, n.steps
		}
	}
	return 4, 4
}

// timeLayout is how the slots of a chart are named.
func (p period) timeLayout() string {
	if time.Duration(p.slots)*p.slot <= 24*time.Hour {
		return "15:04"
	}
	return "2 Jan"
}
