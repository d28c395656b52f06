package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// connection sends the requests of a client. While it is down, they fail. While it is
// slow, those for what is not near the beginning of the list wait.
type connection struct {
	down atomic.Bool
	slow chan struct{} // closed in the end
}

func (c *connection) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.down.Load() {
		return nil, errors.New("no route")
	}
	if offset, _ := strconv.Atoi(req.URL.Query().Get("page[offset]")); offset >= 1500 {
		select {
		case <-c.slow:
		case <-req.Context().Done():
		}
	}
	return http.DefaultTransport.RoundTrip(req)
}

// watching is the part of the program that brings a list into a database and posts
// alerts. Of two events in the list the first attempt has failed.
type watching struct {
	*testing.T
	api      *epcclogstest.Server
	network  connection
	store    *store
	follower *follower
	alerter  *alerter
	receiver *receiver
	stop     func()
	fast     func() // the network is not slow any more
}

func watchTwo(t *testing.T, location string) *watching {
	t.Helper()
	hook := epcclogstest.SampleIntegration(0)
	w := &watching{T: t, store: open(t, location), receiver: newReceiver(t)}
	w.network.slow = make(chan struct{})
	w.fast = sync.OnceFunc(func() { close(w.network.slow) })
	w.api = epcclogstest.NewServer(epcclogstest.WithIntegration(hook,
		failed(hook.ID, "recovers", 1, time.Now(), 503), failed(hook.ID, "lost", 1, time.Now(), 503)))
	t.Cleanup(w.api.Close)
	w.start()
	eventually(t, func() bool { at, _, _ := w.follower.reading.last(); return w.rows() == 2 && !at.IsZero() })
	return w
}

// start begins to follow the list, as the program does when it starts.
func (w *watching) start() {
	w.Helper()
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(w.api.URL), epcclogs.WithToken("example-token"),
		epcclogs.WithHTTPClient(&http.Client{Transport: &w.network}), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
	require.NoError(w, err)
	w.alerter = newAlerter(w.store, w.receiver, nil)
	w.alerter.client, w.alerter.interval, w.alerter.alerts.grace = client, 100*time.Millisecond, 200*time.Millisecond
	pages := newWeb(w.alerter.program)
	f := pages.followers[0]
	w.follower, w.alerter.lists = f, pages.caughtUp
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error)
	go func() { ended <- f.run(ctx) }()
	w.stop = func() {
		cancel()
		require.NoError(w, <-ended)
		w.stop = func() {}
	}
	w.Cleanup(func() { w.stop() })
}

func (w *watching) rows() int { return number(w.T, w.store.db, `SELECT COUNT(*) FROM logs`) }

// add brings n new logs, and behind them one that tells that an event was
// delivered after all.
func (w *watching) add(n int, logs ...epcclogs.IntegrationLog) {
	hook := epcclogstest.SampleIntegration(0).ID
	for i := range n {
		logs = append(logs, epcclogstest.Log(hook, fmt.Sprint("other-", i), 1, time.Now()))
	}
	w.api.AddLogs(hook, append(logs, epcclogstest.Log(hook, "recovers", 2, time.Now()))...)
}

// wait returns long after the grace period is over, once the outage has begun. Before
// that it was not, however long the test took to come here.
func (w *watching) wait() {
	w.Helper()
	now := time.Now()
	_, err := w.store.db.ExecContext(w.Context(), `UPDATE events SET seen_at = `+fmt.Sprint(now.UnixMicro()))
	require.NoError(w, err)
	eventually(w.T, func() bool { return time.Since(now) > 2*w.alerter.alerts.grace })
}

// databaseFails makes the database refuse two records with the attempt 77.
func (w *watching) databaseFails() {
	w.Helper()
	_, err := w.store.db.ExecContext(w.Context(), `CREATE UNIQUE INDEX outage ON logs (attempt) WHERE attempt = 77`)
	require.NoError(w, err)
}

func (w *watching) databaseWorks() {
	w.Helper()
	_, err := w.store.db.ExecContext(w.Context(), `DROP INDEX outage`)
	require.NoError(w, err)
}

// quiet checks that no alert is posted.
func (w *watching) quiet() {
	w.Helper()
	_, err := w.alerter.look(w.Context())
	require.NoError(w, err)
	assert.Empty(w, w.receiver.bodies)
}

