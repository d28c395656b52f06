package epcclogs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// errListed is the error of a body that lists errors, although its status is 200.
var errListed = errors.New("the body lists errors")

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

// hash returns the first bytes of a SHA-256 sum. It is the same in all releases.
func hash(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}
