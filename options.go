package epcclogs

import (
	"context"
	"log/slog"
	"math"
	"net"
	"net/http"
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

// Option is a setting of [NewClient]. A later option replaces an earlier one of
// the same name.
type Option func(*options) error

type options struct {
	base            string
	kinds           []string // the kinds of credentials that were set
	token           func(context.Context) (string, error)
	clientID        string
	clientSecret    string
	http            *http.Client
	timeout         *time.Duration
	maxResponseSize int64
	retry           RetryPolicy
	rateLimit       float64
	userAgent       string
	logger          *slog.Logger
}

// WithBaseURL sets the host of the API; the default is [EUWest]. The URL may
// have a path prefix, as a gateway adds, and may end in /v2, in a slash, or in
// neither. Credentials with plain http are refused unless the host is localhost
// or a loopback address.
func WithBaseURL(url string) Option {
	return func(o *options) (err error) {
		o.base, err = cleanBaseURL(url)
		return err
	}
}

// cleanBaseURL returns base without a final slash and /v2. Its errors do not show
// base, which may hold a password.
func cleanBaseURL(base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", invalid("the base URL is not a URL with http or https and a host")
	case u.User != nil:
		return "", invalid("the base URL holds user information")
	case u.Port() != "" && !isPort(u.Port()):
		return "", invalid("the base URL has a port above 65535")
	case strings.ContainsAny(base, "?#"):
		return "", invalid("the base URL has a query or a fragment")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/v2"), "/")
	return u.Scheme + "://" + u.Host + path, nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// WithToken sends the same bearer token with every request. The API's tokens
// live one hour: this is for short programs.
func WithToken(token string) Option {
	return func(o *options) error {
		if !isToken(token) {
			return invalid("the token is empty or has characters that no token has")
		}
		o.token = func(context.Context) (string, error) { return token, nil }
		o.kinds = append(o.kinds, "WithToken")
		return nil
	}
}

// WithTokenFunc calls f for the bearer token of each request that is sent,
// retries included, with the context of the call. f must be safe for concurrent
// use. Its error ends the call, which returns it wrapped. It is called when the
// request's turn has come, so that no token grows old in the queue: where f takes
// long, the requests that wait for it are sent closer together than
// [WithRateLimit] says.
func WithTokenFunc(f func(context.Context) (string, error)) Option {
	return func(o *options) error {
		if f == nil {
			return invalid("the function of WithTokenFunc is nil")
		}
		o.token = f
		o.kinds = append(o.kinds, "WithTokenFunc")
		return nil
	}
}

// WithClientCredentials fetches bearer tokens with the id and the secret of an
// application key: one for all calls, renewed shortly before it expires (after
// an hour, if the API does not say when) and when the API refuses it.
func WithClientCredentials(clientID, clientSecret string) Option {
	return func(o *options) error {
		for name, value := range map[string]string{"client id": clientID, "client secret": clientSecret} {
			if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
				return invalid("the %s is empty or not printable", name)
			}
		}
		o.clientID, o.clientSecret = clientID, clientSecret
		o.kinds = append(o.kinds, "WithClientCredentials")
		return nil
	}
}

// WithHTTPClient sends requests by the transport of hc, for a proxy, custom
// certificates, or tracing. hc is not modified, and its connections are never
// closed by this library. Its Timeout bounds each attempt unless [WithTimeout]
// does. Its CheckRedirect and Jar are not used: redirects are not followed and
// cookies not kept.
func WithHTTPClient(hc *http.Client) Option {
	return func(o *options) error {
		if hc == nil {
			return invalid("the HTTP client is nil")
		}
		o.http = hc
		return nil
	}
}

// WithTimeout bounds one attempt, from the sending to the last byte of the
// response's body. The default is 30 seconds, 0 means no bound. A whole call is
// bounded by its context.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return invalid("the timeout %v is negative", d)
		}
		o.timeout = &d
		return nil
	}
}

