package epcclogstest

import (
	"fmt"
	"time"

	"github.com/epcclogs/epcclogs"
)

// Option sets up a server before it starts; see the functions that return one.
type Option func(*Server)

// Envelope is the form of the JSON around the records of a listing. The
// vendor's documents show four; which one a store sends is not documented.
type Envelope int

// The known envelopes. Meta is the default.
const (
	// Meta is the reference page's: meta with limit, offset, current and total
	// (in pages), and beside it results with the total in records.
	Meta Envelope = iota
	// Links is the OpenAPI document's: links to the first, next and previous
	// page, relative and without /v2, and no count. The last page has no next.
	Links
	// Nested is the paging guide's: as Meta, but meta.page and meta.results.
	Nested
	// Bare has data and nothing else.
	Bare
)

// String returns the name of the constant, for use in the names of subtests.
func (e Envelope) String() string {
	switch e {
	case Meta:
		return "Meta"
	case Links:
		return "Links"
	case Nested:
		return "Nested"
	case Bare:
		return "Bare"
	}
	return fmt.Sprintf("Envelope(%d)", int(e))
}

// WithIntegration adds an integration with its logs, the oldest first. It may be
// given any number of times, with a new id each time. The server then holds no
// sample data.
func WithIntegration(in epcclogs.Integration, logs ...epcclogs.IntegrationLog) Option {
	return func(s *Server) { s.store.addIntegration(in, logs) }
}

// WithNewestFirst lists logs and jobs from the newest to the oldest. Without it
// the oldest come first. Integrations are listed in the order in which they were
// given either way.
func WithNewestFirst() Option {
	return func(s *Server) { s.store.newestFirst = true }
}

// WithEnvelope chooses the envelope of all listings but the jobs'.
func WithEnvelope(e Envelope) Option {
	if e < Meta || e > Bare {
		panic("epcclogstest: unknown " + e.String())
	}
	return func(s *Server) { s.envelope = e }
}

// WithLatency delays every answer by d, a token's too. The delay is cut short
// when the client leaves and on Close.
func WithLatency(d time.Duration) Option {
	return func(s *Server) { s.latency = d }
}

// WithRequestLimit answers API requests with 429 and Retry-After: 1 once burst
// of them have come faster than perSecond. A perSecond of 0 admits burst
// requests and no more. Token requests are not counted.
func WithRequestLimit(perSecond float64, burst int) Option {
	return func(s *Server) {
		s.limit = &bucket{perSecond: perSecond, burst: float64(burst), level: float64(burst)}
	}
}

// WithMaxLimit sets the longest page, in place of 100 records. Who asks for
// more gets n, and is told so by the envelope.
func WithMaxLimit(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("epcclogstest: longest page of %d records", n))
	}
	return func(s *Server) { s.maxLimit, s.silentLimit = n, false }
}

// WithSilentMaxLimit sets the longest page as [WithMaxLimit] does, but without
// telling: the envelope repeats the limit that was asked for, and numbers and
// counts pages of that length. Only the total of records stays right, and
// whether there is a next link.
func WithSilentMaxLimit(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("epcclogstest: longest page of %d records", n))
	}
	return func(s *Server) { s.maxLimit, s.silentLimit = n, true }
}

// WithMaxOffset answers 400 to a page[offset] above n, with an error that names
// the limit: 400 is what the vendor's documents give for a request that is not
// valid. They name 10,000 as a limit for offsets, but not the answer beyond it.
func WithMaxOffset(n int) Option {
	if n < 0 {
		panic(fmt.Sprintf("epcclogstest: highest offset of %d", n))
	}
	return func(s *Server) { s.maxOffset = n }
}

// WithIgnoredOffset makes the server answer with the first page of a listing
// whatever page[offset] says, and say in the envelope that it is the first.
func WithIgnoredOffset() Option {
	return func(s *Server) { s.ignoredOffset = true }
}

// WithClientCredentials gives the server a client that may ask for tokens, and
// makes it answer 401 to every bearer token that it has not given out itself,
// that is older than lifetime, or that [Server.RevokeTokens] has ended. A
// lifetime of 0 is the service's own, an hour.
//
// Without this option any bearer token is accepted, and any client is given one.
func WithClientCredentials(clientID, clientSecret string, lifetime time.Duration) Option {
	if lifetime == 0 {
		lifetime = tokenLifetime
	}
	return func(s *Server) { s.credentials = &credentials{clientID, clientSecret, lifetime} }
}
