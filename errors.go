package epcclogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Errors to test for with [errors.Is]. The first five match an [*APIError] by its
// HTTP status. A 404 of the token endpoint is not an [ErrNotFound]: it means that
// the base URL is wrong.
var (
	ErrUnauthorized = errors.New("unauthorized") // 401
	ErrForbidden    = errors.New("forbidden")    // 403
	ErrNotFound     = errors.New("not found")    // 404
	ErrRateLimited  = errors.New("rate limited") // 429
	ErrServer       = errors.New("server error") // any 5xx

	// ErrInvalidArgument means that an argument was refused before anything was sent.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrPagination means that a [Pager] stops, because it might lose or repeat records.
	// Either the list moves faster than it can be read, or the server's paging
	// contradicts itself. The pager keeps its place: another loop tries again.
	ErrPagination = errors.New("paging cannot be followed")
	// ErrResponseTooLarge means that a response was longer than
	// [WithMaxResponseSize] allows.
	ErrResponseTooLarge = errors.New("response too large")
)

// maxErrorBody is how much of a body is kept in an error.
const maxErrorBody = 64 << 10

// APIError is a response with any status but 200. It matches [ErrNotFound] and the
// like by its status, for errors.Is.
//
// It is also a response with status 200 whose body lists errors, alone or beside
// data. It matches none of these then, whatever status the body names, and is not
// retried: only the HTTP status tells that a failure is temporary. What came beside
// the errors may be a part of the data and is not returned; see Body.
//
// It is also the error of a call that sends nothing, because an earlier 429 pauses
// the client for longer than the call can wait (see [RetryPolicy]). Then StatusCode
// is 429, Attempts is 0, RetryAfter is what is left of the pause, and Errors, Header
// and Body are empty.
type APIError struct {
	// StatusCode is the HTTP status. The body may name another one; see Errors.
	StatusCode int
	Method     string
	URL        string // without credentials
	// Errors is what the API says about the error. It is empty if the body is not the
	// documented JSON, such as the HTML page of a gateway. An OAuth error becomes an
	// element too: its error is the Title, its error_description the Detail. [errors.As]
	// finds the first element.
	Errors []ErrorBody
	Header http.Header
	// Body is what was received, at most 64 KiB, without the bearer token that was
	// sent. It is empty for the token endpoint.
	Body []byte
	// RetryAfter is the wait that the server asked for; 0 if it named none.
	RetryAfter time.Duration
	// Attempts is how many requests the call has sent; 0 if an earlier 429 prevented
	// it.
	Attempts int

	forToken bool // the request asked for a token
}

// Error tells the request, the status, what the server says about it, and what to
// do if that is known.
func (e *APIError) Error() string { return errorText(e) }

func (e *APIError) parts() (name, text string) {
	var b strings.Builder
	fmt.Fprint(&b, e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		b.WriteString(" " + text)
	}
	if text := e.message(); text != "" {
		fmt.Fprintf(&b, ": %.500s", text)
	}
	if len(e.Errors) > 0 && e.Errors[0].RequestID != "" {
		fmt.Fprintf(&b, " (request id %.100s)", e.Errors[0].RequestID)
	}
	if more := len(e.Errors) - 1; more > 0 {
		fmt.Fprintf(&b, " (and %d more)", more)
	}
	if e.StatusCode == http.StatusTooManyRequests && e.Attempts == 0 && e.RetryAfter > 0 {
		fmt.Fprintf(&b, ": nothing was sent, because an earlier 429 pauses the client for another %v",
			e.RetryAfter.Round(time.Millisecond))
	}
	b.WriteString(afterAttempts(e.Attempts))
	if advice := e.advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	return requestName(e.Method, e.URL), b.String()
}

// message returns what the first error of the body says beyond the status.
func (e *APIError) message() string {
	if len(e.Errors) == 0 {
		return ""
	}
	first := e.Errors[0]
	if strings.EqualFold(first.Title, http.StatusText(e.StatusCode)) {
		first.Title = ""
	}
	if first.Title == "" && first.Detail == "" {
		return ""
	}
	return strings.TrimSuffix(first.Error(), ".")
}

