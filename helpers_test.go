package epcclogs_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// TestMain fails when goroutines outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	integration = wire.Integration

	// marker stands in arguments and answers for what must be shown nowhere.
	marker = "hunter2-hunter2"
)

// done is the answer to a request that succeeds.
var done = wire.OK(wire.Page(wire.Record(1)))

// noContext is what a caller passes by mistake.
var noContext context.Context

// quick is a policy that retries without a noticeable wait.
var quick = epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3, MinWait: time.Millisecond, MaxWait: time.Millisecond})

// newClient returns a client of the server that no rate limit slows down: the
// time between two requests is less than a nanosecond.
func newClient(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithBaseURL(url), epcclogs.WithRateLimit(1e10), quick}, opts...)
	c, err := epcclogs.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// clientOf returns a client whose requests the transport answers.
func clientOf(t testing.TB, transport http.RoundTripper, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	return newClient(t, "https://api.example.com", append([]epcclogs.Option{over(transport)}, opts...)...)
}

func over(transport http.RoundTripper) epcclogs.Option {
	return epcclogs.WithHTTPClient(&http.Client{Transport: transport})
}

// call makes one call, GET /v2/integrations.
func call(ctx context.Context, c *epcclogs.Client) error {
	_, err := c.ListIntegrations(ctx, nil)
	return err
}

// begin starts a call, and returns where its error arrives.
func begin(ctx context.Context, c *epcclogs.Client) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- call(ctx, c) }()
	return ended
}

// as returns the error of that type in the chain of err.
func as[E error](t testing.TB, err error) (e E) {
	t.Helper()
	require.ErrorAs(t, err, &e)
	return e
}

// exhaust drains a pager.
func exhaust[T any](ctx context.Context, p *epcclogs.Pager[T]) error {
	for _, err := range p.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// seeds adds the responses in testdata whose names match one of the patterns,
// whole and cut.
func seeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", pattern))
		require.NoError(f, err)
		require.NotEmpty(f, names)
		for _, name := range names {
			body := wire.Fixture(f, filepath.Base(name))
			f.Add([]byte(body))
			f.Add([]byte(body[:len(body)/2]))
		}
	}
}
