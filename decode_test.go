package epcclogs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

type logPage = epcclogs.Page[epcclogs.IntegrationLog]

// read returns the page that the client makes of the body.
func read(t *testing.T, body string) (*wire.Script, *logPage, error) {
	t.Helper()
	s := wire.Steps(wire.OK(body))
	page, err := clientOf(t, s).ListIntegrationLogs(t.Context(), integration, nil)
	return s, page, err
}

func TestEmptyPages(t *testing.T) {
	for _, body := range []string{`{"data":[]}`, `{"data":null}`, ` {"data" : [ ] , "links":null} `, `{"data":null,"meta":{},"links":{"next":null}}`} {
		_, page, err := read(t, body)
		require.NoError(t, err, body)
		assert.Empty(t, page.Data, body)
	}
}

// Every record keeps its fields when one of the page makes the client read it record
// by record.
func TestUnknownMembers(t *testing.T) {
	_, page, err := read(t, `{"data":[{"id":"x","attempt":"2","novel":{"a":[1]}},`+wire.Record(7)+`],"novel":true}`)
	require.NoError(t, err)
	assert.Equal(t, []epcclogs.IntegrationLog{
		{ID: "x", Attempt: 2},
		{ID: "log-7", Type: "integration", Succeeded: true, Attempt: 1, Body: "7", StatusCode: 200},
	}, page.Data)
}

// unreadable returns the DecodeError for the body, which is not asked for again.
func unreadable(t *testing.T, s *wire.Script, body string, err error) *epcclogs.DecodeError {
	t.Helper()
	decodeErr := as[*epcclogs.DecodeError](t, err)
	assert.Equal(t, "GET", decodeErr.Method)
	assert.Equal(t, logsURL, decodeErr.URL)
	assert.Equal(t, "application/json", decodeErr.ContentType)
	assert.Equal(t, body, string(decodeErr.Body))
	assert.Len(t, s.Sent(), 1)
	return decodeErr
}