// refuses reports whether the API may have refused the request for its offset. The documents do
// not say which status it answers then.
func (e *APIError) refuses() bool {
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return false
	}
	return !e.forToken && e.StatusCode >= 400 && e.StatusCode <= 499 && !isTemporary(e.StatusCode)
}

// advice returns what to do about the response, as far as the client knows it.
func (e *APIError) advice() string {
	switch {
	case e.StatusCode == http.StatusOK:
		return "the body lists errors although the status is 200"
	case e.StatusCode >= 300 && e.StatusCode <= 399:
		return "redirects are not followed, check the base URL"
	case e.forToken && (e.StatusCode == http.StatusNotFound || e.StatusCode == http.StatusMethodNotAllowed):
		return "no tokens are issued there, check the base URL"
	case e.forToken && e.StatusCode >= 400 && e.StatusCode <= 403:
		return "check the client id, the client secret and the base URL"
	case e.StatusCode == http.StatusUnauthorized:
		return "check the credentials"
	case e.StatusCode == http.StatusForbidden:
		return "check what the credentials allow"
	case e.StatusCode == http.StatusNotFound:
		return "check the ids and the base URL"
	case e.Attempts > 0 && e.RetryAfter > 0:
		return fmt.Sprintf("the server asks to wait %v", e.RetryAfter)
	}
	return ""
}

// Is reports whether target is the sentinel error of the status.
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		// A token endpoint that is not there is a wrong base URL, not a missing resource.
		return e.StatusCode == http.StatusNotFound && !e.forToken
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests
	case ErrServer:
		return e.StatusCode >= 500 && e.StatusCode <= 599
	}
	return false
}

// Unwrap returns each element of Errors, as an [*ErrorBody].
func (e *APIError) Unwrap() []error {
	errs := make([]error, len(e.Errors))
	for i := range e.Errors {
		errs[i] = &e.Errors[i]
	}
	return errs
}

// LogValue returns the text of the error, which slog also shows of an error that
// wraps it.
func (e *APIError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// ErrorBody is one of the errors that the body of a response lists.
type ErrorBody struct {
	// Status is 0 if not sent. It may differ from the HTTP status, which is
	// [APIError.StatusCode].
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"` // optional
	// RequestID lets the vendor's support find the request. It is often missing; it was
	// seen with status 500.
	RequestID string `json:"request_id,omitempty"`
}

// Error returns title and detail.
func (b *ErrorBody) Error() string {
	switch {
	case b.Title == "" && b.Detail == "":
		return "error without a title"
	case b.Detail == "":
		return b.Title
	case b.Title == "":
		return b.Detail
	}
	return b.Title + ": " + b.Detail
}

// parseErrors decodes what it can of the body of an error response: the API's list, or
// the single error of OAuth (RFC 6749). Elements that are not objects are left out, and
// members of the wrong type are empty: half a message is better than none.
func parseErrors(body []byte) []ErrorBody {
	body = exactNames(bytes.TrimPrefix(body, byteOrderMark))
	var list struct {
		Errors []json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &list) != nil {
		return nil
	}
	var errs []ErrorBody
	if e := parseOAuthError(body); e != (ErrorBody{}) {
		errs = append(errs, e)
	}
	for _, raw := range list.Errors {
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil || members == nil {
			continue
		}
		var e ErrorBody
		var status any
		for name, value := range map[string]any{"title": &e.Title, "detail": &e.Detail, "request_id": &e.RequestID, "status": &status} {
			_ = json.Unmarshal(members[name], value) // value stays empty if it cannot be decoded
		}
		switch status := status.(type) {
		case float64:
			if status == math.Trunc(status) && math.Abs(status) < 1<<31 {
				e.Status = int(status)
			}
		case string: // as other services of the vendor write it
			if n, err := strconv.Atoi(status); err == nil {
				e.Status = n
			}
		}
		errs = append(errs, e)
	}
	return errs
}

// parseOAuthError returns an empty ErrorBody if body is no error of OAuth.
func parseOAuthError(body []byte) (e ErrorBody) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil {
		_ = json.Unmarshal(members["error"], &e.Title)
		_ = json.Unmarshal(members["error_description"], &e.Detail)
	}
	return e
}

