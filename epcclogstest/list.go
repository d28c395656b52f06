package epcclogstest

import (
	"net/http"
	"strings"

	"github.com/epcclogs/epcclogs/internal/envelope"
)

// list answers with one page of the records.
func list[T, J any](p page, records []T, toJSON func(T) J) answer {
	total := len(records)
	data := make([]J, max(0, min(p.limit, total-p.offset)))
	for i := range data {
		at := p.offset + i
		if p.newestFirst {
			at = total - 1 - at
		}
		data[i] = toJSON(records[at])
	}
	e := envelope.Page{
		Path:   strings.TrimPrefix(p.path, "/v2"),
		Offset: p.offset, Limit: p.said, Count: len(data), Total: total,
	}
	write := map[Envelope]func([]byte) []byte{Meta: e.Meta, Links: e.Links, Nested: e.Nested, Bare: e.Bare}[p.envelope]
	return jsonAnswer(http.StatusOK, write(envelope.Marshal(data)))
}
