package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
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

// testProgram is what the parts of the program share, with settings that tests change.
func testProgram(s *store) *program {
	set := &settings{addr: "127.0.0.1:0", interval: 10 * time.Second, alerts: alertSettings{url: "http://alerts.example", each: true, grace: 5 * time.Minute}}
	return &program{settings: set, title: "test", store: s, metrics: newMetrics(), logger: silent}
}

// serveWeb serves a database that one list is read into, without the rest of the
// program.
func serveWeb(t *testing.T, s *store) (w *web, base string) {
	t.Helper()
	w = newWeb(testProgram(s))
	w.cache = newCache(0)
	srv := httptest.NewServer(w.handler())
	t.Cleanup(srv.Close)
	return w, srv.URL
}

func TestHealth(t *testing.T) {
	w, base := serveWeb(t, open(t, databases["sqlite"](t)))
	r := &w.followers[0].reading
	status, body := get(t, base+"/healthz")
	assert.Equal(t, http.StatusServiceUnavailable, status, "nothing was read yet")
	assert.JSONEq(t, `{"status":"stale"}`, body)

	r.stored(time.Now().Add(-29*time.Second), true)
	r.failed(errors.New("no route"))
	status, body = get(t, base+"/healthz")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `"no route"`)

	r.stored(time.Now().Add(-31*time.Second), true)
	status, body = get(t, base+"/healthz")
	assert.Equal(t, http.StatusServiceUnavailable, status)

	assert.NotContains(t, body, "error")

	// Of several lists, the one that was read longest ago counts.
	r.stored(time.Now(), true)
	w.followers = append(w.followers, &follower{list: "other"})
	status, _ = get(t, base+"/healthz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

func TestPage(t *testing.T) {
	s := open(t, databases["sqlite"](t))
	w, base := serveWeb(t, s)
	_, body := get(t, base+"/")
	assert.Contains(t, body, "No deliveries have been read yet")
	assert.Contains(t, body, "The logs are being read for the first time.")

	now := time.Now()
	evil := failed("hook", "<job>", 1, now.Add(-72*time.Hour), 500)
	evil.Body, evil.ErrorDetail = "<script>alert(1)</script>", `"><img src=x>`
	save(t, s, wholeStore, []epcclogs.IntegrationLog{evil}, place{"", now}, now)
	require.NoError(t, s.saveIntegration(t.Context(), epcclogs.Integration{ID: "hook", Name: "<i>Hook</i>"}))
	w.followers[0].reading.stored(now.Add(-3*time.Hour), true)
	_, body = get(t, base+"/")
	assert.Contains(t, body, "The figures are complete only up to 3 h ago.")
	w.followers[0].reading.stored(now, true)
	_, body = get(t, base+"/")
	assert.NotContains(t, body, "The figures are")
	assert.Contains(t, body, "No deliveries in this time")
	assert.Contains(t, body, "?period=1y")
	_, body = get(t, base+"/?period=7d")
	_, event := get(t, base+eventPath("<job>"))
	assert.Contains(t, event, "&lt;script&gt;alert(1)&lt;/script&gt;")
	_, list := get(t, base+"/events?period=7d")
	body += event + list
	assert.Contains(t, body, "&lt;i&gt;Hook&lt;/i&gt;")
	assert.NotContains(t, body, "<script>")
	assert.NotContains(t, body, "<img")
	_, body = get(t, base+"/?period=7d&integration="+url.QueryEscape(`"><b>`))
	assert.NotContains(t, body, "<b>")

	for _, path := range []string{"/", "/api/summary", "/api/undelivered"} {
		status, body := get(t, base+path+"?period=yesterday")
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, body, "only 1h, 24h, 7d, 30d, 1y")
	}
	status, _ := get(t, base+"/other")
	assert.Equal(t, http.StatusNotFound, status)
}

