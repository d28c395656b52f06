package epcclogs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

var faultHook = epcclogs.Integration{ID: integration, Name: "Orders"}

// faultServer serves n logs, and returns them too.
func faultServer(t testing.TB, n int) (*epcclogstest.Server, []epcclogs.IntegrationLog) {
	t.Helper()
	logs := epcclogstest.SampleLogs(integration, n)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(faultHook, logs...))
	t.Cleanup(srv.Close)
	return srv, logs
}

// faultClient keeps no connections: net/http itself sends again what a kept one
// lost, and requests are counted here.
func faultClient(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return newClient(t, url, append([]epcclogs.Option{epcclogs.WithToken("token"), epcclogs.WithHTTPClient(hc)}, opts...)...)
}

// faultDrain returns the ids of all logs in pages of 20.
func faultDrain(ctx context.Context, c *epcclogs.Client) ([]string, error) {
	var ids []string
	for l, err := range c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 20}).All(ctx) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, l.ID)
	}
	return ids, nil
}

func faultIDs(logs []epcclogs.IntegrationLog) []string {
	ids := make([]string, len(logs))
	for i, l := range logs {
		ids[i] = l.ID
	}
	return ids
}

// faultStall bounds an attempt where one stalls: long enough for all others.
const faultStall = 500 * time.Millisecond

func faultTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

func faultStatus(code int) func(error) bool {
	return func(err error) bool {
		var apiErr *epcclogs.APIError
		return errors.As(err, &apiErr) && apiErr.StatusCode == code && apiErr.Attempts == 3
	}
}

func faultDecode(err error) bool { return errors.As(err, new(*epcclogs.DecodeError)) }

// faultKinds are faults that pass, and the errors in which they end when they
// do not.
var faultKinds = map[string]struct {
	fault epcclogstest.Fault
	ends  func(error) bool
}{
	"CutLength":   {epcclogstest.CutLength(), func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && !faultDecode(err) }},
	"CutChunk":    {epcclogstest.CutChunk(), func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && !faultDecode(err) }},
	"CutJSON":     {epcclogstest.CutJSON(), faultDecode},
	"empty":       {epcclogstest.Status(200, ""), faultDecode},
	"blank":       {epcclogstest.Status(200, " \r\n"), faultDecode},
	"Stall":       {epcclogstest.Stall(), faultTimeout},
	"StallHeader": {epcclogstest.StallHeader(), faultTimeout},
	"StallStatus": {epcclogstest.StallStatus(500), faultStatus(500)},
	"Reset":       {epcclogstest.Reset(), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	"GatewayPage": {epcclogstest.GatewayPage(502), faultStatus(502)},
	"Status":      {epcclogstest.Status(429, `{"errors":[{}]}`).WithHeader("Retry-After", "0.001"), faultStatus(429)},
}

// Wherever in a list a fault comes, all records come once, in order.
func TestFaultsPass(t *testing.T) {
	for name, kind := range faultKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, logs := faultServer(t, 70)
			c := faultClient(t, srv.URL, epcclogs.WithTimeout(faultStall))
			for at := 1; at <= 4; at++ {
				srv.FailRequest(at, kind.fault)
				ids, err := faultDrain(t.Context(), c)
				require.NoError(t, err, "request %d", at)
				require.Equal(t, faultIDs(logs), ids, "request %d", at)
				require.Len(t, srv.Requests(), at*5, "four pages and one more request")
			}
		})
	}
}

// Twice for each page, the most that three attempts can bear.
func TestFaultsTwicePerPage(t *testing.T) {
	srv, logs := faultServer(t, 70)
	for n, kind := range []string{"CutLength", "CutChunk", "CutJSON", "Reset", "GatewayPage", "empty", "Status", "CutJSON"} {
		srv.FailRequest(1+n/2*3+n%2, faultKinds[kind].fault)
	}
	ids, err := faultDrain(t.Context(), faultClient(t, srv.URL))
	require.NoError(t, err)
	assert.Equal(t, faultIDs(logs), ids)
	assert.Len(t, srv.Requests(), 12)
}

