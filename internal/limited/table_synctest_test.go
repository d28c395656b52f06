//go:build pacetable && go1.25

package limited

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPaceTable measures how much of a rate limit a client uses, of all kinds of
// limiters, and prints three tables in Markdown. Where a goal is out of reach, a cell
// must come to what the best constant rate does. It takes some minutes; CI runs TestPace.
func TestPaceTable(t *testing.T) {
	cells := Cells()
	results := make([]Result, len(cells))
	reach := make([]float64, len(cells)) // where a goal is missed
	t.Run("cells", func(t *testing.T) {
		for i, c := range cells {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				results[i] = c.Mean(func(seed uint64) (r Result) {
					synctest.Test(t, func(t *testing.T) {
						var err error
						r, err = c.Run(t.Context(), seed)
						require.NoError(t, err)
					})
					return r
				})
				if c.Meets(results[i], 0) {
					return
				}
				reach[i] = c.Reachable()
				if reach[i] >= c.Goal+0.02 {
					assert.True(t, c.Meets(results[i], c.Margin()), "%+v", results[i])
				}
				least := min(c.Goal, reach[i]) - c.Margin()
				if others := c.Tenant || c.Clients > 1; others && reach[i] < c.Goal+0.02 {
					least -= 0.10 // even with all knowledge it is only just there
				}
				assert.Greater(t, results[i].Used, least)
			})
		}
	})
	printTables(cells, results)
	fmt.Println("| misses a goal | goal | used | refused | share | best constant rate |\n|---|--:|--:|--:|--:|--:|")
	for i, c := range cells {
		if r := results[i]; !c.Meets(r, 0) {
			fmt.Printf("| %v | %.0f | %.1f | %.2f | %.1f | %.1f |\n", c, 100*c.Goal, 100*r.Used, 100*r.Refused, r.Share, 100*reach[i])
		}
	}
}

// printTables prints what was used in each cell, in percent, and for each group how
// many cells reach its goals.
func printTables(cells []Cell, results []Result) {
	var kinds, groups []string
	for _, c := range cells {
		if !slices.Contains(kinds, c.Limiter) {
			kinds = append(kinds, c.Limiter)
		}
		if !slices.Contains(groups, c.Group) {
			groups = append(groups, c.Group)
		}
	}
	fmt.Println("| | R | " + strings.Join(kinds, " | ") + " |")
	fmt.Println("|---|--:|" + strings.Repeat("--:|", len(kinds)))
	var summary strings.Builder
	for _, group := range groups {
		var rates []float64
		figures := map[float64]map[string]string{}
		total, used, refused, mean := 0, 0, 0, 0.0
		for i, c := range cells {
			if c.Group != group {
				continue
			}
			if figures[c.Rate] == nil {
				rates = append(rates, c.Rate)
				figures[c.Rate] = map[string]string{}
			}
			figures[c.Rate][c.Limiter] = fmt.Sprintf("%.1f", 100*results[i].Used)
			total++
			mean += min(results[i].Used, 1)
			if results[i].Used >= c.Goal {
				used++
			}
			if results[i].Refused <= c.MostRefused() {
				refused++
			}
		}
		slices.Sort(rates)
		for _, rate := range rates {
			fmt.Printf("| %s | %v |", group, rate)
			for _, kind := range kinds {
				fmt.Printf(" %s |", figures[rate][kind])
			}
			fmt.Println()
		}
		fmt.Fprintf(&summary, "| %s | %d | %.1f | %d | %d |\n", group, total, 100*mean/float64(total), used, refused)
	}
	fmt.Println("\n| | cells | mean used | as much as the goal | refused as little as the goal |\n|---|--:|--:|--:|--:|")
	fmt.Println(summary.String())
}
