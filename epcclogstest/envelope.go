package epcclogstest

import "fmt"

// Envelope is the form of the JSON around the records of a listing. The vendor's
// documents show four forms, and do not say which one a store sends.
type Envelope int

// The known envelopes. Meta is the default.
const (
	// Meta is the form of the reference page: a member meta with limit, offset,
	// current and total (the last two in pages), and a member results with the
	// total number of records.
	Meta Envelope = iota
	// Links is the form of the OpenAPI document: links to the first, next and
	// previous page, which are relative and lack /v2, and no count. The last page
	// has no next link.
	Links
	// Nested is the form of the paging guide: the members of Meta, but as
	// meta.page and meta.results.
	Nested
	// Bare has only the records.
	Bare
)

// String returns the name of the constant, for use in the names of subtests.
func (e Envelope) String() string {
	switch e {
	case Meta:
		return "Meta"
	case Links:
		return "Links"
	case Nested:
		return "Nested"
	case Bare:
		return "Bare"
	}
	return fmt.Sprintf("Envelope(%d)", int(e))
}
