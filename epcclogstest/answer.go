package epcclogstest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/epcclogs/epcclogs/internal/envelope"
)

// answer is a response that is ready to be sent, or to be changed by a fault.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// sendHead sends the status line and the header.
func (a answer) sendHead(w io.Writer) {
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(w)
	_, _ = io.WriteString(w, "\r\n")
}

// jsonAnswer is an answer with a JSON body.
func jsonAnswer(status int, body []byte) answer {
	return answer{
		status: status,
		header: http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {strconv.Itoa(len(body))},
		},
		body: body,
	}
}

// errorAnswer is an error in the form of the reference page, without a detail if
// that is empty.
func errorAnswer(status int, title, detail string) answer {
	return jsonAnswer(status, errorBody(status, title, detail))
}

// errorBody takes the status as a number or a string, because some of the vendor's
// services send a number and others a string.
func errorBody(status any, title, detail string) []byte {
	type errorJSON struct {
		Title  string `json:"title"`
		Status any    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}
	return envelope.Marshal(map[string][]errorJSON{"errors": {{title, status, detail}}})
}

func methodNotAllowed(allowed string) answer {
	a := errorAnswer(http.StatusMethodNotAllowed, "Method Not Allowed", "")
	a.header.Set("Allow", allowed)
	return a
}
