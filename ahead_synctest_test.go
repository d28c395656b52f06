//go:build go1.25

package epcclogs_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// When the list has moved, the pages that were asked for early are asked for again. Then
// none is asked for early for a while, and for longer each time.
func TestConcurrentCost(t *testing.T) {
	for name, tt := range map[string]struct {
		expire   func(page int) int // records deleted in front after a page
		requests int
	}{
		"stands still": {func(int) int { return 0 }, 31},
		"moves once": {func(page int) int {
			if page == 5 {
				return 30
			}
			return 0
		}, 37},
		"keeps moving": {func(int) int { return 3 }, 49},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := movinglist.New(movinglist.Shape{Envelope: "meta"}, 3000)
				pager, s := pagerOf(t, wire.After(time.Millisecond, l.RoundTrip), 4, nil)
				page := 0
				for _, err := range pager.Pages(t.Context()) {
					require.NoError(t, err)
					synctest.Wait() // the pages that were asked for early are as old as this one
					page++
					l.Do(func() { l.Expire(tt.expire(page)) })
				}
				assert.Len(t, s.Sent(), tt.requests)
			})
		})
	}
}
