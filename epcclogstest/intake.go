package epcclogstest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Request is the record of a request that the server has received. It holds no
// token and no secret.
type Request struct {
	Method   string
	Path     string // as received, escapes included
	RawQuery string
	Header   http.Header // without Authorization, Proxy-Authorization and Cookie
	Time     time.Time   // of arrival
	// Form is what a token request sent, without client_secret; nil for others.
	Form url.Values
	// Authorized says whether the request carried a bearer token that was good
	// when it arrived.
	Authorized bool
}

func newRequest(r *http.Request, body []byte, authorized bool) Request {
	request := Request{
		Method:     r.Method,
		Path:       r.URL.EscapedPath(),
		RawQuery:   r.URL.RawQuery,
		Header:     r.Header.Clone(),
		Time:       time.Now(),
		Authorized: authorized,
	}
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		request.Header.Del(secret)
	}
	if request.Path == tokenPath {
		request.Form = parseForm(r, body)
		request.Form.Del("client_secret")
		if strings.Contains(request.RawQuery, "client_secret") {
			request.RawQuery = "" // credentials belong in the form
		}
	}
	return request
}

func (r Request) clone() Request {
	r.Header = r.Header.Clone()
	r.Form = url.Values(http.Header(r.Form).Clone())
	return r
}

// maxKept is the number of requests that are kept, of about 1 KB each.
const maxKept = 10_000

// intake records the requests as they arrive, and decides what happens to them.
type intake struct {
	limit *bucket // nil: unlimited; set before the first request

	faults, tokenFaults schedule

	mu          sync.Mutex // guards what follows, and the limit's level
	requests    []Request  // the last ones
	apiRequests int        // received so far
	hook        func(n int, r Request)
}

// received is what was decided about a request when it arrived.
type received struct {
	n         int // of an API request
	hook      func(n int, r Request)
	fault     Fault
	overLimit bool
}

func (in *intake) receive(r Request) received {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.requests) == maxKept {
		in.requests[0] = Request{} // lets go of its header
		in.requests = in.requests[1:]
	}
	in.requests = append(in.requests, r.clone())
	if r.Path == tokenPath {
		return received{fault: in.tokenFaults.next()}
	}
	in.apiRequests++
	return received{
		n:         in.apiRequests,
		hook:      in.hook,
		fault:     in.faults.next(),
		overLimit: in.limit != nil && !in.limit.take(r.Time),
	}
}

func (in *intake) kept() []Request {
	in.mu.Lock()
	defer in.mu.Unlock()
	requests := make([]Request, len(in.requests))
	for i, r := range in.requests {
		requests[i] = r.clone()
	}
	return requests
}

func (in *intake) setHook(f func(n int, r Request)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hook = f
}

// bucket is a token bucket: it fills by perSecond up to burst, and every
// request takes one out.
type bucket struct {
	perSecond, burst, level float64
	filled                  time.Time
}

func (b *bucket) take(now time.Time) bool {
	if !b.filled.IsZero() {
		b.level = min(b.burst, b.level+b.perSecond*now.Sub(b.filled).Seconds())
	}
	b.filled = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
