package epcclogstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// newClient returns a client of the server, as the program under test would make
// it, but for the waits, which tests keep short.
func newClient(srv *epcclogstest.Server, opts ...epcclogs.Option) *epcclogs.Client {
	client, err := epcclogs.NewClient(append([]epcclogs.Option{
		epcclogs.WithBaseURL(srv.URL),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxWait: time.Millisecond}),
	}, opts...)...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func countLogs(client *epcclogs.Client, integrationID string) (n int, err error) {
	for _, err := range client.IntegrationLogs(integrationID, nil).All(context.Background()) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func ExampleNewServer() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0", Name: "Orders"}
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(hook, epcclogstest.SampleLogs(hook.ID, 60)...),
		epcclogstest.WithEnvelope(epcclogstest.Links),
		epcclogstest.WithMaxLimit(50),
		epcclogstest.WithLatency(time.Millisecond),
	)
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	fmt.Println(countLogs(client, hook.ID))
	_, err := countLogs(client, "5cb5d3d3-0000-0000-0000-000000000000")
	fmt.Println(errors.Is(err, epcclogs.ErrNotFound))
	for _, r := range srv.Requests() {
		fmt.Println(r.RawQuery)
	}
	// Output:
	// 60 <nil>
	// true
	// page%5Blimit%5D=100
	// page%5Blimit%5D=100&page%5Boffset%5D=49
	// page%5Blimit%5D=100
}

// A fault that a retry mends, and one that lasts.
func ExampleServer_Fail() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()
	id := epcclogstest.SampleIntegration(0).ID

	srv.Fail(1, epcclogstest.CutLength())
	fmt.Println(countLogs(client, id))

	srv.Fail(100, epcclogstest.ServerError())
	_, err := countLogs(client, id)
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Attempts, errors.Is(err, epcclogs.ErrServer))
	}
	// Output:
	// 250 <nil>
	// 500 5 true
}

// More logs arrive while a client pages.
func ExampleServer_OnRequest() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	logs := epcclogstest.SampleLogs(hook.ID, 152)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, logs[:150]...))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 2 {
			srv.AddLogs(hook.ID, logs[150:]...)
		}
	})
	fmt.Println(countLogs(client, hook.ID))
	// Output: 152 <nil>
}

// Old logs are deleted, as a store's retention does it.
func ExampleServer_RemoveLogs() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(hook, epcclogstest.SampleLogs(hook.ID, 150)...))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	limit := time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)
	fmt.Println(srv.RemoveLogs(hook.ID, func(l epcclogs.IntegrationLog) bool {
		return l.CreatedAt().Before(limit)
	}), "deleted")
	fmt.Println(countLogs(client, hook.ID))
	// Output:
	// 111 deleted
	// 39 <nil>
}

// A failed delivery and its retry, in a list that has the newest first.
func ExampleLog() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	at := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	failed := epcclogstest.Log(hook.ID, "job-1", 1, at)
	failed.Succeeded, failed.StatusCode, failed.ErrorDetail = false, 503, "The webhook answered 503"
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(hook, failed),
		epcclogstest.WithNewestFirst(),
	)
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	srv.AddLogs(hook.ID, epcclogstest.Log(hook.ID, "job-1", 2, at.Add(time.Minute)))
	for l, err := range client.IntegrationLogs(hook.ID, nil).All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(l.JobID(), l.Attempt, l.StatusCode, l.CreatedAt().Format(time.TimeOnly))
	}
	// Output:
	// job-1 2 200 12:01:00
	// job-1 1 503 12:00:00
}

// A server that limits the offset shows only the beginning of a long list.
func ExampleWithMaxOffset() {
	srv := epcclogstest.NewServer(epcclogstest.WithMaxOffset(50))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	n, err := countLogs(client, epcclogstest.SampleIntegration(0).ID)
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(n, "logs, then", apiErr.StatusCode, apiErr.Errors[0].Detail)
	}
	// Output: 100 logs, then 400 page[offset] must be 50 or less
}

