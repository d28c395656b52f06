package main

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
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

//go:embed *.sql
var dialects embed.FS

// store is the database. All times in it are microseconds since 1970.
type store struct {
	db      *sql.DB
	own     map[string]string // statements by name, where the databases differ
	timeout time.Duration
	clock   func() time.Time // for tests
	writing chan struct{}    // one after the other: who waits for SQLite's lock can wait for ever
}

// openStore opens the database at a postgres:// URL, or else the SQLite file of that
// name, and makes what it lacks. The database of another store is refused.
func openStore(ctx context.Context, location, identity string) (*store, error) {
	s, err := connect(location)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := s.write(ctx, func(t *tx) { t.setUp(identity) }); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the database: %w", err), s.db.Close())
	}
	return s, nil
}

// comments would hide where a statement ends.
var comments = regexp.MustCompile(`(?m)\s*--.*$`)

func connect(location string) (s *store, err error) {
	s = &store{own: make(map[string]string), timeout: queryTimeout, writing: make(chan struct{}, 1)}
	driver, file := "pgx", "postgres.sql"
	if !isPostgres(location) {
		driver, file = "sqlite", "sqlite.sql"
		if location, err = prepareFile(location); err != nil {
			return nil, err
		}
	}
	statements, err := dialects.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(string(statements), "-- name: ") {
		name, statement, _ := strings.Cut(part, "\n")
		s.own[name] = comments.ReplaceAllString(statement, "")
	}
	if s.db, err = sql.Open(driver, location); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(connections)
	s.db.SetMaxIdleConns(connections)
	return s, nil
}

// setUp makes what the database lacks, and refuses that of another store.
func (t *tx) setUp(identity string) {
	for statement := range strings.SplitSeq(strings.TrimRight(t.own["schema"], ";\n"), ";") {
		t.exec(statement)
	}
	if t.err != nil {
		t.err = fmt.Errorf("make its tables (a database of release 0.2 cannot be used, take a new one): %w", t.err)
	}
	var found string
	if !t.get(`SELECT store FROM watch`, nil, &found) {
		t.exec(`INSERT INTO watch (store) VALUES ($1)`, identity)
	} else if found != identity {
		t.fail(fmt.Errorf("it is that of another store: of %s, not of %s; use another one, "+
			"or empty its table watch if the store is the same and only its key or its URL is new", found, identity))
	}
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

// tx is a transaction. Once a statement has failed, the others do nothing, and the
// transaction returns the error.
type tx struct {
	*store
	sql *sql.Tx
	ctx context.Context
	err error
}

// write runs f in a transaction, after all others that write.
func (s *store) write(ctx context.Context, f func(*tx)) error {
	return s.transact(ctx, nil, func(t *tx) {
		t.exec(t.own["lock"])
		f(t)
	})
}

// read runs f in a transaction that sees one state of the database.
func (s *store) read(ctx context.Context, f func(*tx)) error {
	return s.transact(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, f)
}

func (s *store) transact(ctx context.Context, opts *sql.TxOptions, f func(*tx)) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if opts == nil {
		select {
		case s.writing <- struct{}{}:
			defer func() { <-s.writing }()
		case <-ctx.Done():
			return fmt.Errorf("waiting for others that write: %w", ctx.Err())
		}
	}
	t := &tx{store: s, ctx: ctx}
	if t.sql, t.err = s.db.BeginTx(ctx, opts); t.err == nil {
		if f(t); t.err != nil {
			_ = t.sql.Rollback() // whatever comes of it, nothing was committed
		} else {
			t.err = t.sql.Commit()
		}
	}
	if t.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.db.SetMaxIdleConns(0) // closes the other connections, which may be as silent
		s.db.SetMaxIdleConns(connections)
		return fmt.Errorf("not done within %v: %w", s.timeout, t.err)
	}
	return t.err
}

// fail notes an error, if none is noted yet.
func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// exec returns the number of rows that changed.
func (t *tx) exec(query string, args ...any) (n int64) {
	if t.err != nil {
		return 0
	}
	result, err := t.sql.ExecContext(t.ctx, query, args...)
	if err == nil {
		n, err = result.RowsAffected()
	}
	t.fail(err)
	return n
}

// get reads the only row of a query, if there is one.
func (t *tx) get(query string, args []any, dest ...any) (found bool) {
	t.each(query, args, dest, func() { found = true })
	return found
}

