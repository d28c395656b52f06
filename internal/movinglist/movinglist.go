// Package movinglist is a model of the API's list endpoint: a list in memory
// that changes between any two requests. It writes raw JSON, and knows nothing
// of the client that it tests.
package movinglist

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Envelopes are the ways in which a page tells what the whole list holds.
// "results" is the count of records alone, "pages" an honest one of pages.
var Envelopes = []string{"meta", "links", "nested", "bare", "results", "pages"}

// Shape is what does not change in a list.
type Shape struct {
	Envelope    string
	NewestFirst bool // records are added in front, and deleted at the end
	Clamp       int  // at most so many records a page; 0: as many as asked for
	Silent      bool // the page claims the limit that was asked for, not Clamp
	SameIDs     bool // each seven records share an id
}

func (s Shape) String() string {
	order := "oldest first"
	if s.NewestFirst {
		order = "newest first"
	}
	return fmt.Sprintf("%s, %s, clamp %d (silent %t), same ids %t", s.Envelope, order, s.Clamp, s.Silent, s.SameIDs)
}

// Record is one record that is or was in the list.
type Record struct {
	N       int     // its number, in the order of creation; the JSON has it as the body
	Place   float64 // the order of the list: those with smaller ones come first
	Born    int     // the requests that had come before the record was added; 0: there from the beginning
	Late    bool    // added behind others that were created before it
	Depth   int     // so many places before the growing end, if it was added late
	Deleted bool
	json    []byte
}

// List is the list, and the transport that serves it. Its fields and methods are
// used in Answer, or within Do, which hold the lock.
type List struct {
	Shape
	Ever     []*Record // by their numbers
	Now      []*Record // the list
	Requests int
	Changes  int // times that the list moved
	Moved    int // records added or deleted since the beginning
	// Answer is called before each request is answered. A status other than 0 is
	// the whole answer.
	Answer func() (status int)

	mu    sync.Mutex
	edge  float64 // the last place given out at the growing end
	story []event
}

type event struct {
	format  string
	a, b, c int
}

// New returns a list of n records.
func New(shape Shape, n int) *List {
	l := &List{Shape: shape, Answer: func() int { return 0 }}
	for range n {
		l.insert(l.end(0))
	}
	return l
}

// Do calls f with the lock held.
func (l *List) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// end returns the index that is depth places before the growing end.
func (l *List) end(depth int) int {
	if l.NewestFirst {
		return min(depth, len(l.Now))
	}
	return max(len(l.Now)-depth, 0)
}

func (l *List) insert(at int) *Record {
	r := &Record{N: len(l.Ever), Born: l.Requests}
	switch growing := l.end(0); {
	case at == growing: // beyond all that ever were there
		l.edge++
		r.Place = l.edge
		if l.NewestFirst {
			r.Place = -l.edge
		}
	case at == 0:
		r.Place = l.Now[0].Place - 1
	case at == len(l.Now):
		r.Place = l.Now[at-1].Place + 1
	default:
		r.Place = (l.Now[at-1].Place + l.Now[at].Place) / 2
	}
	id := r.N
	if l.SameIDs {
		id /= 7
	}
	r.json = fmt.Appendf(nil, `{"id":"log-%d","type":"integration","succeeded":false,"attempt":%d,"body":"%d","status_code":500,"error_detail":"secret-%d",`+
		`"meta":{"timestamps":{"created_at":"2026-01-02T03:04:05.%09dZ"}}}`, id, 1+r.N%3, r.N, r.N, r.N)
	l.Ever = append(l.Ever, r)
	l.Now = slices.Insert(l.Now, at, r)
	return r
}

// Add adds n records at the growing end.
func (l *List) Add(n int) {
	for range n {
		l.insert(l.end(0))
	}
	l.moved(n)
	l.Note("%d records added at the growing end: now %d", n, len(l.Now), 0)
}

// AddLate adds a record depth places before the growing end.
func (l *List) AddLate(depth int) *Record {
	r := l.insert(l.end(depth))
	r.Late, r.Depth = true, depth
	l.moved(1)
	l.Note("record %d added late, %d places before the growing end: now %d", r.N, depth, len(l.Now))
	return r
}

// Expire deletes the n oldest.
func (l *List) Expire(n int) {
	n = min(n, len(l.Now))
	from := 0
	if l.NewestFirst {
		from = len(l.Now) - n
	}
	l.remove(from, n)
	l.Note("the %d oldest deleted: now %d", n, len(l.Now), 0)
}

// Delete deletes the record at the index.
func (l *List) Delete(at int) {
	n := l.Now[at].N
	l.remove(at, 1)
	l.Note("record %d deleted, at %d: now %d", n, at, len(l.Now))
}

