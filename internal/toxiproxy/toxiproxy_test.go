package toxiproxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

var hook = epcclogs.Integration{ID: "ff8634a8-a89e-4eac-baab-9b7b8c4f8720", Name: "Orders"}

// total logs come in five pages of up to 100. Every page but the first begins with
// the last log of the page before, so two pages bring twoPages.
const (
	total    = 450
	twoPages = 199
)

// world is a server, a proxy before it, and a client that knows the proxy only.
type world struct {
	srv   *epcclogstest.Server
	proxy *toxiproxy.Proxy
	api   *epcclogs.Client
	want  []string // ids of the logs
}

func newWorld(t *testing.T, timeout time.Duration, attempts int) *world {
	t.Helper()
	logs := epcclogstest.SampleLogs(hook.ID, total)
	w := &world{srv: epcclogstest.NewServer(
		epcclogstest.WithIntegration(hook, logs...),
		epcclogstest.WithClientCredentials("id", "not-a-real-secret", time.Hour),
	)}
	t.Cleanup(w.srv.Close)
	for _, l := range logs {
		w.want = append(w.want, l.ID)
	}

	quiet := zerolog.Nop()
	w.proxy = toxiproxy.NewProxy(&toxiproxy.ApiServer{
		Metrics: toxiproxy.NewMetricsContainer(nil), Logger: &quiet,
	}, t.Name(), "127.0.0.1:0", strings.TrimPrefix(w.srv.URL, "http://"))
	require.NoError(t, w.proxy.Start())
	t.Cleanup(w.proxy.Stop)

	var err error
	w.api, err = epcclogs.NewClient(
		epcclogs.WithBaseURL("http://"+w.proxy.Listen),
		epcclogs.WithClientCredentials("id", "not-a-real-secret"),
		epcclogs.WithTimeout(timeout),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: attempts, MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond}),
	)
	require.NoError(t, err)
	t.Cleanup(w.api.CloseIdleConnections)
	return w
}

// poison adds a toxic for what the server sends (downstream) or the client does
// (upstream), for connections that exist and those to come.
func (w *world) poison(t *testing.T, kind, stream string, attributes string) {
	t.Helper()
	_, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":%q,"type":%q,"stream":%q,"toxicity":1,"attributes":%s}`, kind+"_"+stream, kind, stream, attributes)))
	require.NoError(t, err)
}

func (w *world) cure(t *testing.T, kind, stream string) {
	t.Helper()
	require.NoError(t, w.proxy.Toxics.RemoveToxic(t.Context(), kind+"_"+stream))
}

// drain hands out all that is left of the pager.
func drain(ctx context.Context, p *epcclogs.Pager[epcclogs.IntegrationLog]) (ids []string, err error) {
	for l, err := range p.All(ctx) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, l.ID)
	}
	return ids, nil
}

func (w *world) all(ctx context.Context) ([]string, error) {
	return drain(ctx, w.api.IntegrationLogs(hook.ID, nil))
}

