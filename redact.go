package epcclogs

import (
	"errors"
	"net/url"
	"strings"
)

// redaction hides the credentials of a request in what a server sends back.
// Debugging pages, for example, show the request.
type redaction struct {
	token  string // the bearer token of the attempt; empty for none
	secret string // the client secret in a request for a token; empty for none
	bodies bool   // whole bodies are hidden: an answer with a token, for example
}

// in returns text without the credentials. Credentials shorter than 8 characters
// stay: they protect nothing, and ordinary text may contain them.
func (h redaction) in(text string) string {
	for _, credential := range []string{h.token, h.secret} {
		if len(credential) < 8 {
			continue
		}
		for _, form := range []string{credential, url.QueryEscape(credential), strings.ReplaceAll(credential, "/", `\/`)} {
			text = strings.ReplaceAll(text, form, "[hidden]")
		}
	}
	return text
}

// inError returns err, or an error with its text where that shows a credential.
func (h redaction) inError(err error) error {
	if text := h.in(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// keep returns the part of a body that an error shows, in a new slice.
// Credentials are hidden before the body is cut. The end of what was read is left out,
// since it may hold a part of a credential.
func (h redaction) keep(body []byte) []byte {
	if h.bodies {
		return nil
	}
	kept := []byte(h.in(string(body[:min(len(body), h.needed())])))
	if len(body) >= h.needed() {
		kept = kept[:max(0, len(kept)-h.longest())]
	}
	return kept[:min(len(kept), maxErrorBody)]
}

// needed returns how many bytes of a body keep looks at.
func (h redaction) needed() int { return maxErrorBody + h.longest() }

// longest returns how many bytes the token has at most, when it is escaped.
func (h redaction) longest() int { return 3 * len(h.token) }
