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
// limiters, and prints two tables in Markdown. It takes some minutes. CI does not run
// it: a figure is that of a few seeds, and in some cells it now and then lies below its
// margin.
func TestPaceTable(t *testing.T) {
	cells := Cells()
	results := make([]Result, len(cells))
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
				assert.Greater(t, results[i].Used, c.Least)
				if c.Least > 0.5 { // not out of reach altogether
					assert.Less(t, results[i].Refused, c.MostRefused()+0.002)
					assert.Less(t, results[i].Share, 2.2)
				}
			})
		}
	})
	printTables(cells, results)
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
