package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	clientID     = "a-client-id"
	clientSecret = "a-client-secret"
)

// setenv sets the variables of a user.
func setenv(t *testing.T, id, secret, url string) {
	t.Helper()
	t.Setenv("EPCC_CLIENT_ID", id)
	t.Setenv("EPCC_CLIENT_SECRET", secret)
	t.Setenv("EPCC_API_BASE_URL", url)
}

// call runs the program with the rate and the waits of a test.
func call(t *testing.T, args []string, opts ...epcclogs.Option) (status int, stdout, stderr string) {
	t.Helper()
	var out, messages bytes.Buffer
	opts = append(opts, epcclogs.WithRateLimit(1e6), epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Millisecond, MaxWait: 20 * time.Millisecond}))
	status = run(t.Context(), args, &out, &messages, opts...)
	return status, out.String(), messages.String()
}

// report is the report in a form that can be compared: "list/what": what was seen.
type report struct {
	text      string
	seen      map[string]string
	surprises []string
}

var line = regexp.MustCompile(`^([ !]) (\S.*?)\s{2,}(\S.*?)\s{2,}relied on: \S.*$`)

// examined runs the program on a store.
func examined(t *testing.T, url string, opts ...epcclogs.Option) report {
	t.Helper()
	setenv(t, clientID, clientSecret, url)
	status, text, stderr := call(t, nil, opts...)
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	return parsed(t, text)
}

// parsed reads a report.
func parsed(t *testing.T, text string) report {
	t.Helper()
	r := report{text: text, seen: make(map[string]string)}
	list := ""
	for l := range strings.Lines(text[:strings.Index(text, "\nNot looked at")]) {
		l = strings.TrimSuffix(l, "\n")
		if m := line.FindStringSubmatch(l); m != nil {
			what := list + "/" + m[2]
			require.NotContains(t, r.seen, what)
			if r.seen[what] = m[3]; m[1] == "!" {
				r.surprises = append(r.surprises, what)
			}
		} else if l != "" {
			list = strings.ToLower(l)
		}
	}
	if len(r.surprises) == 0 {
		assert.Contains(t, text, "\nNothing of this is surprising.\n")
	} else {
		assert.Contains(t, text, fmt.Sprintf("\nSurprising, %d:\n", len(r.surprises)))
	}
	sent, err := strconv.Atoi(regexp.MustCompile(`(\d+) of at most 64 requests\n`).FindStringSubmatch(text)[1])
	require.NoError(t, err)
	assert.LessOrEqual(t, sent, most)
	assert.Contains(t, text, "https://github.com/epcclogs/epcclogs/issues")
	return r
}

func newServer(t *testing.T, opts ...epcclogstest.Option) *epcclogstest.Server {
	t.Helper()
	srv := epcclogstest.NewServer(append(opts, epcclogstest.WithClientCredentials(clientID, clientSecret, 10*time.Minute))...)
	t.Cleanup(srv.Close)
	return srv
}

// oneHook is a store with one integration, and n logs: one each second, until now.
func oneHook(n int) (epcclogs.Integration, []epcclogs.IntegrationLog) {
	in := epcclogstest.SampleIntegration(0)
	logs := make([]epcclogs.IntegrationLog, n)
	for i := range logs {
		logs[i] = epcclogstest.Log(in.ID, fmt.Sprint("a-job-", i), 1, time.Now().Add(time.Duration(i-n)*time.Second))
	}
	return in, logs
}

var (
	rises = "rises, the newest are at the end"
	falls = "falls, the newest come first"
)