func TestAPI(t *testing.T) {
	s := open(t, databases["sqlite"](t))
	w, base := serveWeb(t, s)
	now := time.Now()
	save(t, s, wholeStore, []epcclogs.IntegrationLog{
		failed("one", "a", 1, now, 503), failed("two", "b", 1, now, 0), epcclogstest.Log("two", "c", 1, now),
	}, place{"", now}, now)
	w.followers[0].reading.stored(now, true)

	require.NoError(t, s.saveIntegration(t.Context(), epcclogs.Integration{ID: "one", Name: "One"}))

	_, body := get(t, base+"/api/summary?integration=none")
	assert.NotContains(t, regexp.MustCompile(`"(failing_since|last_success)":null`).ReplaceAllString(body, ""), "null")
	_, body = get(t, base+"/api/summary")
	var sum summary
	require.NoError(t, json.Unmarshal([]byte(body), &sum))
	assert.Equal(t, Counts{3, 2, 1. / 3}, sum.Counts)
	assert.Equal(t, []statusCount{{0, 1}, {503, 1}}, sum.Statuses)
	_, body = get(t, base+"/api/undelivered?integration=two&period=1h")
	var list struct {
		Total  int           `json:"total"`
		Events []undelivered `json:"events"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	assert.Equal(t, 1, list.Total)
	require.Len(t, list.Events, 1)
	assert.Equal(t, "b", list.Events[0].Job)
	_, body = get(t, base+"/api/undelivered?integration=none")
	assert.JSONEq(t, `{"total":0,"events":[]}`, body)

	// An event that is ahead of the clock counts as well.
	save(t, s, wholeStore, []epcclogs.IntegrationLog{failed("one", "ahead", 1, now.Add(5*time.Minute), 503)}, place{"", now}, now)
	w.metrics.stored([]attempt{{Integration: "two", Succeeded: true}})
	_, body = get(t, base+"/metrics")
	for _, line := range []string{
		`watch_undelivered_events{integration="one",name="One"} 2`,
		`watch_delivery_attempts_total{integration="two",name="two",result="succeeded"} 1`,
		`watch_last_success_timestamp_seconds{integration="two",name="two"} `,
		`watch_alerts_waiting{integration="one",name="One"} 0`,
		"watch_last_reading_timestamp_seconds ",
		"watch_newest_record_timestamp_seconds ",
	} {
		assert.Contains(t, body, "\n"+line)
	}
}

func TestRequestsCounted(t *testing.T) {
	w, base := serveWeb(t, open(t, databases["sqlite"](t)))
	api := epcclogstest.NewServer()
	defer api.Close()
	api.Fail(1, epcclogstest.Status(http.StatusForbidden, ""))
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(api.URL), epcclogs.WithToken("example-token"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}), epcclogs.WithOnAttempt(w.metrics.attempt))
	require.NoError(t, err)
	for range 3 {
		_, _ = client.ListIntegrations(t.Context(), nil)
	}
	api.Close()
	_, err = client.ListIntegrations(t.Context(), nil)
	require.Error(t, err)
	_, body := get(t, base+"/metrics")
	for status, n := range map[string]int{"200": 2, "403": 1, "error": 1} {
		assert.Contains(t, body, fmt.Sprintf("\nwatch_api_requests_total{status=%q} %d\n", status, n))
	}
}

// When the database fails, the page says so and what.
func TestDatabaseGone(t *testing.T) {
	s, err := openStore(t.Context(), databases["sqlite"](t), "test")
	require.NoError(t, err)
	_, base := serveWeb(t, s)
	require.NoError(t, s.close())
	status, body := get(t, base+"/")
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Contains(t, body, "The database cannot be read: sql: database is closed")
	status, _ = get(t, base+"/api/summary")
	assert.Equal(t, http.StatusInternalServerError, status)
}

// Prometheus gets the rest, and that the database is down.
func TestMetricsWithoutDatabase(t *testing.T) {
	s, err := openStore(t.Context(), databases["sqlite"](t), "test")
	require.NoError(t, err)
	w, base := serveWeb(t, s)
	w.followers[0].reading.stored(time.Now(), true)
	require.NoError(t, s.close())
	status, body := get(t, base+"/metrics")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "\nwatch_database_up 0\n")
	assert.Contains(t, body, "\nwatch_last_reading_timestamp_seconds ")
}

// A page of another site, whose name points to this machine, is refused.
func TestHosts(t *testing.T) {
	w, base := serveWeb(t, open(t, databases["sqlite"](t)))
	w.publicURL = "https://watch.example"
	for host, want := range map[string]int{
		"evil.example": 421, "evil.example:8080": 421, "127.0.0.1.evil.example": 421, "watch.example.evil.example": 421,
		"watch.example": 200, "Watch.Example:443": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "localhost:1": 200, "10.1.2.3": 200,
	} {
		for _, path := range []string{"/", "/api/undelivered", "/metrics"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			require.NoError(t, err)
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, want, resp.StatusCode, host)
		}
	}
}

// A list that the API does not know says so, and keeps nobody from trusting the others.
func TestUnknownIntegration(t *testing.T) {
	hook := epcclogstest.SampleIntegration(0)
	api := epcclogstest.NewServer(epcclogstest.WithIntegration(hook))
	defer api.Close()
	setenv(t, api)
	url, _ := start(t, "-db", databases["sqlite"](t), "-interval", "100ms", hook.ID, "unknown-one")
	eventually(t, func() bool { status, _ := get(t, url+"healthz"); return status == http.StatusOK })
	eventually(t, func() bool { _, body := get(t, url+"healthz"); return strings.Contains(body, `"unknown-one":"`) })
	status, _ := get(t, url+"healthz")
	assert.Equal(t, http.StatusOK, status)
	_, body := get(t, url)
	assert.Contains(t, body, "New logs of the integration unknown-one do not come in at the moment.")
}

// An id that no integration can have is named, and nothing else is blamed.
func TestImpossibleID(t *testing.T) {
	api := epcclogstest.NewServer()
	defer api.Close()
	setenv(t, api)
	out := &output{}
	assert.Equal(t, 1, run(t.Context(), []string{"-addr", "127.0.0.1:0", "-db", databases["sqlite"](t), ".."}, out))
	assert.Contains(t, out.String(), `follow the logs of ..: `)
	assert.NotContains(t, out.String(), "database")
}

// However many ask, an answer is made once, and also for those who come after the one
// that asked first has gone. That one is no error.
func TestShared(t *testing.T) {
	c := newCache(time.Minute)
	errOdd := errors.New("odd")
	var made atomic.Int32
	ready := make(chan struct{})
	answer := func(context.Context) (any, error) {
		made.Add(1)
		<-ready
		return 7, errOdd
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.get(gone, "question", answer)
	require.ErrorIs(t, err, context.Canceled)
	answered := make(chan error, 12)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			n, err := c.get(t.Context(), "question", answer)
			assert.Equal(t, 7, n)
			answered <- err
		})
	}
	close(ready)
	all.Wait()
	for range 12 {
		require.ErrorIs(t, <-answered, errOdd)
	}
	assert.Equal(t, int32(1), made.Load())
	for i := range 3 * maxAnswers {
		_, err := c.get(t.Context(), i, func(context.Context) (any, error) { return i, nil })
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, len(c.answers), maxAnswers+2)
}

