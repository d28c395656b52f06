package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// The recipes of README.md, word for word: TestREADME compares them.

// runRecipe runs a recipe in an empty directory, for a store with three logs of two
// events, of which the second is not delivered, and once more for what the first run
// left. log/slog writes errors to standard output.
func runRecipe(timeout time.Duration, recipe func(ctx context.Context, client *epcclogs.Client) error) {
	at := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	failed, passed, lost := epcclogstest.Log("hook", "job-1", 1, at), epcclogstest.Log("hook", "job-1", 2, at.Add(time.Minute)),
		epcclogstest.Log("hook", "job-2", 1, at.Add(2*time.Minute))
	failed.Succeeded, failed.StatusCode, failed.ErrorDetail = false, 0, "connection refused"
	lost.Succeeded, lost.StatusCode, lost.ErrorDetail = false, 503, "The webhook answered 503"
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
		Level: slog.LevelError,
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

func Example_list() {
	runRecipe(time.Minute, func(ctx context.Context, client *epcclogs.Client) error {
		for entry, err := range client.StoreLogs(nil).Concurrent(8).All(ctx) {
			if err != nil {
				return err
			}
			fmt.Println(entry.IntegrationID(), entry.JobID(), entry.Attempt, entry.Succeeded)
		}
		return nil
	})
	// Output:
	// hook job-1 1 false
	// hook job-1 2 true
	// hook job-2 1 false
	// hook job-1 1 false
	// hook job-1 2 true
	// hook job-2 1 false
}

func Example_newSinceTheLastRun() {
	runRecipe(time.Minute, func(ctx context.Context, client *epcclogs.Client) error {
		cursor, err := os.ReadFile("cursor.txt")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		pager := client.StoreLogs(nil).Resume(string(cursor)) // an empty cursor is the beginning
		for entry, err := range pager.All(ctx) {
			if err != nil {
				return err
			}
			fmt.Println(entry.Key(), entry.CreatedAt(), entry.Succeeded)
		}
		return os.WriteFile("cursor.txt", []byte(pager.Cursor()), 0o600)
	})
	// Output:
	// 555162c5feeb1817ab0341b61056db10 2026-05-01 12:00:00 +0000 UTC false
	// 15cc889678515508f7fc30b27e48bc55 2026-05-01 12:01:00 +0000 UTC true
	// 7f74a16ea0ffe4e4ef45a104d647fcc2 2026-05-01 12:02:00 +0000 UTC false
}

func Example_followAndAlert() {
	runRecipe(time.Second, func(ctx context.Context, client *epcclogs.Client) error {
		for entry, err := range client.StoreLogs(nil).Follow(ctx, 30*time.Second) {
			if err != nil {
				slog.Warn("reading the logs failed", "error", err)
				continue // Follow tries again after the interval, unless ctx has ended
			}
			if !entry.Succeeded {
				slog.Error("delivery failed", "job", entry.JobID(), "attempt", entry.Attempt, "reason", entry.ErrorDetail)
			}
		}
		return nil
	})
	// Output:
	// level=ERROR msg="delivery failed" job=job-1 attempt=1 reason="connection refused"
	// level=ERROR msg="delivery failed" job=job-2 attempt=1 reason="The webhook answered 503"
	// level=ERROR msg="delivery failed" job=job-1 attempt=1 reason="connection refused"
	// level=ERROR msg="delivery failed" job=job-2 attempt=1 reason="The webhook answered 503"
}

func Example_undelivered() {
	runRecipe(time.Minute, func(ctx context.Context, client *epcclogs.Client) error {
		last := make(map[string]epcclogs.IntegrationLog) // by job
		for entry, err := range client.StoreLogs(nil).All(ctx) {
			if err != nil {
				return err
			}
			if entry.Attempt >= last[entry.JobID()].Attempt {
				last[entry.JobID()] = entry
			}
		}
		for job, entry := range last {
			if !entry.Succeeded {
				fmt.Println(job, entry.IntegrationID(), entry.Attempt, "attempts:", entry.ErrorDetail)
			}
		}
		return nil
	})
	// Output:
	// job-2 hook 1 attempts: The webhook answered 503
	// job-2 hook 1 attempts: The webhook answered 503
}

func TestListing(t *testing.T) {
	srv := epcclogstest.NewServer() // three integrations of 250 logs each
	defer srv.Close()
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	srv.Fail(1, epcclogstest.CutLength()) // the first response ends early, so the request is sent again
	page, err := client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Limit: 10})
	if err != nil || len(page.Data) != 10 {
		t.Error(page, err)
	}
}
