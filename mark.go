package epcclogs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"reflect"
)

const (
	// remembered is how many of the latest records a place recognizes.
	remembered = 200
	// lookBack is how many records at each end a cursor holds. A record that the
	// store commits late is found if fewer than these stand between it and the end
	// that grows.
	lookBack = 16
	// settled is how long a list must have been to show which of its ends grows. In a
	// shorter one, a late record may stand at the other end.
	settled = 2 * lookBack
)

// mark identifies a record: a hash of all its members.
type mark uint64

func markOf[T any](record *T) mark {
	b, _ := json.Marshal(record) // what was decoded can be encoded
	sum := sha256.Sum256(b)
	return mark(binary.BigEndian.Uint64(sum[:]))
}

// marksOf returns the mark of each record.
func marksOf[T any](records []T) []mark {
	marks := make([]mark, len(records))
	for i := range records {
		marks[i] = markOf(&records[i])
	}
	return marks
}

// seen is a record that was received.
type seen[T any] struct {
	record *T // until the mark is computed, which is expensive; then nil
	mark   mark
	page   int // number of the page on which it was new; 0 if it is from a cursor
	nth    int // its index among the new records of that page, as they are returned
}

// id returns the mark of the record.
func (s *seen[T]) id() mark {
	if s.record != nil {
		s.mark, s.record = markOf(s.record), nil
	}
	return s.mark
}

// hasSlices reports whether records of a type share memory with their copies.
func hasSlices(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return true
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && hasSlices(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
