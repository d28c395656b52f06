package epcclogs

import (
	"errors"
	"slices"
	"strings"
)

// sheet is what a pager holds of a page: all its records, in the order in which they are
// returned, also those that cannot be read.
type sheet[T any] struct {
	page    *Page[T]
	records []T
	errs    []error // why a record cannot be read; nil if all can
}

// sheetOf returns the records of a page. err is the error that came with it.
func sheetOf[T any](page *Page[T], err error) sheet[T] {
	s := sheet[T]{page: page, records: page.Data}
	var failed *DecodeError
	if !errors.As(err, &failed) {
		return s
	}
	n := len(page.Data) + len(page.unread)
	s.records, s.errs = make([]T, n), make([]error, n)
	for _, u := range page.unread {
		one := *failed
		one.Err = u.err
		s.errs[u.index] = &one
	}
	readable := page.Data
	for i := range s.records {
		if s.errs[i] == nil {
			s.records[i], readable = readable[0], readable[1:]
		}
	}
	return s
}

// choose returns the records with these indexes, in this order.
func (s sheet[T]) choose(indexes []int) sheet[T] {
	page, first := *s.page, indexes[0]
	chosen := sheet[T]{page: &page}
	if last := indexes[len(indexes)-1]; last-first == len(indexes)-1 {
		chosen.records = s.records[first : last+1]
	} else {
		for _, i := range indexes {
			chosen.records = append(chosen.records, s.records[i])
		}
	}
	if s.errs != nil {
		for _, i := range indexes {
			chosen.errs = append(chosen.errs, s.errs[i])
		}
	}
	if m := page.Meta; m != nil && m.Offset > 0 {
		meta := *m
		meta.Offset += slices.Min(indexes)
		page.Meta = &meta
	}
	return chosen
}

// next takes the first record away, and returns it, or the error in its place.
func (s *sheet[T]) next() (record T, err error) {
	record, s.records = s.records[0], s.records[1:]
	if s.errs != nil {
		err, s.errs = s.errs[0], s.errs[1:]
	}
	return record, err
}

// readable returns a page of the records that can be read, and an error that names the others.
func (s *sheet[T]) readable() (*Page[T], error) {
	page := *s.page
	if page.Data = s.records; s.errs == nil {
		return &page, nil
	}
	page.Data = []T{}
	var failed *DecodeError
	var texts []string
	for len(s.records) > 0 {
		record, err := s.next()
		if errors.As(err, &failed) {
			texts = append(texts, failed.Err.Error())
			continue
		}
		page.Data = append(page.Data, record)
	}
	if failed == nil {
		return &page, nil
	}
	all := *failed
	all.Err = errors.New(strings.Join(texts, "; "))
	return &page, &all
}
