package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// receiver takes alerts, and answers with status.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	header http.Header // of its answers
	status int
	keys   []string
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		for name := range r.header {
			rw.Header().Set(name, r.header.Get(name))
		}
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
	a := &alerter{program: testProgram(s)}
	a.alerts.url = r.URL
	if c != nil {
		s.clock = func() time.Time { return c.t }
		a.lists = func(time.Time) []read { return c.lists }
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
	_, err := a.look(t.Context())
	require.NoError(t, err)
}

func TestAlerts(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		hook := epcclogstest.SampleIntegration(0)
		require.NoError(t, s.saveIntegration(t.Context(), hook))
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
		assert.Zero(t, v.Alerts)
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
		assert.Zero(t, number(t, s.db, `SELECT COUNT(*) FROM incidents`))
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
		a.alerts.url = moved.URL
		a.do(t)
		assert.Empty(t, r.keys)
		v, err := s.look(t.Context(), filter{Period: periods[0]}, c.t)
		require.NoError(t, err)
		assert.Equal(t, alertSummary{Waiting: 1, Failing: 1, Error: "the receiver answered 301 Moved Permanently"}, v.Alerts)
	})
}

// texts returns what was posted, in words.
func (r *receiver) texts(t *testing.T) (texts []string) {
	t.Helper()
	for _, body := range r.bodies {
		var a alert
		require.NoError(t, json.Unmarshal([]byte(body), &a))
		texts = append(texts, a.Kind+": "+a.Text)
	}
	return texts
}

// Hundreds of events that fail in one way are one alert; an hour later one more, if more
// events fail; and one when the last is delivered.
func TestAlertsOfGroups(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		c := &clock{t: time.Date(2026, 3, 1, 2, 14, 0, 0, time.UTC)}
		s, r := open(t, location), newReceiver(t)
		hook := epcclogstest.SampleIntegration(0)
		hook.Name = "<!channel> & Co"
		name := "&lt;!channel&gt; &amp; Co" // as chat services want it
		require.NoError(t, s.saveIntegration(t.Context(), hook))
		a := newAlerter(s, r, c)
		a.alerts.each, a.publicURL = false, "https://watch.example"
		step := func(d time.Duration, logs ...epcclogs.IntegrationLog) {
			c.t = c.t.Add(d)
			c.read(t, s, logs...)
			a.do(t)
		}
		var lost, delivered []epcclogs.IntegrationLog
		for i := range 112 {
			l := failed(hook.ID, fmt.Sprint("job-", i), 1, c.t, 503)
			l.Body = fmt.Sprintf("<h1>Down for maintenance</h1> request %08d", i)
			lost = append(lost, l)
			delivered = append(delivered, epcclogstest.Log(hook.ID, l.JobID(), 2, c.t.Add(3*time.Hour)))
		}
		// covering returns the alert that the page of an event shows.
		covering := func(job string) (alerted bool, told string) {
			all, err := s.event(t.Context(), job)
			require.NoError(t, err)
			require.Len(t, all, 1)
			return all[0].Alerted, all[0].Told
		}
		step(0, lost...)
		alerted, told := covering("job-1")
		assert.False(t, alerted)
		assert.Empty(t, told)
		step(6 * time.Minute)
		alerted, told = covering("job-1")
		assert.True(t, alerted)
		assert.Equal(t, "failing", told)
		link := "\nhttps://watch.example/events?integration=" + hook.ID + "&older=1&period=24h&status=503"
		begun := "failing: " + name + ": 112 events are not delivered since 1 Mar 02:14 UTC. " +
			"The last answer was 503 Service Unavailable: &lt;h1&gt;Down for maintenance&lt;/h1&gt; request "
		require.Len(t, r.bodies, 1)
		assert.Contains(t, r.texts(t)[0], begun)
		assert.Contains(t, r.texts(t)[0], link)

		step(30*time.Minute, failed(hook.ID, "later", 1, c.t, 503))
		_, told = covering("later")
		assert.Empty(t, told, "the grace period is not over")
		step(6 * time.Minute)
		_, told = covering("later")
		assert.Equal(t, "failing", told, "that of the group, which it has joined")
		assert.Len(t, r.bodies, 1, "an hour has not passed")
		step(30 * time.Minute)
		require.Len(t, r.bodies, 2)
		assert.Contains(t, r.texts(t)[1], "reminder: Still failing: "+name+": 113 events are not delivered")
		_, told = covering("later")
		assert.Equal(t, "reminder", told)
		step(2 * time.Hour)
		assert.Len(t, r.bodies, 2, "nothing more has failed")

		step(0, failed(hook.ID, "later", 2, c.t, 503))
		step(0, delivered...)
		assert.Len(t, r.bodies, 2, "one is still undelivered")
		step(0, epcclogstest.Log(hook.ID, "later", 3, c.t))
		require.Len(t, r.bodies, 3)
		assert.Equal(t, "recovered: "+name+": no event fails with 503 any more"+link, r.texts(t)[2])

		// Some are never delivered. That is over when others have been for a while.
		step(0, failed(hook.ID, "bad", 1, c.t, 422))
		step(6*time.Minute, epcclogstest.Log(hook.ID, "good", 1, c.t.Add(5*time.Minute)))
		assert.Len(t, r.bodies, 4)
		step(30 * time.Minute)
		require.Len(t, r.bodies, 5)
		assert.Contains(t, r.texts(t)[4], "deliveries succeed again. 1 event is not delivered and tried no more (422, since ")
		step(24 * time.Hour)
		assert.Len(t, r.bodies, 5)

		// What fails in another way now is another group, once the grace period is over.
		step(0, failed(hook.ID, "moves", 1, c.t, 500))
		step(6*time.Minute, failed(hook.ID, "moves", 2, c.t.Add(6*time.Minute), 0))
		step(6 * time.Minute)
		var kinds []string
		for _, text := range r.texts(t)[5:] {
			kinds = append(kinds, strings.SplitN(text, ": ", 2)[0])
		}
		assert.Equal(t, []string{"failing"}, kinds, "the first answer was over before its alert, the second is told")
		slices.Sort(r.keys)
		assert.Len(t, slices.Compact(r.keys), len(r.bodies), "each alert has a key of its own")
	})
}

