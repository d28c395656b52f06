package epcclogstest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// listed returns the ids of a listing's first hundred records.
func listed(t *testing.T, srv *epcclogstest.Server, path string) string {
	t.Helper()
	_, v := get(t, srv, path+"?page[limit]=100")
	return strings.Join(ids(v), " ")
}

// Records arrive at the growing end of both lists, and InsertLogs counts from
// the front, whichever end that is.
func TestOrder(t *testing.T) {
	for _, row := range []struct {
		opts                                         []epcclogstest.Option
		start, added, prepended, inserted, atTheEnds string // of the whole store
		ofTheFirst                                   string // at last
	}{
		{
			nil,
			"a1 a2 b1",
			"a1 a2 b1 a3 a4 b2",
			"p1 p2 a1 a2 b1 a3 a4 b2",
			"p1 p2 a1 a2 b1 i1 i2 a3 a4 b2",
			"e1 p1 p2 a1 a2 b1 i1 i2 a3 a4 b2 e2",
			"e1 p1 p2 a1 a2 i1 i2 a3 a4 e2",
		},
		{
			[]epcclogstest.Option{epcclogstest.WithNewestFirst()},
			"b1 a2 a1",
			"b2 a4 a3 b1 a2 a1",
			"p1 p2 b2 a4 a3 b1 a2 a1",
			"p1 p2 b2 a4 a3 i1 i2 b1 a2 a1",
			"e1 p1 p2 b2 a4 a3 i1 i2 b1 a2 a1 e2",
			"e1 p1 p2 a4 a3 i1 i2 a2 a1 e2",
		},
	} {
		srv := newServer(t, append(row.opts,
			epcclogstest.WithIntegration(epcclogs.Integration{ID: "a"}, logs("a1", "a2")...),
			epcclogstest.WithIntegration(epcclogs.Integration{ID: "b"}, logs("b1")...))...)
		want := func(path, ids string) {
			t.Helper()
			if got := listed(t, srv, path); got != ids {
				t.Errorf("%s has %s, not %s", path, got, ids)
			}
		}
		want("/v2/integrations/logs", row.start)
		srv.AddLogs("a", logs("a3", "a4")...)
		srv.AddLogs("b", logs("b2")...)
		want("/v2/integrations/logs", row.added)
		srv.PrependLogs("a", logs("p1", "p2")...)
		want("/v2/integrations/logs", row.prepended)
		srv.InsertLogs("a", 4, logs("i1", "i2")...)
		want("/v2/integrations/logs", row.inserted)
		srv.InsertLogs("a", 8, logs("e2")...)
		srv.InsertLogs("a", 0, logs("e1")...)
		want("/v2/integrations/logs", row.atTheEnds)
		want("/v2/integrations/a/logs", row.ofTheFirst)
		want("/v2/integrations", "a b")
	}
}

func TestPagesOfTheNewestFirst(t *testing.T) {
	srv := newServer(t, epcclogstest.WithNewestFirst(),
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, logs("a", "b", "c", "d", "e")...))
	for query, want := range map[string]string{
		"page[limit]=2":                                  "e d",
		"page[limit]=2&page[offset]=1":                   "d c",
		"page[limit]=2&page[offset]=4":                   "a",
		"page[limit]=2&page[offset]=5":                   "",
		"page[limit]=2&page[offset]=9223372036854775807": "",
	} {
		_, v := get(t, srv, "/v2/integrations/i1/logs?"+query)
		if got := strings.Join(ids(v), " "); got != want {
			t.Errorf("%s: %s", query, got)
		}
		equal(t, v["results"], `{"total": 5}`)
	}
}

func TestRemoveLogs(t *testing.T) {
	at := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	var logs []epcclogs.IntegrationLog
	for i := range 6 {
		l := epcclogstest.Log("i1", fmt.Sprint("j", i/2), i%2+1, at.Add(time.Duration(i)*time.Hour))
		l.ID = fmt.Sprint("l", i)
		logs = append(logs, l)
	}
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, logs...),
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "i2"}, logs[0]))
	var seen []epcclogs.IntegrationLog
	n := srv.RemoveLogs("i1", func(l epcclogs.IntegrationLog) bool {
		seen = append(seen, l)
		return l.CreatedAt().Before(at.Add(2*time.Hour)) || l.ID == "l4"
	})
	if n != 3 || !slices.Equal(seen, logs) {
		t.Errorf("%d removed of %v", n, seen)
	}
	for path, want := range map[string]string{
		"/v2/integrations/i1/logs":         "l2 l3 l5",
		"/v2/integrations/i2/logs":         "l0",
		"/v2/integrations/logs":            "l2 l3 l5 l0",
		"/v2/integrations/i1/jobs":         "j1 j2",
		"/v2/integrations/i1/jobs/j2/logs": "l5",
	} {
		if got := listed(t, srv, path); got != want {
			t.Errorf("%s has %s, not %s", path, got, want)
		}
	}
	if status, _ := get(t, srv, "/v2/integrations/i1/jobs/j0/logs"); status != 404 {
		t.Errorf("a job without logs: %d", status)
	}
	if n := srv.RemoveLogs("i1", func(epcclogs.IntegrationLog) bool { return false }); n != 0 {
		t.Error(n)
	}
	if n := srv.RemoveLogs("i1", func(epcclogs.IntegrationLog) bool { return true }); n != 3 {
		t.Error(n)
	}
	srv.AddLogs("i1", logs[1])
	if got := listed(t, srv, "/v2/integrations/logs"); got != "l0 l1" {
		t.Error(got)
	}
}

