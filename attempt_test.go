package epcclogs_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// unkept returns a client that keeps no connections: net/http itself sends again
// what a kept one lost, and requests are counted here.
func unkept(t testing.TB, url string, opts ...epcclogs.Option) *epcclogs.Client {
	t.Helper()
	opts = append([]epcclogs.Option{epcclogs.WithToken("token"), over(&http.Transport{DisableKeepAlives: true})}, opts...)
	return newClient(t, url, opts...)
}

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

func TestFaultsAreRetried(t *testing.T) {
	for name, kind := range passing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := epcclogstest.NewServer()
			t.Cleanup(srv.Close)
			c := unkept(t, srv.URL)
			for times := 1; times <= 3; times++ {
				before := len(srv.Requests())
				srv.Fail(times, kind.fault)
				page, err := c.ListStoreLogs(t.Context(), nil)
				require.Len(t, srv.Requests()[before:], min(times+1, 3))
				if times < 3 {
					require.NoError(t, err)
					require.NotEmpty(t, page.Data)
				} else {
					require.True(t, kind.ends(err), "%T %v", err, err)
					require.ErrorContains(t, err, "GET "+srv.URL)
				}
			}
		})
	}
}

// A list comes whole, and in order, although each page fails twice, which is the most that
// three attempts can bear.
func TestFaultsInAList(t *testing.T) {
	logs := epcclogstest.SampleLogs(integration, 70)
	for i := range logs {
		logs[i].Body = strconv.Itoa(i)
	}
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogs.Integration{ID: integration}, logs...))
	t.Cleanup(srv.Close)
	for n, kind := range []string{"CutLength", "CutChunk", "CutJSON", "Reset", "GatewayPage", "empty", "Status", "CutJSON"} {
		srv.FailRequest(1+n/2*3+n%2, passing[kind].fault)
	}
	got, err := bodies(unkept(t, srv.URL).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 20}).All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, wire.Bodies(0, 70), got)
	assert.Len(t, srv.Requests(), 12)
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
		var decodeErr *epcclogs.DecodeError
		if errors.As(err, &decodeErr) {
			assert.True(t, strings.HasPrefix(string(decodeErr.Body), whole), "%s", decodeErr.Body)
			assert.Equal(t, 3, decodeErr.Attempts)
		}
	}
}

// WithMaxResponseSize counts decoded bytes. A response that is larger is not asked for again.
func TestTooLarge(t *testing.T) {
	body := wire.Page(wire.Records(0, 200)...)
	packed := wire.Gzip([]byte(body))
	require.Less(t, len(packed), len(body)/2)
	for _, answer := range []wire.Step{wire.OK(body), wire.OK(packed, "Content-Encoding", "gzip")} {
		s := wire.Serve(t, answer)
		for _, size := range []int{len(body), math.MaxInt, len(body) - 1, len(packed), 1} {
			err := call(t.Context(), unkept(t, s.URL, epcclogs.WithMaxResponseSize(int64(size))))
			if size >= len(body) {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, epcclogs.ErrResponseTooLarge)
			require.ErrorContains(t, err, fmt.Sprint(size))
			require.ErrorContains(t, err, "GET "+s.URL+"/v2/integrations")
		}
		assert.Len(t, s.Sent(), 5)
	}
}

// A Content-Length that is not reached means a cut, also where the JSON is whole. A
// compressed body that is cut is a cut body.
func TestCutByHTTP(t *testing.T) {
	packed := wire.Gzip([]byte(wire.Page(wire.Records(0, 50)...)))
	cuts := []wire.Step{wire.OK(wire.Page(wire.Record(1)), "Content-Length", "5000")}
	for _, n := range []int{0, 5, len(packed) / 2, len(packed) - 1} {
		cuts = append(cuts, wire.OK(packed[:n], "Content-Encoding", "gzip"))
	}
	for n, cut := range cuts {
		s := wire.Serve(t, cut, done)
		require.NoError(t, call(t.Context(), unkept(t, s.URL)), n)
		assert.Len(t, s.Sent(), 2)
	}
}

// Some KiB that unpack to a GiB of zeros do not fill the memory.
func TestGzipBomb(t *testing.T) {
	piece := wire.Gzip(make([]byte, 1<<20))
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
