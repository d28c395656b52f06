package epcclogstest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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
	// page%5Blimit%5D=100&page%5Boffset%5D=50
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

	srv.Fail(100, epcclogstest.Status(http.StatusServiceUnavailable, `{"errors":[{"title":"Service Unavailable"}]}`))
	_, err := countLogs(client, id)
	var apiErr *epcclogs.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Attempts, errors.Is(err, epcclogs.ErrServer))
	}
	// Output:
	// 250 <nil>
	// 503 4 true
}

// More logs arrive while a client pages: in front of the list they move those
// that it has read to the next page.
func ExampleServer_OnRequest() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	logs := epcclogstest.SampleLogs(hook.ID, 152)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, logs[:150]...))
	defer srv.Close()
	client := newClient(srv, epcclogs.WithToken("not-a-real-token"))
	defer client.CloseIdleConnections()

	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 2 {
			srv.PrependLogs(hook.ID, logs[150:]...)
		}
	})
	fmt.Println(countLogs(client, hook.ID))
	// Output: 152 <nil>
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