// Nothing of such a body is read.
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
		{"no data and no errors", `{"errors":[]}`, "data is missing"},
		{"data an object", `{"data":{"id":"x"}}`, "data: object where an array should be"},
		{"data a string", `{"data":"x"}`, "data: string where an array should be"},
		{"data a number, and one record", `{"data":[{"id":"x"}],"data":5}`, "data: number where an array should be"},
		{"data in another case", `{"Data":[{"id":"x"}]}`, "data is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, page, err := read(t, tt.body)
			assert.Nil(t, page)
			require.ErrorContains(t, unreadable(t, s, tt.body, err).Err, tt.want)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// A record that cannot be read does not hide the others.
func TestUnreadableRecords(t *testing.T) {
	for _, tt := range []struct{ name, record, want string }{
		{"null", `null`, ": null is not a record"},
		{"an array", `[1]`, ": array where an object should be"},
		{"a string", `"x"`, ": string where an object should be"},
		{"no id", `{}`, ".id: missing or empty"},
		{"id in another case", `{"Id":"x"}`, ".id: missing or empty"},
		{"id null", `{"id":null,"attempt":1}`, ".id: missing or empty"},
		{"id empty", `{"id":""}`, ".id: missing or empty"},
		{"id a number", `{"id":5}`, ".id: number where a string should be"},
		{"succeeded a string", `{"id":"x","succeeded":"yes"}`, ".succeeded: string where a boolean should be"},
		{"nested member", `{"id":"x","relationships":{"job":{"data":{"id":7,"type":"job"}}}}`, ".relationships.job.data.id: number where a string should be"},
		{"relationships an array", `{"id":"x","relationships":[]}`, ".relationships: array where an object should be"},
		{"attempt a word", `{"id":"x","attempt":"twice"}`, ".attempt: the string is not a number"},
		{"attempt an empty string", `{"id":"x","attempt":""}`, ".attempt: the string is not a number"},
		{"attempt null in quotes", `{"id":"x","attempt":"null"}`, ".attempt: the string is not a number"},
		{"attempt a fraction", `{"id":"x","attempt":1.5}`, ".attempt: 1.5 is not an integer"},
		{"attempt too large", `{"id":"x","attempt":10000000000000000000}`, ".attempt: 1e+19 is too large"},
		{"status a fraction in quotes", `{"id":"x","attempt":"2","status_code":"1.5"}`, ".status_code: 1.5 is not an integer"},
		{"status too large", `{"id":"x","status_code":-1e300}`, ".status_code: -1e+300 is too large"},
		{"processing time an array", `{"id":"x","processing_time":[]}`, ".processing_time: array where a number should be"},
		{"processing time not a number", `{"id":"x","processing_time":"NaN"}`, ".processing_time: the string is not a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"data":[` + wire.Record(0) + `,` + tt.record + `,` + wire.Record(2) + `],"results":{"total":3}}`
			s, page, err := read(t, body)
			require.EqualError(t, unreadable(t, s, body, err).Err, "data[1]"+tt.want)
			require.NotNil(t, page)
			assert.Equal(t, []string{"log-0", "log-2"}, ids(page.Data))
			assert.Equal(t, &epcclogs.PageResults{Total: 3}, page.Results)
			assert.Equal(t, []int{1}, page.Unread())
		})
	}

	body := `{"data":[null,` + wire.Record(1) + `,{"id":"x","attempt":true},{}]}`
	s, page, err := read(t, body)
	require.EqualError(t, unreadable(t, s, body, err).Err,
		"data[0]: null is not a record; data[2].attempt: bool where a number should be; data[3].id: missing or empty")
	assert.Equal(t, []string{"log-1"}, ids(page.Data))
	assert.Equal(t, []int{0, 2, 3}, page.Unread())

	s = wire.Steps(wire.OK(`{"data":[5,{"id":"x"}]}`))
	integrations, err := clientOf(t, s).ListIntegrations(t.Context(), nil)
	require.EqualError(t, as[*epcclogs.DecodeError](t, err).Err, "data[0]: number where an object should be")
	assert.Equal(t, []epcclogs.Integration{{ID: "x"}}, integrations.Data)
	jobs, err := clientOf(t, s).ListIntegrationJobs(t.Context(), integration, nil)
	require.EqualError(t, as[*epcclogs.DecodeError](t, err).Err, "data[0]: number where an object should be")
	assert.Equal(t, []epcclogs.IntegrationJob{{ID: "x"}}, jobs.Data)

	for body, want := range map[string]string{
		`{}`:                        "the member data is missing",
		`null`:                      "the member data is missing",
		`[]`:                        "array where an object should be",
		`{"data":null}`:             "data: null is not a record",
		`{"data":[]}`:               "data: array where an object should be",
		`{"data":{}}`:               "data.id: missing or empty",
		`{"data":{"id":5}}`:         "data.id: number where a string should be",
		`{"data":{"observes":[1]}}`: "data.observes: number where a string should be",
	} {
		one, err := clientOf(t, wire.Steps(wire.OK(body))).GetIntegration(t.Context(), integration)
		require.EqualError(t, as[*epcclogs.DecodeError](t, err).Err, want)
		assert.Nil(t, one)
	}
}

func ids(logs []epcclogs.IntegrationLog) (all []string) {
	for _, l := range logs {
		all = append(all, l.ID)
	}
	return all
}

// A number is an int, or an error, also where int has 32 bits.
func TestLargeNumbers(t *testing.T) {
	const attempt = 4294967298
	_, page, err := read(t, `{"data":[{"id":"x","attempt":4294967298}],"meta":{"total":4294967298},"results":{"total":4294967298}}`)
	require.NotNil(t, page)
	if math.MaxInt > attempt {
		require.NoError(t, err)
		large := int64(attempt)
		assert.Equal(t, []epcclogs.IntegrationLog{{ID: "x", Attempt: int(large)}}, page.Data)
		assert.Equal(t, &epcclogs.PageResults{Total: int(large)}, page.Results)
		assert.Equal(t, &epcclogs.PageMeta{Total: int(large)}, page.Meta)
		return
	}
	require.EqualError(t, as[*epcclogs.DecodeError](t, err).Err, "data[0].attempt: 4.294967298e+09 is too large")
	assert.Empty(t, page.Data)
	assert.Nil(t, page.Results, "a total of another value would end the list")
	assert.Nil(t, page.Meta)
}

