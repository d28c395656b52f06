package movinglist_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/internal/wire"
)

// At most n requests are under way, and no more than n pages asked for beyond
// what was handed out.
func TestConcurrentBounds(t *testing.T) {
	const n = 5
	var under, most atomic.Int32
	full := make(chan struct{}) // closed when n requests are under way
	isFull := sync.OnceFunc(func() { close(full) })
	list := wire.List{All: wire.Records(0, 3000), Write: wire.Envelopes["links"]}
	s := wire.Steps(func(r *http.Request) (*http.Response, error) {
		now := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if now == n {
			isFull()
		}
		if offset, _ := wire.Asked(r); offset > 0 {
			<-full // which hangs where the pager does not look ahead so far
		}
		return list.Answer(r)
	})
	pages := 0
	for _, err := range pagers(t, s)(0).Concurrent(n).Pages(t.Context()) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(s.Sent()), pages+n, "asked for, and not handed out before this page")
		pages++
	}
	assert.EqualValues(t, n, most.Load())
}

// When the loop is left, nothing that it started is left.
func TestConcurrentEndsWithTheLoop(t *testing.T) {
	var under atomic.Int32
	list := wire.List{All: wire.Records(0, 2000), Write: wire.Envelopes["meta"]}
	arrived := make(chan struct{}, 100)
	pager := pagers(t, wire.Step(func(r *http.Request) (*http.Response, error) {
		under.Add(1)
		defer under.Add(-1)
		if offset, _ := wire.Asked(r); offset > 150 {
			arrived <- struct{}{}
			return wire.Hang(r)
		}
		return list.Answer(r)
	}))(0).Concurrent(8)
	seen := 0
	for _, err := range pager.All(t.Context()) {
		require.NoError(t, err)
		if seen++; seen == 150 {
			for range 7 {
				<-arrived
			}
			require.EqualValues(t, 7, under.Load())
			break
		}
	}
	assert.Zero(t, under.Load(), "requests under way after break")
	assert.Equal(t, 150, pager.Offset())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range pager.All(ctx) { // goes on at 150, and is cancelled while it waits
		if last = err; err != nil {
			break
		}
		if seen++; seen == 199 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	assert.Zero(t, under.Load(), "requests under way after the context ended")
	assert.Equal(t, 199, pager.Offset())
}
