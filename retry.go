package epcclogs

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryPolicy says how often a request is sent and how long it waits in between.
//
// Sent again is what failed for a cause that passes: a connection that was
// refused or broke, an attempt that took too long, a response that was cut
// short, and the statuses 408, 425, 429 and 5xx but 501. The wait is the
// server's Retry-After, or else random between 0 and a bound that doubles with
// each attempt, from MinWait up to MaxWait. A wait that the context's deadline
// would end, or a Retry-After above MaxWait, is not begun: the call returns the
// error that it has.
//
// Beneath all this, net/http sends a GET again by itself when a connection that
// was kept open turns out to be closed before any of the response came. That is
// not counted.
type RetryPolicy struct {
	// MaxAttempts is the number of requests sent at most, the first included; 0
	// means 4, 1 means no retry. Two kinds come on top: the one after the renewal of
	// a token, and one in place of each that met a 429 while it was under way
	// together with others, the first of which had begun the client's pause.
	MaxAttempts int
	MinWait     time.Duration // 0 means 250 ms, or MaxWait where that is less
	MaxWait     time.Duration // 0 means 30 s; also the longest Retry-After that is waited for
}

func (p RetryPolicy) withDefaults() (RetryPolicy, error) {
	if p.MaxAttempts < 0 || p.MinWait < 0 || p.MaxWait < 0 {
		return p, invalid("the retry policy %+v has a negative value", p)
	}
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 4
	}
	if p.MaxWait == 0 {
		p.MaxWait = 30 * time.Second
	}
	if p.MinWait == 0 {
		p.MinWait = min(250*time.Millisecond, p.MaxWait)
	}
	if p.MinWait > p.MaxWait {
		return p, invalid("MinWait %v is above MaxWait %v", p.MinWait, p.MaxWait)
	}
	return p, nil
}

// wait returns how long to wait after the n-th attempt, whose response, if there
// was one, had the header h; false when the server asks for more than MaxWait.
func (p RetryPolicy) wait(n int, h http.Header) (time.Duration, bool) {
	if d, ok := retryAfter(h); ok {
		return max(d, time.Millisecond), d <= p.MaxWait
	}
	bound := p.MaxWait
	if shift := max(n-1, 0); p.MinWait <= p.MaxWait>>shift {
		bound = p.MinWait << shift
	}
	return max(rand.N(bound), time.Millisecond), true
}

// retryAfter reads the header Retry-After: seconds, also fractional, or an HTTP
// date, which is compared to the response's own Date where there is one, so that
// a wrong clock on either side does no harm. False means that there is none that
// can be read.
func retryAfter(h http.Header) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if strings.Trim(value, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(value, 64)
		if seconds >= math.MaxInt64/float64(time.Second) { // infinite where err is ErrRange
			return math.MaxInt64, true
		}
		return time.Duration(seconds * float64(time.Second)), err == nil
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0), true
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

// isPermanent reports whether a request that failed without a response would
// fail again.
func isPermanent(err error) bool {
	var unknownHost *net.DNSError
	var untrusted *tls.CertificateVerificationError
	return errors.As(err, &unknownHost) && unknownHost.IsNotFound || errors.As(err, &untrusted)
}

// ended returns the error of a context that is done, or whose deadline has
// passed: others that watch the same deadline may see it a moment earlier.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// outlasts reports whether the deadline of ctx, if it has one, comes after wait.
func outlasts(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait
}
