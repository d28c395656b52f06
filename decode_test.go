package epcclogs_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// read returns the page that the client makes of the body.
func read(t *testing.T, body string) (*wire.Script, *epcclogs.Page[epcclogs.IntegrationLog], error) {
	t.Helper()
	s := wire.Steps(wire.OK(body))
	page, err := clientOf(t, s).ListIntegrationLogs(t.Context(), integration, nil)
	return s, page, err
}

func TestLinksEnvelope(t *testing.T) {
	s := wire.Steps(wire.OK(wire.Fixture(t, "logs_links.json")))
	page, err := clientOf(t, s).ListIntegrationLogs(t.Context(), integration, &epcclogs.ListOptions{Limit: 1, Offset: 10})
	require.NoError(t, err)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs?page%5Blimit%5D=1&page%5Boffset%5D=10"}, s.Sent())
	assert.Nil(t, page.Meta)
	assert.Nil(t, page.Results)
	assert.Equal(t, &epcclogs.PageLinks{
		First: "/integrations/logs?page[offset]=0&page[limit]=1",
		Next:  "/integrations/logs?page[offset]=11&page[limit]=1",
		Prev:  "/integrations/logs?page[offset]=9&page[limit]=1",
	}, page.Links)
	require.Len(t, page.Data, 1)
	log := page.Data[0]
	assert.False(t, log.Succeeded)
	assert.Equal(t, 2, log.Attempt)
	assert.Equal(t, 503, log.StatusCode)
	assert.InDelta(t, 0.2314, log.ProcessingTime, 0)
	assert.Equal(t, "<h1>Service Unavailable</h1>", log.Body)
	assert.Equal(t, "integration-log", log.Type)
	assert.Equal(t, "integration-job", log.Relationships.Job.Data.Type)
	assert.Equal(t, time.Date(2026, 2, 12, 9, 41, 7, 123456789, time.UTC), log.CreatedAt())
	encoded, err := json.Marshal(page)
	require.NoError(t, err)
	assert.JSONEq(t, wire.Fixture(t, "logs_links.json"), string(encoded))
}

func TestNestedEnvelope(t *testing.T) {
	_, page, err := read(t, wire.Fixture(t, "logs_nested.json"))
	require.NoError(t, err)
	assert.Equal(t, &epcclogs.PageMeta{Limit: 25, Offset: 50, Current: 3, Total: 3}, page.Meta)
	assert.Equal(t, &epcclogs.PageResults{Total: 51}, page.Results)
	require.Len(t, page.Data, 1)
	assert.Empty(t, page.Data[0].JobID(), "null relationship")
	assert.Empty(t, page.Data[0].ErrorDetail, "null string")
}

func TestBareEnvelope(t *testing.T) {
	_, page, err := read(t, wire.Fixture(t, "logs_bare.json"))
	require.NoError(t, err)
	assert.Nil(t, page.Meta)
	assert.Nil(t, page.Results)
	assert.Nil(t, page.Links)
	require.Len(t, page.Data, 1)
	assert.Equal(t, "ok", page.Data[0].Body)
}

func TestNumbersAsStringsAndNulls(t *testing.T) {
	_, page, err := read(t, wire.Fixture(t, "logs_numeric_strings.json"))
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationLog{
		{ID: "a1", Type: "integration", Attempt: 3, ProcessingTime: 1.25, StatusCode: 503, ErrorDetail: "timeout"},
		{ID: "a2", Type: "integration"},
	}, page.Data)
}

func TestEmptyPages(t *testing.T) {
	for _, body := range []string{`{"data":[]}`, `{"data":null}`, ` {"data" : [ ] , "links":null} `, `{"data":null,"meta":{},"links":{"next":null}}`} {
		_, page, err := read(t, body)
		require.NoError(t, err, body)
		assert.Empty(t, page.Data, body)
	}
}

