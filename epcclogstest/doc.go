// Package epcclogstest serves Elastic Path's integration-logs API on the
// loopback interface, so that programs that use package epcclogs can be tested
// and tried without an account or a network.
//
// [NewServer] starts a server that holds three sample integrations with 250
// logs each, or exactly the ones given with [WithIntegration]:
//
//	srv := epcclogstest.NewServer()
//	defer srv.Close()
//	client, err := epcclogs.NewClient(
//		epcclogs.WithBaseURL(srv.URL),
//		epcclogs.WithToken("not-a-real-token"), // any will do
//	)
//
// [SampleIntegration] and [SampleLogs] make realistic data, the same at every
// run; [Log] makes one log of a given job, attempt and time. Data are served as
// they are given: no id, type or relationship is filled in.
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
// Listings take page[limit], 25 unless said and at most 100, and page[offset],
// in records. They come in the [Envelope] that is chosen with [WithEnvelope],
// except for the jobs, which the service always lists bare.
//
// Any bearer token is accepted until [WithClientCredentials] asks for tokens
// that this server gave out. Paths are taken as they come: one with an empty
// segment or a dot segment is not found, never cleaned.
//
// # A list that changes
//
// Logs are listed from the oldest to the newest, or the other way round with
// [WithNewestFirst]. Old is what arrived first, whatever its time of creation.
// The list of the whole store is in order of arrival too, so new logs of any
// integration come at one end of it: the logs given with one [WithIntegration]
// arrived before those given with the next.
//
// [Server.AddLogs] adds new logs at the growing end. [Server.InsertLogs] and
// [Server.PrependLogs] put logs at a place of an integration's listing.
// [Server.RemoveLogs] deletes some, as a store's retention does. Called from the
// function that is given to [Server.OnRequest], they change the list while a
// client pages.
//
// # Trouble
//
// [Server.Fail], [Server.FailRequest] and [Server.FailToken] put a [Fault] in
// place of an answer: an error status, a gateway's page, a body that is cut or
// stalls, a reset connection, a redirect. [WithLatency], [WithRequestLimit],
// [WithMaxLimit], [WithSilentMaxLimit], [WithMaxOffset] and [WithIgnoredOffset]
// make the whole server slow, strict or odd.
//
// [Server.Requests] tells what was received, without tokens and secrets.
package epcclogstest
