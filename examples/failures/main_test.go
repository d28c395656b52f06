package main

import (
	"log"
	"os"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func Example() {
	at := time.Date(2126, time.May, 1, 12, 0, 0, 0, time.UTC)
	old, failed := epcclogstest.Log("hook", "job-1", 1, at.AddDate(-200, 0, 0)), epcclogstest.Log("hook", "job-2", 1, at)
	old.Succeeded = false
	failed.Succeeded, failed.StatusCode, failed.ErrorDetail = false, 503, "The webhook answered 503"
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "hook", Name: "Stock"},
			old, failed, epcclogstest.Log("hook", "job-2", 2, at.Add(time.Minute))),
		epcclogstest.WithClientCredentials("not-a-real-id", "not-a-real-secret", 0),
	)
	defer srv.Close()
	for name, value := range map[string]string{
		"EPCC_API_BASE_URL": srv.URL, "EPCC_CLIENT_ID": "not-a-real-id", "EPCC_CLIENT_SECRET": "not-a-real-secret",
	} {
		if err := os.Setenv(name, value); err != nil {
			log.Fatal(err)
		}
	}
	main()
	// Output: 2126-05-01 12:00:00 +0000 UTC Stock 1 503 The webhook answered 503
}
