package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// spoilt is a list of n records, of which those numbers cannot be read.
func spoilt(n int, envelope string, numbers ...int) wire.List {
	list := wire.List{All: wire.Records(0, n), Write: wire.Envelopes[envelope]}
	for _, k := range numbers {
		list.All[k] = fmt.Sprintf(`{"id":"log-%d","attempt":"many","body":"%d"}`, k, k)
	}
	return list
}

// Records that cannot be read come as errors in their places, and hide no others: also the
// first and the last one of a page, and all of a page.
func TestUnreadableRecordsInAList(t *testing.T) {
	for envelope := range wire.Envelopes {
		for _, n := range []int{1, 4} {
			all := []int{0, 7, 19, 20, 38, 57}
			for k := 60; k < 85; k++ {
				all = append(all, k)
			}
			list := spoilt(99, envelope, all...)
			opts := &epcclogs.ListOptions{Limit: 20}
			pager, _ := pagerOf(t, list.Answer, n, opts)
			var got []string
			for log, err := range pager.All(t.Context()) {
				var failed *epcclogs.DecodeError
				if err != nil {
					require.ErrorAs(t, err, &failed)
					require.ErrorContains(t, err, ".attempt")
					require.NotContains(t, failed.Err.Error(), ";", "one record")
					got = append(got, "?")
					continue
				}
				got = append(got, log.Body)
			}
			want := wire.Bodies(0, 99)
			for _, k := range all {
				want[k] = "?"
			}
			require.Equal(t, want, got, envelope)

			pager, _ = pagerOf(t, list.Answer, n, opts)
			got = nil
			for page, err := range pager.Pages(t.Context()) {
				if err != nil {
					require.ErrorAs(t, err, new(*epcclogs.DecodeError))
				}
				require.NotNil(t, page)
				for _, log := range page.Data {
					got = append(got, log.Body)
				}
			}
			require.Equal(t, strings.Fields(strings.ReplaceAll(strings.Join(want, " "), "?", "")), got, envelope)
		}
	}
}

// A loop that ends at such a record goes on behind it, also from a cursor.
func TestResumeBehindAnUnreadableRecord(t *testing.T) {
	for _, resume := range []bool{false, true} {
		list := spoilt(50, "meta", 12)
		c := clientOf(t, wire.Steps(list.Answer))
		pager := c.IntegrationLogs(integration, nil)
		got, err := bodies(pager.All(t.Context()))
		require.ErrorAs(t, err, new(*epcclogs.DecodeError))
		require.ErrorContains(t, err, "data[12]")
		require.Equal(t, wire.Bodies(0, 12), got)
		if resume {
			pager = c.IntegrationLogs(integration, nil).Resume(pager.Cursor())
		}
		got, err = bodies(pager.All(t.Context()))
		require.NoError(t, err)
		require.Equal(t, wire.Bodies(13, 50), got)
	}
}

// The end of the context is the last thing that a loop over Follow gets, also where the page has
// records that cannot be read. These are told of first, since the place is behind them.
func TestFollowEndsWithItsContext(t *testing.T) {
	for _, at := range []int{0, 1, 2, 3} { // records that the loop has got when the context ends
		ctx, cancel := context.WithCancel(t.Context())
		pager, _ := pagerOf(t, spoilt(4, "meta", 1, 3).Answer, 1, nil)
		var got []string
		for log, err := range pager.Follow(ctx, time.Hour) {
			if len(got) == at {
				cancel()
			}
			got = append(got, fmt.Sprint(log.Body, isDecodeError(err), errors.Is(err, context.Canceled)))
		}
		cancel()
		require.Equal(t, []string{"0false false", "true false", "2false false", "true false", "false true"}, got)
	}
}

// An answer that comes with the end of the context is no page, also if it has records that
// cannot be read.
func TestContextEndsWithAnUnreadableRecord(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := wire.Steps(func(r *http.Request) (*http.Response, error) {
		cancel()
		return wire.OK(wire.Page("null", wire.Record(1)))(r)
	})
	c := clientOf(t, s)
	got, err := bodies(c.StoreLogs(nil).All(ctx))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, got)
	require.Len(t, s.Sent(), 1)

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	page, err := c.ListStoreLogs(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, page)
}
