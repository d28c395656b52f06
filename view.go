package epcclogs

// view is what a place makes of a page.
type view[T any] struct {
	offset  int // of the page
	records []T
	marks   []mark // of the records; nil if the overlap is in place
	known   int    // index of the first known record; -1: none is known
	rank    int    // its index in place.tail
	last    int    // largest index in place.tail of a record on the page; -1: none
	shown   int    // number of records of place.tail on the page
	fresh   []T    // the new records
	nth     []int  // indexes of the new records in records; nil if they are the last ones
}

// first returns the index of the first new record of v's page.
func (v view[T]) first() int {
	if v.nth != nil {
		return v.nth[0]
	}
	return len(v.records) - len(v.fresh)
}

// behind returns how many new records stand behind the last known one of v's page.
func (v view[T]) behind() int {
	n := 0
	for n < len(v.nth) && v.nth[len(v.nth)-1-n] == len(v.records)-1-n {
		n++
	}
	if v.nth == nil {
		n = len(v.fresh)
	}
	return n
}

// endsNew reports whether the last record of v's page is new.
func (v view[T]) endsNew() bool { return v.behind() > 0 }
