package web

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/credsmith/credsmith/internal/sink"
)

// Label says in one text what a delivery put into a place that keeps texts
// beside values: "client_id=…&expires=…&generation=7&key_id=…&rotation=…".
func Label(d sink.Delivery) string {
	label := url.Values{
		"generation": {strconv.FormatInt(d.Generation, 10)}, "rotation": {d.Rotation}, "client_id": {d.ClientID}, "key_id": {d.KeyID},
	}
	if !d.Expires.IsZero() {
		label.Set("expires", d.Expires.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return label.Encode()
}

// Generation returns that of a label; 0 for any other text.
func Generation(label string) int64 {
	said, err := url.ParseQuery(label)
	if err != nil {
		return 0
	}
	generation, err := strconv.ParseInt(said.Get("generation"), 10, 64)
	if err != nil {
		return 0
	}
	return generation
}

// Loopback reports whether a host name is this machine.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}
