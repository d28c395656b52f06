package epcclogs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// Where another protocol is spoken, another attempt is of no use.
func TestWrongProtocol(t *testing.T) {
	for name, row := range map[string]struct{ scheme, answer, want string }{
		"http for https": {"https", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "the server speaks plain http, not https; check the scheme and the port in the base URL"},
		"SSH for https":  {"https", "SSH-2.0-OpenSSH_9.6\r\n", "the server does not speak https; check the scheme and the port in the base URL"},
		"https for http": {"http", "\x15\x03\x01\x00\x02\x02\x46", "the server speaks https, not plain http; check the scheme and the port in the base URL"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, connections := wire.Say(t, row.answer)
			err := call(t.Context(), newClient(t, row.scheme+"://"+addr, epcclogs.WithToken("a-token")))
			require.EqualError(t, err, "epcclogs: GET "+row.scheme+"://"+addr+"/v2/integrations: "+row.want)
			assert.EqualValues(t, 1, connections.Load())
			if row.scheme == "https" {
				require.ErrorAs(t, err, new(tls.RecordHeaderError))
			}
		})
	}
}

// A proxy that refuses to connect is named, and its answer is not taken for the API's.
func TestProxyRefuses(t *testing.T) {
	const advice = "; check the user name and the password in the URL of the proxy"
	for _, row := range []struct {
		answer, want string
		known        bool // by its text, where only that is left
		connections  int32
	}{
		{"407 Proxy Authentication Required", "407 Proxy Authentication Required" + advice, true, 1},
		{"407 Who are you?", "407 Proxy Authentication Required" + advice, false, 1},
		{"403 Forbidden", "403 Forbidden", true, 1},
		{"403 Filtered", "403 Forbidden", false, 1},
		{"503 Service Unavailable", "503 Service Unavailable (after 3 attempts)", true, 3},
	} {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprint(row.answer, ", own transport ", own), func(t *testing.T) {
				addr, connections := wire.Say(t, "HTTP/1.1 "+row.answer+"\r\nContent-Length: 0\r\n\r\n")
				transport := new(http.Transport)
				if own {
					transport = epcclogs.NewTransport(0)
				}
				transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("user", marker), Host: addr})
				err := call(t.Context(), newClient(t, "https://api.example.com", over(transport), epcclogs.WithToken("a-token")))
				require.NotErrorIs(t, err, epcclogs.ErrForbidden)
				showsNot(t, err, marker)
				if !own && !row.known {
					require.ErrorContains(t, err, "(after 3 attempts)")
					return
				}
				require.EqualError(t, err, "epcclogs: GET https://api.example.com/v2/integrations: the proxy "+addr+" refuses to connect: "+row.want)
				assert.Equal(t, row.connections, connections.Load())
			})
		}
	}

	addr, connections := wire.Say(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: addr})}
	err := call(t.Context(), newClient(t, "https://api.example.com", over(transport)))
	require.ErrorContains(t, err, ": the proxy "+addr+" speaks plain http, not https; check the scheme and the port in its URL")
	assert.EqualValues(t, 1, connections.Load())
}

// Connections may die in silence while they idle, all of them, as behind a firewall. An
// attempt after a time-out takes a new one, and calls under way are left alone.
func TestNewConnectionAfterATimeout(t *testing.T) {
	const (
		kept    = 8
		timeout = 600 * time.Millisecond
	)
	meet := wire.Meeting(t, kept)
	hangs, again, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := wire.Serve(t, wire.Each(func(n int) wire.Step {
		return func(r *http.Request) (*http.Response, error) {
			switch {
			case n <= kept:
				meet() // so each has a connection of its own
			case n == kept+1:
				close(hangs)
				<-end
			case r.URL.Path == "/v2/integrations/slow":
				<-again
				return wire.OK(`{"data":` + wire.Record(1) + `}`)(r)
			default:
				close(again)
			}
			return done(r)
		}
	}).Answer)
	t.Cleanup(func() { close(end) })
	c := newClient(t, s.URL, epcclogs.WithTimeout(timeout))
	for _, err := range together(t, c, kept) {
		require.NoError(t, err)
	}
	require.Equal(t, kept, s.Connections())

	ended := begin(t.Context(), c)
	<-hangs
	time.Sleep(timeout / 2)
	_, err := c.GetIntegration(t.Context(), "slow")
	require.NoError(t, err)
	require.NoError(t, <-ended)
	sent := s.Requests()
	require.Len(t, sent, kept+3)
	for _, r := range sent[:kept+2] {
		assert.NotEqual(t, sent[kept+2].RemoteAddr, r.RemoteAddr, "the second attempt came by a new connection")
	}
}

