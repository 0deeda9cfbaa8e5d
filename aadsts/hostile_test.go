package aadsts

import (
	"runtime"
	"strings"
	"testing"
)

// TestLinear feeds what makes a careless parser look at the same text again and
// again, and counts the characters looked at.
func TestLinear(t *testing.T) {
	t.Parallel()
	const large, small, most = 8 << 20, 256 << 10, 40 // bytes, bytes, looks per byte
	for _, unit := range []string{"AADSTS", "error_codes", "Trace ID", "AADSTS7000215: "} {
		checkLinear(t, unit, large, most)
	}
	for _, unit := range []string{
		"AADSTS7000215", "AADSTS7000215 ", "AADSTS7000215: x\n", "AADSTS70002: x AADSTS50012: ",
		`"error_codes":[`, `"error_codes":[7000215,`, "AADSTS1234:Trace ID ", "Trace ID: ", "trace_id=" + trace + " ",
		"invalid_client", "invalid_client ", "invalid_client\n", "error=invalid_client&", "error?code=", "error?code=1234 ", "_", "invalid_",
		"claims:{", `invalid_client claims:"{`, "https://", "https://a/", "https://login./x", "invalid_client appid=" + app + "\n",
		"\\", `\"`, "%25", "%2525", "%5c", "\\%5c", "\\&#34;", "&amp;", "&", "<", "<br", "\x1b[", " ", "\n", "\r\n", "a", "\xff", "│",
		"7000215 - [2025-01-09 08:26:10Z]: ", "7000215 - [2025-01-09 08:26:10Z]: AADSTS7000215", "AADSTS1234: a\n\n\n\n\n\n\n\n", "AADSTS1234: a\nb ",
		`AADSTS1234:"`, "AADSTS1234: '", "AADSTS1234: 'a' 'b", strings.Repeat("0", 8) + "-", "AADSTS1234: " + trace[:35] + " ",
	} {
		checkLinear(t, unit, small, most)
	}
}

func checkLinear(t *testing.T, unit string, size, most int) {
	t.Helper()
	// Anchors at both ends, so that units without one are read closely, too.
	text := "invalid_client " + strings.Repeat(unit, size/len(unit)) + " invalid_client"
	sc := scanner{s: text, yield: func(Failure) bool { return true }}
	sc.run()
	if sc.steps > most*len(text) {
		t.Errorf("%q: %d looks per byte, want at most %d", unit, sc.steps/len(text), most)
	}
}

// Allocation tests measure the whole process: they must not be parallel.

func TestNoHitsNoMemory(t *testing.T) {
	text := []byte(logText(16<<20, ""))
	if n := allocated(func() { findAll(text) }); n >= 4<<10 {
		t.Errorf("Find allocated %d bytes for %d without a hit, want less than 4 KiB", n, len(text))
	}
}

func TestMemoryPerHit(t *testing.T) {
	const mostPerHit = 4 << 10
	ownLine := strings.ReplaceAll(hitLine, trace, "REDACTED") // else all are reports of one event
	for _, hit := range []string{ownLine, "AADSTS7000215\n", "AADSTS7000215: " + strings.Repeat("long ", 1000) + "\n", "error=invalid_client\n"} {
		text := []byte(strings.Repeat(hit, 300))
		hits := findAll(text)
		n := allocated(func() { findAll(text) })
		if hits != 300 || n/uint64(hits) > mostPerHit {
			t.Errorf("%.20q: %d bytes for %d hits, want at most %d each", hit, n, hits, mostPerHit)
		}
	}
}

func findAll(text []byte) int {
	n := 0
	for range Find(text) {
		n++
	}
	return n
}

// allocated returns how many bytes f allocates: the least of several runs, as
// the runtime allocates meanwhile, too.
func allocated(f func()) uint64 {
	var least uint64
	for i := range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; i == 0 || n < least {
			least = n
		}
	}
	return least
}
