//go:build go1.25

package limited

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// newClient returns a client that has been told nothing of the rate.
func newClient(t *testing.T, transport http.RoundTripper, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	c, err := epcclogs.NewClient(append(opts, epcclogs.WithToken("not-a-real-token"),
		epcclogs.WithHTTPClient(&http.Client{Transport: transport}))...)
	require.NoError(t, err)
	return c
}

// call makes one call.
func call(t *testing.T, c *epcclogs.Client) error {
	t.Helper()
	_, err := c.ListStoreLogs(t.Context(), nil)
	return err
}

// refusing is an API that answers 429 as long as refuse is above 0, which it counts
// down.
type refusing struct {
	*wire.Script
	refuse int
}

func newRefusing(retryAfter string) *refusing {
	r := new(refusing)
	r.Script = wire.Each(func(int) wire.Step {
		if r.refuse > 0 {
			r.refuse--
			return wire.Reply(429, "", "Retry-After", retryAfter)
		}
		return wire.OK(wire.Page())
	})
	return r
}

// timed makes calls one after the other, and returns how long they take.
func timed(t *testing.T, c *epcclogs.Client, calls int) time.Duration {
	t.Helper()
	start := time.Now()
	for range calls {
		require.NoError(t, call(t, c))
	}
	return time.Since(start)
}

// A 429 now and then, to requests that come alone, is other clients' doing: it
// does not slow down what comes later.
func TestStrayRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := newClient(t, r)
		for range 20 {
			time.Sleep(time.Minute)
			r.refuse = 1
			assert.Equal(t, time.Second, timed(t, c, 1))
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 990*time.Millisecond, timed(t, c, 100))
	})
}

// Refused in the midst of work, again and again, the client goes slower. When
// nothing is refused any more, it comes back to its bound within half a minute.
func TestPaceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := newClient(t, r)
		for range 4 {
			timed(t, c, 10)
			r.refuse = 1
			assert.GreaterOrEqual(t, timed(t, c, 1), time.Second)
		}
		assert.Greater(t, timed(t, c, 20), time.Second)
		start := time.Now()
		for timed(t, c, 10) > 100*time.Millisecond {
			require.Less(t, time.Since(start), 30*time.Second)
		}
	})
}

// A refusal of the first request after a pause makes the next pause 1.7 times as long,
// up to 10 s, and leaves the rate as it is.
func TestPauseThatIsTooShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1.5")
		r.refuse = 5
		timed(t, newClient(t, r, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 6})), 11)
		want := []float64{1.5, 2.55, 4.335, 7.3695, 10, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01}
		times := r.Times()
		require.Len(t, times, len(want)+1)
		for i, seconds := range want {
			assert.InDelta(t, seconds, times[i+1].Sub(times[i]).Seconds(), 1e-6, i)
		}
	})
}

// As long as the API lets a request through now and then, a 429 may be caused by other
// clients, and does not count. It counts when its pause ends more than MaxWait after the
// last success.
func TestRefusalsWhileOthersGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusing("1")
		c := newClient(t, r)
		for range 3 {
			timed(t, c, 1)
			r.refuse = 8
			assert.InDelta(t, 1+1.7+2.89+4.913+8.3521+10+10+10, timed(t, c, 1).Seconds(), 0.1)
		}
		r.refuse = 100
		start := time.Now()
		err := call(t, c)
		var failed *epcclogs.APIError
		require.ErrorIs(t, err, epcclogs.ErrRateLimited)
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 6+5, failed.Attempts, "six pauses end within 30 s")
		assert.InDelta(t, 1+1.7+2.89+4.913+8.3521+10+10+10+10+10, time.Since(start).Seconds(), 0.1)
	})
}

// Others use up the first half of each second: pauses of whole seconds would meet
// nothing else, and end a call that begins there.
func TestPausesMeetOtherPartsOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := newClient(t, wire.Each(func(int) wire.Step {
			if time.Since(start)%time.Second < time.Second/2 {
				return wire.Reply(429, "", "Retry-After", "1")
			}
			return wire.OK(wire.Page())
		}))
		assert.Equal(t, 2700*time.Millisecond, timed(t, c, 1))
	})
}