func ExampleWithClientCredentials() {
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials("not-a-real-id", "not-a-real-secret", time.Hour))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"))
	defer client.CloseIdleConnections()
	id := epcclogstest.SampleIntegration(0).ID

	fmt.Println(countLogs(client, id))
	srv.RevokeTokens()
	fmt.Println(countLogs(client, id))
	for _, r := range srv.Requests() {
		fmt.Println(r.Method, r.Authorized)
	}
	// Output:
	// 250 <nil>
	// 250 <nil>
	// POST false
	// GET true
	// GET true
	// GET true
	// GET false
	// POST false
	// GET true
	// GET true
	// GET true
}

// Over its limit the server answers 429. A client that is told the limit keeps
// to it.
func ExampleWithRequestLimit() {
	srv := epcclogstest.NewServer(epcclogstest.WithRequestLimit(1000, 10))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"), epcclogs.WithRateLimit(500))
	defer client.CloseIdleConnections()

	fmt.Println(countLogs(client, epcclogstest.SampleIntegration(0).ID))
	// Output: 250 <nil>
}

// What a client makes of each fault that lasts as long as it tries.
func ExampleFault() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"), epcclogs.WithTimeout(50*time.Millisecond),
		epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 2, MaxWait: time.Millisecond}))
	defer client.CloseIdleConnections()

	for _, fault := range []epcclogstest.Fault{
		epcclogstest.Status(http.StatusForbidden, `{"errors":[{"title":"Forbidden"}]}`).WithHeader("X-Trace", "7"),
		epcclogstest.GatewayPage(http.StatusBadGateway),
		epcclogstest.StallStatus(http.StatusInternalServerError),
		epcclogstest.Redirect(http.StatusFound, "https://example.com/"),
		epcclogstest.CutJSON(),
		epcclogstest.CutLength(),
		epcclogstest.CutChunk(),
		epcclogstest.Stall(),
		epcclogstest.StallHeader(),
	} {
		srv.Fail(2, fault)
		_, err := client.ListIntegrations(context.Background(), nil)
		var apiErr *epcclogs.APIError
		var decodeErr *epcclogs.DecodeError
		var netErr net.Error
		switch {
		case errors.As(err, &apiErr):
			fmt.Println("status", apiErr.StatusCode, "after", apiErr.Attempts)
			for range 2 - apiErr.Attempts { // what was not tried again
				_, _ = client.ListIntegrations(context.Background(), nil)
			}
		case errors.As(err, &decodeErr):
			fmt.Println("not JSON")
		case errors.As(err, &netErr) && netErr.Timeout():
			fmt.Println("timed out")
		default:
			fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
		}
	}
	// Output:
	// status 403 after 1
	// status 502 after 2
	// status 500 after 2
	// status 302 after 1
	// not JSON
	// true
	// true
	// timed out
	// timed out
}

// A fault can be kept for a later request, or for the fetching of tokens. A reset
// connection is tried again, here by net/http itself.
func ExampleServer_FailRequest() {
	in := epcclogstest.SampleIntegration(1)
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(in, epcclogstest.SampleLogs(in.ID, 60)...),
		epcclogstest.WithClientCredentials("not-a-real-id", "not-a-real-secret", time.Hour),
		epcclogstest.WithEnvelope(epcclogstest.Bare),
		epcclogstest.WithSilentMaxLimit(25),
	)
	defer srv.Close()
	client := newClient(srv, epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"))
	defer client.CloseIdleConnections()

	srv.FailToken(1, epcclogstest.Status(http.StatusServiceUnavailable, ""))
	srv.FailRequest(3, epcclogstest.Reset())
	fmt.Println(countLogs(client, in.ID))
	srv.AddLogs(in.ID, epcclogstest.SampleLogs(in.ID, 70)[60:]...)
	fmt.Println(countLogs(client, in.ID))
	// Output:
	// 60 <nil>
	// 70 <nil>
}

// A server that ignores the offset cannot be listed past its first page.
func ExampleWithIgnoredOffset() {
	srv := epcclogstest.NewServer(epcclogstest.WithIgnoredOffset(), epcclogstest.WithEnvelope(epcclogstest.Nested))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	n, err := countLogs(client, epcclogstest.SampleIntegration(0).ID)
	fmt.Println(n, errors.Is(err, epcclogs.ErrPagination))
	// Output: 100 true
}