// While nothing has succeeded, errors that a wrong setting may cause say so: once, and not in
// the log records of retries.
func TestAdviceAboutSettings(t *testing.T) {
	const html = "<html>Welcome</html>"
	page, _ := wire.Say(t, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"+html)
	plain, _ := wire.Say(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\n "+html)
	closed := wire.Serve(t, done)
	closed.Close()
	unknown := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.exmaple.com", IsNotFound: true}}
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	viaProxy := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: strings.TrimPrefix(closed.URL, "http://")})}
	network, token := "; check the base URL and the network", epcclogs.WithToken("a-token")
	for name, row := range map[string]struct {
		url, want string
		opt       epcclogs.Option
	}{
		"name":           {"https://api.exmaple.com", "dial tcp: lookup api.exmaple.com: no such host" + network, over(wire.Break(unknown))},
		"port":           {closed.URL, " (after 3 attempts)" + network, token},
		"port, token":    {closed.URL, " (after 3 attempts)" + network, withSecret},
		"no time to try": {closed.URL, network, withSecret},
		"certificate":    {"https://api.example.com", "unknown authority; check the base URL and the trusted certificates", over(wire.Break(untrusted))},
		"proxy":          {"https://api.example.com", " (after 3 attempts); check the URL of the proxy", over(viaProxy)},
		"page":           {"http://" + page, `(Content-Type "text/html"); check the base URL`, token},
		"page, token":    {"http://" + page, `(Content-Type "text/html"); check the base URL`, withSecret},
		"page as text":   {"http://" + plain, `(Content-Type ""); check the base URL`, token},
	} {
		t.Run(name, func(t *testing.T) {
			var logged journal
			opts := []epcclogs.Option{row.opt, epcclogs.WithLogger(slog.New(&logged))}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if name == "no time to try" {
				opts = append(opts, epcclogs.WithRetry(epcclogs.RetryPolicy{MinWait: time.Hour, MaxWait: time.Hour}))
			}
			err := call(ctx, newClient(t, row.url, opts...))
			require.ErrorContains(t, err, row.want)
			assert.True(t, strings.HasSuffix(err.Error(), row.want), err)
			assert.Equal(t, 1, strings.Count(err.Error(), "check the "), err)
			assert.NotContains(t, strings.Join(logged.all(), "\n"), "check the ")
		})
	}

	// Where the base URL has proved right, or a server has answered, the advice would be wrong.
	dead := wire.Break(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	c := clientOf(t, wire.Steps(done, dead, dead, dead, wire.OK(html)), token)
	require.NoError(t, call(t.Context(), c))
	for _, want := range []string{"refused (after 3 attempts)", `(Content-Type "application/json")`} {
		err := call(t.Context(), c)
		assert.True(t, strings.HasSuffix(err.Error(), want), err)
	}
	err := call(t.Context(), clientOf(t, wire.Steps(wire.Reply(503, ""), dead), token))
	require.ErrorContains(t, err, "refused (after 3 attempts); the last response was: 503")
	err = call(t.Context(), clientOf(t, wire.Break(&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}), token))
	assert.True(t, strings.HasSuffix(err.Error(), " (after 3 attempts)"), err)
}