// An event that was delivered in the end is not posted, whatever keeps the program
// from knowing that for longer than the grace period. One that was not is.
func TestAlertsAfterOutage(t *testing.T) {
	for name, outage := range map[string]func(*watching){
		"after a stop": func(w *watching) {
			w.stop()
			w.wait()
			w.add(3000)
			w.start()
			eventually(w.T, func() bool { return w.rows() > 1000 })
			w.quiet()
		},
		"outage of the API": func(w *watching) {
			w.network.down.Store(true)
			eventually(w.T, func() bool { _, _, err := w.follower.reading.last(); return err != nil })
			w.wait()
			w.add(3000)
			w.quiet()
			w.network.down.Store(false)
			eventually(w.T, func() bool { return w.rows() > 1000 })
			w.quiet()
		},
		"outage of the database": func(w *watching) {
			w.fast()
			w.databaseFails()
			hook := epcclogstest.SampleIntegration(0).ID
			w.add(1000, epcclogstest.Log(hook, "one", 77, time.Now()), epcclogstest.Log(hook, "two", 77, time.Now()))
			added := time.Now()
			eventually(w.T, func() bool { _, _, problem := w.follower.reading.last(); return problem != nil })
			at, _, problem := w.follower.reading.last()
			assert.True(w, at.Before(added))
			require.ErrorContains(w, problem, "store ")
			w.wait()
			w.quiet()
			w.databaseWorks()
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, location string) {
				w := watchTwo(t, location)
				outage(w)
				w.fast()
				eventually(t, func() bool { w.alerter.do(t); return len(w.receiver.bodies) > 0 })
				require.Len(t, w.receiver.bodies, 1)
				assert.Contains(t, w.receiver.bodies[0], `"job":"lost"`)
				_, _, problem := w.follower.reading.last()
				assert.NoError(t, problem)
			})
		})
	}
}

// When the program ends while the database fails, what is not stored is read again:
// nothing that came after it may be stored before.
func TestStopInOutage(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		w := watchTwo(t, location)
		w.fast()
		w.databaseFails()
		hook := epcclogstest.SampleIntegration(0).ID
		w.api.AddLogs(hook, epcclogstest.Log(hook, "one", 77, time.Now()), epcclogstest.Log(hook, "two", 77, time.Now()))
		eventually(t, func() bool { _, _, err := w.follower.reading.last(); return err != nil })
		w.add(1000)
		w.stop()
		w.databaseWorks()
		w.start()
		eventually(t, func() bool { return w.rows() == 2+2+1000+1 })
	})
}

// Bodies of any size are read, with little of them in memory at a time.
func TestLargeBodies(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		hook := epcclogstest.SampleIntegration(0)
		logs := epcclogstest.SampleLogs(hook.ID, 240)
		for i := range logs {
			logs[i].Body = strings.Repeat("x", 60<<10)
			if i >= 200 {
				logs[i].Body = strings.Repeat("y", 1<<20)
			}
		}
		api := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, logs...))
		defer api.Close()
		setenv(t, api)
		start(t, append(use(t, location), "-interval", "100ms")...)
		s := open(t, location)
		eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == 240 })
		assert.Equal(t, asRows(logs), stored(t, s))
		assert.Equal(t, 40, number(t, s.db, fmt.Sprintf(`SELECT COUNT(*) FROM logs WHERE LENGTH(body) = %d`, bodyLimit)))

		// A batch ends once it holds many bytes.
		f := newWeb(testProgram(s)).followers[0]
		for i := range 10 {
			f.add(t.Context(), logRow{attempt: attempt{Key: fmt.Sprint(i)}, Body: strings.Repeat("x", 1<<20)}, fmt.Sprint("cursor ", i))
		}
		assert.Equal(t, 240+8, number(t, s.db, `SELECT COUNT(*) FROM logs`))
		assert.Equal(t, "cursor 7", f.saved.cursor)
	})
}

// The API asks for a pause of an hour: it is asked again after five minutes.
func TestLongPause(t *testing.T) {
	for asked, want := range map[string]string{"": "", "7": "7", "3600": "300", "Fri, 01 Jan 2100 00:00:00 GMT": "300"} {
		api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Retry-After", asked) }))
		resp, err := (&http.Client{Transport: newImpatient()}).Get(api.URL) //nolint:noctx // nothing ends it
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, want, resp.Header.Get("Retry-After"))
		api.Close()
	}
}
