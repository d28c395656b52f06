package epcclogstest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// sized returns an integration "i1" with n logs.
func sized(n int) epcclogstest.Option {
	return epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, epcclogstest.SampleLogs("i1", n)...)
}

func TestEnvelopes(t *testing.T) {
	const path = "/v2/integrations/i1/logs"
	for _, row := range []struct {
		envelope epcclogstest.Envelope
		records  int
		query    string
		want     string // all but data
	}{
		{epcclogstest.Meta, 60, "", `{"meta": {"limit": 25, "offset": 0, "current": 1, "total": 3}, "results": {"total": 60}}`},
		{epcclogstest.Meta, 50, "page[offset]=25", `{"meta": {"limit": 25, "offset": 25, "current": 2, "total": 2}, "results": {"total": 50}}`},
		{epcclogstest.Meta, 0, "", `{"meta": {"limit": 25, "offset": 0, "current": 1, "total": 0}, "results": {"total": 0}}`},
		{epcclogstest.Nested, 60, "page[limit]=7&page[offset]=9", `{"meta": {
			"page": {"limit": 7, "offset": 9, "current": 2, "total": 9}, "results": {"total": 60}}}`},
		{epcclogstest.Bare, 60, "", `{}`},
		{epcclogstest.Links, 60, "", `{"links": {
			"first": "/integrations/i1/logs?page[offset]=0&page[limit]=25",
			"next": "/integrations/i1/logs?page[offset]=25&page[limit]=25"}}`},
		{epcclogstest.Links, 60, "page[limit]=20&page[offset]=30", `{"links": {
			"first": "/integrations/i1/logs?page[offset]=0&page[limit]=20",
			"next": "/integrations/i1/logs?page[offset]=50&page[limit]=20",
			"prev": "/integrations/i1/logs?page[offset]=10&page[limit]=20"}}`},
		{epcclogstest.Links, 60, "page[limit]=20&page[offset]=40", `{"links": {
			"first": "/integrations/i1/logs?page[offset]=0&page[limit]=20",
			"prev": "/integrations/i1/logs?page[offset]=20&page[limit]=20"}}`},
		{epcclogstest.Links, 60, "page[offset]=70", `{"links": {
			"first": "/integrations/i1/logs?page[offset]=0&page[limit]=25",
			"prev": "/integrations/i1/logs?page[offset]=45&page[limit]=25"}}`},
		{epcclogstest.Links, 0, "", `{"links": {"first": "/integrations/i1/logs?page[offset]=0&page[limit]=25"}}`},
	} {
		t.Run(fmt.Sprint(row.envelope, " ", row.records, " ", row.query), func(t *testing.T) {
			srv := newServer(t, sized(row.records), epcclogstest.WithEnvelope(row.envelope))
			_, v := get(t, srv, path+"?"+row.query)
			if _, ok := v["data"].([]any); !ok {
				t.Errorf("data is %v", v["data"])
			}
			delete(v, "data")
			equal(t, v, row.want)
			if _, v = get(t, srv, "/v2/integrations/i1/jobs"); len(v) != 1 {
				t.Errorf("jobs in an envelope: %v", v)
			}
		})
	}
}

func TestPageLength(t *testing.T) {
	for _, row := range []struct {
		opts  []epcclogstest.Option
		query string
		meta  string
		n     int
	}{
		{nil, "", `{"limit": 25, "offset": 0, "current": 1, "total": 20}`, 25},
		{nil, "page[limit]=0", `{"limit": 25, "offset": 0, "current": 1, "total": 20}`, 25},
		{nil, "page[limit]=100", `{"limit": 100, "offset": 0, "current": 1, "total": 5}`, 100},
		{nil, "page[limit]=101", `{"limit": 100, "offset": 0, "current": 1, "total": 5}`, 100},
		{
			[]epcclogstest.Option{epcclogstest.WithMaxLimit(250)},
			"page[limit]=300&page[offset]=300",
			`{"limit": 250, "offset": 300, "current": 2, "total": 2}`, 200,
		},
		{
			[]epcclogstest.Option{epcclogstest.WithMaxLimit(10)},
			"",
			`{"limit": 10, "offset": 0, "current": 1, "total": 50}`, 10,
		},
		{
			[]epcclogstest.Option{epcclogstest.WithSilentMaxLimit(10)},
			"page[limit]=100&page[offset]=210",
			`{"limit": 100, "offset": 210, "current": 3, "total": 5}`, 10,
		},
		{
			[]epcclogstest.Option{epcclogstest.WithSilentMaxLimit(10)},
			"",
			`{"limit": 25, "offset": 0, "current": 1, "total": 20}`, 10,
		},
		{
			[]epcclogstest.Option{epcclogstest.WithIgnoredOffset()},
			"page[offset]=400",
			`{"limit": 25, "offset": 0, "current": 1, "total": 20}`, 25,
		},
	} {
		srv := newServer(t, append(row.opts, sized(500))...)
		_, v := get(t, srv, "/v2/integrations/i1/logs?"+row.query)
		equal(t, v["meta"], row.meta)
		equal(t, v["results"], `{"total": 500}`)
		if got := len(ids(v)); got != row.n {
			t.Errorf("%q: %d records", row.query, got)
		}
	}
}

func TestSilentLimitKeepsTheLinksRight(t *testing.T) {
	srv := newServer(t, sized(45), epcclogstest.WithEnvelope(epcclogstest.Links), epcclogstest.WithSilentMaxLimit(20))
	_, v := get(t, srv, "/v2/integrations/i1/logs?page[limit]=50")
	equal(t, v["links"], `{
		"first": "/integrations/i1/logs?page[offset]=0&page[limit]=50",
		"next": "/integrations/i1/logs?page[offset]=20&page[limit]=50"}`)
}

func TestMaxOffset(t *testing.T) {
	srv := newServer(t, sized(60), epcclogstest.WithMaxOffset(40))
	for _, path := range []string{"/v2/integrations", "/v2/integrations/logs", "/v2/integrations/i1/logs", "/v2/integrations/i1/jobs"} {
		if status, v := get(t, srv, path+"?page[offset]=40"); status != 200 {
			t.Errorf("%s: %d %v", path, status, v)
		}
		status, v := get(t, srv, path+"?page[offset]=41")
		if status != 400 {
			t.Errorf("%s: %d", path, status)
		}
		equal(t, v, `{"errors": [{"title": "Bad Request", "status": 400, "detail": "page[offset] must be 40 or less"}]}`)
	}
	srv = newServer(t, sized(60), epcclogstest.WithMaxOffset(0), epcclogstest.WithIgnoredOffset())
	if status, _ := get(t, srv, "/v2/integrations/i1/logs?page[offset]=41"); status != 200 {
		t.Errorf("an offset that is ignored: %d", status)
	}
}

// Every page together gives every record once and in order.
func TestDrain(t *testing.T) {
	const n = 1037
	srv := newServer(t, sized(n))
	var got []string
	for offset := 0; ; offset += 100 {
		_, v := get(t, srv, fmt.Sprintf("/v2/integrations/i1/logs?page[limit]=100&page[offset]=%d", offset))
		page := ids(v)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	var want []string
	for _, l := range epcclogstest.SampleLogs("i1", n) {
		want = append(want, l.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d records, or in another order", len(got))
	}
}
