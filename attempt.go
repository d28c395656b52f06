package epcclogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// sender is what all calls of a client share.
type sender struct {
	loop            *retryablehttp.Client // runs the attempts
	transport       *transport
	tokens          tokenSource
	retry           retry
	maxResponseSize int64
	logger          *slog.Logger
	onAttempt       func(context.Context, Attempt)
	worked          atomic.Bool // a request has succeeded
}

// transport makes one attempt of a call: it waits until the request may be sent,
// adds the token, and bounds the time until the whole response is there.
type transport struct {
	base      func(*http.Request) (*http.Response, error)
	proxy     func(*http.Request) (*url.URL, error) // of base; nil: not known
	closeIdle func()                                // closes idle connections of base, if it is the library's own
	pace      *pace
	timeout   time.Duration // of one attempt; 0: none
	userAgent string
}

// tokenSource supplies the bearer token of each attempt.
type tokenSource interface {
	// prepare waits for a token that token returns without a wait. It is called
	// before the attempt waits for its turn: otherwise all waiting requests leave at
	// once when the token arrives.
	prepare(context.Context) error
	// token returns the token for a request that is sent next; empty for none.
	token(context.Context) (string, error)
	// refused takes note that the API refused a token, and reports whether token
	// returns another one from now on.
	refused(token string) bool
}

// none is a source for requests without a token.
type none struct{}

func (none) prepare(context.Context) error         { return nil }
func (none) token(context.Context) (string, error) { return "", nil }
func (none) refused(string) bool                   { return false }

// call is a request and its attempts. The context of the request holds it.
type call struct {
	sender  *sender
	request request

	attempt  *attempt // nil before its request is sent, and when it has ended
	sent     int      // requests
	counted  int      // those that count against RetryPolicy.MaxAttempts
	refusals int      // of tokens that can be renewed
	wait     time.Duration
	failure  error     // of the latest attempt, unless it is that of the context
	response *APIError // the latest response; nil if none came, or a 200
}

type callKey struct{}

// callOf returns the call whose request has the context ctx.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// tokens returns where the call gets its token from.
func (k *call) tokens() tokenSource {
	if k.request.forToken {
		return none{}
	}
	return k.sender.tokens
}

// attempt is one request that is sent.
type attempt struct {
	turn     sending
	token    string // empty: none
	started  time.Time
	ctx      context.Context
	cancel   context.CancelFunc // of ctx
	location []string           // header of the response, if http.Client must not see it
}

// failure is an attempt that did not succeed.
type failure struct {
	err       error
	temporary bool          // another attempt may succeed
	status    int           // of the response; 0 without one
	header    http.Header   // of the response; nil without one
	pause     time.Duration // what is left of the client's pause, if that matters
	late      bool          // the deadline comes before the attempt
}

// RoundTrip sends a request of a call.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	k := callOf(req.Context())
	a, err := t.await(req.Context(), k.tokens())
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	k.attempt = a
	k.sent++
	k.counted++
	ctx, cancel := t.bound(req.Context())
	a.started, a.ctx, a.cancel = time.Now(), ctx, cancel
	out := req.Clone(ctx)
	out.Header.Set("User-Agent", t.userAgent)
	if a.token != "" {
		out.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := t.base(out)
	switch {
	case err != nil:
		return nil, explain(err, t.proxyOf(req))
	case resp == nil:
		return nil, errors.New("the transport returned neither a response nor an error")
	}
	own := *resp // a RoundTripper in a test may return it again
	own.Request = req
	if _, err := own.Location(); err != nil { // http.Client would return an error in place of the response
		a.location = resp.Header["Location"]
		own.Header = resp.Header.Clone()
		own.Header.Del("Location")
	}
	return &own, nil
}

// proxyOf returns the proxy of a request; nil if there is none, or it is not known.
func (t *transport) proxyOf(req *http.Request) *url.URL {
	if t.proxy == nil {
		return nil
	}
	proxy, _ := t.proxy(req)
	return proxy
}

// await returns when a request may be sent.
func (t *transport) await(ctx context.Context, tokens tokenSource) (a *attempt, err error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := tokens.prepare(ctx); err != nil {
		return nil, fail("", "cannot get a bearer token: %s", err)
	}
	a = new(attempt)
	if a.turn, err = t.pace.wait(ctx); err != nil {
		return nil, err
	}
	if a.token, err = tokens.token(ctx); err != nil {
		return nil, fail("", "cannot get a bearer token: %s", err)
	}
	return a, nil
}

// bound returns a context with the time-out of an attempt.
func (t *transport) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t.timeout)
}

// end ends the attempt, and reports it. f is nil if it succeeded. again is true if
// another one follows.
func (k *call) end(ctx context.Context, f *failure, again bool) {
	r, s, a := &k.request, k.sender, k.attempt
	k.attempt = nil
	a.cancel()
	done := Attempt{
		Method: r.Method, Path: r.URL.Path, Query: readable.Replace(r.URL.RawQuery),
		Number: k.sent, StatusCode: http.StatusOK, Duration: time.Since(a.started),
	}
	if f != nil {
		done.StatusCode, done.Err = f.status, f.err
	}
	logAttempt(ctx, s.logger, done)
	if again {
		done.Retry, done.Wait = true, k.wait
		r.onRetry(k.failure, done.Wait)
		logRetry(ctx, s.logger, done)
	}
	s.onAttempt(ctx, done)
}

