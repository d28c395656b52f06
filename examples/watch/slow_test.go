package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// slowly is a driver whose statements take longer.
type slowly struct {
	driver   driver.Driver
	location string
	wait     *atomic.Int64 // for how long, in nanoseconds
}

func (s slowly) Driver() driver.Driver { return s.driver }

func (s slowly) Connect(context.Context) (driver.Conn, error) {
	c, err := s.driver.Open(s.location)
	return slowConn{c, s.wait}, err
}

type slowConn struct {
	driver.Conn
	wait *atomic.Int64
}

func (c slowConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c slowConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if pause(ctx, time.Duration(c.wait.Load())); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c slowConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if pause(ctx, time.Duration(c.wait.Load())); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// With a database in which each statement takes long, everything goes on: logs are read
// and alerts posted. When it stands still, the page is that of a moment ago, at once, and
// /healthz is 503 until it works again.
func TestSlowDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		slow := open(t, location)
		if !isPostgres(location) {
			var err error
			location, err = prepareFile(location)
			require.NoError(t, err)
		}
		known := slow.db
		var wait atomic.Int64
		wait.Store(int64(30 * time.Millisecond))
		slow.db = sql.OpenDB(slowly{slow.db.Driver(), location, &wait})
		require.NoError(t, known.Close())
		slow.timeout = 2 * time.Second

		var options []epcclogstest.Option
		now := time.Now()
		total := 0
		for i := range 40 {
			in := epcclogstest.SampleIntegration(i)
			logs := epcclogstest.SampleLogsUntil(in, 10, now.Add(-time.Minute))
			total += len(logs)
			options = append(options, epcclogstest.WithIntegration(in, logs...))
		}
		api := epcclogstest.NewServer(options...)
		defer api.Close()
		receiver := newReceiver(t)
		a := newAlerter(slow, receiver, nil)
		a.alerts.each, a.alerts.grace, a.interval = false, 0, time.Second
		client, err := epcclogs.NewClient(epcclogs.WithBaseURL(api.URL), epcclogs.WithToken("example-token"))
		require.NoError(t, err)
		a.client = client
		w, base := serveWeb(t, slow)
		w.program, w.cache = a.program, newCache(time.Second)
		f := w.followers[0]
		f.program, a.lists = a.program, w.caughtUp
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { assert.NoError(t, f.run(ctx)) })
		work.Go(func() { a.repeat(ctx, "alerts not handled", a.look) })

		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == total })
		healthy := func() bool { status, _ := get(t, base+"/healthz"); return status == http.StatusOK }
		eventually(t, healthy)
		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM incidents WHERE told_at > 0`) > 0 })
		hook := epcclogstest.SampleIntegration(0).ID
		api.AddLogs(hook, failed(hook, "at last", 1, time.Now(), 418))
		eventually(t, func() bool {
			status, body := get(t, base)
			require.Equal(t, http.StatusOK, status)
			return strings.Contains(body, "418")
		})
		status, body := get(t, base+"/metrics")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, "\nwatch_database_up 1\n")

		get(t, base)
		wait.Store(int64(time.Hour))
		asked := time.Now()
		status, body = get(t, base)
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, "418")
		assert.Less(t, time.Since(asked), slow.timeout)
		eventually(t, func() bool { return !healthy() })
		wait.Store(0)
		eventually(t, healthy)
		cancel()
		work.Wait()
	})
}
