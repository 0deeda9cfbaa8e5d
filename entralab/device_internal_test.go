package entralab

import (
	"testing"
	"time"
)

// TestDeviceCodesAreForgotten: codes that nobody used do not pile up.
func TestDeviceCodesAreForgotten(t *testing.T) {
	t.Parallel()
	var d deviceCodes
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 20_000 {
		now = now.Add(time.Minute)
		d.add(&deviceGrant{issued: now})
	}
	// A day holds 1440; the store may double and grow by 1000 before a sweep.
	if n, m := len(d.byCode), len(d.byUser); n > 4*1440+1000 || m > n || n < 1440 {
		t.Errorf("%d codes and %d typed ones are kept", n, m)
	}
}
