//go:build go1.25

package epcclogs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/internal/movinglist"
)

// Followed from a time on, only what is added since then comes, and the list is not read from
// its beginning.
func TestSinceAndFollow(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := movinglist.New(movinglist.Shape{Envelope: "links", NewestFirst: newest}, 30_000)
			from := time.Date(2026, 1, 2, 3, 4, 5, 30_000, time.UTC) // the model counts nanoseconds
			time.AfterFunc(90*time.Second, func() { l.Do(func() { l.Add(3) }) })
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
			defer cancel()
			var got []string
			for log, err := range clientOf(t, l).StoreLogs(nil).Since(from).Follow(ctx, time.Minute) {
				if err == nil {
					got = append(got, log.Body)
				}
			}
			require.Equal(t, []string{"30000", "30001", "30002"}, got)
			require.LessOrEqual(t, l.Requests, 40)
		})
	}
}
