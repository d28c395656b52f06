package movinglist_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// drain returns the bodies of all that the server has behind an offset, read n pages at a time,
// and how many requests that took.
func drain(t *testing.T, server wire.Step, n, offset int) (got []string, requests int, err error) {
	t.Helper()
	s := wire.Steps(server)
	pager := clientOf(t, s).IntegrationLogs(wire.Integration, &epcclogs.ListOptions{Offset: offset}).Concurrent(n)
	for log, err := range pager.All(t.Context()) {
		if err != nil {
			return got, len(s.Sent()), err
		}
		got = append(got, log.Body)
	}
	return got, len(s.Sent()), nil
}

// Servers that keep to the documents, also where they shorten pages.
func TestDrain(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, size := range []int{0, 1, 100, 101, 250} {
			lists := map[string]wire.List{
				"":                   {All: wire.Records(0, size)},
				", clamped":          {All: wire.Records(0, size), Clamp: 25},
				", clamped silently": {All: wire.Records(0, size), Clamp: 25, Silent: true},
			}
			if size < 200 {
				lists[", one a page"] = wire.List{All: wire.Records(0, size), Clamp: 1}
			}
			for kind, list := range lists {
				list.Write = write
				for _, n := range []int{1, 8} {
					t.Run(fmt.Sprintf("%s/%d%s/%d at a time", name, size, kind, n), func(t *testing.T) {
						got, requests, err := drain(t, list.Answer, n, 0)
						require.NoError(t, err)
						assert.Equal(t, wire.Bodies(0, size), got)
						if list.Clamp == 0 && (name == "meta" || name == "nested" || name == "links" && n == 1) { // which tell the end
							assert.Equal(t, max(1, (size-2)/99+1), requests)
						}
					})
				}
			}
		}
	}
}

// Servers that say less than the documents, more, or something else, but hold to
// offset and limit: every record comes, once and in order.
func TestDrainOddServers(t *testing.T) {
	next := func(q wire.Question, next, last string) string { // the links of a page that is followed by another, or not
		if q.End() < q.Total {
			return q.With(`"links":{"next":"%s"}`, next)
		}
		return q.With(`"links":{%s}`, last)
	}
	servers := map[string]func(wire.Question) string{
		"next on the last page too": func(q wire.Question) string {
			return q.With(`"links":{"next":"/integrations/logs?page[offset]=%d"}`, q.Offset)
		},
		"next absolute": func(q wire.Question) string {
			return next(q, fmt.Sprintf("https://example.com/v2/integrations/logs?page[offset]=%d", q.End()), `"next":""`)
		},
		"next wrong": func(q wire.Question) string {
			return next(q, "/integrations/logs?page[offset]=7", `"next":null`)
		},
		"no meta.current": func(q wire.Question) string {
			return q.With(`"meta":{"limit":%d,"offset":%d,"total":1},"results":{"total":%d}`, q.Limit, q.Offset, q.Total)
		},
		"meta.total counts records": func(q wire.Question) string {
			return q.With(`"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d},"results":{"total":%d}`,
				q.Limit, q.Offset, q.Offset/q.Limit+1, q.Total, q.Total)
		},
		"meta.total counts records, nothing else": func(q wire.Question) string { return q.With(`"meta":{"total":%d}`, q.Total) },
		"meta empty beside links": func(q wire.Question) string {
			return strings.Replace(next(q, "/x", ""), `"links"`, `"meta":{},"links"`, 1)
		},
		"meta empty": func(q wire.Question) string { return q.With(`"meta":{}`) },
		"counts zero": func(q wire.Question) string {
			return q.With(`"meta":{"limit":0,"offset":0,"current":0,"total":0},"results":{"total":0}`)
		},
		"page count without records": func(q wire.Question) string { return q.With(`"meta":{%s}`, q.Count(q.Limit)) },
		"page count stuck at one": func(q wire.Question) string {
			return q.With(`"meta":{"limit":%d,"offset":%d,"current":1,"total":1},"results":{"total":%d}`, q.Limit, q.Offset, q.Total)
		},
		"page numbers above their count": func(q wire.Question) string {
			return q.With(`"meta":{"current":%d,"total":1}`, q.Offset/q.Limit+2)
		},
		"page numbers rounded up": func(q wire.Question) string { // where a page starts between two
			return q.With(`"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d}`,
				q.Limit, q.Offset, (q.Offset+q.Limit-1)/q.Limit+1, (q.Total+q.Limit-1)/q.Limit)
		},
		"record count of the page": func(q wire.Question) string { // contradicts the page count
			return q.With(`"meta":{%s},"results":{"total":%d}`, q.Count(q.Limit), len(q.Data))
		},
		"offset never told": func(q wire.Question) string { return q.With(`"meta":{"offset":0},"results":{"total":%d}`, q.Total) },
		"counts, and links without next": func(q wire.Question) string {
			return q.With(`"links":{"first":"/x"},"results":{"total":%d}`, q.Total)
		},
		"record count too small": func(q wire.Question) string { // which no page ends at
			return q.With(`"results":{"total":%d}`, q.Total*3/7)
		},
		"links, none of them to a page": func(q wire.Question) string { return q.With(`"links":{"self":"/integrations/logs"}`) },
		"links null":                    func(q wire.Question) string { return q.With(`"links":null`) },
		"nothing told, bytes limited": func(q wire.Question) string { // so that the last record needs a page of its own
			if last := len(q.Data) - 1; last > 0 && q.End() == q.Total {
				q.Data = q.Data[:last]
			}
			return wire.Page(q.Data...)
		},
	}
	for name, write := range servers {
		for _, size := range []int{0, 1, 100, 250} {
			for _, clamp := range []int{0, 25} {
				switch name {
				case "page count without records", "page numbers rounded up", "record count of the page":
					if clamp > 0 && size <= 100 {
						continue // every count says that the first page is the last
					}
				}
				for _, n := range []int{1, 8} {
					t.Run(fmt.Sprintf("%s/%d/clamp %d/%d at a time", name, size, clamp, n), func(t *testing.T) {
						list := wire.List{All: wire.Records(0, size), Write: write, Clamp: clamp, Silent: true}
						got, requests, err := drain(t, list.Answer, n, 0)
						require.NoError(t, err)
						assert.Equal(t, wire.Bodies(0, size), got)
						if clamp == 0 && name != "nothing told, bytes limited" {
							assert.LessOrEqual(t, requests, size/99+n+3)
						}
					})
				}
			}
		}
	}
}

