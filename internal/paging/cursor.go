package paging

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// cursorVersion changes with the form of a cursor, and with what a mark is made of.
const cursorVersion = 2

// maxNumber is the largest number that a cursor holds: no sum of two overflows.
const maxNumber = math.MaxInt32 / 4

var cursorText = base64.RawURLEncoding.Strict()

// A cursor is, in base64, a byte for the version, four of a checksum, and these.
type cursor struct {
	Ended                 bool
	Order                 order
	Offset, Total, Head   int32
	Oldest, Newest, Since [2]int64 // seconds and nanoseconds
	Backs, Fronts         uint8    // how many there are
	Back, Front           [kept]uint64
}

// Cursor returns the place before the rest records of the latest page that were not
// returned yet, as a text.
func (r *Reader[P]) Cursor(rest int) string {
	p := r.placeBefore(rest)
	number := func(n int) int32 { return int32(max(min(n, maxNumber), -maxNumber)) }
	instant := func(t time.Time) [2]int64 { return [2]int64{t.Unix(), int64(t.Nanosecond())} }
	c := cursor{Ended: p.ended, Order: p.order, Offset: number(p.offset), Total: number(p.total), Head: number(p.head)}
	c.Oldest, c.Newest, c.Since = instant(p.oldest), instant(p.newest), instant(r.settings.Since)
	c.Backs, c.Fronts = uint8(copy(c.Back[:], p.back)), uint8(copy(c.Front[:], p.front))
	b, err := binary.Append(nil, binary.BigEndian, &c)
	if err != nil {
		panic(err) // the size of a cursor is fixed
	}
	return cursorText.EncodeToString(append(append([]byte{cursorVersion}, checksum(r.settings.List, b)...), b...))
}

// parseCursor reads what Cursor has written for the same list.
func parseCursor(list, text string) (p place, since time.Time, err error) {
	b, err := cursorText.DecodeString(text)
	if err != nil || len(b) < 5 || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return p, since, Refused("the text is not a cursor, or is damaged; begin without it")
	}
	if b[0] != cursorVersion {
		return p, since, Refused(fmt.Sprintf("the cursor has version %d, and this release reads version %d; begin without a cursor, which lists everything, and leave out the records that you have by their keys", b[0], cursorVersion))
	}
	if !bytes.Equal(b[1:5], checksum(list, b[5:])) {
		return p, since, Refused(fmt.Sprintf("the text is not a cursor of the list %s, or is damaged; begin without it", list))
	}
	var c cursor
	n, err := binary.Decode(b[5:], binary.BigEndian, &c)
	valid := min(c.Offset, c.Total) >= 0 && max(c.Offset, c.Total, c.Head, -c.Head) <= maxNumber
	if err != nil || n != len(b)-5 || !valid || c.Order > falling || max(c.Backs, c.Fronts) > kept {
		return p, since, Refused("the cursor is damaged; begin without it")
	}
	instant := func(t [2]int64) time.Time { return time.Unix(t[0], t[1]).UTC() }
	p = place{offset: int(c.Offset), total: int(c.Total), head: int(c.Head), ended: c.Ended, order: c.Order}
	p.back, p.front = c.Back[:c.Backs], c.Front[:c.Fronts]
	p.span = span{instant(c.Oldest), instant(c.Newest)}
	return p, instant(c.Since), nil
}

func checksum(list string, b []byte) []byte {
	h := sha256.New()
	h.Write([]byte(list + "\n"))
	h.Write(b)
	return h.Sum(nil)[:4]
}
