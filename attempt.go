package epcclogs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// call is one call with all its attempts. As an http.RoundTripper it makes one
// attempt whole: token, time-out, sending, reading and decoding the body. So a
// body that is cut short is a failed attempt like any other.
type call struct {
	client *Client
	method string
	url    string
	path   string           // that of url, for logs
	form   []byte           // the body of a request for a token; nil for all others
	secret string           // the client secret in form
	out    json.Unmarshaler // reads the body of a 200

	retrying func(failure error, wait time.Duration) // is told of each retry; nil for all but a request for a token

	attempts  int       // requests sent so far
	counted   int       // those of them that count against RetryPolicy.MaxAttempts
	sent      sending   // the turn of the latest of them
	started   time.Time // when that was sent
	token     string    // that it carried; empty when none
	renewed   bool      // a refused token was renewed
	succeeded bool
	header    http.Header   // of the latest response
	failure   error         // of the latest attempt that was not broken off by the caller
	refusal   *APIError     // the latest response, if it was one
	mayPass   bool          // whether another attempt may do better
	pause     time.Duration // that the response, a 429, puts on all requests
	wait      time.Duration // before it
}

// RoundTrip makes one attempt and keeps its outcome in k: what it returns tells
// go-retryablehttp only whether there was one.
func (k *call) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := k.attempts
	k.path = req.URL.Path
	mayPass, err := k.attempt(req)
	if k.attempts > sent {
		k.logAttempt(req.Context(), time.Since(k.started), err)
	}
	if err == nil {
		k.succeeded = true
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
	}
	var status *APIError
	if errors.As(err, &status) {
		k.refusal = status
	} else if errors.As(err, new(*DecodeError)) || errors.Is(err, ErrResponseTooLarge) {
		k.refusal = nil
	}
	if ended(req.Context()) == nil || status != nil {
		k.failure, k.mayPass = err, mayPass
	}
	return nil, err
}

// attempt sends the request once and reads the response. It returns whether an
// error may pass.
func (k *call) attempt(req *http.Request) (mayPass bool, err error) {
	c, ctx := k.client, req.Context()
	if err := ended(ctx); err != nil {
		return false, err
	}
	k.token, k.header, k.pause = "", nil, 0
	if k.form == nil && c.refused != nil {
		// Fetch the token before the turn comes: all that wait for it would else be
		// sent together. It is asked for again after the wait, which may be long.
		if _, err := c.token(ctx); err != nil {
			return false, k.noToken(err)
		}
	}
	if k.sent, err = c.pace.wait(ctx); err != nil {
		return false, fmt.Errorf("epcclogs: %s %s: %w", k.method, k.url, err)
	}
	if k.form == nil && c.token != nil {
		token, err := c.token(ctx)
		if err == nil && !isToken(token) {
			err = errors.New("it is empty or has characters that no token has")
		}
		if err != nil {
			return false, k.noToken(err)
		}
		k.token = token
	}

	caller := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req = req.Clone(ctx)
	if k.token != "" {
		req.Header.Set("Authorization", "Bearer "+k.token)
	}
	k.attempts++
	k.counted++
	k.started = time.Now()
	resp, err := c.roundTrip(req)
	if err == nil && resp == nil {
		err = errors.New("the transport returned neither a response nor an error")
	}
	if err != nil {
		return k.broken(caller, ctx, err)
	}
	if resp.Body == nil { // as RoundTrippers in tests return it
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	k.header = resp.Header
	if resp.StatusCode == http.StatusTooManyRequests {
		k.throttled()
	}

	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if resp.StatusCode != http.StatusOK {
		// The status decides, however much of the body arrives.
		_, _ = buf.ReadFrom(io.LimitReader(resp.Body, int64(maxErrorBody+len(k.token))))
		return mayPassLater(resp.StatusCode), k.apiError(resp, buf.Bytes())
	}
	if _, err := buf.ReadFrom(io.LimitReader(resp.Body, c.maxResponseSize+1)); err != nil {
		return k.broken(caller, ctx, err)
	}
	body := buf.Bytes()
	if int64(len(body)) > c.maxResponseSize {
		return false, fmt.Errorf("epcclogs: %s %s: %w: over %d bytes", k.method, k.url, ErrResponseTooLarge, c.maxResponseSize)
	}
	if err := k.out.UnmarshalJSON(body); err != nil {
		return isCut(body), k.decodeError(resp, body, err)
	}
	return false, nil
}

func (k *call) noToken(err error) error {
	return fmt.Errorf("epcclogs: %s %s: bearer token: %w", k.method, k.url, err)
}

// broken is the error of an attempt without a whole response. A time-out that
// is not the caller's must not look like it.
func (k *call) broken(caller, attempt context.Context, err error) (mayPass bool, _ error) {
	mayPass = !isPermanent(err)
	if ended(caller) == nil {
		switch {
		case attempt.Err() != nil:
			err = timeoutError(fmt.Sprintf("no whole response within %v", k.client.timeout))
		case errors.Is(err, context.DeadlineExceeded): // as that of a Dialer
			err = timeoutError(err.Error())
		}
	}
	return mayPass, fmt.Errorf("epcclogs: %s %s: %w", k.method, k.url, k.hideIn(err))
}

// timeoutError is a net.Error that does not match context.DeadlineExceeded.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func (k *call) apiError(resp *http.Response, body []byte) *APIError {
	e := &APIError{
		StatusCode: resp.StatusCode,
		Method:     k.method,
		URL:        k.url,
		Errors:     parseErrors(body),
		Header:     resp.Header.Clone(),
		Body:       k.keep(body),
		Attempts:   k.attempts,
	}
	e.RetryAfter, _ = retryAfter(resp.Header)
	for i := range e.Errors {
		b := &e.Errors[i]
		b.Title, b.Detail, b.RequestID = k.hide(b.Title), k.hide(b.Detail), k.hide(b.RequestID)
	}
	for _, values := range e.Header {
		for i := range values {
			values[i] = k.hide(values[i])
		}
	}
	return e
}