// What was over before the receiver could take its alert is not told at all.
func TestGroupOver(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		a.alerts.each, r.status = false, http.StatusBadGateway
		c.read(t, s, failed("hook", "job", 1, c.t, 500))
		c.t = c.t.Add(a.alerts.grace)
		c.read(t, s)
		a.do(t)
		c.t = c.t.Add(alertMinRetry)
		a.do(t)
		require.Len(t, r.keys, 2)
		assert.Equal(t, r.keys[0], r.keys[1], "it is the same alert")
		c.t = c.t.Add(time.Hour)
		c.read(t, s, epcclogstest.Log("hook", "job", 2, c.t))
		r.status = http.StatusOK
		a.do(t)
		assert.Len(t, r.keys, 2)
		assert.Zero(t, number(t, s.db, `SELECT COUNT(*) FROM incidents`))
	})
}

// The first run reads the failures of a year. Those that are over need no alert.
func TestFirstRun(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		a.alerts.each = false
		c.read(t, s, failed("one", "old", 1, c.t.Add(-time.Hour), 500), epcclogstest.Log("one", "good", 1, c.t), failed("two", "new", 1, c.t, 500))
		c.t = c.t.Add(10 * time.Minute)
		c.read(t, s)
		a.do(t)
		require.Len(t, r.bodies, 1)
		assert.Contains(t, r.bodies[0], `"integration":"two"`)
		_, base := serveWeb(t, s)
		_, body := get(t, base+"/event/old")
		assert.Contains(t, body, "No alert is needed: others have succeeded since.")
		_, body = get(t, base+"/event/new")
		assert.Contains(t, body, "Alert “failing”: sent ")
	})
}

// Of many processes that watch one database, one posts each alert.
func TestAlertsOfTwo(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		r, c := newReceiver(t), &clock{t: time.Now()}
		var logs []epcclogs.IntegrationLog
		for i := range 150 {
			logs = append(logs, failed("hook", fmt.Sprint(i), 1, c.t, 500))
		}
		c.read(t, open(t, location), logs...)
		c.t = c.t.Add(time.Hour)
		var both sync.WaitGroup
		for range 3 {
			s := open(t, location)
			a := newAlerter(s, r, c)
			c.read(t, s)
			both.Go(func() {
				for range 3 {
					_, err := a.look(t.Context())
					assert.NoError(t, err)
				}
			})
		}
		both.Wait()
		slices.Sort(r.keys)
		assert.Len(t, slices.Compact(slices.Clone(r.keys)), 150)
		assert.Len(t, r.keys, 150, "none twice")
	})
}