// Nothing of a store in any of the documented forms is surprising.
func TestForms(t *testing.T) {
	forms := map[epcclogstest.Envelope]string{
		epcclogstest.Meta: formMeta, epcclogstest.Links: formLinks, epcclogstest.Nested: formNested, epcclogstest.Bare: formBare,
	}
	for envelope, form := range forms {
		for order, opts := range map[string][]epcclogstest.Option{rises: nil, falls: {epcclogstest.WithNewestFirst()}} {
			t.Run(envelope.String()+" "+order, func(t *testing.T) {
				in := epcclogstest.SampleIntegration(0)
				logs := epcclogstest.SampleLogsUntil(in, 250, time.Now())
				r := examined(t, newServer(t, append(opts, epcclogstest.WithEnvelope(envelope), epcclogstest.WithIntegration(in, logs...))...).URL)
				assert.Empty(t, r.surprises)
				counted := "none is sent"
				if envelope == epcclogstest.Meta || envelope == epcclogstest.Nested {
					counted = "true"
				}
				for _, list := range []string{integrations, storeLogs, integrationLogs, jobLogs} {
					assert.Equal(t, form, r.seen[list+"/form"])
					assert.Equal(t, counted, r.seen[list+"/count"])
					assert.Equal(t, envelope == epcclogstest.Links, r.seen[list+"/links to the next page"] != "")
					assert.Equal(t, counted == "true", r.seen[list+"/wrong members of meta"] == "none")
				}
				for _, list := range []string{storeLogs, integrationLogs} {
					assert.Equal(t, "100", r.seen[list+"/longest page"])
					assert.Equal(t, order, r.seen[list+"/order of creation times"])
					assert.Equal(t, "right", r.seen[list+"/pages that begin between two"])
				}
				assert.Equal(t, "25", r.seen[storeLogs+"/page without page[limit]"])
				assert.Equal(t, formBare, r.seen[integrationJobs+"/form"])
				assert.Equal(t, "10m0s", r.seen[traffic+"/lifetime of a token"])
				assert.Equal(t, "up to 1000000 at least", r.seen[storeLogs+"/offsets"])
				assert.Regexp(t, `^\d+ requests for 250 logs$`, r.seen[storeLogs+"/Since(24 hours ago)"])
			})
		}
	}
}

