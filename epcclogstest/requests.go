package epcclogstest

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
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

// Requests returns what was received so far, in order of arrival, token
// requests included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.requests))
	for i, r := range s.requests {
		requests[i] = r.clone()
	}
	return requests
}

func (r Request) clone() Request {
	r.Header = r.Header.Clone()
	r.Form = url.Values(http.Header(r.Form).Clone())
	return r
}

// OnRequest has f called for every API request from now on, before it is
// answered, for instance to add logs between two pages. n counts the server's
// API requests from 1. Requests under way together call f together, so f must
// be safe for that; it may wait, which delays only the request that it was
// called for. OnRequest(nil) ends the calls.
func (s *Server) OnRequest(f func(n int, r Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = f
}

// received is a request with all that was decided about it on its arrival.
type received struct {
	request   Request
	token     bool       // a token request
	form      url.Values // of a token request, as sent
	n         int        // number of an API request
	hook      func(n int, r Request)
	fault     Fault
	overLimit bool
}

func (s *Server) receive(r *http.Request, body []byte) received {
	in := received{
		request: Request{
			Method:     r.Method,
			Path:       r.URL.EscapedPath(),
			RawQuery:   r.URL.RawQuery,
			Header:     r.Header.Clone(),
			Time:       time.Now(),
			Authorized: s.authorized(r),
		},
		token: r.URL.EscapedPath() == tokenPath,
	}
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		in.request.Header.Del(secret)
	}
	if in.token {
		in.form = parseForm(r, body)
		in.request.Form = maps.Clone(in.form)
		in.request.Form.Del("client_secret")
		if strings.Contains(in.request.RawQuery, "client_secret") {
			in.request.RawQuery = "" // they belong in the form
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, in.request.clone())
	if in.token {
		in.fault = s.tokenFaults.next()
		return in
	}
	s.apiRequests++
	in.n = s.apiRequests
	in.hook = s.onRequest
	in.fault = s.faults.next()
	in.overLimit = s.limit != nil && !s.limit.take(in.request.Time)
	return in
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
