package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// server is the process of internal/bench/server. A process of its own keeps
// its work out of the CPU time and the heap of the clients.
type server struct {
	url    string
	stores int
}

func startServer(b *testing.B) *server {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "benchserver.exe") // the name that every system runs
	out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, "./server").CombinedOutput()
	require.NoError(b, err, "%s", out)

	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), binary) // ends with its input
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return &server{url: "http://" + strings.TrimSpace(address)}
}

// store is how a store of the server behaves.
type store struct {
	records int
	latency time.Duration
	newest  bool // the newest record comes first
}

// add returns the base URL of a new store.
func (s *server) add(store store) string {
	s.stores++
	return fmt.Sprintf("%s/records=%d&latency=%v&newest=%t&run=%d", s.url, store.records, store.latency, store.newest, s.stores)
}

// requests returns how many requests a store got.
func (s *server) requests(b *testing.B, base string) (n int) {
	b.Helper()
	require.NoError(b, get(b.Context(), newHTTPClient(b), base+"/requests", &n))
	return n
}

const token = "not-a-real-token"

// number is that of a record of the server: the last digits of its id.
func number(l *epcclogs.IntegrationLog) (int, error) {
	if len(l.ID) != 36 {
		return 0, fmt.Errorf("the id is %q", l.ID)
	}
	return strconv.Atoi(l.ID[24:])
}

// A drainer makes a client of the store at base, which reads the records, up to
// n pages at once, and fails unless it gets each of them once.
type drainer func(b *testing.B, base string, n int) func(ctx context.Context, records int) error

// newClient returns a client with a rate that it never reaches.
func newClient(b *testing.B, base string) *epcclogs.Client {
	b.Helper()
	c, err := epcclogs.NewClient(epcclogs.WithRateLimit(1e6), epcclogs.WithBaseURL(base), epcclogs.WithToken(token))
	require.NoError(b, err)
	b.Cleanup(c.CloseIdleConnections)
	return c
}

// epcclogsDrainer is this library.
func epcclogsDrainer(b *testing.B, base string, n int) func(context.Context, int) error {
	c := newClient(b, base)
	return func(ctx context.Context, records int) error {
		want := 0
		for l, err := range c.IntegrationLogs(wire.Integration, nil).Concurrent(n).All(ctx) {
			if err != nil {
				return err
			}
			if got, err := number(&l); err != nil || got != want {
				return fmt.Errorf("record %d: got %d (%w)", want, got, err)
			}
			want++
		}
		if want != records {
			return fmt.Errorf("%d records, not %d", want, records)
		}
		return nil
	}
}

// plainPage is a page as a program without this library would declare it.
type plainPage struct {
	Data    []epcclogs.IntegrationLog `json:"data"`
	Meta    epcclogs.PageMeta         `json:"meta"`
	Results epcclogs.PageResults      `json:"results"`
}

func newHTTPClient(b *testing.B) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64 // the default of 2 would close connections all the time
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// get is a request as programs write it.
func get(ctx context.Context, c *http.Client, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.Unmarshal(body, out)
}

func pageURL(base string, offset int) string {
	return fmt.Sprintf("%s/v2/integrations/%s/logs?page[limit]=100&page[offset]=%d", base, wire.Integration, offset)
}

// sequentialDrainer is the loop that most programs have: one page after the
// other.
func sequentialDrainer(b *testing.B, base string, _ int) func(context.Context, int) error {
	c := newHTTPClient(b)
	return func(ctx context.Context, records int) error {
		for offset, total := 0, 1; offset < total; {
			var page plainPage
			if err := get(ctx, c, pageURL(base, offset), &page); err != nil {
				return err
			}
			for i := range page.Data {
				if got, err := number(&page.Data[i]); err != nil || got != offset+i {
					return fmt.Errorf("record %d: got %d (%w)", offset+i, got, err)
				}
			}
			offset, total = offset+len(page.Data), page.Results.Total
			if total != records || len(page.Data) == 0 {
				return fmt.Errorf("%d of %d records, not %d", len(page.Data), total, records)
			}
		}
		return nil
	}
}

// idealDrainer is as fast as can be: it asks for the first page, then for all
// others, n at a time, and hands the records out in no order. It would lose
// records on a list that changes.
func idealDrainer(b *testing.B, base string, n int) func(context.Context, int) error {
	c := newHTTPClient(b)
	read := func(ctx context.Context, offset int, seen []bool) error {
		var page plainPage
		if err := get(ctx, c, pageURL(base, offset), &page); err != nil {
			return err
		}
		for i := range page.Data {
			got, err := number(&page.Data[i])
			if err != nil || got != offset+i {
				return fmt.Errorf("record %d: got %d (%w)", offset+i, got, err)
			}
			seen[got] = true
		}
		return nil
	}
	return func(ctx context.Context, records int) error {
		seen := make([]bool, records)
		if err := read(ctx, 0, seen); err != nil {
			return err
		}
		offsets, failed := make(chan int), make(chan error, n)
		var workers sync.WaitGroup
		for range n {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for offset := range offsets {
					if err := read(ctx, offset, seen); err != nil {
						failed <- err
						return
					}
				}
			}()
		}
		var err error
		for offset := 100; offset < records && err == nil; offset += 100 {
			select {
			case offsets <- offset:
			case err = <-failed:
			}
		}
		close(offsets)
		workers.Wait()
		close(failed)
		for i := range seen {
			if err == nil && !seen[i] {
				err = fmt.Errorf("record %d is missing", i)
			}
		}
		return errors.Join(err, <-failed)
	}
}
