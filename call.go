package epcclogs

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// newLoop returns what runs the attempts of all calls of s. Its HTTPClient follows no
// redirect. It cannot close idle connections either, as go-retryablehttp tries after
// each failed call: the transport has no method for it.
func newLoop(s *sender) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     s.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax: math.MaxInt, // CheckRetry counts, because some attempts do not count
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return callOf(ctx).checkRetry(ctx, resp, err)
		},
		Backoff: func(_, _ time.Duration, n int, resp *http.Response) time.Duration {
			if resp == nil {
				return s.retry.wait(n+1, nil) // what checkRetry has decided on
			}
			return callOf(resp.Request.Context()).wait
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// send makes a whole call: it sends the request, again if needed, and decodes the
// response. All requests go this way, also those for tokens.
func (s *sender) send(r request) error {
	k := &call{sender: s, request: r}
	resp, err := s.loop.Do(r.WithContext(context.WithValue(r.Context(), callKey{}, k)))
	if err != nil {
		return k.outcome(r.Context(), err)
	}
	resp.Body.Close()
	return nil
}

// checkRetry ends an attempt: it reads and decodes the response, and decides whether
// there is another attempt, and after which wait.
func (k *call) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	f := k.result(ctx, resp, err)
	if f == nil {
		k.end(ctx, nil, false)
		return false, nil
	}
	k.note(ctx, f)
	if k.attempt == nil {
		return false, f.err
	}
	again := ended(ctx) == nil && (k.renew(f) || k.retry(ctx, f))
	k.end(ctx, f, again)
	return again, f.err
}

// note keeps the error of the attempt that failed with f, and its response.
func (k *call) note(ctx context.Context, f *failure) {
	var status *APIError
	switch {
	case errors.As(f.err, &status):
		if k.attempt != nil {
			k.response = status
		}
	case errors.As(f.err, new(*DecodeError)), errors.Is(f.err, ErrResponseTooLarge):
		k.response = nil
	}
	switch {
	case k.failure != nil && f.late:
		k.failure = k.request.fail("%s; the retry: %s", k.failure, f.err)
	case status != nil, !errors.Is(f.err, ended(ctx)):
		k.failure = k.advised(f.err)
	}
}

// advised returns err with what to do, if a setting may be wrong: the base URL, the proxy, the
// certificates. None is wrong once a request of the client has succeeded, or the call has had a
// response of the API.
func (k *call) advised(err error) error {
	if k.attempt == nil || k.response != nil || k.sender.worked.Load() || errors.As(err, new(*peerError)) {
		return err
	}
	var op *net.OpError
	var other *DecodeError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return k.request.fail("%s; check the URL of the proxy", err)
	case errors.As(err, &op) && op.Op == "dial":
		return k.request.fail("%s; check the base URL and the network", err)
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return k.request.fail("%s; check the base URL and the trusted certificates", err)
	case errors.As(err, &other) && (other.isHTML() || k.request.forToken && !errors.Is(err, io.ErrUnexpectedEOF)):
		return k.request.fail("%s; check the base URL", err)
	}
	return err
}

// renew decides whether the request is sent again at once with a new token. That
// happens once in a call, in addition to RetryPolicy.MaxAttempts. A second refusal is
// temporary, once: some servers take a token only a moment after they have issued it.
func (k *call) renew(f *failure) bool {
	if f.status != http.StatusUnauthorized || k.refusals == 0 && !k.tokens().refused(k.attempt.token) {
		return false
	}
	if k.refusals++; k.refusals > 1 {
		f.temporary = k.refusals == 2
		return false
	}
	k.wait = 0
	k.counted--
	return true
}

// retry decides by the policy whether the request is sent again.
func (k *call) retry(ctx context.Context, f *failure) bool {
	p := k.sender.retry
	k.wait = f.pause
	if k.wait == 0 {
		k.wait = p.wait(k.sent, f.header)
	}
	return f.temporary && k.counted < p.MaxAttempts && k.wait <= p.MaxWait && outlasts(ctx, k.wait)
}

// outcome returns the error of the whole call. err is what checkRetry returned. It is
// used if there was no attempt.
func (k *call) outcome(ctx context.Context, err error) error {
	r, last := &k.request, k.failure
	if k.response != nil && !errors.Is(last, k.response) {
		last = r.fail("%s; the last response was: %s", last, k.response)
	}
	switch over := ended(ctx); {
	case over != nil && last != nil:
		return r.fail("%s; the last attempt failed: %s", over, last)
	case over != nil && k.sent > 0:
		return r.fail("%s; no whole response has come", over)
	case last != nil:
		return last
	}
	return err
}
