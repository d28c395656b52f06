//go:build go1.25

package limited

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPace is a part of the table, which package soak has in full.
func TestPace(t *testing.T) {
	for _, c := range Cells() {
		quick := c.Group == "2,000 requests" && c.Rate < 100 ||
			c.Group == "Retry-After 1" && c.Rate == 60 && (c.Limiter == "bucket of 1" || c.Limiter == "bucket of R/10" || c.Limiter == "sliding count, 10 s") ||
			c.Group == "tenant comes and goes" && c.Rate == 60 && c.Limiter == "bucket of R/10"
		if !quick {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := c.Run(t.Context(), 1)
				require.NoError(t, err)
				t.Logf("%5.1f %% used, %.2f %% refused", 100*r.Used, 100*r.Refused)
				assert.Greater(t, r.Used, c.Least)
				assert.Less(t, r.Refused, c.MostRefused())
			})
		})
	}
}
