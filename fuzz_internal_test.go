package epcclogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fuzzSeeds adds the responses in testdata whose names match one of the patterns.
func fuzzSeeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(names) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			body, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
			f.Add(body[:len(body)/2])
		}
	}
}

// FuzzPage reads a list: an error, or a page that is written and read again
// without a change and has as many records as the JSON.
func FuzzPage(f *testing.F) {
	fuzzSeeds(f, "*.json", "*.html")
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"data":null}`, `{"data":[]}`, `{"data":[null]}`, `{"data":[{}]}`, `{"data":{}}`, `{"Data":[]}`,
		`{"data":[{"id":"a","attempt":1.0,"status_code":"2e2","processing_time":"-0"}],"meta":{"page":null,"results":{"total":-1}}}`,
		`{"data":[{"meta":{"timestamps":{"created_at":"2024-02-29T23:59:60+23:59"}}}]}`,
		`{"data":[{"meta":{"timestamps":{"created_at":"0001-01-01T00:00:00+00:00"}}}],"links":{"next":""}}`,
		`{"data":[{"id":"a","attempt":1}],"data":[{"id":"b"}]}`,
		"{\"data\":[{\"id\":\"\xff\",\"body\":\"<\u2028&\"}]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzPage[IntegrationLog](t, body)
		fuzzPage[Integration](t, body)
		fuzzPage[IntegrationJob](t, body)
		var one resource[Integration]
		if err := one.UnmarshalJSON(body); err == nil && isCut(body) {
			t.Error("a resource that is cut was read")
		}
	})
}

func fuzzPage[T any](t *testing.T, body []byte) {
	var first, second Page[T]
	kept := bytes.Clone(body)
	if err := first.UnmarshalJSON(body); err != nil {
		if err.Error() == "" || first.Data != nil {
			t.Errorf("error %q with %d records", err, len(first.Data))
		}
		return
	}
	if isCut(body) || !json.Valid(body) {
		t.Error("a page that is cut or malformed was read")
	}
	var raw struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &raw); err != nil || len(raw.Data) != len(first.Data) {
		t.Errorf("%d records of %d, %v", len(first.Data), len(raw.Data), err)
	}
	written, err := json.Marshal(first)
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", first, err)
	}
	for i := range body { // which lies in a pool, and is used again
		body[i] = 'x'
	}
	if again, _ := json.Marshal(first); !bytes.Equal(written, again) {
		t.Error("the page changes with the buffer that it was read from")
	}
	copy(body, kept)
	if err := second.UnmarshalJSON(written); err != nil {
		t.Fatalf("%s cannot be read again: %v", written, err)
	}
	again, err := json.Marshal(second)
	// The zero time in a zone other than UTC is left out, but not what holds it.
	written = bytes.ReplaceAll(written, []byte(`,"meta":{"timestamps":{}}`), nil)
	if err != nil || !bytes.Equal(written, again) {
		t.Errorf("not the same\n%s\n%s\n%v", written, again, err)
	}
	// Values are the same but for time.Time, which may write one moment with two zones.
	var third Page[T]
	if err := third.UnmarshalJSON(again); err != nil || !reflect.DeepEqual(second, third) {
		t.Errorf("not the same\n%+v\n%+v\n%v", second, third, err)
	}
}

// FuzzErrors reads the bodies of errors; whatever comes, the error can be printed.
func FuzzErrors(f *testing.F) {
	fuzzSeeds(f, "error_*.json", "gateway_*.html", "logs_bare.json")
	for _, seed := range []string{
		``, `null`, `{"errors":null}`, `{"errors":{}}`, `{"errors":[null,1,"x",[],{}]}`, `{"errors":[{"title":7,"status":1e300}]}`,
		`{"errors":[{"title":"%s%d","detail":"%!","status":"-0"}]}`, `{"errors":[{"status":"99999999999999999999"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := newRequest(t.Context(), http.MethodGet, "http://127.0.0.1/v2/integrations", nil)
		if err != nil {
			t.Fatal(err)
		}
		e := r.apiError(&http.Response{StatusCode: 500}, body, redaction{}, 2)
		var raw struct {
			Errors []json.RawMessage `json:"errors"`
		}
		objects := 0
		if json.Unmarshal(body, &raw) == nil {
			for _, element := range raw.Errors {
				if element[0] == '{' {
					objects++
				}
			}
		}
		if len(e.Errors) != objects {
			t.Errorf("%d errors of %d", len(e.Errors), objects)
		}
		if text := e.Error(); !strings.HasPrefix(text, "epcclogs: GET http://127.0.0.1/v2/integrations: 500 Internal Server Error") || len(text) > 3000 {
			t.Errorf("%q", text)
		}
		if !bytes.Equal(e.Body, body) || len(e.Unwrap()) != len(e.Errors) || !errors.Is(e, ErrServer) {
			t.Errorf("%+v", e)
		}
		for _, b := range e.Errors {
			if b.Error() == "" {
				t.Errorf("%+v prints nothing", b)
			}
		}
		_ = e.LogValue().String()
	})
}

