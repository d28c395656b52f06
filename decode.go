package epcclogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// envelope has the members of every form in which the API's documents show a list:
// with meta and results, with links, with both nested in meta, and with data alone.
type envelope[E any] struct {
	Data []E `json:"data"`
	Meta *struct {
		PageMeta
		Page    *PageMeta    `json:"page"`
		Results *PageResults `json:"results"`
	} `json:"meta"`
	Results *PageResults `json:"results"`
	Links   *PageLinks   `json:"links"`
}

// UnmarshalJSON decodes a list in any of the forms that the API's documents show. A
// list without the member data is an error. Errors name the record and the member
// that cannot be decoded.
func (p *Page[T]) UnmarshalJSON(body []byte) error {
	list := envelope[T]{Data: []T{}} // null makes it nil, a missing member leaves it
	err := json.Unmarshal(body, &list)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return err
	case err != nil || hasZero(list.Data):
		// It is wrong, or written in a rare way.
		if list.Data, err = decodeRecords[T](body); err != nil {
			return err
		}
	case list.Data != nil && len(list.Data) == 0:
		if err := requireData(body); err != nil {
			return err
		}
	}
	*p = Page[T]{Data: list.Data, Results: list.Results, Links: list.Links}
	if m := list.Meta; m != nil {
		p.Meta = &m.PageMeta
		if m.Page != nil {
			p.Meta = m.Page
		}
		if p.Results == nil {
			p.Results = m.Results
		}
	}
	return nil
}

// resource is the envelope of a single resource.
type resource[T any] struct{ Data T }

func (r *resource[T]) UnmarshalJSON(body []byte) error {
	var members map[string]json.RawMessage
	if err := unmarshal(body, &members); err != nil {
		return err
	}
	if err := requireData(body); err != nil {
		return err
	}
	return decodeRecord(members["data"], &r.Data, "data")
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

// hasZero reports whether one of the records is its zero value. That is what null
// leaves.
func hasZero[T any](records []T) bool {
	for i := range records {
		if reflect.ValueOf(&records[i]).Elem().IsZero() {
			return true
		}
	}
	return false
}

// decodeRecords decodes the records of a list one by one. That is slow, but it knows
// which record is wrong, and accepts members in all types that the service sends.
func decodeRecords[T any](body []byte) ([]T, error) {
	decode := func(body []byte) ([]json.RawMessage, error) {
		var list envelope[json.RawMessage]
		err := unmarshal(body, &list)
		return list.Data, err
	}
	raw, err := decode(body)
	if err != nil {
		return nil, blame("", body, err, func(b []byte) error { _, err := decode(b); return err })
	}
	records := make([]T, len(raw))
	for i := range raw {
		if err := decodeRecord(raw[i], &records[i], fmt.Sprintf("data[%d]", i)); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// looseUnmarshaler is implemented by records that accept members in more types than
// their fields have.
type looseUnmarshaler interface {
	unmarshalLoosely(raw []byte) error
}

// decodeRecord decodes one record. name stands for it in errors.
func decodeRecord[T any](raw []byte, record *T, name string) error {
	if string(raw) == "null" {
		return fmt.Errorf("%s: null is not a record", name)
	}
	decode := func(raw []byte, v any) error {
		if l, ok := v.(looseUnmarshaler); ok {
			return l.unmarshalLoosely(raw)
		}
		return unmarshal(raw, v)
	}
	if err := decode(raw, record); err != nil {
		return blame(name, raw, err, func(b []byte) error { return decode(b, new(T)) })
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
	if float64(n) != math.Trunc(float64(n)) || math.Abs(float64(n)) >= 1<<53 { // a larger one may have been rounded
		return 0, fmt.Errorf("%v is not an integer", float64(n))
	}
	return int(n), nil
}

// isCut reports whether body is the beginning of a JSON value, or empty.
func isCut(body []byte) bool {
	err := json.NewDecoder(bytes.NewReader(body)).Decode(new(json.RawMessage))
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
