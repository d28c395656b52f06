// Package movinglist is a model of the API's list endpoint: a list in memory
// that changes between any two requests. It writes raw JSON, and knows nothing
// of the client that it tests. Its own tests pit the client against it, and against servers of
// lists that stand still but are shown in odd ways.
package movinglist

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"github.com/epcclogs/epcclogs/internal/wire"
)

// Envelopes are the ways in which a page tells what the whole list holds.
// "results" is the count of records alone, "pages" an honest one of pages.
var Envelopes = []string{"meta", "links", "nested", "bare", "results", "pages"}

// Shape is what does not change in a list.
type Shape struct {
	Envelope    string
	NewestFirst bool // records are added in front, and deleted at the end
	Clamp       int  // at most so many records a page; 0: as many as asked for
	SameIDs     bool // each seven records share an id
}

func (s Shape) String() string {
	order := "oldest first"
	if s.NewestFirst {
		order = "newest first"
	}
	return fmt.Sprintf("%s, %s, clamp %d, same ids %t", s.Envelope, order, s.Clamp, s.SameIDs)
}

// Record is one record that is or was in the list.
type Record struct {
	N       int // its number, in the order of creation; the JSON has it as the body
	Born    int // the requests that had come before the record was added
	Deleted bool
	json    string // without its last brace
}

// List is the list, and the transport that serves it. Its fields and methods are
// used in Answer, or within Do, which hold the lock.
type List struct {
	Shape
	Ever     []*Record // by their numbers
	Now      []*Record // the list
	Requests int
	Behind   int    // so many of the latest records are not shown, as by a replica
	More     string // JSON members that each record has beside its own, with a comma before each
	// Answer is called before each request is answered. A step that is not nil is
	// the answer.
	Answer func(offset, limit int) wire.Step

	mu sync.Mutex
}

// New returns a list of n records.
func New(shape Shape, n int) *List {
	l := &List{Shape: shape, Answer: func(int, int) wire.Step { return nil }}
	l.Add(n)
	return l
}

// Do calls f with the lock held.
func (l *List) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// Add adds n records at the growing end.
func (l *List) Add(n int) {
	for range n {
		l.AddLate(0)
	}
}

// AddLate adds a record depth places before the growing end.
func (l *List) AddLate(depth int) *Record {
	r := &Record{N: len(l.Ever), Born: l.Requests}
	id, at := r.N, max(len(l.Now)-depth, 0)
	if l.SameIDs {
		id /= 7
	}
	if l.NewestFirst {
		at = min(depth, len(l.Now))
	}
	r.json = fmt.Sprintf(`{"id":"log-%d","type":"integration","succeeded":false,"attempt":%d,"body":"%d","status_code":500,"error_detail":"secret-%d",`+
		`"meta":{"timestamps":{"created_at":"2026-01-02T03:04:05.%09dZ"}}`, id, 1+r.N%3, r.N, r.N, r.N)
	l.Ever = append(l.Ever, r)
	l.Now = slices.Insert(l.Now, at, r)
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
}

// Delete deletes the record at the index.
func (l *List) Delete(at int) { l.remove(at, 1) }

// DeleteFunc deletes the records for which del returns true.
func (l *List) DeleteFunc(del func(*Record) bool) {
	l.Now = slices.DeleteFunc(l.Now, func(r *Record) bool {
		r.Deleted = del(r)
		return r.Deleted
	})
}

func (l *List) remove(from, n int) {
	for _, r := range l.Now[from : from+n] {
		r.Deleted = true
	}
	l.Now = slices.Delete(l.Now, from, from+n)
}

// RoundTrip answers with a page of the list as it is after Answer was called.
func (l *List) RoundTrip(r *http.Request) (*http.Response, error) {
	for range rand.IntN(3) { // requests under way together come in any order
		runtime.Gosched()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	offset, limit := wire.Asked(r)
	answer := l.Answer(offset, limit)
	l.Requests++
	if answer == nil {
		answer = wire.OK(string(l.page(offset, limit)))
	}
	l.mu.Unlock()
	return answer(r)
}

// shown returns the records that the answer knows.
func (l *List) shown() []*Record {
	behind := min(l.Behind, len(l.Now))
	if l.NewestFirst {
		return l.Now[behind:]
	}
	return l.Now[:len(l.Now)-behind]
}

func (l *List) page(offset, limit int) []byte {
	if l.Clamp > 0 {
		limit = min(limit, l.Clamp)
	}
	now := l.shown()
	total, from := len(now), min(offset, len(now))
	to := min(from+limit, total)

	b := make([]byte, 0, 250*(to-from)+300)
	b = append(b, `{"data":[`...)
	for i, r := range now[from:to] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, r.json...), l.More...), '}')
	}
	b = append(b, ']')
	meta := func() string {
		return fmt.Sprintf(`"limit":%d,"offset":%d,"current":%d,"total":%d`, limit, offset, offset/limit+1, max(1, (total+limit-1)/limit))
	}
	switch l.Envelope {
	case "meta":
		b = fmt.Appendf(b, `,"meta":{%s},"results":{"total":%d}`, meta(), total)
	case "nested":
		b = fmt.Appendf(b, `,"meta":{"page":{%s},"results":{"total":%d}}`, meta(), total)
	case "pages": // where a page starts between two, the count of pages is that from there
		current := offset/limit + 1
		b = fmt.Appendf(b, `,"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d}`, limit, offset, current, current+(total-to+limit-1)/limit)
	case "results":
		b = fmt.Appendf(b, `,"results":{"total":%d}`, total)
	case "links":
		b = append(b, `,"links":{"first":"/integrations/logs?page[offset]=0"`...)
		if to < total {
			b = fmt.Appendf(b, `,"next":"/integrations/logs?page[offset]=%d&page[limit]=%d"`, to, limit)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}
