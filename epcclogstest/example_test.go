package epcclogstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// fetchLogs stands for the program that is tested.
func fetchLogs(baseURL, token, integrationID string) (status string, logs int, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet,
		baseURL+"/v2/integrations/"+integrationID+"/logs?page[limit]=100", nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct{ Data []struct{ ID string } }
	err = json.NewDecoder(resp.Body).Decode(&page)
	return resp.Status, len(page.Data), err
}

func ExampleNewServer() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0", Name: "Orders"}
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(hook, epcclogstest.SampleLogs(hook.ID, 60)...),
		epcclogstest.WithMaxLimit(50),
	)
	defer srv.Close()

	fmt.Println(fetchLogs(srv.URL, "any-token", hook.ID))
	fmt.Println(fetchLogs(srv.URL, "any-token", "5cb5d3d3-0000-0000-0000-000000000000"))
	fmt.Println(srv.Requests()[0].RawQuery)
	// Output:
	// 200 OK 50 <nil>
	// 404 Not Found 0 <nil>
	// page[limit]=100
}

func ExampleServer_Fail() {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	id := epcclogstest.SampleIntegration(0).ID

	srv.Fail(1, epcclogstest.Status(503, `{"errors":[{"title":"Service Unavailable"}]}`).WithHeader("Retry-After", "1"))
	srv.Fail(1, epcclogstest.CutLength())
	for range 3 {
		fmt.Println(fetchLogs(srv.URL, "any-token", id))
	}
	// Output:
	// 503 Service Unavailable 0 <nil>
	// 200 OK 0 unexpected EOF
	// 200 OK 100 <nil>
}

func ExampleServer_OnRequest() {
	hook := epcclogs.Integration{ID: "5cb5d3d3-21bd-4b5e-9d43-d40cc94ba6a0"}
	logs := epcclogstest.SampleLogs(hook.ID, 12)
	srv := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, logs[:10]...))
	defer srv.Close()

	// Two logs arrive after the first request.
	srv.OnRequest(func(n int, _ epcclogstest.Request) {
		if n == 2 {
			srv.AddLogs(hook.ID, logs[10:]...)
		}
	})
	for range 2 {
		fmt.Println(fetchLogs(srv.URL, "any-token", hook.ID))
	}
	// Output:
	// 200 OK 10 <nil>
	// 200 OK 12 <nil>
}

func ExampleWithClientCredentials() {
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials("shop", "not-a-real-secret", time.Hour))
	defer srv.Close()
	id := epcclogstest.SampleIntegration(0).ID

	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL+"/oauth/access_token",
		strings.NewReader(url.Values{
			"grant_type":    {"client_credentials"},
			"client_id":     {"shop"},
			"client_secret": {"not-a-real-secret"},
		}.Encode()))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	var reply struct {
		Token   string  `json:"access_token"`
		Seconds float64 `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println("a token for", reply.Seconds, "seconds")
	fmt.Println(fetchLogs(srv.URL, reply.Token, id))
	srv.RevokeTokens()
	fmt.Println(fetchLogs(srv.URL, reply.Token, id))
	// Output:
	// a token for 3600 seconds
	// 200 OK 100 <nil>
	// 401 Unauthorized 0 <nil>
}
