package epcclogs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// errListed is the error of a body that lists errors, although its status is 200.
var errListed = errors.New("the body lists errors")

// byteOrderMark is what some servers send before the JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

// decode reads the body of a response with status 200. Its error says if the body is
// in a charset or an encoding that cannot be read.
func decode(h http.Header, body []byte, read func(http.Header, []byte) error) error {
	charset := foreignCharset(h)
	if charset != nil && bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return charset
	}
	err := read(h, body)
	if err == nil || json.Valid(body) {
		return err
	}
	if coding := h.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fmt.Errorf("it is compressed, and the transport has not unpacked it (Content-Encoding %.100q): %w", coding, err)
	}
	if charset != nil {
		return fmt.Errorf("%w: %w", charset, err)
	}
	return err
}

// foreignCharset returns an error that names the declared charset, if that is not
// UTF-8 or a part of it.
func foreignCharset(h http.Header) error {
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return nil //nolint:nilerr // what cannot be read declares nothing
	}
	switch charset := params["charset"]; strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii":
		return nil
	default:
		return fmt.Errorf("its charset is %.100q, and only UTF-8 can be read", charset)
	}
}

// envelope has the members of every form in which the API's documents show a list:
// with meta and results, with links, with both nested in meta, and with data alone.
type envelope[E any] struct {
	Data []E `json:"data"`
	aside
}

// aside is what a list has beside its records.
type aside struct {
	Meta    optional[listMeta]    `json:"meta"`
	Results optional[PageResults] `json:"results"`
	Links   optional[listLinks]   `json:"links"`
	Errors  json.RawMessage       `json:"errors"`
}

type listMeta struct {
	PageMeta
	Page    optional[PageMeta]    `json:"page"`
	Results optional[PageResults] `json:"results"`
}

type listLinks struct {
	First link `json:"first"`
	Last  link `json:"last"`
	Next  link `json:"next"`
	Prev  link `json:"prev"`
}

// UnmarshalJSON decodes a list in any of the forms that the API's documents show. A
// list without the member data is an error. Errors name the record and the member
// that cannot be decoded. If only some records cannot be decoded, Data has the others.
func (p *Page[T]) UnmarshalJSON(body []byte) error {
	*p = Page[T]{}
	body = exactNames(body)
	var list envelope[T]
	err := json.Unmarshal(body, &list)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return err
	}
	var unread []unread
	if err != nil || hasDoubtful(list.Data) {
		if list, unread, err = decodeRecords[T](body); err != nil {
			return err
		}
	}
	if isListed(list.Errors) {
		return errListed
	}
	if len(list.Data)+len(unread) == 0 {
		if err := requireData(body); err != nil {
			return err
		}
	}
	*p = Page[T]{Data: list.Data, Results: list.Results.value, Links: list.links(), unread: unread}
	if meta := list.Meta.value; meta != nil {
		p.Meta = cmp.Or(meta.Page.value, &meta.PageMeta)
		p.Results = cmp.Or(p.Results, meta.Results.value)
	}
	return unreadable(unread)
}

func (a *aside) links() *PageLinks {
	l := a.Links.value
	if l == nil {
		return nil
	}
	return &PageLinks{First: string(l.First), Last: string(l.Last), Next: string(l.Next), Prev: string(l.Prev)}
}

// resource is the envelope of a single resource.
type resource[T any] struct{ Data T }

func (r *resource[T]) UnmarshalJSON(body []byte) error {
	body = exactNames(body)
	var members map[string]json.RawMessage
	if err := unmarshal(body, &members); err != nil {
		return err
	}
	if isListed(members["errors"]) {
		return errListed
	}
	if err := requireData(body); err != nil {
		return err
	}
	return decodeRecord(members["data"], &r.Data, "data")
}

// isListed reports whether the member errors has an error.
func isListed(raw json.RawMessage) bool {
	switch string(bytes.Join(bytes.Fields(raw), nil)) {
	case "", "null", "[]", "{}", `""`, "false":
		return false
	}
	return true
}

// requireData returns an error if body is not a JSON object with a member data.
func requireData(body []byte) error {
	var members map[string]json.RawMessage
	if err := unmarshal(body, &members); err != nil {
		return err
	}
	if _, ok := members["data"]; !ok {
		return errors.New("the member data is missing")
	}
	return nil
}

