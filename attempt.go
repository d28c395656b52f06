package epcclogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// sender is what all attempts of a client share.
type sender struct {
	transport       func(*http.Request) (*http.Response, error)
	tokens          tokenSource
	pace            *pace
	retry           RetryPolicy
	timeout         time.Duration // of one attempt; 0: none
	maxResponseSize int64
	userAgent       string
	logger          *slog.Logger
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

// tally counts the attempts of a call.
type tally struct {
	sent    int // requests that were sent
	counted int // those that count against RetryPolicy.MaxAttempts
}

// failure is an attempt that did not succeed.
type failure struct {
	err       error
	temporary bool        // another attempt may succeed
	sent      bool        // the request was sent
	token     string      // that was sent with it
	status    int         // of the response; 0 without one
	header    http.Header // of the response; nil without one

	pause time.Duration // what is left of the client's pause, if that matters
	free  bool          // a 429 that does not count
}

func (f *failure) Error() string { return f.err.Error() }

// attempt sends the request once and reads the response. It returns nil when that
// succeeded. n counts this attempt too.
func (s *sender) attempt(r *request, req *http.Request, n tally) *failure {
	turn, token, err := s.await(req.Context())
	if err != nil {
		return notSent(r, err)
	}
	x := exchange{sender: s, request: r, hidden: r.hidden, turn: turn, n: n}
	x.hidden.token = token
	started := time.Now()
	f := x.do(req)
	if f != nil {
		f.sent, f.token, err = true, token, f.err
	}
	logAttempt(req.Context(), s.logger, r, n.sent, time.Since(started), err)
	return f
}

// notSent returns the failure of an attempt that ends before its request is sent.
func notSent(r *request, err error) *failure {
	var pause pauseError
	if errors.As(err, &pause) {
		return &failure{err: r.pausedError(time.Duration(pause)), pause: time.Duration(pause)}
	}
	return &failure{err: r.fail(err)}
}

// await returns when the request may be sent, with its token.
func (s *sender) await(ctx context.Context) (turn sending, token string, err error) {
	if err := ended(ctx); err != nil {
		return turn, "", err
	}
	if err := s.tokens.prepare(ctx); err != nil {
		return turn, "", fmt.Errorf("cannot get a bearer token: %w", err)
	}
	if turn, err = s.pace.wait(ctx); err != nil {
		return turn, "", err
	}
	if token, err = s.tokens.token(ctx); err != nil {
		return turn, "", fmt.Errorf("cannot get a bearer token: %w", err)
	}
	return turn, token, nil
}

// exchange is one request that is sent, and its response.
type exchange struct {
	*sender
	request *request
	hidden  redaction // with the token of the request
	turn    sending
	n       tally
}

// do sends the request and reads the response.
func (x exchange) do(req *http.Request) *failure {
	caller := req.Context()
	ctx := caller
	if x.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, x.timeout)
		defer cancel()
	}
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", x.userAgent)
	if token := x.hidden.token; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := x.transport(req)
	if err == nil && resp == nil {
		err = errors.New("the transport returned neither a response nor an error")
	}
	if err != nil {
		return x.broken(caller, ctx, err)
	}
	if resp.Body == nil { // as RoundTrippers in tests return it
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return x.refusal(resp)
	}
	x.pace.succeeded()
	f, err := x.read(resp)
	if err != nil {
		return x.broken(caller, ctx, err)
	}
	return f
}

// read reads a response with status 200. The error is that of a body which ends
// early.
func (x exchange) read(resp *http.Response) (*failure, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if _, err := buf.ReadFrom(io.LimitReader(resp.Body, x.maxResponseSize+1)); err != nil {
		return nil, fmt.Errorf("the response ended early: %w", err)
	}
	body := bytes.TrimPrefix(buf.Bytes(), byteOrderMark)
	if int64(buf.Len()) > x.maxResponseSize {
		return &failure{err: x.request.fail(fmt.Errorf("%w: more than %d bytes; ask for shorter pages or raise WithMaxResponseSize", ErrResponseTooLarge, x.maxResponseSize))}, nil
	}
	switch err := decode(resp.Header, body, x.request.read); {
	case errors.Is(err, errListed):
		return &failure{err: x.request.apiError(resp, body, x.hidden, x.n.sent), status: resp.StatusCode, header: resp.Header}, nil
	case err != nil:
		return &failure{err: x.request.decodeError(resp, body, x.hidden, err), temporary: isCut(body), header: resp.Header}, nil
	}
	return nil, nil
}

// refusal reads a response with another status. The status decides, however much of
// the body arrives.
func (x exchange) refusal(resp *http.Response) *failure {
	f := &failure{temporary: isTemporary(resp.StatusCode), status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusTooManyRequests {
		// Before the body is read, which may take long.
		f.pause, f.free = x.throttled(resp.Header)
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, int64(x.hidden.needed())))
	f.err = x.request.apiError(resp, body, x.hidden, x.n.sent)
	return f
}

// throttled pauses the client after a 429, for as long as the server asks, or for the
// wait of the policy. It returns what is left of the pause. free is true if this
// response does not count as an attempt.
func (x exchange) throttled(h http.Header) (left time.Duration, free bool) {
	_, asked := retryAfter(h)
	left, free = x.pace.throttled(x.turn, x.retry.wait(x.n.counted, h), asked)
	return left, free && x.retry.MaxAttempts > 1
}

// broken returns the failure of an attempt without a whole response. The time-out
// of the attempt must not look like the end of the caller's context.
func (x exchange) broken(caller, attempt context.Context, err error) *failure {
	temporary := !isPermanent(err)
	if ended(caller) == nil {
		switch {
		case attempt.Err() != nil:
			err = timeoutError(fmt.Sprintf("no whole response within %v", x.timeout))
		case errors.Is(err, context.DeadlineExceeded): // as that of a Dialer
			err = timeoutError(err.Error())
		}
	}
	err = x.hidden.inError(err)
	if x.n.sent > 1 {
		err = fmt.Errorf("%w (after %d attempts)", err, x.n.sent)
	}
	return &failure{err: x.request.fail(err), temporary: temporary}
}

// buffers hold the bodies while they are decoded. Decoding copies what it keeps.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 { // larger ones are rare, and are not kept
		buf.Reset()
		buffers.Put(buf)
	}
}
