// Package epcclogs reads the integration logs of an Elastic Path Commerce Cloud
// store: one record for each attempt to deliver an event to a webhook or a queue.
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
// The package was written against the API's documents and package
// [github.com/epcclogs/epcclogs/epcclogstest], not against a live store.
//
// # Credentials
//
// [WithClientCredentials] takes the id and the secret of an application key, fetches
// bearer tokens with them, and renews these. [NewClientFromEnv] takes both from the
// environment. [WithToken] and [WithTokenFunc] are for tokens that come from
// elsewhere. Credentials are sent to the host of the base URL and nowhere else:
// redirects are not followed, and plain http is refused except for loopback
// addresses. They appear in no error, no log record and no formatted value.
//
// # Lists
//
// A method with List in its name gets one page. The method without it returns a
// [Pager], which gets all pages:
//
//   - [Pager.All] returns the records, [Pager.Pages] the pages.
//   - [Pager.Concurrent] gets several pages at a time.
//   - [Pager.Cursor] writes down where a pager is, and [Pager.Resume] goes on there,
//     in another run too: for programs that only want what is new.
//   - [Pager.Follow] goes on for ever, with what the store adds. [Pager.CaughtUp] tells
//     how far it has come.
//
// [IntegrationLog.Key] tells logs apart, for a primary key.
//
// # While the list changes
//
// A store adds logs while they are read, and deletes the oldest. Every record that
// is in the list from the first request to the last is returned exactly once, or
// the loop ends with an error: [ErrPagination] when the list moves faster than it
// can be read, or the server's paging cannot be followed. This holds for All and
// Pages, with Concurrent, from a Cursor to its Resume, and for Follow. [Pager] lists
// the limits.
//
// # Errors
//
// A response with any status but 200 is an [*APIError]. It matches [ErrNotFound],
// [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or [ErrServer] by its status,
// and holds the messages of its body as [ErrorBody]. A response that is not the
// documented JSON is a [*DecodeError]. Arguments are checked before anything is
// sent; see [ErrInvalidArgument].
//
// # Retries and time-outs
//
// Temporary failures are retried. By default a call sends up to five requests, and
// outlives an outage of three seconds; see [RetryPolicy]. Each attempt may take 30
// seconds; see [WithTimeout]. Only its context bounds a whole call. The error of a
// call that gives up is that of its last response. If the context ended the call,
// the error matches that of the context, and holds the last failure too.
//
// # Rate limits
//
// A client sends at most 100 requests a second, or as many as [WithRateLimit] says.
// When the API answers 429, the client pauses all requests, and from then on stays
// just below the rate that the API was seen to allow. The limit is the store's, and
// the shop itself shares it. WithRateLimit says how to leave room.
//
// # Logging
//
// Nothing is logged, unless [WithLogger] is given.
//
// # Testing
//
// Package [github.com/epcclogs/epcclogs/epcclogstest] is a server that answers as
// the API does. It can be told to fail as servers and networks do, and to change its
// lists while they are read.
package epcclogs
