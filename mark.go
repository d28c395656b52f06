package epcclogs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
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
