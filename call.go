package epcclogs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// send makes a whole call: it sends the request, again if needed, and decodes the
// response. All requests go this way, also those for tokens. go-retryablehttp runs
// the attempts and waits in between; the call decides whether there is another one.
func (s *sender) send(r request) error {
	k := &call{sender: s, request: r}
	loop := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: k},
		RetryMax:   math.MaxInt, // again counts
		CheckRetry: k.again,
		Backoff:    k.backoff,
	}
	resp, err := loop.Do(r.Request)
	if err != nil {
		return k.outcome(r.Context(), err)
	}
	resp.Body.Close()
	return nil
}

// call is a request with all its attempts. Only again and its parts (note, renew
// and retry) change it. go-retryablehttp calls again after each attempt.
type call struct {
	sender  *sender
	request request

	attempts tally
	renewed  bool          // a refused token was renewed
	wait     time.Duration // before the next attempt
	failure  error         // of the latest attempt that did not end with the context
	response *APIError     // the latest response; nil if none came, or a 200
}

// RoundTrip makes one attempt, from the token to the decoded response. So a response
// that ends early is a failed attempt like any other. The error is a *failure.
func (k *call) RoundTrip(req *http.Request) (*http.Response, error) {
	n := tally{sent: k.attempts.sent + 1, counted: k.attempts.counted + 1}
	if f := k.sender.attempt(&k.request, req, n); f != nil {
		return nil, f
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
}

// again notes that an attempt ended with err, and decides whether there is another
// one.
func (k *call) again(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if err == nil {
		return false, nil
	}
	var f *failure
	if !errors.As(err, &f) { // there was no attempt
		return false, err
	}
	k.note(ctx, f)
	if ended(ctx) != nil || !k.renew(f) && !k.retry(ctx, f) {
		return false, err
	}
	k.request.onRetry(f.err, k.wait)
	logRetry(ctx, k.sender.logger, &k.request, k.attempts.sent, k.wait, f.err)
	return true, nil
}

// note counts the attempt that failed with f, and keeps its error and its response.
func (k *call) note(ctx context.Context, f *failure) {
	var status *APIError
	switch {
	case errors.As(f.err, &status):
		if f.sent {
			k.response = status
		}
	case errors.As(f.err, new(*DecodeError)), errors.Is(f.err, ErrResponseTooLarge):
		k.response = nil
	}
	if f.sent {
		k.attempts.sent++
	}
	if f.sent && !f.free {
		k.attempts.counted++
	}
	switch {
	case k.failure != nil && f.pause > 0 && !f.sent:
		k.failure = k.request.fail(fmt.Errorf("%w; the retry: %w", k.failure, f.err))
	case status != nil, ended(ctx) == nil:
		k.failure = f.err
	}
}

// renew decides whether the request is sent again at once with a new token. That
// happens once in a call, in addition to RetryPolicy.MaxAttempts.
func (k *call) renew(f *failure) bool {
	if f.status != http.StatusUnauthorized || k.renewed || !k.sender.tokens.refused(f.token) {
		return false
	}
	k.renewed, k.wait = true, 0
	k.attempts.counted--
	return true
}

// retry decides by the policy whether the request is sent again.
func (k *call) retry(ctx context.Context, f *failure) bool {
	p := k.sender.retry
	k.wait = f.pause
	if k.wait == 0 {
		k.wait = p.wait(k.attempts.counted, f.header)
	}
	return f.temporary && k.attempts.counted < p.MaxAttempts && k.wait <= p.MaxWait && outlasts(ctx, k.wait)
}

// backoff returns the wait that again has decided on.
func (k *call) backoff(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return k.wait }

// outcome returns the error of the whole call. err is the error of go-retryablehttp.
// It is used if there was no attempt.
func (k *call) outcome(ctx context.Context, err error) error {
	last := k.failure
	if k.response != nil && !errors.Is(last, k.response) {
		last = k.request.fail(fmt.Errorf("%w; the last response was: %w", last, k.response))
	}
	switch over := ended(ctx); {
	case over != nil && last != nil:
		return k.request.fail(fmt.Errorf("%w; the last attempt failed: %w", over, last))
	case over != nil:
		return k.request.fail(over)
	case last != nil:
		return last
	}
	return k.request.fail(err)
}
