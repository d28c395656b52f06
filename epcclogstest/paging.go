package epcclogstest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	defaultLimit    = 25  // a store's own setting, unless changed
	defaultMaxLimit = 100 // documented
)

// page is one page of a listing, as it was asked for.
type page struct {
	url         *url.URL
	envelope    Envelope
	newestFirst bool
	offset      int
	limit       int // records sent at most
	said        int // what the envelope calls the limit
}

// page reads the parameters of a request.
func (s *Server) page(u *url.URL) (page, error) {
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
	p := page{u, s.envelope, s.store.newestFirst, offset, min(asked, s.maxLimit), asked}
	if !s.silentLimit {
		p.said = p.limit
	}
	return p, nil
}

// pageNumber reads a paging parameter; it is 0 when absent or empty.
func pageNumber(values url.Values, name string) (int, error) {
	value := values.Get(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s must be a whole number, 0 or more", name)
	}
	return n, nil
}

// list answers with a page of the records, which are given the oldest first.
func list[T any](p page, records []T, appendRecord func([]byte, T) []byte) answer {
	total := len(records)
	n := max(0, min(p.limit, total-p.offset))
	b := []byte(`{"data":[`)
	for i := p.offset; i < p.offset+n; i++ {
		if i > p.offset {
			b = append(b, ',')
		}
		if p.newestFirst {
			b = appendRecord(b, records[total-1-i])
		} else {
			b = appendRecord(b, records[i])
		}
	}
	b = append(b, ']')
	switch p.envelope {
	case Meta:
		b = fmt.Appendf(b, `,"meta":%s,"results":{"total":%d}`, p.meta(total), total)
	case Nested:
		b = fmt.Appendf(b, `,"meta":{"page":%s,"results":{"total":%d}}`, p.meta(total), total)
	case Links:
		b = p.appendLinks(b, n > 0 && p.offset+n < total)
	}
	return jsonAnswer(http.StatusOK, append(b, '}'))
}

// meta counts pages, from 1, of the length that the envelope names.
func (p page) meta(total int) string {
	pages := total / p.said
	if total%p.said > 0 {
		pages++
	}
	return fmt.Sprintf(`{"limit":%d,"offset":%d,"current":%d,"total":%d}`, p.said, p.offset, p.offset/p.said+1, pages)
}

// appendLinks writes links as the documents show them: relative, without /v2,
// brackets not escaped.
func (p page) appendLinks(b []byte, more bool) []byte {
	path := strings.TrimPrefix(p.url.EscapedPath(), "/v2")
	link := func(offset int) []byte {
		return appendString(nil, fmt.Sprintf("%s?page[offset]=%d&page[limit]=%d", path, offset, p.said))
	}
	b = fmt.Appendf(b, `,"links":{"first":%s`, link(0))
	if more {
		b = fmt.Appendf(b, `,"next":%s`, link(p.offset+p.limit))
	}
	if p.offset > 0 {
		b = fmt.Appendf(b, `,"prev":%s`, link(max(0, p.offset-p.limit)))
	}
	return append(b, '}')
}
