package epcclogs_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

const silenceChild = "EPCCLOGS_TEST_SILENCE"

// Without a logger nothing is written, however calls fail. go-retryablehttp binds
// os.Stderr when its package is initialised, so only a process of its own shows it.
func TestSilence(t *testing.T) {
	if os.Getenv(silenceChild) != "" {
		if err := silenceFail(t.Context()); err != nil {
			_, _ = os.Stderr.WriteString("in the child process: " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0) // before the test framework writes
	}
	self, err := os.Executable()
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestSilence$")
	child.Env = append(os.Environ(), silenceChild+"=1", "GOCOVERDIR="+t.TempDir())
	child.Stdout, child.Stderr = &stdout, &stderr
	require.NoErrorf(t, child.Run(), "%s%s", &stdout, &stderr)
	assert.Empty(t, stdout.String())
	assert.Empty(t, stderr.String())
}

// silenceFail makes calls that fail and are retried, and one that succeeds.
func silenceFail(ctx context.Context) error {
	var next http.Handler
	attempts := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempts++
		if r.Method == http.MethodPost {
			ok(`{"access_token":"fetched-token"}`).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
	c, err := epcclogs.NewClient(epcclogs.WithBaseURL(s.URL), epcclogs.WithClientCredentials("id", "secret"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3, MaxWait: time.Millisecond}))
	if err != nil {
		return err
	}
	call := func() error { _, err := c.ListIntegrations(ctx, nil); return err }
	for _, row := range []struct {
		answer   http.Handler
		attempts int
		fails    bool
	}{
		{ok(bare()), 2, false}, // with the token's
		{answer{status: http.StatusInternalServerError}, 3, true},
		{answer{status: http.StatusOK, header: map[string]string{"Content-Length": "100"}, body: `{"data":[`}, 3, true},
		{ok(`{"data":[`), 3, true},
		{ok(`{}`), 1, true},
		{answer{status: http.StatusUnauthorized}, 3, true}, // with the token's
		{answer{status: http.StatusFound, header: map[string]string{"Location": "http://%zz"}}, 1, true},
		{answer{status: http.StatusTooManyRequests}, 3, true},
	} {
		next, attempts = row.answer, 0
		if err := call(); (err != nil) != row.fails {
			return errors.Join(errors.New("not the expected outcome"), err)
		}
		if attempts != row.attempts {
			return errors.New("not the expected number of requests")
		}
	}
	s.Close()
	if call() == nil {
		return errors.New("a connection that is refused is no error")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.ListIntegrations(ended, nil); !errors.Is(err, context.Canceled) {
		return errors.Join(errors.New("not the context's error"), err)
	}
	return nil
}
