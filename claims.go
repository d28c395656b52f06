package epcclogs

import "cmp"

// claims are what a page says about the whole list.
type claims struct {
	any    bool // it says something about the length of the list
	more   bool // it says that records follow the page
	ends   bool // it says that no records follow, and nothing in it says the opposite
	placed bool // it says that it starts at the offset that was asked for, above 0
	total  int  // number of records in the list; 0 if not told
}

// claimsOf returns the claims of a page that answers asked. A total that the page
// itself exceeds is ignored. The number of a page (meta.current) that starts between
// two pages is not reliable: it never says that the list ends, and is ignored if
// there is a total.
func claimsOf[T any](page *Page[T], asked ListOptions) claims {
	var c claims
	end := asked.Offset + len(page.Data)
	if page.Results != nil && page.Results.Total > 0 {
		c.any, c.total = true, page.Results.Total
		c.more, c.ends = c.total > end, c.total == end
	}
	if m := page.Meta; m != nil {
		c.placed = m.Offset > 0 && m.Offset == asked.Offset
		c.numbers(*m, asked, end)
	}
	if page.Links != nil {
		c.any = true
		c.more = c.more || page.Links.Next != ""
		c.ends = c.ends || page.Links.Next == ""
	}
	c.ends = c.ends && !c.more
	return c
}

// numbers reads the number of a page that reaches to end, and the number of pages.
func (c *claims) numbers(m PageMeta, asked ListOptions, end int) {
	if m.Current <= 0 || m.Total <= 0 {
		return
	}
	c.any = true
	between := asked.Offset%cmp.Or(max(m.Limit, 0), asked.Limit, maxLimit) != 0
	switch {
	case between && c.total >= end:
	case m.Current < m.Total:
		c.more = true
	case !between:
		c.ends = true
	}
}

// shortened reports whether the page is shorter than its own meta.limit, although it
// says that more follows. Then its page numbers cannot be relied on, and only a total
// could say where the list ends.
func (c claims) shortened(meta *PageMeta, end, length int) bool {
	return c.more && c.total <= end && meta != nil && meta.Limit > length
}

// server is what the pages have shown about the server.
type server struct {
	exact   bool // it ignores offsets or rounds them: pages are asked for without an overlap
	honest  bool // it does neither
	toEmpty bool // its claims are wrong: only an empty page is the end
	length  int  // of the longest page that does not end the list; 0: not known
	longest int  // length of the longest page
	silent  bool // the latest page did not say whether more follows
}

// note notes the length of a page, which may be shorter than others because it ends the
// list, and whether the page said if more follows.
func (s *server) note(c claims, asked ListOptions, length int) {
	s.longest = max(s.longest, length)
	s.silent = !c.more && !c.ends
	if c.more || length >= asked.Limit {
		s.length = max(s.length, length)
	}
}

// page returns how many records a page may have.
func (s *server) page() int {
	if s.length == 0 {
		return maxLimit
	}
	return max(s.length, s.longest)
}

// stride is the distance between pages of this length that are looked at one after
// the other. They overlap, because the list may move between two requests.
func stride(length int) int { return max(1, length-lookBack, length/2) }

// repeats counts the pages in a row that begin with the same record, although they were
// asked for at different offsets.
type repeats struct {
	first mark
	times int
}

// ignoresOffsets notes a page, and reports whether the server seems to ignore offsets.
// Two pages may begin alike because the list has moved by just as much, and so may short
// ones.
func ignoresOffsets[T any](r *repeats, s *server, records []T) bool {
	if s.honest || len(records) < lookBack {
		return false
	}
	if first := markOf(&records[0]); first != r.first {
		*r = repeats{first: first}
	}
	r.times++
	return r.times > 2
}
