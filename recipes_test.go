package epcclogs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// The recipes of README.md, word for word: TestREADME compares them.

// runRecipe runs a recipe in an empty directory, for a store with three logs of two
// events, of which the second is not delivered, and once more for what the first run
// left. log/slog writes warnings and errors to standard output.
func runRecipe(timeout time.Duration, recipe func(ctx context.Context, client *epcclogs.Client) error) {
	at := time.Now().UTC().Add(-time.Hour)
	failed, passed, lost := epcclogstest.Log("hook", "job-1", 1, at), epcclogstest.Log("hook", "job-1", 2, at.Add(time.Minute)),
		epcclogstest.Log("hook", "job-2", 1, at.Add(2*time.Minute))
	failed.Succeeded, failed.StatusCode, failed.ErrorDetail = false, 0, "connection refused"
	lost.Succeeded, lost.StatusCode, lost.ErrorDetail, lost.Body = false, 503, "The webhook answered 503", "overloaded"
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogs.Integration{ID: "hook"}, failed, passed, lost))
	defer srv.Close()
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	dir, err := os.MkdirTemp("", "recipe")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	before, err := os.Getwd()
	if err == nil {
		err = os.Chdir(dir)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.Chdir(before) }()

	logger := slog.Default()
	defer slog.SetDefault(logger)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		if err := recipe(ctx, client); err != nil {
			fmt.Println(err)
		}
		cancel()
	}
}

// alert is the recipe for new failures.
func alert(ctx context.Context, client *epcclogs.Client) error {
	cursor, err := os.ReadFile("cursor.txt")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	pager := client.StoreLogs(nil).Since(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)).Resume(string(cursor))
	for entry, err := range pager.Follow(ctx, 30*time.Second) {
		switch {
		case ctx.Err() != nil:
			return nil // the service was told to stop
		case errors.Is(err, epcclogs.ErrInvalidArgument), errors.Is(err, epcclogs.ErrUnauthorized), errors.Is(err, epcclogs.ErrForbidden):
			return err // waiting does not help
		case err != nil:
			slog.Warn("reading the logs failed; Follow goes on", "error", err)
		case !entry.Succeeded:
			slog.Error("delivery failed", "job", entry.JobID(), "attempt", entry.Attempt, "reason", entry.ErrorDetail)
		}
		if err := os.WriteFile("cursor.new", []byte(pager.Cursor()), 0o600); err != nil {
			return err
		}
		if err := os.Rename("cursor.new", "cursor.txt"); err != nil { // so that the file is never half written
			return err
		}
	}
	return nil
}

func Example_newFailures() {
	runRecipe(time.Second, alert)
	// Output:
	// level=ERROR msg="delivery failed" job=job-1 attempt=1 reason="connection refused"
	// level=ERROR msg="delivery failed" job=job-2 attempt=1 reason="The webhook answered 503"
}

// The recipe ends with what no waiting mends, and keeps a cursor that is refused.
func TestAlertEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	srv := epcclogstest.NewServer()
	t.Cleanup(srv.Close)
	client := newClient(t, srv.URL, epcclogs.WithToken("not-a-real-token"))
	for status, want := range map[int]error{401: epcclogs.ErrUnauthorized, 403: epcclogs.ErrForbidden} {
		srv.Fail(1, epcclogstest.Status(status, ""))
		require.ErrorIs(t, alert(t.Context(), client), want)
	}
	require.NoError(t, os.WriteFile("cursor.txt", []byte("damaged"), 0o600))
	require.ErrorIs(t, alert(t.Context(), client), epcclogs.ErrInvalidArgument)
	saved, err := os.ReadFile("cursor.txt")
	require.NoError(t, err)
	assert.Equal(t, "damaged", string(saved))
}

func Example_undelivered() {
	runRecipe(time.Minute, func(ctx context.Context, client *epcclogs.Client) error {
		last := make(map[string]epcclogs.IntegrationLog) // by job
		for entry, err := range client.StoreLogs(nil).Since(time.Now().AddDate(0, 0, -7)).All(ctx) {
			if err != nil {
				return err
			}
			job := cmp.Or(entry.JobID(), entry.Key()) // a log without a job is one of its own
			if entry.Attempt >= last[job].Attempt {
				last[job] = entry
			}
		}
		inTime := func(a, b epcclogs.IntegrationLog) int { return a.CreatedAt().Compare(b.CreatedAt()) }
		for _, entry := range slices.SortedFunc(maps.Values(last), inTime) {
			if !entry.Succeeded {
				fmt.Printf("%s %s: attempt %d, status %d, %q %q\n", entry.IntegrationID(), entry.JobID(), entry.Attempt, entry.StatusCode, entry.ErrorDetail, entry.Body)
			}
		}
		return nil
	})
	// Output:
	// hook job-2: attempt 1, status 503, "The webhook answered 503" "overloaded"
	// hook job-2: attempt 1, status 503, "The webhook answered 503" "overloaded"
}

// attempts is the recipe for a handler.
func attempts(client *epcclogs.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		page, err := client.ListJobLogs(ctx, r.PathValue("integration"), r.PathValue("job"), &epcclogs.ListOptions{Limit: 100})
		switch {
		case errors.Is(err, epcclogs.ErrNotFound), errors.Is(err, epcclogs.ErrInvalidArgument):
			http.NotFound(w, r)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // or the browser has left
			http.Error(w, "the store takes too long", http.StatusGatewayTimeout)
		case err != nil:
			slog.Error("the store cannot be read", "error", err)
			http.Error(w, "the store cannot be read", http.StatusBadGateway)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(page.Data)
		}
	}
}

func Example_handler() {
	entry := epcclogstest.Log("hook", "job-1", 1, time.Now().UTC())
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogs.Integration{ID: "hook"}, entry))
	defer srv.Close()
	client := exampleClientOf(srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: time.Millisecond}))
	defer client.CloseIdleConnections()
	mux := http.NewServeMux()
	mux.Handle("/{integration}/{job}", attempts(client))
	ask := func(path string) {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond) // the two seconds are not waited for
		defer cancel()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		fmt.Println(path, w.Code, strings.Contains(w.Body.String(), entry.ID))
	}
	ask("/hook/job-1")
	ask("/hook/job-2")
	ask("/hook/no,id")
	srv.Fail(5, epcclogstest.ServerError()) // all attempts of a call
	ask("/hook/job-1")
	srv.Fail(1, epcclogstest.StallHeader())
	ask("/hook/job-1")
	// Output:
	// /hook/job-1 200 true
	// /hook/job-2 404 false
	// /hook/no,id 404 false
	// /hook/job-1 502 false
	// /hook/job-1 504 false
}

func TestFaults(t *testing.T) {
	srv := epcclogstest.NewServer() // three integrations of 250 logs each
	defer srv.Close()
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: 10 * time.Millisecond})) // 30 s by default
	if err != nil {
		t.Fatal(err)
	}
	for fault, want := range map[epcclogstest.Fault]error{
		epcclogstest.RateLimited(0):                      nil, // 429, which is retried
		epcclogstest.CutLength():                         nil, // a response that ends early: retried
		epcclogstest.Status(http.StatusUnauthorized, ""): epcclogs.ErrUnauthorized,
		epcclogstest.NotFound():                          epcclogs.ErrNotFound,
	} {
		srv.Fail(1, fault)
		if _, err := client.ListStoreLogs(t.Context(), nil); !errors.Is(err, want) {
			t.Errorf("%v: %v", fault, err)
		}
	}
}
