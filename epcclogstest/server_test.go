package epcclogstest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	srv := epcclogstest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// client neither follows redirects nor sends a request again by itself, which
// net/http does after a reset on a connection that was used before.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func do(ctx context.Context, method, url, bearer, form string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return nil, nil, err
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// get returns the status and the JSON of an answer.
func get(t *testing.T, srv *epcclogstest.Server, path string) (int, map[string]any) {
	t.Helper()
	resp, body, err := do(t.Context(), http.MethodGet, srv.URL+path, "some-token", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", path, got)
	}
	if resp.ContentLength != int64(len(body)) || resp.Header.Get("Date") == "" {
		t.Errorf("%s: Content-Length %d of %d, Date %q", path, resp.ContentLength, len(body), resp.Header.Get("Date"))
	}
	return resp.StatusCode, decode(t, body)
}

func decode(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func ids(v map[string]any) []string {
	out := []string{}
	for _, r := range v["data"].([]any) {
		out = append(out, r.(map[string]any)["id"].(string))
	}
	return out
}

// equal compares with JSON, such as {"limit": 25}.
func equal(t *testing.T, got any, want string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, w) {
		b, _ := json.Marshal(got)
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func logs(ids ...string) []epcclogs.IntegrationLog {
	out := make([]epcclogs.IntegrationLog, len(ids))
	for i, id := range ids {
		out[i].ID = id
	}
	return out
}

func TestRecordIsRendered(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	full := epcclogs.IntegrationLog{
		ID: "l1", Type: "integration", Succeeded: true, Attempt: 2, ProcessingTime: 0.1234,
		Body: "a \"b\" \\ \n\t\x01 ü 🎉 </p> \xff", StatusCode: 200, ErrorDetail: "none",
		Meta: epcclogs.ResourceMeta{Timestamps: epcclogs.Timestamps{CreatedAt: at, UpdatedAt: at.Add(time.Hour)}},
	}
	full.Relationships.Integration.Data = epcclogs.ResourceIdentifier{ID: "i1", Type: "integration"}
	full.Relationships.Job.Data = epcclogs.ResourceIdentifier{ID: "j1", Type: "job"}
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, full, epcclogs.IntegrationLog{ID: "l2"}))
	_, v := get(t, srv, "/v2/integrations/i1/logs")
	equal(t, v["data"], `[
		{"id": "l1", "type": "integration", "succeeded": true, "attempt": 2, "processing_time": 0.1234,
		 "body": "a \"b\" \\ \n\t\u0001 ü 🎉 </p> \ufffd", "status_code": 200, "error_detail": "none",
		 "relationships": {
			"integration": {"data": {"id": "i1", "type": "integration"}},
			"job": {"data": {"id": "j1", "type": "job"}}},
		 "meta": {"timestamps": {"created_at": "2026-01-02T03:04:05.6789Z", "updated_at": "2026-01-02T04:04:05.6789Z"}}},
		{"id": "l2", "type": "", "succeeded": false, "attempt": 0, "body": "", "status_code": 0, "error_detail": "",
		 "relationships": {
			"integration": {"data": {"id": "", "type": ""}},
			"job": {"data": {"id": "", "type": ""}}}}
	]`)
}

func TestEndpoints(t *testing.T) {
	inJob := func(job string, ids ...string) []epcclogs.IntegrationLog {
		out := logs(ids...)
		for i := range out {
			out[i].Relationships.Job.Data.ID = job
		}
		return out
	}
	first := append(inJob("j2", "a", "b"), append(inJob("j1", "c"), append(inJob("j2", "d"), logs("e")...)...)...)
	srv := newServer(t,
		epcclogstest.WithIntegration(epcclogs.Integration{
			ID: "i1", Type: "integration", Name: "N", Description: "D", Enabled: true,
			IntegrationType: "webhook", Observes: []string{"order.created", "order.paid"},
		}, first...),
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "i 2"}, logs("f", "g")...))

	for path, want := range map[string]string{
		"/v2/integrations":      `["i1", "i 2"]`,
		"/v2/integrations/logs": `["a", "b", "c", "d", "e", "f", "g"]`,
		"/v2/integrations/logs?page[offset]=4&page[limit]=2":   `["e", "f"]`,
		"/v2/integrations/i1/logs":                             `["a", "b", "c", "d", "e"]`,
		"/v2/integrations/i%202/logs":                          `["f", "g"]`,
		"/v2/integrations/i1/jobs/j2/logs":                     `["a", "b", "d"]`,
		"/v2/integrations/i1/jobs/j2/logs?page%5Boffset%5D=2":  `["d"]`,
		"/v2/integrations/i1/jobs":                             `["j2", "j1"]`,
		"/v2/integrations/i1/jobs?page[offset]=1":              `["j1"]`,
		"/v2/integrations/i%202/jobs":                          `[]`,
		"/v2/integrations/i1/logs?page[offset]=900000000000":   `[]`,
		"/v2/integrations/i1/logs?page[limit]=0&page[offset]=": `["a", "b", "c", "d", "e"]`,
	} {
		status, v := get(t, srv, path)
		if status != 200 {
			t.Errorf("%s: status %d", path, status)
			continue
		}
		b, _ := json.Marshal(ids(v))
		var got any
		_ = json.Unmarshal(b, &got)
		equal(t, got, want)
	}

	_, v := get(t, srv, "/v2/integrations/i1/jobs")
	equal(t, v, `{"data": [{"id": "j2", "type": "integration-job"}, {"id": "j1", "type": "integration-job"}]}`)
	_, v = get(t, srv, "/v2/integrations/i1")
	equal(t, v, `{"data": {
		"id": "i1", "type": "integration", "name": "N", "description": "D", "enabled": true,
		"integration_type": "webhook", "observes": ["order.created", "order.paid"],
		"configuration": {"url": "https://example.com/hook", "secret_key": "not-a-real-secret"},
		"links": {"self": "/integrations/i1"}}}`)
}