func TestCreationTimes(t *testing.T) {
	at := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for sent, want := range map[string]time.Time{
		`"2026-01-02T03:04:05Z"`:      at,
		`"2026-01-02T03:04:05+0000"`:  at,
		`"2026-01-02T05:04:05+0200"`:  at,
		`"2026-01-01T19:34:05-0730"`:  at,
		`"2026-01-02t03:04:05z"`:      at,
		`"2026-01-02t03:04:05.25z"`:   at.Add(time.Second / 4),
		`"2026-01-02t03:04:05-00:00"`: at,
		`""`:                          {},
		`null`:                        {},
		`"yesterday"`:                 {},
		`"2026-01-02"`:                {},
		`"2026-01-02T03:04:05"`:       {},
		`"2026-02-30T03:04:05Z"`:      {},
		`"+0000"`:                     {},
		`1767323045`:                  {},
		`[]`:                          {},
		`{"at":1}`:                    {},
	} {
		meta := `"meta":{"timestamps":{"created_at":` + sent + `,"updated_at":"2026-01-02T03:04:05Z"}}`
		_, page, err := read(t, `{"data":[{"id":"x",`+meta+`},`+wire.Record(1)+`]}`)
		require.NoError(t, err, sent)
		require.Len(t, page.Data, 2, sent)
		assert.Truef(t, want.Equal(page.Data[0].CreatedAt()), "%s: %v", sent, page.Data[0].CreatedAt())
		assert.Equal(t, at, page.Data[0].Meta.Timestamps.UpdatedAt, sent)

		one, err := clientOf(t, wire.Steps(wire.OK(`{"data":{"id":"x","name":"n",`+meta+`}}`))).GetIntegration(t.Context(), integration)
		require.NoError(t, err, sent)
		assert.Equal(t, "n", one.Name)
		assert.Truef(t, want.Equal(one.Meta.Timestamps.CreatedAt), "%s: %v", sent, one.Meta.Timestamps.CreatedAt)
	}
}

// Members that only inform may have any form. None of them counts as "no more pages".
func TestInformativeMembers(t *testing.T) {
	for body, want := range map[string]logPage{
		`{"data":[{"id":"x","meta":[]}]}`:                                   {},
		`{"data":[{"id":"x","meta":"x"}]}`:                                  {},
		`{"data":[{"id":"x","meta":{"timestamps":[]}}]}`:                    {},
		`{"data":[{"id":"x","links":[]}]}`:                                  {},
		`{"data":[{"id":"x"}],"meta":[],"results":[],"links":[]}`:           {},
		`{"data":[{"id":"x"}],"meta":"x","results":"many","links":"/next"}`: {},
		`{"data":[{"id":"x"}],"meta":{"limit":"100","current":1,"total":1},"results":{"total":"many"},"links":{"next":5}}`: {},
		`{"data":[{"id":"x"}],"meta":{"page":[],"results":{"total":7}}}`:                                                   {Meta: &epcclogs.PageMeta{}, Results: &epcclogs.PageResults{Total: 7}},
		`{"data":[{"id":"x"}],"meta":{"page":{"total":2},"results":[]}}`:                                                   {Meta: &epcclogs.PageMeta{Total: 2}},
		`{"data":[{"id":"x"}],"meta":[],"results":{"total":7},"links":[]}`:                                                 {Results: &epcclogs.PageResults{Total: 7}},
		`{"data":[{"id":"x"}],"links":{"first":{"href":"/a","meta":{}},"next":{"href":"/b"},"prev":null}}`:                 {Links: &epcclogs.PageLinks{First: "/a", Next: "/b"}},
		`{"data":[{"id":"x"}],"links":{"first":"/a","next":{"title":"more"}}}`:                                             {},
	} {
		_, page, err := read(t, body)
		require.NoError(t, err, body)
		want.Data = []epcclogs.IntegrationLog{{ID: "x"}}
		assert.Equal(t, &want, page, body)
	}
}