// DeleteFunc deletes the records for which del returns true.
func (l *List) DeleteFunc(del func(*Record) bool) {
	before := len(l.Now)
	l.Now = slices.DeleteFunc(l.Now, func(r *Record) bool {
		r.Deleted = del(r)
		return r.Deleted
	})
	n := before - len(l.Now)
	l.moved(n)
	l.Note("%d deleted here and there: now %d", n, len(l.Now), 0)
}

// Change replaces the record at the index by another, which counts as late.
func (l *List) Change(at int) *Record {
	old := l.Now[at]
	old.Deleted = true
	l.Now = slices.Delete(l.Now, at, at+1)
	r := l.insert(at)
	r.Place, r.Late = old.Place, true
	l.moved(1)
	l.Note("record %d changed at %d: now %d", old.N, at, r.N)
	return r
}

func (l *List) remove(from, n int) {
	for _, r := range l.Now[from : from+n] {
		r.Deleted = true
	}
	l.Now = slices.Delete(l.Now, from, from+n)
	l.moved(n)
}

func (l *List) moved(n int) {
	if n > 0 {
		l.Changes++
		l.Moved += n
	}
}

// Oldest returns the oldest record of the list; nil where there is none.
func (l *List) Oldest() *Record {
	switch {
	case len(l.Now) == 0:
		return nil
	case l.NewestFirst:
		return l.Now[len(l.Now)-1]
	}
	return l.Now[0]
}

const handed = " -> %d"

// Handed adds to the story that a record was handed out.
func (l *List) Handed(n int) { l.Note(handed, n, 0, 0) }

// Note adds a line to the story, with up to three numbers.
func (l *List) Note(format string, a, b, c int) {
	l.story = append(l.story, event{format, a, b, c})
}

// Story tells what happened, at most the last lines of it.
func (l *List) Story(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	from := max(0, len(l.story)-lines)
	if from > 0 {
		fmt.Fprintf(&b, "... (%d lines)\n", from)
	}
	for i, e := range l.story[from:] {
		if i > 0 && (e.format != handed || l.story[from+i-1].format != handed) {
			b.WriteByte('\n')
		}
		args := []any{e.a, e.b, e.c}
		fmt.Fprintf(&b, e.format, args[:strings.Count(e.format, "%d")]...)
	}
	return b.String()
}

// RoundTrip answers with a page of the list as it is after Answer was called.
func (l *List) RoundTrip(r *http.Request) (*http.Response, error) {
	for range rand.IntN(3) { // requests under way together come in any order
		runtime.Gosched()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	offset, _ := strconv.Atoi(query.Get("page[offset]"))
	limit, _ := strconv.Atoi(query.Get("page[limit]"))

	l.mu.Lock()
	defer l.mu.Unlock()
	status := l.Answer()
	l.Requests++
	var body []byte
	if status == 0 {
		status, body = http.StatusOK, l.page(offset, limit)
	} else {
		l.Note("request %d is answered with %d", l.Requests, status, 0)
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

func (l *List) page(offset, limit int) []byte {
	length := limit
	if l.Clamp > 0 {
		length = min(limit, l.Clamp)
	}
	told := length
	if l.Silent {
		told = limit
	}
	from := min(offset, len(l.Now))
	to := min(from+length, len(l.Now))
	l.Note("offset %d, limit %d: %d records", offset, limit, to-from)
	if to > from {
		l.Note("  from %d to %d", l.Now[from].N, l.Now[to-1].N, 0)
	}

	b := make([]byte, 0, 200*(to-from)+300)
	b = append(b, `{"data":[`...)
	for i, r := range l.Now[from:to] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.json...)
	}
	b = append(b, ']')
	total := len(l.Now)
	meta := func() string {
		return fmt.Sprintf(`"limit":%d,"offset":%d,"current":%d,"total":%d`, told, offset, offset/told+1, max(1, (total+told-1)/told))
	}
	switch l.Envelope {
	case "meta":
		b = fmt.Appendf(b, `,"meta":{%s},"results":{"total":%d}`, meta(), total)
	case "nested":
		b = fmt.Appendf(b, `,"meta":{"page":{%s},"results":{"total":%d}}`, meta(), total)
	case "pages": // where a page starts between two, the count of pages is that from there
		current := offset/told + 1
		b = fmt.Appendf(b, `,"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d}`, told, offset, current, current+(total-to+told-1)/told)
	case "results":
		b = fmt.Appendf(b, `,"results":{"total":%d}`, total)
	case "links":
		b = append(b, `,"links":{"first":"/integrations/logs?page[offset]=0"`...)
		if to < total {
			b = fmt.Appendf(b, `,"next":"/integrations/logs?page[offset]=%d&page[limit]=%d"`, to, told)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}
