package epcclogs

import (
	"net/http"
	"time"
)

// DefaultTimeout is defaultTimeout, for the tests, as all in this file.
const DefaultTimeout = defaultTimeout

// NewTransport calls newTransport.
func NewTransport(timeout time.Duration) *http.Transport { return newTransport(timeout) }

// ReadToken calls readToken.
func ReadToken(h http.Header, body []byte) (string, time.Duration, error) { return readToken(h, body) }

// RetryAfter calls retryAfter.
func RetryAfter(h http.Header) (time.Duration, bool) { return retryAfter(h) }

// WithDefaults calls withDefaults.
func (p RetryPolicy) WithDefaults() (RetryPolicy, error) { return p.withDefaults() }

// Wait calls wait, for a new client each time.
func (p RetryPolicy) Wait(n int, h http.Header) time.Duration { return newRetry(p).wait(n, h) }

// Age is what the response said.
func (p *Page[T]) Age() time.Duration { return p.age }

// Unread returns the indexes of the records that cannot be read.
func (p *Page[T]) Unread() (indexes []int) {
	for _, r := range p.unread {
		indexes = append(indexes, r.index)
	}
	return indexes
}
