//go:build soak

// Package soak drains a list for long, from a server that fails in all its ways.
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// The full form is
//
//	go test ./internal/soak -tags soak -v -timeout 30m -soak.drains 2000
var (
	drains = flag.Int("soak.drains", 200, "drains of 1,000 records")
	seed   = flag.Uint64("soak.seed", rand.Uint64(), "seed of the faults")
	rate   = flag.Float64("soak.rate", 0.05, "faults per request")
)

// faults are all the faults of the test server, with their shares. A
// redirect does not pass, so there are few of them.
var faults = []struct {
	share int
	name  string
	fault func(r *rand.Rand) epcclogstest.Fault
}{
	{100, "CutLength", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.CutLength() }},
	{100, "CutChunk", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.CutChunk() }},
	{100, "CutJSON", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.CutJSON() }},
	{100, "Reset", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.Reset() }},
	{40, "Stall", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.Stall() }},
	{40, "StallHeader", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.StallHeader() }},
	{40, "StallStatus", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.StallStatus(500) }},
	{100, "GatewayPage", func(r *rand.Rand) epcclogstest.Fault { return epcclogstest.GatewayPage(502 + r.IntN(3)) }},
	{200, "Status", func(r *rand.Rand) epcclogstest.Fault {
		f := epcclogstest.Status([]int{408, 425, 500, 502, 503, 504, 599}[r.IntN(7)], `{"errors":[{"title":"Fault"}]}`)
		if r.IntN(2) == 0 {
			f = f.WithHeader("Retry-After", []string{"0", "0.002", "soon", "-1"}[r.IntN(4)])
		}
		return f
	}},
	// After each 429 the client goes slower for a long time: few of these, too.
	{5, "429", func(*rand.Rand) epcclogstest.Fault {
		return epcclogstest.Status(429, `{"errors":[{"title":"Too Many Requests"}]}`).WithHeader("Retry-After", "0.005")
	}},
	{50, "empty", func(*rand.Rand) epcclogstest.Fault { return epcclogstest.Status(200, "") }},
	{1, "Redirect", func(*rand.Rand) epcclogstest.Fault {
		return epcclogstest.Redirect(302, "http://127.0.0.1:9/elsewhere")
	}},
}

// dice throws faults. It is used by several requests at once.
type dice struct {
	mu     sync.Mutex
	rand   *rand.Rand
	thrown map[string]int
}

// throw returns what happens to a request, mostly nothing; sometimes it ends all
// tokens, and says what happens to the request for the next one.
func (d *dice) throw() (fault, tokenFault *epcclogstest.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rand.Float64() < *rate {
		fault = d.one()
	}
	if d.rand.IntN(500) == 0 {
		d.thrown["RevokeTokens"]++
		tokenFault = d.one()
	}
	return fault, tokenFault
}

func (d *dice) one() *epcclogstest.Fault {
	all := 0
	for _, f := range faults {
		all += f.share
	}
	n := d.rand.IntN(all)
	for _, f := range faults {
		if n -= f.share; n < 0 {
			d.thrown[f.name]++
			fault := f.fault(d.rand)
			return &fault
		}
	}
	panic("not reached")
}

// typed reports whether err is one that a caller can tell apart, and names
// the request.
func typed(err error, base string) bool {
	var apiErr *epcclogs.APIError
	var decodeErr *epcclogs.DecodeError
	var netErr net.Error
	known := errors.As(err, &apiErr) || errors.As(err, &decodeErr) || errors.As(err, &netErr) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	return known && strings.HasPrefix(err.Error(), "epcclogs: GET "+base+"/v2/integrations/"+wire.Integration+"/logs")
}

// TestSoak drains a list again and again while the server fails in all its ways.
// Nearly all drains must end with all records once, in order; the others with an
// error that tells why; and nothing may be left over.
func TestSoak(t *testing.T) {
	const total, atOnce = 1000, 4
	before := goleak.IgnoreCurrent()
	t.Logf("seed %d", *seed)

	logs := epcclogstest.SampleLogs(wire.Integration, total)
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(epcclogs.Integration{ID: wire.Integration}, logs...),
		epcclogstest.WithClientCredentials("id", "not-a-real-secret", 2*time.Second),
	)
	closeServer := sync.OnceFunc(srv.Close)
	defer closeServer()
	dice := &dice{rand: rand.New(rand.NewPCG(*seed, 0)), thrown: map[string]int{}}
	var requests atomic.Int64
	srv.OnRequest(func(int, epcclogstest.Request) {
		requests.Add(1)
		fault, tokenFault := dice.throw()
		if tokenFault != nil {
			srv.RevokeTokens()
			srv.FailToken(1, *tokenFault) // the next request for one
		}
		if fault != nil {
			srv.FailRequest(1, *fault) // the next request
		}
	})

	var open atomic.Int64
	transport := &http.Transport{
		MaxIdleConnsPerHost: atOnce,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			open.Add(1)
			return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { open.Add(-1) })}, nil
		},
	}
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithClientCredentials("id", "not-a-real-secret"),
		epcclogs.WithHTTPClient(&http.Client{Transport: transport}),
		epcclogs.WithTimeout(300*time.Millisecond),
		epcclogs.WithRateLimit(1e6), // more than it can send
		epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: 2 * time.Millisecond, MaxWait: 20 * time.Millisecond}),
	)
	require.NoError(t, err)

	want := make([]string, total)
	for i, l := range logs {
		want[i] = l.ID + l.CreatedAt().String()
	}
	results := make(chan error)
	numbers := make(chan int)
	for range atOnce {
		go func() {
			for n := range numbers {
				pager := client.IntegrationLogs(wire.Integration, nil)
				if n%2 == 1 {
					pager.Concurrent(4)
				}
				results <- drain(t.Context(), pager, want)
			}
		}()
	}
	go func() {
		defer close(numbers)
		for n := range *drains {
			numbers <- n
		}
	}()

	whole := 0
	causes := map[string]int{}
	for range *drains {
		switch err := <-results; {
		case err == nil:
			whole++
		case errors.Is(err, errWrong):
			t.Error(err)
		default:
			causes[fmt.Sprintf("%T %v", err, err)]++
			assert.True(t, typed(err, srv.URL), "%T %v", err, err)
		}
	}
	t.Logf("%d of %d drains whole; %d API requests", whole, *drains, requests.Load())
	t.Logf("faults: %v", dice.thrown)
	for cause, times := range causes {
		t.Logf("%d times: %s", times, cause)
	}
	assert.GreaterOrEqual(t, float64(whole), 0.99*float64(*drains))
	require.Greater(t, requests.Load(), int64(*drains*total/100))

	transport.CloseIdleConnections()
	closeServer()
	goleak.VerifyNone(t, before)
	assert.Zero(t, open.Load(), "connections left open")
}

var errWrong = errors.New("wrong records")

// drain returns why the drain did not end with the wanted records.
func drain(ctx context.Context, pager *epcclogs.Pager[epcclogs.IntegrationLog], want []string) error {
	var got []string
	for l, err := range pager.All(ctx) {
		if err != nil {
			if !slices.Equal(got, want[:len(got)]) {
				return fmt.Errorf("%w before %w", errWrong, err)
			}
			return err
		}
		got = append(got, l.ID+l.CreatedAt().String())
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: %d of them", errWrong, len(got))
	}
	return nil
}

// countedConn is counted until it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
