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
	free  bool          // a 429 that began no pause and does not count
}

func (f *failure) Error() string { return f.err.Error() }

// attempt sends the request once and reads the response. It returns nil when that
// succeeded. n counts this attempt too.
func (s *sender) attempt(r *request, req *http.Request, n tally) *failure {
	turn, token, err := s.await(req.Context())
	var pause pauseError
	switch {
	case errors.As(err, &pause):
		return &failure{err: r.notSent(time.Duration(pause)), pause: time.Duration(pause)}
	case err != nil:
		return &failure{err: r.fail(err)}
	}
	started := time.Now()
	f := s.exchange(r, req, turn, token, n)
	if f != nil {
		f.sent, f.token, err = true, token, f.err
	}
	logAttempt(req.Context(), s.logger, r, n.sent, time.Since(started), err)
	return f
}

// await returns when the request may be sent, with its token.
func (s *sender) await(ctx context.Context) (turn sending, token string, err error) {
	if err := ended(ctx); err != nil {
		return turn, "", err
	}
	if err := s.tokens.prepare(ctx); err != nil {
		return turn, "", fmt.Errorf("bearer token: %w", err)
	}
	if turn, err = s.pace.wait(ctx); err != nil {
		return turn, "", err
	}
	if token, err = s.tokens.token(ctx); err != nil {
		return turn, "", fmt.Errorf("bearer token: %w", err)
	}
	return turn, token, nil
}

// paused returns an error at once if the client is paused for longer than a call
// with ctx waits. Otherwise it returns a channel that is closed when the next pause
// begins.
func (s *sender) paused(ctx context.Context) (<-chan struct{}, error) {
	return s.pace.watch(ctx)
}

// throttled pauses the client after a 429: for as long as the server asks, or for
// the wait of the policy. It returns what is left of the pause. free is true when
// the request was under way already when the pause began: then the response says
// nothing new.
func (s *sender) throttled(turn sending, h http.Header, n tally) (left time.Duration, free bool) {
	left, began := s.pace.throttled(turn, s.retry.wait(n.counted, h))
	return left, !began && s.retry.MaxAttempts > 1
}

// exchange sends the request and reads the response.
func (s *sender) exchange(r *request, req *http.Request, turn sending, token string, n tally) *failure {
	caller := req.Context()
	ctx := caller
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", s.userAgent)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	hidden := r.hidden
	hidden.token = token

	resp, err := s.transport(req)
	if err == nil && resp == nil {
		err = errors.New("the transport returned neither a response nor an error")
	}
	if err != nil {
		return s.broken(r, hidden, caller, ctx, err)
	}
	if resp.Body == nil { // as RoundTrippers in tests return it
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	f, err := s.receive(r, hidden, resp, turn, n)
	if err != nil {
		return s.broken(r, hidden, caller, ctx, err)
	}
	return f
}

// receive reads the response. The error is that of a body which ends early.
func (s *sender) receive(r *request, hidden redaction, resp *http.Response, turn sending, n tally) (*failure, error) {
	if resp.StatusCode != http.StatusOK {
		return s.refusal(r, hidden, resp, turn, n), nil
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if _, err := buf.ReadFrom(io.LimitReader(resp.Body, s.maxResponseSize+1)); err != nil {
		return nil, err
	}
	body := buf.Bytes()
	if int64(len(body)) > s.maxResponseSize {
		return &failure{err: r.fail(fmt.Errorf("%w: over %d bytes", ErrResponseTooLarge, s.maxResponseSize))}, nil
	}
	if err := r.read(resp.Header, body); err != nil {
		return &failure{err: r.decodeError(resp, body, hidden, err), temporary: isCut(body), header: resp.Header}, nil
	}
	return nil, nil
}

// refusal reads a response that is no 200. The status decides, however much of the
// body arrives.
func (s *sender) refusal(r *request, hidden redaction, resp *http.Response, turn sending, n tally) *failure {
	f := &failure{temporary: isTemporary(resp.StatusCode), status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusTooManyRequests {
		f.pause, f.free = s.throttled(turn, resp.Header, n) // at once: the body may be long in coming
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, int64(hidden.needed())))
	f.err = r.apiError(resp, body, hidden, n.sent)
	return f
}

// broken returns the failure of an attempt without a whole response. The time-out
// of the attempt must not look like that of the caller.
func (s *sender) broken(r *request, hidden redaction, caller, attempt context.Context, err error) *failure {
	temporary := !isPermanent(err)
	if ended(caller) == nil {
		switch {
		case attempt.Err() != nil:
			err = timeoutError(fmt.Sprintf("no whole response within %v", s.timeout))
		case errors.Is(err, context.DeadlineExceeded): // as that of a Dialer
			err = timeoutError(err.Error())
		}
	}
	return &failure{err: r.fail(hidden.inError(err)), temporary: temporary}
}

// buffers hold the bodies while they are decoded, which copies what it keeps.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 { // a rare huge one is not kept
		buf.Reset()
		buffers.Put(buf)
	}
}
