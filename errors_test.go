package epcclogs_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// fail makes one call against the answer, and returns its error.
func fail(t *testing.T, a answer, opts ...epcclogs.Option) (*script, error) {
	t.Helper()
	s := serve(t, a)
	page, err := newClient(t, s.URL, opts...).ListIntegrationLogs(t.Context(), integration, nil)
	require.Error(t, err)
	assert.Nil(t, page)
	return s, err
}

func TestNotFound(t *testing.T) {
	raw := string(fixture(t, "error_404.json"))
	s, err := fail(t, answer{status: http.StatusNotFound, body: raw, header: map[string]string{"X-Trace": "7"}})
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	for _, other := range []error{
		epcclogs.ErrUnauthorized, epcclogs.ErrForbidden, epcclogs.ErrRateLimited, epcclogs.ErrServer,
		epcclogs.ErrInvalidArgument, epcclogs.ErrPagination, epcclogs.ErrResponseTooLarge,
	} {
		require.NotErrorIs(t, err, other)
	}
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, http.StatusNotFound, apiErr.StatusCode)
	assert.Equal(t, "GET", apiErr.Method)
	assert.Equal(t, s.URL+"/v2/integrations/"+integration+"/logs", apiErr.URL)
	assert.Equal(t, raw, string(apiErr.Body))
	assert.Equal(t, "7", apiErr.Header.Get("X-Trace"))
	assert.Equal(t, 1, apiErr.Attempts)
	assert.Zero(t, apiErr.RetryAfter)
	assert.Equal(t, []epcclogs.ErrorBody{{Status: 404, Title: "Not Found", Detail: "The resource could not be found"}}, apiErr.Errors)
	var body *epcclogs.ErrorBody
	require.ErrorAs(t, err, &body)
	assert.Equal(t, "Not Found: The resource could not be found", body.Error())
	assert.Equal(t, "epcclogs: GET "+apiErr.URL+": 404 Not Found: Not Found: The resource could not be found", err.Error())
	assert.Len(t, s.sent(), 1)
}

// The example of the schema has "status": 500 in a response that is a 404.
func TestStatusOfHTTPDecides(t *testing.T) {
	s, err := fail(t, answer{status: http.StatusNotFound, body: string(fixture(t, "error_404_schema.json"))})
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	require.NotErrorIs(t, err, epcclogs.ErrServer)
	var body *epcclogs.ErrorBody
	require.ErrorAs(t, err, &body)
	assert.Equal(t, 500, body.Status)
	assert.Equal(t, "An internal error has occurred.", body.Detail)
	assert.Len(t, s.sent(), 1, "not retried, as a 500 would be")
}

func TestServerErrorAfterRetries(t *testing.T) {
	s := serve(t,
		answer{status: http.StatusInternalServerError, body: string(fixture(t, "error_500_schema.json"))},
		answer{status: http.StatusInternalServerError, body: string(fixture(t, "error_500_schema.json"))},
		answer{status: http.StatusInternalServerError, body: string(fixture(t, "error_500.json"))},
	)
	_, err := newClient(t, s.URL).ListIntegrationLogs(t.Context(), integration, nil)
	require.ErrorIs(t, err, epcclogs.ErrServer)
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, 3, apiErr.Attempts)
	assert.Equal(t, string(fixture(t, "error_500.json")), string(apiErr.Body), "the last body")
	var body *epcclogs.ErrorBody
	require.ErrorAs(t, err, &body)
	assert.Equal(t, epcclogs.ErrorBody{Status: 500, Title: "Internal Server Error"}, *body)
	assert.Equal(t, "Internal Server Error", body.Error())
	require.ErrorContains(t, err, "(after 3 attempts)")
	assert.Len(t, s.sent(), 3)
}

func TestSentinels(t *testing.T) {
	for status, want := range map[int]error{
		401: epcclogs.ErrUnauthorized, 403: epcclogs.ErrForbidden, 404: epcclogs.ErrNotFound,
		429: epcclogs.ErrRateLimited, 500: epcclogs.ErrServer, 501: epcclogs.ErrServer, 503: epcclogs.ErrServer, 599: epcclogs.ErrServer,
	} {
		_, err := fail(t, answer{status: status})
		require.ErrorIs(t, err, want)
	}
}

