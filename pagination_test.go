package epcclogs_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// bodies drains a sequence of logs, and returns their bodies, by which the
// records of these tests are told apart, and the error that ended it.
func bodies(logs iter.Seq2[epcclogs.IntegrationLog, error]) (got []string, err error) {
	for log, err := range logs {
		if err != nil {
			return got, err
		}
		got = append(got, log.Body)
	}
	return got, nil
}

// exhaust drains a pager.
func exhaust[T any](ctx context.Context, p *epcclogs.Pager[T]) error {
	for _, err := range p.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

func numbers(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

// pagerOf returns a pager that gets n pages at a time, and what the server is asked.
func pagerOf(t testing.TB, server wire.Step, n int, opts *epcclogs.ListOptions) (*epcclogs.Pager[epcclogs.IntegrationLog], *wire.Script) {
	t.Helper()
	s := wire.Steps(server)
	return clientOf(t, s).IntegrationLogs(integration, opts).Concurrent(n), s
}

// drain returns all that the server has, and what it was asked, page by page.
func drain(t testing.TB, server wire.Step, opts *epcclogs.ListOptions) (got, sent []string, err error) {
	t.Helper()
	pager, s := pagerOf(t, server, 1, opts)
	got, err = bodies(pager.All(t.Context()))
	return got, s.Sent(), err
}

func TestDrain(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, size := range []int{0, 1, 99, 100, 101, 250} {
			repeated := wire.Records(0, size)
			for i := range repeated {
				repeated[i] = strings.Replace(repeated[i], fmt.Sprintf("log-%d", i), fmt.Sprintf("log-%d", i%7), 1)
			}
			lists := map[string]wire.List{
				"":                   {All: wire.Records(0, size)},
				", clamped":          {All: wire.Records(0, size), Clamp: 25},
				", clamped silently": {All: wire.Records(0, size), Clamp: 25, Silent: true},
				", repeated ids":     {All: repeated},
			}
			if size < 200 {
				lists[", one a page"] = wire.List{All: wire.Records(0, size), Clamp: 1}
			}
			for kind, list := range lists {
				list.Write = write
				for _, n := range []int{1, 8} {
					t.Run(fmt.Sprintf("%s/%d%s/%d at a time", name, size, kind, n), func(t *testing.T) {
						pager, s := pagerOf(t, list.Answer, n, nil)
						assert.Zero(t, pager.Offset())
						got, err := bodies(pager.All(t.Context()))
						require.NoError(t, err)
						assert.Equal(t, numbers(0, size), got)
						assert.Equal(t, size, pager.Offset())
						assert.Contains(t, s.Sent()[0], "page%5Blimit%5D=100")
						if list.Clamp == 0 && (name == "meta" || name == "nested" || name == "links" && n == 1) { // which tell the end
							assert.Len(t, s.Sent(), max(1, (size-2)/99+1))
						}
					})
				}
			}
		}
	}
}

func TestPages(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, size := range []int{30, 31, 430} {
			for _, n := range []int{1, 4} {
				t.Run(fmt.Sprintf("%s/%d/%d at a time", name, size, n), func(t *testing.T) {
					list := wire.List{All: wire.Records(0, size), Write: write}
					pager, _ := pagerOf(t, list.Answer, n, &epcclogs.ListOptions{Offset: 30, Limit: 40})
					next := 30
					for page, err := range pager.Pages(t.Context()) {
						require.NoError(t, err)
						require.NotEmpty(t, page.Data)
						if page.Meta != nil {
							require.Equal(t, next, page.Meta.Offset)
						}
						for _, log := range page.Data {
							require.Equal(t, strconv.Itoa(next), log.Body)
							next++
						}
						require.Equal(t, next, pager.Offset())
					}
					assert.Equal(t, size, next)
				})
			}
		}
	}
}