// FuzzRetryAfter reads the header: never below zero, and waited for within
// MaxWait only.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "7", "1.5", ".5", "5.", ".", "-1", "1e9", "NaN", "9223372036", "9223372037", "99999999999999999999",
		strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1", " 7 ", "soon", "5, 6",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		f.Add(seed, "Sun, 06 Nov 1994 08:49:30 GMT")
		f.Add(seed, "Mon, 01 Jan 0001 00:00:00 GMT")
		f.Add(seed, "")
	}
	policy, err := RetryPolicy{}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		d, ok := retryAfter(h)
		if d < 0 || !ok && d != 0 {
			t.Errorf("%v, %v", d, ok)
		}
		if _, err := http.ParseTime(date); err != nil {
			h.Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT") // time must not pass between the two
			d, ok = retryAfter(h)
		}
		wait, within := policy.wait(1, h)
		switch {
		case wait < time.Millisecond:
			t.Errorf("waits %v", wait)
		case !ok && (!within || wait >= policy.MinWait):
			t.Errorf("waits %v, %v without a header", wait, within)
		case ok && (within != (d <= policy.MaxWait) || wait != max(d, time.Millisecond)):
			t.Errorf("waits %v, %v for %v", wait, within, d)
		}
	})
}

// FuzzWait reckons the wait of any policy after any attempt.
func FuzzWait(f *testing.F) {
	for _, n := range []int{1, 2, 3, 62, 63, 64, 65, math.MaxInt} {
		f.Add(n, int64(time.Second), int64(math.MaxInt64))
		f.Add(n, int64(math.MaxInt64), int64(math.MaxInt64))
		f.Add(n, int64(0), int64(0))
		f.Add(n, int64(1), int64(1))
	}
	f.Fuzz(func(t *testing.T, n int, least, most int64) {
		p, err := RetryPolicy{MinWait: time.Duration(least), MaxWait: time.Duration(most)}.withDefaults()
		if err != nil || n < 1 {
			return
		}
		bound := float64(p.MinWait) * math.Pow(2, float64(n-1))
		d, within := p.wait(n, nil)
		if !within || d < time.Millisecond || d > max(p.MaxWait, time.Millisecond) || float64(d) > max(bound, float64(time.Millisecond)) {
			t.Errorf("%+v waits %v, %v after attempt %d", p, d, within, n)
		}
	})
}

// fuzzTokenErrors are all that is said about the answer of the token endpoint.
var fuzzTokenErrors = regexp.MustCompile(`^(not a JSON object|no usable access_token|expires(_in)? is (a string that is )?not a number)$`)

// fuzzMarker stands for what no error may show.
const fuzzMarker = "MARKER-not-a-real-token"

