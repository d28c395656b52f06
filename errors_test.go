package epcclogs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

const logsURL = "https://api.example.com/v2/integrations/" + integration + "/logs"

// fail asks for logs, and returns the error that the answers end in.
func fail(t *testing.T, steps ...wire.Step) (*wire.Script, error) {
	t.Helper()
	s := wire.Steps(steps...)
	page, err := clientOf(t, s).ListIntegrationLogs(t.Context(), integration, nil)
	require.Error(t, err)
	assert.Nil(t, page)
	return s, err
}

// as returns the error of that type in the chain of err.
func as[E error](t testing.TB, err error) (e E) {
	t.Helper()
	require.ErrorAs(t, err, &e)
	return e
}

func TestNotFound(t *testing.T) {
	raw := wire.Fixture(t, "error_404.json")
	s, err := fail(t, wire.Reply(404, raw, "X-Trace", "7"))
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	apiErr := as[*epcclogs.APIError](t, err)
	assert.Equal(t, http.StatusNotFound, apiErr.StatusCode)
	assert.Equal(t, "GET", apiErr.Method)
	assert.Equal(t, logsURL, apiErr.URL)
	assert.Equal(t, raw, string(apiErr.Body))
	assert.Equal(t, "7", apiErr.Header.Get("X-Trace"))
	assert.Equal(t, 1, apiErr.Attempts)
	assert.Zero(t, apiErr.RetryAfter)
	assert.Equal(t, []epcclogs.ErrorBody{{Status: 404, Title: "Not Found", Detail: "The resource could not be found"}}, apiErr.Errors)
	body := as[*epcclogs.ErrorBody](t, err)
	assert.Equal(t, "Not Found: The resource could not be found", body.Error())
	assert.Equal(t, "epcclogs: GET "+apiErr.URL+": 404 Not Found: The resource could not be found; check the ids and the base URL", err.Error())
	assert.Len(t, s.Sent(), 1)
}

// The example of the schema has "status": 500 in a response that is a 404.
func TestStatusOfHTTPDecides(t *testing.T) {
	s, err := fail(t, wire.Reply(404, wire.Fixture(t, "error_404_schema.json")))
	require.ErrorIs(t, err, epcclogs.ErrNotFound)
	require.NotErrorIs(t, err, epcclogs.ErrServer)
	body := as[*epcclogs.ErrorBody](t, err)
	assert.Equal(t, 500, body.Status)
	assert.Equal(t, "An internal error has occurred.", body.Detail)
	assert.Len(t, s.Sent(), 1, "not retried, as a 500 would be")
}

func TestSentinels(t *testing.T) {
	for status, want := range map[int]error{
		302: nil, 401: epcclogs.ErrUnauthorized, 403: epcclogs.ErrForbidden, 404: epcclogs.ErrNotFound, 418: nil,
		429: epcclogs.ErrRateLimited, 500: epcclogs.ErrServer, 501: epcclogs.ErrServer, 503: epcclogs.ErrServer, 599: epcclogs.ErrServer,
	} {
		_, err := fail(t, wire.Reply(status, ""))
		for _, sentinel := range []error{
			epcclogs.ErrUnauthorized, epcclogs.ErrForbidden, epcclogs.ErrNotFound, epcclogs.ErrRateLimited, epcclogs.ErrServer,
			epcclogs.ErrInvalidArgument, epcclogs.ErrPagination, epcclogs.ErrResponseTooLarge,
		} {
			require.Equal(t, errors.Is(sentinel, want), errors.Is(err, sentinel), "%d, %v", status, sentinel)
		}
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
		{"html", wire.Fixture(t, "gateway_502.html"), nil},
		{"as documented", wire.Fixture(t, "error_500.json"), []epcclogs.ErrorBody{{Status: 500, Title: "Internal Server Error"}}},
		{"empty", "", nil},
		{"cut", `{"errors":[{"title":"Not`, nil},
		{"array", `[1]`, nil},
		{"errors an object", `{"errors":{"title":"x"}}`, nil},
		{"string status", wire.Fixture(t, "error_string_status.json"), []epcclogs.ErrorBody{{
			Status: 401, Title: "Unauthorized", Detail: "The client credentials are not valid", RequestID: "00000000-0000-4000-8000-000000000401",
		}}},
		{
			"OAuth", `{"error":"invalid_token","error_description":"The token has expired"}`,
			[]epcclogs.ErrorBody{{Title: "invalid_token", Detail: "The token has expired"}},
		},
		{"OAuth, code alone", `{"error":"invalid_token"}`, []epcclogs.ErrorBody{{Title: "invalid_token"}}},
		{"error an object", `{"error":{"message":"x"}}`, nil},
		{
			"odd elements", `{"errors":[null,5,{"title":7,"status":"x","detail":"d"},{"title":"t","source":{},"code":3}]}`,
			[]epcclogs.ErrorBody{{Detail: "d"}, {Title: "t"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fail(t, wire.Reply(502, tt.body))
			require.ErrorIs(t, err, epcclogs.ErrServer)
			apiErr := as[*epcclogs.APIError](t, err)
			assert.Equal(t, tt.body, string(apiErr.Body))
			assert.Equal(t, tt.want, apiErr.Errors)
			var body *epcclogs.ErrorBody
			assert.Equal(t, len(tt.want) > 0, errors.As(err, &body))
			assert.NotContains(t, err.Error(), "<html>")
		})
	}
}

// The text has the first error of the body, and, where the client knows it, what to do.
func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{404, "", "404 Not Found; check the ids and the base URL"},
		{401, "", "401 Unauthorized; check the credentials"},
		{302, "", "302 Found; redirects are not followed, check the base URL"},
		{503, "", "503 Service Unavailable (after 3 attempts); the server asks to wait 1ms"},
		{418, `{"errors":[{"detail":"only detail"},{"title":"b"},{}]}`, "418 I'm a teapot: only detail (and 2 more); the server asks to wait 1ms"},
		{401, `{"errors":[{"title":"unauthorized","detail":"No token."}]}`, "401 Unauthorized: No token; check the credentials"},
		{403, `{"errors":[{"title":"Forbidden"}]}`, "403 Forbidden; check what the credentials allow"},
		{499, `{"errors":[{}]}`, "499; the server asks to wait 1ms"},
	} {
		_, err := fail(t, wire.Reply(tt.status, tt.body, "Retry-After", "0.001"))
		require.EqualError(t, err, "epcclogs: GET "+logsURL+": "+tt.want)
	}
	assert.Equal(t, "error without a title", new(epcclogs.ErrorBody).Error())
}

