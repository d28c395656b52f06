package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// serveWeb serves a database that one list is read into, without the rest of the
// program.
func serveWeb(t *testing.T, s *store) (w *web, base string) {
	t.Helper()
	w = &web{
		store: s, followers: []*follower{{}}, metrics: newMetrics(), interval: 10 * time.Second,
		title: "test", alerting: true, logger: silent, cache: newCache(0),
	}
	handler, err := w.handler()
	require.NoError(t, err)
	srv := httptest.NewServer(handler)
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
	w.followers = append(w.followers, &follower{})
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
	require.NoError(t, s.saveIntegrations(t.Context(), []epcclogs.Integration{{ID: "hook", Name: "<i>Hook</i>"}}))
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

	w.metrics.stored(rowsOf([]epcclogs.IntegrationLog{epcclogstest.Log("two", "c", 1, now)}, now))
	_, body = get(t, base+"/metrics")
	for _, line := range []string{
		`watch_undelivered_events{integration="one",name=""} 1`,
		`watch_delivery_attempts_total{integration="two",result="succeeded"} 1`,
		"watch_alerts_waiting 0",
		"watch_last_reading_timestamp_seconds ",
		"watch_newest_record_timestamp_seconds ",
	} {
		assert.Contains(t, body, "\n"+line)
	}
}

// The client's log has records of other things than requests, too.
func TestRequestsCounted(t *testing.T) {
	w, base := serveWeb(t, open(t, databases["sqlite"](t)))
	logger := slog.New(requestLog{silent.Handler(), w.metrics})
	api := epcclogstest.NewServer()
	defer api.Close()
	api.Fail(1, epcclogstest.Status(http.StatusForbidden, ""))
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(api.URL), epcclogs.WithToken("example-token"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}), epcclogs.WithLogger(logger))
	require.NoError(t, err)
	for range 3 {
		_, _ = client.ListIntegrations(t.Context(), nil)
	}
	api.Close()
	_, err = client.ListIntegrations(t.Context(), nil)
	require.Error(t, err)
	logger.DebugContext(t.Context(), "epcclogs: pace", "rate", 1)
	_, body := get(t, base+"/metrics")
	for status, n := range map[string]int{"200": 2, "403": 1, "error": 1} {
		assert.Contains(t, body, fmt.Sprintf("\nwatch_api_requests_total{status=%q} %d\n", status, n))
	}
}

// When the database fails, the page says so and what.
func TestDatabaseGone(t *testing.T) {
	s, err := openStore(t.Context(), databases["sqlite"](t), "test", false)
	require.NoError(t, err)
	_, base := serveWeb(t, s)
	require.NoError(t, s.close())
	status, body := get(t, base+"/")
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Contains(t, body, "The database cannot be read: sql: database is closed")
	status, _ = get(t, base+"/api/summary")
	assert.Equal(t, http.StatusInternalServerError, status)
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
	assert.Equal(t, "–", secondsText(0))
	assert.Equal(t, "81 ms", secondsText(0.0812))
	assert.Equal(t, "1.2 s", secondsText(1.234))
	for highest, top := range map[float64]float64{1: 3, 3: 3, 5: 5, 11: 15, 700: 800, 2800: 3000, 9001: 10000} {
		got, steps := niceScale(highest)
		assert.InDelta(t, top, got, 1e-9, highest)
		assert.InDelta(t, 0, (got/float64(steps))-float64(int(got/float64(steps))), 1e-9)
	}
}