// Each row sets one thing. It is seen in the logs of the store, and only what is named surprises.
func TestServers(t *testing.T) {
	both := func(what string) []string { return []string{storeLogs + "/" + what, integrationLogs + "/" + what} }
	type logs = []epcclogs.IntegrationLog
	each := func(change func(*epcclogs.IntegrationLog)) func(logs) {
		return func(l logs) {
			for i := range l {
				change(&l[i])
			}
		}
	}
	for _, tt := range []struct {
		name       string
		opts       []epcclogstest.Option
		change     func(logs)
		what, seen string
		surprises  []string
	}{
		{
			name: "shorter pages", opts: []epcclogstest.Option{epcclogstest.WithMaxLimit(50)},
			what: "longest page", seen: "50, and the answer says so", surprises: append(both("longest page"), integrationJobs+"/longest page"),
		},
		{
			name: "shorter pages with links", opts: []epcclogstest.Option{epcclogstest.WithMaxLimit(50), epcclogstest.WithEnvelope(epcclogstest.Links)},
			what: "longest page", seen: "50", surprises: append(both("longest page"), integrationJobs+"/longest page"),
		},
		{
			name: "silently shorter pages", opts: []epcclogstest.Option{epcclogstest.WithSilentMaxLimit(50)},
			what: "longest page", seen: "50, but the answer says 100", surprises: append(both("longest page"), integrationJobs+"/longest page"),
		},
		{
			name: "limit of offsets", opts: []epcclogstest.Option{epcclogstest.WithMaxOffset(133)},
			what: "offsets", seen: "up to 133", surprises: []string{storeLogs + "/offsets", storeLogs + "/Since(24 hours ago)"},
		},
		{
			name: "limit of offsets without a count",
			opts: []epcclogstest.Option{epcclogstest.WithMaxOffset(133), epcclogstest.WithEnvelope(epcclogstest.Bare)},
			what: "offsets", seen: "up to 133", surprises: []string{storeLogs + "/offsets", storeLogs + "/Since(24 hours ago)"},
		},
		{
			name: "documented limit of offsets", opts: []epcclogstest.Option{epcclogstest.WithMaxOffset(10_000)},
			what: "refusal of higher offsets", seen: "400 Bad Request",
		},
		{
			name: "offset ignored", opts: []epcclogstest.Option{epcclogstest.WithIgnoredOffset()},
			what: "pages that begin between two", seen: "no, the offset is ignored",
			surprises: []string{
				integrations + "/pages that begin between two", integrations + "/wrong members of meta",
				storeLogs + "/pages that begin between two", storeLogs + "/wrong members of meta",
				integrationLogs + "/pages that begin between two", integrationLogs + "/wrong members of meta",
				integrationJobs + "/pages that begin between two",
				jobLogs + "/pages that begin between two", jobLogs + "/wrong members of meta",
				storeLogs + "/Since(24 hours ago)",
			},
		},
		{
			name: "no job", change: func(l logs) { l[3].Relationships.Job.Data.ID = "" },
			what: "records without a job", seen: "1 of 250", surprises: both("records without a job"),
		},
		{
			name: "no integration", change: func(l logs) { l[3].Relationships.Integration.Data.ID = "" },
			what: "records without an integration", seen: "1 of 250",
			surprises: append(both("records without an integration"), integrationLogs+"/records of others"),
		},
		{
			name: "no time", change: func(l logs) { l[249].Meta.Timestamps.CreatedAt = time.Time{} },
			what: "records without a creation time", seen: "1 of 250", surprises: both("records without a creation time"),
		},
		{
			name: "no times", change: each(func(l *epcclogs.IntegrationLog) { l.Meta.Timestamps.CreatedAt = time.Time{} }),
			what: "order of creation times", seen: "cannot be told",
			surprises: append(append(both("records without a creation time"), both("order of creation times")...), jobLogs+"/records without a creation time"),
		},
		{
			name: "no order", change: func(l logs) {
				for i := range 62 {
					l[2*i], l[249-2*i] = l[249-2*i], l[2*i]
				}
			},
			what: "order of creation times", seen: "neither rises nor falls", surprises: both("order of creation times"),
		},
		{
			name: "an id twice", change: func(l logs) { l[3].ID = l[4].ID },
			what: "ids", seen: "1 of 250 records have the id of another one", surprises: both("ids"),
		},
		{
			name: "a log twice", change: func(l logs) { l[3] = l[4] },
			what: "keys", seen: "1 records have the key of another one on their page", surprises: both("keys"),
		},
		{
			name: "a log without an id", change: func(l logs) { l[30].ID = "" },
			what: "records that cannot be read", seen: "1", surprises: both("records that cannot be read"),
		},
		{
			name: "a late log", change: func(l logs) { l[245].Meta.Timestamps.CreatedAt = l[235].CreatedAt().Add(-time.Millisecond) },
			what: "late records", seen: "1, at most 10 places off",
		},
		{
			name: "a log as late as Follow allows", change: func(l logs) { l[245].Meta.Timestamps.CreatedAt = l[230].CreatedAt().Add(-time.Millisecond) },
			what: "late records", seen: "1, at most 15 places off",
		},
		{
			name: "a log later than that", change: func(l logs) { l[245].Meta.Timestamps.CreatedAt = l[229].CreatedAt().Add(-time.Millisecond) },
			what: "late records", seen: "1, at most 16 places off", surprises: both("late records"),
		},
		{
			name: "equal times", change: func(l logs) { l[3].Meta.Timestamps.CreatedAt = l[4].CreatedAt() },
			what: "equal creation times", seen: "2 of 250 records",
		},
		{
			name: "a very late log", opts: []epcclogstest.Option{epcclogstest.WithNewestFirst()},
			change: func(l logs) { l[245].Meta.Timestamps.CreatedAt = l[215].CreatedAt().Add(-time.Millisecond) },
			what:   "late records", seen: "1, at most 30 places off", surprises: both("late records"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, made := oneHook(250)
			if tt.change != nil {
				tt.change(made)
			}
			r := examined(t, newServer(t, append(tt.opts, epcclogstest.WithIntegration(in, made...))...).URL)
			assert.Equal(t, tt.seen, r.seen[storeLogs+"/"+tt.what], r.text)
			assert.ElementsMatch(t, tt.surprises, r.surprises, r.text)
			if strings.HasPrefix(tt.name, "documented") {
				assert.Equal(t, "up to 10000", r.seen[storeLogs+"/offsets"])
			}
		})
	}
}

