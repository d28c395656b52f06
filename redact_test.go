package epcclogs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// marker stands in arguments and answers for what must be shown nowhere.
const marker = "hunter2-hunter2"

// textsOf returns what can be read from v: its texts in all formats, what the
// loggers write, and for errors what each of the chain holds.
func textsOf(v any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%+v\n%#v\n", v, v, v)
	if err, isError := v.(error); isError {
		fmt.Fprintf(&b, "%s\n%q\n", err, err)
	}
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}),
		slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}),
	} {
		slog.New(h).Error("it", "value", v)
	}
	if encoded, err := json.Marshal(v); err == nil {
		b.Write(encoded)
	}
	switch e := v.(type) {
	case *epcclogs.APIError:
		fmt.Fprintf(&b, "\n%s\n%v\n%v\n%+v\n", e.Body, e.Header, e.Errors, *e)
	case *epcclogs.DecodeError:
		fmt.Fprintf(&b, "\n%s\n%v\n%v\n%+v\n", e.Body, e.ContentType, e.Err, *e)
	}
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			b.WriteString(textsOf(inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			b.WriteString(textsOf(inner))
		}
	}
	return b.String()
}

// showsNot fails when v shows one of the secrets, plainly or as in a form.
func showsNot(t *testing.T, v any, secrets ...string) {
	t.Helper()
	texts := textsOf(v)
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret)} {
			if at := strings.Index(texts, form); at >= 0 {
				assert.Failf(t, "a secret is shown", "...%s...", texts[max(0, at-150):at+len(form)])
				return
			}
		}
	}
}

// logTo writes all that is logged as JSON.
func logTo(w io.Writer) epcclogs.Option {
	return epcclogs.WithLogger(slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func TestClientShowsNoSecret(t *testing.T) {
	s := wire.Steps(wire.OK(`{"access_token":"` + marker + `","data":[]}`))
	for name, opt := range map[string]epcclogs.Option{
		"WithToken":             epcclogs.WithToken(marker),
		"WithTokenFunc":         epcclogs.WithTokenFunc(func(context.Context) (string, error) { return marker, nil }),
		"WithClientCredentials": withSecret,
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, s, opt, epcclogs.WithLogger(slog.New(slog.DiscardHandler)))
			showsNot(t, opt, marker, secret)
			for range 2 { // before and after the token is there
				for _, v := range []any{c, *c, struct{ Client *epcclogs.Client }{c}, []any{*c, c, c.StoreLogs(nil), *c.StoreLogs(nil)}} {
					showsNot(t, v, marker, secret)
				}
				// With a verb that does not fit, fmt prints what pointers point to.
				for _, format := range []string{"%s", "%q", "%d", "%x", "%t"} {
					shown := fmt.Sprintf(format+format, c, *c)
					for _, secret := range []string{marker, secret} {
						assert.NotContains(t, shown, secret, format)
						assert.NotContains(t, shown, fmt.Sprintf("%x", secret), format)
					}
				}
				require.NoError(t, call(t.Context(), c))
			}
		})
	}
}

// echo answers with what the request held, in body and headers, as debugging
// pages do; body has a %s for it.
func echo(status int, body string) wire.Step {
	return func(r *http.Request) (*http.Response, error) {
		form, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		values, err := url.ParseQuery(string(form))
		if err != nil {
			return nil, err
		}
		seen := strings.TrimSpace(r.Header.Get("Authorization") + " " + values.Get("client_secret") + " " + string(form))
		return wire.Reply(status, strings.ReplaceAll(body, "%s", seen),
			"X-Request", "it was "+seen, "WWW-Authenticate", `Bearer error="`+seen+`"`, "Retry-After", "0",
			"Content-Type", "application/json; was="+seen)(r)
	}
}