// What only slows a connection down costs no record and no request.
func TestSlow(t *testing.T) {
	for name, toxic := range map[string]struct{ kind, stream, attributes string }{
		"latency":            {"latency", "downstream", `{"latency":40,"jitter":20}`},
		"latency of request": {"latency", "upstream", `{"latency":40,"jitter":20}`},
		"bandwidth":          {"bandwidth", "downstream", `{"rate":400}`},
		"slicer":             {"slicer", "downstream", `{"average_size":700,"size_variation":500,"delay":50}`},
		"slicer of request":  {"slicer", "upstream", `{"average_size":3,"size_variation":2,"delay":50}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 30*time.Second, 1)
			w.poison(t, toxic.kind, toxic.stream, toxic.attributes)
			ids, err := w.all(t.Context())
			require.NoError(t, err)
			assert.Equal(t, w.want, ids)
			assert.Len(t, w.srv.Requests(), 6, "a token and five pages")
		})
	}
}

// All of them together.
func TestSlowInEveryWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30*time.Second, 1)
	w.poison(t, "latency", "downstream", `{"latency":20,"jitter":20}`)
	w.poison(t, "slicer", "downstream", `{"average_size":2000,"size_variation":1000,"delay":20}`)
	w.poison(t, "bandwidth", "downstream", `{"rate":800}`)
	ids, err := w.all(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.want, ids)
}

// A line slower than the attempt time-out ends in a time-out, not in a hung call
// and not in an error that looks like the caller's deadline.
func TestTooSlow(t *testing.T) {
	for name, toxic := range map[string]struct{ kind, attributes string }{
		"latency":   {"latency", `{"latency":60000}`},
		"bandwidth": {"bandwidth", `{"rate":1}`},
		"timeout":   {"timeout", `{"timeout":0}`}, // says nothing, ever
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 300*time.Millisecond, 2)
			_, err := w.api.ListIntegrations(t.Context(), nil) // a token, and a connection
			require.NoError(t, err)
			w.poison(t, toxic.kind, "downstream", toxic.attributes)
			ids, err := w.all(t.Context())
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			assert.True(t, timeout.Timeout())
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, w.proxy.Listen+"/v2/integrations/"+hook.ID+"/logs")
			assert.Empty(t, ids)
		})
	}
}

// A line that breaks in the middle of a drain and stays broken ends it in a
// connection error, at the position where it broke: the same pager goes on there.
func TestBrokenInTheMiddle(t *testing.T) {
	for name, toxic := range map[string]struct{ kind, attributes string }{
		"timeout":              {"timeout", `{"timeout":50}`},
		"silence":              {"timeout", `{"timeout":0}`},
		"reset":                {"reset_peer", `{"timeout":0}`},
		"reset after a moment": {"reset_peer", `{"timeout":20}`},
		"cut":                  {"limit_data", `{"bytes":5000}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 300*time.Millisecond, 3)
			p := w.api.IntegrationLogs(hook.ID, nil)
			var got []string
			for page, err := range p.Pages(t.Context()) {
				require.NoError(t, err)
				for _, l := range page.Data {
					got = append(got, l.ID)
				}
				if len(got) == twoPages {
					break
				}
			}

			w.poison(t, toxic.kind, "downstream", toxic.attributes)
			more, err := drain(t.Context(), p)
			require.Error(t, err)
			assert.Empty(t, more)
			assert.Equal(t, twoPages, p.Offset())
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, epcclogs.ErrPagination)
			require.NotErrorAs(t, err, new(*epcclogs.APIError))
			require.NotErrorAs(t, err, new(*epcclogs.DecodeError))
			require.ErrorContains(t, err, w.proxy.Listen+"/v2/integrations/"+hook.ID+"/logs")

			w.cure(t, toxic.kind, "downstream")
			more, err = drain(t.Context(), p)
			require.NoError(t, err)
			assert.Equal(t, w.want, append(got, more...))
		})
	}
}

// A fault that passes while the call still has attempts is not seen at all.
func TestMendedInTime(t *testing.T) {
	for name, toxic := range map[string]struct{ kind, attributes string }{
		"timeout":   {"timeout", `{"timeout":20}`},
		"reset":     {"reset_peer", `{"timeout":0}`},
		"cut":       {"limit_data", `{"bytes":5000}`},
		"cut early": {"limit_data", `{"bytes":100}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 10*time.Second, 1000)
			broken := make(chan struct{}, 100)
			w.srv.OnRequest(func(n int, _ epcclogstest.Request) {
				if n > 2 {
					broken <- struct{}{}
				}
			})
			p := w.api.IntegrationLogs(hook.ID, nil)
			var got []string
			for page, err := range p.Pages(t.Context()) {
				require.NoError(t, err)
				for _, l := range page.Data {
					got = append(got, l.ID)
				}
				if len(got) != twoPages {
					continue
				}
				w.poison(t, toxic.kind, "downstream", toxic.attributes)
				mended := make(chan error, 1)
				go func() { // the second request that comes while it is broken mends it
					<-broken
					<-broken
					mended <- w.proxy.Toxics.RemoveToxic(context.Background(), toxic.kind+"_downstream")
				}()
				t.Cleanup(func() { assert.NoError(t, <-mended) })
			}
			assert.Equal(t, w.want, got)
			assert.Greater(t, len(w.srv.Requests()), 6)
		})
	}
}

// Nobody listens any more, and then somebody does.
func TestProxyDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second, 2)
	p := w.api.IntegrationLogs(hook.ID, nil)
	var got []string
	for l, err := range p.All(t.Context()) {
		require.NoError(t, err)
		if got = append(got, l.ID); len(got) == 150 {
			break
		}
	}
	w.proxy.Stop()
	more, err := drain(t.Context(), p)
	var broken *net.OpError
	require.ErrorAs(t, err, &broken)
	got = append(got, more...)
	assert.Len(t, got, twoPages, "the page that was there already")

	require.NoError(t, w.proxy.Start())
	more, err = drain(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, w.want, append(got, more...))
	assert.Equal(t, http.MethodPost, w.srv.Requests()[0].Method, "and the token is still good")
	assert.Len(t, w.srv.Requests(), 6)
}
