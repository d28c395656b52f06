package epcclogs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// question is what a paging server is asked, and what it has.
type question struct {
	offset, limit int
	total         int      // records that there are
	data          []string // those of the page
}

func (q question) list() string { return strings.Join(q.data, ",") }
func (q question) end() int     { return q.offset + len(q.data) }

// count returns the meta members with page numbers for pages of length limit.
func (q question) count(limit int) string {
	return fmt.Sprintf(`"limit":%d,"offset":%d,"current":%d,"total":%d`, limit, q.offset, q.offset/limit+1, (q.total+limit-1)/limit)
}

// The four forms of the API's documents.
var envelopes = map[string]func(question) string{
	"meta": func(q question) string {
		return fmt.Sprintf(`{"data":[%s],"meta":{%s},"results":{"total":%d}}`, q.list(), q.count(q.limit), q.total)
	},
	"links": func(q question) string {
		next := ""
		if q.end() < q.total {
			next = fmt.Sprintf(`,"next":"/integrations/logs?page[offset]=%d&page[limit]=%d"`, q.end(), q.limit)
		}
		return fmt.Sprintf(`{"data":[%s],"links":{"first":"/integrations/logs?page[offset]=0"%s}}`, q.list(), next)
	},
	"nested": func(q question) string {
		return fmt.Sprintf(`{"data":[%s],"meta":{"page":{%s},"results":{"total":%d}}}`, q.list(), q.count(q.limit), q.total)
	},
	"bare": func(q question) string { return fmt.Sprintf(`{"data":[%s]}`, q.list()) },
}

// lister serves all, at most clamp a page, in the form that write gives it.
type lister struct {
	all    []string
	clamp  int // 0: 100
	silent bool
	write  func(question) string
}

func (l lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := question{total: len(l.all)}
	q.offset, _ = strconv.Atoi(r.FormValue("page[offset]"))
	q.limit, _ = strconv.Atoi(r.FormValue("page[limit]"))
	length := q.limit
	if l.clamp > 0 && length > l.clamp {
		length = l.clamp
		if !l.silent {
			q.limit = l.clamp
		}
	}
	from := min(q.offset, q.total)
	q.data = l.all[from:min(from+length, q.total)]
	_, _ = w.Write([]byte(l.write(q)))
}

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

