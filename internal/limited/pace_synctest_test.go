//go:build go1.25

package limited

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

var long = flag.Bool("pace.long", false, "also read lists of 20,000 pages, at 25, 60 and 100 requests a second, and two with jitter and another client")

const (
	perPage = 4                     // records that are new in a page
	latency = 80 * time.Millisecond // a quarter of it goes by before the limiter decides
)

// A listing is a list that is read, and goals for how that goes.
type listing struct {
	limiter string
	rate    float64 // requests a second that are allowed
	pages   int
	jitter  time.Duration // of the way to the limiter
	tenant  bool          // another client takes half of the limit in the middle third
	used    float64       // part of what the limiter lets through, at least
	refused float64       // part of the requests, at most
}

// A store has a list behind a limiter.
type store struct {
	listing
	start time.Time
	phase float64 // windows begin at any moment

	mu                           sync.Mutex
	decide                       Limiter
	random                       *rand.Rand
	requests, throttled          int
	tenantRequests, tenantPassed int
}

// TestPace reads lists from stores with limiters of all kinds, of which the client is
// told nothing, in virtual time.
func TestPace(t *testing.T) {
	var rows []listing
	if *long {
		rows = []listing{
			{limiter: "sliding count, 10 s", rate: 60, pages: 20_000, used: 0.92, refused: 0.013},
			{limiter: "fixed window, 1 s", rate: 60, pages: 10_000, jitter: 10 * time.Millisecond, used: 0.92, refused: 0.013},
			{limiter: "bucket of R/10", rate: 60, pages: 20_000, tenant: true, used: 0.80, refused: 0.025},
		}
	}
	for _, name := range kinds {
		rows = append(rows, listing{limiter: name, rate: 60, pages: 1000, used: 0.75, refused: 0.03})
		for _, rate := range []float64{25, 60, 100} {
			if *long {
				rows = append(rows, listing{limiter: name, rate: rate, pages: 20_000, used: 0.92, refused: 0.013})
			}
		}
	}
	for _, row := range rows {
		t.Run(fmt.Sprintf("%s/R=%v/%d pages", row.limiter, row.rate, row.pages), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{
					listing: row, start: time.Now(),
					decide: limiters[row.limiter](), random: rand.New(rand.NewPCG(1, 0)),
				}
				s.phase = 1000 + s.random.Float64()
				s.drain(t)
				took := time.Since(s.start).Seconds()
				used := float64(s.requests-s.throttled) / (constant(row.limiter, s.rate)*took - float64(s.tenantPassed))
				refused := float64(s.throttled) / float64(s.requests)
				t.Logf("%.1f %% used, %.2f %% refused", 100*used, 100*refused)
				assert.Greater(t, used, row.used, "part of the limit that was used")
				assert.Less(t, refused, row.refused, "part of the requests that were refused")
			})
		})
	}
}

// drain reads all records. Each must come once, in order.
func (s *store) drain(t *testing.T) {
	client := newClient(t, wire.Step(s.answer))
	n := max(16, int(1.6*s.rate*latency.Seconds())+1)
	next := 0
	for log, err := range client.IntegrationLogs("limited", &epcclogs.ListOptions{Limit: perPage}).Concurrent(n).All(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(next), log.ID)
		next++
	}
	require.Equal(t, s.records(), next)
}

func (s *store) records() int { return perPage * s.pages }

// allow asks the limiter now, and returns how long the response takes.
func (s *store) allow() (ok bool, rest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.start).Seconds()
	third := float64(s.pages) / s.rate * 2 / 5
	for s.tenant {
		at := third + float64(s.tenantRequests)/(s.rate/2)
		if at > min(now, 2*third) {
			break
		}
		s.tenantRequests++
		if s.decide.Allow(s.phase+at, s.rate) {
			s.tenantPassed++
		}
	}
	s.requests++
	if ok = s.decide.Allow(s.phase+now, s.rate); !ok {
		s.throttled++
	}
	return ok, time.Duration((0.45 + 0.6*s.random.Float64()) * float64(latency))
}

func (s *store) answer(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	way := latency/4 + time.Duration(s.random.Float64()*float64(s.jitter))
	s.mu.Unlock()
	time.Sleep(way)
	ok, rest := s.allow()
	if !ok {
		return wire.After(rest, wire.Reply(http.StatusTooManyRequests, "", "Retry-After", "1"))(r)
	}
	q := wire.Question{Total: s.records()}
	q.Offset, q.Limit = wire.Asked(r)
	for i := q.Offset; i < min(q.Offset+q.Limit, q.Total); i++ {
		q.Data = append(q.Data, fmt.Sprintf(`{"id":"%d"}`, i))
	}
	return wire.After(rest, wire.OK(wire.Envelopes["meta"](q)))(r)
}
