package epcclogs

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryPolicy says how often a request is sent, and how long the client waits
// between two attempts. With the zero value, a call sends up to five requests and
// outlives an outage of three seconds.
//
// Temporary failures are retried:
//
//   - a connection that was refused or broke, or a TLS handshake that was cut
//   - an attempt that took too long ([WithTimeout])
//   - a response that ends early
//   - the statuses 408, 425, 429, and 5xx but 501
//   - a 401 to a token that was just renewed, once in a call
//
// After a connection that broke or an attempt that took too long, the next attempt
// takes a new connection. With HTTP/2 it does so only if the old one answers no ping.
// A transport of [WithHTTPClient] decides that itself.
//
// The wait is the one that the server asks for (Retry-After). Otherwise it is
// between half of a bound and all of it: how much is random, and the same for all
// calls of a client. The bound is MinWait after the first attempt and doubles with
// each attempt, up to MaxWait.
//
// A call does not begin a wait that is too long for it: one above MaxWait, or one
// that ends after the deadline of its context. It returns its last error at once.
//
// A 429 pauses the client: no call sends a request until the wait is over. The
// pause lasts as long as the server asks, even if that is more than MaxWait. A call
// for which it is too long returns at once, even before its first attempt. Its error
// is an [*APIError] that matches [ErrRateLimited], with 0 Attempts and with the time
// that is left as RetryAfter.
//
// net/http itself sends a GET once more when a connection that was kept open turns
// out to be closed. That is not counted.
type RetryPolicy struct {
	// MaxAttempts is how many requests a call sends at most, the first one included.
	// 0 means 5, and 1 means no retry. Two kinds of request are not counted:
	//
	//   - the one that follows the renewal of a refused token
	//   - one that is answered 429, if it was under way when another 429 paused the
	//     client, or if its pause ends within MaxWait of the client's last success:
	//     other clients may use up the limit then. With MaxAttempts 1 it is counted.
	MaxAttempts int
	MinWait     time.Duration // 0 means 500 ms, or MaxWait if that is less
	MaxWait     time.Duration // 0 means 30 s; at least a millisecond is used
}

func (p RetryPolicy) withDefaults() (RetryPolicy, error) {
	if p.MaxAttempts < 0 || p.MinWait < 0 || p.MaxWait < 0 {
		return p, invalid("the retry policy %+v has a negative value", p)
	}
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 5
	}
	if p.MaxWait == 0 {
		p.MaxWait = 30 * time.Second
	}
	if p.MinWait == 0 {
		p.MinWait = min(500*time.Millisecond, p.MaxWait)
	}
	if p.MinWait > p.MaxWait {
		return p, invalid("MinWait %v is above MaxWait %v", p.MinWait, p.MaxWait)
	}
	p.MinWait, p.MaxWait = max(p.MinWait, leastWait), max(p.MaxWait, leastWait)
	return p, nil
}

// leastWait is the shortest wait between two attempts.
const leastWait = time.Millisecond

// retry is the policy of one client.
type retry struct {
	RetryPolicy
	jitter float64 // 0: waits all of a bound, 1: half of it
}

// newRetry returns p with a random jitter, so that clients do not come back together.
// Requests of one client are spaced anyway.
func newRetry(p RetryPolicy) retry { return retry{p, rand.Float64()} }

// wait returns how long to wait after the n-th attempt, whose response, if there
// was one, had the header h. It is above MaxWait if the server asks for that.
func (p retry) wait(n int, h http.Header) time.Duration {
	if d, ok := retryAfter(h); ok {
		return max(d, leastWait)
	}
	bound := p.MaxWait
	if shift := max(n-1, 0); p.MinWait <= p.MaxWait>>shift {
		bound = p.MinWait << shift
	}
	return max(bound-time.Duration(p.jitter*float64(bound/2)), leastWait)
}

// retryAfter reads the header Retry-After: seconds, also fractional, or an HTTP
// date. The date is compared to that of the response, if it has one, so that a wrong
// clock does no harm. ok is false if there is no Retry-After, or none that can be
// read.
func retryAfter(h http.Header) (d time.Duration, ok bool) {
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

// ended returns the error of a context that is done or whose deadline has passed.
// The deadline is compared too, because a time-out below may see it a moment before
// the context does.
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
