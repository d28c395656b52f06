package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// exampleClient returns a client of a server with two integrations and 250 logs
// each.
func exampleClient() (client *epcclogs.Client, integrationID string, done func()) {
	options := make([]epcclogstest.Option, 2)
	for i := range options {
		in := epcclogstest.SampleIntegration(i)
		options[i] = epcclogstest.WithIntegration(in, epcclogstest.SampleLogs(in.ID, 250)...)
	}
	srv := epcclogstest.NewServer(options...)
	client = exampleClientOf(srv)
	return client, epcclogstest.SampleIntegration(0).ID, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// exampleClientOf returns a client of the server.
func exampleClientOf(srv *epcclogstest.Server, opts ...epcclogs.Option) *epcclogs.Client {
	opts = append([]epcclogs.Option{epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token")}, opts...)
	client, err := epcclogs.NewClient(opts...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func ExampleNewClient() {
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(epcclogs.USEast),
		epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"),
		epcclogs.WithTimeout(10*time.Second),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 6}),
		epcclogs.WithRateLimit(25), // a development store
		epcclogs.WithMaxResponseSize(8<<20),
		epcclogs.WithUserAgent("my-service/1.2"),
		epcclogs.WithLogger(slog.Default()),
	)
	fmt.Println(client != nil, err)

	_, err = epcclogs.NewClient(epcclogs.WithBaseURL("http://example.com"), epcclogs.WithToken("not-a-real-token"))
	fmt.Println(errors.Is(err, epcclogs.ErrInvalidArgument), err)
	// Output:
	// true <nil>
	// true epcclogs: invalid argument: credentials would be sent unencrypted to http://example.com; use https
}

func ExampleNewClientFromEnv() {
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET"} {
		if err := os.Unsetenv(name); err != nil {
			log.Fatal(err)
		}
	}
	_, err := epcclogs.NewClientFromEnv()
	fmt.Println(err)
	// Output: epcclogs: invalid argument: missing in the environment: EPCC_CLIENT_ID, EPCC_CLIENT_SECRET
}

func ExampleWithTokenFunc() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithTokenFunc(func(context.Context) (string, error) {
			return "not-a-real-token", nil // from a vault, or another service
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	page, err := client.ListStoreLogs(context.Background(), &epcclogs.ListOptions{Limit: 5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Data))
	// Output: 5
}

func ExampleWithHTTPClient() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64     // connections to keep, as the client's own transport does
	defer transport.CloseIdleConnections() // the client leaves that to its owner

	srv := epcclogstest.NewServer()
	defer srv.Close()
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithToken("not-a-real-token"),
		epcclogs.WithHTTPClient(&http.Client{Transport: transport}),
	)
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.ListStoreLogs(context.Background(), nil)
	fmt.Println(err)
	// Output: <nil>
}

// Metrics of requests: what each attempt of each call came to.
func ExampleWithOnAttempt() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	srv.FailRequest(1, epcclogstest.Status(http.StatusServiceUnavailable, ""))
	client := exampleClientOf(srv,
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: time.Millisecond}),
		epcclogs.WithOnAttempt(func(_ context.Context, a epcclogs.Attempt) {
			fmt.Println(a.Method, a.Path, a.Query, a.Number, a.StatusCode, a.Retry)
		}))
	defer client.CloseIdleConnections()
	if _, err := client.ListIntegrations(context.Background(), &epcclogs.ListOptions{Limit: 10}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// GET /v2/integrations page[limit]=10 1 503 true
	// GET /v2/integrations page[limit]=10 2 200 false
}

func ExampleClient_ListIntegrationLogs() {
	client, integrationID, done := exampleClient()
	defer done()

	page, err := client.ListIntegrationLogs(context.Background(), integrationID, &epcclogs.ListOptions{Limit: 10})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Data), "of", page.Results.Total)
	fmt.Println("page", page.Meta.Current, "of", page.Meta.Total)
	entry := page.Data[0]
	fmt.Println(entry.Succeeded, entry.StatusCode, entry.Attempt, entry.IntegrationID() == integrationID)
	// Output:
	// 10 of 250
	// page 1 of 25
	// true 200 1 true
}