// The rest of a page that All has begun says where it begins, if its server says so.
func TestPagesAfterAll(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, offset := range []int{0, 5} {
			for _, read := range []int{3, 25} {
				pager, _ := pagerOf(t, wire.List{All: wire.Records(0, 60), Write: write}.Answer, 1, &epcclogs.ListOptions{Offset: offset, Limit: 20})
				left := read
				for _, err := range pager.All(t.Context()) {
					require.NoError(t, err)
					if left--; left == 0 {
						break
					}
				}
				next := offset + read
				for page, err := range pager.Pages(t.Context()) {
					require.NoError(t, err)
					require.Equal(t, strconv.Itoa(next), page.Data[0].Body)
					if page.Meta != nil {
						require.Equal(t, next, page.Meta.Offset, "%s, from %d, after %d", name, offset, read)
					}
					next += len(page.Data)
				}
				require.Equal(t, 60, next)
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
		"links null": func(q wire.Question) string { return q.With(`"links":null`) },
		"nothing told, bytes limited": func(q wire.Question) string { // so that the last record needs a page of its own
			if last := len(q.Data) - 1; last > 0 && q.End() == q.Total {
				q.Data = q.Data[:last]
			}
			return wire.Page(q.Data...)
		},
	}
	for name, write := range servers {
		for _, size := range []int{0, 1, 100, 101, 250} {
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
						pager, s := pagerOf(t, list.Answer, n, nil)
						got, err := bodies(pager.All(t.Context()))
						require.NoError(t, err)
						assert.Equal(t, numbers(0, size), got)
						if clamp == 0 && n == 1 && name != "nothing told, bytes limited" {
							assert.LessOrEqual(t, len(s.Sent()), size/99+4)
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
			pager, s := pagerOf(t, tt.server.Answer, tt.n, &epcclogs.ListOptions{Offset: tt.offset})
			got, err := bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(tt.offset, tt.size), got)
			assert.Len(t, s.Sent(), tt.want)
		})
	}
}

// Servers that cut a page to the overlap, each so often or at some offsets: what such a page
// shows, asked for early or not, tells nothing of the list.
func TestDrainUnevenPages(t *testing.T) {
	all := wire.Records(0, 200)
	for name, write := range wire.Envelopes {
		for _, n := range []int{1, 4} {
			for _, cut := range []int{0, 2, 3, 5, 12} {
				var requests atomic.Int32
				pager, _ := pagerOf(t, func(r *http.Request) (*http.Response, error) {
					list := wire.List{All: all, Write: write, Clamp: 20, Silent: true}
					offset, _ := wire.Asked(r)
					if cut > 0 && int(requests.Add(1))%cut == 0 || cut == 0 && offset%10 == 9 {
						list.Clamp = 1
					}
					return list.Answer(r)
				}, n, nil)
				got, err := bodies(pager.All(t.Context()))
				require.NoError(t, err)
				require.Equal(t, numbers(0, 200), got, "%s, each page %d is cut, %d at a time", name, cut, n)
			}
		}
	}
}

// A store may refuse what lies behind the last record.
func TestRefusedBehindTheEnd(t *testing.T) {
	list := wire.List{All: wire.Records(0, 1200), Write: wire.Envelopes["bare"]}
	got, _, err := drain(t, func(r *http.Request) (*http.Response, error) {
		if offset, _ := wire.Asked(r); offset >= len(list.All) {
			return wire.Reply(http.StatusBadRequest, "{}")(r)
		}
		return list.Answer(r)
	}, nil)
	require.ErrorAs(t, err, new(*epcclogs.APIError))
	assert.Equal(t, numbers(0, 1200), got)
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
		name   string
		server wire.Step
		want   []string // records before the end
		err    bool
		sent   int
	}{
		{"meta ignores the offset", first(wire.Envelopes["meta"]), numbers(0, 100), true, 7},
		{"nested ignores the offset", first(wire.Envelopes["nested"]), numbers(0, 100), true, 7},
		{"links ignore the offset", wire.OK(hundred.With(`"links":{"next":"/integrations/logs?page[offset]=100"}`)), numbers(0, 100), true, 7},
		{"total reached by repetition", wire.OK(hundred.With(`"results":{"total":150}`)), numbers(0, 100), true, 0},
		{"meta repeats under the asked offset", echo(wire.Envelopes["meta"]), numbers(0, 100), true, 0},
		{"page counts alone, repeated", wire.OK(hundred.With(`"meta":{"current":1,"total":3}`)), numbers(0, 100), true, 7},
		{"a number of pages without that of the page claims nothing", wire.OK(hundred.With(`"meta":{"total":3}`)), numbers(0, 100), false, 7},
		{"a total of 0 claims nothing", wire.OK(hundred.With(`"results":{"total":0}`)), numbers(0, 100), false, 7},
		{"bare ignores the offset", first(wire.Envelopes["bare"]), numbers(0, 100), false, 7},
		{"bare ignores offset and limit", wire.OK(wire.Page(wire.Records(0, 250)...)), numbers(0, 250), false, 7},
		{"bare with a record that moved", answer(func(offset int) string {
			list := wire.Records(0, 50)
			if offset > 0 {
				list = append(wire.Records(99, 100), list...) // arrived since
			}
			return wire.Page(list...)
		}), numbers(0, 50), false, 8},
		{"one record for ever", wire.OK(wire.Page(one.Data...)), numbers(0, 1), false, 7},
		{"one record repeats under the asked offset", answer(func(offset int) string {
			return one.With(`"meta":{"offset":%d}`, offset)
		}), numbers(0, 1), false, 7},
		{"one record repeats under a next that changes", answer(func(offset int) string {
			return one.With(`"links":{"next":"/after%d"}`, offset)
		}), numbers(0, 1), true, 7},
		{"links repeat under the asked offset", echo(wire.Envelopes["links"]), numbers(0, 100), true, 7},
		{"offset of another page", answer(func(offset int) string { // aligns it to pages of 100, and fills from there
			offset = offset / 100 * 100
			return wire.Envelopes["meta"](wire.Question{Offset: offset, Limit: 100, Total: 300, Data: wire.Records(offset, offset+60)})
		}), numbers(0, 60), true, 0},
		{"empty below its total", wire.List{All: wire.Records(0, 150), Write: func(q wire.Question) string {
			q.Total = 250
			return wire.Envelopes["meta"](q)
		}}.Answer, numbers(0, 150), true, 5},
		{"empty at once below its total", wire.OK(`{"data":[],"results":{"total":1}}`), nil, true, 2},
		{"empty though next", wire.List{All: wire.Records(0, 100), Write: func(q wire.Question) string {
			return q.With(`"links":{"next":"/x?%d"}`, q.End())
		}}.Answer, numbers(0, 100), false, 4},
	} {
		for _, n := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s/%d at a time", tt.name, n), func(t *testing.T) {
				pager, s := pagerOf(t, tt.server, n, nil)
				got, err := bodies(pager.All(t.Context()))
				if tt.err {
					require.ErrorIs(t, err, epcclogs.ErrPagination)
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, tt.want, got)
				if tt.sent > 0 && n == 1 {
					assert.Len(t, s.Sent(), tt.sent)
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
			list := wire.List{All: wire.Records(0, size), Write: write}
			pager, s := pagerOf(t, list.Answer, n, nil)
			got, err := bodies(pager.All(t.Context()))
			require.NoError(t, err)
			require.Len(t, got, size, "%s, n = %d", name, n)
			require.LessOrEqual(t, len(s.Sent()), size/99+n+4, name)
		}
	}
}

