// Package envelope writes the JSON around the records of a page, in the forms that
// the API's documents show. It knows nothing of epcclogs, so that a wrong name in
// one of them is seen by the tests of the other.
package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Page is what an envelope tells, beside the records.
type Page struct {
	Path   string // of the list, as links show it
	Offset int
	Limit  int // as the envelope tells it, 1 at least
	Count  int // records on the page
	Total  int // records in the list
}

type counts struct {
	Limit   int `json:"limit"`
	Offset  int `json:"offset"`
	Current int `json:"current"` // counts from 1
	Total   int `json:"total"`   // pages
}

type results struct {
	Total int `json:"total"`
}

func (p Page) counts() counts {
	return counts{p.Limit, p.Offset, p.Offset/p.Limit + 1, (p.Total + p.Limit - 1) / p.Limit}
}

// Bare has only the records. Here as in the other forms, data is a JSON array, which
// is sent as it is.
func (p Page) Bare(data []byte) []byte { return wrap(data, struct{}{}) }

// Meta is the form of the reference page.
func (p Page) Meta(data []byte) []byte {
	return wrap(data, struct {
		Meta    counts  `json:"meta"`
		Results results `json:"results"`
	}{p.counts(), results{p.Total}})
}

// Nested is the form of the paging guide.
func (p Page) Nested(data []byte) []byte {
	type meta struct {
		Page    counts  `json:"page"`
		Results results `json:"results"`
	}
	return wrap(data, struct {
		Meta meta `json:"meta"`
	}{meta{p.counts(), results{p.Total}}})
}

// Links is the form of the OpenAPI document: the links are relative, lack /v2, and
// have brackets that are not escaped. The last page has no next one.
func (p Page) Links(data []byte) []byte {
	type links struct {
		First string `json:"first"`
		Next  string `json:"next,omitempty"`
		Prev  string `json:"prev,omitempty"`
	}
	l := links{First: p.link(0)}
	if p.Offset+p.Count < p.Total {
		l.Next = p.link(p.Offset + p.Count)
	}
	if p.Offset > 0 {
		l.Prev = p.link(max(0, p.Offset-p.Limit))
	}
	return wrap(data, struct {
		Links links `json:"links"`
	}{l})
}

func (p Page) link(offset int) string {
	return fmt.Sprintf("%s?page[offset]=%d&page[limit]=%d", p.Path, offset, p.Limit)
}

// wrap returns an object that has data and the members of more.
func wrap(data []byte, more any) []byte {
	b := append([]byte(`{"data":`), data...)
	members := Marshal(more)[1:]
	if len(members) > 1 {
		b = append(b, ',')
	}
	return append(b, members...)
}

// Marshal returns JSON without escapes for HTML, as the service sends it. It panics
// where v has no JSON, such as a number that is infinite.
func Marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("envelope: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
