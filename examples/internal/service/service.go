// Package service connects an example to the service that the user asks for.
package service

import (
	"errors"
	"os"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// Usage is the line about the environment in the usage of an example.
const Usage = "The id is for the real service, with EPCC_CLIENT_ID and EPCC_CLIENT_SECRET set."

// ErrNoID is the error of an example that needs an id on the real service.
var ErrNoID = errors.New("the id of an integration is missing; examples/quickstart lists the integrations of the store")

// Service is the real service, or an embedded one with made-up data.
type Service struct {
	Client   *epcclogs.Client
	Embedded *epcclogstest.Server // nil for the real service
}

// Connect returns the real service when id or one of the EPCC_ variables is set.
// It is an error when the credentials are then missing. With nothing set, it
// returns the embedded service that start starts. The client is made with opts.
func Connect(id string, start func() *epcclogstest.Server, opts ...epcclogs.Option) (*Service, error) {
	s := new(Service)
	var err error
	if id != "" || configured() {
		s.Client, err = epcclogs.NewClientFromEnv(opts...)
	} else {
		s.Embedded = start()
		opts = append([]epcclogs.Option{
			epcclogs.WithBaseURL(s.Embedded.URL),
			epcclogs.WithClientCredentials("not-a-real-id", "not-a-real-secret"),
		}, opts...)
		s.Client, err = epcclogs.NewClient(opts...)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func configured() bool {
	for _, name := range []string{"EPCC_CLIENT_ID", "EPCC_CLIENT_SECRET", "EPCC_API_BASE_URL"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// Close closes the client's idle connections and ends the embedded service.
func (s *Service) Close() {
	if s.Client != nil {
		s.Client.CloseIdleConnections()
	}
	if s.Embedded != nil {
		s.Embedded.Close()
	}
}