// Where records are counted, no request is spent on an empty page, and the overlap costs
// one request in a hundred, also where a page starts between two. Counts of pages mean little,
// since pages start between two.
func TestDrainAsksForNoMore(t *testing.T) {
	pageCount := func(q wire.Question) string { return q.With(`"meta":{%s}`, q.Count(q.Limit)) }
	meta := wire.Envelopes["meta"]
	for name, tt := range map[string]struct {
		server          wire.List // of so many records:
		size, offset, n int
		want            int
	}{
		"record count, 16 at a time":        {wire.List{Write: meta}, 3000, 0, 16, 31},
		"record count, clamped silently":    {wire.List{Write: meta, Clamp: 25, Silent: true}, 240, 0, 1, 10},
		"record count, from 137":            {wire.List{Write: meta}, 250, 137, 1, 2},
		"record count, from 198":            {wire.List{Write: meta}, 250, 198, 1, 1},
		"record count, from the last":       {wire.List{Write: meta}, 250, 249, 1, 1},
		"page counts alone":                 {wire.List{Write: pageCount}, 250, 0, 1, 5},
		"page counts alone, clamped":        {wire.List{Write: pageCount, Clamp: 25}, 250, 0, 1, 13},
		"page counts do not know the clamp": {wire.List{Write: pageCount, Clamp: 25, Silent: true}, 240, 0, 1, 12},
	} {
		t.Run(name, func(t *testing.T) {
			tt.server.All = wire.Records(0, tt.size)
			got, requests, err := drain(t, tt.server.Answer, tt.n, tt.offset)
			require.NoError(t, err)
			assert.Equal(t, wire.Bodies(tt.offset, tt.size), got)
			assert.Equal(t, tt.want, requests)
		})
	}
}

