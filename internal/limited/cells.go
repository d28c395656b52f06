package limited

import (
	"fmt"
	"strings"
)

// A Cell is a Drain and what it should come to.
type Cell struct {
	Drain
	Group string
	Goal  float64 // for Result.Used
}

func (c Cell) String() string { return fmt.Sprintf("%s/%s/R=%v", c.Group, c.Limiter, c.Rate) }

// MostShare is the goal for Result.Share.
const MostShare = 2

// Margin is by how much the figures of two seeds differ.
func (c Cell) Margin() float64 {
	if c.Halves || c.Tenant || c.Requests > 0 { // a refusal more at the start or at a change
		return 0.05
	}
	return 0.03
}

// Meets reports whether r reaches all goals of the cell, but for a margin.
func (c Cell) Meets(r Result, margin float64) bool {
	return r.Used >= c.Goal-margin && r.Refused <= c.MostRefused()+margin/10 &&
		(c.Clients <= 1 || r.Share <= MostShare+10*margin)
}

// MostRefused is the goal for Result.Refused.
func (c Cell) MostRefused() float64 {
	if c.Goal < 0.95 {
		return 0.02
	}
	return 0.01
}

// Mean runs the cell, with three seeds where clients share the limit.
func (c Cell) Mean(run func(seed uint64) Result) Result {
	seeds := 1
	if c.Clients > 1 {
		seeds = 3
	}
	var mean Result
	for seed := range seeds {
		r, n := run(uint64(seed)), float64(seeds)
		mean.Used += r.Used / n
		mean.Refused += r.Refused / n
		mean.Share += r.Share / n
	}
	return mean
}

// kinds are the names of all limiters.
var kinds = []string{
	"bucket of 1", "bucket of R/10", "bucket of R/2", "bucket of R", "bucket of 2R", "bucket of 10R",
	"nginx, burst 0", "nginx, burst 20", "GCRA, 0.1 s", "GCRA, 0.5 s",
	"fixed window, 1 s", "sliding log, 1 s", "sliding count, 1 s", "sliding count, 10 s",
}

// Cells returns the whole table.
func Cells() []Cell {
	var cells []Cell
	add := func(group string, goal float64, d Drain, rates ...float64) {
		for _, d.Limiter = range kinds {
			for _, d.Rate = range rates {
				if d.Rate < 20 && strings.HasPrefix(d.Limiter, "sliding count") {
					continue // counts whole requests
				}
				c := Cell{Drain: d, Group: group, Goal: goal}
				if d.Limiter == "sliding count, 10 s" {
					c.Goal = min(c.Goal, 0.90)
				}
				cells = append(cells, c)
			}
		}
	}
	add("Retry-After 1", 0.95, Drain{}, 25, 60, 100)
	add("no Retry-After", 0.95, Drain{Pause: "none"}, 60)
	add("Retry-After a date", 0.95, Drain{Pause: "date"}, 25)
	add("20 ms", 0.95, Drain{Latency: 0.02}, 60)
	add("250 ms", 0.95, Drain{Latency: 0.25}, 25)
	add("slow", 0.95, Drain{}, 5, 10)
	add("Retry-After 5", 0.90, Drain{Pause: "5"}, 25, 60)
	add("2,000 requests", 0.85, Drain{Requests: 2000}, 25, 60, 100)
	add("limit halves and returns", 0.85, Drain{Halves: true}, 25, 60, 100)
	add("tenant comes and goes", 0.85, Drain{Tenant: true}, 25, 60, 100)
	add("bound 1,000", 0.85, Drain{Bound: 1000}, 300)
	add("bound 3,000", 0.60, Drain{Bound: 3000}, 1000)
	for _, rate := range []float64{60, 100} {
		add("told", 0.97, Drain{Bound: rate}, rate)
	}
	add("jitter of 10 ms", 0.95, Drain{Jitter: 0.01}, 60)
	add("three clients", 0.90, Drain{Clients: 3, Jitter: 0.01}, 25, 100)
	return cells
}