// WithRetry sets how often and after which waits a request is sent again.
func WithRetry(p RetryPolicy) Option {
	return func(o *options) error {
		p, err := p.withDefaults()
		o.retry = p
		return err
	}
}

// WithRateLimit bounds the requests of all calls together, retries and fetches of
// tokens included, and spaces them evenly. Without it, or at 0, requests are sent
// as they come until the API answers 429; then the client pauses all of them
// once, for Retry-After or a wait of the [RetryPolicy], and finds the pace that
// the API allows. [WithRateLimit] spares these first refusals, where the limit is
// known: the API's documents say 100 a second for a production store and 25 for
// a development store.
func WithRateLimit(requestsPerSecond float64) Option {
	return func(o *options) error {
		if !(requestsPerSecond >= 0) || math.IsInf(requestsPerSecond, 0) {
			return invalid("the rate limit %v is not a number of requests", requestsPerSecond)
		}
		o.rateLimit = requestsPerSecond
		return nil
	}
}

// WithMaxResponseSize bounds the body of a response, in bytes after
// decompression. The default is 64 MiB. A longer one is [ErrResponseTooLarge].
func WithMaxResponseSize(bytes int64) Option {
	return func(o *options) error {
		if bytes <= 0 {
			return invalid("the response size %d is not positive", bytes)
		}
		o.maxResponseSize = min(bytes, math.MaxInt64-1) // one more is read to see that it is over
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
		o.userAgent = product + " " + "epcclogs/" + Version
		return nil
	}
}

// WithLogger logs each attempt at debug level, with the attributes method, path,
// attempt (from 1), duration, and status or error; and each retry at warning
// level, with method, path, attempt (the one that failed), wait and reason.
// Nothing else is logged, and never a token. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return invalid("the logger is nil")
		}
		o.logger = l
		return nil
	}
}

// client makes the client, once all options are known.
func (o *options) client() (*Client, error) {
	for _, kind := range o.kinds {
		if kind != o.kinds[0] {
			return nil, invalid("both %s and %s are given", o.kinds[0], kind)
		}
	}
	if len(o.kinds) > 0 && exposed(o.base) {
		return nil, invalid("credentials would be sent unencrypted to %s", o.base)
	}
	c := &Client{
		base:            o.base,
		token:           o.token,
		timeout:         defaultTimeout,
		maxResponseSize: o.maxResponseSize,
		retry:           o.retry,
		pace:            newPace(o.rateLimit),
		userAgent:       o.userAgent,
		logger:          o.logger,
	}
	switch {
	case o.http == nil:
		c.ownTransport = newTransport()
		c.roundTrip = c.ownTransport.RoundTrip
	case o.http.Transport == nil:
		c.roundTrip = http.DefaultTransport.RoundTrip
	default:
		c.roundTrip = o.http.Transport.RoundTrip
	}
	if o.http != nil && o.http.Timeout > 0 {
		c.timeout = o.http.Timeout
	}
	if o.timeout != nil {
		c.timeout = *o.timeout
	}
	if o.clientID != "" {
		creds := newCredentials(c, o.clientID, o.clientSecret)
		c.token, c.refused = creds.bearer, creds.refused
	}
	return c, nil
}

// exposed reports whether what is sent to base can be read on the way.
func exposed(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// maxIdleConns is how many connections are kept for the next requests, one for
// each that may be under way at a time.
const maxIdleConns = 64

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DialContext:       (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2: true,
		// A dead connection is found out before the attempt is over, and the next one
		// takes another.
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConns:          maxIdleConns,
		MaxIdleConnsPerHost:   maxIdleConns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// isToken reports whether s can be sent as a bearer token.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// checkID refuses what cannot be one element of a path. An empty id would ask
// for another list.
func checkID(id string) error {
	if id == "" {
		return invalid("an id is empty")
	}
	for _, r := range id {
		switch {
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
		default:
			return invalid("the id %q has characters other than letters, digits, - and _", id)
		}
	}
	return nil
}