// Servers that cannot be followed: the listing ends, with an error wherever the
// server claims what it does not give.
func TestDrainBrokenServers(t *testing.T) {
	answer := func(body func(offset int) string) wire.Step { // whatever the limit
		return func(r *http.Request) (*http.Response, error) {
			offset, _ := wire.Asked(r)
			return wire.OK(body(offset))(r)
		}
	}
	hundred := wire.Question{Limit: 100, Total: 250, Data: wire.Records(0, 100)}
	one := wire.Question{Data: wire.Records(0, 1)}
	first := func(write func(wire.Question) string) wire.Step { return wire.OK(write(hundred)) } // ignores the offset, and says so where it can
	echo := func(write func(wire.Question) string) wire.Step {                                   // ignores the offset, and hides it
		return answer(func(offset int) string {
			return write(wire.Question{Offset: offset, Limit: 100, Total: 1000, Data: hundred.Data})
		})
	}
	for _, tt := range []struct {
		name     string
		server   wire.Step
		want     []string // records before the end
		err      error
		requests int
	}{
		{"meta ignores the offset", first(wire.Envelopes["meta"]), wire.Bodies(0, 100), epcclogs.ErrPagination, 7},
		{"nested ignores the offset", first(wire.Envelopes["nested"]), wire.Bodies(0, 100), epcclogs.ErrPagination, 7},
		{"links ignore the offset", wire.OK(hundred.With(`"links":{"next":"/integrations/logs?page[offset]=100"}`)), wire.Bodies(0, 100), epcclogs.ErrPagination, 7},
		{"total reached by repetition", wire.OK(hundred.With(`"results":{"total":150}`)), wire.Bodies(0, 100), epcclogs.ErrPagination, 0},
		{"meta repeats under the asked offset", echo(wire.Envelopes["meta"]), wire.Bodies(0, 100), epcclogs.ErrPagination, 0},
		{"page counts alone, repeated", wire.OK(hundred.With(`"meta":{"current":1,"total":3}`)), wire.Bodies(0, 100), epcclogs.ErrPagination, 7},
		{"a number of pages without that of the page claims nothing", wire.OK(hundred.With(`"meta":{"total":3}`)), wire.Bodies(0, 100), nil, 7},
		{"a total of 0 claims nothing", wire.OK(hundred.With(`"results":{"total":0}`)), wire.Bodies(0, 100), nil, 7},
		{"bare ignores the offset", first(wire.Envelopes["bare"]), wire.Bodies(0, 100), nil, 7},
		{"bare ignores offset and limit", wire.OK(wire.Page(wire.Records(0, 250)...)), wire.Bodies(0, 250), nil, 7},
		{"bare with a record that moved", answer(func(offset int) string {
			list := wire.Records(0, 50)
			if offset > 0 {
				list = append(wire.Records(99, 100), list...) // arrived since
			}
			return wire.Page(list...)
		}), wire.Bodies(0, 50), nil, 8},
		{"one record for ever", wire.OK(wire.Page(one.Data...)), wire.Bodies(0, 1), nil, 7},
		{"one record repeats under the asked offset", answer(func(offset int) string {
			return one.With(`"meta":{"offset":%d}`, offset)
		}), wire.Bodies(0, 1), nil, 7},
		{"one record repeats under a next that changes", answer(func(offset int) string {
			return one.With(`"links":{"next":"/after%d"}`, offset)
		}), wire.Bodies(0, 1), epcclogs.ErrPagination, 7},
		{"links repeat under the asked offset", echo(wire.Envelopes["links"]), wire.Bodies(0, 100), epcclogs.ErrPagination, 7},
		{"offset of another page", answer(func(offset int) string { // aligns it to pages of 100, and fills from there
			offset = offset / 100 * 100
			return wire.Envelopes["meta"](wire.Question{Offset: offset, Limit: 100, Total: 300, Data: wire.Records(offset, offset+60)})
		}), wire.Bodies(0, 60), epcclogs.ErrPagination, 0},
		{"empty below its total", wire.List{All: wire.Records(0, 150), Write: func(q wire.Question) string {
			q.Total = 250
			return wire.Envelopes["meta"](q)
		}}.Answer, wire.Bodies(0, 150), epcclogs.ErrPagination, 5},
		{"empty at once below its total", wire.OK(`{"data":[],"results":{"total":1}}`), nil, epcclogs.ErrPagination, 2},
		{"empty though next", wire.List{All: wire.Records(0, 100), Write: func(q wire.Question) string {
			return q.With(`"links":{"next":"/x?%d"}`, q.End())
		}}.Answer, wire.Bodies(0, 100), nil, 4},
	} {
		for _, n := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s/%d at a time", tt.name, n), func(t *testing.T) {
				got, requests, err := drain(t, tt.server, n, 0)
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, tt.want, got)
				if tt.requests > 0 && n == 1 {
					assert.Equal(t, tt.requests, requests)
				}
			})
		}
	}
}