// Nothing that a server sends back shows the secrets, in errors and logs, be it as the
// form has them or not.
func TestEchoedSecretsAreHidden(t *testing.T) {
	const (
		bearer = "0123456789abcdef-0123456789abcdef-0123456789" // as long as real ones
		secret = "client/secret+with=escapes"                   // sent in another form
	)
	start := bearer[:16] // an excerpt is as good as none
	bodies := map[string]string{
		"error body":    `{"errors":[{"title":"%s","detail":"you sent %s","request_id":"%s"},{"title":"%s"}]}`,
		"text":          "you sent %s",
		"HTML":          "<pre>Authorization: %s</pre>",
		"no data":       `{"you":"%s"}`,
		"a string":      `"%s"`,
		"not JSON":      `%s`,
		"cut":           `{"data":["%s`,
		"wrong record":  `{"data":["%s"]}`,
		"member":        `{"data":[{"id":1,"name":"%s"}]}`,
		"member's name": `{"data":[{"meta":{"timestamps":{"%s":1}},"id":{"%s":1}}]}`,
		"time":          `{"data":[{"id":"1","meta":{"timestamps":{"created_at":"%s"}}}]}`,
		"number":        `{"data":[{"id":"1","attempt":"%s"}]}`,
		"status":        `{"data":[{"id":"1","status_code":"%s"}],"meta":{"page":"%s"}}`,
		"paging":        `{"data":[],"meta":{"limit":"%s"}}`,
	}
	for name, body := range bodies {
		for _, status := range []int{200, 302, 400, 401, 403, 404, 500} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				echo := wire.Always(echo(status, body))
				for _, side := range []string{"API", "token endpoint"} {
					token, list := echo, echo
					if side == "API" {
						token = wire.Always(wire.OK(`{"access_token":"` + bearer + `"}`))
					}
					var logged bytes.Buffer
					c := clientOf(t, wire.NewAPI(token, list), epcclogs.WithClientCredentials(clientID, secret), logTo(&logged),
						epcclogs.WithOnAttempt(func(_ context.Context, a epcclogs.Attempt) {
							showsNot(t, a, secret[:16], start)
							showsNot(t, a.Err, secret[:16], start)
						}))
					showsNot(t, errorOf(c.ListIntegrationLogs(t.Context(), integration, nil)), secret[:16], start)
					showsNot(t, errorOf(c.GetIntegration(t.Context(), integration)), secret[:16], start)
					showsNot(t, logged.String(), secret[:16], start)
				}
			})
		}
	}
}

// A token is also hidden with its slashes escaped, as some servers write JSON.
func TestEchoedTokenWithEscapesIsHidden(t *testing.T) {
	err := call(t.Context(), clientOf(t, wire.Step(func(r *http.Request) (*http.Response, error) {
		seen := strings.ReplaceAll(r.Header.Get("Authorization"), "/", `\/`)
		return wire.Reply(400, `{"errors":[{"title":"you sent `+seen+`"}]}`)(r)
	}), epcclogs.WithToken("abc/def+ghi/jklmnop=")))
	apiErr := as[*epcclogs.APIError](t, err)
	assert.JSONEq(t, `{"errors":[{"title":"you sent Bearer [hidden]"}]}`, string(apiErr.Body))
	assert.Equal(t, "you sent Bearer [hidden]", apiErr.Errors[0].Title)
}

// What is kept of a body ends somewhere, and that must not uncover a token.
func TestEchoedTokenAtTheEndOfWhatIsKept(t *testing.T) {
	const kept = 64 << 10
	token := strings.Repeat("+"+marker, 4)
	for _, shown := range []string{token, url.QueryEscape(token)} {
		for _, before := range []string{"", token, strings.Repeat(token, 8)} { // where it is hidden, more of the body is shown
			for _, at := range []int{kept - 1, kept + 1, kept + len(shown)/2, kept + 3*len(token) - 20} {
				body := before + strings.Repeat(" ", at-len(before)) + shown + "..."
				decodeErr := as[*epcclogs.DecodeError](t, call(t.Context(), clientOf(t, wire.OK(body), epcclogs.WithToken(token))))
				require.NotContains(t, string(decodeErr.Body), shown[:16], at)
				apiErr := as[*epcclogs.APIError](t, call(t.Context(), clientOf(t, wire.Reply(404, body), epcclogs.WithToken(token))))
				require.NotContains(t, string(apiErr.Body), shown[:16], at)
			}
		}
	}
}

// A server that does not speak HTTP, such as one that echoes what it receives.
func TestEchoInPlaceOfHTTPIsHidden(t *testing.T) {
	for name, format := range map[string]string{
		"status line": "%s\r\n\r\n",
		"header":      "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := wire.Say(t, fmt.Sprintf(format, "Bearer "+marker))
			var logged bytes.Buffer
			err := call(t.Context(), newClient(t, "http://"+addr, epcclogs.WithToken(marker), logTo(&logged)))
			require.Error(t, err)
			showsNot(t, err, marker)
			showsNot(t, logged.String(), marker)
		})
	}
}