func ExamplePager_All() {
	client, integrationID, done := exampleClient()
	defer done()

	total := 0
	for entry, err := range client.IntegrationLogs(integrationID, nil).All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if !entry.CreatedAt().IsZero() {
			total++
		}
	}
	fmt.Println(total)
	// Output: 250
}

func ExamplePager_Pages() {
	client, integrationID, done := exampleClient()
	defer done()

	pager := client.IntegrationLogs(integrationID, nil)
	for page, err := range pager.Pages(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(page.Data), pager.Offset())
	}
	// Output:
	// 100 100
	// 99 199
	// 51 250
}

// A program that runs now and then reads only what is new, although the store has
// deleted its oldest logs meanwhile.
func ExamplePager_Resume() {
	in := epcclogstest.SampleIntegration(0)
	logs := epcclogstest.SampleLogs(in.ID, 250)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(in, logs[:200]...))
	defer srv.Close()
	client := exampleClientOf(srv)
	defer client.CloseIdleConnections()

	cursor := "" // that of the last run; the first one begins at the beginning
	run := func() {
		read := 0
		pager := client.IntegrationLogs(in.ID, nil).Resume(cursor)
		for _, err := range pager.All(context.Background()) {
			if err != nil {
				log.Fatal(err)
			}
			read++
		}
		cursor = pager.Cursor()
		fmt.Println(read, "new")
	}

	run()
	srv.AddLogs(in.ID, logs[200:]...)
	srv.RemoveLogs(in.ID, func(l epcclogs.IntegrationLog) bool { return l.CreatedAt().Before(logs[60].CreatedAt()) })
	run()
	run()
	// Output:
	// 200 new
	// 50 new
	// 0 new
}

// A service that is told of each failed delivery.
func ExamplePager_Follow() {
	in := epcclogstest.SampleIntegration(0)
	at := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	first, second := epcclogstest.Log(in.ID, "job-1", 1, at), epcclogstest.Log(in.ID, "job-1", 2, at.Add(time.Minute))
	first.Succeeded, first.ErrorDetail = false, "connection refused"
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(in, epcclogstest.SampleLogs(in.ID, 10)...))
	defer srv.Close()
	client := exampleClientOf(srv)
	defer client.CloseIdleConnections()

	read := 0
	for entry, err := range client.IntegrationLogs(in.ID, nil).Follow(context.Background(), 10*time.Millisecond) {
		if err != nil {
			log.Print(err) // Follow tries again after the interval
			continue
		}
		read++
		switch {
		case read == 10: // all that there was; now the store adds something
			srv.AddLogs(in.ID, first, second)
		case read > 10 && !entry.Succeeded:
			fmt.Println(entry.JobID(), "attempt", entry.Attempt, "failed:", entry.ErrorDetail)
		case read > 10:
			fmt.Println(entry.JobID(), "attempt", entry.Attempt, "succeeded")
		}
		if read == 12 {
			break // a service goes on until its context ends
		}
	}
	// Output:
	// job-1 attempt 1 failed: connection refused
	// job-1 attempt 2 succeeded
}

// The key of a record is the same whenever it is read, so that a copy of the logs
// holds each one once.
func ExampleIntegrationLog_Key() {
	client, integrationID, done := exampleClient()
	defer done()

	table := make(map[string]epcclogs.IntegrationLog) // or a table with this primary key
	for range 2 {
		for entry, err := range client.IntegrationLogs(integrationID, nil).All(context.Background()) {
			if err != nil {
				log.Fatal(err)
			}
			table[entry.Key()] = entry
		}
	}
	fmt.Println(len(table))
	// Output: 250
}