// Errors keep a copy of 64 KiB of the body, and no more; their text stays short.
func TestErrorBodyIsBounded(t *testing.T) {
	const kept = 64 << 10
	for _, size := range []int{1000, kept - 1, kept, kept + 1, 1 << 20} {
		long := strings.Repeat("x", size)
		c := clientOf(t, wire.Steps(wire.Reply(404, long), wire.OK(long), wire.Reply(404, strings.Repeat("y", size))))
		apiErr, decodeErr := as[*epcclogs.APIError](t, call(t.Context(), c)), as[*epcclogs.DecodeError](t, call(t.Context(), c))
		require.Error(t, call(t.Context(), c), "the buffer behind a body serves the next response")
		assert.Equal(t, long[:min(size, kept)], string(apiErr.Body))
		assert.Equal(t, long[:min(size, kept)], string(decodeErr.Body))
	}
	long := strings.Repeat("y", 60<<10)
	_, err := fail(t, wire.Reply(404, `{"errors":[{"title":"`+long+`"}]}`))
	assert.Less(t, len(err.Error()), 2000)
	_, _, err = read(t, wire.Page(slices.Repeat([]string{"null"}, 5000)...))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 2000)
}

// In a log an error looks alike, whether it is wrapped or not.
func TestLogValue(t *testing.T) {
	_, err := fail(t, wire.Reply(503, `{"errors":[{"title":"T","detail":"D","request_id":"R"}]}`, "Retry-After", "0.001"))
	for _, h := range []func(io.Writer) slog.Handler{
		func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			var out bytes.Buffer
			slog.New(h(&out)).Error("failed", "error", err)
			assert.Contains(t, out.String(), "epcclogs: GET "+logsURL+": 503 Service Unavailable: T: D (request id R) (after 3 attempts); the server asks to wait 1ms\"")
			assert.NotContains(t, out.String(), "Date", "headers stay out")
		}
	}
}

// FuzzErrors reads the bodies of errors; whatever comes, the error can be printed.
func FuzzErrors(f *testing.F) {
	wire.Seeds(f, "error_*.json", "gateway_*.html", "logs_bare.json")
	for _, seed := range []string{
		``, `null`, `{"errors":null}`, `{"errors":{}}`, `{"errors":[null,1,"x",[],{}]}`, `{"errors":[{"title":7,"status":1e300}]}`,
		`{"errors":[{"title":"%s%d","detail":"%!","status":"-0"}]}`, `{"errors":[{"status":"99999999999999999999"}]}`,
		`{"error":"invalid_client","error_description":"Unknown client"}`, `{"error":{"message":"x"},"error_description":7}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := fail(t, wire.Reply(500, string(body)))
		require.ErrorIs(t, err, epcclogs.ErrServer)
		apiErr := as[*epcclogs.APIError](t, err)
		var members map[string]json.RawMessage
		var code, description string
		var all []json.RawMessage
		_ = json.Unmarshal(body, &members)
		for name, to := range map[string]any{"error": &code, "error_description": &description, "errors": &all} {
			_ = json.Unmarshal(members[name], to)
		}
		objects := min(1, len(code+description)) + len(slices.DeleteFunc(all, func(e json.RawMessage) bool { return e[0] != '{' }))
		require.Len(t, apiErr.Errors, objects)
		require.Len(t, apiErr.Unwrap(), objects)
		require.Equal(t, string(body[:min(len(body), 64<<10)]), string(apiErr.Body))
		require.True(t, strings.HasPrefix(err.Error(), "epcclogs: GET "+logsURL+": 500 Internal Server Error"), err)
		require.Less(t, len(err.Error()), 3000)
		for _, b := range apiErr.Errors {
			require.NotEmpty(t, b.Error())
		}
		require.NotEmpty(t, apiErr.LogValue().String())
	})
}
