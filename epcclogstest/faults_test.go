package epcclogstest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

const logsPath = "/v2/integrations/logs"

func TestStatusFaults(t *testing.T) {
	for _, row := range []struct {
		fault       epcclogstest.Fault
		code        int
		contentType string
		header      string // "Key: value"
		body        string
	}{
		{epcclogstest.Status(503, `{"errors":[]}`).WithHeader("Retry-After", "2"), 503, "application/json", "Retry-After: 2", `{"errors":[]}`},
		{epcclogstest.Status(500, "oops"), 500, "text/plain; charset=utf-8", "Content-Length: 4", "oops"},
		{epcclogstest.Status(200, ""), 200, "text/plain; charset=utf-8", "Content-Length: 0", ""},
		{epcclogstest.Status(429, "{").WithHeader("content-type", "application/json"), 429, "application/json", "Content-Length: 1", "{"},
		{epcclogstest.GatewayPage(502), 502, "text/html", "", "502 Bad Gateway"},
		{epcclogstest.NotFound(), 404, "application/json", "", `{"errors":[{"title":"Not Found","status":404,"detail":"The resource could not be found"}]}`},
		{epcclogstest.ServerError(), 500, "application/json", "", `{"errors":[{"title":"Internal Server Error","status":500}]}`},
		{epcclogstest.RateLimited(2 * time.Second), 429, "application/json", "Retry-After: 2", `{"errors":[{"title":"Too Many Requests","status":429}]}`},
		{epcclogstest.RateLimited(5 * time.Millisecond), 429, "application/json", "Retry-After: 0.005", "Too Many Requests"},
		{epcclogstest.RateLimited(0), 429, "application/json", "Retry-After: ", "Too Many Requests"},
		{epcclogstest.Redirect(307, "https://example.com/elsewhere"), 307, "text/plain; charset=utf-8", "Location: https://example.com/elsewhere", ""},
	} {
		srv := newServer(t)
		srv.Fail(1, row.fault)
		resp, body, err := do(t.Context(), http.MethodGet, srv.URL+logsPath, "some-token", "")
		if err != nil {
			t.Fatal(err)
		}
		key, value, _ := strings.Cut(row.header, ": ")
		if resp.StatusCode != row.code || resp.Header.Get("Content-Type") != row.contentType ||
			resp.Header.Get(key) != value || !strings.Contains(string(body), row.body) {
			t.Errorf("%v: %s %v %s", row.fault, resp.Status, resp.Header, body)
		}
	}
}

func TestWithHeaderLeavesTheFaultAlone(t *testing.T) {
	srv := newServer(t)
	plain := epcclogstest.Status(503, "")
	if plain.WithHeader("Retry-After", "9") == plain || plain.WithHeader("b", "1").WithHeader("a", "2") != plain.WithHeader("A", "2").WithHeader("B", "1") {
		t.Error("faults are equal if they send the same")
	}
	srv.Fail(1, plain)
	resp, _, err := do(t.Context(), http.MethodGet, srv.URL, "", "")
	if err != nil || resp.Header.Get("Retry-After") != "" {
		t.Error(err, resp.Header)
	}
}

func TestCutBodies(t *testing.T) {
	for _, path := range []string{logsPath, "/v2/integrations/nobody/logs"} {
		for _, fault := range []epcclogstest.Fault{epcclogstest.CutLength(), epcclogstest.CutChunk(), epcclogstest.CutJSON()} {
			srv := newServer(t)
			whole, want, err := do(t.Context(), http.MethodGet, srv.URL+path, "some-token", "")
			if err != nil {
				t.Fatal(err)
			}
			srv.Fail(1, fault.WithHeader("X-Extra", "yes"))
			resp, body, err := do(t.Context(), http.MethodGet, srv.URL+path, "some-token", "")
			if resp == nil {
				t.Fatalf("%v: %v", fault, err)
			}
			if resp.StatusCode != whole.StatusCode || resp.Header.Get("Content-Type") != "application/json" ||
				resp.Header.Get("Date") == "" || resp.Header.Get("X-Extra") != "yes" {
				t.Errorf("%v: %s %v", fault, resp.Status, resp.Header)
			}
			if string(body) != string(want[:len(want)/2]) {
				t.Errorf("%v: got %d bytes of %d", fault, len(body), len(want))
			}
			kind := fault.String()
			if wantErr := kind != epcclogstest.CutJSON().String(); wantErr != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v: %v", fault, err)
			}
			if chunked := len(resp.TransferEncoding) == 1; chunked != (kind == epcclogstest.CutChunk().String()) {
				t.Errorf("%v: %v", fault, resp.TransferEncoding)
			}
			if known := resp.ContentLength == int64(len(want)); known != (kind == epcclogstest.CutLength().String()) {
				t.Errorf("%v: Content-Length %d", fault, resp.ContentLength)
			}
			if again, _ := get(t, srv, path); again != whole.StatusCode {
				t.Errorf("%v: then %d", fault, again)
			}
		}
	}
}

