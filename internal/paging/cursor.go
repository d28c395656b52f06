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

// A cursor is, in base64:
//
//	version   1 byte
//	checksum  4 bytes, of the name of the list and all that follows
//	state     1 byte: the order, plus 4 at the end of the list
//	offset, total, head  varints
//	oldest, newest, since  varints: seconds since the year 1, and nanoseconds
//	tail      1 byte that counts them, and 8 bytes for each mark
//	first     as tail

// Cursor returns the place before the rest records of the latest page that were not
// returned yet, as a text.
func (r *Reader[P]) Cursor(rest int) string {
	p := r.placeBefore(rest)
	b := []byte{byte(p.order)}
	if p.ended {
		b[0] |= 4
	}
	for _, n := range []int{p.offset, p.total, p.head} {
		b = binary.AppendVarint(b, int64(max(min(n, maxNumber), -maxNumber)))
	}
	for _, t := range []time.Time{p.oldest, p.newest, r.settings.Since} {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendVarint(b, int64(t.Nanosecond()))
	}
	for _, marks := range [][]uint64{p.tail, p.first} {
		b = append(b, byte(len(marks)))
		for _, id := range marks {
			b = binary.BigEndian.AppendUint64(b, id)
		}
	}
	return cursorText.EncodeToString(append(append([]byte{cursorVersion}, checksum(r.settings.List, b)...), b...))
}

// parseCursor reads what Cursor has written for the same list.
func parseCursor(list, text string) (p place, since time.Time, err error) {
	b, err := cursorText.DecodeString(text)
	if err != nil || len(b) < 5 || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return p, since, Refused("the text is not a cursor, or is damaged")
	}
	if b[0] != cursorVersion {
		return p, since, Refused(fmt.Sprintf("the cursor has version %d, and this release reads version %d; begin without a cursor, which lists everything, and leave out the records that you have by their keys", b[0], cursorVersion))
	}
	if !bytes.Equal(b[1:5], checksum(list, b[5:])) {
		return p, since, Refused(fmt.Sprintf("the text is not a cursor of the list %s, or is damaged", list))
	}
	if since, err = p.read(bytes.NewReader(b[5:])); err != nil {
		return p, since, Refused("the cursor is damaged")
	}
	return p, since, nil
}

// read reads a place and the time of Since.
func (p *place) read(r *bytes.Reader) (since time.Time, err error) {
	number := func(least, most int64) (n int64) {
		if err == nil {
			n, err = binary.ReadVarint(r)
		}
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("%d is not within %d to %d", n, least, most)
		}
		return n
	}
	state, err := r.ReadByte()
	if err == nil && (state > 7 || state&3 > byte(falling)) {
		err = fmt.Errorf("the state is %d", state)
	}
	p.ended, p.order = state&4 != 0, order(state&3)
	p.offset, p.total, p.head = int(number(0, maxNumber)), int(number(0, maxNumber)), int(number(-maxNumber, maxNumber))
	for _, t := range []*time.Time{&p.oldest, &p.newest, &since} {
		seconds, nanoseconds := number(math.MinInt64, math.MaxInt64), number(0, 999_999_999)
		*t = time.Unix(seconds, nanoseconds).UTC()
	}
	for _, marks := range []*[]uint64{&p.tail, &p.first} {
		if err == nil {
			*marks, err = readMarks(r)
		}
	}
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes follow", r.Len())
	}
	return since, err
}

func readMarks(r *bytes.Reader) ([]uint64, error) {
	n, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if n > ends {
		return nil, fmt.Errorf("%d marks", n)
	}
	marks := make([]uint64, n)
	return marks, binary.Read(r, binary.BigEndian, marks)
}

func checksum(list string, b []byte) []byte {
	h := sha256.New()
	h.Write([]byte(list + "\n"))
	h.Write(b)
	return h.Sum(nil)[:4]
}
