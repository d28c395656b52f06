package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
)

// connect runs the program, and returns a client that is made from what it prints.
func connect(t *testing.T, args ...string) *epcclogs.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	printed, stdout := io.Pipe()
	ended := make(chan int)
	go func() {
		ended <- run(ctx, args, stdout, io.Discard)
		_ = stdout.Close()
	}()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-ended)
	})
	all := make([]byte, 1000)
	n, err := printed.Read(all) // the lines are printed at once
	require.NoError(t, err)
	for line := range bytes.Lines(all[:n]) {
		name, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("="))
		require.True(t, ok && bytes.HasPrefix(name, []byte("export EPCC_")), "%s", line)
		t.Setenv(string(name[len("export "):]), string(value))
	}
	client, err := epcclogs.NewClientFromEnv()
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestStoreLives(t *testing.T) {
	client := connect(t, "-every", "10ms", "-keep", "1s", "-delete", "100ms", "-faults", "0.1")
	page, err := client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Limit: 1})
	require.NoError(t, err)
	first := page.Data[0]
	integrations := func() (names []string) {
		for in, err := range client.Integrations(nil).All(t.Context()) {
			require.NoError(t, err)
			names = append(names, in.Name)
		}
		return names
	}
	require.Eventually(t, func() bool {
		page, err := client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Limit: 1})
		require.NoError(t, err)
		total := page.Results.Total
		return page.Data[0].CreatedAt().After(first.CreatedAt().Add(1200*time.Millisecond)) && total > 20 && total < 150 &&
			len(integrations()) == 1
	}, 20*time.Second, 50*time.Millisecond, "the first log has not expired, or the store does not grow, or integrations stay")
	for l, err := range client.StoreLogs(nil).All(t.Context()) {
		require.NoError(t, err)
		require.NotEqual(t, first.Key(), l.Key())
	}
}

func TestFlags(t *testing.T) {
	client := connect(t, "-envelope", "LINKS", "-newest-first", "-max-offset", "50", "-latency", "20ms", "-rate", "1000",
		"-every", "1m", "-keep", "2h", "-integrations", "2")
	started := time.Now()
	page, err := client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Limit: 100, Offset: 50})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(started), 20*time.Millisecond)
	assert.Nil(t, page.Meta)
	require.NotNil(t, page.Links)
	assert.Len(t, page.Data, 70)
	assert.True(t, page.Data[0].CreatedAt().After(page.Data[69].CreatedAt()))
	seen := make(map[string]bool)
	for _, l := range page.Data {
		seen[l.IntegrationID()] = true
	}
	assert.Len(t, seen, 2)

	_, err = client.ListStoreLogs(t.Context(), &epcclogs.ListOptions{Offset: 51})
	require.ErrorContains(t, err, "page[offset] must be 50 or less")
}

// A store that is started again is at the same URL; two cannot be.
func TestAddr(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"-addr", addr}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), addr)
	require.NoError(t, listener.Close())
	for range 2 {
		t.Run("start", func(t *testing.T) {
			client := connect(t, "-addr", addr)
			assert.Equal(t, "http://"+addr, os.Getenv("EPCC_API_BASE_URL"))
			_, err := client.ListStoreLogs(t.Context(), nil)
			require.NoError(t, err)
		})
	}
}

// A limit of which the burst is a single request refuses some of many.
func TestRate(t *testing.T) {
	client := connect(t, "-rate", "5", "-every", "1h", "-keep", "1h")
	refused := 0
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // less than its pause
		_, err := client.ListStoreLogs(ctx, nil)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, epcclogs.ErrRateLimited)
			refused++
		}
	}
	assert.Positive(t, refused)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"-envelope", "paper"}, {"-every", "0"}, {"-keep", "-1s"}, {"-integrations", "0"}, {"-rate", "-1"}, {"-delete", "-1s"}, {"-max-offset", "-1"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), args, &stdout, &stderr), args)
		assert.Empty(t, stdout.String())
		assert.NotEmpty(t, stderr.String())
	}
	assert.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}
