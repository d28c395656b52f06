//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// BenchmarkPage serves b.N attempts of 30 days and 40 integrations to 12 viewers, with
// the program as a process of its own:
//
//	go test -run '^$' -bench Page -benchtime 1000000x -timeout 1h
//
// It reports what GET /?period=30d and /metrics take, and the peak of the program's memory
// once all is read.
func BenchmarkPage(b *testing.B) {
	for kind, location := range databases {
		b.Run(kind, func(b *testing.B) {
			if b.N < 40 {
				return // go test tries with 1 first
			}
			manyAttempts(b)
			location := location(b)
			cmd, out := process(b, location, "-rate", "1000")
			var base string
			for base == "" {
				time.Sleep(100 * time.Millisecond)
				if match := address.FindStringSubmatch(out.String()); match != nil {
					base = match[1]
				}
			}
			ask := func(path string) (time.Duration, string) {
				began := time.Now()
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, base+path, nil)
				require.NoError(b, err)
				resp, err := http.DefaultClient.Do(req)
				require.NoError(b, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				require.NoError(b, err)
				took := time.Since(began)
				if path != "healthz" {
					require.Equal(b, http.StatusOK, resp.StatusCode, string(body))
				}
				return took, string(body)
			}
			for {
				time.Sleep(2 * time.Second)
				if _, body := ask("healthz"); strings.Contains(body, `"ok"`) {
					break
				}
			}
			require.Equal(b, b.N/40*40, number(b, open(b, location).db, `SELECT COUNT(*) FROM logs`))
			// The peak from here on.
			require.NoError(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", cmd.Process.Pid), []byte("5"), 0))
			var mu sync.Mutex
			times := map[string][]time.Duration{}
			var viewers sync.WaitGroup
			deadline := time.Now().Add(time.Minute)
			for range 12 {
				viewers.Go(func() {
					for time.Now().Before(deadline) {
						took, _ := ask("?period=30d")
						mu.Lock()
						times["page"] = append(times["page"], took)
						mu.Unlock()
						time.Sleep(time.Second)
					}
				})
			}
			viewers.Wait()
			for range 5 {
				time.Sleep(11 * time.Second) // so that it is made again
				took, _ := ask("metrics")
				times["metrics"] = append(times["metrics"], took)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			require.NoError(b, err)
			var peak float64
			_, err = fmt.Sscanf(string(status[bytes.Index(status, []byte("VmHWM:")):]), "VmHWM: %f kB", &peak)
			require.NoError(b, err)
			require.NoError(b, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(b, cmd.Wait(), out)
			for name, all := range times {
				slices.Sort(all)
				b.ReportMetric(all[(len(all)*95+99)/100-1].Seconds(), name+"-p95-s")
				b.ReportMetric(all[len(all)-1].Seconds(), name+"-max-s")
			}
			b.ReportMetric(peak/1024, "peak-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// manyAttempts makes a store with b.N attempts.
func manyAttempts(b *testing.B) {
	now := time.Now()
	var options []epcclogstest.Option
	for i := range 40 {
		in := epcclogs.Integration{ID: fmt.Sprintf("integration-%02d", i), Name: fmt.Sprintf("Integration %02d", i)}
		logs := epcclogstest.SampleLogs(in.ID, b.N/40)
		for j := range logs {
			logs[j].Meta.Timestamps.CreatedAt = now.Add(-30 * 24 * time.Hour / time.Duration(len(logs)) * time.Duration(len(logs)-j))
		}
		options = append(options, epcclogstest.WithIntegration(in, logs...))
	}
	api := epcclogstest.NewServer(options...)
	b.Cleanup(api.Close)
	setenv(b, api)
}
