// Package epcclogstest is a server that answers as Elastic Path's
// integration-logs API does, on the loopback interface. With it, programs that
// use package epcclogs can be tested and tried without an account or a network.
//
// [NewServer] starts a server with three sample integrations of 250 logs each, created in
// the last two hours or so, or with those given by [WithIntegration]:
//
//	srv := epcclogstest.NewServer()
//	defer srv.Close()
//	client, err := epcclogs.NewClient(
//		epcclogs.WithBaseURL(srv.URL),
//		epcclogs.WithToken("not-a-real-token"), // any will do
//	)
//
// [SampleIntegration] and [SampleLogs] make realistic data, the same at every run,
// times included; those of [SampleLogsUntil] end at a given time. [Log] makes one log
// of a given job, attempt and time. Data are served as they are given: no id, type
// or relationship is filled in.
//
// # What it answers
//
//	GET  /v2/integrations
//	GET  /v2/integrations/{id}
//	GET  /v2/integrations/{id}/logs
//	GET  /v2/integrations/{id}/jobs
//	GET  /v2/integrations/{id}/jobs/{job}/logs
//	GET  /v2/integrations/logs
//	POST /oauth/access_token
//
// Listings take page[limit] (default 25, at most 100) and page[offset] (in
// records). [WithEnvelope] sets the [Envelope] of their JSON, except for jobs,
// which the service always lists bare.
//
// Any bearer token is accepted. With [WithClientCredentials], only tokens that this
// server has issued are. Paths are not cleaned: one with an empty segment or a dot
// segment is not found.
//
// # A list that changes
//
// Logs are listed in order of arrival, whatever their time of creation: the
// oldest first, or the newest first with [WithNewestFirst]. So both an
// integration's listing and the list of the whole store grow at one end. At the
// start, the logs of the first [WithIntegration] are the oldest of the store.
//
// [Server.AddLogs] adds new logs at the growing end. [Server.InsertLogs] puts logs
// anywhere else. [Server.RemoveLogs] deletes logs, as a store's retention does, and
// [Server.RemoveIntegration] an integration with its logs. Call them in a function given to
// [Server.OnRequest] to change the list while a client pages. On a list of a
// million logs, each of these calls takes about a tenth of a second or less.
//
// # Trouble
//
// [Server.Fail], [Server.FailRequest] and [Server.FailToken] replace answers by a
// [Fault]: [RateLimited], [NotFound] and [ServerError] with the API's own errors, any
// other status, a gateway's page, a redirect, a body that is cut or stalls, a reset
// connection. [WithLatency], [WithRequestLimit],
// [WithMaxLimit], [WithSilentMaxLimit], [WithMaxOffset] and [WithIgnoredOffset]
// make the whole server slow, strict or unusual.
//
// [Server.Requests] returns the last requests received, without tokens and
// secrets.
package epcclogstest
