package diagnose_test

import (
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/secret"
)

// TestBusyService: what a busy service answers says nothing of a setting. Each
// question is asked again before anything is made of it.
func TestBusyService(t *testing.T) {
	t.Parallel()
	discovery, tokens := entralab.FaultMatch{Surface: "token", Path: "*openid-configuration"}, entralab.FaultMatch{Surface: "token", Path: "*/token"}
	server := func(kind string) map[string]any { return map[string]any{"kind": kind} }
	for _, test := range []struct {
		name  string
		rules []entralab.FaultRule
		value func(string) string
		want  string
	}{
		{"discovery, once", []entralab.FaultRule{{Match: discovery, Fault: "F7", Times: 1, Params: server("502")}}, nil, "working - confirmed"},
		{"discovery, twice", []entralab.FaultRule{{Match: discovery, Fault: "F7", Times: 2, Params: server("503")}}, nil, "working - confirmed"},
		{"discovery, throttled", []entralab.FaultRule{{Match: discovery, Fault: "F6", Times: 1}}, nil, "working - confirmed"},
		{"discovery, always", []entralab.FaultRule{{Match: discovery, Fault: "F7", Params: server("502")}}, nil, "inconclusive service-unavailable confirmed"},
		{"discovery, always throttled", []entralab.FaultRule{{Match: discovery, Fault: "F6"}}, nil, "inconclusive throttled confirmed"},
		{"discovery, connection lost", []entralab.FaultRule{{Match: discovery, Fault: "F36", Times: 1, Params: server("reset")}}, nil, "working - confirmed"},
		{"tokens, once", []entralab.FaultRule{{Match: tokens, Fault: "F7", Times: 1, Params: server("504")}}, nil, "working - confirmed"},
		{"tokens, connection lost", []entralab.FaultRule{{Match: tokens, Fault: "F8", Times: 2}}, nil, "working - confirmed"},
		{"tokens, always", []entralab.FaultRule{{Match: tokens, Fault: "F7", Params: server("500")}}, nil, "inconclusive service-unavailable confirmed"},
		{"tokens, every second", []entralab.FaultRule{{Match: tokens, Fault: "F7", Nth: 1}, {Match: tokens, Fault: "F7", Nth: 3}, {Match: tokens, Fault: "F6", Nth: 5}},
			func(v string) string { return `"` + v + `"` }, "broken secret-quoted confirmed"},
		{"a request loop is not prolonged", []entralab.FaultRule{{Match: tokens, Fault: "F20", Params: map[string]any{"code": 50196}}}, nil, "inconclusive throttled confirmed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inLab(t, func(b *bench) {
				for _, rule := range test.rules {
					if _, err := b.lab.AddFault(rule); err != nil {
						b.Fatal(err)
					}
				}
				r := b.run(b.ask(func(c *diagnose.Case) {
					if test.value != nil {
						c.Setting.Value = secret.New(test.value(b.value()))
					}
				}), false)
				b.expect(r, test.want)
				if strings.HasSuffix(test.name, "loop is not prolonged") && b.tokens != 1 {
					b.Errorf("%d token requests were sent into a loop", b.tokens)
				}
			})
		})
	}
}
