package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// setup returns a watcher of the first sample integration, the API that it
// reads, and the URL that it is served at. It reads when it is told to.
func setup(t *testing.T) (w *watcher, api *epcclogstest.Server, url string) {
	t.Helper()
	api = epcclogstest.NewServer()
	t.Cleanup(api.Close)
	w = &watcher{client: newClient(t, api), id: epcclogstest.SampleIntegration(0).ID, logger: slog.New(slog.DiscardHandler)}
	srv := httptest.NewServer(w.handler())
	t.Cleanup(srv.Close)
	return w, api, srv.URL
}

// newClient returns a client that does not retry.
func newClient(t *testing.T, api *epcclogstest.Server) *epcclogs.Client {
	t.Helper()
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(api.URL),
		epcclogs.WithToken("example-token"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1, MaxWait: time.Millisecond}),
	)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// get returns status, Retry-After and body.
func get(t *testing.T, url string) (status int, retryAfter, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(content)
}

// failed returns the logs that /failures should hold.
func failed(logs []epcclogs.IntegrationLog) []epcclogs.IntegrationLog {
	var out []epcclogs.IntegrationLog
	for _, l := range logs {
		if !l.Succeeded {
			out = append(out, l)
		}
	}
	return out
}

func TestFailures(t *testing.T) {
	w, api, url := setup(t)
	logs := epcclogstest.SampleLogs(w.id, 400)
	for _, n := range []int{250, 400} {
		w.read(t.Context())
		status, _, body := get(t, url+"/failures")
		assert.Equal(t, http.StatusOK, status)
		var got reading
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		assert.Equal(t, n, got.Logs)
		assert.Equal(t, failed(logs[:n]), got.Failures)
		assert.False(t, got.ReadAt.IsZero())
		if n == 250 {
			api.AddLogs(w.id, logs[250:]...)
		}
	}
}

func TestNoFailures(t *testing.T) {
	w, _, url := setup(t)
	api := epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogs.Integration{ID: w.id}))
	defer api.Close()
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(api.URL), epcclogs.WithToken("example-token"))
	require.NoError(t, err)
	w.client = client
	w.read(t.Context())
	status, _, body := get(t, url+"/failures")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `"failures":[]`)
}

func TestOtherRequests(t *testing.T) {
	_, _, url := setup(t)
	status, _, body := get(t, url+"/healthz")
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `{"status":"ok"}`, body)

	status, retryAfter, _ := get(t, url+"/failures")
	assert.Equal(t, http.StatusServiceUnavailable, status, "nothing has been read yet")
	assert.Equal(t, "1", retryAfter)

	status, _, _ = get(t, url+"/")
	assert.Equal(t, http.StatusNotFound, status)
}

// Each error has its status, and is gone after the next good reading. The second
// page fails, so that a part of the logs is never taken for all.
func TestErrors(t *testing.T) {
	const limited = `{"errors":[{"status":429,"title":"Too Many Requests"}]}`
	for _, tc := range []struct {
		fault      epcclogstest.Fault
		status     int
		retryAfter string
		body       string
	}{
		{epcclogstest.Status(404, `{"errors":[{"title":"Not Found"}]}`), 404, "", "there is no integration"},
		{epcclogstest.Status(429, limited), 503, "1", "limits the rate"},
		{epcclogstest.Status(429, limited).WithHeader("Retry-After", "0"), 503, "1", "limits the rate"},
		{epcclogstest.Status(429, limited).WithHeader("Retry-After", "0.2"), 503, "1", "limits the rate"},
		{epcclogstest.Status(429, limited).WithHeader("Retry-After", "7"), 503, "7", "limits the rate"},
		{epcclogstest.Status(429, limited).WithHeader("Retry-After", "7.01"), 503, "8", "limits the rate"},
		{epcclogstest.GatewayPage(503), 502, "", "cannot be read"},
		{epcclogstest.Status(401, ""), 502, "", "cannot be read"},
		{epcclogstest.Status(200, "[]"), 502, "", "cannot be read"},
		{epcclogstest.CutLength(), 502, "", "cannot be read"},
	} {
		t.Run(tc.fault.String(), func(t *testing.T) {
			w, api, url := setup(t)
			api.FailRequest(2, tc.fault)
			w.read(t.Context())
			status, retryAfter, body := get(t, url+"/failures")
			require.Equal(t, tc.status, status)
			assert.Equal(t, tc.retryAfter, retryAfter)
			assert.Contains(t, body, tc.body)
			assert.NotContains(t, body, api.URL)
			status, _, _ = get(t, url+"/healthz")
			assert.Equal(t, http.StatusOK, status)

			w.client = newClient(t, api) // a 429 has paused the old one
			w.read(t.Context())
			status, _, _ = get(t, url+"/failures")
			assert.Equal(t, http.StatusOK, status)
		})
	}
}