// Counts that stopped at a cap, or came from a cache, do not end a list.
func TestCountsThatAreTooSmall(t *testing.T) {
	const size = 2400
	capped := func(write func(wire.Question) string) func(wire.Question) string {
		return func(q wire.Question) string {
			q.Total = 1000
			return write(q)
		}
	}
	for name, write := range map[string]func(wire.Question) string{
		"page 24 of 10": func(q wire.Question) string {
			return q.With(`"meta":{"limit":%d,"offset":%d,"current":%d,"total":10}`, q.Limit, q.Offset, q.Offset/q.Limit+1)
		},
		"10 pages":      capped(func(q wire.Question) string { return q.With(`"meta":{%s}`, q.Count(q.Limit)) }),
		"1,000 records": capped(func(q wire.Question) string { return q.With(`"results":{"total":%d}`, q.Total) }),
		"both":          capped(wire.Envelopes["meta"]),
	} {
		for _, n := range []int{1, 4} {
			got, requests, err := drain(t, wire.List{All: wire.Records(0, size), Write: write}.Answer, n, 0)
			require.NoError(t, err)
			require.Len(t, got, size, "%s, n = %d", name, n)
			require.LessOrEqual(t, requests, size/99+n+4, name)
		}
	}
}

// An empty page in the middle, as of a server that leaves out records after it has cut the
// page, does not end a list if the page says that more follows.
func TestEmptyPageInTheMiddle(t *testing.T) {
	all := wire.Records(0, 1750)
	got, requests, err := drain(t, wire.List{
		All: slices.Insert(slices.Clone(all), 500, make([]string, 100)...),
		Write: func(q wire.Question) string {
			next := ""
			if q.End() < q.Total {
				next = "/integrations/logs"
			}
			q.Data = slices.DeleteFunc(slices.Clone(q.Data), func(record string) bool { return record == "" })
			return q.With(`"links":{"next":"%s"}`, next)
		},
	}.Answer, 1, 0)
	require.NoError(t, err)
	assert.Equal(t, wire.Bodies(0, 1750), got, "100 left out")
	assert.LessOrEqual(t, requests, 24)
	empty := true
	got, requests, err = drain(t, func(r *http.Request) (*http.Response, error) {
		if offset, _ := wire.Asked(r); offset > 400 && empty {
			empty = false
			return wire.OK(`{"data":[],"links":{"next":"/integrations/logs?page[offset]=600"}}`)(r)
		}
		return wire.List{All: all, Write: wire.Envelopes["links"]}.Answer(r)
	}, 1, 0)
	require.NoError(t, err)
	assert.Equal(t, wire.Bodies(0, 1750), got, "once empty")
	assert.LessOrEqual(t, requests, 24)
}

// A store may refuse what lies behind the last record.
func TestRefusedBehindTheEnd(t *testing.T) {
	list := wire.List{All: wire.Records(0, 1200), Write: wire.Envelopes["bare"]}
	got, _, err := drain(t, func(r *http.Request) (*http.Response, error) {
		if offset, _ := wire.Asked(r); offset >= len(list.All) {
			return wire.Reply(http.StatusBadRequest, "{}")(r)
		}
		return list.Answer(r)
	}, 1, 0)
	require.ErrorAs(t, err, new(*epcclogs.APIError))
	assert.Equal(t, wire.Bodies(0, 1200), got)
}

// A server that aligns its offsets would repeat records; its word for that is enough, in the
// first page too.
func TestErrPaginationSaysWhere(t *testing.T) {
	for body, want := range map[string]string{
		`{"data":[],"results":{"total":131}}`:                                             "the page at offset 130 is empty, although the total is 131",
		`{"data":[` + wire.Record(0) + `],"meta":{"offset":100},"results":{"total":500}}`: "the server answers offset 130 with the page at offset 100",
	} {
		got, _, err := drain(t, wire.OK(body), 1, 130)
		require.ErrorIs(t, err, epcclogs.ErrPagination)
		require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations/"+wire.Integration+"/logs: paging cannot be followed: "+want)
		assert.Empty(t, got)
	}
}

// Records that are all the same are not taken for a repeated page.
func TestSameRecords(t *testing.T) {
	list := wire.List{All: slices.Repeat(wire.Records(1, 2), 350), Write: wire.Envelopes["meta"]}
	got, _, err := drain(t, list.Answer, 1, 0)
	require.NoError(t, err)
	assert.Len(t, got, 350)
}
