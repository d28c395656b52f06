package epcclogs

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// ListOptions choose a page of a list. The zero value and nil mean the first page.
type ListOptions struct {
	// Limit is the number of records on a page, 1 to 100. 0 means 100 in a [Pager],
	// and elsewhere the store's own setting, 25 unless it was changed.
	Limit int `url:"page[limit],omitempty"`
	// Offset is the number of records, not pages, to skip. The API's documents
	// speak of a soft limit at 10,000: a store may refuse more with an [*APIError].
	Offset int `url:"page[offset],omitempty"`
}

// maxLimit is the largest page length that the API's documents allow. No list is longer than
// maxOffset.
const maxLimit, maxOffset = 100, math.MaxInt32

func (o *ListOptions) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Limit < 0 || o.Limit > maxLimit:
		return invalid("Limit %d is not within 0 to %d", o.Limit, maxLimit)
	case o.Offset < 0:
		return invalid("Offset %d is negative", o.Offset)
	case o.Offset > maxOffset:
		return invalid("Offset %d is above %d", o.Offset, maxOffset)
	}
	return nil
}

// Page is a part of a list. Which of Meta, Results and Links are set depends on the
// store: they are nil if they are not sent, or not in a documented form. Programs that
// only want the records use a [Pager] and do not need them.
type Page[T any] struct {
	Data    []T          `json:"data"`
	Meta    *PageMeta    `json:"meta,omitempty"`
	Results *PageResults `json:"results,omitempty"`
	Links   *PageLinks   `json:"links,omitempty"`

	unread []unread      // the records that cannot be read; Data has the others
	age    time.Duration // how long a cache has kept the page; 0 if it does not say
}

// unread is a record of a list that cannot be read.
type unread struct {
	index int    // in the list, as it was sent
	hash  uint64 // of its JSON
	err   error  // names it: data[3]
}

// ageOf returns how long a cache has kept a response; 0 if it does not say.
func ageOf(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Age"), 10, 31) // 68 years
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// PageMeta says which part of the list a page is.
type PageMeta struct {
	Limit   int `json:"limit"`   // records on a page, as the server sees it
	Offset  int `json:"offset"`  // records before this page
	Current int `json:"current"` // number of this page, from 1
	Total   int `json:"total"`   // number of pages, not records
}

// PageResults count the whole list.
type PageResults struct {
	Total int `json:"total"` // number of records
}

// PageLinks point to other pages. They are for information only: stores send links
// that lack a part of the path or name another host. This package follows none.
type PageLinks struct {
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	Next  string `json:"next,omitempty"`
	Prev  string `json:"prev,omitempty"`
}
