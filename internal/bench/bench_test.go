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

var long = flag.Bool("bench.long", false, "also run the benchmarks that take half an hour")

// cpuTime is what this process has used so far; nil where the system does not
// tell.
var cpuTime func() time.Duration

// measure drains the store of base b.N times and reports what that cost. A store
// with a rate limit is drained once, by a client that has never met it.
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
	c := server.counts(b, base)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/records, "allocs/record")
	b.ReportMetric(records/b.Elapsed().Seconds(), "logs/s")
	b.ReportMetric(float64(c.Requests)/float64(b.N), "requests/op")
	if store.rate > 0 {
		ceiling := 100 * float64(store.rate)
		b.ReportMetric(100*records/b.Elapsed().Seconds()/ceiling, "%-of-ceiling")
		b.ReportMetric(100*float64(c.Throttled)/float64(c.Requests), "%-throttled")
	}
}

// BenchmarkDrain reads 10,000 records, as fast as the client can.
func BenchmarkDrain(b *testing.B) {
	server := startServer(b)
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond} {
		store := store{records: 10_000, latency: latency}
		name := fmt.Sprintf("latency=%dms/client=", latency.Milliseconds())
		b.Run(name+"sequential/n=1", func(b *testing.B) { measure(b, server, store, 1, sequentialDrainer) })
		for _, n := range []int{1, 4, 8, 16} {
			b.Run(fmt.Sprintf("%sepcclogs/n=%d", name, n), func(b *testing.B) { measure(b, server, store, n, epcclogsDrainer(unlimited)) })
			b.Run(fmt.Sprintf("%sideal/n=%d", name, n), func(b *testing.B) { measure(b, server, store, n, idealDrainer) })
		}
	}
}

// BenchmarkLimit reads a store with a rate limit: with nothing configured, told
// the limit, and, at the limit that the API's documents name, with the others.
func BenchmarkLimit(b *testing.B) {
	if !*long {
		b.Skip("takes half an hour: run it with -bench.long -timeout 2h")
	}
	server := startServer(b)
	for _, limit := range []struct{ rate, records int }{{100, 200_000}, {25, 100_000}, {60, 1_000_000}} {
		for _, latency := range []time.Duration{80 * time.Millisecond, 20 * time.Millisecond} {
			name := fmt.Sprintf("rate=%d/latency=%dms/refused=", limit.rate, latency.Milliseconds())
			late := store{records: limit.records, rate: limit.rate, latency: latency}
			early := late
			early.early = true
			b.Run(name+"late/client=epcclogs/n=16", func(b *testing.B) { measure(b, server, late, 16, epcclogsDrainer()) })
			b.Run(name+"early/client=epcclogs/n=16", func(b *testing.B) { measure(b, server, early, 16, epcclogsDrainer()) })
			b.Run(name+"late/client=epcclogs-told/n=16", func(b *testing.B) {
				measure(b, server, late, 16, epcclogsDrainer(epcclogs.WithRateLimit(float64(limit.rate))))
			})
			if limit.rate < 100 {
				continue
			}
			b.Run(name+"late/client=ideal/n=16", func(b *testing.B) { measure(b, server, late, 16, idealDrainer) })
			b.Run(name+"early/client=ideal/n=16", func(b *testing.B) { measure(b, server, early, 16, idealDrainer) })
			late.records = 20_000 // a loop that is never refused reads them all at one speed
			b.Run(name+"late/client=sequential/n=1", func(b *testing.B) { measure(b, server, late, 1, sequentialDrainer) })
		}
	}
	for _, limiter := range []string{"bucket of 1", "bucket of R", "nginx, burst 20", "fixed window, 1 s", "sliding count, 10 s"} {
		store := store{records: 500_000, rate: 60, latency: 80 * time.Millisecond, limiter: limiter}
		name := fmt.Sprintf("rate=60/latency=80ms/limiter=%s/client=epcclogs/n=16", limiter)
		b.Run(name, func(b *testing.B) { measure(b, server, store, 16, epcclogsDrainer()) })
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
				c := newClient(b, server.add(store{records: records}), unlimited)
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
