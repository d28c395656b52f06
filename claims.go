package epcclogs

import "cmp"

// claims are what a page says of the whole list.
type claims struct {
	any    bool // it says how much there is
	more   bool // it says that records follow the page
	ends   bool // it says that none do, and nothing that they do
	placed bool // it says that it starts where it was asked to
	total  int  // number of records in the list; 0 when not told
}

// claimsOf reads the claims of a page that answers asked. A total smaller than
// the records up to the end of the page is ignored. The number of a page that
// starts between two pages is not reliable: it never ends a list, and counts for
// nothing beside a total.
func claimsOf[T any](page *Page[T], asked ListOptions) claims {
	var c claims
	end := asked.Offset + len(page.Data)
	if page.Results != nil && page.Results.Total > 0 {
		c.any, c.total = true, page.Results.Total
		c.more, c.ends = c.total > end, c.total == end
	}
	if m := page.Meta; m != nil && m.Current > 0 && m.Total > 0 {
		c.any = true
		between := asked.Offset%cmp.Or(max(m.Limit, 0), asked.Limit) != 0
		switch {
		case between && c.total >= end:
		case m.Current < m.Total:
			c.more = true
		case !between:
			c.ends = true
		}
	}
	if page.Links != nil {
		c.any = true
		c.more = c.more || page.Links.Next != ""
		c.ends = c.ends || page.Links.Next == ""
	}
	c.ends = c.ends && !c.more
	c.placed = page.Meta != nil && page.Meta.Offset > 0 && page.Meta.Offset == asked.Offset
	return c
}

// shortened reports whether the page is shorter than it says itself although
// more follows, and no total says how much: its page counts are worth nothing.
func (c claims) shortened(meta *PageMeta, end, length int) bool {
	return c.more && c.total <= end && meta != nil && meta.Limit > length
}