// DecodeError is a response with status 200 that is not the documented JSON. It is
// not retried, unless the response is empty or ends early. If it is the beginning of
// the documented JSON, it matches [io.ErrUnexpectedEOF], as every response that ends early.
//
// If only some records of a page cannot be read, Err names them, and the methods with
// List in their names return the page of the others together with the error. A record
// cannot be read if it is no object, has no id, or if a member has the wrong type.
// Members that only inform are no reason: Meta, Results, Links and times that cannot
// be read are zero.
type DecodeError struct {
	Method      string
	URL         string // without credentials
	ContentType string
	// Body is what was received, at most 64 KiB; empty for the token endpoint.
	Body []byte
	// Err says what is wrong, and in which record and member.
	Err error
	// Attempts is how many requests the call has sent.
	Attempts int
}

// Error tells the request and what is wrong with its response. It does not show
// the body.
func (e *DecodeError) Error() string { return errorText(e) }

func (e *DecodeError) parts() (name, text string) {
	problem := "is not the documented JSON"
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		problem = "ended early"
	}
	return requestName(e.Method, e.URL),
		fmt.Sprintf("the response %s: %.500v (Content-Type %.100q)%s", problem, e.Err, e.ContentType, afterAttempts(e.Attempts))
}

// isHTML reports whether the response is a page for people.
func (e *DecodeError) isHTML() bool {
	return strings.HasPrefix(e.ContentType, "text/html") || bytes.HasPrefix(bytes.TrimSpace(e.Body), []byte("<"))
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// afterAttempts is how texts tell the number of attempts.
func afterAttempts(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" (after %d attempts)", n)
}

// timeoutError is a net.Error for the time-out of an attempt. It does not match
// context.DeadlineExceeded, which is that of the whole call.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// requestError is an error of one request or more.
type requestError struct {
	name string // of the request; empty where it becomes a part of another requestError
	text string
	errs []error
}

// fail returns a requestError. Its text is format, with the texts of errs.
func fail(name, format string, errs ...error) error {
	texts := make([]any, len(errs))
	for i, err := range errs {
		texts[i] = textWithin(name, err)
	}
	return &requestError{name, fmt.Sprintf(format, texts...), errs}
}

func (e *requestError) Error() string              { return errorText(e) }
func (e *requestError) Unwrap() []error            { return e.errs }
func (e *requestError) parts() (name, text string) { return e.name, e.text }

// named is an error whose text begins with the name of a request.
type named interface {
	parts() (name, text string)
}

// errorText returns the whole text of an error.
func errorText(e named) string {
	name, text := e.parts()
	if name == "" {
		return text
	}
	return name + ": " + text
}

// textWithin returns the text of err within an error of the request with that name.
func textWithin(name string, err error) string {
	n, ok := err.(named) // not As: what wraps it has a text of its own
	if !ok {
		return err.Error()
	}
	switch own, text := n.parts(); own {
	case name, "":
		return text
	default:
		return strings.TrimPrefix(own, "epcclogs: ") + ": " + text
	}
}

// requestName is how the texts of all errors that belong to a request begin.
func requestName(method, url string) string {
	return "epcclogs: " + method + " " + readable.Replace(url)
}

// readable shows the brackets of a query: page[limit]=100&page[offset]=200.
var readable = strings.NewReplacer("%5B", "[", "%5D", "]")

// invalid is an error that matches ErrInvalidArgument.
func invalid(format string, args ...any) error {
	return fmt.Errorf("epcclogs: %w: %s", ErrInvalidArgument, fmt.Sprintf(format, args...))
}

// isTemporary reports whether a request that met status may succeed later.
func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= 500 && status <= 599
}
