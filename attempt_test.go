package epcclogs_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// faulty returns a test server of n logs, and their ids.
func faulty(t testing.TB, n int) (srv *epcclogstest.Server, ids []string) {
	t.Helper()
	logs := epcclogstest.SampleLogs(integration, n)
	for _, log := range logs {
		ids = append(ids, log.ID)
	}
	srv = epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogs.Integration{ID: integration, Name: "Orders"}, logs...))
	t.Cleanup(srv.Close)
	return srv, ids
}

// unkept returns a client that keeps no connections: net/http itself sends again
// what a kept one lost, and requests are counted here.
func unkept(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithToken("token"), over(&http.Transport{DisableKeepAlives: true})}, opts...)
	return newClient(t, url, opts...)
}

// idsOf drains the pager.
func idsOf(t testing.TB, pager *epcclogs.Pager[epcclogs.IntegrationLog]) (ids []string, err error) {
	for log, err := range pager.All(t.Context()) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, log.ID)
	}
	return ids, nil
}

var twenties = &epcclogs.ListOptions{Limit: 20}

func isDecodeError(err error) bool { return errors.As(err, new(*epcclogs.DecodeError)) }

func isCut(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && !isDecodeError(err) }

func isCutJSON(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && isDecodeError(err) }

func isStatus(code int) func(error) bool {
	return func(err error) bool {
		var apiErr *epcclogs.APIError
		return errors.As(err, &apiErr) && apiErr.StatusCode == code && apiErr.Attempts == 3
	}
}

// passing are faults that pass, and the errors in which they end when they do
// not. Those that stall are tested in virtual time.
var passing = map[string]struct {
	fault epcclogstest.Fault
	ends  func(error) bool
}{
	"CutLength":   {epcclogstest.CutLength(), isCut},
	"CutChunk":    {epcclogstest.CutChunk(), isCut},
	"CutJSON":     {epcclogstest.CutJSON(), isCutJSON},
	"empty":       {epcclogstest.Status(200, ""), isDecodeError},
	"blank":       {epcclogstest.Status(200, " \r\n"), isCutJSON},
	"Reset":       {epcclogstest.Reset(), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	"GatewayPage": {epcclogstest.GatewayPage(502), isStatus(502)},
	"Status":      {epcclogstest.Status(429, `{"errors":[{}]}`).WithHeader("Retry-After", "0.001"), isStatus(429)},
}

// Wherever in a list a fault comes, all records come once, in order.
func TestFaultsPass(t *testing.T) {
	for name, kind := range passing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, want := faulty(t, 70)
			c := unkept(t, srv.URL)
			for at := 1; at <= 4; at++ {
				srv.FailRequest(at, kind.fault)
				ids, err := idsOf(t, c.IntegrationLogs(integration, twenties))
				require.NoError(t, err, "request %d", at)
				require.Equal(t, want, ids, "request %d", at)
				require.Len(t, srv.Requests(), at*5, "four pages and one more request")
			}
		})
	}
}

// Twice for each page, the most that three attempts can bear.
func TestFaultsTwicePerPage(t *testing.T) {
	srv, want := faulty(t, 70)
	for n, kind := range []string{"CutLength", "CutChunk", "CutJSON", "Reset", "GatewayPage", "empty", "Status", "CutJSON"} {
		srv.FailRequest(1+n/2*3+n%2, passing[kind].fault)
	}
	ids, err := idsOf(t, unkept(t, srv.URL).IntegrationLogs(integration, twenties))
	require.NoError(t, err)
	assert.Equal(t, want, ids)
	assert.Len(t, srv.Requests(), 12)
}

// What does not pass ends in its own error after MaxAttempts, with the records
// before it handed out; once it has passed, the same pager goes on.
func TestFaultsThatStay(t *testing.T) {
	for name, kind := range passing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, want := faulty(t, 70)
			pager := unkept(t, srv.URL).IntegrationLogs(integration, twenties)
			for at := 2; at <= 4; at++ {
				srv.FailRequest(at, kind.fault)
			}
			got, err := idsOf(t, pager)
			assert.True(t, kind.ends(err), "%T %v", err, err)
			require.ErrorContains(t, err, "GET "+srv.URL+"/v2/integrations/"+integration+"/logs?page[limit]=20&page[offset]=19")
			assert.Len(t, got, 20)
			assert.Equal(t, 20, pager.Offset())
			assert.Len(t, srv.Requests(), 4)

			rest, err := idsOf(t, pager)
			require.NoError(t, err)
			assert.Equal(t, want, append(got, rest...))
			assert.Len(t, srv.Requests(), 7)
		})
	}
}

