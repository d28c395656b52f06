package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// trace is a transport that notes what responses look like, and sends a bounded number of
// requests. It is safe for concurrent use, except for allow.
type trace struct {
	base http.RoundTripper

	mu    sync.Mutex
	host  string
	left  int // of the requests that are allowed
	spent context.CancelFunc
	sent  int
	notes []note
}

// note is what is kept of a response: nothing that a record or a token says.
type note struct {
	list     string // its name; token for the token endpoint
	status   int    // 0 if none came
	took     time.Duration
	headers  []string // about limits
	form     string   // of a list; empty if the body is none
	records  int      // on it
	lifetime string   // of a token
}

const tokens = "token"

// The names of the lists.
const (
	integrations    = "integrations"
	storeLogs       = "logs of the store"
	integrationLogs = "logs of an integration"
	integrationJobs = "jobs of an integration"
	jobLogs         = "logs of a job"
)

// allow allows n requests more. The returned context ends with the first one above that: an
// error alone would be retried.
func (t *trace) allow(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	ctx, t.spent = context.WithCancel(ctx)
	t.left = n
	return ctx, t.spent
}

func (t *trace) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	if t.left <= 0 {
		t.mu.Unlock()
		t.spent()
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, context.Canceled
	}
	t.left--
	t.sent++
	t.host = req.URL.Scheme + "://" + req.URL.Host
	t.mu.Unlock()
	started := time.Now()
	n := note{list: nameOf(req.URL.Path)}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		t.add(n)
		return nil, err
	}
	n.status, n.headers = resp.StatusCode, limits(resp.Header)
	resp.Body = &body{ReadCloser: resp.Body, closed: func(b []byte) {
		n.took = time.Since(started)
		n.read(b)
		t.add(n)
	}}
	return resp, nil
}

func (t *trace) add(n note) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, n)
}

// body keeps what is read of it until it is closed.
type body struct {
	io.ReadCloser
	read   bytes.Buffer
	closed func([]byte)
	once   sync.Once
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Write(p[:n])
	return n, err
}

func (b *body) Close() error {
	b.once.Do(func() { b.closed(b.read.Bytes()) })
	return b.ReadCloser.Close()
}

// nameOf returns the name of the list at a path.
func nameOf(path string) string {
	_, path, ok := strings.Cut(path, "/v2/integrations")
	elements := strings.Split(path, "/") // the first is empty
	switch {
	case !ok:
		return tokens
	case len(elements) == 1:
		return integrations
	case len(elements) == 2:
		return storeLogs
	case len(elements) > 3:
		return jobLogs
	case elements[2] == "jobs":
		return integrationJobs
	}
	return integrationLogs
}

var (
	aboutLimits = regexp.MustCompile(`(?i)limit|retry|quota`)
	numbers     = regexp.MustCompile(`^[0-9]{1,10}([.,;= w]{1,3}[0-9]{1,10}){0,5}$`)
	plainName   = regexp.MustCompile(`^[a-z_]{1,20}$`)
)

// limits returns the headers about limits. Only numbers are shown of their values.
func limits(h http.Header) (found []string) {
	for name, values := range h {
		if !aboutLimits.MatchString(name) {
			continue
		}
		value := values[0]
		if !numbers.MatchString(value) {
			value = "(not a number)"
		}
		found = append(found, fmt.Sprintf("%.40s: %s", name, value))
	}
	slices.Sort(found)
	return found
}

// read notes what a body looks like.
func (n *note) read(b []byte) {
	var members map[string]json.RawMessage
	if n.status != http.StatusOK || json.Unmarshal(b, &members) != nil {
		return
	}
	if n.list == tokens {
		var seconds json.Number // also where the JSON has text
		if json.Unmarshal(members["expires_in"], &seconds) == nil {
			n.lifetime = seconds.String()
		}
		return
	}
	var data []json.RawMessage
	if json.Unmarshal(members["data"], &data) == nil {
		n.records = len(data)
	}
	var meta map[string]json.RawMessage
	_ = json.Unmarshal(members["meta"], &meta) // what is no object has no members
	n.form = formOf(members, meta)
}

// The four forms of the vendor's documents.
const (
	formMeta   = "meta and results (the reference page)"
	formLinks  = "links (the OpenAPI document)"
	formNested = "meta.page and meta.results (the paging guide)"
	formBare   = "only data (the job list)"
)

// formOf names the form of a list by the members beside the records.
func formOf(members, meta map[string]json.RawMessage) string {
	names := slices.Sorted(maps.Keys(members))
	switch strings.Join(names, " ") {
	case "data":
		return formBare
	case "data links":
		return formLinks
	case "data meta":
		if _, ok := meta["page"]; ok {
			return formNested
		}
	case "data meta results":
		return formMeta
	}
	for i, name := range names {
		if !plainName.MatchString(name) {
			names[i] = "(an odd name)"
		}
	}
	return "none of the four that are documented: " + strings.Join(names, ", ")
}