// result returns what came of the attempt: nil if it succeeded. Its arguments are those
// of CheckRetry.
func (k *call) result(ctx context.Context, resp *http.Response, err error) (f *failure) {
	err = withoutRequest(err)
	switch {
	case k.attempt == nil:
		return k.notSent(err)
	case err != nil:
		return k.broken(ctx, err)
	case resp.StatusCode == http.StatusOK:
		f = k.read(ctx, resp)
	default:
		f = k.refusal(resp)
	}
	if f != nil {
		f.status = resp.StatusCode
	}
	return f
}

// withoutRequest takes the name of the request away, which http.Client adds: it is named elsewhere.
func withoutRequest(err error) error {
	if outer := new(url.Error); errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// read reads and decodes a response with status 200.
func (k *call) read(ctx context.Context, resp *http.Response) *failure {
	k.sender.transport.pace.succeeded()
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	most := k.sender.maxResponseSize
	if err := receive(buf, resp, most+1); err != nil {
		return k.broken(ctx, fmt.Errorf("the response ended early: %w", err))
	}
	body := bytes.TrimPrefix(buf.Bytes(), byteOrderMark)
	if int64(buf.Len()) > most {
		advice := "ask for shorter pages or raise WithMaxResponseSize"
		if k.request.forToken {
			advice = "check the base URL and WithMaxResponseSize"
		}
		err := fmt.Errorf("%w: more than %d bytes; %s", ErrResponseTooLarge, most, advice)
		return &failure{err: k.request.fail("%s", err)}
	}
	switch err := decode(resp.Header, body, k.request.read); {
	case errors.Is(err, errListed):
		return &failure{err: k.request.apiError(resp, body, k.hidden(), k.sent), header: resp.Header}
	case err != nil:
		return &failure{err: k.request.decodeError(resp, body, k.hidden(), err, k.sent), temporary: isCut(body), header: resp.Header}
	}
	k.sender.worked.Store(true)
	return nil
}

// receive reads at most so many bytes of the body, and closes it.
func receive(buf *bytes.Buffer, resp *http.Response, most int64) error {
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, most))
	resp.Body.Close()
	resp.Body = http.NoBody // go-retryablehttp reads the rest
	return err
}

// notSent returns the failure of an attempt that ends before its request is sent.
func (k *call) notSent(err error) *failure {
	var pause pauseError
	if errors.As(err, &pause) {
		return &failure{err: k.request.pausedError(time.Duration(pause)), late: true}
	}
	return &failure{err: k.request.fail("%s", err), late: errors.As(err, new(rateError))}
}

// refusal reads a response with a status other than 200. The status decides, however
// much of the body arrives.
func (k *call) refusal(resp *http.Response) *failure {
	f := &failure{temporary: isTemporary(resp.StatusCode), header: resp.Header}
	if resp.StatusCode == http.StatusTooManyRequests {
		f.pause = k.throttled(resp.Header) // before the body is read, which may take long
	}
	if k.attempt.location != nil {
		resp.Header["Location"] = k.attempt.location
	}
	var body bytes.Buffer
	_ = receive(&body, resp, int64(k.hidden().needed()))
	f.err = k.request.apiError(resp, body.Bytes(), k.hidden(), k.sent)
	return f
}

// throttled pauses the client after a 429, for as long as the server asks, or for the
// wait of the policy. It returns what is left of the pause.
func (k *call) throttled(h http.Header) time.Duration {
	_, asked := retryAfter(h)
	left, free := k.sender.transport.pace.throttled(k.attempt.turn, k.sender.retry.wait(k.counted, h), asked)
	if free && k.sender.retry.MaxAttempts > 1 {
		k.counted--
	}
	return left
}

// broken returns the failure of an attempt without a whole response. The time-out
// of the attempt must not look like the end of the caller's context. Where one
// connection is dead, those that idle may be too, so the next attempt makes a new one.
func (k *call) broken(ctx context.Context, err error) *failure {
	temporary := !isPermanent(err)
	if ended(ctx) == nil {
		k.sender.transport.closeIdle()
		switch {
		case k.attempt.ctx.Err() != nil:
			err = timeoutError(fmt.Sprintf("no whole response within %v", k.sender.transport.timeout))
		case errors.Is(err, context.DeadlineExceeded): // as that of a Dialer
			err = timeoutError(err.Error())
		}
	}
	return &failure{err: k.request.fail("%s"+afterAttempts(k.sent), k.hidden().inError(err)), temporary: temporary}
}

// hidden is what errors must not show of the attempt.
func (k *call) hidden() redaction {
	h := k.request.hidden
	h.token = k.attempt.token
	return h
}

// buffers hold the bodies while they are decoded. Decoding copies what it keeps.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 { // larger ones are rare, and are not kept
		buf.Reset()
		buffers.Put(buf)
	}
}
