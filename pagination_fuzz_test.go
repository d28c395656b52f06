package epcclogs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// pagerScript is the fuzz input, read byte by byte; zeros follow its end.
type pagerScript struct{ rest []byte }

func (s *pagerScript) next() int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b)
}

func (s *pagerScript) upTo(n int) int { return s.next() % (n + 1) }

func (s *pagerScript) chance(n int) bool { return s.next()%n == n-1 }

// pagerList is the JSON of a list; what is not set is not sent.
type pagerList struct {
	Data    []json.RawMessage     `json:"data"`
	Meta    any                   `json:"meta,omitempty"`
	Results *epcclogs.PageResults `json:"results,omitempty"`
	Links   *epcclogs.PageLinks   `json:"links,omitempty"`
}

// pagerServer answers as the script says.
type pagerServer struct {
	mu       sync.Mutex
	script   *pagerScript
	answer   func(s *pagerScript, limit, offset int) pagerList
	garbage  bool // answers may be no lists at all
	faults   int  // how many more there may be
	requests int
	most     int       // requests, until all answers are empty
	end      int       // how far any answer reached
	last     pagerList // the last answer that reached as far
}

var errPagerWire = errors.New("wire broke")

func (w *pagerServer) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	offset, limit := wire.Asked(r)
	status, body := 200, io.Reader(strings.NewReader(`{"data":[]}`))
	if w.requests++; w.requests <= w.most {
		list := w.answer(w.script, limit, offset)
		if end := offset + len(list.Data); end >= w.end {
			w.end, w.last = end, list
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(string(raw))
		if w.faults > 0 && w.script.chance(4) {
			w.faults--
			switch w.script.upTo(5) {
			case 0:
				status = 503
			case 1:
				return nil, errPagerWire
			case 2:
				body = strings.NewReader(string(raw[:w.script.next()%len(raw)]))
			case 3:
				body = io.MultiReader(strings.NewReader(string(raw[:len(raw)/2])), pagerCut{})
			case 4:
				body = strings.NewReader("")
			case 5:
				status, body = 500, strings.NewReader(`{"errors":[{"title":"Internal Server Error"}]}`)
			}
		} else if w.garbage && w.script.chance(12) {
			w.last = pagerList{}
			body = strings.NewReader([]string{`{}`, `[`, `{"data":null}`, `{"data":[null]}`, `{"data":[{}]}`, `<html>`}[w.script.upTo(5)])
		}
	} else {
		w.last = pagerList{}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(body), Request: r}, nil
}

type pagerCut struct{}

