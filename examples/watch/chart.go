package main

import "time"

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
	top := (highest + 1) / 2 * 2 // so that half of it is a whole number, too
	length := v.To.Sub(v.From) / time.Duration(len(v.Slots))
	c := chart{Steps: []int{top, top / 2, 0}, Dates: length >= days, Every: (len(v.Slots) + 5) / 6}
	for _, s := range v.Slots {
		c.Bars = append(c.Bars, bar{
			slot: s,
			Link: "/events?" + query(nil, "from", s.Start.Format(time.RFC3339), "to", s.Start.Add(length).Format(time.RFC3339), "integration", integration),
			Bad:  100 * float64(s.Failures) / float64(top), Good: 100 * float64(s.Attempts-s.Failures) / float64(top),
		})
	}
	return c
}
