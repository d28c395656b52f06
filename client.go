package epcclogs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
	"github.com/hashicorp/go-retryablehttp"
)

// Version is that of the library, as the User-Agent header tells it.
const Version = "0.1.0"

// Hosts of the API.
const (
	EUWest = "https://euwest.api.elasticpath.com" // default base URL
	USEast = "https://useast.api.elasticpath.com"
)

// Client calls the integration-logs API of one store. It is safe for concurrent
// use; make one and share it, since its connections, its token and its rate
// limit are shared by all its calls.
type Client struct {
	// fmt follows pointers and interfaces, but not functions: what may hold a
	// credential is kept in these.
	roundTrip func(*http.Request) (*http.Response, error)
	token     func(context.Context) (string, error) // nil: requests carry none
	refused   func(token string)                    // takes a token that the API refused; nil unless tokens are fetched

	base            string          // without a final slash and without /v2
	ownTransport    *http.Transport // nil when the caller brought one
	timeout         time.Duration   // of one attempt; 0: none
	maxResponseSize int64
	retry           RetryPolicy
	pace            *pace
	userAgent       string
	logger          *slog.Logger // nil: silent
}

// NewClient returns a client with the settings of opts. It sends nothing and
// reads no environment. Errors match [ErrInvalidArgument].
//
// Without an option for credentials, requests carry no Authorization header,
// which is of use behind a gateway or a transport that adds one.
func NewClient(opts ...Option) (*Client, error) {
	o := options{
		base:            EUWest,
		maxResponseSize: defaultMaxResponseSize,
		userAgent:       "epcclogs/" + Version,
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
	return o.client()
}

// NewClientFromEnv is [NewClient] with the client credentials in EPCC_CLIENT_ID
// and EPCC_CLIENT_SECRET, and the base URL in EPCC_API_BASE_URL, which is
// [EUWest] when not set. opts come after these and may replace their values, but
// not add another kind of credentials. The error names the variables that are
// missing.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	var missing []string
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET"} {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, invalid("missing in the environment: %s", strings.Join(missing, ", "))
	}
	env := []Option{WithClientCredentials(os.Getenv("EPCC_CLIENT_ID"), os.Getenv("EPCC_CLIENT_SECRET"))}
	if base := os.Getenv("EPCC_API_BASE_URL"); base != "" {
		env = append(env, WithBaseURL(base))
	}
	return NewClient(append(env, opts...)...)
}

// CloseIdleConnections closes the connections that are not in use. A transport
// that came by [WithHTTPClient] is its owner's to close, and left alone.
func (c *Client) CloseIdleConnections() {
	if c.ownTransport != nil {
		c.ownTransport.CloseIdleConnections()
	}
}

// list gets one page of the list at path.
func list[T any](ctx context.Context, c *Client, opts *ListOptions, path ...string) (*Page[T], error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	page := new(Page[T])
	if err := c.get(ctx, page, opts, path...); err != nil {
		return nil, err
	}
	return page, nil
}

// get asks for the resource at path, whose elements are names and ids, and
// decodes the answer into out.
func (c *Client) get(ctx context.Context, out json.Unmarshaler, opts *ListOptions, path ...string) error {
	for _, element := range path {
		if err := checkID(element); err != nil {
			return err
		}
	}
	values, err := query.Values(opts)
	if err != nil {
		return err
	}
	target := c.base + "/v2/" + strings.Join(path, "/")
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	return c.send(ctx, &call{client: c, method: http.MethodGet, url: target, out: out})
}

// send is the path of every request, those for tokens included. The call that it
// is given makes the attempts, decides on the next one and keeps the outcome;
// go-retryablehttp, which would lose some of that, runs them and waits.
func (c *Client) send(ctx context.Context, k *call) error {
	if ctx == nil {
		return invalid("the context is nil")
	}
	var body any // stays nil for a GET: an empty body is a body too
	if k.form != nil {
		body = k.form
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, k.method, k.url, body)
	if err != nil {
		return fmt.Errorf("epcclogs: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if k.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	loop := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: k},
		RetryMax:   math.MaxInt, // checkRetry counts
		CheckRetry: k.checkRetry,
		Backoff:    k.backoff,
	}
	resp, err := loop.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if out := k.outcome(ctx); out != nil || k.succeeded {
		return out
	}
	return fmt.Errorf("epcclogs: %s %s: %w", k.method, k.url, err) // there was no attempt
}