func (k *call) decodeError(resp *http.Response, body []byte, err error) *DecodeError {
	return &DecodeError{
		Method:      k.method,
		URL:         k.url,
		ContentType: k.hide(resp.Header.Get("Content-Type")),
		Body:        k.keep(body),
		Err:         k.hideIn(err),
	}
}

// keep returns what an error keeps of a body: nothing of an answer to a request
// for a token. A credential that straddles the cut is hidden first.
func (k *call) keep(body []byte) []byte {
	if k.form != nil {
		return nil
	}
	kept := []byte(k.hide(string(body[:min(len(body), maxErrorBody+len(k.token))])))
	return kept[:min(len(kept), maxErrorBody)]
}

// hideIn returns err, or one with its text where that shows a credential.
func (k *call) hideIn(err error) error {
	if text := k.hide(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// hide replaces the credential of the request in what a server sends back, as
// debugging pages that show the request do. Below 8 characters it cannot be told
// from ordinary text, and protects nothing.
func (k *call) hide(text string) string {
	for _, credential := range []string{k.token, k.secret} {
		if len(credential) < 8 {
			continue
		}
		for _, form := range []string{credential, url.QueryEscape(credential), strings.ReplaceAll(credential, "/", `\/`)} {
			text = strings.ReplaceAll(text, form, "[hidden]")
		}
	}
	return text
}

func (k *call) logAttempt(ctx context.Context, took time.Duration, err error) {
	l := k.client.logger
	if l == nil {
		return
	}
	outcome := slog.Int("status", http.StatusOK)
	if status := new(APIError); errors.As(err, &status) {
		outcome = slog.Int("status", status.StatusCode)
	} else if err != nil {
		outcome = slog.String("error", err.Error())
	}
	l.LogAttrs(ctx, slog.LevelDebug, "epcclogs: request",
		slog.String("method", k.method), slog.String("path", k.path), slog.Int("attempt", k.attempts),
		outcome, slog.Duration("duration", took))
}

// buffers hold the bodies while they are decoded, which copies what it keeps.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 { // a rare huge one is not kept
		buf.Reset()
		buffers.Put(buf)
	}
}
