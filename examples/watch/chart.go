package main

import (
	"math"
	"time"
)

// bar is a slot of the chart.
type bar struct {
	slot
	Bad, Good float64 // heights, in percent of the chart
	Link      string  // to the events that were lost then
}

// chart is deliveries over time: failed attempts, and on top of them successful ones.
type chart struct {
	Bars  []bar
	Steps []int // of the scale, the largest first
	Dates bool  // whether slots are days, in UTC
	Every int   // so many slots have one label
}

func newChart(v *summary, integration string) chart {
	highest := 1
	for _, s := range v.Slots {
		highest = max(highest, s.Attempts)
	}
	top, steps := niceScale(float64(highest))
	length := v.To.Sub(v.From) / time.Duration(len(v.Slots))
	c := chart{Dates: length >= days, Every: (len(v.Slots) + 5) / 6}
	for i := steps; i >= 0; i-- {
		c.Steps = append(c.Steps, int(math.Round(top*float64(i)/float64(steps))))
	}
	for _, s := range v.Slots {
		c.Bars = append(c.Bars, bar{
			slot: s,
			Link: "/events?" + query("from", s.Start.Format(time.RFC3339), "to", s.Start.Add(length).Format(time.RFC3339), "integration", integration),
			Bad:  100 * float64(s.Failures) / top, Good: 100 * float64(s.Attempts-s.Failures) / top,
		})
	}
	return c
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
