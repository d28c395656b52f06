package wire

import (
	"net"
	"sync/atomic"
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
