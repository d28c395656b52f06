// Package epcclogs reads the integration logs of an Elastic Path Commerce Cloud
// store: the records of its attempts to deliver events to webhooks and queues.
//
//	client, err := epcclogs.NewClientFromEnv()
//	if err != nil {
//		log.Fatal(err)
//	}
//	for entry, err := range client.IntegrationLogs(integrationID, nil).All(ctx) {
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(entry.CreatedAt(), entry.Succeeded, entry.StatusCode, entry.ErrorDetail)
//	}
//
// # Credentials
//
// [WithClientCredentials] fetches bearer tokens with the id and the secret of an
// application key and renews them; [NewClientFromEnv] takes both from the
// environment. [WithToken] and [WithTokenFunc] are for tokens that come from
// elsewhere. Credentials are sent to the host of the base URL and nowhere else:
// redirects are not followed, and plain http is refused but for loopback
// addresses. They appear in no error, no log record and no formatted value.
//
// # Paging
//
// A List method gets one page. The method without List in its name returns a
// [Pager] over all pages, to range over by record ([Pager.All]) or by page
// ([Pager.Pages]). It works with each of the four forms in which the API's
// documents show a list, and goes by the records that it has received: a listing
// that ends without an error has everything that the server claims to have. A
// loop may be left and taken up again, also by another pager at [Pager.Offset].
// [Pager.Concurrent] reads several pages at a time.
//
// Records that are added while a listing runs may move others to a later page,
// where they come a second time.
//
// # Errors
//
// A response with any status but 200 is an [*APIError], which matches
// [ErrNotFound], [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or
// [ErrServer] by its status and holds the [ErrorBody] elements of its body. A
// response that is not the documented JSON is a [*DecodeError]. Arguments are
// checked before anything is sent, see [ErrInvalidArgument]. A listing that cannot
// be followed is [ErrPagination].
//
// # Retries and time-outs
//
// Temporary failures are retried: a call sends up to five requests, and so outlives
// an outage of three seconds (see [RetryPolicy]). The error of a call that gives up
// is that of its last response. Each attempt may take 30 seconds ([WithTimeout]).
// The whole call is bounded by its context alone. An error that was caused by the
// end of the context matches the context's error, and tells the last failure too.
//
// # Rate limits
//
// A client sends 100 requests a second at most, or as many as [WithRateLimit]
// says. Where the API allows less, it answers 429, which pauses all requests at
// once; from then on the client keeps just below what the API was seen to allow.
// The limit is the store's, and its shoppers share it: WithRateLimit tells how to
// leave them room.
//
// # Logging
//
// The package logs nothing unless [WithLogger] says so.
//
// # Compatibility
//
// The API's documents show a list with meta and results, with links, with both
// nested in meta, or with data alone. All four decode into the same [Page]; which
// members of it are set depends on the store. Members that the documents do not
// name are ignored. The package was written against the documents and package
// epcclogstest, without a live store.
//
// # Testing
//
// Package [github.com/epcclogs/epcclogs/epcclogstest] is a server for tests that
// answers as the API does, and that can be told to fail in the ways that servers
// and networks do.
package epcclogs
