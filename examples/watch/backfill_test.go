//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

// BenchmarkBackfill reads b.N logs, with bodies of 4 KiB, into an empty database with the program as a
// process of its own:
//
//	go test -run '^$' -bench Backfill -benchtime 200000x
//
// It reports logs a second, the CPU time that a log takes, and the peak of the
// program's memory. The server of the logs runs on the same machine.
func BenchmarkBackfill(b *testing.B) {
	for kind, location := range databases {
		b.Run(kind, func(b *testing.B) {
			hook := epcclogstest.SampleIntegration(0)
			logs := epcclogstest.SampleLogs(hook.ID, b.N)
			for i := range logs {
				logs[i].Body = strings.Repeat("x", 4<<10)
			}
			api := epcclogstest.NewServer(epcclogstest.WithIntegration(hook, logs...))
			defer api.Close()
			setenv(b, api)
			location := location(b)
			s := open(b, location)
			b.ResetTimer()
			cmd, out := process(b, location, "-rate", "1000") // faster than a store allows
			for {
				time.Sleep(10 * time.Millisecond)
				var n int
				require.NoError(b, s.db.QueryRowContext(b.Context(), `SELECT COUNT(*) FROM logs`).Scan(&n))
				if n == b.N {
					break
				}
				// Counting takes longer the more there is.
				time.Sleep(time.Duration(n) * time.Microsecond)
			}
			b.StopTimer()
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			require.NoError(b, err)
			var peak float64
			_, err = fmt.Sscanf(string(status[bytes.Index(status, []byte("VmHWM:")):]), "VmHWM: %f kB", &peak)
			require.NoError(b, err)
			require.NoError(b, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(b, cmd.Wait(), out)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logs/s")
			b.ReportMetric(float64((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Microseconds())/float64(b.N), "CPU-µs/log")
			b.ReportMetric(peak/1024, "peak-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
