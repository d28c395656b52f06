package wire

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/epcclogs/epcclogs/internal/envelope"
)

// Integration is the id of the integration whose logs are listed.
const Integration = "ff8634a8-a89e-4eac-baab-9b7b8c4f8720"

// Record returns the JSON of log n. Its id is log-n, its body n.
func Record(n int) string {
	return fmt.Sprintf(`{"id":"log-%d","type":"integration","succeeded":true,"attempt":1,"body":"%d","status_code":200,"error_detail":""}`, n, n)
}

// Records returns the logs from one number to another, not included.
func Records(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, Record(n))
	}
	return all
}

// Bodies returns the bodies of the logs from one number to another, not included.
func Bodies(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

// Page returns a page that says nothing but its records.
func Page(records ...string) string { return `{"data":[` + strings.Join(records, ",") + `]}` }

// A Question is what a list is asked, and what it has for an answer.
type Question struct {
	Offset, Limit int
	Total         int      // records that there are
	Data          []string // those of the page
}

// List returns the records of the page, without brackets.
func (q Question) List() string { return strings.Join(q.Data, ",") }

// End returns the offset behind the page.
func (q Question) End() int { return q.Offset + len(q.Data) }

// Count returns the members of meta, with page numbers for pages of length limit.
func (q Question) Count(limit int) string {
	return fmt.Sprintf(`"limit":%d,"offset":%d,"current":%d,"total":%d`, limit, q.Offset, q.Offset/limit+1, (q.Total+limit-1)/limit)
}

// With returns the page with more members than data, in the format of fmt.Sprintf.
func (q Question) With(format string, args ...any) string {
	return `{"data":[` + q.List() + `],` + fmt.Sprintf(format, args...) + `}`
}

// Envelopes write a page in the four forms of the API's documents.
var Envelopes = map[string]func(Question) string{
	"meta":   func(q Question) string { return string(q.page().Meta(q.array())) },
	"links":  func(q Question) string { return string(q.page().Links(q.array())) },
	"nested": func(q Question) string { return string(q.page().Nested(q.array())) },
	"bare":   func(q Question) string { return Page(q.Data...) },
}

func (q Question) page() envelope.Page {
	return envelope.Page{Path: "/integrations/logs", Offset: q.Offset, Limit: q.Limit, Count: len(q.Data), Total: q.Total}
}

func (q Question) array() []byte { return []byte("[" + q.List() + "]") }

// A List serves All, at most Clamp records a page, in the form that Write gives
// them. Unless it is Silent, a page tells the limit that it kept to.
type List struct {
	All    []string
	Clamp  int // 0: none
	Silent bool
	Write  func(Question) string
}

// Answer is the Step of the list.
func (l List) Answer(r *http.Request) (*http.Response, error) {
	return OK(l.Write(l.Ask(r)))(r)
}

// Ask returns the question of a request, and what the list has for an answer.
func (l List) Ask(r *http.Request) Question {
	q := Question{Total: len(l.All)}
	q.Offset, q.Limit = Asked(r)
	length := q.Limit
	if l.Clamp > 0 && length > l.Clamp {
		length = l.Clamp
		if !l.Silent {
			q.Limit = l.Clamp
		}
	}
	from := min(q.Offset, q.Total)
	q.Data = l.All[from:min(from+length, q.Total)]
	return q
}

// Asked returns the offset and the limit of a request for a page; 0 where it has none.
func Asked(r *http.Request) (offset, limit int) {
	query := r.URL.Query()
	offset, _ = strconv.Atoi(query.Get("page[offset]"))
	limit, _ = strconv.Atoi(query.Get("page[limit]"))
	return offset, limit
}
