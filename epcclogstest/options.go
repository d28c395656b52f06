package epcclogstest

import (
	"fmt"
	"net"
	"time"

	"github.com/epcclogs/epcclogs"
)

// WithIntegration adds an integration with its logs, the oldest first. It may be
// given several times, with another id each time. With it, the server holds no
// sample data.
func WithIntegration(in epcclogs.Integration, logs ...epcclogs.IntegrationLog) Option {
	return func(s *Server) { s.store.addIntegration(in, logs) }
}

// WithNewestFirst lists logs and jobs from the newest to the oldest. Without it
// the oldest come first. Integrations are always listed in the order in which
// they were given.
func WithNewestFirst() Option {
	return func(s *Server) { s.store.newestFirst = true }
}

// WithEnvelope sets the envelope of all listings except those of jobs.
func WithEnvelope(e Envelope) Option {
	if e < Meta || e > Bare {
		panic("epcclogstest: unknown " + e.String())
	}
	return func(s *Server) { s.pages.envelope = e }
}

// WithListener takes connections from l, in place of a free port of 127.0.0.1: so a server that
// is started again keeps its URL. The server closes l.
func WithListener(l net.Listener) Option {
	if l == nil {
		panic("epcclogstest: WithListener(nil)")
	}
	return func(s *Server) { s.listener = l }
}

// WithLatency delays every answer by d, also to token requests. The delay ends
// early when the client leaves or the server is closed.
func WithLatency(d time.Duration) Option {
	return func(s *Server) { s.latency = d }
}

// WithRequestLimit limits API requests to perSecond on average, and to burst at
// once. Requests above the limit are answered 429 with Retry-After: 1. If perSecond
// is 0, all requests after the first burst are refused in this way. Token requests
// do not count.
func WithRequestLimit(perSecond float64, burst int) Option {
	return func(s *Server) {
		s.intake.limit = &bucket{perSecond: perSecond, burst: float64(burst), level: float64(burst)}
	}
}

// WithMaxLimit sets the length of the longest page, in place of 100 records. A
// request for more gets n records, and the envelope says so.
func WithMaxLimit(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("epcclogstest: WithMaxLimit(%d): a page needs 1 record at least", n))
	}
	return func(s *Server) { s.pages.maxLimit, s.pages.silentLimit = n, false }
}

// WithSilentMaxLimit sets the length of the longest page as [WithMaxLimit] does,
// but the envelope does not say so: it repeats the limit that was asked for, and
// counts pages of that length. Only the total number of records is right, and
// whether there is a next link.
func WithSilentMaxLimit(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("epcclogstest: WithSilentMaxLimit(%d): a page needs 1 record at least", n))
	}
	return func(s *Server) { s.pages.maxLimit, s.pages.silentLimit = n, true }
}

// WithMaxOffset answers 400 to requests with a page[offset] above n. The error names
// the limit. The vendor's documents limit offsets to 10,000, but do not show what
// happens above that; 400 is their answer to requests that are not valid.
func WithMaxOffset(n int) Option {
	if n < 0 {
		panic(fmt.Sprintf("epcclogstest: WithMaxOffset(%d): an offset is 0 at least", n))
	}
	return func(s *Server) { s.pages.maxOffset = n }
}

// WithIgnoredOffset makes the server ignore page[offset]: the answer is always
// the first page of the listing, and the envelope says that it is the first.
func WithIgnoredOffset() Option {
	return func(s *Server) { s.pages.ignoredOffset = true }
}

// WithClientCredentials sets the credentials of the only client that gets
// tokens. The server then answers 401 to every bearer token that it has not
// issued, that is older than lifetime, or that [Server.RevokeTokens] has ended.
// A lifetime of 0 is an hour, as in the service.
//
// Without this option every client gets a token, and every bearer token is
// accepted.
func WithClientCredentials(clientID, clientSecret string, lifetime time.Duration) Option {
	if lifetime == 0 {
		lifetime = tokenLifetime
	}
	return func(s *Server) { s.tokens.client = &credentials{clientID, clientSecret, lifetime} }
}
