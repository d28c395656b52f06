package bench

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/movinglist"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// BenchmarkRequests tells how many requests it takes to read a list that changes, and one
// that does not. Only requests/op is of interest.
func BenchmarkRequests(b *testing.B) {
	const oldestFirst, newestFirst = false, true
	once := func(change func(*movinglist.List)) func(*movinglist.List) {
		return func(l *movinglist.List) {
			if l.Requests == 5 {
				change(l)
			}
		}
	}
	for _, tt := range []struct {
		change string
		newest bool
		apply  func(*movinglist.List) // before each request but the first
	}{
		{"nothing", oldestFirst, func(*movinglist.List) {}},
		{"5 arrive in front", newestFirst, func(l *movinglist.List) { l.Add(5) }},
		{"3 expire in front", oldestFirst, func(l *movinglist.List) { l.Expire(3) }},
		{"5 expire in front and 5 arrive", oldestFirst, func(l *movinglist.List) { l.Expire(5); l.Add(5) }},
		{"2 deleted in the middle", oldestFirst, func(l *movinglist.List) {
			l.Delete(len(l.Now) / 30 * (l.Requests % 30))
			l.Delete(len(l.Now) / 2)
		}},
		{"130 arrive in front once", newestFirst, once(func(l *movinglist.List) { l.Add(130) })},
		{"130 expire in front once", oldestFirst, once(func(l *movinglist.List) { l.Expire(130) })},
	} {
		for _, envelope := range []string{"meta", "links"} {
			for _, n := range []int{1, 4} {
				b.Run(fmt.Sprintf("change=%s/%s/n=%d", tt.change, envelope, n), func(b *testing.B) {
					requests := 0
					for range b.N {
						l := movinglist.New(movinglist.Shape{Envelope: envelope, NewestFirst: tt.newest}, 1500)
						l.Answer = func(int, int) wire.Step {
							if l.Requests > 0 {
								tt.apply(l)
							}
							return nil
						}
						requests += drainMoving(b, l, n)
					}
					b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
				})
			}
		}
	}
	for _, envelope := range movinglist.Envelopes {
		b.Run("records=10000/"+envelope+"/n=1", func(b *testing.B) {
			requests := 0
			for range b.N {
				requests += drainMoving(b, movinglist.New(movinglist.Shape{Envelope: envelope}, 10_000), 1)
			}
			b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
		})
	}
}

// drainMoving reads the list, and returns how many requests that took. Each record that
// stayed must come once.
func drainMoving(b *testing.B, l *movinglist.List, n int) int {
	b.Helper()
	came := map[int]int{}
	for log, err := range clientOf(b, l).IntegrationLogs(wire.Integration, nil).Concurrent(n).All(b.Context()) {
		require.NoError(b, err)
		number, err := strconv.Atoi(log.Body)
		require.NoError(b, err)
		came[number]++
		require.Equal(b, 1, came[number], "record %d", number)
	}
	for _, r := range l.Now {
		require.True(b, r.Born > 0 || came[r.N] == 1, "record %d is missing", r.N)
	}
	return l.Requests
}

func clientOf(t testing.TB, l *movinglist.List) *epcclogs.Client {
	t.Helper()
	c, err := epcclogs.NewClient(epcclogs.WithToken(token), epcclogs.WithRateLimit(1e6),
		epcclogs.WithBaseURL("https://api.example.com"), epcclogs.WithHTTPClient(&http.Client{Transport: l}))
	require.NoError(t, err)
	return c
}
