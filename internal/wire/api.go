package wire

import (
	"fmt"
	"net/http"
)

// An API answers as the API does, without a network: its token endpoint hands out
// fetched-token-1 and so on, and its lists are empty.
type API struct{ Tokens, Lists *Script }

// NewAPI returns one. What token and list return, unless it is nil, is taken
// instead; n counts from 1.
func NewAPI(token, list func(n int) Step) *API {
	script := func(instead, usual func(n int) Step) *Script {
		return Each(func(n int) Step {
			if instead != nil {
				if step := instead(n); step != nil {
					return step
				}
			}
			return usual(n)
		})
	}
	return &API{
		Tokens: script(token, func(n int) Step {
			return OK(fmt.Sprintf(`{"access_token":"fetched-token-%d","expires_in":3600}`, n))
		}),
		Lists: script(list, Always(OK(Page()))),
	}
}

// RoundTrip answers the request.
func (a *API) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		return a.Tokens.RoundTrip(r)
	}
	return a.Lists.RoundTrip(r)
}

// Posts returns how many tokens were asked for so far.
func (a *API) Posts() int { return len(a.Tokens.Sent()) }

// Bearers returns the header Authorization of each request for a list so far.
func (a *API) Bearers() []string { return a.Lists.Headers("Authorization") }

// Always answers every request alike.
func Always(step Step) func(int) Step { return func(int) Step { return step } }

// First answers so many requests alike.
func First(requests int, step Step) func(int) Step {
	return func(n int) Step {
		if n <= requests {
			return step
		}
		return nil
	}
}