func ExamplePager_Concurrent() {
	client, integrationID, done := exampleClient()
	defer done()

	total := 0
	for _, err := range client.IntegrationLogs(integrationID, nil).Concurrent(8).All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		total++
	}
	fmt.Println(total)
	// Output: 250
}

func ExampleAPIError() {
	client, _, done := exampleClient()
	defer done()

	_, err := client.ListIntegrationLogs(context.Background(), "00000000-0000-4000-8000-000000000000", nil)
	if errors.Is(err, epcclogs.ErrNotFound) {
		fmt.Println("no such integration")
	}
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Attempts)
	}
	var body *epcclogs.ErrorBody
	if errors.As(err, &body) {
		fmt.Println(body.Title)
	}
	// Output:
	// no such integration
	// 404 1
	// Not Found
}

func ExampleDecodeError() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	srv.Fail(1, epcclogstest.Status(http.StatusOK, `{"data":[{"id":"a"},{"id":"b","succeeded":"no"}]}`))
	client := exampleClientOf(srv)
	defer client.CloseIdleConnections()

	_, err := client.ListStoreLogs(context.Background(), nil)
	var decodeErr *epcclogs.DecodeError
	if errors.As(err, &decodeErr) {
		where, _, _ := strings.Cut(decodeErr.Err.Error(), ":")
		fmt.Println(where)
		fmt.Println(string(decodeErr.Body))
	}
	// Output:
	// data[1].succeeded
	// {"data":[{"id":"a"},{"id":"b","succeeded":"no"}]}
}

func ExampleRetryPolicy() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	srv.Fail(2, epcclogstest.GatewayPage(http.StatusServiceUnavailable))
	client := exampleClientOf(srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 3, MinWait: time.Millisecond}))
	defer client.CloseIdleConnections()

	_, err := client.ListStoreLogs(context.Background(), nil)
	fmt.Println(err, len(srv.Requests()))
	// Output: <nil> 3
}

func ExampleClient_GetIntegration() {
	client, integrationID, done := exampleClient()
	defer done()

	in, err := client.GetIntegration(context.Background(), integrationID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(in.Name, in.IntegrationType, in.Enabled, len(in.Observes) > 0)
	// Output: Order fulfilment webhook true true
}

func ExampleClient_Integrations() {
	client, _, done := exampleClient()
	defer done()

	for in, err := range client.Integrations(nil).All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(in.Name)
	}
	// Output:
	// Order fulfilment
	// Stock ledger
}

// The jobs of an integration, and the attempts of each.
func ExampleClient_JobLogs() {
	in := epcclogstest.SampleIntegration(0)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(in, epcclogstest.SampleLogs(in.ID, 30)...))
	defer srv.Close()
	client := exampleClientOf(srv)
	defer client.CloseIdleConnections()

	ctx := context.Background()
	jobs, attempts := 0, 0
	for job, err := range client.IntegrationJobs(in.ID, nil).All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		jobs++
		for _, err := range client.JobLogs(in.ID, job.ID, nil).All(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			attempts++
		}
	}
	fmt.Println(jobs > 0, attempts)
	// Output: true 30
}

