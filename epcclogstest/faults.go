package epcclogstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Fault is something that goes wrong with the answer to a request. The zero
// Fault is none: the request is answered as usual. Print it with %v to see what
// it does.
type Fault struct {
	kind   faultKind
	code   int
	header http.Header
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
// The body goes out as application/json if it is JSON, else as text/plain. Code
// is from 200 to 999.
func Status(code int, body string) Fault {
	checkCode(code)
	contentType := "text/plain; charset=utf-8"
	if json.Valid([]byte(body)) {
		contentType = "application/json"
	}
	return Fault{kind: kindStatus, code: code, body: body}.WithHeader("Content-Type", contentType)
}

// GatewayPage answers as a gateway does that cannot reach the service: with the
// code, such as 502, 503 or 504, and a page of HTML.
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
// connection, as it had announced: there is neither a Content-Length nor chunks,
// so that nothing but the JSON tells that the rest is missing.
func CutJSON() Fault { return Fault{kind: kindCutJSON} }

// Stall sends the real answer up to the middle of its body, and then nothing
// until the client leaves or the server is closed.
func Stall() Fault { return Fault{kind: kindStall} }

// StallHeader takes the request and sends nothing at all until the client
// leaves or the server is closed.
func StallHeader() Fault { return Fault{kind: kindStallHeader} }

// StallStatus sends an error with the code up to the middle of its body, and
// then nothing until the client leaves or the server is closed.
func StallStatus(code int) Fault {
	checkCode(code)
	return Fault{kind: kindStallStatus, code: code}
}

// Reset resets the connection before anything is sent.
func Reset() Fault { return Fault{kind: kindReset} }

// WithHeader returns a copy of f that also sends the header, such as
// Retry-After, in place of any value that it would have had. It means nothing
// to [StallHeader] and [Reset].
func (f Fault) WithHeader(key, value string) Fault {
	f.header = f.header.Clone()
	if f.header == nil {
		f.header = make(http.Header)
	}
	f.header.Set(key, value)
	return f
}

// String tells what f does, for the messages of failed tests.
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
		if value := f.header.Get(key); value != "" {
			text += ", " + key + ": " + value
		}
	}
	return text
}

func checkCode(code int) {
	if code < 200 || code > 999 {
		panic(fmt.Sprintf("epcclogstest: status code %d", code))
	}
}

// Fail answers the next n API requests, whatever they ask for, with f. Further
// calls queue up behind: Fail(2, Reset()) and Fail(1, Stall()) spoil the next
// three requests.
func (s *Server) Fail(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.add(n, f)
}

// FailRequest answers the k-th API request from now on with f, the next one
// being the first. For this request it goes before [Server.Fail], whose n is
// not used up by it.
func (s *Server) FailRequest(k int, f Fault) {
	if k < 1 {
		panic(fmt.Sprintf("epcclogstest: request %d from now on", k))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.addAt(k, f)
}

// FailToken answers the next n token requests with f, as [Server.Fail] does
// with API requests. A Status(200, …) is a way to send odd tokens.
func (s *Server) FailToken(n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokenFaults.add(n, f)
}

// schedule says which requests to spoil.
type schedule struct {
	passed int           // requests so far
	at     map[int]Fault // by number of the request
	queue  []queued
}

type queued struct {
	n     int // requests left
	fault Fault
}

func (s *schedule) add(n int, f Fault) {
	if n > 0 {
		s.queue = append(s.queue, queued{n, f})
	}
}

func (s *schedule) addAt(k int, f Fault) {
	if s.at == nil {
		s.at = make(map[int]Fault)
	}
	s.at[s.passed+k] = f
}

// next returns what happens to the request that has just come.
func (s *schedule) next() Fault {
	s.passed++
	if f, ok := s.at[s.passed]; ok {
		delete(s.at, s.passed)
		return f
	}
	if len(s.queue) == 0 {
		return Fault{}
	}
	f := s.queue[0].fault
	if s.queue[0].n--; s.queue[0].n == 0 {
		s.queue = s.queue[1:]
	}
	return f
}