// A cut that stays is told in the same words, wherever the body ends.
func TestTextOfACut(t *testing.T) {
	const whole = `{"data":[`
	for _, answer := range []wire.Step{wire.OK(whole), wire.OK(whole, "Content-Length", "100")} {
		s := wire.Serve(t, answer)
		err := call(t.Context(), unkept(t, s.URL))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorContains(t, err, "epcclogs: GET "+s.URL+"/v2/integrations: the response ended early: unexpected EOF")
		require.ErrorContains(t, err, " (after 3 attempts)")
		assert.Len(t, s.Sent(), 3)
	}
}

func TestBodyOfACutResponse(t *testing.T) {
	srv, _ := faulty(t, 3)
	srv.Fail(3, epcclogstest.CutJSON())
	decodeErr := as[*epcclogs.DecodeError](t, exhaust(t.Context(), unkept(t, srv.URL).IntegrationLogs(integration, nil)))
	assert.True(t, strings.HasPrefix(string(decodeErr.Body), `{"data":[`), "%s", decodeErr.Body)
	assert.Equal(t, 3, decodeErr.Attempts)
	assert.Len(t, srv.Requests(), 3)
}

// A Content-Length that is not reached means a cut, also where the JSON is whole.
func TestWholeJSONBelowContentLength(t *testing.T) {
	s := wire.Serve(t, wire.OK(wire.Page(wire.Record(1)), "Content-Length", "5000"), done)
	require.NoError(t, call(t.Context(), unkept(t, s.URL)))
	assert.Len(t, s.Sent(), 2)
}

// pack compresses a body.
func pack(t testing.TB, body []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestResponseSizeCountsDecodedBytes(t *testing.T) {
	body := wire.Page(wire.Records(0, 200)...)
	packed := pack(t, []byte(body))
	require.Less(t, len(packed), len(body)/2)
	s := wire.Serve(t, wire.OK(packed, "Content-Encoding", "gzip"))
	require.NoError(t, call(t.Context(), unkept(t, s.URL, epcclogs.WithMaxResponseSize(int64(len(body))))))
	for _, size := range []int{len(body) - 1, len(packed), 1} {
		err := call(t.Context(), unkept(t, s.URL, epcclogs.WithMaxResponseSize(int64(size))))
		require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
	}
	assert.Len(t, s.Sent(), 4)
}

// A compressed body that is cut is a cut body.
func TestCutGzip(t *testing.T) {
	packed := pack(t, []byte(wire.Page(wire.Records(0, 50)...)))
	for _, n := range []int{0, 5, len(packed) / 2, len(packed) - 1} {
		s := wire.Serve(t, wire.OK(packed[:n], "Content-Encoding", "gzip"), wire.OK(packed, "Content-Encoding", "gzip"))
		require.NoError(t, call(t.Context(), unkept(t, s.URL)), n)
		assert.Len(t, s.Sent(), 2)
	}
}

// Some KiB that unpack to a GiB of zeros do not fill the memory.
func TestGzipBomb(t *testing.T) {
	piece := pack(t, make([]byte, 1<<20))
	for status, requests := range map[int]int{200: 1, 500: 3} {
		s := wire.Serve(t, wire.Reply(status, strings.Repeat(piece, 1<<10), "Content-Encoding", "gzip"))
		c := unkept(t, s.URL, epcclogs.WithMaxResponseSize(1<<20))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := call(t.Context(), c)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
		assert.Len(t, s.Sent(), requests)
		if status == 200 {
			require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
			require.False(t, isDecodeError(err))
			continue
		}
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Len(t, apiErr.Body, 64<<10, "of an error, only what is kept is read")
	}
}
