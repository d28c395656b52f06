package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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

// clock is the time of an alerter, and up to which the list is read.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newAlerter(s *store, r *receiver, c *clock) *alerter {
	return &alerter{
		url: r.URL, grace: 5 * time.Minute, started: c.t, store: s, now: c.now,
		metrics: newMetrics(), logger: silent,
	}
}

// read stores logs of the whole store, with all that is in the list now.
func (c *clock) read(t *testing.T, s *store, logs ...epcclogs.IntegrationLog) {
	t.Helper()
	require.NoError(t, s.save(t.Context(), wholeStore, logs, place{"", c.t}, c.t))
}

// look does once what run does again and again.
func (a *alerter) look(t *testing.T) {
	t.Helper()
	require.NoError(t, a.enqueue(t.Context()))
	require.NoError(t, a.post(t.Context()))
}

func TestAlerts(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{time.Now()}
		a := newAlerter(s, r, c)
		hook := epcclogstest.SampleIntegration(0)
		require.NoError(t, s.saveIntegrations(t.Context(), []epcclogs.Integration{hook}))
		lost := failed(hook.ID, "lost", 1, c.t, 503)
		c.read(t, s, lost, failed(hook.ID, "late", 1, c.t, 0), epcclogstest.Log(hook.ID, "good", 1, c.t))

		c.t = c.t.Add(5*time.Minute - time.Second)
		c.read(t, s)
		a.look(t)
		assert.Empty(t, r.keys, "the grace period is not over")
		c.read(t, s, epcclogstest.Log(hook.ID, "late", 2, c.t)) // this one has succeeded in the end

		c.t = c.t.Add(time.Second)
		a.look(t)
		assert.Empty(t, r.keys, "nobody has read what came in the last second")
		c.read(t, s)
		a.look(t)
		a.look(t)
		require.Equal(t, []string{lost.Key()}, r.keys)
		var posted alert
		require.NoError(t, json.Unmarshal([]byte(r.bodies[0]), &posted))
		assert.Equal(t, "lost", posted.Job)
		assert.Equal(t, hook.ID, posted.Integration)
		assert.Equal(t, hook.Name, posted.Name)
		assert.Equal(t, 1, posted.Attempts)
		assert.Equal(t, 503, posted.Status)
		assert.Equal(t, lost.CreatedAt().UnixMicro(), posted.LastAttemptAt.UnixMicro())
		assert.Contains(t, posted.Text, hook.Name+": event lost is not delivered after 1 attempts")

		// Neither a further failure nor a restart brings it again.
		other := failed(hook.ID, "other", 1, c.t, 500)
		c.read(t, s, failed(hook.ID, "lost", 2, c.t, 500), other)
		c.t = c.t.Add(time.Hour)
		c.read(t, s)
		c.t = c.t.Add(time.Hour)
		a = newAlerter(s, r, c)
		a.look(t)
		assert.Len(t, r.keys, 1, "a later attempt may have come before the start")
		c.read(t, s)
		a.look(t)
		assert.Equal(t, []string{lost.Key(), other.Key()}, r.keys)
	})
}

// Of an event nothing is known as long as its own list is not read, because reading
// it fails or it is not followed any more.
func TestAlertsOfLists(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{time.Now()}
		one, two := failed("one", "job", 1, c.t, 500), failed("two", "job", 1, c.t, 500)
		require.NoError(t, s.save(t.Context(), "one", []epcclogs.IntegrationLog{one}, place{"", c.t}, c.t))
		require.NoError(t, s.save(t.Context(), "two", []epcclogs.IntegrationLog{two}, place{"", c.t}, c.t))
		a := newAlerter(s, r, c)
		c.t = c.t.Add(time.Hour)
		require.NoError(t, s.save(t.Context(), "one", nil, place{"", c.t}, c.t))
		a.look(t)
		assert.Equal(t, []string{one.Key()}, r.keys)
		require.NoError(t, s.save(t.Context(), "two", nil, place{"", c.t}, c.t))
		a.look(t)
		assert.Equal(t, []string{one.Key(), two.Key()}, r.keys)
	})
}

// What the receiver does not take is posted again, later and later, with the same
// key and body, also by another run of the program; the page shows it meanwhile.
func TestAlertsRetried(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{time.Now()}
		c.read(t, s, failed("hook", "one", 1, c.t, 500), failed("hook", "two", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		r.status = http.StatusInternalServerError
		a := newAlerter(s, r, c)
		a.look(t)
		assert.Len(t, r.keys, 1, "the first failure ends the round")
		a.look(t)
		assert.Len(t, r.keys, 2)
		a.look(t)
		assert.Len(t, r.keys, 2, "both wait now")
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t, 10)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Waiting: 2, Failing: 2, Error: "the receiver answered 500 Internal Server Error"}, v.Alerts)
		require.Len(t, v.Events, 2)
		assert.Equal(t, v.Alerts.Error, v.Events[0].AlertError)

		c.t = c.t.Add(alertMinRetry)
		a.look(t)
		c.t = c.t.Add(alertMinRetry) // the next wait is twice as long
		a.look(t)
		assert.Len(t, r.keys, 4)
		r.status = http.StatusOK
		c.t = c.t.Add(alertMaxRetry)
		a = newAlerter(s, r, c)
		a.look(t)
		assert.Len(t, r.keys, 4, "a later attempt may have come before the start")
		c.read(t, s)
		a.look(t)
		assert.Len(t, r.keys, 6)
		assert.Equal(t, r.keys[0], r.keys[2])
		assert.ElementsMatch(t, r.bodies[:2], r.bodies[4:])
		c.t = c.t.Add(time.Hour)
		a.look(t)
		assert.Len(t, r.keys, 6)
		v, err = s.look(t.Context(), filter{Period: periods[1]}, c.t, 10)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Sent: 2}, v.Alerts)
	})
}

// An event that is delivered while its alert waits needs none any more.
func TestAlertWithdrawn(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{time.Now()}
		c.read(t, s, failed("hook", "job", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		r.Close() // nobody listens
		a := newAlerter(s, r, c)
		a.look(t)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t, 10)
		require.NoError(t, err)
		assert.Equal(t, 1, v.Alerts.Failing)
		assert.NotContains(t, v.Alerts.Error, r.URL, "the URL may be a secret")
		c.read(t, s, epcclogstest.Log("hook", "job", 2, c.t))
		c.t = c.t.Add(time.Hour)
		a.look(t)
		assert.Equal(t, 1, number(t, s.db, `SELECT tries FROM alerts`))
		v, err = s.look(t.Context(), filter{Period: periods[0]}, c.t, 10)
		require.NoError(t, err)
		assert.Zero(t, v.Alerts)
	})
}

// A client that follows a redirect may send a GET without a body.
func TestAlertRedirected(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{time.Now()}
		moved := httptest.NewServer(http.RedirectHandler(r.URL, http.StatusMovedPermanently))
		defer moved.Close()
		c.read(t, s, failed("hook", "job", 1, c.t, 500))
		c.t = c.t.Add(5 * time.Minute)
		c.read(t, s)
		a := newAlerter(s, r, c)
		a.url = moved.URL
		a.look(t)
		assert.Empty(t, r.keys)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t, 10)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Waiting: 1, Failing: 1, Error: "the receiver answered 301 Moved Permanently"}, v.Alerts)
	})
}
