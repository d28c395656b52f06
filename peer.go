package epcclogs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// peerError is the error of a peer that is not the API, or does not speak its protocol.
type peerError struct {
	text      string
	temporary bool
	err       error // of net/http; nil if text says it all
}

func (e *peerError) Error() string { return e.text }
func (e *peerError) Unwrap() error { return e.err }

// proxyRefused returns the error of a proxy that answers CONNECT with a status other
// than 200.
func proxyRefused(proxy *url.URL, status int, err error) error {
	text := fmt.Sprintf("the proxy %s refuses to connect: %d %s", proxy.Host, status, http.StatusText(status))
	if status == http.StatusProxyAuthRequired {
		text += "; check the user name and the password in the URL of the proxy"
	}
	return &peerError{text, isTemporary(status), err}
}

// onProxyConnect is for http.Transport.OnProxyConnectResponse.
func onProxyConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyRefused(proxy, resp.StatusCode, nil)
	}
	return nil
}

// explain returns err, or a peerError if err is one of a transport that tells little.
// proxy is that of the request; nil for none.
func explain(err error, proxy *url.URL) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &record) && record.Conn != nil:
		who, what := "server", "the base URL"
		if errors.As(err, &op) && op.Op == "proxyconnect" && proxy != nil {
			who, what = "proxy "+proxy.Host, "its URL"
		}
		speaks := "does not speak https"
		if string(record.RecordHeader[:]) == "HTTP/" {
			speaks = "speaks plain http, not https"
		}
		return &peerError{fmt.Sprintf("the %s %s; check the scheme and the port in %s", who, speaks, what), false, err}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert of TLS
		return &peerError{"the server speaks https, not plain http; check the scheme and the port in the base URL", false, err}
	case proxy != nil:
		// A transport without OnProxyConnectResponse returns the text of the status.
		for status := 400; status <= 599; status++ {
			if text == http.StatusText(status) {
				return proxyRefused(proxy, status, err)
			}
		}
	}
	return err
}

// isPermanent reports whether a request that failed without a response would
// fail again.
func isPermanent(err error) bool {
	var unknownHost *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var peer *peerError
	return errors.As(err, &unknownHost) && unknownHost.IsNotFound || errors.As(err, &untrusted) ||
		errors.As(err, &peer) && !peer.temporary
}
