package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// receiver takes alerts, and answers with status.
type receiver struct {
	*httptest.Server
	status int
	keys   []string
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.keys = append(r.keys, req.Header.Get("Idempotency-Key"))
		r.bodies = append(r.bodies, string(body))
		rw.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

// clock is the time of the program, and up to which the lists are read.
type clock struct {
	t     time.Time
	lists []read
}

// newAlerter makes one that posts each event. Without a clock, it has the real one.
func newAlerter(s *store, r *receiver, c *clock) *alerter {
	a := &alerter{
		alertSettings: alertSettings{url: r.URL, each: true, grace: 5 * time.Minute},
		store:         s, metrics: newMetrics(), logger: silent,
	}
	if c != nil {
		s.clock = func() time.Time { return c.t }
		a.lists = func() []read { return c.lists }
	}
	return a
}

// read stores logs of a list, with all that is in it now.
func (c *clock) readList(t *testing.T, s *store, list string, logs ...epcclogs.IntegrationLog) {
	t.Helper()
	save(t, s, list, logs, place{"", c.t}, c.t)
	c.lists = append(slices.DeleteFunc(c.lists, func(r read) bool { return r.list == list }), read{list, c.t})
}

func (c *clock) read(t *testing.T, s *store, logs ...epcclogs.IntegrationLog) {
	t.Helper()
	c.readList(t, s, wholeStore, logs...)
}

// do looks once, as run does again and again. That the receiver wants nothing for a
// while is over when the clock of the test says so.
func (a *alerter) do(t *testing.T) {
	t.Helper()
	a.quiet = time.Time{}
	require.NoError(t, a.look(t.Context()))
}

func TestAlerts(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		hook := epcclogstest.SampleIntegration(0)
		require.NoError(t, s.saveIntegrations(t.Context(), []epcclogs.Integration{hook}))
		lost := failed(hook.ID, "lost", 1, c.t, 503)
		c.read(t, s, lost, failed(hook.ID, "late", 1, c.t, 0), epcclogstest.Log(hook.ID, "good", 1, c.t))

		c.t = c.t.Add(5*time.Minute - time.Second)
		c.read(t, s)
		a.do(t)
		assert.Empty(t, r.keys, "the grace period is not over")
		c.read(t, s, epcclogstest.Log(hook.ID, "late", 2, c.t)) // this one has succeeded in the end

		c.t = c.t.Add(time.Second)
		a.do(t)
		assert.Empty(t, r.keys, "nobody has read what came in the last second")
		c.read(t, s)
		a.do(t)
		a.do(t)
		require.Equal(t, []string{lost.Key()}, r.keys)
		var posted alert
		require.NoError(t, json.Unmarshal([]byte(r.bodies[0]), &posted))
		assert.Equal(t, "lost", posted.Job)
		assert.Equal(t, hook.ID, posted.Integration)
		assert.Equal(t, hook.Name, posted.Name)
		assert.Equal(t, 1, posted.Attempts)
		assert.Equal(t, 503, posted.Status)
		assert.Equal(t, lost.CreatedAt().UnixMicro(), posted.Since.UnixMicro())
		assert.Contains(t, posted.Text, hook.Name+": event lost is not delivered after 1 attempts")

		// Neither a further failure nor a restart brings it again.
		other := failed(hook.ID, "other", 1, c.t, 500)
		c.read(t, s, failed(hook.ID, "lost", 2, c.t, 500), other)
		c.t = c.t.Add(time.Hour)
		c.read(t, s)
		c.t = c.t.Add(time.Hour)
		a, c.lists = newAlerter(s, r, c), nil // a restart
		a.do(t)
		assert.Len(t, r.keys, 1, "a later attempt may have come before the start")
		c.read(t, s)
		a.do(t)
		assert.Equal(t, []string{lost.Key(), other.Key()}, r.keys)
	})
}

// Of an event nothing is known as long as its own list is not read, because reading
// it fails or it is not followed any more.
func TestAlertsOfLists(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		one, two := failed("one", "job", 1, c.t, 500), failed("two", "job", 1, c.t, 500)
		c.readList(t, s, "one", one)
		c.readList(t, s, "two", two)
		a := newAlerter(s, r, c)
		c.lists = nil
		c.t = c.t.Add(time.Hour)
		c.readList(t, s, "one")
		a.do(t)
		assert.Equal(t, []string{one.Key()}, r.keys)
		c.readList(t, s, "two")
		a.do(t)
		assert.Equal(t, []string{one.Key(), two.Key()}, r.keys)
	})
}

// What the receiver does not take is posted again, later and later, with the same
// key and body, also by another run of the program; the page shows it meanwhile.
func TestAlertsRetried(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		c.read(t, s, failed("hook", "one", 1, c.t, 500), failed("hook", "two", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		r.status = http.StatusInternalServerError
		a := newAlerter(s, r, c)
		a.do(t)
		assert.Len(t, r.keys, 1, "the receiver can take nothing")
		a.do(t)
		assert.Len(t, r.keys, 1)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Waiting: 2, Failing: 1, Error: "the receiver answered 500 Internal Server Error"}, v.Alerts)
		assert.Equal(t, 2, v.Undelivered)

		c.t = c.t.Add(alertMinRetry)
		a.do(t)
		assert.Len(t, r.keys, 2)
		assert.NotEqual(t, r.keys[0], r.keys[1], "what was tried less comes first")
		c.t = c.t.Add(alertMinRetry) // the next wait is twice as long
		a.do(t)
		assert.Len(t, r.keys, 2)
		r.status = http.StatusOK
		c.t = c.t.Add(alertMaxRetry)
		a, c.lists = newAlerter(s, r, c), nil // a restart
		a.do(t)
		assert.Len(t, r.keys, 2, "a later attempt may have come before the start")
		c.read(t, s)
		a.do(t)
		require.Len(t, r.keys, 4)
		assert.ElementsMatch(t, r.keys[:2], r.keys[2:])
		assert.ElementsMatch(t, r.bodies[:2], r.bodies[2:])
		c.t = c.t.Add(time.Hour)
		a.do(t)
		assert.Len(t, r.keys, 4)
		v, err = s.look(t.Context(), filter{Period: periods[1]}, c.t)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Sent: 2}, v.Alerts)
	})
}

// An event that is delivered while its alert waits needs none any more.
func TestAlertWithdrawn(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		c.read(t, s, failed("hook", "job", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		r.Close() // nobody listens
		a := newAlerter(s, r, c)
		a.do(t)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t)
		require.NoError(t, err)
		assert.Equal(t, 1, v.Alerts.Failing)
		assert.NotContains(t, v.Alerts.Error, r.URL, "the URL may be a secret")
		c.read(t, s, epcclogstest.Log("hook", "job", 2, c.t))
		c.t = c.t.Add(time.Hour)
		a.do(t)
		assert.Equal(t, 1, number(t, s.db, `SELECT tries FROM alerts`))
		v, err = s.look(t.Context(), filter{Period: periods[0]}, c.t)
		require.NoError(t, err)
		assert.Zero(t, v.Alerts)
	})
}

// A client that follows a redirect may send a GET without a body.
func TestAlertRedirected(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		moved := httptest.NewServer(http.RedirectHandler(r.URL, http.StatusMovedPermanently))
		defer moved.Close()
		c.read(t, s, failed("hook", "job", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		a := newAlerter(s, r, c)
		a.url = moved.URL
		a.do(t)
		assert.Empty(t, r.keys)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Waiting: 1, Failing: 1, Error: "the receiver answered 301 Moved Permanently"}, v.Alerts)
	})
}
