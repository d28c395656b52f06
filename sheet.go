package epcclogs

import (
	"errors"
	"slices"
	"strings"
)

// sheet is what a pager holds of a page: all its records, also those that cannot be read.
type sheet[T any] struct {
	page    *Page[T]
	records []T
	errs    []error // why a record cannot be read; nil if all can
	left    []int   // indexes of the records to return, in this order
	placed  bool    // Meta has the offset
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

// next takes the first record away, and returns it, or the error in its place.
func (s *sheet[T]) next() (record T, err error) {
	i := s.left[0]
	s.left = s.left[1:]
	if s.errs != nil {
		err = s.errs[i]
	}
	return s.records[i], err
}

// rest takes all records away, and returns a page of those that can be read, and an error that
// names the others.
func (s *sheet[T]) rest() (*Page[T], error) {
	page := *s.page
	if s.placed {
		meta := *page.Meta
		meta.Offset += slices.Min(s.left)
		page.Meta = &meta
	}
	page.Data = make([]T, 0, len(s.left))
	var failed *DecodeError
	var texts []string
	for len(s.left) > 0 {
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
