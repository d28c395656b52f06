package main

import (
	"context"
	"database/sql"
	"errors"
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
	// CREATE TABLE logs (key TEXT PRIMARY KEY, created DATETIME, job TEXT, status INTEGER, reason TEXT);
	// CREATE TABLE place (cursor TEXT); INSERT INTO place VALUES ('');
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	var cursor string
	if err := tx.QueryRowContext(ctx, "SELECT cursor FROM place").Scan(&cursor); err != nil {
		return err
	}
	pager := client.StoreLogs(nil).Resume(cursor)
	var failed error // what was read is saved all the same
	for entry, err := range pager.All(ctx) {
		if err != nil {
			failed = errors.Join(failed, err)
		} else if _, err := tx.ExecContext(ctx, "INSERT INTO logs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			entry.Key(), entry.CreatedAt(), entry.JobID(), entry.StatusCode, entry.ErrorDetail); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE place SET cursor = ?", pager.Cursor()); err != nil {
		return err
	}
	return errors.Join(failed, tx.Commit())
}

// Each night copies what is new, although the store deletes, and what one night could not read
// the next one does.
func Example_nightlyCopy() {
	in := epcclogstest.SampleIntegration(0)
	logs := epcclogstest.SampleLogs(in.ID, 900)
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
	if _, err := db.ExecContext(ctx, `CREATE TABLE logs (key TEXT PRIMARY KEY, created DATETIME, job TEXT, status INTEGER, reason TEXT);
		CREATE TABLE place (cursor TEXT); INSERT INTO place VALUES ('');`); err != nil {
		log.Fatal(err)
	}
	night := func() {
		failed := copyLogs(ctx, client, db)
		var count int
		var last time.Time
		err := db.QueryRowContext(ctx, "SELECT count(*) FROM logs").Scan(&count)
		err = errors.Join(err, db.QueryRowContext(ctx, "SELECT created FROM logs ORDER BY created DESC LIMIT 1").Scan(&last))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(failed != nil, count, last.Equal(logs[count-1].CreatedAt()))
	}

	night()
	srv.AddLogs(in.ID, logs[600:]...)
	srv.FailRequest(3, epcclogstest.Status(http.StatusBadRequest, ""))
	night()
	srv.RemoveLogs(in.ID, func(l epcclogs.IntegrationLog) bool { return l.CreatedAt().Before(logs[300].CreatedAt()) })
	night()
	// Output:
	// false 600 true
	// true 684 true
	// false 900 true
}
