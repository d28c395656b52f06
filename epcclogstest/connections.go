package epcclogstest

import (
	"net"
	"net/http"
	"sync"
)

// connections are those that are open. [http.Server.Close] does not know those that
// were hijacked, and does not wait for any.
type connections struct {
	running sync.WaitGroup // the accept loop, and each open connection

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[net.Conn]struct{}
}

// follow is the server's ConnState.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew: // called by the accept loop, so Wait cannot have returned
		c.running.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == nil {
			c.open = make(map[net.Conn]struct{})
		}
		c.open[conn] = struct{}{}
		if c.closed { // accepted while the listener was being closed
			_ = conn.Close()
		}
	case http.StateClosed:
		c.forget(conn)
	}
}

// take gives the connection of a request to f, and closes it afterwards.
func (c *connections) take(w http.ResponseWriter, f func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // the connection is lost already
		panic(http.ErrAbortHandler)
	}
	defer c.forget(conn)
	defer func() { _ = conn.Close() }()
	f(conn)
}

func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	delete(c.open, conn)
	c.mu.Unlock()
	c.running.Done()
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close()
	}
}
