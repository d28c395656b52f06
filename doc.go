// Package epcclogs reads the integration logs of an Elastic Path Commerce Cloud
// store: one record for each attempt to deliver an event to a webhook or a queue.
//
//	client, err := epcclogs.NewClientFromEnv()
//	if err != nil {
//		log.Fatal(err)
//	}
//	yesterday := time.Now().Add(-24 * time.Hour)
//	for entry, err := range client.StoreLogs(nil).Since(yesterday).All(ctx) {
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
// [WithClientCredentials] takes the id and the secret of an application key. The
// client fetches bearer tokens with them, and renews the tokens. [NewClientFromEnv]
// takes id and secret from the environment. [WithToken] and [WithTokenFunc] are for
// tokens from elsewhere.
//
// Credentials are sent to the host of the base URL and nowhere else:
// redirects are not followed, and plain http is refused except for loopback
// addresses. They appear in no error, no log record and no formatted value.
//
// # Lists
//
// A method with List in its name gets one page. The method without it returns a
// [Pager], which gets all pages:
//
//   - [Pager.All] returns the records, [Pager.Pages] the pages.
//   - [Pager.Since] returns only what was created at a time or later.
//   - [Pager.Concurrent] gets several pages at a time.
//   - [Pager.Cursor] returns the place of a pager as text. [Pager.Resume] goes on
//     there, also in another run: for programs that only want what is new.
//   - [Pager.Follow] goes on for ever with what the store adds. [Pager.CaughtUp] tells
//     how far it has come.
//
// [IntegrationLog.Key] returns a primary key for a log.
//
// # While the list changes
//
// A store adds logs while they are read, and deletes the oldest. Every record that
// is in the list from the first request to the last is returned exactly once, or
// the loop gets an error: [ErrPagination] if the list moves faster than it can be
// read, or if the server's paging cannot be followed. This holds for All, Pages and
// Follow, and with Concurrent. [Pager] lists the limits, and [Pager.Resume] what holds from
// a Cursor to its Resume.
//
// # Errors
//
// A response with any status but 200 is an [*APIError]. It matches [ErrNotFound],
// [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or [ErrServer] by its status,
// and holds the messages of its body as [ErrorBody]. So is a response with status 200
// that lists errors. A response that is not the documented JSON is a [*DecodeError].
// Arguments are checked before anything is sent; see [ErrInvalidArgument].
//
// One error may match several of these. Test in this order: ErrInvalidArgument, the error
// of the context, ErrUnauthorized and ErrForbidden, ErrNotFound, ErrRateLimited, ErrServer
// and [io.ErrUnexpectedEOF] (a response that ended early), ErrPagination.
//
// # Retries and time-outs
//
// Temporary failures are retried. By default a call sends up to five requests, and
// outlives an outage of three seconds; see [RetryPolicy]. Each attempt may take 30
// seconds; see [WithTimeout]. The context bounds the whole call.
//
// A call that gives up returns the error of its last attempt. That error also holds
// the last response, if an earlier attempt got one. If the context ended the call,
// the error matches that of the context, and holds the last failure.
//
// # Rate limits
//
// A client sends at most 100 requests a second, or as many as [WithRateLimit] says.
// When the API answers 429, the client pauses all requests. From then on it stays
// just below the rate that the API was seen to allow. The limit belongs to the store,
// and the shop shares it. WithRateLimit says how to leave room.
//
// # Logging
//
// Nothing is logged unless [WithLogger] is given. [WithOnAttempt] tells a program of each
// request.
//
// # Testing
//
// Package [github.com/epcclogs/epcclogs/epcclogstest] is a server that answers as
// the API does. It can fail as servers and networks do, and change its lists while
// they are read.
package epcclogs
