package epcclogs

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
)

// cursorVersion changes with the form of a cursor, and with what markOf makes of
// a record.
const cursorVersion = 1

// maxNumber is the largest number that a cursor holds: no sum of two overflows.
const maxNumber = math.MaxInt / 4

var cursorText = base64.RawURLEncoding.Strict()

// A cursor is, in base64:
//
//	version    1 byte
//	checksum   4 bytes, of the list's path and all that follows
//	state      1 byte: the end that grows, plus 4 when the end was reached once, plus 8
//	           when the list may have been short when its beginning was read
//	offset     uvarint
//	total      uvarint
//	shift      uvarint
//	tail       1 byte that counts them, and 8 bytes for each mark
//	head       as tail

// cursor writes down the place before the rest records of the latest page that
// were not returned yet.
func (p *place[T]) cursor(list string, rest int) string {
	state := byte(p.grows)
	if p.ended && (p.inFront || rest == 0) {
		state |= 4
	}
	if p.size < settled && p.offset >= settled {
		state |= 8
	}
	b := []byte{state}
	for _, n := range []int{p.position(rest), p.total, p.shift} {
		b = binary.AppendUvarint(b, uint64(min(max(n, 0), maxNumber)))
	}
	var tail, head []byte
	for i := len(p.tail) - 1; i >= 0 && len(tail) < 8*lookBack; i-- {
		if p.returned(p.tail[i], rest) {
			tail = append(binary.BigEndian.AppendUint64(nil, uint64(p.tail[i].id())), tail...)
		}
	}
	for i := range p.head {
		if len(head) < 8*lookBack && p.returned(p.head[i], rest) {
			head = binary.BigEndian.AppendUint64(head, uint64(p.head[i].id()))
		}
	}
	b = append(append(b, byte(len(tail)/8)), tail...)
	b = append(append(b, byte(len(head)/8)), head...)
	return cursorText.EncodeToString(append(append([]byte{cursorVersion}, checksum(list, b)...), b...))
}

// parseCursor reads what cursor has written for the same list.
func parseCursor[T any](list, text string) (*place[T], error) {
	b, err := cursorText.DecodeString(text)
	if err != nil || len(b) < 5 || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, invalid("the text is not a cursor, or is damaged")
	}
	if b[0] != cursorVersion {
		return nil, invalid("the cursor has version %d, and this release reads version %d; begin without a cursor, which lists everything", b[0], cursorVersion)
	}
	if !bytes.Equal(b[1:5], checksum(list, b[5:])) {
		return nil, invalid("the text is not a cursor of the list %s, or is damaged", list)
	}
	p := new(place[T])
	if !p.read(bytes.NewReader(b[5:])) {
		return nil, invalid("the cursor is damaged")
	}
	return p, nil
}

// read reports whether r holds a place.
func (p *place[T]) read(r *bytes.Reader) bool {
	state, err := r.ReadByte()
	if err != nil || state&3 > byte(tailEnd) || state > 15 {
		return false
	}
	p.grows, p.ended = end(state&3), state&4 != 0
	for _, n := range []*int{&p.offset, &p.total, &p.shift} {
		value, err := binary.ReadUvarint(r)
		if err != nil || value > maxNumber {
			return false
		}
		*n = int(value)
	}
	if state&8 == 0 {
		p.size = p.offset
	}
	for _, marks := range []*[]seen[T]{&p.tail, &p.head} {
		n, err := r.ReadByte()
		if err != nil || n > lookBack {
			return false
		}
		for range n {
			var m mark
			if binary.Read(r, binary.BigEndian, &m) != nil {
				return false
			}
			*marks = append(*marks, seen[T]{mark: m})
		}
	}
	p.at, p.run = len(p.tail), len(p.tail)
	return r.Len() == 0
}

func checksum(list string, b []byte) []byte {
	h := sha256.New()
	h.Write([]byte(list + "\n"))
	h.Write(b)
	return h.Sum(nil)[:4]
}
