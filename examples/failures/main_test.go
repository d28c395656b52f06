package main

import (
	"log"
	"os"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

func Example() {
	at := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	failed := epcclogstest.Log("hook", "job-1", 1, at)
	failed.Succeeded, failed.StatusCode, failed.ErrorDetail = false, 503, "The webhook answered 503"
	srv := epcclogstest.NewServer(
		epcclogstest.WithIntegration(epcclogs.Integration{ID: "hook"}, failed, epcclogstest.Log("hook", "job-1", 2, at.Add(time.Minute))),
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
	os.Args = []string{"failures", "hook"}
	main()
	// Output: 2026-05-01 12:00:00 +0000 UTC 1 503 The webhook answered 503
}
