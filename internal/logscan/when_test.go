package logscan

import (
	"testing"
	"time"
)

func TestTimeIn(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, line := range []string{
		"2026-01-02T03:04:05Z INFO x", "2026-01-02 03:04:05 x", "2026/01/02 03:04:05 x", "2026-01-02T05:04:05+02:00 x", "2026-01-01 22:04:05 -0500",
		`10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET /"`, "Jan  2 03:04:05 host app[1]: x", "<34>Jan 02 03:04:05 host x", "I0102 03:04:05 1 x.go:1] x",
		`{"level":"info","ts":1767323045,"msg":"x"}`, `{"time":1767323045000}`, "__REALTIME_TIMESTAMP=1767323045000000", `time="2026-01-02T03:04:05Z" level=info`,
		`{"log":"x\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}`, "<34>1 2026-01-02T03:04:05Z host app", "[2026-01-02 03:04:05Z] x",
		"Fri Jan  2 03:04:05 2026 x", "Fri Jan 2 05:04:05 2026 +0200", "Date: Fri, 02 Jan 2026 03:04:05 GMT", "02-Jan-2026 03:04:05.000 SEVERE [main]", "Jan 2, 2026 3:04:05 AM org.x.Y", "1/2/2026, 3:04:05.000 AM",
		"01/02/2026 03:04:05 x", "20260102T030405Z x", "2026.01.02 03:04:05 x", "1767323045.000 x", "1767323045000 x", "2026-01-02 03:04:05 UTC x",
	} {
		if at, ok := timeIn([]byte(line), testNow); !ok || !at.Equal(want) {
			t.Errorf("%q: %v %v, want %v", line, at, ok, want)
		}
	}
	if at, _ := timeIn([]byte("2026-01-02 03:04:05,123"), testNow); at.Nanosecond() != 123e6 {
		t.Errorf("a comma before the fraction: %v", at)
	}
	if at, _ := timeIn([]byte("Dec 31 23:00:00 host x"), testNow); at.Year() != 2025 {
		t.Errorf("a month ahead is of last year: %v", at)
	}
	if at, _ := timeIn([]byte("Jan 2, 2026 12:04:05 PM x"), testNow); at.Hour() != 12 {
		t.Errorf("noon is %v", at)
	}
	if at, _ := timeIn([]byte("31/12/2025 23:04:05"), testNow); at.Month() != time.December || at.Day() != 31 {
		t.Errorf("a day first is %v", at)
	}
	elsewhere := testNow.In(time.FixedZone("", 2*60*60))
	for _, line := range []string{"2026-01-02 05:04:05 x", "Jan  2 05:04:05 host x", "2026-01-02T03:04:05Z x", "1/2/2026 5:04:05 AM", "2026-01-01 22:04:05 -0500"} {
		if at, _ := timeIn([]byte(line), elsewhere); !at.Equal(want) {
			t.Errorf("%q with an assumed zone: %v, want %v", line, at, want)
		}
	}
	for _, line := range []string{"", "2026-13-02 03:04:05", "2026-02-30 03:04:05", "id 1767323045", "12026-01-02 03:04:05", "build 2026-01-02"} {
		if at, ok := timeIn([]byte(line), testNow); ok {
			t.Errorf("%q: %v, want none", line, at)
		}
	}
}

func FuzzTimeIn(f *testing.F) {
	f.Add([]byte("<34>Jan  2 03:04:05 02/Jan/2026:03:04:05 +9999 ts=1767323045.5"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if at, ok := timeIn(line, testNow); ok && at.Location() != time.UTC {
			t.Errorf("%q gives %v, which is not UTC", line, at)
		}
	})
}