func TestPause(t *testing.T) {
	assert.Equal(t, time.Minute, pause(time.Minute, nil))
	assert.Equal(t, time.Minute, pause(time.Minute, io.EOF))
	assert.Equal(t, time.Minute, pause(time.Minute, &epcclogs.APIError{RetryAfter: time.Second}))
	assert.Equal(t, time.Hour, pause(time.Minute, &epcclogs.APIError{RetryAfter: time.Hour}))
}

// output collects what the program writes, and tells the URL in it.
type output struct {
	mu  sync.Mutex
	b   bytes.Buffer
	url chan string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	if m := regexp.MustCompile(`msg=listening url=(\S+)`).FindSubmatch(p); m != nil {
		o.url <- string(m[1])
	}
	return len(p), nil
}

func newOutput() *output { return &output{url: make(chan string, 1)} }

func hostOf(url string) string {
	return strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/failures")
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// setenv gives the program the environment of a user: three variables, of which
// those that are not given are empty.
func setenv(t *testing.T, values ...string) {
	t.Helper()
	for i, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		t.Setenv(name, value)
	}
}

// The whole program, polling a service that is found, lost, and found again.
func TestRun(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	api := epcclogstest.NewServer(epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	t.Cleanup(api.Close)
	setenv(t, "example-id", "example-secret", api.URL)

	// Each request of the program waits here, and 250 logs are three of them.
	requests, proceed := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	api.OnRequest(func(int, epcclogstest.Request) {
		for _, step := range []chan struct{}{requests, proceed} {
			select {
			case step <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	out := newOutput()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-interval", "1ms", id}, out) }()
	url := <-out.url

	status, _, _ := get(t, url)
	assert.Equal(t, http.StatusServiceUnavailable, status, "nothing has been read yet")
	for range 3 {
		<-requests
		<-proceed
	}
	<-requests // the second reading has begun, so the first has ended
	status, _, _ = get(t, url)
	assert.Equal(t, http.StatusOK, status)
	api.FailRequest(1, epcclogstest.Status(404, "")) // the next request, the second page
	<-proceed
	<-requests
	<-proceed
	<-requests // the third reading has begun
	status, _, _ = get(t, url)
	assert.Equal(t, http.StatusNotFound, status)

	cancel() // while a page is waited for
	assert.Zero(t, <-ended)
	assert.Contains(t, out.String(), `msg="logs not read" integration=`+id)
	assert.Contains(t, out.String(), "error.status=404")
	assert.Equal(t, 1, strings.Count(out.String(), "level=WARN"), "the end is not an error")
	assert.Error(t, dial(t.Context(), hostOf(url)), "nothing listens any more")
}

func TestDefault(t *testing.T) {
	setenv(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := newOutput()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, out) }()
	url := <-out.url

	status, stderr := call(t, "-addr", hostOf(url))
	assert.Equal(t, 1, status, "two cannot listen at one address")
	assert.Contains(t, stderr, "watch: listen tcp "+hostOf(url))

	cancel()
	assert.Zero(t, <-ended)
	assert.Contains(t, out.String(), `msg="shut down"`)
}

// call runs the program where it should end by itself.
func call(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	var messages bytes.Buffer
	status = run(t.Context(), args, &messages)
	return status, messages.String()
}

func TestUsage(t *testing.T) {
	setenv(t)
	for _, args := range [][]string{
		{"one", "two"}, {"-interval", "0s"}, {"-interval", "-1s"}, {"-interval", "soon"}, {"-colour"},
	} {
		status, stderr := call(t, args...)
		assert.Equal(t, 2, status, args)
		assert.Contains(t, stderr, "usage: watch [-addr host:port] [-interval duration] [integration id]\n")
	}
	status, _ := call(t, "-h")
	assert.Zero(t, status)

	setenv(t, "example-id", "example-secret")
	status, stderr := call(t)
	assert.Equal(t, 2, status)
	assert.Contains(t, stderr, "usage: watch")

	setenv(t, "", "example-secret")
	status, stderr = call(t)
	assert.Equal(t, 1, status)
	assert.Equal(t, "watch: epcclogs: invalid argument: missing in the environment: EPCC_CLIENT_ID\n", stderr)
}

// A request that is under way when the service is interrupted is answered.
func TestShutdown(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	handler := func(rw http.ResponseWriter, r *http.Request) {
		cancel()
		// Once new connections are refused, the shutdown has begun.
		for dial(r.Context(), listener.Addr().String()) == nil {
			runtime.Gosched()
		}
		_, _ = io.WriteString(rw, "done")
	}
	go func() { ended <- serve(ctx, listener, http.HandlerFunc(handler)) }()
	status, _, body := get(t, "http://"+listener.Addr().String())
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "done", body)
	assert.NoError(t, <-ended)
}

func dial(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
