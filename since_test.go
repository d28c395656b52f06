package epcclogs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

var sinceBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sinceServer returns a server with n logs, one a minute, and a client.
func sinceServer(t *testing.T, n int, opts ...epcclogstest.Option) (*epcclogstest.Server, *epcclogs.Client) {
	t.Helper()
	srv := epcclogstest.NewServer(append(opts, epcclogstest.WithIntegration(epcclogs.Integration{ID: integration, Name: "Orders"}))...)
	t.Cleanup(srv.Close)
	for i := range n {
		srv.AddLogs(integration, epcclogstest.Log(integration, fmt.Sprintf("job-%d", i), 1, sinceBegin.Add(time.Duration(i)*time.Minute)))
	}
	client, err := epcclogs.NewClient(epcclogs.WithBaseURL(srv.URL), epcclogs.WithToken("not-a-real-token"), epcclogs.WithRateLimit(1e6))
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return srv, client
}

// Since reads what was created then or later, and little else, whichever end is the newest and
// whatever the store tells.
func TestSince(t *testing.T) {
	const n, from = 5000, 4900
	for _, newest := range []bool{false, true} {
		for envelope := epcclogstest.Meta; envelope <= epcclogstest.Bare; envelope++ {
			t.Run(fmt.Sprintf("%v, newest first %t", envelope, newest), func(t *testing.T) {
				opts := []epcclogstest.Option{epcclogstest.WithEnvelope(envelope)}
				if newest {
					opts = append(opts, epcclogstest.WithNewestFirst())
				}
				srv, client := sinceServer(t, n, opts...)
				pager := client.StoreLogs(nil).Since(sinceBegin.Add(from * time.Minute))
				jobs := map[string]bool{}
				read := func() {
					for log, err := range pager.All(t.Context()) {
						require.NoError(t, err)
						require.False(t, jobs[log.JobID()], "twice")
						jobs[log.JobID()] = true
					}
				}
				read()
				assert.Len(t, jobs, n-from)
				assert.Contains(t, jobs, "job-4900")
				assert.LessOrEqual(t, len(srv.Requests()), 30)

				srv.AddLogs(integration, epcclogstest.Log(integration, "job-5000", 1, sinceBegin.Add(n*time.Minute)))
				before := len(srv.Requests())
				pager = client.StoreLogs(nil).Resume(pager.Cursor())
				read()
				assert.Len(t, jobs, n-from+1, "a cursor remembers the time")
				assert.LessOrEqual(t, len(srv.Requests())-before, 4)
			})
		}
	}
}

func TestSinceRefuses(t *testing.T) {
	srv, client := sinceServer(t, 1)
	for _, err := range client.IntegrationJobs(integration, nil).Since(sinceBegin).All(t.Context()) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	}
	require.Empty(t, srv.Requests())
	pager := client.StoreLogs(nil).Since(time.Time{})
	require.NoError(t, exhaust(t.Context(), pager))
	for _, err := range pager.Since(sinceBegin).All(t.Context()) {
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		require.ErrorContains(t, err, "after the pager was used")
	}
}

// Where a store refuses great offsets, the newest records of a list that begins with the oldest
// cannot be read, and the error says so. Where it begins with the newest, they can.
func TestSinceBehindTheLastOffset(t *testing.T) {
	_, client := sinceServer(t, 3000, epcclogstest.WithMaxOffset(1000))
	err := exhaust(t.Context(), client.StoreLogs(nil).Since(sinceBegin.Add(2900*time.Minute)))
	require.ErrorAs(t, err, new(*epcclogs.APIError))
	require.ErrorContains(t, err, "the lists of single integrations or jobs")

	srv, client := sinceServer(t, 3000, epcclogstest.WithMaxOffset(1000), epcclogstest.WithNewestFirst())
	pager := client.StoreLogs(nil).Since(sinceBegin.Add(2900 * time.Minute))
	got, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	require.Len(t, got, 100)
	require.LessOrEqual(t, len(srv.Requests()), 4)
}

// A record without a creation time is returned.
func TestSinceWithoutTimes(t *testing.T) {
	srv, client := sinceServer(t, 0)
	for i := range 300 {
		log := epcclogstest.Log(integration, fmt.Sprintf("job-%d", i), 1, sinceBegin)
		if i%2 == 0 {
			log.Meta = epcclogs.ResourceMeta{}
		}
		srv.AddLogs(integration, log)
	}
	got, err := bodies(client.StoreLogs(nil).Since(sinceBegin.Add(time.Hour)).All(t.Context()))
	require.NoError(t, err)
	require.Len(t, got, 150)
	require.NotContains(t, strings.Join(got, " "), "secret")
}
