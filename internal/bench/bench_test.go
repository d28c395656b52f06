// Package bench measures the library beside a plain loop and a client as fast as
// can be. docs/performance.md tells how to run it, and what it has shown.
package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
	"github.com/epcclogs/epcclogs/internal/wire"
)

var long = flag.Bool("bench.long", false, "also run what takes half a minute")

// cpuTime is what this process has used so far; nil where the system does not
// tell.
var cpuTime func() time.Duration

// measure drains the store b.N times and reports what that cost.
func measure(b *testing.B, server *server, store store, n int, newClient drainer) {
	b.Helper()
	base := server.add(store)
	drain := newClient(b, base, n)
	runtime.GC() // what earlier ones left is not for this one to clean up
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var cpu time.Duration
	if cpuTime != nil {
		cpu = cpuTime()
	}
	b.ResetTimer()
	for range b.N {
		require.NoError(b, drain(b.Context(), store.records))
	}
	b.StopTimer()
	if cpuTime != nil {
		b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	}
	runtime.ReadMemStats(&after)
	records := float64(b.N * store.records)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/records, "allocs/record")
	b.ReportMetric(records/b.Elapsed().Seconds(), "logs/s")
	b.ReportMetric(float64(server.requests(b, base))/float64(b.N), "requests/op")
}

// BenchmarkDrain reads 10,000 records, as fast as the client can.
func BenchmarkDrain(b *testing.B) {
	server := startServer(b)
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond} {
		store := store{records: 10_000, latency: latency}
		name := fmt.Sprintf("latency=%dms/client=", latency.Milliseconds())
		b.Run(name+"sequential/n=1", func(b *testing.B) { measure(b, server, store, 1, sequentialDrainer) })
		for _, n := range []int{1, 4, 8, 16} {
			b.Run(fmt.Sprintf("%sepcclogs/n=%d", name, n), func(b *testing.B) { measure(b, server, store, n, epcclogsDrainer) })
			b.Run(fmt.Sprintf("%sideal/n=%d", name, n), func(b *testing.B) { measure(b, server, store, n, idealDrainer) })
		}
	}
}

// BenchmarkSince looks for the last 400 of a million records: with Since, and, with
// -bench.long, reading them all.
func BenchmarkSince(b *testing.B) {
	const wanted = 400
	since := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC).Add(-(wanted - 1) * 30 * time.Second)
	server := startServer(b)
	for _, order := range []string{"oldest", "newest"} {
		for _, from := range []time.Time{since, {}} {
			b.Run(fmt.Sprintf("first=%s/since=%t", order, !from.IsZero()), func(b *testing.B) {
				if from.IsZero() && !*long {
					b.Skip("takes half a minute: run it with -bench.long")
				}
				base := server.add(store{records: 1_000_000, latency: 20 * time.Millisecond, newest: order == "newest"})
				c := newClient(b, base)
				b.ResetTimer()
				for range b.N {
					found := 0
					for l, err := range c.IntegrationLogs(wire.Integration, nil).Concurrent(8).Since(from).All(b.Context()) {
						require.NoError(b, err)
						if !l.CreatedAt().Before(since) {
							found++
						}
					}
					require.Equal(b, wanted, found)
				}
				b.StopTimer()
				b.ReportMetric(float64(server.requests(b, base))/float64(b.N), "requests/op")
			})
		}
	}
}

// BenchmarkHeap reports the most memory that a listing holds. It looks a hundred
// times, whatever the number of records, each time when all pages under way have
// come, and collects garbage before.
func BenchmarkHeap(b *testing.B) {
	server := startServer(b)
	for _, records := range []int{10_000, 1_000_000} {
		for _, n := range []int{1, 16} {
			b.Run(fmt.Sprintf("records=%d/n=%d", records, n), func(b *testing.B) {
				if records > 10_000 && !*long {
					b.Skip("takes half a minute: run it with -bench.long")
				}
				c := newClient(b, server.add(store{records: records}))
				before := heap()
				var peak uint64
				for range b.N {
					count := 0
					for _, err := range c.IntegrationLogs(wire.Integration, nil).Concurrent(n).All(b.Context()) {
						require.NoError(b, err)
						if count++; count%(records/100) == 50 {
							time.Sleep(30 * time.Millisecond)
							peak = max(peak, heap()-before)
						}
					}
					require.Equal(b, records, count)
				}
				b.ReportMetric(float64(peak), "peak-heap-bytes")
			})
		}
	}
}

// heap returns how much memory is in use, garbage aside.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first leaves what is pooled
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkDecodePage reads the JSON of one page of 100 records.
func BenchmarkDecodePage(b *testing.B) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	require.NoError(b, encoder.Encode(epcclogs.Page[epcclogs.IntegrationLog]{
		Data:    epcclogstest.SampleLogs(wire.Integration, 100),
		Meta:    &epcclogs.PageMeta{Limit: 100, Current: 1, Total: 100},
		Results: &epcclogs.PageResults{Total: 10_000},
	}))
	b.Run("client=epcclogs", func(b *testing.B) {
		b.SetBytes(int64(body.Len()))
		b.ReportAllocs()
		for range b.N {
			var page epcclogs.Page[epcclogs.IntegrationLog]
			require.NoError(b, page.UnmarshalJSON(body.Bytes()))
		}
	})
	b.Run("client=plain", func(b *testing.B) {
		b.SetBytes(int64(body.Len()))
		b.ReportAllocs()
		for range b.N {
			var page plainPage
			require.NoError(b, json.Unmarshal(body.Bytes(), &page))
		}
	})
}