// An empty page in the middle, as of a server that leaves out records after it has cut the
// page, does not end a list if the page says that more follows.
func TestEmptyPageInTheMiddle(t *testing.T) {
	all := wire.Records(0, 1750)
	got, sent, err := drain(t, wire.List{
		All: slices.Insert(slices.Clone(all), 500, make([]string, 100)...),
		Write: func(q wire.Question) string {
			next := ""
			if q.End() < q.Total {
				next = "/integrations/logs"
			}
			q.Data = slices.DeleteFunc(slices.Clone(q.Data), func(record string) bool { return record == "" })
			return q.With(`"links":{"next":"%s"}`, next)
		},
	}.Answer, nil)
	require.NoError(t, err)
	assert.Equal(t, numbers(0, 1750), got, "100 left out")
	assert.LessOrEqual(t, len(sent), 24)
	empty := true
	got, sent, err = drain(t, func(r *http.Request) (*http.Response, error) {
		if offset, _ := wire.Asked(r); offset > 400 && empty {
			empty = false
			return wire.OK(`{"data":[],"links":{"next":"/integrations/logs?page[offset]=600"}}`)(r)
		}
		return wire.List{All: all, Write: wire.Envelopes["links"]}.Answer(r)
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, numbers(0, 1750), got, "once empty")
	assert.LessOrEqual(t, len(sent), 24)
}

// A server that aligns its offsets would repeat records; its word for that is enough, in the
// first page too.
func TestErrPaginationSaysWhere(t *testing.T) {
	for body, want := range map[string]string{
		`{"data":[],"results":{"total":131}}`:                                             "the page at offset 130 is empty, although the total is 131",
		`{"data":[` + wire.Record(0) + `],"meta":{"offset":100},"results":{"total":500}}`: "the server answers offset 130 with the page at offset 100",
	} {
		got, _, err := drain(t, wire.OK(body), &epcclogs.ListOptions{Offset: 130})
		require.ErrorIs(t, err, epcclogs.ErrPagination)
		require.EqualError(t, err, "epcclogs: GET "+logsURL+": paging cannot be followed: "+want)
		assert.Empty(t, got)
	}
}

// Records that are all the same are not taken for a repeated page.
func TestSameRecords(t *testing.T) {
	list := wire.List{All: slices.Repeat(wire.Records(1, 2), 350), Write: wire.Envelopes["meta"]}
	got, _, err := drain(t, list.Answer, nil)
	require.NoError(t, err)
	assert.Len(t, got, 350)
}

// The caller may do to a page what it likes: a repeat is still seen.
func TestPagesBelongToTheCaller(t *testing.T) {
	pager, _ := pagerOf(t, wire.OK(wire.Page(wire.Records(0, 100)...)), 1, nil)
	pages := 0
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		clear(page.Data)
		pages++
	}
	assert.Equal(t, 1, pages)
}