// unread is a record of a list that cannot be read.
type unread struct {
	index int    // in the list, as it was sent
	hash  uint64 // of its JSON
	err   error  // names it: data[3]
}

// unreadable returns an error that names the records; nil if there are none.
func unreadable(records []unread) error {
	switch len(records) {
	case 0:
		return nil
	case 1:
		return records[0].err
	}
	texts := make([]string, len(records))
	for i, r := range records {
		texts[i] = r.err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// decodeRecords decodes the records of a list one by one. That is slow, but it knows
// which record is wrong, and accepts members in all types that the service sends.
func decodeRecords[T any](body []byte) (list envelope[T], wrong []unread, err error) {
	decode := func(body []byte) (raw envelope[json.RawMessage], err error) {
		err = unmarshal(body, &raw)
		return raw, err
	}
	raw, err := decode(body)
	if err != nil {
		return list, nil, blame("", body, err, func(b []byte) error { _, err := decode(b); return err })
	}
	list = envelope[T]{Data: make([]T, 0, len(raw.Data)), aside: raw.aside}
	for i, value := range raw.Data {
		var record T
		if err := decodeRecord(value, &record, fmt.Sprintf("data[%d]", i)); err != nil {
			wrong = append(wrong, unread{index: i, hash: hash(value), err: err})
			continue
		}
		list.Data = append(list.Data, record)
	}
	return list, wrong, nil
}

// identified is implemented by the records of the API. One without an id cannot be
// told from others.
type identified interface {
	id() string
	// unmarshalLoosely decodes a record that is written in a rare way. It is for the few
	// pages that need it: fields of types that accept all that would slow down all pages.
	unmarshalLoosely(raw []byte) error
}

// hasDoubtful reports whether one of the records has no id, or may have been null.
func hasDoubtful[T any](records []T) bool {
	for i := range records {
		r, ok := any(&records[i]).(identified)
		if ok && r.id() == "" || !ok && reflect.ValueOf(&records[i]).Elem().IsZero() {
			return true
		}
	}
	return false
}

// decodeRecord decodes one record. name stands for it in errors.
func decodeRecord[T any](raw []byte, record *T, name string) error {
	if string(raw) == "null" {
		return fmt.Errorf("%s: null is not a record", name)
	}
	decode := func(raw []byte, v any) error {
		if r, ok := v.(identified); ok {
			return r.unmarshalLoosely(raw)
		}
		return unmarshal(raw, v)
	}
	if err := decode(raw, record); err != nil {
		return blame(name, raw, err, func(b []byte) error { return decode(b, new(T)) })
	}
	if r, ok := any(record).(identified); ok && r.id() == "" {
		return fmt.Errorf("%s.id: missing or empty", name)
	}
	return nil
}

// blame returns err with the path of the member that decode refuses. The errors of
// the standard library have it in some cases and some releases only.
func blame(path string, raw []byte, err error, decode func([]byte) error) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) == nil && decode([]byte("{}")) == nil { // so one of the members is wrong
		for _, name := range slices.Sorted(maps.Keys(members)) {
			key, _ := json.Marshal(name) // a string always encodes
			inner := func(value []byte) error {
				return decode(slices.Concat([]byte("{"), key, []byte(":"), value, []byte("}")))
			}
			if err := inner(members[name]); err != nil {
				return blame(strings.TrimPrefix(path+"."+name, "."), members[name], err, inner)
			}
		}
	}
	if path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

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

// looseMeta is a ResourceMeta whose members may have any form. Those that cannot be
// read are zero.
type looseMeta ResourceMeta

func (m *looseMeta) UnmarshalJSON(raw []byte) error {
	var meta struct {
		Timestamps json.RawMessage `json:"timestamps"`
	}
	var timestamps struct {
		CreatedAt looseTime `json:"created_at"`
		UpdatedAt looseTime `json:"updated_at"`
	}
	if json.Unmarshal(raw, &meta) == nil && json.Unmarshal(meta.Timestamps, &timestamps) == nil {
		m.Timestamps = Timestamps{CreatedAt: timestamps.CreatedAt.Time, UpdatedAt: timestamps.UpdatedAt.Time}
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
		if !isName(body[i+1:]) || isEscaped(body[start-1:i+1]) {
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
