package web_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

func TestLabel(t *testing.T) {
	t.Parallel()
	d := sink.Delivery{Generation: 12, Rotation: "r&1", ClientID: "c", KeyID: "k", Expires: time.Date(2027, 3, 1, 1, 0, 0, 0, time.FixedZone("", 3600))}
	label := web.Label(d)
	if want := "client_id=c&expires=2027-03-01T00%3A00%3A00Z&generation=12&key_id=k&rotation=r%261"; label != want {
		t.Errorf("Label = %q, want %q", label, want)
	}
	for text, want := range map[string]int64{label: 12, "": 0, "%": 0, "generation=x": 0, "generation=99999999999999999999": 0} {
		if got := web.Generation(text); got != want {
			t.Errorf("Generation(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		wait   string
		kind   sink.Kind
		after  time.Duration
	}{
		{400, "", sink.Invalid, 0}, {401, "", sink.Denied, 0}, {403, "5", sink.Denied, 0}, {404, "", sink.Invalid, 0}, {408, "", sink.Unreachable, 0},
		{429, "", sink.Throttled, 0}, {429, "5", sink.Throttled, 5 * time.Second}, {429, "-1", sink.Throttled, 0}, {429, "9999999999", sink.Throttled, 24 * time.Hour},
		{500, "5", sink.Unreachable, 0}, {503, "", sink.Unreachable, 0}, {503, "5", sink.Throttled, 5 * time.Second},
	} {
		e := web.Refused("op", c.status, http.Header{"Retry-After": {c.wait}}, errors.New("x"))
		if e.Kind != c.kind || e.After != c.after {
			t.Errorf("Refused(%d, %q) = %s after %v, want %s after %v", c.status, c.wait, e.Kind, e.After, c.kind, c.after)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"127.0.0.1": true, "::1": true, "localhost": true, "127.0.0.1.example.com": false, "10.0.0.1": false, "": false} {
		if got := web.Loopback(host); got != want {
			t.Errorf("Loopback(%q) = %v", host, got)
		}
	}
}