// Bodies that are not the documented JSON: the status still tells, and the bytes
// are kept.
func TestErrorBodiesOfAnyKind(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		want []epcclogs.ErrorBody
	}{
		{"html", string(fixture(t, "gateway_502.html")), nil},
		{"empty", "", nil},
		{"cut", `{"errors":[{"title":"Not`, nil},
		{"array", `[1]`, nil},
		{"errors an object", `{"errors":{"title":"x"}}`, nil},
		{"string status", string(fixture(t, "error_string_status.json")), []epcclogs.ErrorBody{{
			Status: 401, Title: "Unauthorized", Detail: "The client credentials are not valid", RequestID: "00000000-0000-4000-8000-000000000401",
		}}},
		{
			"odd elements", `{"errors":[null,5,{"title":7,"status":"x","detail":"d"},{"title":"t","source":{},"code":3}]}`,
			[]epcclogs.ErrorBody{{Detail: "d"}, {Title: "t"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fail(t, answer{status: http.StatusBadGateway, body: tt.body})
			require.ErrorIs(t, err, epcclogs.ErrServer)
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, tt.body, string(apiErr.Body))
			assert.Equal(t, tt.want, apiErr.Errors)
			var body *epcclogs.ErrorBody
			assert.Equal(t, len(tt.want) > 0, errors.As(err, &body))
			assert.NotContains(t, err.Error(), "<html>")
		})
	}
}

func TestErrorTexts(t *testing.T) {
	_, err := fail(t, answer{status: 418, body: `{"errors":[{"detail":"only detail"},{"title":"b"},{}]}`})
	require.ErrorContains(t, err, ": 418 I'm a teapot: only detail (and 2 more)")
	_, err = fail(t, answer{status: 499, body: `{"errors":[{}]}`})
	require.ErrorContains(t, err, ": 499: error without a title")
}

func TestErrorBodyIsBounded(t *testing.T) {
	_, err := fail(t, answer{status: http.StatusNotFound, body: strings.Repeat("x", 1<<20)})
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Len(t, apiErr.Body, 64<<10)

	_, err = fail(t, ok(strings.Repeat("x", 1<<20)))
	var decodeErr *epcclogs.DecodeError
	require.ErrorAs(t, err, &decodeErr)
	assert.Len(t, decodeErr.Body, 64<<10)

	long := strings.Repeat("y", 60<<10)
	_, err = fail(t, answer{status: http.StatusNotFound, body: `{"errors":[{"title":"` + long + `"}]}`})
	assert.Less(t, len(err.Error()), 2000, "the text stays short")
	_, err = fail(t, ok(`{"data":[{"meta":{"timestamps":{"created_at":"`+long+`"}}}]}`))
	assert.Less(t, len(err.Error()), 2000)
}

func TestAnyStatusBut200IsAnError(t *testing.T) {
	for _, status := range []int{201, 202, 204, 206, 300, 304, 400, 409} {
		s, err := fail(t, answer{status: status})
		var apiErr *epcclogs.APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, status, apiErr.StatusCode)
		assert.Len(t, s.sent(), 1)
	}
}

func TestLogValue(t *testing.T) {
	_, err := fail(t, answer{status: http.StatusNotFound, body: `{"errors":[{"title":"T","detail":"D","request_id":"R"}]}`})
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Error("failed", "error", err)
	for _, want := range []string{"error.method=GET", "error.status=404", "error.attempts=1", "error.title=T", "error.detail=D", "error.request_id=R", "error.url=http://"} {
		assert.Contains(t, out.String(), want)
	}
	assert.NotContains(t, out.String(), "Date", "headers stay out")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := serve(t, ok(bare()))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{other.URL + "/elsewhere", "/v2/integrations/logs", "::not a url::", ""} {
			s, err := fail(t, answer{status: status, header: map[string]string{"Location": location}},
				epcclogs.WithToken("not-a-real-token"),
				epcclogs.WithHTTPClient(&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}))
			var apiErr *epcclogs.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, status, apiErr.StatusCode)
			assert.Equal(t, location, apiErr.Header.Get("Location"))
			assert.Len(t, s.sent(), 1)
		}
	}
	assert.Empty(t, other.sent())
}

func TestRetryAfterIsTold(t *testing.T) {
	_, err := fail(t, answer{status: http.StatusForbidden, header: map[string]string{"Retry-After": "1.5"}})
	var apiErr *epcclogs.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, 1500*time.Millisecond, apiErr.RetryAfter)
}
