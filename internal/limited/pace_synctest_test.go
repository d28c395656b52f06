//go:build go1.25

package limited

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPace is a part of the table of TestPaceTable, and with -short a few short runs.
func TestPace(t *testing.T) {
	for _, c := range Cells() {
		cell := c.Group + "/" + c.Limiter
		if c.Rate != 60 || testing.Short() && (c.Requests == 0 || !strings.HasPrefix(c.Limiter, "sliding")) || c.Group != "2,000 requests" && !slices.Contains([]string{
			"Retry-After 1/bucket of 1", "Retry-After 1/sliding count, 10 s",
			"tenant comes and goes/bucket of R/10", "jitter of 10 ms/fixed window, 1 s",
		}, cell) {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := c.Run(t.Context(), 1)
				require.NoError(t, err)
				t.Logf("%5.1f %% used, %.2f %% refused", 100*r.Used, 100*r.Refused)
				assert.True(t, c.Meets(r, c.Margin()))
			})
		})
	}
}
