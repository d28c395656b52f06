package epcclogs

import (
	"net/http"
	"time"
)

// What tests outside of the package need of its inside.
const DefaultTimeout = defaultTimeout

var (
	NewTransport = newTransport
	ReadToken    = readToken
	RetryAfter   = retryAfter
)

func (p RetryPolicy) WithDefaults() (RetryPolicy, error)      { return p.withDefaults() }
func (p RetryPolicy) Wait(n int, h http.Header) time.Duration { return p.wait(n, h) }