// One page of the integrations, and one of the jobs of one.
func ExampleClient_ListIntegrations() {
	client, integrationID, done := exampleClient()
	defer done()
	ctx := context.Background()

	integrations, err := client.ListIntegrations(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	jobs, err := client.ListIntegrationJobs(ctx, integrationID, &epcclogs.ListOptions{Limit: 3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(integrations.Data), len(jobs.Data))
	// Output: 2 3
}

func ExampleClient_StoreLogs() {
	client, _, done := exampleClient()
	defer done()

	failed := make(map[string]int) // by integration
	for entry, err := range client.StoreLogs(nil).All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if !entry.Succeeded {
			failed[entry.IntegrationID()]++
		}
	}
	fmt.Println(len(failed))
	// Output: 2
}

// What to do about each kind of error. One may match several cases: their order counts.
func Example_errors() {
	advice := func(err error) string {
		switch {
		case errors.Is(err, epcclogs.ErrInvalidArgument):
			return "fix the program or its settings" // nothing was sent
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			return "allow more time" // the text has the last failure
		case errors.Is(err, epcclogs.ErrUnauthorized), errors.Is(err, epcclogs.ErrForbidden):
			return "check the application key" // 401, 403
		case errors.Is(err, epcclogs.ErrNotFound):
			return "check the id" // 404: an unknown integration or job
		case errors.Is(err, epcclogs.ErrRateLimited), errors.Is(err, epcclogs.ErrServer), errors.Is(err, io.ErrUnexpectedEOF):
			return "try later" // 429 (APIError.RetryAfter says when), 5xx, a response that ended early
		case errors.Is(err, epcclogs.ErrPagination):
			return "loop again" // the pager keeps its place; report it if it comes again
		default:
			return "read it" // no connection, another status, not the documented JSON, too large
		}
	}

	srv := epcclogstest.NewServer()
	defer srv.Close()
	once := epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1})
	client := exampleClientOf(srv, once)
	defer client.CloseIdleConnections()
	ctx := context.Background()

	_, err := client.GetIntegration(ctx, "not/an/id")
	fmt.Println("bad id:", advice(err))
	for _, status := range []int{401, 403, 404, 418, 500, 429} {
		srv.Fail(1, epcclogstest.Status(status, `{"errors":[{"title":"no"}]}`))
		_, err = client.ListStoreLogs(ctx, nil)
		fmt.Printf("%d: %s\n", status, advice(err))
	}

	client = exampleClientOf(srv, once) // without the pause after the 429
	defer client.CloseIdleConnections()
	for _, body := range []string{`{"errors":[{"title":"no"}]}`, `{"data":[{"id":1}]}`, `{"data":[`} {
		srv.Fail(1, epcclogstest.Status(200, body))
		_, err = client.ListStoreLogs(ctx, nil)
		fmt.Printf("%s: %s\n", body, advice(err))
	}

	twice := exampleClientOf(srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MaxWait: time.Millisecond}))
	defer twice.CloseIdleConnections()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	srv.Fail(1, epcclogstest.ServerError())
	srv.Fail(1, epcclogstest.Stall())
	_, err = twice.ListStoreLogs(short, nil)
	fmt.Println("500, then too slow:", errors.Is(err, epcclogs.ErrServer), advice(err))

	small := exampleClientOf(srv, epcclogs.WithMaxResponseSize(100))
	defer small.CloseIdleConnections()
	_, err = small.ListStoreLogs(ctx, nil)
	fmt.Println("100 bytes:", advice(err))
	srv.Close()
	_, err = client.ListStoreLogs(ctx, nil)
	fmt.Println("no server:", advice(err))
	// Output:
	// bad id: fix the program or its settings
	// 401: check the application key
	// 403: check the application key
	// 404: check the id
	// 418: read it
	// 500: try later
	// 429: try later
	// {"errors":[{"title":"no"}]}: read it
	// {"data":[{"id":1}]}: read it
	// {"data":[: try later
	// 500, then too slow: true allow more time
	// 100 bytes: read it
	// no server: read it
}

// An APIError has the same text in a log record as anywhere else.
func ExampleAPIError_LogValue() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	logger.Error("no logs", "error", &epcclogs.APIError{
		StatusCode: http.StatusNotFound,
		Method:     http.MethodGet,
		URL:        epcclogs.EUWest + "/v2/integrations/unknown/logs",
		Errors:     []epcclogs.ErrorBody{{Status: 404, Title: "Not Found"}},
		Attempts:   1,
	})
	// Output:
	// level=ERROR msg="no logs" error="epcclogs: GET https://euwest.api.elasticpath.com/v2/integrations/unknown/logs: 404 Not Found; check the ids and the base URL"
}
