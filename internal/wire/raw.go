package wire

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// A TLSServer is a server of HTTP/2 and HTTP/1 whose connections fail.
type TLSServer struct {
	*httptest.Server
	*listener
	Trusting *tls.Config // of a client that trusts it
}

// ServeTLS starts a server that cuts so many connections before anything is said on them.
func ServeTLS(t *testing.T, cut int32, h http.Handler) *TLSServer {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	l := &listener{Listener: s.Listener, cut: cut}
	s.Listener, s.EnableHTTP2 = l, true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return &TLSServer{s, l, s.Client().Transport.(*http.Transport).TLSClientConfig}
}

type listener struct {
	net.Listener
	cut, accepted, lost int32 // how many connections, the first ones
}

// Accepted returns how many connections there were so far.
func (l *listener) Accepted() int32 { return atomic.LoadInt32(&l.accepted) }

// Lose lets nothing arrive any more on the connections so far. They stay open.
func (l *listener) Lose() { atomic.StoreInt32(&l.lost, l.Accepted()) }

// Accept returns the next connection that is not cut.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		number := atomic.AddInt32(&l.accepted, 1)
		if number > l.cut {
			return losing{conn, func() bool { return number <= atomic.LoadInt32(&l.lost) }}, nil
		}
		if err := conn.Close(); err != nil {
			return nil, err
		}
	}
}

// losing is a connection on which nothing arrives any more once it is lost.
type losing struct {
	net.Conn
	lost func() bool
}

func (c losing) Read(b []byte) (n int, err error) {
	for {
		if n, err = c.Conn.Read(b); err != nil || !c.lost() {
			return n, err
		}
	}
}

// Say starts a server that says text on each connection, once the client has sent
// something. It returns its address, and how many connections it got.
func Say(t *testing.T, text string) (addr string, connections *atomic.Int32) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	var open sync.WaitGroup
	open.Add(1)
	go func() {
		defer open.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			open.Add(1)
			go func() {
				defer open.Done()
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = fmt.Fprint(conn, text)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); open.Wait() })
	return listener.Addr().String(), connections
}
