//go:build browser

package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// browser is a tab of a headless Chromium, and what its console said.
type browser struct {
	context.Context
	mu       sync.Mutex
	messages []string
	requests []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{Context: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			b.messages = append(b.messages, fmt.Sprint(e.Type, " ", e.Args))
		case *runtime.EventExceptionThrown:
			b.messages = append(b.messages, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			b.messages = append(b.messages, e.Entry.Text+" "+e.Entry.URL)
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, e.Request.URL)
		}
	}), "Chromium is needed")
	command(t, b, network.Enable, network.EnableParams{})
	command(t, b, log.Enable, cdp.Empty{})
	return b
}

func command[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], params P) {
	t.Helper()
	_, err := chromedp.Call(b, c, params)
	require.NoError(t, err)
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, time.Minute)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, actions...))
}

// ask returns the value of a JavaScript expression.
func ask[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	require.NoError(t, err)
	return v
}

// shown returns the numbers on the page, as it writes them.
func (b *browser) shown(t *testing.T) map[string]string {
	t.Helper()
	return ask[map[string]string](t, b, `(() => {
		const shown = {};
		for (const id of ["undelivered", "rate", "attempts", "failures"]) shown[id] = document.getElementById(id).textContent;
		for (const row of document.querySelectorAll("#statuses tr")) shown["status " + row.cells[0].textContent] = row.cells[1].textContent;
		for (const row of document.querySelectorAll("#integrations tbody tr"))
			shown["integration " + row.cells[0].textContent.trim()] = [...row.cells].slice(1).map((c) => c.textContent.trim()).join(" | ");
		return shown;
	})()`)
}

// inDatabase counts with SQL of its own what the page should show of an
// integration; of all when id is empty.
func inDatabase(t *testing.T, s *store, from time.Time, id string) map[string]string {
	t.Helper()
	where := fmt.Sprintf(` created_at >= %d`, from.UnixMicro())
	if id != "" {
		where += ` AND integration = '` + id + `'`
	}
	n := func(query string) int { return number(t, s.db, query) }
	undelivered := func(and string) int {
		return n(`SELECT COUNT(*) FROM (SELECT integration AS i, job AS j, MAX(attempt) AS last FROM logs GROUP BY 1, 2) m
			JOIN logs l ON l.integration = m.i AND l.job = m.j AND l.attempt = m.last WHERE NOT l.succeeded AND ` + where + and)
	}
	rate := func(and string) string {
		all, bad := n(`SELECT COUNT(*) FROM logs WHERE`+where+and), n(`SELECT COUNT(*) FROM logs WHERE NOT succeeded AND`+where+and)
		return percent(float64(all-bad) / float64(all))
	}
	want := map[string]string{
		"attempts":    count(n(`SELECT COUNT(*) FROM logs WHERE` + where)),
		"failures":    count(n(`SELECT COUNT(*) FROM logs WHERE NOT succeeded AND` + where)),
		"undelivered": count(undelivered("")),
		"rate":        rate(""),
	}
	for _, status := range []int{0, 404, 500, 503} {
		want["status "+statusText(status)] = count(n(fmt.Sprintf(`SELECT COUNT(*) FROM logs WHERE NOT succeeded AND status = %d AND`, status) + where))
	}
	for i := range 3 {
		in := epcclogstest.SampleIntegration(i)
		if id != "" && id != in.ID {
			continue
		}
		and := ` AND integration = '` + in.ID + `'`
		all := n(`SELECT COUNT(*) FROM logs WHERE` + where + and)
		want["integration "+in.Name] = strings.Join([]string{
			rate(and), count(all), count(n(`SELECT COUNT(*) FROM logs WHERE NOT succeeded AND` + where + and)),
			count(undelivered(and)),
		}, " | ")
	}
	return want
}

