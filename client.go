package epcclogs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
)

// Version is the version of this package, as sent in the User-Agent header.
const Version = "0.3.0"

// Hosts of the API.
const (
	EUWest = "https://euwest.api.elasticpath.com" // default base URL
	USEast = "https://useast.api.elasticpath.com"
)

// Client calls the integration-logs API of one store. Make one with [NewClient] and
// share it: its calls share connections, token and rate limit. It is safe for
// concurrent use.
type Client struct {
	// Functions, because they hold credentials: fmt prints what pointers and
	// interfaces lead to, but not what functions hold.
	send      func(request) error
	closeIdle func()

	base string // without a final slash and without /v2
}

// NewClient returns a client with the settings of opts. It sends nothing. Of the
// environment, requests use the proxy settings, as in net/http; see [WithHTTPClient]
// for another transport. Errors match [ErrInvalidArgument].
//
// Without an option for credentials, requests have no Authorization header. This is
// for a gateway or a transport that adds one.
func NewClient(opts ...Option) (*Client, error) {
	o := options{
		base:   EUWest,
		tokens: func(*sender, string) tokenSource { return none{} },
		sender: sender{
			maxResponseSize: defaultMaxResponseSize,
			logger:          slog.New(slog.DiscardHandler),
			onAttempt:       func(context.Context, Attempt) {},
		},
	}
	o.retry, _ = RetryPolicy{}.withDefaults()
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("an option is nil")
		}
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	if o.kind != "" && exposed(o.base) {
		return nil, invalid("credentials would be sent unencrypted to %s; use https%s", o.base, o.baseIn)
	}
	return newClient(&o), nil
}

// newClient puts the parts of a client together.
func newClient(o *options) *Client {
	t := &transport{
		closeIdle: func() {},
		pace:      newPace(o.rateLimit, o.retry.MaxWait, o.sender.logger),
		timeout:   defaultTimeout,
		userAgent: strings.TrimSpace(o.product + " epcclogs/" + Version),
	}
	if o.http != nil && o.http.Timeout > 0 {
		t.timeout = o.http.Timeout
	}
	if o.timeout != nil {
		t.timeout = *o.timeout
	}
	var base http.RoundTripper
	switch {
	case o.http == nil:
		own := newTransport(t.timeout)
		base, t.closeIdle = own, own.CloseIdleConnections
	case o.http.Transport == nil:
		base = http.DefaultTransport
	default:
		base = o.http.Transport
	}
	t.base = base.RoundTrip
	if known, ok := base.(*http.Transport); ok {
		t.proxy = known.Proxy
	}
	s := &o.sender
	s.transport, s.retry = t, newRetry(o.retry)
	s.loop = newLoop(s)
	s.tokens = o.tokens(s, o.base)
	return &Client{send: s.send, closeIdle: t.closeIdle, base: o.base}
}

// NewClientFromEnv returns a client with the client credentials in the environment
// variables EPCC_CLIENT_ID and EPCC_CLIENT_SECRET, and the base URL in
// EPCC_API_BASE_URL, if that is set. Space around their values is cut off, such as the
// line break at the end of a file. Errors name the variable.
//
// opts are applied afterwards. They may replace these values, but not add another
// kind of credentials.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	const idName, secretName, baseName = "EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"
	env := make(map[string]string)
	var missing []string
	for _, name := range []string{idName, secretName, baseName} {
		env[name] = strings.TrimSpace(os.Getenv(name))
		if env[name] == "" && name != baseName {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, invalid("missing in the environment: %s", strings.Join(missing, ", "))
	}
	all := []Option{clientCredentials(idName, env[idName], secretName, env[secretName])}
	if env[baseName] != "" {
		all = append(all, baseURL(baseName, env[baseName], " in "+baseName))
	}
	return NewClient(append(all, opts...)...)
}

// CloseIdleConnections closes the connections that are not in use. It does not
// close those of a transport given by [WithHTTPClient]: its owner does that.
func (c *Client) CloseIdleConnections() { c.closeIdle() }

// list gets one page of the list at path. If some of its records cannot be read, it
// returns the page of the others, and a *DecodeError.
func list[T any](ctx context.Context, c *Client, opts *ListOptions, path ...string) (*Page[T], error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	page := new(Page[T])
	err := c.get(ctx, func(h http.Header, body []byte) error {
		err := page.UnmarshalJSON(body)
		page.age = ageOf(h)
		return err
	}, opts, path...)
	if err != nil && (len(page.unread) == 0 || errors.Is(err, ended(ctx))) {
		return nil, err
	}
	return page, err
}

// get gets the resource at path, whose elements are names and ids, and has it read by
// read.
func (c *Client) get(ctx context.Context, read func(http.Header, []byte) error, opts *ListOptions, path ...string) error {
	for _, element := range path {
		if err := checkID(element); err != nil {
			return err
		}
	}
	values, err := query.Values(opts)
	if err != nil {
		return err
	}
	params, mark := values.Encode(), ""
	if params != "" {
		mark = "?"
	}
	r, err := newRequest(ctx, http.MethodGet, c.base+"/v2/"+strings.Join(path, "/")+mark+params, nil)
	if err != nil {
		return err
	}
	r.read = read
	return c.send(r)
}

// checkID returns an error if id cannot be one element of a path. With an empty id,
// the path of one list may become that of another.
func checkID(id string) error {
	if id == "" {
		return invalid("the id of an integration or a job is empty")
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

// maxIdleConns is how many connections are kept open for later requests.
const maxIdleConns = 64

// newTransport returns the library's own transport, for attempts with that time-out.
func newTransport(timeout time.Duration) *http.Transport {
	timeout = cmp.Or(timeout, defaultTimeout)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: onProxyConnect,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		// A dead connection is noticed within an attempt, so that the next one takes
		// another: one that has requests under way is not idle.
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: min(10*time.Second, timeout/2), PingTimeout: min(5*time.Second, timeout/4)},
		MaxIdleConns:          maxIdleConns,
		MaxIdleConnsPerHost:   maxIdleConns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}