func numbers(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

func drain(t *testing.T, h http.Handler, opts *epcclogs.ListOptions) (got, sent []string, err error) {
	t.Helper()
	s := serve(t, h)
	got, err = bodies(newClient(t, s.URL).IntegrationLogs(integration, opts).All(t.Context()))
	return got, s.sent(), err
}

var sizes = []int{0, 1, 99, 100, 101, 250, 1037}

func TestDrain(t *testing.T) {
	for name, write := range envelopes {
		for _, n := range sizes {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				got, sent, err := drain(t, lister{all: records(0, n), write: write}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
				if name != "bare" { // where the end is known without an empty page
					assert.Len(t, sent, max(1, (n+99)/100))
				}
				assert.Contains(t, sent[0], "page%5Blimit%5D=100")
			})
			t.Run(fmt.Sprintf("%s/%d/clamped", name, n), func(t *testing.T) {
				got, _, err := drain(t, lister{all: records(0, n), write: write, clamp: 25}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
			})
			t.Run(fmt.Sprintf("%s/%d/clamped silently", name, n), func(t *testing.T) {
				got, _, err := drain(t, lister{all: records(0, n), write: write, clamp: 25, silent: true}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
			})
			t.Run(fmt.Sprintf("%s/%d/repeated ids", name, n), func(t *testing.T) {
				all := records(0, n)
				for i := range all {
					all[i] = strings.Replace(all[i], fmt.Sprintf("log-%d", i), fmt.Sprintf("log-%d", i%7), 1)
				}
				got, _, err := drain(t, lister{all: all, write: write}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
			})
			t.Run(fmt.Sprintf("%s/%d/page by page", name, n), func(t *testing.T) {
				s := serve(t, lister{all: records(0, n), write: write})
				pager := newClient(t, s.URL).IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 40})
				assert.Zero(t, pager.Offset())
				total := 0
				for page, err := range pager.Pages(t.Context()) {
					require.NoError(t, err)
					require.NotEmpty(t, page.Data)
					for _, log := range page.Data {
						require.Equal(t, strconv.Itoa(total), log.Body)
						total++
					}
					require.Equal(t, total, pager.Offset())
				}
				assert.Equal(t, n, total)
			})
		}
	}
}

// Servers that say less than the documents, more, or something else, but hold to
// offset and limit: every record comes, once and in order.
func TestDrainOddServers(t *testing.T) {
	servers := map[string]func(question) string{
		"next on the last page too": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"links":{"next":"/integrations/logs?page[offset]=%d"}}`, q.list(), q.offset)
		},
		"next absolute": func(q question) string {
			if q.end() >= q.total {
				return fmt.Sprintf(`{"data":[%s],"links":{"next":""}}`, q.list())
			}
			return fmt.Sprintf(`{"data":[%s],"links":{"next":"https://example.com/v2/integrations/logs?page[offset]=%d"}}`, q.list(), q.end())
		},
		"next wrong": func(q question) string {
			if q.end() >= q.total {
				return fmt.Sprintf(`{"data":[%s],"links":{"next":null}}`, q.list())
			}
			return fmt.Sprintf(`{"data":[%s],"links":{"next":"/integrations/logs?page[offset]=7"}}`, q.list())
		},
		"no meta.current": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"limit":%d,"offset":%d,"total":1},"results":{"total":%d}}`, q.list(), q.limit, q.offset, q.total)
		},
		"meta.total counts records": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d},"results":{"total":%d}}`,
				q.list(), q.limit, q.offset, q.offset/q.limit+1, q.total, q.total)
		},
		"meta.total counts records, nothing else": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"total":%d}}`, q.list(), q.total)
		},
		"meta empty beside links": func(q question) string {
			next := ""
			if q.end() < q.total {
				next = fmt.Sprintf(`"next":"/x?page[offset]=%d"`, q.end())
			}
			return fmt.Sprintf(`{"data":[%s],"meta":{},"links":{%s}}`, q.list(), next)
		},
		"meta empty": func(q question) string { return fmt.Sprintf(`{"data":[%s],"meta":{}}`, q.list()) },
		"counts zero": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"limit":0,"offset":0,"current":0,"total":0},"results":{"total":0}}`, q.list())
		},
		"page count without records": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{%s}}`, q.list(), q.count(q.limit))
		},
		"page count stuck at one": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"limit":%d,"offset":%d,"current":1,"total":1},"results":{"total":%d}}`, q.list(), q.limit, q.offset, q.total)
		},
		"record count of the page": func(q question) string { // contradicts the page count
			return fmt.Sprintf(`{"data":[%s],"meta":{%s},"results":{"total":%d}}`, q.list(), q.count(q.limit), len(q.data))
		},
		"offset never told": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"meta":{"offset":0},"results":{"total":%d}}`, q.list(), q.total)
		},
		"counts, and links without next": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"links":{"first":"/x"},"results":{"total":%d}}`, q.list(), q.total)
		},
		"record count too small": func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"results":{"total":%d}}`, q.list(), q.total*3/7) // which no page ends at
		},
		"links null": func(q question) string { return fmt.Sprintf(`{"data":[%s],"links":null}`, q.list()) },
	}
	for name, write := range servers {
		for _, n := range sizes {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				got, sent, err := drain(t, lister{all: records(0, n), write: write}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
				assert.LessOrEqual(t, len(sent), n/99+4)
			})
			t.Run(fmt.Sprintf("%s/%d/clamped silently", name, n), func(t *testing.T) {
				switch name {
				case "page count without records", "record count of the page":
					if n <= 100 {
						return // every count says that the first page is the last
					}
				}
				got, _, err := drain(t, lister{all: records(0, n), write: write, clamp: 25, silent: true}, nil)
				require.NoError(t, err)
				assert.Equal(t, numbers(0, n), got)
			})
		}
	}
}

