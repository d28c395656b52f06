package epcclogstest

import (
	"fmt"
	"net/http"
	"strings"
)

// list answers with one page of the records.
func list[T any](p page, records []T, appendRecord func([]byte, T) []byte) answer {
	total := len(records)
	n := max(0, min(p.limit, total-p.offset))
	b := make([]byte, 0, 640*(n+1)) // sample logs have 540 bytes
	b = append(b, `{"data":[`...)
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

// meta counts pages from 1. They have the length that the envelope says.
func (p page) meta(total int) string {
	pages := total / p.said
	if total%p.said > 0 {
		pages++
	}
	return fmt.Sprintf(`{"limit":%d,"offset":%d,"current":%d,"total":%d}`, p.said, p.offset, p.offset/p.said+1, pages)
}

// appendLinks adds links as the documents show them: relative, without /v2, and
// with brackets that are not escaped.
func (p page) appendLinks(b []byte, more bool) []byte {
	path := strings.TrimPrefix(p.path, "/v2")
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