func TestBrowser(t *testing.T) {
	const script = `<script>window.ran = true</script><img src=x onerror="window.ran = true">`
	now := time.Now()
	var options []epcclogstest.Option
	total := 0
	for i := range 3 {
		in := epcclogstest.SampleIntegration(i)
		logs := epcclogstest.SampleLogs(in.ID, 1000)
		late := now.Sub(logs[len(logs)-1].CreatedAt()) - 2*time.Minute
		for j := range logs {
			logs[j].Meta.Timestamps.CreatedAt = logs[j].CreatedAt().Add(late)
		}
		evil := failed(in.ID, "evil<script>window.ran = true</script>", 1, now.Add(-time.Minute), 500)
		evil.Body, evil.ErrorDetail, evil.ProcessingTime = script, script, 0.01
		logs = append(logs, evil)
		total += len(logs)
		options = append(options, epcclogstest.WithIntegration(in, logs...))
	}
	api := epcclogstest.NewServer(options...)
	defer api.Close()
	setenv(t, api)
	location := databases["sqlite"](t)
	base, end := start(t, "-db", location, "-interval", "1s")
	s := open(t, location)
	eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM logs`) == total })
	eventually(t, func() bool { return number(t, s.db, `SELECT COUNT(*) FROM integrations`) == 3 })

	b := newBrowser(t)
	day := filter{Period: periods[1]}.window(time.Now()).from
	for _, width := range []int64{1280, 390} {
		for scheme, background := range map[string]string{"light": "rgb(246, 247, 249)", "dark": "rgb(17, 20, 24)"} {
			t.Run(fmt.Sprint(width, scheme), func(t *testing.T) {
				command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				b.do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(base), chromedp.WaitVisible("#integrations"))
				assert.Equal(t, background, ask[string](t, b, `getComputedStyle(document.body).backgroundColor`))
				assert.LessOrEqual(t, ask[int64](t, b, `document.documentElement.scrollWidth`), width, "nothing sticks out")
				assert.Equal(t, 24, ask[int](t, b, `document.querySelectorAll(".plot a").length`))
				assert.Positive(t, ask[float64](t, b, `Math.max(...[...document.querySelectorAll(".plot a")].map((a) => parseFloat(getComputedStyle(a, "::before").height)))`),
					"failures are seen in the chart")
				assert.Less(t, ask[float64](t, b, `document.querySelector(".failing").getBoundingClientRect().bottom`), 900.0, "what fails is seen without scrolling")
				assert.Equal(t, inDatabase(t, s, day, ""), b.shown(t))
			})
		}
	}

	// The filters are in the URL, and the numbers follow them.
	b.do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(base), chromedp.WaitVisible("#integrations"))
	two := epcclogstest.SampleIntegration(1)
	_, err := chromedp.RunResponse(b, chromedp.Click(fmt.Sprintf(`#integrations a[title="%s"]`, two.Name)))
	require.NoError(t, err)
	b.do(t, chromedp.WaitVisible("#integrations"))
	assert.Equal(t, base+"?"+url.Values{"period": {"24h"}, "integration": {two.ID}}.Encode(), sorted(t, ask[string](t, b, `location.href`)))
	assert.Equal(t, inDatabase(t, s, day, two.ID), b.shown(t))
	_, err = chromedp.RunResponse(b, chromedp.Click(`//nav/a[text()="1 hour"]`))
	require.NoError(t, err)
	b.do(t, chromedp.WaitVisible("#integrations"))
	assert.Equal(t, base+"?"+url.Values{"period": {"1h"}, "integration": {two.ID}}.Encode(), sorted(t, ask[string](t, b, `location.href`)))
	eventually(t, func() bool { // unless a minute has just ended
		return b.shown(t)["attempts"] == count(number(t, s.db, fmt.Sprintf(`SELECT COUNT(*) FROM logs WHERE created_at >= %d AND integration = '%s'`,
			filter{Period: periods[0]}.window(time.Now()).from.UnixMicro(), two.ID)))
	})

	// Neither the focus, nor a selection, nor what was opened or typed is lost when new
	// records appear, and the figures are those of the filter.
	b.do(t, evaluate(`(() => {
		window.same = true;
		document.querySelector("#range").open = true;
		document.querySelector(".search input").value = "half an id";
		document.querySelector("#range input[name=from]").value = "2026-01-01T00:00";
		getSelection().selectAllChildren(document.querySelector(".failing h3"));
		document.querySelector(".failing li a").focus({preventScroll: true});
	})()`))
	undelivered := b.shown(t)["undelivered"]
	selected := ask[string](t, b, `getSelection().toString()`)
	assert.NotEmpty(t, selected)
	api.AddLogs(two.ID, failed(two.ID, "new", 1, time.Now(), 503))
	eventually(t, func() bool { return b.shown(t)["undelivered"] != undelivered })
	for _, kept := range []string{
		`window.same`, `document.querySelector("#range").open`, `document.activeElement === document.querySelector(".failing li a")`,
		`document.querySelector(".search input").value === "half an id"`, `document.querySelector("#range input[name=from]").value === "2026-01-01T00:00"`,
	} {
		assert.True(t, ask[bool](t, b, kept), kept)
	}
	assert.Equal(t, selected, ask[string](t, b, `getSelection().toString()`))
	assert.Equal(t, 1, ask[int](t, b, `document.querySelectorAll(".failing").length`), "the filter stays")
	_, err = s.db.ExecContext(t.Context(), `UPDATE integrations SET name = 'Renamed' WHERE id = $1`, two.ID)
	require.NoError(t, err)
	eventually(t, func() bool {
		return ask[string](t, b, `document.querySelector(".failing h3").textContent`) == "Renamed"
	})

	// A script in a record is text, on the list and on the page of an event.
	b.do(t, chromedp.Navigate(base+"events?period=1h"), chromedp.WaitVisible("#events"))
	_, err = chromedp.RunResponse(b, chromedp.Click(`//code[contains(text(), "evil")]`))
	require.NoError(t, err)
	b.do(t, chromedp.WaitVisible(".attempt pre"))
	assert.Equal(t, script, ask[string](t, b, `document.querySelector(".attempt pre").textContent`))
	assert.Equal(t, "evil<script>window.ran = true</script>", ask[string](t, b, `document.querySelector(".state code").textContent`))
	assert.True(t, ask[bool](t, b, `window.ran === undefined`), "no script of a record runs")

	// Times are the reader's, and a time of one's own is sent as UTC. A bar leads to a list.
	command(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
	b.do(t, chromedp.Navigate(base), chromedp.WaitVisible("#integrations"))
	assert.Equal(t, "Asia/Tokyo", ask[string](t, b, `document.querySelector("footer .zone").textContent`))
	assert.True(t, ask[bool](t, b, `(() => {
		const time = document.querySelector(".fresh time"), at = new Date(Date.parse(time.dateTime) + 9 * 3600e3);
		return time.textContent.endsWith(at.toISOString().slice(11, 16));
	})()`))
	_, err = chromedp.RunResponse(b, evaluate(`(() => {
		const form = document.querySelector("#range form");
		form.elements.from.value = "2026-03-01T09:00";
		form.elements.to.value = "2026-03-02T09:00";
		form.requestSubmit();
	})()`))
	require.NoError(t, err)
	b.do(t, chromedp.WaitVisible("#state"))
	assert.Equal(t, url.Values{"from": {"2026-03-01T00:00Z"}, "to": {"2026-03-02T00:00Z"}, "integration": {""}}.Encode(),
		strings.SplitN(sorted(t, ask[string](t, b, `location.href`)), "?", 2)[1])
	b.do(t, chromedp.Navigate(base), chromedp.WaitVisible("#integrations"))
	assert.Regexp(t, `\d\d:\d\d: \d+ of \d+ attempts failed$`, ask[string](t, b, `document.querySelector(".plot a:last-child .tip").textContent`))
	_, err = chromedp.RunResponse(b, evaluate(`document.querySelector(".plot a:last-child").click()`))
	require.NoError(t, err)
	b.do(t, chromedp.WaitVisible("#events"))

	// Long names and answers stay in their places.
	long := failed("long", strings.Repeat("j", 900), 1, time.Now(), 500)
	long.ErrorDetail, long.Body = strings.Repeat("r", 1<<20), strings.Repeat("b", 1<<20)
	save(t, s, wholeStore, []epcclogs.IntegrationLog{long}, place{}, time.Now())
	require.NoError(t, s.saveIntegration(t.Context(), epcclogs.Integration{ID: "long", Name: strings.Repeat("Name", 155)}))
	require.NoError(t, s.saveIntegration(t.Context(), epcclogs.Integration{ID: two.ID, Name: strings.Repeat("n", 37)}))
	for _, width := range []int64{1280, 390} {
		for _, path := range []string{"", "?integration=long", "events", "events?integration=long", strings.TrimPrefix(eventPath(long.JobID()), "/")} {
			b.do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(base+path), chromedp.WaitVisible(".panel"))
			assert.LessOrEqual(t, ask[int64](t, b, `document.documentElement.scrollWidth`), width, text(path, 40))
			assert.Less(t, ask[int64](t, b, `document.documentElement.scrollHeight`), int64(12000), text(path, 40))
		}
	}
	b.do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(base), chromedp.WaitVisible("#integrations"))

	b.mu.Lock()
	assert.Empty(t, b.messages, "the console is empty")
	for _, r := range b.requests {
		assert.True(t, strings.HasPrefix(r, base) || strings.HasPrefix(r, "data:"), r)
	}
	b.mu.Unlock()

	// A page that gets that of a proxy instead says so, and keeps what it shows.
	b.do(t, evaluate(`(() => {
		window.real = window.fetch;
		window.fetch = async () => new Response("<h1>502 Bad Gateway</h1>", {status: 502});
	})()`), chromedp.WaitVisible(".unreachable"))
	assert.NotEmpty(t, b.shown(t)["attempts"])
	b.do(t, evaluate(`window.fetch = window.real`), chromedp.WaitNotVisible(".unreachable"))

	// So does one that gets no answer any more.
	end()
	b.do(t, chromedp.WaitVisible(".unreachable"))
	assert.NotEmpty(t, b.shown(t)["attempts"])
}

// evaluate runs JavaScript.
func evaluate(expression string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = chromedp.Evaluate[any]("void ("+expression+")")(ctx, t)
		return none, err
	}
}

// sorted returns a URL with its query in the order of the names.
func sorted(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	u.RawQuery = u.Query().Encode()
	return u.String()
}
