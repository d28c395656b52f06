// Failures prints the deliveries of the last 24 hours that failed, of all integrations of
// the real service. It is the first program of README.md:
//
//	go run ./examples/failures
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/epcclogs/epcclogs"
)

func main() {
	if err := printFailures(time.Now().Add(-24 * time.Hour)); err != nil {
		log.Fatal(err)
	}
}

func printFailures(since time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client, err := epcclogs.NewClientFromEnv()
	if err != nil {
		return err
	}
	names := make(map[string]string) // by id
	for in, err := range client.Integrations(nil).All(ctx) {
		if err != nil {
			return err
		}
		names[in.ID] = in.Name
	}
	for entry, err := range client.StoreLogs(nil).Since(since).All(ctx) {
		if err != nil {
			return err
		}
		if !entry.Succeeded {
			fmt.Println(entry.CreatedAt(), names[entry.IntegrationID()], entry.Attempt, entry.StatusCode, entry.ErrorDetail)
		}
	}
	return nil
}