// After an error the next loop asks for the page that failed, also when the paging
// itself failed.
func TestErrorKeepsThePlace(t *testing.T) {
	for kind, failure := range map[error]wire.Step{
		epcclogs.ErrForbidden:  wire.Reply(403, ""),
		epcclogs.ErrPagination: wire.OK(`{"data":[` + wire.Record(0) + `],"meta":{"offset":1}}`),
	} {
		for name, write := range wire.Envelopes {
			for _, n := range []int{1, 6} {
				t.Run(fmt.Sprintf("%v/%s/%d at a time", kind, name, n), func(t *testing.T) {
					list := wire.List{All: wire.Records(0, 890), Write: write}
					var works atomic.Bool
					pager, s := pagerOf(t, func(r *http.Request) (*http.Response, error) {
						if offset, _ := wire.Asked(r); offset >= 350 && !works.Load() {
							return failure(r)
						}
						return list.Answer(r)
					}, n, nil)
					got, err := bodies(pager.All(t.Context()))
					require.ErrorIs(t, err, kind)
					assert.Equal(t, numbers(0, 397), got)
					assert.Equal(t, 397, pager.Offset())

					before := len(s.Sent())
					_, err = bodies(pager.All(t.Context()))
					require.ErrorIs(t, err, kind)
					assert.Greater(t, len(s.Sent()), before, "it asks again")

					works.Store(true)
					got, err = bodies(pager.All(t.Context()))
					require.NoError(t, err)
					assert.Equal(t, numbers(397, 890), got)
					assert.Equal(t, 890, pager.Offset())
				})
			}
		}
	}
}

// A loop that was left goes on with the next record, within its page and across the
// ways to use a pager, until the pager is used up.
func TestPagerKeepsItsPlace(t *testing.T) {
	for name, write := range wire.Envelopes {
		t.Run(name, func(t *testing.T) {
			list := wire.List{All: wire.Records(0, 250), Write: write}
			pager, s := pagerOf(t, list.Answer, 1, nil)
			assert.Empty(t, s.Sent(), "nothing is sent before use")
			var got []string
			for log, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				if got = append(got, log.Body); len(got) == 137 {
					break
				}
			}
			assert.Equal(t, numbers(0, 137), got)
			assert.Equal(t, 137, pager.Offset())

			more, _, err := drain(t, list.Answer, &epcclogs.ListOptions{Offset: pager.Offset()})
			require.NoError(t, err)
			assert.Equal(t, numbers(137, 250), more, "a new pager")

			for page, err := range pager.Pages(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, "137", page.Data[0].Body)
				assert.Len(t, page.Data, 199-137)
				break
			}
			assert.Equal(t, 199, pager.Offset())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(199, 250), more)

			before := len(s.Sent())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Empty(t, more, "used up")
			for page, err := range pager.Pages(t.Context()) {
				t.Error("used up", page, err)
			}
			assert.Len(t, s.Sent(), before)
		})
	}
}

// A context that ends is seen before the next page is asked for, and a nil one before
// the next record.
func TestPagerAndItsContext(t *testing.T) {
	list := wire.List{All: wire.Records(0, 300), Write: wire.Envelopes["meta"]}
	pager, s := pagerOf(t, list.Answer, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range pager.All(ctx) {
		require.NoError(t, err)
		cancel()
		break
	}
	got, err := bodies(pager.All(noContext))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	assert.Empty(t, got)
	for page, err := range pager.Pages(noContext) {
		assert.Nil(t, page)
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	}
	got, err = bodies(pager.All(ctx))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, numbers(1, 100), got, "the rest of the page that was there")
	assert.Len(t, s.Sent(), 1)
	got, err = bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(100, 300), got)
}

// Options that the caller changes later do not move the pager.
func TestPagerCopiesOptions(t *testing.T) {
	list := wire.List{All: wire.Records(0, 29), Write: wire.Envelopes["meta"]}
	opts := &epcclogs.ListOptions{Limit: 10, Offset: 20}
	pager, s := pagerOf(t, list.Answer, 1, opts)
	opts.Limit, opts.Offset = 1, 0
	got, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(20, 29), got)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs?page%5Blimit%5D=10&page%5Boffset%5D=20"}, s.Sent())
}
