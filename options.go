package epcclogs

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	defaultTimeout         = 30 * time.Second
	defaultMaxResponseSize = 64 << 20
)

// Option is a setting for [NewClient]. If an option is given twice, the later one
// counts.
type Option func(*options) error

type options struct {
	base      string
	baseIn    string // " in EPCC_API_BASE_URL" if it comes from there
	tokens    func(s *sender, base string) tokenSource
	kind      string         // the option that set tokens; empty when none did
	http      *http.Client   // nil: the library's own transport
	timeout   *time.Duration // nil: that of http, or the default
	rateLimit float64
	retry     RetryPolicy
	product   string // of the caller, for the User-Agent header
	sender    sender // with the fields that a single option sets; newClient sets the others
}

// WithBaseURL sets the address of the API. The default is [EUWest]. The URL may have
// the path of a gateway, and may end in /v2 or not. Together with credentials, plain
// http is refused, unless the host is localhost or a loopback address.
func WithBaseURL(url string) Option { return baseURL("the base URL", url, "") }

// baseURL is WithBaseURL with the name that errors use, and what they say behind it.
func baseURL(name, url, in string) Option {
	return func(o *options) (err error) {
		o.base, err = cleanBaseURL(name, url)
		o.baseIn = in
		return err
	}
}

// cleanBaseURL returns base without a final slash and /v2. Its errors do not show
// base, which may hold a password.
func cleanBaseURL(name, base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", invalid("%s must begin with https:// or http:// and name a host", name)
	case u.User != nil:
		return "", invalid("%s holds a user name or a password; use an option for credentials", name)
	case u.Port() != "" && !isPort(u.Port()):
		return "", invalid("%s has a port above 65535", name)
	case strings.ContainsAny(base, "?#"):
		return "", invalid("%s must not have a query (?) or a fragment (#)", name)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/v2"), "/")
	host := url.URL{Scheme: u.Scheme, Host: u.Host} // it escapes an IPv6 zone
	return host.String() + path, nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// WithToken sends the same bearer token with every request. The API's tokens expire
// after one hour, so this is for short programs.
func WithToken(token string) Option {
	return func(o *options) error {
		if !isToken(token) {
			return invalid("the token %s", badToken)
		}
		return o.authorize("WithToken", func(*sender, string) tokenSource {
			return given(func(context.Context) (string, error) { return token, nil })
		})
	}
}

// WithTokenFunc gets the bearer token of each request from f, also for retries. f is
// called with the context of the call and must be safe for concurrent use. If it
// returns an error, the call returns that error, wrapped.
//
// f is called once the rate limit allows the request, so that tokens do not expire
// while requests wait. If f is slow, requests may be sent closer together than
// [WithRateLimit] says.
func WithTokenFunc(f func(context.Context) (string, error)) Option {
	return func(o *options) error {
		if f == nil {
			return invalid("the function of WithTokenFunc is nil")
		}
		return o.authorize("WithTokenFunc", func(*sender, string) tokenSource { return given(f) })
	}
}

// WithClientCredentials fetches bearer tokens with the id and the secret of an
// application key. All calls share one token. The client renews it a minute before
// it expires, and when the API refuses it. If the API does not say when a token
// expires, the client assumes an hour.
//
// An outage of the token endpoint does no harm while the old token is good. If a
// renewal fails, or takes longer than a second, calls use the old token until it
// expires. The client tries again ten seconds after a renewal that failed.
func WithClientCredentials(clientID, clientSecret string) Option {
	return clientCredentials("the client id", clientID, "the client secret", clientSecret)
}

// clientCredentials is WithClientCredentials with the names that errors use.
func clientCredentials(idName, id, secretName, secret string) Option {
	return func(o *options) error {
		for name, value := range map[string]string{idName: id, secretName: secret} {
			if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
				return invalid("%s is empty or has characters that cannot be printed, such as a line break", name)
			}
		}
		return o.authorize("WithClientCredentials", func(s *sender, base string) tokenSource {
			return newCredentials(s, base, id, secret)
		})
	}
}

// authorize sets where tokens come from, which only one kind of option may do.
func (o *options) authorize(kind string, tokens func(*sender, string) tokenSource) error {
	if o.kind != "" && o.kind != kind {
		return invalid("both %s and %s are given; use one of them", o.kind, kind)
	}
	o.kind, o.tokens = kind, tokens
	return nil
}

