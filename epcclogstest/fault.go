package epcclogstest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Fault is something that goes wrong with the answer to a request. With the zero
// Fault nothing goes wrong. Print a Fault with %v to see what it does. Two that are
// made in the same way are equal.
type Fault struct {
	kind   faultKind
	code   int
	header string // encoded as a query, so that a Fault can be compared
	body   string
}

type faultKind int

const (
	kindNone faultKind = iota
	kindStatus
	kindCutLength
	kindCutChunk
	kindCutJSON
	kindStall
	kindStallHeader
	kindStallStatus
	kindReset
)

// Status answers with the status code and the body in place of the real answer.
// The Content-Type is application/json if the body is JSON, else text/plain. The
// code must be from 200 to 999.
func Status(code int, body string) Fault {
	checkCode(code)
	contentType := "text/plain; charset=utf-8"
	if json.Valid([]byte(body)) {
		contentType = "application/json"
	}
	return Fault{kind: kindStatus, code: code, body: body}.WithHeader("Content-Type", contentType)
}

// NotFound answers 404, with the error of the API's reference page.
func NotFound() Fault {
	return apiError(http.StatusNotFound, "Not Found", "The resource could not be found")
}

// RateLimited answers 429, with an error as the API's and a Retry-After of d in
// seconds, such as 1 or 0.05. A d of 0 sends no Retry-After: the vendor's documents
// do not mention it.
func RateLimited(d time.Duration) Fault {
	if d < 0 {
		panic(fmt.Sprintf("epcclogstest: RateLimited(%v): a wait is 0 at least", d))
	}
	f := apiError(http.StatusTooManyRequests, "Too Many Requests", "")
	if d == 0 {
		return f
	}
	return f.WithHeader("Retry-After", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
}

// ServerError answers 500, with the error of the API's reference page.
func ServerError() Fault {
	return apiError(http.StatusInternalServerError, "Internal Server Error", "")
}

func apiError(code int, title, detail string) Fault {
	return Status(code, string(errorBody(code, title, detail)))
}

// GatewayPage answers as a gateway that cannot reach the service: with the code,
// such as 502, 503 or 504, and a page of HTML.
func GatewayPage(code int) Fault {
	title := fmt.Sprintf("%d %s", code, http.StatusText(code))
	page := "<html>\r\n<head><title>" + title + "</title></head>\r\n" +
		"<body>\r\n<center><h1>" + title + "</h1></center>\r\n<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
	return Status(code, page).WithHeader("Content-Type", "text/html")
}

// Redirect answers with the code, such as 302 or 308, and the location, which
// is sent as it is given.
func Redirect(code int, location string) Fault {
	return Status(code, "").WithHeader("Location", location)
}

// CutLength sends the real answer, with its Content-Length, but closes the
// connection after half of the body.
func CutLength() Fault { return Fault{kind: kindCutLength} }

// CutChunk sends the real answer as one chunk, but closes the connection in the
// middle of it.
func CutChunk() Fault { return Fault{kind: kindCutChunk} }

// CutJSON sends the first half of the real answer's body and closes the
// connection. There is neither a Content-Length nor chunks, so only the JSON
// shows that the rest is missing.
func CutJSON() Fault { return Fault{kind: kindCutJSON} }

// Stall sends the real answer, but only half of its body, and then nothing until
// the client leaves or the server is closed.
func Stall() Fault { return Fault{kind: kindStall} }

// StallHeader receives the request and sends nothing at all until the client
// leaves or the server is closed.
func StallHeader() Fault { return Fault{kind: kindStallHeader} }

// StallStatus sends an error with the code, but only half of its body, and then
// nothing until the client leaves or the server is closed.
func StallStatus(code int) Fault {
	checkCode(code)
	return Fault{kind: kindStallStatus, code: code}
}

// Reset resets the connection before anything is sent.
func Reset() Fault { return Fault{kind: kindReset} }

// WithHeader returns a copy of f that also sends the header, such as
// Retry-After. The value replaces any other value of that header. WithHeader has
// no effect on [StallHeader] and [Reset], which send no header.
func (f Fault) WithHeader(key, value string) Fault {
	h := f.headers()
	h.Set(key, value)
	f.header = url.Values(h).Encode()
	return f
}

func (f Fault) headers() http.Header {
	h, _ := url.ParseQuery(f.header) // Encode wrote it
	return http.Header(h)
}

// String says what f does, for the messages of failed tests.
func (f Fault) String() string {
	var text string
	switch f.kind {
	case kindNone:
		text = "no fault"
	case kindStatus:
		text = "status " + strconv.Itoa(f.code)
	case kindCutLength:
		text = "body cut below its Content-Length"
	case kindCutChunk:
		text = "body cut within a chunk"
	case kindCutJSON:
		text = "body cut without Content-Length"
	case kindStall:
		text = "body stalls"
	case kindStallHeader:
		text = "no answer"
	case kindStallStatus:
		text = fmt.Sprintf("status %d, its body stalls", f.code)
	case kindReset:
		text = "connection reset"
	}
	for _, key := range []string{"Location", "Retry-After"} {
		if value := f.headers().Get(key); value != "" {
			text += ", " + key + ": " + value
		}
	}
	return text
}

func checkCode(code int) {
	if code < 200 || code > 999 {
		panic(fmt.Sprintf("epcclogstest: the status code %d is not within 200 to 999", code))
	}
}

// change returns the answer that f sends in place of a, whole or in part.
func (f Fault) change(a answer) answer {
	switch f.kind {
	case kindStatus:
		a = answer{status: f.code, header: make(http.Header), body: []byte(f.body)}
		a.header.Set("Content-Length", strconv.Itoa(len(f.body)))
	case kindStallStatus:
		a = errorAnswer(f.code, http.StatusText(f.code), "")
	}
	maps.Copy(a.header, f.headers())
	return a
}

// breaksConnection reports whether the answer goes out by send.
func (f Fault) breaksConnection() bool { return f.kind != kindNone && f.kind != kindStatus }

// send sends of the answer what f lets through. The connection is closed next.
func (f Fault) send(conn net.Conn, a answer) {
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

// untilGone returns when the client or the server has closed the connection.
func untilGone(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}
