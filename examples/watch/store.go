package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	_ "modernc.org/sqlite"             // SQLite, without cgo

	"github.com/epcclogs/epcclogs"
)

// store is the database. All times in it are microseconds since 1970, so that
// SQLite and PostgreSQL run the same SQL; rows is where the two differ.
type store struct {
	db   *sql.DB
	rows string // a FROM item: the elements of the JSON array $1, as r.value
}

// schema is safe to run again.
var schema = []string{
	// What was read: one row for each attempt to deliver an event.
	`CREATE TABLE IF NOT EXISTS logs (
		key         TEXT PRIMARY KEY, -- IntegrationLog.Key
		id          TEXT NOT NULL,
		integration TEXT NOT NULL,
		job         TEXT NOT NULL,
		attempt     BIGINT NOT NULL,
		succeeded   BOOLEAN NOT NULL,
		status      BIGINT NOT NULL, -- 0: no answer
		reason      TEXT NOT NULL,
		body        TEXT NOT NULL,
		processing  BIGINT NOT NULL, -- microseconds; 0: not sent
		created_at  BIGINT NOT NULL  -- when it was read, if the API did not say
	)`,
	// The page reads nothing but this index to count.
	`CREATE INDEX IF NOT EXISTS logs_counted ON logs (created_at, integration, succeeded, status, processing)`,
	// One row for each event, with its last attempt.
	`CREATE TABLE IF NOT EXISTS events (
		integration TEXT NOT NULL,
		job         TEXT NOT NULL,
		attempt     BIGINT NOT NULL,
		succeeded   BOOLEAN NOT NULL,
		key         TEXT NOT NULL,   -- of the last attempt, in logs
		last_at     BIGINT NOT NULL, -- when that was made
		seen_at     BIGINT NOT NULL, -- when that was read
		alerted     BOOLEAN NOT NULL DEFAULT FALSE,
		PRIMARY KEY (integration, job)
	)`,
	`CREATE INDEX IF NOT EXISTS events_undelivered ON events (last_at) WHERE NOT succeeded`,
	`CREATE INDEX IF NOT EXISTS events_to_alert ON events (seen_at) WHERE NOT succeeded AND NOT alerted`,
	// The outbox: see alert.go.
	`CREATE TABLE IF NOT EXISTS alerts (
		integration TEXT NOT NULL,
		job         TEXT NOT NULL,
		key         TEXT NOT NULL, -- the Idempotency-Key
		payload     TEXT NOT NULL,
		created_at  BIGINT NOT NULL,
		tries       BIGINT NOT NULL DEFAULT 0,
		next_at     BIGINT NOT NULL,
		sent_at     BIGINT,
		error       TEXT NOT NULL DEFAULT '', -- of the last try
		PRIMARY KEY (integration, job)
	)`,
	`CREATE INDEX IF NOT EXISTS alerts_waiting ON alerts (next_at) WHERE sent_at IS NULL`,
	`CREATE TABLE IF NOT EXISTS integrations (
		id   TEXT PRIMARY KEY,
		name TEXT NOT NULL
	)`,
	// How far each list was read: see type place.
	`CREATE TABLE IF NOT EXISTS lists (
		list    TEXT PRIMARY KEY,
		cursor  TEXT NOT NULL,
		read_at BIGINT NOT NULL
	)`,
}

// openStore opens the database at a postgres:// URL, or else the SQLite file of
// that name, and makes what it lacks.
func openStore(ctx context.Context, location string) (*store, error) {
	s := &store{rows: "json_each($1) AS r"}
	var err error
	if isPostgres(location) {
		s.rows = "jsonb_array_elements($1::jsonb) AS r (value)"
		s.db, err = sql.Open("pgx", location)
	} else {
		s.db, err = openSQLite(location)
	}
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s.db.SetMaxOpenConns(8)
	s.db.SetMaxIdleConns(8)
	if err := s.write(ctx, func(tx *sql.Tx) error {
		for _, statement := range schema {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the database: %w", err), s.db.Close())
	}
	return s, nil
}

func isPostgres(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}

// openSQLite opens a file that only its owner can read: bodies of deliveries may
// hold personal data. Files that SQLite puts beside it get the same permissions.
func openSQLite(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return nil, err
	}
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			"journal_mode(WAL)",   // the page is read while records are written
			"synchronous(NORMAL)", // a power cut may take back the last batches, records and cursor alike
			"busy_timeout(10000)",
			"wal_autocheckpoint(16384)", // 64 MiB: a page that many batches change is written back once
			"cache_size(-65536)",        // 64 MiB
		},
	}
	location := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: settings.Encode()}
	return sql.Open("sqlite", location.String())
}

func (s *store) close() error { return s.db.Close() }

// write runs f in a transaction.
func (s *store) write(ctx context.Context, f func(*sql.Tx) error) error {
	return s.transact(ctx, nil, f)
}

// read runs f in a transaction that sees one state of the database.
func (s *store) read(ctx context.Context, f func(*sql.Tx) error) error {
	return s.transact(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, f)
}