// A tab that is closed while its page is made is nothing to log.
func TestClosedTab(t *testing.T) {
	w, _ := serveWeb(t, open(t, databases["sqlite"](t)))
	out := &output{}
	logger := slog.New(slog.NewTextHandler(out, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/", "/events", "/event/x", "/api/summary"} {
		p := testProgram(w.store)
		p.logger = logger
		handler := (&web{program: p, cache: w.cache, followers: w.followers}).handler()
		w.cache.slots <- struct{}{} // nothing can be made
		w.cache.slots <- struct{}{}
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		req.Host = "localhost"
		handler.ServeHTTP(httptest.NewRecorder(), req)
		<-w.cache.slots
		<-w.cache.slots
	}
	assert.Empty(t, out.String())
}

// The first page tells what is broken since when; the list and the page of an event
// have the rest.
func TestWhatIsBroken(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		now := time.Now().UTC()
		var logs []epcclogs.IntegrationLog
		for i := range 60 {
			l := failed("down", fmt.Sprintf("job/%d?", i), 1, now.Add(time.Duration(i-60)*time.Second), 503)
			l.Body = fmt.Sprintf("maintenance %08d", i)
			logs = append(logs, l)
		}
		logs = append(logs, epcclogstest.Log("down", "before", 1, now.Add(-10*time.Minute)), failed("down", "older", 1, now.Add(-50*time.Hour), 503),
			failed("partly", "job", 1, now.Add(-time.Hour), 422), epcclogstest.Log("partly", "good", 1, now), epcclogstest.Log("fine", "good", 1, now))
		save(t, s, wholeStore, logs, place{"", now}, now)
		w, base := serveWeb(t, s)
		w.followers[0].reading.stored(now, true)
		v, err := s.look(t.Context(), filter{Period: periods[1]}, now)
		require.NoError(t, err)
		require.Len(t, v.Integrations, 3)
		down, partly := v.Integrations[0], v.Integrations[1]
		assert.Equal(t, []any{"down", true, 60, 1}, []any{down.ID, down.Down, down.Undelivered, down.Older})
		assert.Equal(t, now.Add(-60*time.Second).Truncate(time.Microsecond), *down.FailingSince)
		assert.Equal(t, now.Add(-10*time.Minute).Truncate(time.Microsecond), *down.LastSuccess)
		require.Len(t, down.Groups, 1)
		assert.Equal(t, "maintenance …", down.Groups[0].Answer)
		assert.Equal(t, []any{"partly", false, 1}, []any{partly.ID, partly.Down, partly.Undelivered})
		assert.Nil(t, v.Integrations[2].FailingSince)
		assert.Equal(t, 1, v.Older)

		_, body := get(t, base)
		assert.Contains(t, body, "down is failing, 1 other has undelivered events")
		_, partial := get(t, base+"/?integration=partly")
		assert.Contains(t, partial, "1 integration has undelivered events")
		assert.Contains(t, body, "60 events undelivered")
		assert.Contains(t, body, "1 older one</a>")
		link := regexp.MustCompile(`/events\?[^"]*status=503`).FindString(body)
		_, body = get(t, base+html.UnescapeString(link))
		assert.Contains(t, body, "60 undelivered events with 503 of down")
		assert.Contains(t, body, "Page 1 of 2")
		_, body = get(t, base+html.UnescapeString(link)+"&page=2")
		assert.Equal(t, 10, strings.Count(body, `<tr id="row-`))
		event := regexp.MustCompile(`/event/job[^"]*`).FindString(body)
		status, body := get(t, base+html.UnescapeString(event))
		assert.Equal(t, http.StatusOK, status)
		assert.Regexp(t, `maintenance 0000000\d`, body)
		assert.Contains(t, body, "<b class=\"bad\">not delivered</b> after 1 attempt")
		_, body = get(t, base+"/event/?job="+url.QueryEscape(" job/3? "))
		assert.Contains(t, body, "maintenance 00000003")
		_, body = get(t, base+"/events?older=1&integration=down")
		assert.Contains(t, body, "61 undelivered events")
		_, body = get(t, base+"/event/nothing")
		assert.Contains(t, body, "No attempt to deliver this event was read.")
		for _, bad := range []string{"/events?status=x", "/events?page=0", "/?from=2026-01-01T00:00Z", "/?from=x&to=y", "/?from=2026-01-02T00:00&to=2026-01-01T00:00"} {
			status, _ := get(t, base+bad)
			assert.Equal(t, http.StatusBadRequest, status, bad)
		}
	})
}