// Every record keeps its fields when the first of a page makes the client read it
// record by record.
func TestUnknownMembersAndEmptyRecords(t *testing.T) {
	_, page, err := read(t, `{"data":[{},{"id":"x","novel":{"a":[1]}},`+wire.Record(7)+`],"novel":true}`)
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationLog{
		{},
		{ID: "x"},
		{ID: "log-7", Type: "integration", Succeeded: true, Attempt: 1, Body: "7", StatusCode: 200},
	}, page.Data)
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"html", "<html>", "invalid character"},
		{"trailing data", `{"data":[]} x`, "after top-level value"},
		{"malformed", `{"data":[}`, "invalid character"},
		{"malformed and cut", `{"data":[}{"`, "invalid character"},
		{"more than one", `{"data":[]} {"data":[`, "after top-level value"},
		{"not UTF-8", "\xff\xfe{", "invalid character"},
		{"an array", `[]`, "array where an object should be"},
		{"null", `null`, "data is missing"},
		{"no data", `{"meta":{"limit":100},"results":{"total":3}}`, "data is missing"},
		{"errors with status 200", `{"errors":[{"title":"Not Found"}]}`, "data is missing"},
		{"data an object", `{"data":{"id":"x"}}`, "data: object where an array should be"},
		{"data a string", `{"data":"x"}`, "data: string where an array should be"},
		{"a null record", `{"data":[` + wire.Record(0) + `,null]}`, "data[1]: null"},
		{"a record of the wrong type", `{"data":[` + wire.Record(0) + `,[1]]}`, "data[1]: array where an object should be"},
		{"member of the wrong type", `{"data":[` + wire.Record(0) + `,` + wire.Record(1) + `,{"id":"x","succeeded":"yes"}]}`, "data[2].succeeded: string where a boolean should be"},
		{"id a number", `{"data":[{"id":5}]}`, "data[0].id: number where a string should be"},
		{"nested member", `{"data":[{"id":"x","relationships":{"job":{"data":{"id":7,"type":"job"}}}}]}`, "data[0].relationships.job.data.id: "},
		{"relationship an array", `{"data":[{"id":"x","relationships":[]}]}`, "data[0].relationships: array where an object should be"},
		{"time", `{"data":[{"id":"x","meta":{"timestamps":{"created_at":"yesterday"}}}]}`, "data[0].meta.timestamps.created_at: "},
		{"attempt a word", `{"data":[{"id":"x","attempt":"twice"}]}`, "data[0].attempt: "},
		{"attempt an empty string", `{"data":[{"id":"x","attempt":""}]}`, "data[0].attempt: "},
		{"attempt null in quotes", `{"data":[{"id":"x","attempt":"null"}]}`, "data[0].attempt: "},
		{"attempt a fraction", `{"data":[{"id":"x","attempt":1.5}]}`, "data[0].attempt: "},
		{"status a fraction in quotes", `{"data":[{"id":"x","attempt":"2","status_code":"1.5"}]}`, "data[0].status_code: "},
		{"status too large", `{"data":[{"id":"x","status_code":1e300}]}`, "data[0].status_code: "},
		{"processing time an array", `{"data":[{"id":"x","processing_time":[]}]}`, "data[0].processing_time: array where a number should be"},
		{"processing time not a number", `{"data":[{"id":"x","processing_time":"NaN"}]}`, "data[0].processing_time: "},
		{"meta a string", `{"data":[` + wire.Record(0) + `],"meta":"x"}`, "meta: string where an object should be"},
		{"meta member", `{"data":[` + wire.Record(0) + `],"meta":{"limit":"100"}}`, "meta.limit: string where a number should be"},
		{"nested meta member", `{"data":[],"meta":{"page":{"total":true}}}`, "meta.page.total: "},
		{"results member", `{"data":[],"results":{"total":"many"}}`, "results.total: "},
		{"links member", `{"data":[],"links":{"next":5}}`, "links.next: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, page, err := read(t, tt.body)
			assert.Nil(t, page)
			decodeErr := as[*epcclogs.DecodeError](t, err)
			require.ErrorContains(t, decodeErr.Err, tt.want)
			require.ErrorContains(t, err, tt.want)
			assert.Equal(t, "GET", decodeErr.Method)
			assert.Equal(t, logsURL, decodeErr.URL)
			assert.Equal(t, "application/json", decodeErr.ContentType)
			assert.Equal(t, tt.body, string(decodeErr.Body))
			assert.Len(t, s.Sent(), 1, "malformed JSON is not asked for again")
		})
	}
}

// seeds adds the responses in testdata whose names match one of the patterns,
// whole and cut.
func seeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", pattern))
		require.NoError(f, err)
		require.NotEmpty(f, names)
		for _, name := range names {
			body := wire.Fixture(f, filepath.Base(name))
			f.Add([]byte(body))
			f.Add([]byte(body[:len(body)/2]))
		}
	}
}

// FuzzPage reads a list: an error, or a page that is written and read again
// without a change and has as many records as the JSON.
func FuzzPage(f *testing.F) {
	seeds(f, "*.json", "*.html")
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
		roundTripPage[epcclogs.IntegrationLog](t, body)
		roundTripPage[epcclogs.Integration](t, body)
		roundTripPage[epcclogs.IntegrationJob](t, body)
		_, err := clientOf(t, wire.Steps(wire.OK(string(body)))).GetIntegration(t.Context(), integration)
		if err == nil && !json.Valid(body) {
			t.Error("a resource that is cut or malformed was read")
		}
	})
}

func roundTripPage[T any](t *testing.T, body []byte) {
	var first, second epcclogs.Page[T]
	kept := bytes.Clone(body)
	if err := first.UnmarshalJSON(body); err != nil {
		if err.Error() == "" || first.Data != nil {
			t.Errorf("error %q with %d records", err, len(first.Data))
		}
		return
	}
	if !json.Valid(body) {
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
	var third epcclogs.Page[T]
	if err := third.UnmarshalJSON(again); err != nil || !reflect.DeepEqual(second, third) {
		t.Errorf("not the same\n%+v\n%+v\n%v", second, third, err)
	}
}