// Each listing is what a plain slice becomes by the same changes, and the list
// of the store has each integration's records in the integration's order.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		newest := seed%2 == 1
		var opts []epcclogstest.Option
		if newest {
			opts = append(opts, epcclogstest.WithNewestFirst())
		}
		model := map[string][]string{"a": nil, "b": nil}
		for _, id := range []string{"a", "b"} {
			opts = append(opts, epcclogstest.WithIntegration(epcclogs.Integration{ID: id}))
		}
		srv := newServer(t, opts...)
		number := 0
		for range 100 {
			id := []string{"a", "b"}[r.IntN(2)]
			list := model[id]
			var added []string
			for range r.IntN(3) {
				number++
				added = append(added, fmt.Sprint(id, number))
			}
			switch r.IntN(4) {
			case 0:
				srv.AddLogs(id, logs(added...)...)
				if newest {
					slices.Reverse(added)
					list = slices.Concat(added, list)
				} else {
					list = append(list, added...)
				}
			case 1:
				srv.PrependLogs(id, logs(added...)...)
				list = slices.Concat(added, list)
			case 2:
				i := r.IntN(len(list) + 1)
				srv.InsertLogs(id, i, logs(added...)...)
				list = slices.Insert(list, i, added...)
			case 3:
				gone := func(id string) bool { return id[len(id)-1] == '0'+byte(number%10) }
				before := len(list)
				list = slices.DeleteFunc(list, gone)
				n := srv.RemoveLogs(id, func(l epcclogs.IntegrationLog) bool { return gone(l.ID) })
				if n != before-len(list) {
					t.Fatalf("seed %d: %d removed", seed, n)
				}
			}
			model[id] = list
		}
		store := strings.Fields(listed(t, srv, "/v2/integrations/logs"))
		for id, want := range model {
			if got := strings.Fields(listed(t, srv, "/v2/integrations/"+id+"/logs")); !slices.Equal(got, want) {
				t.Errorf("seed %d: %s has\n%v, not\n%v", seed, id, got, want)
			}
			inStore := slices.DeleteFunc(slices.Clone(store), func(s string) bool { return s[:1] != id })
			if !slices.Equal(inStore, want) {
				t.Errorf("seed %d: the store has of %s\n%v, not\n%v", seed, id, inStore, want)
			}
		}
	}
}

func TestLogsAreCopied(t *testing.T) {
	given := logs("a")
	in := epcclogs.Integration{ID: "i1", Observes: []string{"order.paid"}}
	srv := newServer(t, epcclogstest.WithIntegration(in, given...))
	given[0].ID, in.Observes[0] = "changed", "changed"
	if got := listed(t, srv, "/v2/integrations/i1/logs"); got != "a" {
		t.Error(got)
	}
	_, v := get(t, srv, "/v2/integrations/i1")
	equal(t, v["data"].(map[string]any)["observes"], `["order.paid"]`)
}

func TestRemoveIntegration(t *testing.T) {
	srv := newServer(t,
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "a"}, logs("a1", "a2")...),
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "b"}, logs("b1")...))
	srv.AddLogs("a", logs("a3")...)
	srv.RemoveIntegration("a")
	for path, want := range map[string]string{
		"/v2/integrations": "b", "/v2/integrations/logs": "b1", "/v2/integrations/b/logs": "b1",
	} {
		if got := listed(t, srv, path); got != want {
			t.Errorf("%s has %s, not %s", path, got, want)
		}
	}
	if status, _ := get(t, srv, "/v2/integrations/a/logs"); status != 404 {
		t.Errorf("its logs: %d", status)
	}
	srv.AddLogs("b", logs("b2")...)
	if got := listed(t, srv, "/v2/integrations/logs"); got != "b1 b2" {
		t.Error(got)
	}
}