func TestErrors(t *testing.T) {
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, logs("a")...))
	for _, path := range []string{
		"/", "/v2", "/v2/", "/v2/integrations/", "/integrations", "/v2/integrationss", "/v2/integrations//logs",
		"/v2//integrations", "//v2/integrations", "/v2/./integrations", "/v2/integrations/./logs",
		"/v2/integrations/../integrations", "/v2/integrations/i1/../logs", "/v2/integrations/%2e/logs",
		"/v2/integrations/i1%2Flogs", "/v2/integrations/i1/logs/", "/v2/integrations/i1/other",
		"/v2/integrations/i1/jobs/j1", "/v2/integrations/i1/jobs//logs", "/v2/integrations/i1/logs/j1/logs",
		"/v2/integrations/nobody", "/v2/integrations/nobody/logs", "/v2/integrations/nobody/jobs",
		"/v2/integrations/nobody/jobs/j1/logs", "/v2/integrations/i1/jobs/nothing/logs", "/v2/oauth/access_token",
	} {
		status, v := get(t, srv, path)
		if status != 404 {
			t.Errorf("%s: status %d", path, status)
		}
		equal(t, v, `{"errors": [{"title": "Not Found", "status": 404, "detail": "The resource could not be found"}]}`)
	}
	for _, query := range []string{
		"page[limit]=x", "page[limit]=-1", "page[offset]=-1", "page[offset]=1.5", "page[limit]=99999999999999999999", "%zz",
	} {
		status, v := get(t, srv, "/v2/integrations/logs?"+query)
		if status != 400 || v["errors"] == nil {
			t.Errorf("%s: status %d, %v", query, status, v)
		}
	}
	for method, path := range map[string]string{
		http.MethodPost: "/v2/integrations", http.MethodDelete: "/v2/integrations/i1", http.MethodHead: "/v2/integrations/logs",
		http.MethodGet: "/oauth/access_token",
	} {
		resp, _, err := do(t.Context(), method, srv.URL+path, "some-token", "")
		if err != nil || resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %v, %v", method, path, resp, err)
		}
	}
	resp, body, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations/i1/logs", "", "")
	if err != nil || resp.StatusCode != 401 || decode(t, body)["errors"] == nil {
		t.Errorf("no bearer: %v, %v, %s", resp, err, body)
	}
}

func TestNothingIsCompressed(t *testing.T) {
	srv := newServer(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/v2/integrations", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Authorization", "bearer some-token")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("Content-Encoding") != "" {
		t.Fatalf("%v, %v", err, resp.Header)
	}
	if got := len(ids(decode(t, body))); got != 3 {
		t.Errorf("%d sample integrations", got)
	}
}

func TestMisuseIsToldAtOnce(t *testing.T) {
	srv := newServer(t)
	in := epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"})
	for name, f := range map[string]func(){
		"twice":       func() { epcclogstest.NewServer(in, in).Close() },
		"envelope":    func() { epcclogstest.WithEnvelope(4) },
		"limit":       func() { epcclogstest.WithMaxLimit(0) },
		"listener":    func() { epcclogstest.WithListener(nil) },
		"silent":      func() { epcclogstest.WithSilentMaxLimit(-1) },
		"add":         func() { srv.AddLogs("nobody") },
		"insert":      func() { srv.InsertLogs("nobody", 0) },
		"before":      func() { srv.InsertLogs(epcclogstest.SampleIntegration(0).ID, -1) },
		"behind":      func() { srv.InsertLogs(epcclogstest.SampleIntegration(0).ID, 251) },
		"remove":      func() { srv.RemoveLogs("nobody", nil) },
		"integration": func() { srv.RemoveIntegration("nobody") },
		"max offset":  func() { epcclogstest.WithMaxOffset(-1) },
		"request":     func() { srv.FailRequest(0, epcclogstest.Reset()) },
		"status":      func() { epcclogstest.Status(101, "") },
		"wait":        func() { epcclogstest.RateLimited(-time.Second) },
		"stallStatus": func() { epcclogstest.StallStatus(0) },
	} {
		func() {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "epcclogstest: ") {
					t.Errorf("%s: %v", name, text)
				}
			}()
			f()
		}()
	}
	srv.AddLogs(epcclogstest.SampleIntegration(0).ID, logs("x")...) // no lock was kept
}
