//go:build go1.25

package epcclogs_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

type spanKey struct{}

// Each request that is sent is told once, with what came of it, also those for tokens.
func TestOnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []epcclogs.Attempt
		var failed []error
		hook := epcclogs.WithOnAttempt(func(ctx context.Context, a epcclogs.Attempt) {
			assert.Equal(t, "span", ctx.Value(spanKey{}), "the context is that of the call")
			failed = append(failed, a.Err)
			a.Err = nil
			told = append(told, a)
		})
		api := newAPI(first(1, wire.Reply(503, "", "Retry-After", "2")), func(n int) wire.Step {
			return wire.After(time.Duration(n)*time.Millisecond, []wire.Step{
				refused, wire.Reply(429, "", "Retry-After", "3"), wire.Stall(200, `{"data":[`), done,
				wire.Reply(503, "", "Retry-After", "1"), wire.Break(io.ErrClosedPipe), wire.OK(`{}`),
			}[n-1])
		})
		ctx := context.WithValue(t.Context(), spanKey{}, "span")
		c := clientOf(t, api, hook, withSecret, epcclogs.WithBaseURL("https://api.example.com/gate"), epcclogs.WithTimeout(time.Minute),
			epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 4 * time.Second, MaxWait: 4 * time.Second}))
		_, err := c.ListIntegrationLogs(ctx, integration, &epcclogs.ListOptions{Limit: 7, Offset: 250})
		require.NoError(t, err)

		post := epcclogs.Attempt{Method: "POST", Path: "/gate/oauth/access_token", Number: 1, StatusCode: 200}
		busy := post
		busy.StatusCode, busy.Retry, busy.Wait = 503, true, 2*time.Second
		again := post
		again.Number = 2
		get := func(n, status int, took time.Duration) epcclogs.Attempt {
			return epcclogs.Attempt{
				Method: "GET", Path: "/gate/v2/integrations/" + integration + "/logs", Query: "page[limit]=7&page[offset]=250",
				Number: n, StatusCode: status, Duration: took, Retry: true,
			}
		}
		renewed, limited, stalled, good := get(1, 401, time.Millisecond), get(2, 429, 2*time.Millisecond), get(3, 200, time.Minute), get(4, 200, 4*time.Millisecond)
		limited.Wait, good.Retry = 3*time.Second, false
		require.Len(t, told, 7)
		stalled.Wait = told[5].Wait // random
		assert.Equal(t, []epcclogs.Attempt{busy, again, renewed, post, limited, stalled, good}, told)
		at := api.lists.Times()
		assert.Equal(t, stalled.Wait, at[3].Sub(at[2])-time.Minute)
		for i, err := range failed {
			assert.Equal(t, told[i].StatusCode != 200 || i == 5, err != nil, "attempt %d: %v", i, err)
		}
		require.ErrorIs(t, failed[4], epcclogs.ErrRateLimited)

		// The last attempt is not retried, why ever it failed.
		told, failed = nil, nil
		require.Error(t, call(ctx, c))
		require.Len(t, told, 3)
		assert.Equal(t, []int{503, 0, 200}, []int{told[0].StatusCode, told[1].StatusCode, told[2].StatusCode})
		assert.Equal(t, []bool{true, true, false}, []bool{told[0].Retry, told[1].Retry, told[2].Retry})
		assert.Empty(t, told[2].Query)
		require.ErrorIs(t, failed[1], io.ErrClosedPipe)
		require.ErrorAs(t, failed[2], new(*epcclogs.DecodeError))

		// What was not sent is no attempt.
		told = nil
		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, call(ended, c), context.Canceled)
		assert.Empty(t, told)
	})
}