// What does not pass ends in its own error after MaxAttempts, with the records
// before it handed out; once it has passed, the same pager goes on.
func TestFaultsThatStay(t *testing.T) {
	for name, kind := range faultKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, logs := faultServer(t, 70)
			pager := faultClient(t, srv.URL, epcclogs.WithTimeout(faultStall)).
				IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 20})
			for at := 2; at <= 4; at++ {
				srv.FailRequest(at, kind.fault)
			}
			var got []epcclogs.IntegrationLog
			var last error
			for l, err := range pager.All(t.Context()) {
				if last = err; err == nil {
					got = append(got, l)
				}
			}
			require.Error(t, last)
			assert.True(t, kind.ends(last), "%T %v", last, last)
			require.ErrorContains(t, last, "GET "+srv.URL+"/v2/integrations/"+integration+"/logs?page%5Blimit%5D=20&page%5Boffset%5D=20")
			assert.Len(t, got, 20)
			assert.Equal(t, 20, pager.Offset())
			assert.Len(t, srv.Requests(), 4)

			for l, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				got = append(got, l)
			}
			assert.Equal(t, faultIDs(logs), faultIDs(got))
			assert.Len(t, srv.Requests(), 7)
		})
	}
}

func TestFaultBodyOfACutResponse(t *testing.T) {
	srv, _ := faultServer(t, 3)
	srv.Fail(3, epcclogstest.CutJSON())
	_, err := faultClient(t, srv.URL).ListIntegrationLogs(t.Context(), integration, nil)
	var decodeErr *epcclogs.DecodeError
	require.ErrorAs(t, err, &decodeErr)
	assert.True(t, strings.HasPrefix(string(decodeErr.Body), `{"data":[`), "%s", decodeErr.Body)
	assert.Len(t, srv.Requests(), 3)

	srv.Fail(3, epcclogstest.StallStatus(503))
	_, err = faultClient(t, srv.URL, epcclogs.WithTimeout(faultStall)).ListIntegrationLogs(t.Context(), integration, nil)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.True(t, strings.HasPrefix(string(apiErr.Body), `{"errors":[`), "%s", apiErr.Body)
	assert.Empty(t, apiErr.Errors)
}

// A Content-Length that is not reached means a cut, also where the JSON is whole.
func TestFaultWholeJSONBelowContentLength(t *testing.T) {
	cut := answer{status: 200, header: map[string]string{"Content-Length": "5000"}, body: bare(record(1))}
	s := serve(t, cut, ok(bare(record(1), record(2))))
	page, err := faultClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Len(t, page.Data, 2)
	assert.Len(t, s.sent(), 2)
}

func TestFaultCallerLeavesAStall(t *testing.T) {
	for name, fault := range map[string]epcclogstest.Fault{
		"Stall": epcclogstest.Stall(), "StallHeader": epcclogstest.StallHeader(), "StallStatus": epcclogstest.StallStatus(500),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := faultServer(t, 3)
			c := faultClient(t, srv.URL, epcclogs.WithTimeout(time.Hour))

			srv.Fail(1, fault)
			ctx, cancel := context.WithTimeout(t.Context(), faultStall)
			defer cancel()
			_, err := c.ListIntegrationLogs(ctx, integration, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Len(t, srv.Requests(), 1)

			// What failed before is told too.
			srv.Fail(1, epcclogstest.GatewayPage(503))
			srv.Fail(1, fault)
			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
			srv.OnRequest(func(n int, _ epcclogstest.Request) {
				if n == 3 {
					cancel()
				}
			})
			_, err = c.ListIntegrationLogs(ctx, integration, nil)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, epcclogs.ErrServer)
			assert.Len(t, srv.Requests(), 3)
		})
	}
}