func (s *store) transact(ctx context.Context, opts *sql.TxOptions, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// logRow and eventRow are how rows travel to the database: as a JSON array, which
// is one statement for a whole batch.
type logRow struct {
	Key         string `json:"key"`
	ID          string `json:"id"`
	Integration string `json:"integration"`
	Job         string `json:"job"`
	Attempt     int    `json:"attempt"`
	Succeeded   bool   `json:"succeeded"`
	Status      int    `json:"status"`
	Reason      string `json:"reason"`
	Body        string `json:"body"`
	Processing  int64  `json:"processing"`
	CreatedAt   int64  `json:"created_at"`
}

const insertLogs = `
	INSERT INTO logs (key, id, integration, job, attempt, succeeded, status, reason, body, processing, created_at)
	SELECT r.value->>'key', r.value->>'id', r.value->>'integration', r.value->>'job',
		CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'succeeded' AS BOOLEAN), CAST(r.value->>'status' AS BIGINT),
		r.value->>'reason', r.value->>'body',
		CAST(r.value->>'processing' AS BIGINT), CAST(r.value->>'created_at' AS BIGINT)
	FROM %s WHERE TRUE
	ON CONFLICT (key) DO NOTHING`

// Attempts come in any order: the highest number is the last, then the latest.
const upsertEvents = `
	INSERT INTO events (integration, job, attempt, succeeded, key, last_at, seen_at)
	SELECT r.value->>'integration', r.value->>'job',
		CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'succeeded' AS BOOLEAN), r.value->>'key',
		CAST(r.value->>'created_at' AS BIGINT), CAST($2 AS BIGINT)
	FROM %s WHERE TRUE
	ON CONFLICT (integration, job) DO UPDATE SET
		attempt = excluded.attempt, succeeded = excluded.succeeded, key = excluded.key,
		last_at = excluded.last_at, seen_at = excluded.seen_at
	WHERE (excluded.attempt, excluded.last_at, excluded.key) > (events.attempt, events.last_at, events.key)`

// place is how far a list is in the database. Its zero value is that of a list that
// was never read.
type place struct {
	cursor   string
	caughtUp time.Time // all that was in the list then is in the database
}

// save stores records together with the place behind them, so that neither is
// there without the other. Records that are there already stay as they are.
func (s *store) save(ctx context.Context, list string, logs []epcclogs.IntegrationLog, p place, now time.Time) error {
	rows := make([]logRow, len(logs))
	last := make(map[[2]string]int, len(logs)) // the last attempt of each event in the batch
	for i, l := range logs {
		rows[i] = newLogRow(l, now)
		event := [2]string{rows[i].Integration, rows[i].Job}
		if j, ok := last[event]; !ok || rows[i].after(rows[j]) {
			last[event] = i
		}
	}
	events := make([]logRow, 0, len(last))
	for i, r := range rows {
		if last[[2]string{r.Integration, r.Job}] == i {
			r.ID, r.Reason, r.Body = "", "", ""
			events = append(events, r)
		}
	}
	logsJSON, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	eventsJSON, err := json.Marshal(events)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(insertLogs, s.rows), string(logsJSON)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(upsertEvents, s.rows), string(eventsJSON), now.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO lists (list, cursor, read_at) VALUES ($1, $2, $3)
			ON CONFLICT (list) DO UPDATE SET cursor = excluded.cursor, read_at = excluded.read_at`,
			list, p.cursor, toMicros(p.caughtUp))
		return err
	})
}

func newLogRow(l epcclogs.IntegrationLog, now time.Time) logRow {
	created := l.CreatedAt()
	if created.IsZero() {
		created = now
	}
	key := l.Key()
	return logRow{
		Key:         key,
		ID:          text(l.ID),
		Integration: text(l.IntegrationID()),
		Job:         cmp.Or(text(l.JobID()), key), // without a job, a record is an event of its own
		Attempt:     l.Attempt,
		Succeeded:   l.Succeeded,
		Status:      l.StatusCode,
		Reason:      text(l.ErrorDetail),
		Body:        text(l.Body),
		Processing:  int64(l.ProcessingTime*1e6 + 0.5),
		CreatedAt:   created.UnixMicro(),
	}
}

// after says of two attempts to deliver an event which one was the last.
func (r logRow) after(o logRow) bool {
	return cmp.Or(cmp.Compare(r.Attempt, o.Attempt), cmp.Compare(r.CreatedAt, o.CreatedAt), cmp.Compare(r.Key, o.Key)) > 0
}

// text replaces the one character that PostgreSQL cannot store.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// forget deletes attempts from before a time, the oldest first and up to limit, and
// with the last attempt of an event the event and its alert. It reports whether more
// may be left.
func (s *store) forget(ctx context.Context, before time.Time, limit int64) (more bool, err error) {
	const old = `WITH old AS (
		SELECT key, integration, job FROM logs WHERE created_at < $1 ORDER BY created_at, key LIMIT $2) `
	var n int64
	err = s.write(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{
			`DELETE FROM events WHERE (integration, job, key) IN (SELECT integration, job, key FROM old)`,
			`DELETE FROM alerts WHERE (integration, job) IN (SELECT integration, job FROM old)
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.integration = alerts.integration AND e.job = alerts.job)`,
			`DELETE FROM logs WHERE key IN (SELECT key FROM old)`,
		} {
			result, err := tx.ExecContext(ctx, old+statement, before.UnixMicro(), limit)
			if err != nil {
				return err
			}
			if n, err = result.RowsAffected(); err != nil {
				return err
			}
		}
		return nil
	})
	return n == limit, err
}

// place returns how far a list is in the database.
func (s *store) place(ctx context.Context, list string) (p place, err error) {
	var at int64
	err = s.db.QueryRowContext(ctx, `SELECT cursor, read_at FROM lists WHERE list = $1`, list).Scan(&p.cursor, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return place{}, nil
	}
	p.caughtUp = fromMicros(at)
	return p, err
}

// saveIntegrations keeps the names; those of integrations that are gone stay.
func (s *store) saveIntegrations(ctx context.Context, all []epcclogs.Integration) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, in := range all {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO integrations (id, name) VALUES ($1, $2)
				ON CONFLICT (id) DO UPDATE SET name = excluded.name`, text(in.ID), text(in.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// toMicros returns 0 for the zero time.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros returns the zero time for 0.
func fromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
