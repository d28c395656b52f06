package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/epcclogs/epcclogs"
)

// probeAfter is how often the API is asked whether a long pause, which it asked for, is
// over: outages end sooner than expected, and one request does no harm.
const probeAfter = 5 * time.Minute

// api is the client that all parts of the program share.
type api struct {
	dial   func() (*epcclogs.Client, error) // another client for the same store
	wait   time.Duration                    // probeAfter
	logger *slog.Logger

	mu      sync.Mutex
	client  *epcclogs.Client
	probing sync.Mutex
}

func newAPI(client *epcclogs.Client, dial func() (*epcclogs.Client, error), logger *slog.Logger) *api {
	return &api{dial: dial, wait: probeAfter, logger: logger, client: client}
}

func (a *api) current() *epcclogs.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client
}

// pauseOf returns the pause that the API asks for with an error.
func pauseOf(err error) time.Duration {
	if refused := new(epcclogs.APIError); errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}

// probe returns a client to go on with in place of one that pauses, once the API answers
// again. One list asks for all.
func (a *api) probe(ctx context.Context, paused *epcclogs.Client) *epcclogs.Client {
	a.probing.Lock()
	defer a.probing.Unlock()
	for ctx.Err() == nil && a.current() == paused {
		pause(ctx, a.wait)
		client, err := a.dial()
		if err == nil {
			_, err = client.ListIntegrations(ctx, &epcclogs.ListOptions{Limit: 1})
		}
		if err == nil {
			a.logger.Info("the API answers before the end of the pause that it asked for")
			a.mu.Lock()
			a.client = client
			a.mu.Unlock()
		}
	}
	return a.current()
}
