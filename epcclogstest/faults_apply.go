package epcclogstest

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
)

// apply sends what f makes of the answer.
func (f Fault) apply(s *Server, w http.ResponseWriter, a answer) {
	switch f.kind {
	case kindStatus:
		a = answer{status: f.code, header: make(http.Header), body: []byte(f.body)}
		a.header.Set("Content-Length", strconv.Itoa(len(f.body)))
	case kindStallStatus:
		a = errorAnswer(f.code, http.StatusText(f.code), "")
	}
	maps.Copy(a.header, f.header)
	if f.kind == kindNone || f.kind == kindStatus {
		a.send(w)
		return
	}

	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // the connection is lost already
		panic(http.ErrAbortHandler)
	}
	defer s.released(conn)
	defer func() { _ = conn.Close() }()
	half := a.body[:len(a.body)/2]
	switch f.kind {
	case kindReset:
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case kindStallHeader:
		untilGone(conn)
	case kindStall, kindStallStatus:
		a.sendHead(conn)
		_, _ = conn.Write(half)
		untilGone(conn)
	case kindCutLength:
		a.sendHead(conn)
		_, _ = conn.Write(half)
	case kindCutChunk:
		a.header.Del("Content-Length")
		a.header.Set("Transfer-Encoding", "chunked")
		a.sendHead(conn)
		_, _ = fmt.Fprintf(conn, "%x\r\n%s", len(a.body), half)
	case kindCutJSON:
		a.header.Del("Content-Length")
		a.header.Set("Connection", "close")
		a.sendHead(conn)
		_, _ = conn.Write(half)
	}
}

// untilGone returns when the client has closed the connection, or Close has.
func untilGone(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}