// Where records are counted, no request is spent on an empty page. Counts of pages
// mean little, since pages start between two.
func TestDrainAsksForNoMore(t *testing.T) {
	pageCount := func(q question) string { return fmt.Sprintf(`{"data":[%s],"meta":{%s}}`, q.list(), q.count(q.limit)) }
	for name, tt := range map[string]struct {
		server lister
		want   int
	}{
		"page counts alone":                 {lister{all: records(0, 250), write: pageCount}, 6},
		"page counts alone, clamped":        {lister{all: records(0, 250), write: pageCount, clamp: 25}, 14},
		"record count, clamped silently":    {lister{all: records(0, 240), write: envelopes["meta"], clamp: 25, silent: true}, 10},
		"page counts do not know the clamp": {lister{all: records(0, 240), write: pageCount, clamp: 25, silent: true}, 13},
	} {
		t.Run(name, func(t *testing.T) {
			got, sent, err := drain(t, tt.server, nil)
			require.NoError(t, err)
			assert.Len(t, got, len(tt.server.all))
			assert.Len(t, sent, tt.want)
		})
	}
}

// The number of a page that starts between two is no reason to ask beyond the
// count of records.
func TestDrainFromBetweenTwoPages(t *testing.T) {
	for _, offset := range []int{137, 198, 249} {
		got, sent, err := drain(t, lister{all: records(0, 250), write: envelopes["meta"]}, &epcclogs.ListOptions{Offset: offset})
		require.NoError(t, err)
		assert.Equal(t, numbers(offset, 250), got)
		assert.Len(t, sent, (250-offset+99)/100)
	}
}

