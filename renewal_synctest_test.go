//go:build go1.25

package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// renewal is a client with a token of one hour that is to be renewed.
type renewal struct {
	*epcclogs.Client
	posts   *wire.Script // requests for a token, after the first one
	gets    *wire.Script
	expires time.Time // the first token
}

// startRenewal lets the time pass until the first token is in its last minute. step
// answers the requests for a token that follow.
func startRenewal(t *testing.T, step func(n int) wire.Step) *renewal {
	t.Helper()
	r := &renewal{posts: wire.Each(step), gets: wire.Steps(wire.OK(wire.Page()))}
	first := true
	c, err := epcclogs.NewClient(epcclogs.WithRateLimit(1e10), epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"),
		epcclogs.WithHTTPClient(&http.Client{Transport: wire.Step(func(req *http.Request) (*http.Response, error) {
			switch {
			case req.Method == http.MethodGet:
				return r.gets.Answer(req)
			case first:
				first = false
				return wire.OK(`{"access_token":"old-token","expires_in":3600}`)(req)
			}
			return r.posts.Answer(req)
		})}))
	require.NoError(t, err)
	r.Client, r.expires = c, time.Now().Add(time.Hour)
	require.NoError(t, call(t.Context(), c))
	time.Sleep(59 * time.Minute)
	return r
}

// call makes one call, and returns how long it took.
func (r *renewal) call(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	require.NoError(t, call(t.Context(), r.Client))
	return time.Since(start)
}

func newToken(n int) wire.Step {
	return wire.OK(fmt.Sprintf(`{"access_token":"new-token-%d","expires_in":3600}`, n))
}

// While the token endpoint fails in the last minute of a token's life, calls use
// the old token, and the endpoint is not asked by each of them.
func TestOldTokenWhileTheRenewalFails(t *testing.T) {
	for name, row := range map[string]struct {
		step  wire.Step
		posts int // in the last minute
	}{
		"unavailable":       {wire.Reply(503, "busy"), 25}, // five attempts, then ten seconds without
		"unavailable, long": {wire.Reply(503, "busy", "Retry-After", "25"), 3},
		"refused":           {wire.Reply(401, ""), 6},
		"no token":          {wire.OK(`{}`), 6},
		"broken":            {wire.Break(errors.New("wire broke")), 25},
		"stalled":           {wire.Hang, 2},
		"stalled body":      {wire.Stall(200, `{"access_token":`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startRenewal(t, func(int) wire.Step { return row.step })
				waited := time.Duration(0)
				for time.Until(r.expires) > 0 {
					took := r.call(t)
					assert.LessOrEqual(t, took, time.Second)
					waited += took
					time.Sleep(200 * time.Millisecond)
				}
				assert.LessOrEqual(t, waited, 2*time.Second, "calls hardly wait")
				for _, bearer := range r.gets.Headers("Authorization") {
					require.Equal(t, "Bearer old-token", bearer)
				}
				assert.InDelta(t, row.posts, len(r.posts.Requests()), float64(row.posts)/4)

				// Then there is none.
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				sent := len(r.gets.Requests())
				require.Error(t, call(ctx, r.Client))
				assert.Len(t, r.gets.Requests(), sent)
			})
		})
	}
}

// A token endpoint that works again renews the token: ten seconds after a fetch
// that failed, and at the end of one that is slow.
func TestRenewalThatSucceedsLate(t *testing.T) {
	for name, row := range map[string]struct {
		step func(n int) wire.Step
		from time.Duration // when the new token is used
	}{
		"refused once": {func(n int) wire.Step {
			if n == 1 {
				return wire.Reply(403, "")
			}
			return newToken(n)
		}, 10 * time.Second},
		"slow": {func(n int) wire.Step {
			return func(r *http.Request) (*http.Response, error) {
				time.Sleep(7 * time.Second)
				return newToken(n)(r)
			}
		}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startRenewal(t, row.step)
				start := time.Now()
				for time.Since(start) < row.from-100*time.Millisecond {
					r.call(t)
					assert.Equal(t, "Bearer old-token", r.gets.Last().Header.Get("Authorization"))
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(200 * time.Millisecond)
				assert.Zero(t, r.call(t))
				assert.Contains(t, r.gets.Last().Header.Get("Authorization"), "Bearer new-token")
			})
		})
	}
}

// An old token that the API refuses is not used again, although it has not expired.
func TestOldTokenThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRenewal(t, func(int) wire.Step { return wire.Reply(403, "") })
		r.call(t)
		r.gets = wire.Steps(wire.Reply(401, ""), wire.OK(wire.Page()))
		require.ErrorIs(t, call(t.Context(), r.Client), epcclogs.ErrForbidden)
		assert.Len(t, r.gets.Requests(), 1)
		require.ErrorIs(t, call(t.Context(), r.Client), epcclogs.ErrForbidden)
		assert.Len(t, r.gets.Requests(), 1)
		assert.Len(t, r.posts.Requests(), 3)
	})
}
