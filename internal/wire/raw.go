package wire

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Listener cuts the first connections before anything is said on them.
type Listener struct {
	net.Listener
	cut, accepted atomic.Int32
}

// Cut makes l cut so many connections.
func Cut(l net.Listener, connections int32) *Listener {
	cutting := &Listener{Listener: l}
	cutting.cut.Store(connections)
	return cutting
}

// Accepted returns how many connections there were so far.
func (l *Listener) Accepted() int32 { return l.accepted.Load() }

// Accept returns the next connection that is not cut.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.accepted.Add(1)
		if l.cut.Add(-1) < 0 {
			return conn, nil
		}
		if err := conn.Close(); err != nil {
			return nil, err
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
