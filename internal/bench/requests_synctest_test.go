//go:build go1.25

package bench

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// While nothing is new, Follow sends two requests an interval, and one if a page shows the
// whole list and says so. A list of one record takes a third where nothing is said: a page
// of one record may have no room for the overlap.
func TestQuietPoll(t *testing.T) {
	for _, envelope := range movinglist.Envelopes {
		for _, size := range []int{0, 1, 40, 300, 1500} {
			t.Run(fmt.Sprintf("%s/records=%d", envelope, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const polls = 100
					l := movinglist.New(movinglist.Shape{Envelope: envelope}, size)
					ctx, cancel := context.WithTimeout(t.Context(), polls*time.Minute+30*time.Second)
					defer cancel()
					begun := 0 // requests until the list was read
					time.AfterFunc(15*time.Second, func() { l.Do(func() { begun = l.Requests }) })
					for _, err := range clientOf(t, l).IntegrationLogs(wire.Integration, nil).Follow(ctx, time.Minute) {
						if ctx.Err() == nil {
							require.NoError(t, err)
						}
					}
					each := float64(l.Requests-begun) / polls
					want := 2.0
					switch {
					case size == 0 || size < 100 && envelope != "bare":
						want = 1
					case size == 1:
						want = 3
					}
					assert.InDelta(t, want, each, 0)
				})
			})
		}
	}
}