// proxied returns the URL of a proxy that changes requests, and the headers and bodies of lists.
func proxied(t *testing.T, ask func(url.Values), change func(http.Header, map[string]any)) string {
	t.Helper()
	in, logs := oneHook(150)
	target, err := url.Parse(newServer(t, epcclogstest.WithIntegration(in, logs...)).URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			values := r.In.URL.Query()
			ask(values)
			r.Out.URL.RawQuery = values.Encode()
		},
		ModifyResponse: func(resp *http.Response) error {
			var list map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
				return err
			}
			if _, ok := list["data"]; ok {
				change(resp.Header, list)
			}
			body, err := json.Marshal(list)
			resp.Body = io.NopCloser(bytes.NewReader(body))
			resp.ContentLength = int64(len(body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}

func same(url.Values) {}

// What epcclogstest cannot be set to.
func TestOddServers(t *testing.T) {
	number := func(values url.Values, name string) int {
		n, _ := strconv.Atoi(values.Get(name)) // 0 if not sent
		return n
	}
	meta := func(l map[string]any) map[string]any { m, _ := l["meta"].(map[string]any); return m }
	calls := 0
	for _, tt := range []struct {
		name       string
		ask        func(url.Values)
		change     func(http.Header, map[string]any)
		what, seen string
		surprise   bool
	}{
		{"offsets rounded", func(v url.Values) {
			if limit := number(v, "page[limit]"); limit > 0 {
				v.Set("page[offset]", strconv.Itoa(number(v, "page[offset]")/limit*limit))
			}
		}, nil, storeLogs + "/pages that begin between two", "no, the offset is rounded to whole pages", true},
		{
			"count too small", nil, func(_ http.Header, l map[string]any) { l["results"] = map[string]any{"total": 120} },
			storeLogs + "/count", `too small: \d pages go on behind it`, true,
		},
		{
			"count too large", nil, func(_ http.Header, l map[string]any) { l["results"] = map[string]any{"total": 170} },
			storeLogs + "/count", "wrong: it says 170, and the list ends at 150", true,
		},
		{
			"count far too large", nil, func(_ http.Header, l map[string]any) { l["results"] = map[string]any{"total": 9000} },
			storeLogs + "/count", "wrong: it says 9000, and the list ends at 150", true,
		},
		{"number of a page from 0", nil, func(_ http.Header, l map[string]any) {
			if m := meta(l); m != nil {
				m["current"] = m["current"].(float64) - 1
			}
		}, storeLogs + "/wrong members of meta", "current", true},
		{"a fifth form", nil, func(_ http.Header, l map[string]any) {
			l["pagination"], l["Of-customer-17"] = 1, 1
		}, storeLogs + "/form", `none of the four that are documented: \(an odd name\), data, meta, pagination, results`, true},
		{"two forms", nil, func(_ http.Header, l map[string]any) {
			if calls++; calls%2 == 0 {
				delete(l, "meta")
				delete(l, "results")
			}
		}, storeLogs + "/form", `.*; also .*`, true},
		{"links on the last page", nil, func(_ http.Header, l map[string]any) {
			delete(l, "meta")
			delete(l, "results")
			l["links"] = map[string]any{"next": "/integrations/logs?page[offset]=0"}
		}, storeLogs + "/links to the next page", "0 missing, 1 on the last page, [1-9] to another offset.*", true},
		{"no links", nil, func(_ http.Header, l map[string]any) {
			delete(l, "meta")
			delete(l, "results")
			l["links"] = map[string]any{}
		}, storeLogs + "/links to the next page", "[1-9] missing, 0 on the last page, 0 to another offset.*", true},
		{"another order each time", nil, func(_ http.Header, l map[string]any) {
			data := l["data"].([]any)
			rand.Shuffle(len(data), func(i, j int) { data[i], data[j] = data[j], data[i] })
		}, storeLogs + "/first page once more", "in another order, 0 records of 100 are new", true},
		{"headers about limits", nil, func(h http.Header, _ map[string]any) {
			h["X-RateLimit-Remaining"], h["X-Limit-Of"] = []string{"99, 100;w=1"}, []string{"customer-17"}
		}, traffic + "/headers about limits", `X-Limit-Of: \(not a number\); X-Ratelimit-Remaining: 99, 100;w=1`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask, change := tt.ask, tt.change
			if ask == nil {
				ask = same
			}
			if change == nil {
				change = func(http.Header, map[string]any) {}
			}
			r := examined(t, proxied(t, ask, change))
			assert.Regexp(t, "^"+tt.seen+"$", r.seen[tt.what], r.text)
			assert.Equal(t, tt.surprise, slices.Contains(r.surprises, tt.what), r.text)
			assert.NotContains(t, r.text, "customer-17")
		})
	}
}

// Faults that the client outlives are counted. The others are what was seen of a list.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fault      epcclogstest.Fault
		n          int
		what, seen string
	}{
		{"429", epcclogstest.RateLimited(10 * time.Millisecond), 1, traffic + "/answers 429", `1 of \d+`},
		{"Retry-After", epcclogstest.Status(503, "").WithHeader("Retry-After", "0.01"), 1, traffic + "/headers about limits", "Retry-After: 0.01"},
		{"500", epcclogstest.ServerError(), 2, traffic + "/other answers than 200", "2 times 500"},
		{"gateway", epcclogstest.GatewayPage(502), 1, traffic + "/other answers than 200", "1 times 502"},
		{"reset", epcclogstest.Reset(), 2, traffic + "/other answers than 200", "1 times no response"},
		{"always 500", epcclogstest.ServerError(), 5, integrations + "/pages", "500 Internal Server Error"},
		{"always a gateway", epcclogstest.GatewayPage(502), 5, integrations + "/pages", "502 Bad Gateway, and the body is not a list of errors"},
		{"404", epcclogstest.NotFound(), 1, integrations + "/pages", "404 Not Found"},
		{"redirect", epcclogstest.Redirect(302, "https://example.com/customer-17"), 1, integrations + "/pages", "302 Found, and the body is not a list of errors"},
		{"cut length", epcclogstest.CutLength(), 5, integrations + "/pages", "the response ends early"},
		{"cut chunk", epcclogstest.CutChunk(), 5, integrations + "/pages", "the response ends early"},
		{"cut JSON", epcclogstest.CutJSON(), 5, integrations + "/pages", "the response ends early"},
		{"no JSON", epcclogstest.Status(200, "customer-17"), 1, integrations + "/pages", "the response is not the documented JSON"},
		{"errors", epcclogstest.Status(200, `{"errors":[{"title":"customer-17"}]}`), 1, integrations + "/pages", "200 OK, but the body lists errors"},
		{"error text", epcclogstest.Status(418, `{"errors":[{"title":"customer-17"}]}`), 1, integrations + "/pages", "418 I'm a teapot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, logs := oneHook(12)
			srv := newServer(t, epcclogstest.WithIntegration(in, logs...))
			srv.Fail(tt.n, tt.fault)
			r := examined(t, srv.URL)
			assert.Regexp(t, "^"+tt.seen+"$", r.seen[tt.what], r.text)
			assert.Equal(t, strings.HasPrefix(tt.what, integrations) || tt.name == "429", slices.Contains(r.surprises, tt.what))
			assert.NotContains(t, r.text, "customer-17")
			assert.Equal(t, "true", r.seen[storeLogs+"/count"], "the rest is looked at")
		})
	}
}

