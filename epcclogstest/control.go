package epcclogstest

import (
	"fmt"

	"github.com/epcclogs/epcclogs"
)

// AddLogs adds logs that have just arrived, the oldest first, at the growing end of
// the integration's listing and of the list of the whole store. That is the end of
// the list, or the front with [WithNewestFirst]. AddLogs panics if the server does
// not hold the integration.
func (s *Server) AddLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	s.store.add(integrationID, logs)
}

// PrependLogs puts logs at the front of an integration's listing.
//
// Deprecated: Use [Server.InsertLogs] with index 0.
func (s *Server) PrependLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	s.InsertLogs(integrationID, 0, logs...)
}

// InsertLogs puts logs into an integration's listing: the first of them gets the
// index, and the others follow it. In this way a log can appear late, a few
// places before the growing end. All logs behind it move to higher offsets, so a client
// that pages by offset gets some of them again. In the list of the whole store, logs that are
// inserted at an end stand at the same end. Others stand beside a neighbour from the
// integration's listing.
//
// InsertLogs panics when the server does not hold the integration, and when the
// index is below 0 or above the number of its logs.
func (s *Server) InsertLogs(integrationID string, index int, logs ...epcclogs.IntegrationLog) {
	s.store.insert(integrationID, index, logs)
}

// RemoveLogs deletes the logs of an integration for which remove returns true,
// and returns how many it deleted. It calls remove once for each log, in order
// of arrival. This is how a store's retention deletes old logs:
//
//	srv.RemoveLogs(id, func(l epcclogs.IntegrationLog) bool {
//		return l.CreatedAt().Before(limit)
//	})
//
// The function remove must not call methods of the server: they wait until
// RemoveLogs returns. RemoveLogs panics if the server does not hold the integration.
func (s *Server) RemoveLogs(integrationID string, remove func(epcclogs.IntegrationLog) bool) int {
	return s.store.remove(integrationID, remove)
}

// RemoveIntegration deletes an integration with all its logs. Requests for it are
// answered 404 from then on. RemoveIntegration panics if the server does not hold the
// integration.
func (s *Server) RemoveIntegration(integrationID string) {
	s.store.removeIntegration(integrationID)
}

// Requests returns the requests received so far, in order of arrival, token
// requests included. Only the last 10,000 are kept.
func (s *Server) Requests() []Request { return s.intake.kept() }

// OnRequest sets a function that is called for every API request from now on,
// before it is answered, for instance to add logs between two pages. n is the
// number of the API request, counted from the server's start; the first is 1.
//
// Requests that arrive together call f at the same time, so f must be safe for
// concurrent use. While f waits, only its own request is delayed. OnRequest(nil)
// ends the calls.
func (s *Server) OnRequest(f func(n int, r Request)) { s.intake.setHook(f) }

// Fail answers the next n API requests with f, whatever they ask for. Further calls
// add to a queue: after Fail(2, Reset()) and Fail(1, Stall()), the next three requests
// fail.
func (s *Server) Fail(n int, f Fault) { s.intake.faults.add(n, f) }

// FailRequest answers the k-th API request from now on with f; the next one is
// the first. That request takes no fault from the queue of [Server.Fail].
func (s *Server) FailRequest(k int, f Fault) {
	if k < 1 {
		panic(fmt.Sprintf("epcclogstest: FailRequest(%d, …): the next request is number 1", k))
	}
	s.intake.faults.addAt(k, f)
}

// FailToken answers the next n token requests with f, as [Server.Fail] does
// with API requests. Use Status(200, …) to send an unusual token.
func (s *Server) FailToken(n int, f Fault) { s.intake.tokenFaults.add(n, f) }

// RevokeTokens ends all tokens issued so far: requests with them are answered
// 401 from now on. It has no effect without [WithClientCredentials].
func (s *Server) RevokeTokens() { s.tokens.revoke() }