func TestTextSentAsJSON(t *testing.T) {
	for sent, want := range map[string]string{
		`{"ok": true, "Items":[1, "ü"]}`: `{"ok": true, "Items":[1, "ü"]}`,
		`[]`:                             `[]`,
		`12.50`:                          `12.50`,
		`false`:                          `false`,
		`null`:                           ``,
		`"{\"ok\":true}"`:                `{"ok":true}`,
	} {
		_, page, err := read(t, `{"data":[{"id":"x","attempt":3,"body":`+sent+`,"error_detail":`+sent+`}]}`)
		require.NoError(t, err, sent)
		assert.Equal(t, []epcclogs.IntegrationLog{{ID: "x", Attempt: 3, Body: want, ErrorDetail: want}}, page.Data, sent)
	}
}

// Errors are errors, whatever the status is and whatever comes beside them.
func TestErrorsWithStatus200(t *testing.T) {
	const listed = `"errors":[{"title":"Internal Error","status":503,"detail":"shard 3 is away"},{"title":"Other","status":"99999999999999999999"}]`
	for _, body := range []string{
		`{` + listed + `}`,
		`{"data":null,` + listed + `}`,
		`{"data":[],` + listed + `,"Errors":[]}`,
		`{` + listed + `,"data":[` + wire.Record(1) + `]}`,
		`{"data":[null,{"id":"x","meta":{"timestamps":{"created_at":""}}}],` + listed + `}`,
	} {
		s, err := fail(t, wire.OK(body))
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Equal(t, 200, apiErr.StatusCode)
		assert.Equal(t, []epcclogs.ErrorBody{{Status: 503, Title: "Internal Error", Detail: "shard 3 is away"}, {Title: "Other"}}, apiErr.Errors)
		assert.Equal(t, body, string(apiErr.Body))
		require.EqualError(t, err, "epcclogs: GET "+logsURL+": 200 OK: Internal Error: shard 3 is away (and 1 more); the body lists errors although the status is 200")
		require.NotErrorIs(t, err, epcclogs.ErrServer)
		assert.Len(t, s.Sent(), 1, "only the status says what is temporary")
	}
	for _, errors := range []string{`"boom"`, `["boom"]`, `{"title":"boom"}`, `true`, `[null]`} {
		_, err := fail(t, wire.OK(`{"data":[],"errors":`+errors+`}`))
		apiErr := as[*epcclogs.APIError](t, err)
		assert.Empty(t, apiErr.Errors)
		assert.Contains(t, string(apiErr.Body), errors)
		require.ErrorContains(t, err, "the body lists errors")
	}
	for _, none := range []string{`null`, `[]`, `[ ]`, `{}`, `""`, `false`} {
		_, page, err := read(t, `{"errors":`+none+`,"data":[`+wire.Record(1)+`]}`)
		require.NoError(t, err, none)
		assert.Len(t, page.Data, 1)
	}

	s := wire.Steps(wire.OK(`{"data":{"id":"x"},"errors":[{"title":"Half of it"}]}`))
	_, err := clientOf(t, s).GetIntegration(t.Context(), integration)
	assert.Equal(t, []epcclogs.ErrorBody{{Title: "Half of it"}}, as[*epcclogs.APIError](t, err).Errors)

	s = wire.Steps(wire.OK(`{"errors":[{"title":"Bad secret example-secret"}]}`))
	err = call(t.Context(), clientOf(t, s, epcclogs.WithClientCredentials("example-id", "example-secret")))
	apiErr := as[*epcclogs.APIError](t, err)
	assert.Equal(t, []epcclogs.ErrorBody{{Title: "Bad secret [hidden]"}}, apiErr.Errors)
	assert.Equal(t, "POST", apiErr.Method)
	assert.Empty(t, apiErr.Body)
	assert.Len(t, s.Sent(), 1)
}

