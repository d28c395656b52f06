package main

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	_ "modernc.org/sqlite"             // SQLite, without cgo

	"github.com/epcclogs/epcclogs"
)

const (
	queryTimeout = 30 * time.Second // of a transaction: a connection can go silent
	connections  = 4
)

// dialect is where the databases differ. All times are microseconds since 1970, and
// rows travel as JSON arrays, so that they run the same SQL.
type dialect struct {
	driver string
	schema string
	rows   string // a FROM item: the elements of the JSON array $1, as r.value
	lock   string // begins a transaction that writes; one at a time can
	old    string // is 1 if an older release made the database, which did not write its store down
	now    string // the time of the database, which all processes share
}

//go:embed sqlite.sql
var sqliteSchema string

//go:embed postgres.sql
var postgresSchema string

// sqlite takes its lock with BEGIN IMMEDIATE, and the time from this machine.
var sqlite = dialect{
	driver: "sqlite",
	schema: sqliteSchema,
	rows:   "json_each($1) AS r",
	old:    `SELECT SUM(CASE name WHEN 'lists' THEN 1 ELSE -1 END) FROM sqlite_master WHERE name IN ('lists', 'watch')`,
}

// The server gives the lock back when the program goes silent.
var postgres = dialect{
	driver: "pgx",
	schema: postgresSchema,
	rows:   "jsonb_array_elements($1::jsonb) AS r (value)",
	lock:   `SELECT set_config('idle_in_transaction_session_timeout', '60s', TRUE), pg_advisory_xact_lock(7239043)`,
	old: `SELECT SUM(CASE tablename WHEN 'lists' THEN 1 ELSE -1 END) FROM pg_tables
		WHERE tablename IN ('lists', 'watch') AND schemaname = current_schema()`,
	now: `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`,
}

// store is the database.
type store struct {
	dialect
	db      *sql.DB
	timeout time.Duration
	clock   func() time.Time // for tests
}

// openStore opens the database at a postgres:// URL, or else the SQLite file of that
// name, and makes what it lacks. The database of another store is refused, unless
// adopt says that it is the same one.
func openStore(ctx context.Context, location, identity string, adopt bool) (*store, error) {
	s, err := connect(location)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := s.write(ctx, func(t tx) error { return t.setUp(identity, adopt) }); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the database: %w", err), s.db.Close())
	}
	return s, nil
}

func connect(location string) (s *store, err error) {
	s = &store{dialect: sqlite, timeout: queryTimeout}
	if isPostgres(location) {
		s.dialect = postgres
	} else if location, err = prepareFile(location); err != nil {
		return nil, err
	}
	if s.db, err = sql.Open(s.driver, location); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(connections)
	s.db.SetMaxIdleConns(connections)
	return s, nil
}

func (t tx) setUp(identity string, adopt bool) error {
	var old sql.NullInt64
	if err := t.get(t.old, nil, &old); err != nil {
		return err
	}
	if old.Int64 > 0 {
		return errors.New("an older release made it, and did not keep what this one shows: use a new one")
	}
	for statement := range strings.SplitSeq(strings.TrimSuffix(t.schema, ";\n"), ";\n") {
		if _, err := t.exec(statement); err != nil {
			return err
		}
	}
	var named int
	var found string
	if err := t.get(`SELECT COUNT(*), COALESCE(MAX(store), '') FROM watch`, nil, &named, &found); err != nil {
		return err
	}
	switch {
	case named == 0:
		_, err := t.exec(`INSERT INTO watch (store) VALUES ($1)`, identity)
		return err
	case found == identity:
		return nil
	case adopt:
		_, err := t.exec(`UPDATE watch SET store = $1`, identity)
		return err
	}
	return fmt.Errorf("it is that of another store: of %s, not of %s; "+
		"use another one, or add -adopt if the store is the same and only its key or its URL is new", found, identity)
}

func isPostgres(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}

