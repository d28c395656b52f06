package epcclogs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// request is what a call asks for, however often it is sent.
type request struct {
	*retryablehttp.Request

	forToken bool                                    // it asks for a token, and is sent without one
	read     func(h http.Header, body []byte) error  // decodes a response with status 200
	hidden   redaction                               // what errors must not show
	onRetry  func(failure error, wait time.Duration) // called before each retry
}

// newRequest returns a request without credentials. A nil body means none.
func newRequest(ctx context.Context, method, url string, body any) (r request, err error) {
	if ctx == nil {
		return r, invalid("the context is nil")
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return r, fmt.Errorf("epcclogs: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Cache-Control", "no-cache") // a cache on the way would hide new records
	return request{Request: req, onRetry: func(error, time.Duration) {}}, nil
}

// fail returns an error with the name of the request. Its text is format, with the
// texts of errs.
func (r *request) fail(format string, errs ...error) error {
	return fail(requestName(r.Method, r.URL.String()), format, errs...)
}

// apiError returns the error of a response that is no 200.
func (r *request) apiError(resp *http.Response, body []byte, hidden redaction, attempts int) *APIError {
	e := &APIError{
		StatusCode: resp.StatusCode,
		Method:     r.Method,
		URL:        r.URL.String(),
		Errors:     parseErrors(body),
		Header:     resp.Header.Clone(),
		Body:       hidden.keep(body),
		Attempts:   attempts,
		forToken:   r.forToken,
	}
	e.RetryAfter, _ = retryAfter(resp.Header)
	for i := range e.Errors {
		b := &e.Errors[i]
		b.Title, b.Detail, b.RequestID = hidden.in(b.Title), hidden.in(b.Detail), hidden.in(b.RequestID)
	}
	for _, values := range e.Header {
		for i := range values {
			values[i] = hidden.in(values[i])
		}
	}
	return e
}

// pausedError returns the error of an attempt that would have to wait too long for
// the end of the client's pause.
func (r *request) pausedError(left time.Duration) *APIError {
	return &APIError{StatusCode: http.StatusTooManyRequests, Method: r.Method, URL: r.URL.String(), RetryAfter: left, forToken: r.forToken}
}

// decodeError returns the error of a 200 whose body cannot be read for the reason
// err.
func (r *request) decodeError(resp *http.Response, body []byte, hidden redaction, err error, attempts int) *DecodeError {
	switch {
	case len(body) == 0:
		err = errors.New("it is empty")
	case isCut(body):
		err = io.ErrUnexpectedEOF
	}
	return &DecodeError{
		Method:      r.Method,
		URL:         r.URL.String(),
		ContentType: hidden.in(resp.Header.Get("Content-Type")),
		Body:        hidden.keep(body),
		Err:         hidden.inError(err),
		Attempts:    attempts,
	}
}