// A member that differs from a documented one in case is another member.
func TestExactNames(t *testing.T) {
	want := []epcclogs.IntegrationLog{{ID: "x", Attempt: 2, Body: `say "Id": now`, Relationships: epcclogs.LogRelationships{
		Job: epcclogs.Relationship{Data: epcclogs.ResourceIdentifier{ID: "j"}},
	}}}
	record := `{"id":"x","attempt":2,"body":"say \"Id\": now","relationships":{"job":{"data":{"id":"j"}}}}`
	for _, body := range []string{
		`{"data":[` + record + `],"Data":[],"DATA":null,"daTa" : 5,"dat\u0041":7}`,
		`{"Data":"x","data":[` + record + `]}`,
		`{"data":[` + record[:len(record)-1] + `,"ID":5,"Body":null,"Attempt":"x","Relationships":{},"\u0049d":""}]}`,
		`{"data":[` + strings.Replace(record, `{"id":"j"}`, `{"id":"j","Id":"k","ID" :7}`, 1) + `]}`,
		`{"data":[` + record + `],"lin` + "\u212a" + `s":{"next":"/x"},"re` + "\u017f" + `ults":{"total":5},"Meta":{"limit":1},"Errors":[{"title":"x"}]}`,
		`{"d\u0061ta":[` + strings.Replace(record, `"id":"x"`, `"\u0069d":"x"`, 1) + `]}`,
	} {
		_, page, err := read(t, body)
		require.NoError(t, err, body)
		assert.Equal(t, &logPage{Data: want}, page, body)
	}

	one, err := clientOf(t, wire.Steps(wire.OK(`{"data":{"id":"x","name":"n","Name":5,"ID":""},"Data":null}`))).GetIntegration(t.Context(), integration)
	require.NoError(t, err)
	assert.Equal(t, &epcclogs.Integration{ID: "x", Name: "n"}, one)

	_, err = fail(t, wire.Reply(404, `{"errors":[{"title":"Gone","Title":"x"}],"Errors":[]}`))
	assert.Equal(t, []epcclogs.ErrorBody{{Title: "Gone"}}, as[*epcclogs.APIError](t, err).Errors)

	s := wire.Steps(wire.OK(`{"access_token":"example-token","Access_Token":"","EXPIRES_IN":"x"}`), done)
	require.NoError(t, call(t.Context(), clientOf(t, s, epcclogs.WithClientCredentials("id", "secret"))))
	assert.Equal(t, "Bearer example-token", s.Last().Header.Get("Authorization"))
}

const bom = "\ufeff"

func TestByteOrderMark(t *testing.T) {
	_, page, err := read(t, bom+wire.Page(wire.Record(1)))
	require.NoError(t, err)
	assert.Equal(t, []string{"log-1"}, ids(page.Data))

	_, err = fail(t, wire.Reply(404, bom+`{"errors":[{"title":"Gone"}]}`))
	assert.Equal(t, []epcclogs.ErrorBody{{Title: "Gone"}}, as[*epcclogs.APIError](t, err).Errors)

	s := wire.Steps(wire.OK(bom+`{"access_token":"example-token"}`), wire.OK(bom+`{"data":{"id":"x"}}`))
	_, err = clientOf(t, s, epcclogs.WithClientCredentials("id", "secret")).GetIntegration(t.Context(), integration)
	require.NoError(t, err)

	s = wire.Steps(wire.OK(bom+`{"data":[`), done)
	require.NoError(t, call(t.Context(), clientOf(t, s)), "cut, and so asked for again")
	assert.Len(t, s.Sent(), 2)
}

// What cannot be read because of its charset or its encoding says so.
func TestForeignEncodings(t *testing.T) {
	latin := "{\"data\":[{\"id\":\"x\",\"body\":\"caf\xe9\"}]}"
	wide := "{\x00\"\x00d\x00"
	packed := wire.Gzip([]byte(wire.Page()))
	for _, tt := range []struct {
		body   string
		header []string
		want   string
	}{
		{latin, []string{"Content-Type", "application/json; charset=ISO-8859-1"}, `its charset is "ISO-8859-1", and only UTF-8 can be read`},
		{wire.Page(`{"id":"x","body":"café"}`), []string{"Content-Type", `text/plain; charset="windows-1252"`}, `its charset is "windows-1252", and only UTF-8 can be read`},
		{wide, []string{"Content-Type", "application/json; charset=utf-16"}, `its charset is "utf-16", and only UTF-8 can be read: invalid character`},
		{packed, []string{"Content-Encoding", "gzip"}, `it is compressed, and the transport has not unpacked it (Content-Encoding "gzip"): invalid character`},
		{"\x0b\x02\x80", []string{"Content-Encoding", "br"}, `(Content-Encoding "br"): invalid character`},
	} {
		s, err := fail(t, wire.OK(tt.body, tt.header...))
		require.ErrorContains(t, as[*epcclogs.DecodeError](t, err).Err, tt.want)
		require.ErrorContains(t, err, tt.want)
		assert.Len(t, s.Sent(), 1)
	}
	s := wire.Steps(wire.OK(packed, "Content-Encoding", "gzip"))
	err := call(t.Context(), clientOf(t, s, epcclogs.WithClientCredentials("id", "secret")))
	require.ErrorContains(t, err, `(Content-Encoding "gzip")`)

	// These are read.
	for _, header := range [][]string{
		{"Content-Type", "application/json; charset=UTF-8"},
		{"Content-Type", `application/json; charset="utf8"`},
		{"Content-Type", "application/json; charset"},
		{"Content-Type", ""},
		{"Content-Encoding", "gzip"}, // a transport that unpacks the body may leave the header
		{"Content-Encoding", "identity"},
	} {
		_, err := clientOf(t, wire.Steps(wire.OK(wire.Page(`{"id":"x","body":"café"}`), header...))).ListStoreLogs(t.Context(), nil)
		require.NoError(t, err, header)
	}
	plain := wire.OK(wire.Page(wire.Record(1)), "Content-Type", "application/json; charset=ISO-8859-1")
	_, err = clientOf(t, wire.Steps(plain)).ListStoreLogs(t.Context(), nil)
	require.NoError(t, err, "plain ASCII is the same in both")
}