// prepareFile makes a file that only its owner can read, for bodies of deliveries may
// hold personal data, and returns its location for SQLite. Files that SQLite puts
// beside it get the same permissions. What is no database stays as it is.
func prepareFile(path string) (location string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	const magic = "SQLite format 3\x00"
	start, err := io.ReadAll(io.LimitReader(file, int64(len(magic))))
	if err == nil && len(start) > 0 && string(start) != magic {
		err = fmt.Errorf("%s is not an SQLite database", path)
	}
	if err == nil {
		err = file.Chmod(0o600)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(10000)",
			"journal_mode(WAL)",        // the page is read while records are written
			"synchronous(NORMAL)",      // a power cut may take back the last batches, records and cursor alike
			"wal_autocheckpoint(8192)", // 32 MiB: a page that many batches change is written back once
			"cache_size(-16384)",       // 16 MiB a connection
		},
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: settings.Encode()}
	return u.String(), nil
}

func (s *store) close() error { return s.db.Close() }

// tx is a transaction.
type tx struct {
	*store
	ctx context.Context
	*sql.Tx
}

// write runs f in a transaction, after all others that write.
func (s *store) write(ctx context.Context, f func(tx) error) error {
	return s.transact(ctx, nil, func(t tx) error {
		if t.lock != "" {
			if _, err := t.exec(t.lock); err != nil {
				return err
			}
		}
		return f(t)
	})
}

// read runs f in a transaction that sees one state of the database.
func (s *store) read(ctx context.Context, f func(tx) error) error {
	return s.transact(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, f)
}

func (s *store) transact(ctx context.Context, opts *sql.TxOptions, f func(tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.begin(ctx, opts, f)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.db.SetMaxIdleConns(0) // closes the other connections, which may be as silent
		s.db.SetMaxIdleConns(connections)
		err = fmt.Errorf("not done within %v: %w", s.timeout, err)
	}
	return err
}

func (s *store) begin(ctx context.Context, opts *sql.TxOptions, f func(tx) error) error {
	t, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx{s, ctx, t}); err != nil {
		_ = t.Rollback() // whatever comes of it, nothing was committed
		return err
	}
	return t.Commit()
}

// exec returns the number of rows that changed.
func (t tx) exec(query string, args ...any) (int64, error) {
	result, err := t.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// get reads the one row of a query.
func (t tx) get(query string, args []any, dest ...any) error {
	return t.QueryRowContext(t.ctx, query, args...).Scan(dest...)
}

// each calls f for each row of a query, once its columns are in dest.
func (t tx) each(query string, args, dest []any, f func()) (err error) {
	rows, err := t.QueryContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f()
	}
	return rows.Err()
}

// insert runs a statement whose FROM item is made of rows.
func (t tx) insert(statement string, rows any) error {
	text, err := json.Marshal(rows)
	if err == nil {
		_, err = t.exec(fmt.Sprintf(statement, t.rows), string(text))
	}
	return err
}

// time returns the time that the processes agree on.
func (t tx) time() (now time.Time, err error) {
	if t.clock != nil {
		return t.clock(), nil
	}
	if t.now == "" {
		return time.Now(), nil
	}
	var micros int64
	err = t.get(t.now, nil, &micros)
	return fromMicros(micros), err
}

const insertLogs = `
	INSERT INTO logs (key, id, integration, job, attempt, succeeded, status, reason, body, processing, created_at, dated)
	SELECT r.value->>'key', r.value->>'id', r.value->>'integration', r.value->>'job',
		CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'succeeded' AS BOOLEAN), CAST(r.value->>'status' AS BIGINT),
		r.value->>'reason', r.value->>'body', CAST(r.value->>'processing' AS BIGINT),
		CAST(r.value->>'created_at' AS BIGINT), CAST(r.value->>'dated' AS BOOLEAN)
	FROM %s WHERE TRUE
	ON CONFLICT (key) DO NOTHING RETURNING key`

// Attempts come in any order: the highest number is the last, then the latest. An alert
// no longer covers an event that was delivered meanwhile, or fails in another way.
const upsertEvents = `
	INSERT INTO events (integration, job, attempt, succeeded, status, answer, key, last_at, seen_at, alerted)
	SELECT r.value->>'integration', r.value->>'job', CAST(r.value->>'attempt' AS BIGINT),
		CAST(r.value->>'succeeded' AS BOOLEAN), CAST(r.value->>'status' AS BIGINT), r.value->>'answer', r.value->>'key',
		CAST(r.value->>'created_at' AS BIGINT), CAST(r.value->>'seen_at' AS BIGINT), FALSE
	FROM %s WHERE TRUE
	ON CONFLICT (integration, job) DO UPDATE SET
		attempt = excluded.attempt, succeeded = excluded.succeeded, status = excluded.status, answer = excluded.answer,
		key = excluded.key, last_at = excluded.last_at, seen_at = excluded.seen_at,
		alerted = events.alerted AND NOT excluded.succeeded AND excluded.status = events.status
	WHERE (excluded.attempt, excluded.last_at, excluded.key) > (events.attempt, events.last_at, events.key)`

