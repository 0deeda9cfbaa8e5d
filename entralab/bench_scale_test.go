//go:build linux

package entralab_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkMillionApps seeds a million apps, each with its service principal
// and two secrets. The bars are 60 s and 1,000 bytes an app.
func BenchmarkMillionApps(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		lab := start(b)
		heapBefore, rssBefore, begin := heap(), resident(b), time.Now()
		if err := lab.AddApps(n, manyApps(lab)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/seed")
		b.ReportMetric(float64(resident(b)-rssBefore)/n, "RSS-B/app-at-once")
		b.ReportMetric(float64(heap()-heapBefore)/n, "heap-B/app")
		debug.FreeOSMemory()
		b.ReportMetric(float64(resident(b)-rssBefore)/n, "RSS-B/app")
		runtime.KeepAlive(lab)
		lab.Close()
	}
}

// resident returns the bytes of memory this process holds.
func resident(b *testing.B) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kib << 10
}