// A machine under load may let other requests time out too; these are retried.
func TestStalls(t *testing.T) {
	srv := newServer(t, epcclogstest.WithIntegration(epcclogstest.SampleIntegration(0)))
	for _, fault := range []epcclogstest.Fault{epcclogstest.StallHeader(), epcclogstest.Stall(), epcclogstest.StallStatus(503)} {
		srv.Fail(1, fault)
	}
	r := examined(t, srv.URL, epcclogs.WithTimeout(200*time.Millisecond))
	assert.Regexp(t, `^1 times 503; [1-9] times no response$`, r.seen[traffic+"/other answers than 200"])
	assert.Regexp(t, `longest ((1[5-9]\d|[2-9]\d\d)(\.\d)?ms|\d+(\.\d+)?s), of`, r.seen[traffic+"/time of a request"])
	assert.Equal(t, formMeta, r.seen[integrations+"/form"])
}

// Logs that arrive with each request are no surprise.
func TestBusy(t *testing.T) {
	for _, envelope := range []epcclogstest.Envelope{epcclogstest.Meta, epcclogstest.Links} {
		for order, opts := range map[string][]epcclogstest.Option{rises: nil, falls: {epcclogstest.WithNewestFirst()}} {
			t.Run(envelope.String()+" "+order, func(t *testing.T) {
				in, logs := oneHook(250)
				srv := newServer(t, append(opts, epcclogstest.WithEnvelope(envelope), epcclogstest.WithIntegration(in, logs...))...)
				srv.OnRequest(func(n int, _ epcclogstest.Request) {
					srv.AddLogs(in.ID, epcclogstest.Log(in.ID, fmt.Sprint("a-new-job-", n), 1, time.Now()))
				})
				r := examined(t, srv.URL)
				assert.Empty(t, r.surprises, r.text)
				assert.Equal(t, order, r.seen[storeLogs+"/order of creation times"])
				if envelope == epcclogstest.Meta {
					assert.Equal(t, "true", r.seen[storeLogs+"/count"])
				}
			})
		}
	}
}