func TestAge(t *testing.T) {
	for age, want := range map[string]time.Duration{
		"0":                    0,
		"30":                   30 * time.Second,
		"2147483647":           2147483647 * time.Second,
		"99999999999999999999": 0,
		"-5":                   0,
		"1.5":                  0,
		"soon":                 0,
	} {
		page, err := clientOf(t, wire.Steps(wire.OK(wire.Page(wire.Record(1)), "Age", age))).ListStoreLogs(t.Context(), nil)
		require.NoError(t, err)
		assert.Equal(t, want, page.Age(), age)
	}
}

// FuzzPage reads a list: an error, or a page that is written and read again
// without a change and has as many records as the JSON.
func FuzzPage(f *testing.F) {
	wire.Seeds(f, "*.json", "*.html")
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"data":null}`, `{"data":[]}`, `{"data":[null]}`, `{"data":[{}]}`, `{"data":{}}`, `{"Data":[]}`,
		`{"data":[{"id":"a","attempt":1.0,"status_code":"2e2","processing_time":"-0"}],"meta":{"page":null,"results":{"total":-1}}}`,
		`{"data":[{"meta":{"timestamps":{"created_at":"2024-02-29T23:59:60+23:59"}}}]}`,
		`{"data":[{"meta":{"timestamps":{"created_at":"0001-01-01T00:00:00+00:00"}}}],"links":{"next":""}}`,
		`{"data":[{"id":"a","attempt":1}],"data":[{"id":"b"}]}`,
		`{"data":[{"id":"a"},{"id":"b","attempt":true},null,5]}`, `{"data":[{"id":"a"}],"Data":[],"errors":[]}`, `{"data":[],"errors":[{}]}`,
		`{"data":[{"id":"a","body":{"b":1},"meta":[]}],"meta":[],"links":{"next":{"href":"/"}},"results":""}`,
		`{"data":[{"id":"a","\u0049D":5,"body":"\\\"Id\\\": x\\\\","meta":{"timestamps":{"created_at":"2026-01-02t03:04:05+0000"}}}]}`,
		"{\"data\":[{\"id\":\"\xff\",\"body\":\"<\u2028&\"}]}", "{\"data\":[{\"\t\":{}}]}", `{"data":[{"id":"a","\x":{}}]}`,
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
		if err.Error() == "" || first.Data != nil && len(first.Unread()) == 0 {
			t.Errorf("error %q with %d records", err, len(first.Data))
		}
		if len(first.Unread()) == 0 {
			return
		}
	}
	if !json.Valid(body) {
		t.Error("a page that is cut or malformed was read")
	}
	var members map[string]json.RawMessage
	var records []json.RawMessage
	err := errors.Join(json.Unmarshal(body, &members), json.Unmarshal(members["data"], &records))
	if unread := first.Unread(); err != nil || len(records) != len(first.Data)+len(unread) {
		t.Errorf("%d records and %v of %d, %v", len(first.Data), unread, len(records), err)
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
}