// faultGzip compresses body.
func faultGzip(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestFaultResponseSizeCountsDecodedBytes(t *testing.T) {
	body := bare(records(0, 200)...)
	packed := string(faultGzip(t, []byte(body)))
	require.Less(t, len(packed), len(body)/2)
	s := serve(t, answer{status: 200, header: map[string]string{"Content-Encoding": "gzip"}, body: packed})

	page, err := faultClient(t, s.URL, epcclogs.WithMaxResponseSize(int64(len(body)))).ListIntegrationLogs(t.Context(), integration, nil)
	require.NoError(t, err)
	assert.Len(t, page.Data, 200)
	for _, size := range []int{len(body) - 1, len(packed), 1} {
		_, err = faultClient(t, s.URL, epcclogs.WithMaxResponseSize(int64(size))).ListIntegrationLogs(t.Context(), integration, nil)
		require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	}
	assert.Len(t, s.sent(), 4)
}

// A compressed body that is cut is a cut body.
func TestFaultCutGzip(t *testing.T) {
	packed := string(faultGzip(t, []byte(bare(records(0, 50)...))))
	for _, n := range []int{0, 5, len(packed) / 2, len(packed) - 1} {
		header := map[string]string{"Content-Encoding": "gzip"}
		s := serve(t, answer{status: 200, header: header, body: packed[:n]}, answer{status: 200, header: header, body: packed})
		page, err := faultClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
		require.NoError(t, err, n)
		assert.Len(t, page.Data, 50)
		assert.Len(t, s.sent(), 2)
	}
}

// faultBomb answers with some KiB that unpack to a GiB of zeros.
func faultBomb(t testing.TB, status int) http.Handler {
	t.Helper()
	piece := faultGzip(t, make([]byte, 8<<20))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		for range 128 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
}

func TestFaultGzipBomb(t *testing.T) {
	var before, after runtime.MemStats
	s := serve(t, faultBomb(t, 200))
	c := faultClient(t, s.URL, epcclogs.WithMaxResponseSize(1<<20))
	runtime.ReadMemStats(&before)
	_, err := c.ListIntegrationLogs(t.Context(), integration, nil)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	require.NotErrorAs(t, err, new(*epcclogs.DecodeError))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
	assert.Len(t, s.sent(), 1)

	// Of an error, only what is kept is read.
	s = serve(t, faultBomb(t, 500))
	c = faultClient(t, s.URL)
	runtime.ReadMemStats(&before)
	_, err = c.ListIntegrationLogs(t.Context(), integration, nil)
	runtime.ReadMemStats(&after)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Len(t, apiErr.Body, 64<<10)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
	assert.Len(t, s.sent(), 3)
}

// Errors keep 64 KiB of the body, and no more.
func TestFaultKeptErrorBodies(t *testing.T) {
	const kept = 64 << 10
	for _, size := range []int{kept - 1, kept, kept + 1, 3 * kept} {
		long := strings.Repeat("x", size)
		s := serve(t, answer{status: 404, body: long}, ok(long))
		c := faultClient(t, s.URL)

		_, err := c.ListIntegrationLogs(t.Context(), integration, nil)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, long[:min(size, kept)], string(apiErr.Body))

		_, err = c.ListIntegrationLogs(t.Context(), integration, nil)
		var decodeErr *epcclogs.DecodeError
		require.ErrorAs(t, err, &decodeErr)
		assert.Equal(t, long[:min(size, kept)], string(decodeErr.Body))
	}

	// The buffer behind them serves the next response.
	s := serve(t, answer{status: 404, body: strings.Repeat("a", 1000)}, answer{status: 404, body: strings.Repeat("b", 1000)})
	c := faultClient(t, s.URL)
	_, first := c.ListIntegrationLogs(t.Context(), integration, nil)
	_, _ = c.ListIntegrationLogs(t.Context(), integration, nil)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, first, &apiErr)
	assert.Equal(t, strings.Repeat("a", 1000), string(apiErr.Body))
}

// Redirects are not followed, and do not pass.
func TestFaultRedirectIsPermanent(t *testing.T) {
	srv, _ := faultServer(t, 3)
	for n, code := range []int{301, 302, 303, 307, 308} {
		srv.Fail(1, epcclogstest.Redirect(code, srv.URL+"/v2/integrations"))
		_, err := faultClient(t, srv.URL).ListIntegrationLogs(t.Context(), integration, nil)
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, code, apiErr.StatusCode)
		assert.Equal(t, srv.URL+"/v2/integrations", apiErr.Header.Get("Location"))
		assert.Len(t, srv.Requests(), n+1)
	}
}

// A test server that breaks in the middle of a list.
func Example_faults() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, epcclogstest.SampleLogs(hook.ID, 250)...))
	defer srv.Close()
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithToken("any-token"),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Millisecond, MaxWait: time.Second}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The second request meets a gateway that cannot reach the service, the third
	// one loses half of the answer.
	srv.FailRequest(2, epcclogstest.GatewayPage(http.StatusBadGateway).WithHeader("Retry-After", "0.1"))
	srv.FailRequest(3, epcclogstest.CutLength())
	logs := 0
	for _, err := range client.IntegrationLogs(hook.ID, nil).All(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		logs++
	}
	fmt.Println(logs, "logs in", len(srv.Requests()), "requests")

	// What does not pass is the caller's to see.
	srv.Fail(4, epcclogstest.Status(http.StatusServiceUnavailable, `{"errors":[{"title":"Closed for repairs"}]}`))
	_, err = client.ListIntegrationLogs(context.Background(), hook.ID, nil)
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Errors[0].Title, "after", apiErr.Attempts, "attempts")
	}
	// Output:
	// 250 logs in 5 requests
	// 503 Closed for repairs after 4 attempts
}
