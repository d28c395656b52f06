package epcclogstest_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// goneFrom returns when no goroutine is in a function of that name any more.
func goneFrom(function string) {
	for buf := make([]byte, 1<<20); bytes.Contains(buf[:runtime.Stack(buf, true)], []byte(function)); {
		runtime.Gosched()
	}
}

// Close must end what would last for ever, and leave nothing behind.
func TestClose(t *testing.T) {
	for name, open := range map[string]struct {
		opts  []epcclogstest.Option
		fault epcclogstest.Fault
	}{
		"idle":         {},
		"latency":      {opts: []epcclogstest.Option{epcclogstest.WithLatency(time.Hour)}},
		"stall":        {fault: epcclogstest.Stall()},
		"stall header": {fault: epcclogstest.StallHeader()},
		"stall status": {fault: epcclogstest.StallStatus(500)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := epcclogstest.NewServer(open.opts...)
			if name == "idle" {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				srv.Close()
				return
			}
			const requests = 4
			srv.Fail(requests, open.fault)
			var arrived, done sync.WaitGroup
			arrived.Add(requests)
			srv.OnRequest(func(int, epcclogstest.Request) { arrived.Done() })
			for range requests {
				done.Add(1)
				go func() {
					defer done.Done()
					_, _, err := do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations/logs", "some-token", "")
					if err == nil {
						t.Error("answered in full")
					}
				}()
			}
			arrived.Wait()
			srv.Close()
			srv.Close()
			done.Wait()
			goneFrom("epcclogstest.(*Server)")
			if _, _, err := do(t.Context(), http.MethodGet, srv.URL, "", ""); err == nil {
				t.Error("still listening")
			}
		})
	}
}

func TestLatencyEndsWithTheClient(t *testing.T) {
	srv := newServer(t, epcclogstest.WithLatency(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnRequest(func(int, epcclogstest.Request) { cancel() })
	if _, _, err := do(ctx, http.MethodGet, srv.URL+"/v2/integrations", "some-token", ""); err == nil {
		t.Error("answered")
	}
	goneFrom("epcclogstest.sleep")
}

func TestLatency(t *testing.T) {
	srv := newServer(t, epcclogstest.WithLatency(time.Millisecond))
	if status, _ := get(t, srv, "/v2/integrations"); status != 200 {
		t.Error(status)
	}
}

// For the race detector: everything at once.
func TestConcurrentUse(t *testing.T) {
	srv := newServer(t)
	id := epcclogstest.SampleIntegration(0).ID
	srv.OnRequest(func(int, epcclogstest.Request) { srv.AddLogs(id, logs("x")...) })
	var done sync.WaitGroup
	for i := range 8 {
		done.Add(1)
		go func() {
			defer done.Done()
			for range 20 {
				if i%2 == 0 {
					srv.Fail(1, epcclogstest.CutLength())
					srv.InsertLogs(id, 0, logs("y")...)
					srv.InsertLogs(id, 1, logs("z")...)
					srv.RemoveLogs(id, func(l epcclogs.IntegrationLog) bool { return l.ID == "x" })
					srv.RevokeTokens()
					srv.Requests()
				}
				_, _, _ = do(t.Context(), http.MethodGet, srv.URL+"/v2/integrations/"+id+"/logs", "some-token", "")
			}
		}()
	}
	done.Wait()
	if got := len(srv.Requests()); got != 160 {
		t.Errorf("%d requests", got)
	}
}
