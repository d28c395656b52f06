package epcclogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// byteOrderMark is what some servers send before the JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

// unmarshal is json.Unmarshal with errors that do not name types of Go.
func unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := "a number"
	switch wrong.Type.Kind() {
	case reflect.Bool:
		want = "a boolean"
	case reflect.String:
		want = "a string"
	case reflect.Slice:
		want = "an array"
	case reflect.Struct, reflect.Map:
		want = "an object"
	}
	return fmt.Errorf("%s where %s should be", wrong.Value, want)
}

// number is a JSON number, or a string that holds one.
type number float64

func (n *number) UnmarshalJSON(value []byte) error {
	if unquoted := bytes.Trim(value, `"`); len(unquoted) < len(value) {
		if err := json.Unmarshal(unquoted, (*float64)(n)); err != nil || string(unquoted) == "null" {
			return errors.New("the string is not a number")
		}
		return nil
	}
	return json.Unmarshal(value, (*float64)(n))
}

func (n number) int() (int, error) {
	switch f := float64(n); {
	case f != math.Trunc(f):
		return 0, fmt.Errorf("%v is not an integer", f)
	case math.Abs(f) > min(1<<53-1, math.MaxInt): // a larger one may have been rounded
		return 0, fmt.Errorf("%v is too large", f)
	}
	return int(n), nil
}

// optional is a member that is only informative. In another form than the documented
// one it counts as not sent.
type optional[T any] struct {
	value *T // nil if not sent
}

func (o *optional[T]) UnmarshalJSON(raw []byte) error {
	o.value = nil
	if v := new(T); string(raw) != "null" && json.Unmarshal(raw, v) == nil {
		o.value = v
	}
	return nil
}

// link is a string, or an object with the member href.
type link string

func (l *link) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, (*string)(l)) == nil {
		return nil
	}
	var object struct {
		Href string `json:"href"`
	}
	if err := json.Unmarshal(raw, &object); err != nil || object.Href == "" {
		return errors.New("neither a string nor an object with the member href")
	}
	*l = link(object.Href)
	return nil
}

// text is a string. JSON of another type stays as it was sent.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, (*string)(t)) != nil {
		*t = text(strings.ToValidUTF8(string(raw), "\uFFFD"))
	}
	return nil
}

// looseTime is a time as RFC 3339 writes it, also with lower-case letters or without
// the colon of the zone. Anything else is the zero time.
type looseTime struct{ time.Time }

func (t *looseTime) UnmarshalJSON(raw []byte) error {
	var text string
	_ = json.Unmarshal(raw, &text) // the empty text is the zero time
	text = strings.ToUpper(text)
	if n := len(text) - len("0000"); n > 0 && (text[n-1] == '+' || text[n-1] == '-') {
		text = text[:n+2] + ":" + text[n+2:]
	}
	var at time.Time
	if at.UnmarshalText([]byte(text)) == nil {
		t.Time = at
	}
	return nil
}

// exactNames returns body without the members whose names differ from the documented
// ones in case, such as "Data": package json would take them for these. It returns
// the body itself if there are none, and else a copy that has other names for them.
func exactNames(body []byte) []byte {
	exact, same := body, true
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		start := i + 1
		plain := start
		for plain < len(body) && isPlain(body[plain]) {
			plain++
		}
		if plain < len(body) && body[plain] == '"' { // nearly always
			i = plain + textLength(body[start:plain], body[plain+1:])
			continue
		}
		if i = closingQuote(body, plain); i < 0 {
			return exact
		}
		if quoted := body[start-1 : i+1]; !isName(body[i+1:]) || isEscaped(quoted) || !json.Valid(quoted) {
			continue
		}
		if same {
			exact, same = bytes.Clone(body), false
		}
		for j := start; j < i; j++ {
			exact[j] = '-'
		}
	}
	return exact
}

// textLength returns the length of the value that rest begins with, if name is that of a
// text. JSON in its place stays as it was sent. Of others it returns 0.
func textLength(name, rest []byte) int {
	if string(name) != "body" && string(name) != "error_detail" || bytes.HasPrefix(rest, []byte(`:"`)) || !isName(rest) {
		return 0
	}
	value := bytes.TrimLeft(rest, ": \t\r\n")
	text := json.NewDecoder(bytes.NewReader(value))
	if text.Decode(new(json.RawMessage)) != nil {
		return len(rest) // the body is no JSON
	}
	return len(rest) - len(value) + int(text.InputOffset())
}

// isPlain reports whether c is a character of the documented names.
func isPlain(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }

// closingQuote returns the index of the quote that ends the string which body[i] is a
// part of; -1 if there is none.
func closingQuote(body []byte, i int) int {
	for ; ; i++ {
		n := bytes.IndexByte(body[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		backslashes := 0
		for body[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i
		}
	}
}

// isName reports whether the string before rest is the name of a member.
func isName(rest []byte) bool {
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n') {
		rest = rest[1:]
	}
	return len(rest) > 0 && rest[0] == ':'
}

// isEscaped reports whether the string, with its quotes, is a plain name with escapes.
func isEscaped(quoted []byte) bool {
	var name string
	return bytes.IndexByte(quoted, '\\') >= 0 && json.Unmarshal(quoted, &name) == nil &&
		!strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf || !isPlain(byte(r)) })
}

// isCut reports whether body is the beginning of a JSON value, or empty.
func isCut(body []byte) bool {
	err := json.NewDecoder(bytes.NewReader(body)).Decode(new(json.RawMessage))
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