func (pagerCut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// pagerRecords are the records of all servers. Three in turn share an id, and differ in the
// attempt.
var pagerRecords = func() (all []json.RawMessage) {
	for n := range 100 {
		id := strings.Replace(wire.Record(n), fmt.Sprintf(`"log-%d"`, n), fmt.Sprintf(`"log-%d"`, n/3), 1)
		all = append(all, json.RawMessage(strings.Replace(id, `"attempt":1`, fmt.Sprintf(`"attempt":%d`, 1+n%3), 1)))
	}
	return all
}()

// honestPager returns a server of n records, which tells the truth in one of
// many ways. One that does not page (whole) always answers with all of them. Page
// counts alone tell the truth about pages cut silently only while they say that
// there is more (more).
func honestPager(s *pagerScript, n int, more bool) (answer func(s *pagerScript, limit, offset int) pagerList, whole bool) {
	const reference, links, nested, bareList, metaOnly, resultsOnly, resultsAndLinks, sameLink = 0, 1, 2, 3, 4, 5, 6, 7
	envelope := s.upTo(7)
	clamp := 1 + s.upTo(29)
	silent := s.chance(2) && (envelope != metaOnly || more)
	short := s.chance(3) && envelope != metaOnly
	whole = s.chance(5) && (envelope == bareList || envelope == resultsOnly) // does not page at all
	return func(s *pagerScript, limit, offset int) pagerList {
		told := min(limit, clamp)
		length := told
		if silent {
			told = limit
		}
		if short {
			length = 1 + s.upTo(length-1)
		}
		from := min(offset, n)
		to := min(from+length, n)
		if whole {
			from, to = 0, n
		}
		list := pagerList{Data: pagerRecords[from:to]}
		meta := epcclogs.PageMeta{Limit: told, Offset: offset, Current: offset/told + 1, Total: max(1, (n+told-1)/told)}
		results := &epcclogs.PageResults{Total: n}
		next := ""
		if to < n {
			next = fmt.Sprintf("/integrations/logs?page[offset]=%d", to)
			if envelope == sameLink {
				next = "/integrations/logs"
			}
		}
		switch envelope {
		case reference:
			list.Meta, list.Results = meta, results
		case nested:
			list.Meta = map[string]any{"page": meta, "results": results}
		case metaOnly:
			list.Meta = meta
		case resultsOnly:
			list.Results = results
		case resultsAndLinks:
			list.Results, list.Links = results, &epcclogs.PageLinks{Next: next}
		case links, sameLink:
			list.Links = &epcclogs.PageLinks{Next: next, First: "/integrations/logs"}
		}
		return list
	}, whole
}

// oddPager answers anything.
func oddPager(s *pagerScript, _, offset int) pagerList {
	number := func() int { return []int{0, 1, 2, 3, offset, offset + 1, 20, 100, -1, math.MaxInt/2 + 1}[s.upTo(9)] }
	from := 0
	switch s.upTo(3) {
	case 0, 1:
		from = min(offset, len(pagerRecords))
	case 2:
		from = s.upTo(len(pagerRecords) - 1)
	}
	to := min(from+s.upTo(6), len(pagerRecords))
	list := pagerList{Data: pagerRecords[from:to]}
	if s.chance(8) {
		list.Data = slices.Repeat(list.Data, 2)
	}
	shows := s.next()
	if shows&1 != 0 {
		list.Meta = epcclogs.PageMeta{Limit: number(), Offset: []int{offset, 0, number()}[s.upTo(2)], Current: number(), Total: number()}
	}
	if shows&2 != 0 {
		list.Results = &epcclogs.PageResults{Total: number()}
	}
	if shows&4 != 0 {
		list.Links = &epcclogs.PageLinks{Next: []string{"", "/a", "/b", fmt.Sprint(offset), "\x00 ://"}[s.upTo(4)]}
	}
	return list
}

// FuzzPager drives a pager with a server that the input makes up. Whatever the
// server does, the pager ends, and all errors are of the documented kinds; of an
// honest server it hands out every record once, in order.
func FuzzPager(f *testing.F) {
	for kind := range 2 {
		for envelope := range 8 {
			f.Add([]byte{byte(kind), 60, 0, 10, 0, 0, 0, byte(envelope), 29, 0, 0, 0})
			f.Add([]byte{byte(kind), 47, 7, 20, 1, 2, 1, byte(envelope), 4, 1, 2, 0, 3, 0, 3, 1, 3, 2, 3, 3, 3, 4})
			f.Add([]byte{byte(kind), 63, 0, 99, 2, 3, 2, byte(envelope), 6, 1, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
		}
	}
	f.Add([]byte{0, 60, 0, 20, 0, 0, 0, 4, 9, 1}) // pages of 10 that say they are 20
	f.Add([]byte{1, 0, 0, 5, 0, 0, 0, 0, 6, 0, 7, 0, 1, 1, 1, 1, 0, 6, 0, 7, 0, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		s := &pagerScript{input}
		honest := s.upTo(1) == 0
		n, start, limit := s.upTo(64), s.upTo(70), s.upTo(100)
		style, every := s.upTo(3), 1+s.upTo(20)
		ahead := []int{1, 1, 2, 5}[s.upTo(3)]
		if style == 3 && !honest {
			style = 1
		}
		w := &pagerServer{script: s, faults: 3, most: 40, answer: oddPager, garbage: true}
		whole := false
		if honest {
			w.answer, whole = honestPager(s, n, style != 3 && limit > 0 && start/limit+1 < (n+limit-1)/limit)
			w.garbage, w.most = false, 3000
			if whole { // so a new pager would begin again
				start, style = 0, style%3
			}
		}
		c, err := epcclogs.NewClient(
			epcclogs.WithBaseURL("http://127.0.0.1"), epcclogs.WithHTTPClient(&http.Client{Transport: w}),
			epcclogs.WithRateLimit(1e10),
			// A retry costs a millisecond: mostly none, and the pager is used again.
			epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1 + len(input)%9/8, MaxWait: time.Nanosecond}))
		if err != nil {
			t.Fatal(err)
		}
		newPager := func(offset int) *epcclogs.Pager[epcclogs.IntegrationLog] {
			return c.IntegrationLogs(integration, &epcclogs.ListOptions{Limit: limit, Offset: offset}).Concurrent(ahead)
		}
		p := newPager(start)

		var got []string
		var failed []error
		for over := false; !over && len(failed) < 20 && w.requests <= w.most; {
			over = pagerUse(t.Context(), p, style, every, &got, &failed)
			if honest && !whole && p.Offset() != start+len(got) && start <= n { // offsets mean nothing to a server that does not page
				t.Fatalf("offset %d after %d records from %d on", p.Offset(), len(got), start)
			}
			if style == 3 {
				p = newPager(p.Offset())
			}
			if len(failed) > 0 && !honest && len(failed) >= 4 {
				break
			}
			if over && style != 3 {
				pagerIsOver(t, w, p, ahead, honest)
			}
		}
		for _, err := range failed {
			if honest && errors.Is(err, epcclogs.ErrPagination) || !pagerKnows(err) {
				t.Errorf("%T %v", err, err)
			}
		}
		if !honest {
			if w.requests > w.most+1000 { // searches included, of which each use may make one
				t.Errorf("%d requests", w.requests)
			}
			return
		}
		var want []string
		for i := start; i < n; i++ {
			want = append(want, strconv.Itoa(i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d of %d records from %d on\n%v\n%v", len(got), n, start, got, failed)
		}
		if w.requests > w.most {
			t.Errorf("%d requests for %d records", w.requests, n)
		}
	})
}

// pagerUse uses the pager once: All whole (0), All with a break (1, 3), Pages (2).
// It reports whether the pager came to the end.
func pagerUse(ctx context.Context, p *epcclogs.Pager[epcclogs.IntegrationLog], style, every int, got *[]string, failed *[]error) bool {
	if style == 2 {
		for page, err := range p.Pages(ctx) {
			if err != nil {
				*failed = append(*failed, err)
				return false
			}
			for _, l := range page.Data {
				*got = append(*got, l.Body)
			}
		}
		return true
	}
	taken := 0
	for l, err := range p.All(ctx) {
		if err != nil {
			*failed = append(*failed, err)
			return false
		}
		*got = append(*got, l.Body)
		if taken++; style != 0 && taken == every {
			return false
		}
	}
	return true
}

// pagerIsOver checks the end of a list: nothing follows, and nothing that the
// last answer claimed is missing.
func pagerIsOver(t *testing.T, w *pagerServer, p *epcclogs.Pager[epcclogs.IntegrationLog], ahead int, honest bool) {
	t.Helper()
	requests := w.requests
	for _, err := range p.All(t.Context()) {
		t.Errorf("a record follows the end, or an error: %v", err)
	}
	if w.requests != requests {
		t.Error("a request follows the end")
	}
	// Which answer was the last is not known, or its claims contradict those before.
	if ahead > 1 || !honest {
		return
	}
	if r := w.last.Results; r != nil && r.Total > p.Offset() {
		t.Errorf("over at %d of %d", p.Offset(), r.Total)
	}
	m, _ := w.last.Meta.(epcclogs.PageMeta)
	// A page number that the count of records contradicts is not believed, since the
	// page may start between two.
	counted := w.last.Results != nil && w.last.Results.Total >= p.Offset()
	if len(w.last.Data) > 0 && (w.last.Links != nil && w.last.Links.Next != "" || m.Current > 0 && m.Current < m.Total && !counted) {
		t.Errorf("over at %d although more was claimed: %+v", p.Offset(), w.last)
	}
}

// pagerKnows reports whether err is one that the pager may end with.
func pagerKnows(err error) bool {
	return errors.Is(err, epcclogs.ErrPagination) || errors.Is(err, errPagerWire) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(*epcclogs.APIError)) || errors.As(err, new(*epcclogs.DecodeError))
}