// Servers that cannot be followed: the listing ends, with an error wherever the
// server claims what it does not give.
func TestDrainBrokenServers(t *testing.T) {
	first := func(write func(question) string) http.Handler { // ignores the offset, and says so where it can
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(write(question{limit: 100, total: 250, data: records(0, 100)})))
		})
	}
	echo := func(write func(question) string) http.Handler { // ignores the offset, and hides it
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
			_, _ = w.Write([]byte(write(question{offset: offset, limit: 100, total: 1000, data: records(0, 100)})))
		})
	}
	for _, tt := range []struct {
		name string
		h    http.Handler
		want []string // records before the end
		err  bool
		sent int
	}{
		{"meta ignores the offset", first(envelopes["meta"]), numbers(0, 100), true, 4},
		{"nested ignores the offset", first(envelopes["nested"]), numbers(0, 100), true, 4},
		{"links ignore the offset", first(func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"links":{"next":"/integrations/logs?page[offset]=100"}}`, q.list())
		}), numbers(0, 100), true, 4},
		{"total reached by repetition", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"results":{"total":150}}`, strings.Join(records(0, 100), ","))
		}), numbers(0, 100), true, 4},
		{"page counts alone, repeated", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"meta":{"current":1,"total":3}}`, strings.Join(records(0, 100), ","))
		}), numbers(0, 100), true, 4},
		{"a number of pages without that of the page claims nothing", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"meta":{"total":3}}`, strings.Join(records(0, 100), ","))
		}), numbers(0, 100), false, 4},
		{"a total of 0 claims nothing", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"results":{"total":0}}`, strings.Join(records(0, 100), ","))
		}), numbers(0, 100), false, 4},
		{"bare ignores the offset", first(envelopes["bare"]), numbers(0, 100), false, 4},
		{"bare ignores offset and limit", ok(bare(records(0, 250)...)), numbers(0, 250), false, 1},
		{"bare with a record that moved", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			list := records(0, 50)
			if r.FormValue("page[offset]") != "" {
				list = append(records(99, 100), list...) // arrived since
			}
			_, _ = w.Write([]byte(bare(list...)))
		}), numbers(0, 50), false, 42},
		{"one record for ever", ok(bare(record(0))), numbers(0, 1), false, 4},
		{"meta repeats under the asked offset", echo(envelopes["meta"]), numbers(0, 100), true, 33},
		{"one record repeats under the asked offset", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"meta":{"offset":%s}}`, record(0), cmp.Or(r.FormValue("page[offset]"), "0"))
		}), []string{"0"}, false, 4},
		{"one record repeats under a next that changes", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"data":[%s],"links":{"next":"/after%s"}}`, record(0), r.FormValue("page[offset]"))
		}), []string{"0"}, true, 4},
		{"links repeat under the asked offset", echo(envelopes["links"]), numbers(0, 100), true, 4},
		{"offset of another page", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Aligns the offset to pages of 100, and fills from there.
			offset, _ := strconv.Atoi(r.FormValue("page[offset]"))
			offset = offset / 100 * 100
			q := question{offset: offset, limit: 100, total: 300, data: records(offset, offset+60)}
			_, _ = w.Write([]byte(envelopes["meta"](q)))
		}), numbers(0, 60), true, 0},
		{"empty below its total", lister{all: records(0, 150), write: func(q question) string {
			q.total = 250
			return envelopes["meta"](q)
		}}, numbers(0, 150), true, 4},
		{"empty at once below its total", ok(`{"data":[],"results":{"total":1}}`), nil, true, 1},
		{"empty though next", lister{all: records(0, 100), write: func(q question) string {
			return fmt.Sprintf(`{"data":[%s],"links":{"next":"/x?%d"}}`, q.list(), q.end())
		}}, numbers(0, 100), false, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, sent, err := drain(t, tt.h, nil)
			if tt.err {
				require.ErrorIs(t, err, epcclogs.ErrPagination)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, tt.want, got)
			if tt.sent > 0 {
				assert.Len(t, sent, tt.sent)
			}
		})
	}
}

// A server that aligns its offsets would repeat records; its word for that is
// enough, in the first page too.
func TestMisplacedFirstPage(t *testing.T) {
	s := serve(t, ok(`{"data":[`+record(0)+`],"meta":{"offset":100},"results":{"total":500}}`))
	got, err := bodies(newClient(t, s.URL).IntegrationLogs(integration, &epcclogs.ListOptions{Offset: 130}).All(t.Context()))
	require.ErrorIs(t, err, epcclogs.ErrPagination)
	require.ErrorContains(t, err, "130")
	assert.Empty(t, got)
}

// Records that are all the same are not taken for a repeated page.
func TestSameRecords(t *testing.T) {
	same := make([]string, 350)
	for i := range same {
		same[i] = record(1)
	}
	got, _, err := drain(t, lister{all: same, write: envelopes["meta"]}, nil)
	require.NoError(t, err)
	assert.Len(t, got, 350)
}

// The caller may do to a page what it likes: a repeat is still seen.
func TestPagesBelongToTheCaller(t *testing.T) {
	s := serve(t, ok(bare(records(0, 100)...)))
	pages := 0
	for page, err := range newClient(t, s.URL).IntegrationLogs(integration, nil).Pages(t.Context()) {
		require.NoError(t, err)
		clear(page.Data)
		pages++
	}
	assert.Equal(t, 1, pages)
}

func TestErrorKeepsThePosition(t *testing.T) {
	for name, write := range envelopes {
		t.Run(name, func(t *testing.T) {
			all := lister{all: records(0, 890), write: write}
			down := true
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if offset, _ := strconv.Atoi(r.FormValue("page[offset]")); down && offset >= 350 {
					answer{status: http.StatusForbidden, body: `{"errors":[{"title":"Forbidden"}]}`}.ServeHTTP(w, r)
					return
				}
				all.ServeHTTP(w, r)
			}))
			pager := newClient(t, s.URL).IntegrationLogs(integration, nil)
			got, err := bodies(pager.All(t.Context()))
			require.ErrorIs(t, err, epcclogs.ErrForbidden)
			assert.Equal(t, numbers(0, 397), got)
			assert.Equal(t, 397, pager.Offset())

			_, err = bodies(pager.All(t.Context()))
			require.ErrorIs(t, err, epcclogs.ErrForbidden, "it asks again")

			down = false
			got, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(397, 890), got)
			assert.Equal(t, 890, pager.Offset())
		})
	}
}

// An error of the paging itself keeps the position as well.
func TestPaginationErrorKeepsThePosition(t *testing.T) {
	good := lister{all: records(0, 250), write: envelopes["meta"]}
	broken := true
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken && r.FormValue("page[offset]") != "" {
			r.URL.RawQuery = ""
			r.Form = nil
			_, _ = w.Write([]byte(envelopes["meta"](question{limit: 100, total: 250, data: records(0, 100)})))
			return
		}
		good.ServeHTTP(w, r)
	}))
	pager := newClient(t, s.URL).IntegrationLogs(integration, nil)
	got, err := bodies(pager.All(t.Context()))
	require.ErrorIs(t, err, epcclogs.ErrPagination)
	assert.Equal(t, numbers(0, 100), got)
	broken = false
	got, err = bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(100, 250), got)
}

func TestResume(t *testing.T) {
	for name, write := range envelopes {
		t.Run(name, func(t *testing.T) {
			s := serve(t, lister{all: records(0, 250), write: write})
			c := newClient(t, s.URL)
			pager := c.IntegrationLogs(integration, nil)
			assert.Empty(t, s.sent(), "nothing is sent before use")
			var got []string
			for log, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				got = append(got, log.Body)
				if len(got) == 137 {
					break
				}
			}
			assert.Equal(t, 137, pager.Offset())

			// A new pager goes on there.
			more, err := bodies(c.IntegrationLogs(integration, &epcclogs.ListOptions{Offset: pager.Offset()}).All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(137, 250), more)

			// So does the same one, within its page and across the ways to use it.
			for log, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, "137", log.Body)
				break
			}
			var lengths []int
			for page, err := range pager.Pages(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, "138", page.Data[0].Body)
				lengths = append(lengths, len(page.Data))
				break
			}
			assert.Equal(t, []int{61}, lengths)
			assert.Equal(t, 199, pager.Offset())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, numbers(199, 250), more)

			before := len(s.sent())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Empty(t, more, "used up")
			for page, err := range pager.Pages(t.Context()) {
				t.Error("used up", page, err)
			}
			assert.Len(t, s.sent(), before)
		})
	}
}

func TestPagerRefusesArguments(t *testing.T) {
	s := serve(t, ok(bare()))
	c := newClient(t, s.URL)
	for _, pager := range []*epcclogs.Pager[epcclogs.IntegrationLog]{
		c.IntegrationLogs("", nil),
		c.IntegrationLogs("a/b", nil),
		c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: 101}),
		c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: -1}),
		c.IntegrationLogs(integration, &epcclogs.ListOptions{Offset: -1}),
		c.JobLogs(integration, "..", nil),
		c.StoreLogs(&epcclogs.ListOptions{Offset: -1}),
	} {
		_, err := bodies(pager.All(t.Context()))
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		for page, err := range pager.Pages(t.Context()) {
			assert.Nil(t, page)
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		}
	}
	var none context.Context
	_, err := bodies(c.IntegrationLogs(integration, nil).All(none))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	assert.Empty(t, s.sent())
}

func TestPagerEndsWithTheContext(t *testing.T) {
	s := serve(t, lister{all: records(0, 300), write: envelopes["meta"]})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pager := newClient(t, s.URL).IntegrationLogs(integration, nil)
	seen := 0
	var last error
	for _, err := range pager.All(ctx) {
		if last = err; err != nil {
			break
		}
		if seen++; seen == 100 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	assert.Equal(t, 100, pager.Offset())
	rest, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(100, 300), rest)
}

// Options that the caller changes later do not move the pager.
func TestPagerCopiesOptions(t *testing.T) {
	s := serve(t, lister{all: records(0, 30), write: envelopes["meta"]})
	opts := &epcclogs.ListOptions{Limit: 10, Offset: 20}
	pager := newClient(t, s.URL).IntegrationLogs(integration, opts)
	opts.Limit, opts.Offset = 1, 0
	got, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, numbers(20, 30), got)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs?page%5Blimit%5D=10&page%5Boffset%5D=20"}, s.sent())
}

// The documents' page with one record has counts that agree.
func TestDrainReferencePage(t *testing.T) {
	s := serve(t, ok(string(fixture(t, "logs_reference.json"))))
	n := 0
	for log, err := range newClient(t, s.URL).IntegrationLogs(integration, nil).All(t.Context()) {
		require.NoError(t, err)
		var page epcclogs.Page[epcclogs.IntegrationLog]
		require.NoError(t, json.Unmarshal(fixture(t, "logs_reference.json"), &page))
		assert.Equal(t, page.Data[0], log)
		n++
	}
	assert.Equal(t, 1, n)
	assert.Len(t, s.sent(), 1)
}

func TestErrPaginationSaysWhere(t *testing.T) {
	_, _, err := drain(t, ok(`{"data":[],"results":{"total":1}}`), &epcclogs.ListOptions{Offset: 0})
	require.ErrorIs(t, err, epcclogs.ErrPagination)
	assert.Regexp(t, `^epcclogs: GET http://127\.0\.0\.1:\d+/v2/integrations/`+integration+
		"/logs: paging cannot be followed: the page at offset 0 is empty, although the total is 1$", err.Error())
}
