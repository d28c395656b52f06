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

// paging is what a request asks of a listing.
type paging struct {
	offset int
	limit  int // records sent at most
	said   int // what the envelope calls the limit
}

func (s *Server) paging(query string) (paging, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return paging{}, fmt.Errorf("the query cannot be read")
	}
	asked, err := pageNumber(values, "page[limit]")
	if err != nil {
		return paging{}, err
	}
	if asked == 0 {
		asked = defaultLimit
	}
	offset, err := pageNumber(values, "page[offset]")
	if err != nil {
		return paging{}, err
	}
	if s.ignoredOffset {
		offset = 0
	}
	p := paging{offset: offset, limit: min(asked, s.maxLimit)}
	p.said = p.limit
	if s.silentLimit {
		p.said = asked
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

// list renders one page of the lists taken together.
func list(u *url.URL, e Envelope, p paging, lists ...[]record) answer {
	page, total := window(lists, p.offset, p.limit)
	size := 512 // for the envelope
	for _, r := range page {
		size += len(r.json) + 1
	}
	b := make([]byte, 0, size)
	b = append(b, `{"data":[`...)
	for i, r := range page {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.json...)
	}
	b = append(b, ']')
	switch e {
	case Meta:
		b = fmt.Appendf(b, `,"meta":%s,"results":{"total":%d}`, p.meta(total), total)
	case Nested:
		b = fmt.Appendf(b, `,"meta":{"page":%s,"results":{"total":%d}}`, p.meta(total), total)
	case Links:
		b = p.appendLinks(b, u, p.offset+len(page) < total && len(page) > 0)
	}
	return jsonAnswer(http.StatusOK, append(b, '}'))
}

// meta counts pages, from 1, of the length that the envelope names.
func (p paging) meta(total int) string {
	pages := total / p.said
	if total%p.said > 0 {
		pages++
	}
	return fmt.Sprintf(`{"limit":%d,"offset":%d,"current":%d,"total":%d}`, p.said, p.offset, p.offset/p.said+1, pages)
}

// appendLinks writes links as the documents show them: relative, without /v2,
// brackets not escaped.
func (p paging) appendLinks(b []byte, u *url.URL, more bool) []byte {
	path := strings.TrimPrefix(u.EscapedPath(), "/v2")
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
