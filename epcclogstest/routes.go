package epcclogstest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/epcclogs/epcclogs/internal/envelope"
)

// answerAPI answers a request for records.
func answerAPI(r *http.Request, authorized bool, pages pages, store *store) answer {
	path, ok := route(r.URL)
	if !ok {
		return NotFound().change(answer{})
	}
	if r.Method != http.MethodGet {
		return methodNotAllowed(http.MethodGet)
	}
	if !authorized {
		return errorAnswer(http.StatusUnauthorized, "Unauthorized", "A valid bearer token is required.")
	}
	page, err := pages.read(r.URL)
	if err != nil {
		return errorAnswer(http.StatusBadRequest, "Bad Request", err.Error())
	}

	if len(path) == 0 {
		return list(page, store.allIntegrations(), renderIntegration)
	}
	page.newestFirst = store.newestFirst
	if len(path) == 1 && path[0] == "logs" {
		return list(page, store.allLogs(), renderLog)
	}
	in, ok := store.integration(path[0])
	if !ok {
		return NotFound().change(answer{})
	}
	switch len(path) {
	case 1:
		return jsonAnswer(http.StatusOK, envelope.Marshal(map[string]any{"data": renderIntegration(in.Integration)}))
	case 2:
		if path[1] == "jobs" {
			page.envelope = Bare
			return list(page, in.jobs(), renderJob)
		}
		return list(page, in.logs, renderLog)
	default:
		logs := in.jobLogs(path[2])
		if len(logs) == 0 {
			return NotFound().change(answer{})
		}
		return list(page, logs, renderLog)
	}
}

// route returns the segments of the path below /v2/integrations, unescaped, and
// reports whether there is an endpoint of this form.
func route(u *url.URL) (path []string, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/v2/integrations")
	if !ok || rest == "" {
		return nil, ok
	}
	if rest[0] != '/' {
		return nil, false
	}
	path = strings.Split(rest[1:], "/")
	for i, segment := range path {
		segment, err := url.PathUnescape(segment)
		if err != nil || segment == "" || segment == "." || segment == ".." {
			return nil, false
		}
		path[i] = segment
	}
	switch len(path) {
	case 1:
		return path, true
	case 2:
		return path, path[1] == "logs" || path[1] == "jobs"
	case 4:
		return path, path[1] == "jobs" && path[3] == "logs"
	}
	return nil, false
}