// FuzzToken reads the answers of the token endpoint. Errors show nothing of them.
func FuzzToken(f *testing.F) {
	fuzzSeeds(f, "token.json", "error_*.json")
	for _, seed := range []string{
		`{"access_token":"` + fuzzMarker + `"}`, `{"access_token":"` + fuzzMarker + `","expires_in":"` + fuzzMarker + `"}`,
		`{"access_token":"` + fuzzMarker + ` "}`, `{"access_token":["` + fuzzMarker + `"]}`, `"` + fuzzMarker + `"`, fuzzMarker,
		`{"access_token":"a","expires_in":"Inf","expires":"-Inf"}`, `{"access_token":"a","expires_in":"NaN"}`,
		`{"access_token":"a","expires_in":1e308}`, `{"access_token":"a","expires":1e308}`, `{"access_token":"a","expires_in":-1,"expires":"1"}`,
		`{"access_token":"a","expires_in":{"` + fuzzMarker + `":1}}`, `{"access_token":"a","expires_in":1e-300}`, `{"` + fuzzMarker + `":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, _, err := readToken(nil, body)
		if err != nil {
			r, failed := newRequest(t.Context(), http.MethodPost, "http://127.0.0.1/oauth/access_token", []byte("a=b"))
			if failed != nil {
				t.Fatal(failed)
			}
			resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}}
			e := r.decodeError(resp, body, redaction{secret: "s", bodies: true}, err)
			if strings.Contains(e.Error(), "MARKER") || !fuzzTokenErrors.MatchString(err.Error()) || len(e.Body) > 0 || len(e.Error()) > 200 {
				t.Errorf("%v, %q", e, e.Body)
			}
			return
		}
		if !isToken(token) || !json.Valid(body) {
			t.Errorf("token %q", token)
		}
		for _, date := range []string{"", "Sun, 06 Nov 1994 08:49:37 GMT"} {
			if _, d, err := readToken(http.Header{"Date": {date}}, body); err != nil || d < 0 || d > math.MaxInt32*time.Second {
				t.Errorf("lives for %v, %v", d, err)
			}
		}
	})
}

// fuzzWire keeps the URL of the last request.
type fuzzWire struct{ last *url.URL }

func (w *fuzzWire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.last = r.URL
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"data":[]}`))}, nil
}

// FuzzID takes ids: refused before anything is sent, or exactly one segment of
// the path each.
func FuzzID(f *testing.F) {
	for _, id := range []string{
		"", ".", "..", "a", "A-Z_09", "ff8634a8-a89e-4eac-baab-9b7b8c4f8720", "a/b", "a%2fb", "..%2f", "a?b", "a#b", "a b", "ä", "a\x00",
		"a\n", "\xff", ";", "logs", "İ", "ſ", "%", "+", "~", ":", "@", "\u202e", "a\u0301", "Ａ",
	} {
		f.Add(id, "job-1")
		f.Add("integration-1", id)
	}
	w := new(fuzzWire)
	c, err := NewClient(WithBaseURL("https://127.0.0.1/prefix"), WithHTTPClient(&http.Client{Transport: w}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, job string) {
		w.last = nil
		_, err := c.ListJobLogs(t.Context(), id, job, nil)
		if (checkID(id) == nil && checkID(job) == nil) != (err == nil) {
			t.Errorf("%v", err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalidArgument) || w.last != nil {
				t.Errorf("%v, sent to %v", err, w.last)
			}
			return
		}
		want := "https://127.0.0.1/prefix/v2/integrations/" + id + "/jobs/" + job + "/logs"
		again, err := url.Parse(w.last.String())
		if err != nil || w.last.String() != want || again.EscapedPath() != again.Path || strings.Count(again.Path, "/") != 7 ||
			again.JoinPath().String() != want || strings.ContainsAny(id+job, "./%\\ ") {
			t.Errorf("sent to %s", w.last)
		}
	})
}
