// Failures prints the failed deliveries of an integration of the real service. It is
// the first program of README.md:
//
//	go run ./examples/failures 2b9f5f0e-5d1c-4c36-8f5a-0d7b6b1c9e11
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/epcclogs/epcclogs"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: failures INTEGRATION-ID")
	}
	if err := printFailures(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func printFailures(integrationID string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client, err := epcclogs.NewClientFromEnv()
	if err != nil {
		return err
	}
	for entry, err := range client.IntegrationLogs(integrationID, nil).All(ctx) {
		if err != nil {
			return err
		}
		if !entry.Succeeded {
			fmt.Println(entry.CreatedAt(), entry.Attempt, entry.StatusCode, entry.ErrorDetail)
		}
	}
	return nil
}
