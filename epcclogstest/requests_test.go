package epcclogstest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func TestLogsArriveBetweenPages(t *testing.T) {
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, logs("b", "c")...))
	var numbers []int
	srv.OnRequest(func(n int, r epcclogstest.Request) {
		numbers = append(numbers, n)
		if r.Path != "/v2/integrations/i1/logs" || r.RawQuery != "page[limit]=9" || !r.Authorized {
			t.Errorf("%+v", r)
		}
		srv.InsertLogs("i1", 0, logs("0", "a")...)
		srv.AddLogs("i1", logs("d", "e")...)
	})
	_, v := get(t, srv, "/v2/integrations/i1/logs?page[limit]=9")
	if got := strings.Join(ids(v), ""); got != "0abcde" {
		t.Error(got)
	}
	srv.OnRequest(nil)
	_, v = get(t, srv, "/v2/integrations/i1/logs?page[limit]=9")
	equal(t, v["results"], `{"total": 6}`)
	if len(numbers) != 1 || numbers[0] != 1 {
		t.Error(numbers)
	}
}

func TestRequestsHoldNoSecrets(t *testing.T) {
	srv := newServer(t, epcclogstest.WithClientCredentials("shop", "hush-secret", 0))
	_, body, err := do(t.Context(), http.MethodPost, srv.URL+"/oauth/access_token?client_secret=hush-query", "hush-bearer",
		"grant_type=client_credentials&client_id=shop&client_secret=hush-secret")
	if err != nil {
		t.Fatal(err)
	}
	token := decode(t, body)["access_token"].(string)
	if _, _, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations?page[limit]=3", token, ""); err != nil {
		t.Fatal(err)
	}

	requests := srv.Requests()
	if len(requests) != 2 {
		t.Fatal(requests)
	}
	if all := fmt.Sprintf("%+v", requests); strings.Contains(all, "hush") || strings.Contains(all, token) {
		t.Errorf("a secret in %s", all)
	}
	post, list := requests[0], requests[1]
	if post.Method != "POST" || post.Path != "/oauth/access_token" || post.Form.Get("client_id") != "shop" || post.Authorized {
		t.Errorf("%+v", post)
	}
	if list.Method != "GET" || list.Path != "/v2/integrations" || list.RawQuery != "page[limit]=3" ||
		list.Form != nil || !list.Authorized || list.Header.Get("User-Agent") == "" || list.Time.Before(post.Time) {
		t.Errorf("%+v", list)
	}
	list.Header.Set("User-Agent", "changed")
	if srv.Requests()[1].Header.Get("User-Agent") == "changed" {
		t.Error("the record can be changed from outside")
	}
}

// A server that runs for long must not grow with each request.
func TestRequestsKeepsTheLast(t *testing.T) {
	const kept, more = 10_000, 3
	srv := newServer(t)
	var last atomic.Int64
	srv.OnRequest(func(n int, _ epcclogstest.Request) { last.Store(int64(n)) })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() {
		w := bufio.NewWriter(conn)
		for i := range kept + more {
			_, _ = fmt.Fprintf(w, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		}
		_ = w.Flush()
	}()
	for r, i := bufio.NewReader(conn), 0; i < kept+more; i++ {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	requests := srv.Requests()
	if len(requests) != kept || requests[0].Path != "/3" || requests[kept-1].Path != "/10002" {
		t.Errorf("%d requests from %s on", len(requests), requests[0].Path)
	}
	if last.Load() != kept+more {
		t.Errorf("the last has number %d", last.Load())
	}
}

func TestRequestLimit(t *testing.T) {
	srv := newServer(t, epcclogstest.WithRequestLimit(0, 2))
	token := func() {
		resp, _, err := do(t.Context(), http.MethodPost, srv.URL+"/oauth/access_token", "", "grant_type=client_credentials")
		if err != nil || resp.StatusCode != 200 {
			t.Error(resp, err)
		}
	}
	for i, want := range []int{200, 200, 429, 429} {
		token() // not counted
		resp, body, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations", "some-token", "")
		if err != nil {
			t.Fatal(err)
		}
		v := decode(t, body)
		if resp.StatusCode != want {
			t.Errorf("request %d: status %d", i, resp.StatusCode)
		}
		if want == 429 {
			equal(t, v, `{"errors": [{"title": "Too Many Requests", "status": 429}]}`)
			if resp.Header.Get("Retry-After") != "1" {
				t.Error(resp.Header)
			}
		}
	}
}