// A queue has no statuses: nothing says that an endpoint does not answer.
func TestQueue(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		s := open(t, location)
		_, base := serveWeb(t, s)
		now := time.Now()
		queue, hook := epcclogs.Integration{ID: "queue", IntegrationType: "aws_sqs"}, epcclogs.Integration{ID: "hook", IntegrationType: "webhook"}
		sent := epcclogstest.Log("queue", "sent", 1, now.Add(-time.Hour))
		sent.StatusCode = 0
		save(t, s, wholeStore, []epcclogs.IntegrationLog{failed("queue", "one", 1, now, 0), sent, failed("hook", "two", 1, now, 0)}, place{"", now}, now)
		for _, in := range []epcclogs.Integration{queue, hook} {
			require.NoError(t, s.saveIntegration(t.Context(), in))
		}
		for path, found := range map[string]bool{
			"/?integration=queue": false, "/events?integration=queue&status=0": false, "/event/one": false,
			"/?integration=hook": true, "/events?integration=hook&status=0": true, "/event/two": true,
		} {
			_, body := get(t, base+path)
			assert.Equal(t, found, strings.Contains(body, "The endpoint does not answer within 10 s."), path)
			assert.Contains(t, body, "no status")
		}
		_, body := get(t, base+"/event/sent")
		assert.Contains(t, body, `<b class="ok">delivered</b>`)
		assert.NotContains(t, body, "no status")
		for _, path := range []string{"/api/summary", "/api/undelivered"} {
			_, body := get(t, base+path)
			assert.Contains(t, body, `"integration_type":"aws_sqs"`)
		}
		assert.Contains(t, alert{Kind: kindFailing, Answer: "The queue is gone"}.words(), "The last attempt failed: The queue is gone")
		assert.Contains(t, alert{Kind: kindRecovered}.words(), "no event fails without a status any more")
	})
}

func TestTexts(t *testing.T) {
	now := time.Now()
	for want, d := range map[string]time.Duration{
		"0 s": -time.Minute, "119 s": 119 * time.Second, "2 min": 2 * time.Minute,
		"119 min": 119 * time.Minute, "2 h": 2 * time.Hour, "47 h": 47 * time.Hour, "2 days": 48 * time.Hour,
	} {
		assert.Equal(t, want, ago(now, now.Add(-d)))
	}
	assert.Equal(t, "0", count(0))
	assert.Equal(t, "999", count(999))
	assert.Equal(t, "1,234,567", count(1234567))
	assert.Equal(t, "99.99 %", percent(0.999999))
	assert.Equal(t, "100.00 %", percent(1))
	assert.Equal(t, "–", took(0))
	assert.Equal(t, "81ms", took(81_200))
	assert.Equal(t, "1.234s", took(1_234_000))
}