// A stalled answer lasts as long as the client stays; the server notices when
// it leaves.
func TestStalls(t *testing.T) {
	for _, row := range []struct {
		fault epcclogstest.Fault
		code  int // 0: not even a status
	}{
		{epcclogstest.Stall(), 200},
		{epcclogstest.StallStatus(502), 502},
		{epcclogstest.StallHeader(), 0},
	} {
		srv := newServer(t)
		srv.Fail(1, row.fault)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		arrived := make(chan struct{})
		srv.OnRequest(func(int, epcclogstest.Request) { close(arrived) })
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n", logsPath); err != nil {
			t.Fatal(err)
		}
		<-arrived
		if row.code != 0 {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			half := make([]byte, resp.ContentLength/2)
			if _, err := io.ReadFull(resp.Body, half); err != nil || resp.StatusCode != row.code || half[0] != '{' {
				t.Errorf("%v: %s %q %v", row.fault, resp.Status, half, err)
			}
			defer func() { _ = resp.Body.Close() }()
		}
		_ = conn.Close()
		goneFrom("epcclogstest.untilGone")
		if status, _ := get(t, quiet(srv), "/v2/integrations"); status != 200 {
			t.Errorf("%v: then %d", row.fault, status)
		}
	}
}

func quiet(srv *epcclogstest.Server) *epcclogstest.Server {
	srv.OnRequest(nil)
	return srv
}

func TestReset(t *testing.T) {
	srv := newServer(t)
	srv.Fail(1, epcclogstest.Reset())
	_, _, err := do(t.Context(), http.MethodGet, srv.URL+logsPath, "some-token", "")
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func TestWhichRequestsFail(t *testing.T) {
	srv := newServer(t)
	status := func() int {
		resp, _, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations", "some-token", "")
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	want := func(codes ...int) {
		t.Helper()
		for i, code := range codes {
			if got := status(); got != code {
				t.Errorf("request %d: %d, not %d", i+1, got, code)
			}
		}
	}
	want(200)
	srv.Fail(2, epcclogstest.Status(500, ""))
	srv.Fail(0, epcclogstest.Status(501, ""))
	srv.Fail(1, epcclogstest.Status(502, ""))
	want(500, 500, 502, 200)

	srv.FailRequest(3, epcclogstest.Status(503, ""))
	srv.FailRequest(1, epcclogstest.Status(504, ""))
	want(504, 200, 503, 200)

	srv.Fail(2, epcclogstest.Status(500, ""))
	srv.FailRequest(2, epcclogstest.Status(504, ""))
	want(500, 504, 500, 200)

	srv.Fail(1, epcclogstest.Fault{})
	want(200)

	// Token requests have faults of their own.
	srv.Fail(1, epcclogstest.Status(500, ""))
	srv.FailToken(1, epcclogstest.Status(200, "{}"))
	if code, v := fetch(t, srv, goodForm); code != 200 || len(v) != 0 {
		t.Error(code, v)
	}
	if code, _ := fetch(t, srv, goodForm); code != 200 {
		t.Error(code)
	}
	want(500, 200)
}

func TestFaultIsReadable(t *testing.T) {
	for fault, want := range map[epcclogstest.Fault]string{
		{}: "no fault",
		epcclogstest.Status(503, "x").WithHeader("Retry-After", "1"): "status 503, Retry-After: 1",
		epcclogstest.Redirect(302, "/x"):                             "status 302, Location: /x",
		epcclogstest.CutLength():                                     "body cut below its Content-Length",
		epcclogstest.CutChunk():                                      "body cut within a chunk",
		epcclogstest.CutJSON():                                       "body cut without Content-Length",
		epcclogstest.Stall():                                         "body stalls",
		epcclogstest.StallHeader():                                   "no answer",
		epcclogstest.StallStatus(500):                                "status 500, its body stalls",
		epcclogstest.Reset():                                         "connection reset",
	} {
		if got := fmt.Sprintf("%v", fault); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
