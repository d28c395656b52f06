package epcclogs

import "slices"

// lookFront compares a page in front of the place with the head. New are the records
// that stand before a record of the head and are not known. fresh are their indexes,
// last is the index of the last record of the head on the page (-1: there is none), and
// sawTail says whether the page shows any of the tail.
func (p *place[T]) lookFront(records []T) (fresh []int, last int, sawTail bool) {
	if p.headInPlace(records) {
		return nil, len(p.head) - 1, false
	}
	marks, head := marksOf(records), p.inHead()
	tail := make(map[mark]bool, len(p.tail))
	for i := range p.tail {
		tail[p.tail[i].id()] = true
	}
	last = -1
	for i, m := range marks {
		if head[m] {
			last = i
		}
		sawTail = sawTail || tail[m]
	}
	for i, m := range marks[:last+1] {
		if !head[m] && !tail[m] {
			fresh = append(fresh, i)
		}
	}
	return fresh, last, sawTail
}

// headFromTail makes the records of the tail that the first page shows the head, because
// that was deleted.
func (p *place[T]) headFromTail(records []T) {
	p.head = nil
	for _, m := range marksOf(records) {
		if rank := p.rank(m); rank >= 0 && len(p.head) < lookBack {
			if len(p.head) == 0 {
				p.shift = max(0, p.offset-p.at+rank)
			}
			p.head = append(p.head, seen[T]{mark: m})
		}
	}
}

// cutHead forgets what stood behind the record of the head with the mark.
func (p *place[T]) cutHead(m mark) {
	last := slices.IndexFunc(p.head, func(s seen[T]) bool { return s.mark == m })
	p.head = p.head[:last+1]
}

// headGoesOn reports whether other records of the head stand behind this one.
func (p *place[T]) headGoesOn(record T) bool {
	m := markOf(&record)
	return slices.IndexFunc(p.head, func(s seen[T]) bool { return s.mark == m }) < min(lookBack, len(p.head))-1
}

// headInPlace reports whether a page begins with the whole head.
func (p *place[T]) headInPlace(records []T) bool {
	if len(p.head) == 0 || len(p.head) > len(records) {
		return false
	}
	for i := range p.head {
		if markOf(&records[i]) != p.head[i].id() {
			return false
		}
	}
	return true
}

// takeFront makes the records of the page at offset the head, up to the index last. Those
// at the indexes fresh are new; takeFront returns them, the oldest first. ends says that the
// page is the last.
func (p *place[T]) takeFront(offset int, records []T, fresh []int, last int, ends bool) []T {
	p.pages++
	p.fresh, p.inFront = len(fresh), true
	marks := marksOf(records)
	onPage := func(s seen[T]) bool { return slices.Contains(marks, s.id()) }
	// Other records of the head may stand behind this page, and before it, if it does
	// not begin the list.
	var before, behind []seen[T]
	first, over := slices.IndexFunc(p.head, onPage), ends || len(marks)-last >= lookBack || p.showsTail(marks[last+1:])
	at := slices.Index(marks, p.head[first].mark)
	if offset > 0 && at < lookBack/2 { // else those before it were deleted
		before = p.head[:first]
	}
	p.learnFront(marks, p.offset >= settled)
	p.move(max(0, offset+at-first-p.shift))
	p.shift = offset
	for i := range p.head {
		if onPage(p.head[i]) {
			behind = nil
		} else if !over { // else it was deleted
			behind = append(behind, p.head[i])
		}
	}
	head := slices.Clone(before)
	for i := range marks[:last+1] {
		head = append(head, seen[T]{mark: marks[i]})
	}
	newest := make([]T, 0, len(fresh))
	for nth, i := range slices.Backward(fresh) {
		nth = len(fresh) - 1 - nth
		head[len(before)+i].page, head[len(before)+i].nth = p.pages, nth
		newest = append(newest, records[i])
	}
	p.mergeTail(head[len(before):])
	head = append(head, behind...)
	p.head = head[:min(len(head), remembered)]
	return newest
}

// learnFront notes that the list grows in front, if more records than before stand before
// one of the head on a page. In a list that was settled, no late one does if half of the
// head is still there, or if the list is long and the page shows nothing else behind it.
func (p *place[T]) learnFront(marks []mark, long bool) {
	first, rank := p.indexHead(marks)
	if first <= rank || p.size < settled {
		return
	}
	head, shown := p.inHead(), 0
	for _, m := range marks[first:] {
		if head[m] {
			shown++
		}
	}
	if shown >= lookBack/2 || long && shown == len(marks)-first {
		p.grows = frontEnd
	}
}

// showsTail reports whether one of the marks is in the tail.
func (p *place[T]) showsTail(marks []mark) bool {
	return slices.ContainsFunc(marks, func(m mark) bool { return p.rank(m) >= 0 })
}

// rank returns the index in the tail of the record with the mark; -1: it is not there.
func (p *place[T]) rank(m mark) int {
	for i := range p.tail {
		if p.tail[i].id() == m {
			return i
		}
	}
	return -1
}

// mergeTail puts those records of the head into the tail that stand behind one of its
// records. head is a part of the list, without gaps. If a new record begins its page, the
// one before is not known yet: the next page, which overlaps, shows it.
func (p *place[T]) mergeTail(head []seen[T]) {
	before := -1 // index in p.tail of the record before
	for _, s := range head {
		switch k := p.rank(s.mark); {
		case k >= 0:
			before = k
		case before >= 0:
			if before < p.at {
				if before >= p.at-p.run {
					p.run++
				}
				p.at++
			}
			before++
			p.tail = slices.Insert(p.tail, before, s)
		}
	}
}

// moveToEnd makes the last records of the list the tail. marks are those from the head,
// or from behind it, to the end of the list. All records behind the head were received.
func (p *place[T]) moveToEnd(marks []mark) {
	head := p.inHead()
	p.tail, p.stale = nil, 0
	last := -1 // of the records of the head
	for i, m := range marks {
		if head[m] {
			last = i
		}
	}
	for i, m := range marks {
		if head[m] || i > last {
			p.tail = append(p.tail, seen[T]{mark: m})
		}
	}
	p.at, p.run = len(p.tail), len(p.tail)
}

// indexHead returns the index of the first mark that belongs to the head, or -1, and the
// rank of its record in the head.
func (p *place[T]) indexHead(marks []mark) (first, rank int) {
	ranks := make(map[mark]int, len(p.head))
	for i := range p.head {
		ranks[p.head[i].id()] = i
	}
	for i, m := range marks {
		if rank, ok := ranks[m]; ok {
			return i, rank
		}
	}
	return -1, 0
}

// capture makes the first records of the list the head, but none behind the place: what
// stands before it was read or skipped.
func (p *place[T]) capture(records []T) {
	p.head, p.shift = nil, 0
	marks, last := marksOf(records), -1
	if len(p.tail) == 0 { // nothing was received yet
		marks = marks[:min(p.offset, len(marks))]
	}
	for i := range p.tail {
		at := slices.Index(marks, p.tail[i].id())
		last = max(last, at)
		if i == p.at-1 && at >= 0 {
			p.offset = at + 1
		}
	}
	if last >= 0 {
		marks = marks[:last+1]
	}
	for _, m := range marks[:min(lookBack, len(marks))] {
		p.head = append(p.head, seen[T]{mark: m})
	}
}
