package epcclogstest

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
)

const (
	defaultLimit    = 25  // unless the store's settings say otherwise
	defaultMaxLimit = 100 // as documented
)

// pages is what the options say of the pages of a listing.
type pages struct {
	envelope      Envelope
	maxLimit      int
	silentLimit   bool
	maxOffset     int
	ignoredOffset bool
}

// page is a request for one page of a listing.
type page struct {
	path        string
	envelope    Envelope
	newestFirst bool // false: as the records are stored
	offset      int
	limit       int // records sent at most
	said        int // what the envelope says of the limit
}

func (s pages) read(u *url.URL) (page, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return page{}, fmt.Errorf("the query cannot be read")
	}
	asked, err := pageNumber(values, "page[limit]")
	if err != nil {
		return page{}, err
	}
	if asked == 0 {
		asked = defaultLimit
	}
	offset, err := pageNumber(values, "page[offset]")
	if err != nil {
		return page{}, err
	}
	if s.ignoredOffset {
		offset = 0
	}
	if offset > s.maxOffset {
		return page{}, fmt.Errorf("page[offset] must be %d or less", s.maxOffset)
	}
	limit := min(asked, s.maxLimit)
	said := limit
	if s.silentLimit {
		said = asked
	}
	return page{path: u.EscapedPath(), envelope: s.envelope, offset: offset, limit: limit, said: said}, nil
}

// pageNumber reads a paging parameter; it is 0 when absent or empty.
func pageNumber(values url.Values, name string) (int, error) {
	value := values.Get(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s must be a whole number, 0 or more", name)
	}
	return int(min(n, math.MaxInt)), nil
}
