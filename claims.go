package epcclogs

import (
	"cmp"

	"github.com/epcclogs/epcclogs/internal/paging"
)

// claimsOf returns what a page that answers ask says about the whole list. What contradicts
// the page itself is ignored: a total that the page exceeds, and the number of a page above
// the number of pages. The number of a page that starts between two pages is not reliable, and
// ignored if there is a total. Of a page behind the first one, it never says that the list ends:
// the numbers may not know that the server shortens pages.
func claimsOf[T any](page *Page[T], ask paging.Ask) paging.Claims {
	var c paging.Claims
	end := ask.Offset + len(page.Data) + len(page.unread)
	if r := page.Results; r != nil && r.Total > 0 && r.Total >= end {
		full := end-ask.Offset >= ask.Limit && ask.Offset > 0 // a count that has stopped at a cap may end here
		c.Total, c.More, c.Ends = r.Total, r.Total > end, !full
	}
	if m := page.Meta; m != nil {
		c.Offset = max(0, m.Offset)
		between := ask.Offset%cmp.Or(max(m.Limit, 0), ask.Limit) != 0
		switch {
		case m.Current <= 0 || m.Current > m.Total || between && c.Total > 0:
		case m.Current < m.Total:
			c.More = true
		case ask.Offset == 0:
			c.Ends = true
		}
	}
	if page.Links.lead() {
		c.More = c.More || page.Links.Next != ""
		c.Ends = true
	}
	c.Ends = c.Ends && !c.More
	return c
}

// lead reports whether there is a link to a page. Others, such as self, claim nothing.
func (l *PageLinks) lead() bool { return l != nil && *l != PageLinks{} }
