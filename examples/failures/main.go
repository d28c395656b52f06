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
	ctx := context.Background()
	client, err := epcclogs.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	names := make(map[string]string) // of the integrations, by id
	for in, err := range client.Integrations(nil).All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		names[in.ID] = in.Name
	}
	for entry, err := range client.StoreLogs(nil).Since(time.Now().Add(-24 * time.Hour)).All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if !entry.Succeeded {
			fmt.Println(entry.CreatedAt(), names[entry.IntegrationID()], entry.Attempt, entry.StatusCode, entry.ErrorDetail)
		}
	}
}