const upsertIntegrations = `
	INSERT INTO integrations (id, name) SELECT r.value->>'id', r.value->>'name' FROM %s WHERE TRUE
	ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE excluded.name <> ''`

// place is how far a list is in the database. Its zero value is that of a list that
// was never read.
type place struct {
	cursor   string
	caughtUp time.Time // all that was in the list then is in the database
}

// save stores records together with the place behind them, so that neither is there
// without the other. Records that are there already stay as they are; the others are
// returned.
func (s *store) save(ctx context.Context, list string, rows []logRow, p place, now time.Time) (added []logRow, err error) {
	err = s.write(ctx, func(t tx) error {
		if len(rows) > 0 {
			if added, err = t.saveRows(rows, now); err != nil {
				return err
			}
		}
		_, err := t.exec(`
			INSERT INTO lists (list, cursor, read_at) VALUES ($1, $2, $3)
			ON CONFLICT (list) DO UPDATE SET cursor = excluded.cursor, read_at = excluded.read_at`,
			list, p.cursor, toMicros(p.caughtUp))
		return err
	})
	return added, err
}

func (t tx) saveRows(rows []logRow, now time.Time) (added []logRow, err error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	fresh := make(map[string]bool, len(rows))
	var key string
	if err := t.each(fmt.Sprintf(insertLogs, t.rows), []any{string(text)}, []any{&key}, func() { fresh[key] = true }); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if fresh[r.Key] {
			added = append(added, r)
			delete(fresh, r.Key) // a batch may have it twice
		}
	}
	events, integrations := lastAttempts(rows, now)
	if err := t.insert(upsertEvents, events); err != nil {
		return nil, err
	}
	if err := t.insert(upsertIntegrations, integrations); err != nil {
		return nil, err
	}
	return added, t.insert(upsertSums, sumUp(added, now))
}

// forget deletes attempts from before a day, the oldest first and up to limit; with the
// last attempt of an event the event and its alerts; and what was counted before that
// day. It reports whether more may be left.
func (s *store) forget(ctx context.Context, before time.Time, limit int64) (more bool, err error) {
	const old = `WITH old AS (
		SELECT key, integration, job FROM logs WHERE created_at < $1 ORDER BY created_at, key LIMIT $2) `
	var n int64
	day := before.UTC().Truncate(24 * time.Hour).UnixMicro()
	err = s.write(ctx, func(t tx) error {
		for _, statement := range []string{
			`DELETE FROM events WHERE (integration, job, key) IN (SELECT integration, job, key FROM old)`,
			`DELETE FROM alerts WHERE (integration, job) IN (SELECT integration, job FROM old)
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.integration = alerts.integration AND e.job = alerts.job)`,
			`DELETE FROM logs WHERE key IN (SELECT key FROM old)`,
		} {
			if n, err = t.exec(old+statement, day, limit); err != nil {
				return err
			}
		}
		_, err := t.exec(`DELETE FROM sums WHERE start < $1`, day)
		return err
	})
	return n == limit, err
}

// place returns how far a list is in the database.
func (s *store) place(ctx context.Context, list string) (p place, err error) {
	var at int64
	err = s.read(ctx, func(t tx) error {
		return t.get(`SELECT cursor, read_at FROM lists WHERE list = $1`, []any{list}, &p.cursor, &at)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return place{}, nil
	}
	p.caughtUp = fromMicros(at)
	return p, err
}

// integrationRow is a row of the table integrations.
type integrationRow struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// saveIntegrations keeps the names; those of integrations that are gone stay.
func (s *store) saveIntegrations(ctx context.Context, all []epcclogs.Integration) error {
	rows := make([]integrationRow, 0, len(all))
	for _, in := range all {
		rows = append(rows, integrationRow{text(in.ID, idLimit), text(in.Name, idLimit)})
	}
	return s.write(ctx, func(t tx) error { return t.insert(upsertIntegrations, rows) })
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

// nameOf returns what an integration is called.
func nameOf(names map[string]string, id string) string { return cmp.Or(names[id], id) }
