package paging

import "slices"

// ends is how many records at each end of what was returned a place and a cursor hold,
// and how many known ones a page shows where late records may stand.
const ends = 16

// edge holds the marks of the records at one end of a piece of the list, the outermost last.
type edge struct {
	marks  []uint64
	loose  int    // so many of the last ones are outermost only if what was there before was deleted
	anchor uint64 // otherwise they stand behind this one
}

func (e edge) outermost() uint64 {
	if len(e.marks) == 0 {
		return 0
	}
	return e.marks[len(e.marks)-1]
}

// extend adds what is known of a page, in the order towards the end; fresh are those that were new.
// Where new records end the page, but do not stand behind the outermost known one, that was
// deleted, or they are late records: what later pages show tells.
func (e edge) extend(known, fresh []uint64) edge {
	sure, loose := e.marks[:len(e.marks)-e.loose], e.marks[len(e.marks)-e.loose:]
	k := lengthTo(known, func(id uint64) bool { return slices.Contains(sure, id) })
	if len(sure) == 0 || k > 0 && known[k-1] == sure[len(sure)-1] {
		loose = slices.DeleteFunc(slices.Clone(loose), func(id uint64) bool { return slices.Contains(known[:k], id) })
		return edge{marks: lastOf(append(merge(sure, known[:k]), merge(known[k:], loose)...))}
	}
	n := max(k, lengthTo(known, func(id uint64) bool { return !slices.Contains(fresh, id) && !slices.Contains(loose, id) }))
	at := slices.Index(sure, e.anchor) + 1
	switch {
	case k > 0 && slices.Contains(sure[at:], known[k-1]) || shares(loose, known[k:n]): // late ones
		sure, loose = slices.Insert(slices.Clone(sure), at, loose...), nil
	case n < len(known) && !shares(loose, known): // others follow elsewhere
		sure, loose = e.marks, nil
	}
	if len(loose) == 0 {
		e.anchor = edge{marks: known[:k]}.outermost()
	}
	if loose = merge(loose, known[n:]); len(loose) >= ends {
		return edge{marks: lastOf(loose)}
	}
	return edge{lastOf(append(merge(sure, known[:k]), loose...)), len(loose), e.anchor}
}

// lengthTo returns the length of the part that ends with the last mark for which yes is true.
func lengthTo(marks []uint64, yes func(uint64) bool) int {
	n := len(marks)
	for n > 0 && !yes(marks[n-1]) {
		n--
	}
	return n
}

func shares(a, b []uint64) bool {
	return slices.ContainsFunc(a, func(id uint64) bool { return slices.Contains(b, id) })
}

// merge returns the marks of two pieces of the list in its order. What has no place in the
// other piece comes first if it is of a.
func merge(a, b []uint64) (all []uint64) {
	all = make([]uint64, 0, len(a)+len(b))
	for _, id := range a {
		if k := slices.Index(b, id); k >= 0 {
			all, b = append(all, b[:k]...), b[k+1:]
		}
		all = append(all, id)
	}
	return append(all, b...)
}

func lastOf(marks []uint64) []uint64 { return marks[max(0, len(marks)-ends):] }