// each calls f for each row of a query, once its columns are in dest.
func (t *tx) each(query string, args, dest []any, f func()) {
	if t.err != nil {
		return
	}
	rows, err := t.sql.QueryContext(t.ctx, query, args...)
	if err != nil {
		t.fail(err)
		return
	}
	for t.err == nil && rows.Next() {
		if t.fail(rows.Scan(dest...)); t.err == nil {
			f()
		}
	}
	t.fail(errors.Join(rows.Err(), rows.Close()))
}

// json writes rows, or the keys of some, for a statement.
func (t *tx) json(rows any) string {
	text, err := json.Marshal(rows)
	t.fail(err)
	return string(text)
}

// time returns the time that the processes agree on.
func (t *tx) time() time.Time {
	if t.clock != nil {
		return t.clock()
	}
	var micros int64
	t.get(t.own["time"], nil, &micros)
	return fromMicros(micros)
}

// place is how far a list is in the database. Its zero value is that of a list that
// was never read.
type place struct {
	cursor   string
	caughtUp time.Time // all that was in the list then is in the database
}

// save stores records together with the place behind them, so that neither is there
// without the other. Records that are there already stay as they are. Of the others it
// returns the key, the integration and whether they succeeded.
func (s *store) save(ctx context.Context, list string, rows []logRow, p place, now time.Time) (added []attempt, err error) {
	err = s.write(ctx, func(t *tx) {
		if len(rows) > 0 {
			added = t.saveRows(rows, now)
		}
		t.exec(`
			INSERT INTO lists (list, cursor, read_at) VALUES ($1, $2, $3)
			ON CONFLICT (list) DO UPDATE SET cursor = excluded.cursor, read_at = excluded.read_at`,
			list, p.cursor, toMicros(p.caughtUp))
	})
	return added, err
}

func (t *tx) saveRows(rows []logRow, now time.Time) (added []attempt) {
	var one attempt
	keys := []string{} // not nil, which is null in JSON
	t.each(t.own["insert logs"], []any{t.json(rows)}, []any{&one.Key, &one.Integration, &one.Succeeded}, func() {
		added, keys = append(added, one), append(keys, one.Key)
	})
	these := t.json(keys)
	t.exec(t.own["add events"], these, now.UnixMicro())
	t.exec(t.own["add integrations"], these)
	t.exec(t.own["add sums"], these, now.Add(-grains[minutes]).UnixMicro(), now.Add(-grains[hours]).UnixMicro())
	return added
}

// forget deletes counts that are more exact than any page shows, and what is older than
// keep, in whole days: the oldest attempts, up to limit; with the last attempt of an event
// the event and its alert. It reports whether more may be left. If keep is 0, attempts stay.
func (s *store) forget(ctx context.Context, now time.Time, keep time.Duration, limit int64) (more bool, err error) {
	keep = cmp.Or(keep, ever)
	const old = `WITH old AS (
		SELECT key, integration, job FROM logs WHERE created_at < $1 ORDER BY created_at, key LIMIT $2) `
	day := func(age time.Duration) int64 { return now.Add(-age).UTC().Truncate(days).UnixMicro() }
	err = s.write(ctx, func(t *tx) {
		for grain, kept := range grains {
			t.exec(`DELETE FROM sums WHERE grain = $1 AND start < $2`, int64(grain/time.Second), day(min(kept, keep)))
		}
		for _, statement := range []string{
			`DELETE FROM events WHERE (integration, job, key) IN (SELECT integration, job, key FROM old)`,
			`DELETE FROM incidents AS i WHERE (integration, job) IN (SELECT integration, job FROM old)
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.integration = i.integration AND e.job = i.job)`,
			`DELETE FROM logs WHERE key IN (SELECT key FROM old)`,
		} {
			more = t.exec(old+statement, day(keep), limit) == limit
		}
	})
	return more, err
}

// place returns how far a list is in the database.
func (s *store) place(ctx context.Context, list string) (p place, err error) {
	var at int64
	err = s.read(ctx, func(t *tx) { t.get(`SELECT cursor, read_at FROM lists WHERE list = $1`, []any{list}, &p.cursor, &at) })
	p.caughtUp = fromMicros(at)
	return p, err
}

// saveIntegration keeps a name; those of integrations that are gone stay.
func (s *store) saveIntegration(ctx context.Context, in epcclogs.Integration) error {
	return s.write(ctx, func(t *tx) {
		t.exec(`
			INSERT INTO integrations (id, name, type) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type`,
			text(in.ID, idLimit), text(cmp.Or(in.Name, in.ID), idLimit), text(in.IntegrationType, idLimit))
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
