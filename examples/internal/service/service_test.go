package service

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// setenv sets the three variables; an empty one counts as not set.
func setenv(t *testing.T, id, secret, baseURL string) {
	t.Helper()
	t.Setenv("EPCC_CLIENT_ID", id)
	t.Setenv("EPCC_CLIENT_SECRET", secret)
	t.Setenv("EPCC_API_BASE_URL", baseURL)
}

func assertEnded(t *testing.T, srv *epcclogstest.Server) {
	t.Helper()
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	require.ErrorContains(t, err, "refused")
}

func TestEmbedded(t *testing.T) {
	setenv(t, "", "", "")
	s, err := Connect("", func() *epcclogstest.Server { return epcclogstest.NewServer() }, epcclogs.WithUserAgent("example/1"))
	require.NoError(t, err)
	page, err := s.Client.ListIntegrations(t.Context(), nil)
	require.NoError(t, err)
	assert.Len(t, page.Data, 3)
	assert.Contains(t, s.Embedded.Requests()[0].Header.Get("User-Agent"), "example/1")

	s.Close()
	assertEnded(t, s.Embedded)
}

func TestReal(t *testing.T) {
	srv := epcclogstest.NewServer(epcclogstest.WithClientCredentials("example-id", "example-secret", 0))
	defer srv.Close()
	setenv(t, "example-id", "example-secret", srv.URL)
	s, err := Connect("", nil)
	require.NoError(t, err)
	defer s.Close()
	assert.Nil(t, s.Embedded)
	_, err = s.Client.ListIntegrations(t.Context(), nil)
	require.NoError(t, err)
}

func TestMissingCredentials(t *testing.T) {
	for _, tc := range []struct{ arg, id, secret, baseURL, missing string }{
		{"", "example-id", "", "", "EPCC_CLIENT_SECRET"},
		{"an-id", "", "example-secret", "", "EPCC_CLIENT_ID"},
		{"", "", "", "http://127.0.0.1:1", "EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
		{"an-id", "", "", "", "EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
	} {
		setenv(t, tc.id, tc.secret, tc.baseURL)
		_, err := Connect(tc.arg, nil)
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
		assert.ErrorContains(t, err, "missing in the environment: "+tc.missing)
	}
}

func TestBadOption(t *testing.T) {
	setenv(t, "", "", "")
	var srv *epcclogstest.Server
	_, err := Connect("", func() *epcclogstest.Server { srv = epcclogstest.NewServer(); return srv }, epcclogs.WithRateLimit(-1))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	assertEnded(t, srv)
}