// A server that fails soon is not asked for ever.
func TestBound(t *testing.T) {
	in, logs := oneHook(12_000)
	srv := newServer(t, epcclogstest.WithIntegration(in, logs...), epcclogstest.WithEnvelope(epcclogstest.Bare), epcclogstest.WithMaxOffset(11_000))
	r := examined(t, srv.URL, epcclogs.WithOnAttempt(func(_ context.Context, a epcclogs.Attempt) {
		assert.False(t, a.Retry, "a request that is not allowed is not retried")
	}))
	assert.Empty(t, r.surprises, r.text)
	assert.LessOrEqual(t, len(srv.Requests()), most)
	assert.NotEmpty(t, r.seen[integrationJobs+"/form"])
	assert.Contains(t, r.seen[storeLogs+"/Since(24 hours ago)"], "then it was left")

	srv = newServer(t)
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n > 3 {
			srv.FailRequest(1, epcclogstest.ServerError())
		}
	})
	examined(t, srv.URL)
	assert.LessOrEqual(t, len(srv.Requests()), most)
}

func TestTokens(t *testing.T) {
	for body, seen := range map[string]string{
		`{"access_token":"customer-17"}`:                   "not said in expires_in",
		`{"access_token":"customer-17","expires_in":7200}`: "2h0m0s",
		`{"access_token":"customer-17","expires_in":"60"}`: "1m0s",
	} {
		srv := epcclogstest.NewServer(epcclogstest.WithIntegration(epcclogstest.SampleIntegration(0)))
		srv.FailToken(1, epcclogstest.Status(200, body))
		r := examined(t, srv.URL)
		srv.Close()
		what := traffic + "/lifetime of a token"
		assert.Equal(t, seen, r.seen[what])
		assert.Equal(t, seen != "2h0m0s", slices.Contains(r.surprises, what))
		assert.NotContains(t, r.text, "customer-17")
	}
}

func TestEmptyStores(t *testing.T) {
	in := epcclogstest.SampleIntegration(0)
	r := examined(t, newServer(t, epcclogstest.WithIntegration(in)).URL)
	assert.Empty(t, r.surprises)
	assert.Equal(t, "none", r.seen[storeLogs+"/records"])
	assert.Contains(t, r.text, "Not looked at: "+jobLogs+"; which offsets are refused; ")

	srv := newServer(t, epcclogstest.WithIntegration(in))
	srv.RemoveIntegration(in.ID)
	r = examined(t, srv.URL)
	assert.Empty(t, r.surprises)
	assert.Contains(t, r.text, "Not looked at: "+integrationLogs+"; ")
}

// The program looks at the embedded store if nothing is set, and at nothing that belongs to a user.
func TestEmbedded(t *testing.T) {
	setenv(t, "", "", "")
	status, text, stderr := call(t, nil)
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	assert.Contains(t, text, "\nLooked at: an embedded store with made-up data, since no EPCC_ variable is set\n")
	assert.Contains(t, text, "\nNothing of this is surprising.\n")
}

// The report has none of the texts that the server sends as values.
func TestNoSecrets(t *testing.T) {
	srv := newServer(t, epcclogstest.WithMaxLimit(50), epcclogstest.WithMaxOffset(300))
	text := examined(t, srv.URL).text
	client, err := epcclogs.NewClientFromEnv()
	require.NoError(t, err)
	secrets := []string{clientID, clientSecret, "not-a-real-secret", srv.URL, strings.TrimPrefix(srv.URL, "http://"), "127.0.0.1"}
	for in, err := range client.Integrations(nil).All(t.Context()) {
		require.NoError(t, err)
		secrets = append(secrets, in.ID, in.Name, in.Description)
	}
	page, err := client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Limit: 100})
	require.NoError(t, err)
	for _, l := range page.Data {
		secrets = append(secrets, l.ID, l.JobID(), l.Body, l.ErrorDetail, l.Key(), l.CreatedAt().Format(time.TimeOnly))
	}
	for _, secret := range secrets {
		if len(secret) > 2 {
			assert.NotContains(t, text, secret)
		}
	}
	assert.Greater(t, len(secrets), 100)
}

// What the program only does with the store is to read lists and to get a token.
func TestReadsOnly(t *testing.T) {
	srv := newServer(t)
	examined(t, srv.URL)
	for _, r := range srv.Requests() {
		assert.Equal(t, r.Path == "/oauth/access_token", r.Method != http.MethodGet, r.Path)
	}
}

