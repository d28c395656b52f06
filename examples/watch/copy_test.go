package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// copyLogs is a recipe of the README.md of package epcclogs, which cannot run it: that has no
// database.
func copyLogs(ctx context.Context, client *epcclogs.Client, db *sql.DB) error {
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil) // the end of ctx does not undo what was read
	if err != nil {
		return err
	}
	_, failed := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS logs (key TEXT PRIMARY KEY, created TEXT, integration TEXT, status INTEGER, reason TEXT)")
	for entry, err := range client.StoreLogs(nil).All(ctx) {
		if err == nil {
			_, err = tx.ExecContext(ctx, "REPLACE INTO logs VALUES (?, ?, ?, ?, ?)", entry.Key(), entry.CreatedAt().UTC().Format(time.RFC3339Nano), entry.IntegrationID(), entry.StatusCode, entry.ErrorDetail)
		}
		failed = cmp.Or(failed, err) // the first error; what was read is saved all the same
	}
	return cmp.Or(failed, tx.Commit())
}

// Each night copies what is new, although the store deletes. What one night could not read the
// next one does.
func Example_nightlyCopy() {
	in := epcclogstest.SampleIntegration(0)
	logs := make([]epcclogs.IntegrationLog, 900)
	first := time.Now().UTC().Add(-24 * time.Hour)
	for i := range logs {
		logs[i] = epcclogstest.Log(in.ID, fmt.Sprint("job-", i), 1, first.Add(time.Duration(i)*time.Minute))
	}
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(in, logs[:600]...))
	defer srv.Close()
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // each has a memory of its own
	night := func() {
		failed := copyLogs(ctx, client, db)
		var count int
		if err := db.QueryRowContext(ctx, "SELECT count(datetime(created)) FROM logs").Scan(&count); err != nil {
			log.Fatal(err)
		}
		fmt.Println(count, failed != nil)
	}

	night()
	srv.AddLogs(in.ID, logs[600:]...)
	srv.RemoveLogs(in.ID, func(l epcclogs.IntegrationLog) bool { return l.CreatedAt().Before(logs[300].CreatedAt()) })
	srv.FailRequest(6, epcclogstest.Status(http.StatusForbidden, ""))
	night()
	night()
	// Output:
	// 600 false
	// 796 true
	// 900 false
}
