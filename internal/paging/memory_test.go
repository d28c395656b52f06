package paging

import (
	"runtime"
	"testing"
)

// BenchmarkMemory measures the heap that a memory takes when both generations are nearly full.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := &memory{full: generation}
		const marks = 2*generation - 1
		for i := range uint64(marks) {
			m.add(i*0x9e3779b97f4a7c15, atBack)
			m.age(nil, nil)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/marks, "B/mark")
		runtime.KeepAlive(m)
	}
}