// Unless a test says otherwise, 5 requests a second are sent, also for the token.
func TestRate(t *testing.T) {
	srv := newServer(t)
	setenv(t, clientID, clientSecret, srv.URL)
	srv.Fail(1, epcclogstest.Status(http.StatusForbidden, ""))
	started := time.Now()
	require.Equal(t, 1, run(t.Context(), nil, io.Discard, io.Discard))
	requests := srv.Requests()
	require.Len(t, requests, 2)
	assert.GreaterOrEqual(t, requests[1].Time.Sub(started), 200*time.Millisecond)
}

// Where nothing can be read, the report says why, and the exit status is not 0.
func TestFailures(t *testing.T) {
	srv := newServer(t)
	closed := epcclogstest.NewServer()
	closed.Close()
	for _, tt := range []struct{ name, secret, url, message, endpoint, pages string }{
		{"wrong secret", "not-the-secret", srv.URL, "401 Unauthorized", "401 Unauthorized", "401 Unauthorized"},
		{"no network", clientSecret, closed.URL, "connection refused", "no response", "no response"},
		{"wrong host", clientSecret, srv.URL + "/nothing", "404 Not Found", "404 Not Found", "404 Not Found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, clientID, tt.secret, tt.url)
			status, stdout, stderr := call(t, nil)
			assert.Equal(t, 1, status)
			assert.Regexp(t, "^doctor: .*"+tt.message, stderr)
			assert.NotContains(t, stderr, tt.secret)
			r := parsed(t, stdout)
			assert.Equal(t, []string{integrations + "/pages", traffic + "/token endpoint"}, r.surprises)
			assert.Equal(t, tt.endpoint, r.seen[traffic+"/token endpoint"])
			assert.Equal(t, tt.pages, r.seen[integrations+"/pages"])
			assert.Contains(t, stdout, "\nNot looked at: "+storeLogs+"; ")
			for _, secret := range []string{clientID, tt.secret, "127.0.0.1"} {
				assert.NotContains(t, stdout, secret)
			}
		})
	}
	setenv(t, clientID, clientSecret, srv.URL)
	srv.Fail(1, epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden"}]}`))
	status, stdout, stderr := call(t, nil)
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "403 Forbidden")
	assert.Equal(t, []string{integrations + "/pages"}, parsed(t, stdout).surprises)

	setenv(t, clientID, "", srv.URL)
	status, stdout, stderr = call(t, nil)
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Regexp(t, "^doctor: .*missing in the environment: EPCC_CLIENT_SECRET", stderr)
}

// A store that refuses everything is reported too, and is not asked again and again.
func TestAlwaysLimited(t *testing.T) {
	srv := newServer(t, epcclogstest.WithRequestLimit(0, 3))
	setenv(t, clientID, clientSecret, srv.URL)
	status, stdout, _ := call(t, nil)
	assert.Zero(t, status)
	r := parsed(t, stdout)
	assert.Equal(t, `1 of 5`, r.seen[traffic+"/answers 429"], stdout)
	assert.Contains(t, r.surprises, traffic+"/answers 429")
	assert.Equal(t, "429 Too Many Requests", r.seen[storeLogs+"/pages"])
	assert.Contains(t, r.seen[integrationLogs+"/pages"], "not asked")
	assert.NotContains(t, r.seen, storeLogs+"/records")
	assert.Len(t, srv.Requests(), 5)
}

func TestInterrupt(t *testing.T) {
	srv := newServer(t)
	setenv(t, clientID, clientSecret, srv.URL)
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 5 {
			cancel()
		}
	})
	var out, messages bytes.Buffer
	assert.Equal(t, 1, run(ctx, nil, &out, &messages, epcclogs.WithRateLimit(1e6)))
	assert.Equal(t, "doctor: context canceled\n", messages.String())
	assert.Empty(t, out.String())
	assert.LessOrEqual(t, len(srv.Requests()), 7)
}

func TestUsage(t *testing.T) {
	for status, args := range map[int][]string{0: {"-h"}, 2: {"x"}} {
		got, stdout, stderr := call(t, args)
		assert.Equal(t, status, got)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "usage: doctor\n")
	}
	got, _, _ := call(t, []string{"-x"})
	assert.Equal(t, 2, got)
}