// Neither a text that is no UTF-8 nor a time that cannot be holds up alerts, pages or APIs.
func TestOddRecords(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		odd := failed("hook\xff", "odd", 1, c.t, 500)
		odd.ErrorDetail, odd.Body, odd.ProcessingTime = "bad \xff\x00 text", strings.Repeat("ü", bodyLimit), 1e300
		late := failed("hook\xff", "late", 1, time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -8*3600)), 500)
		early := failed("hook\xff", "early", 1, time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC), 500)
		c.read(t, s, odd, late, early, failed("hook", "plain", 1, c.t, 500))
		w, base := serveWeb(t, s)
		w.followers[0].reading.stored(c.t, true)
		c.t = c.t.Add(10 * time.Minute)
		c.read(t, s)
		a := newAlerter(s, r, c)
		for range 3 {
			a.do(t)
		}
		assert.Len(t, r.keys, 4, "each once")
		for _, path := range []string{"/", "/?integration=%ff", "/events", "/event/odd", "/event/late", "/api/summary", "/api/undelivered", "/api/undelivered?integration=%ff%00"} {
			status, body := get(t, base+path)
			assert.Equal(t, http.StatusOK, status, path)
			assert.True(t, utf8.ValidString(body), path)
		}
		_, body := get(t, base+"/event/late")
		assert.Contains(t, body, "(read then; the API sent no time)")
		_, body = get(t, base+"/event/odd")
		assert.NotContains(t, body, "the API sent no time")
		_, body = get(t, base+"/api/undelivered")
		assert.Contains(t, body, `"total":4`)
	})
}

// A clock that is set back, by an hour or to what was a day ago, holds up no alert for
// longer than the grace period.
func TestClockSetBack(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		r.status = http.StatusServiceUnavailable
		for i, back := range []time.Duration{time.Hour, 24 * time.Hour} {
			c.read(t, s, failed("hook", fmt.Sprint("job-", i), 1, c.t, 500))
			c.t = c.t.Add(a.alerts.grace)
			c.read(t, s)
			a.do(t) // is not taken
			c.read(t, s, failed("hook", fmt.Sprint("other-", i), 1, c.t, 500))
			c.t = c.t.Add(-back)
			c.read(t, s)
			r.status = http.StatusOK
			a.do(t)
			c.t = c.t.Add(a.alerts.grace)
			c.read(t, s)
			a.do(t)
			assert.Equal(t, 2*(i+1), number(t, s.db, `SELECT COUNT(*) FROM incidents WHERE told_at > 0`))
			r.status = http.StatusServiceUnavailable
		}
	})
	w := newWeb(testProgram(nil))
	now := time.Now()
	assert.Empty(t, w.caughtUp(now))
	w.followers[0].reading.stored(now.Add(-time.Minute), true)
	assert.Equal(t, time.Minute, now.Sub(w.caughtUp(now)[0].at))
}

// A receiver is left alone for as long as it asks; one alert that it does not want holds
// up no others.
func TestReceiverAsks(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s, r, c := open(t, location), newReceiver(t), &clock{t: time.Now()}
		a := newAlerter(s, r, c)
		c.read(t, s, failed("hook", "one", 1, c.t, 500), failed("hook", "two", 1, c.t, 500))
		c.t = c.t.Add(a.alerts.grace)
		c.read(t, s)
		r.status, r.header = http.StatusTooManyRequests, http.Header{"Retry-After": {"1200"}}
		a.do(t)
		c.t = c.t.Add(1199 * time.Second)
		a.do(t)
		assert.Len(t, r.keys, 1)
		c.t = c.t.Add(time.Second)
		r.status, r.header = http.StatusBadRequest, nil
		a.do(t)
		assert.Len(t, r.keys, 3, "both are tried")
	})
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "999999": alertMaxPause, "soon": 0,
		"Sun, 01 Mar 2026 00:02:00 GMT": 2 * time.Minute, "Sun, 01 Feb 2026 00:02:00 GMT": 0,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), value)
	}
}