// WithHTTPClient sends requests with the transport of hc, for a proxy, custom
// certificates or tracing. The Timeout of hc bounds each attempt, unless
// [WithTimeout] is given. CheckRedirect and Jar are not used: redirects are not
// followed, and cookies are not kept. The package does not change hc and does not
// close its connections.
//
// The transport of the package keeps 64 idle connections. Those of net/http keep two for
// each host, so [Pager.Concurrent] opens new ones all the time. These lines make one that
// keeps as many:
//
//	transport := http.DefaultTransport.(*http.Transport).Clone()
//	transport.MaxIdleConnsPerHost = 64
func WithHTTPClient(hc *http.Client) Option {
	return func(o *options) error {
		if hc == nil {
			return invalid("the HTTP client is nil")
		}
		o.http = hc
		return nil
	}
}

// WithTimeout bounds one attempt, from sending the request to the last byte of the
// response. The default is 30 seconds; 0 means no bound. The context bounds the whole
// call.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return invalid("the timeout %v is negative", d)
		}
		o.timeout = &d
		return nil
	}
}

// WithRetry sets how often a request is sent, and how long the client waits between
// two attempts.
func WithRetry(p RetryPolicy) Option {
	return func(o *options) error {
		p, err := p.withDefaults()
		o.retry = p
		return err
	}
}

// WithRateLimit bounds the requests a second of all calls together, retries and
// fetches of tokens included, and spaces them evenly. The default is 100, which the
// API's documents allow a production store; 0 means the default. They allow a
// development store 25, and some plans more than 100.
//
// If the next request may only be sent after the deadline of its context, a call returns
// at once, with an error that matches [context.DeadlineExceeded]. Calls that wait send one
// after the other.
//
// The limit belongs to the store: the shop and its customers share it. Set less to
// leave them room. If the store allows 100 and you set 60, 40 are left.
//
// A store that allows less than the bound answers 429. The client then pauses all
// requests, for as long as the store asks or for a wait of the [RetryPolicy]. It goes
// on below the rate that was refused, and speeds up again as far as the store allows.
// If you know the limit, set it: then hardly anything is refused.
func WithRateLimit(requestsPerSecond float64) Option {
	return func(o *options) error {
		if !(requestsPerSecond >= 0) || math.IsInf(requestsPerSecond, 0) {
			return invalid("the rate limit %v is not a number of requests a second, from 0", requestsPerSecond)
		}
		o.rateLimit = requestsPerSecond
		return nil
	}
}

// WithMaxResponseSize bounds the body of a response, in bytes after decompression.
// The default is 64 MiB. For a longer one, the call returns an error that matches
// [ErrResponseTooLarge].
func WithMaxResponseSize(bytes int64) Option {
	return func(o *options) error {
		if bytes <= 0 {
			return invalid("the maximum response size %d is not positive", bytes)
		}
		o.sender.maxResponseSize = min(bytes, math.MaxInt64-1) // one more is read to see that it is over
		return nil
	}
}

// WithUserAgent puts product, such as "my-service/1.2", before the library's own
// name in the User-Agent header.
func WithUserAgent(product string) Option {
	return func(o *options) error {
		if strings.TrimSpace(product) == "" || strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' }) {
			return invalid("the user agent %q is empty or not printable ASCII", product)
		}
		o.product = product
		return nil
	}
}

// WithLogger logs each attempt at debug level, and each retry at warning level, before
// its wait. The default is to log nothing. Tokens are never logged. The attributes
// are
//
//   - of both: method, path, query (such as page[limit]=100&page[offset]=200; missing
//     if empty) and attempt (from 1)
//   - of an attempt: status or error, and duration
//   - of a retry: wait, and reason (why the attempt failed)
//
// When the client changes its rate of requests by a fifth or more, it logs the new
// one at debug level. The attribute is rate, in requests a second.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return invalid("the logger is nil")
		}
		o.sender.logger = l
		return nil
	}
}

// WithOnAttempt calls f after each attempt, also after requests for tokens, for metrics
// and tracing. What was not sent is no attempt. The context is that of the call. For a
// token, it has the values of the call that began the fetch, but not its end.
//
// The call goes on when f returns, so f must be quick. Calls that run at the same time
// call f at the same time.
func WithOnAttempt(f func(context.Context, Attempt)) Option {
	return func(o *options) error {
		if f == nil {
			return invalid("the function of WithOnAttempt is nil")
		}
		o.sender.onAttempt = f
		return nil
	}
}

// exposed reports whether others can read what is sent to base.
func exposed(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return true
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && u.Hostname() != "localhost" && !ip.IsLoopback()
}
