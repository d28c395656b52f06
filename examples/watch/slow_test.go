package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const slowQuery = 300 * time.Millisecond

// slowly is a driver whose statements take slowQuery longer.
type slowly struct {
	driver   driver.Driver
	location string
}

func (s slowly) Driver() driver.Driver { return s.driver }

func (s slowly) Connect(context.Context) (driver.Conn, error) {
	c, err := s.driver.Open(s.location)
	return slowConn{c}, err
}

type slowConn struct{ driver.Conn }

func (c slowConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c slowConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if pause(ctx, slowQuery); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c slowConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if pause(ctx, slowQuery); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// With a database in which each statement takes long, everything goes on: logs are read
// and alerts posted, and pages are those of a moment ago, at once.
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
		slow.db = sql.OpenDB(slowly{slow.db.Driver(), location})
		require.NoError(t, known.Close())

		var options []epcclogstest.Option
		now := time.Now()
		total := 0
		for i := range 40 {
			in := epcclogstest.SampleIntegration(i)
			logs := epcclogstest.SampleLogsUntil(in, 50, now.Add(-time.Minute))
			total += len(logs)
			options = append(options, epcclogstest.WithIntegration(in, logs...))
		}
		api := epcclogstest.NewServer(options...)
		defer api.Close()
		receiver := newReceiver(t)
		a := newAlerter(slow, receiver, nil)
		a.alerts.each, a.alerts.grace, a.interval = false, 0, 5*time.Second
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
		work.Go(func() { a.run(ctx) })

		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == total })
		eventually(t, func() bool { status, _ := get(t, base+"/healthz"); return status == http.StatusOK })
		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM incidents WHERE told_at > 0`) > 0 })
		status, _ := get(t, base) // nothing can be shown yet
		require.Equal(t, http.StatusOK, status)
		hook := epcclogstest.SampleIntegration(0).ID
		api.AddLogs(hook, failed(hook, "at last", 1, time.Now(), 418))
		began := time.Now()
		fresh := false
		for !fresh {
			require.Less(t, time.Since(began), time.Minute)
			asked := time.Now()
			status, body := get(t, base)
			require.Equal(t, http.StatusOK, status)
			assert.Less(t, time.Since(asked), slowQuery, "the page is there")
			fresh = strings.Contains(body, "418")
			pause(t.Context(), 50*time.Millisecond)
		}
		status, body := get(t, base+"/metrics")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, "\nwatch_database_up 1\n")
		cancel()
		work.Wait()
	})
}
