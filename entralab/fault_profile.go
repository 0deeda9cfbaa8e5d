package entralab

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The profiles a lab may start with. They are rules like any other: GET
// /control/faults lists them, and removing them all leaves nothing of a profile
// but the throttling that it turned on, see [Config.Throttling].
const (
	ProfileCalm    = "calm"
	ProfileRude    = "rude"
	ProfileHostile = "hostile"
)

var profileNames = []string{ProfileCalm, ProfileRude, ProfileHostile}

func checkProfile(name string) error {
	if name != "" && !slices.Contains(profileNames, name) {
		return fmt.Errorf("entralab: profile %.40q: must be one of %s", name, strings.Join(profileNames, ", "))
	}
	return nil
}

// throttles reports whether a profile holds callers to Graph's documented
// limits: what F6 stands for beside its 429s at random.
func throttles(name string) bool { return name == ProfileRude || name == ProfileHostile }

// profile returns the rules of a profile. Rude breaks about 5 % of requests
// and hostile about 30 %; both keep the conditions F1 to F3 always on, as the
// real service does.
func profile(name string) []FaultRule {
	always := func(fault string, params map[string]any) FaultRule { return FaultRule{Fault: fault, Params: params} }
	on := func(surface, method, fault string, rate float64, params map[string]any) FaultRule {
		return FaultRule{Match: FaultMatch{Surface: surface, Method: method}, Fault: fault, Rate: rate, Params: params}
	}
	crowd := map[string]any{"within": "5s"}
	graph := func(fault string, rate float64) FaultRule { return on(surfaceGraph, "", fault, rate, nil) }
	switch name {
	case ProfileRude:
		return []FaultRule{
			always("F1", nil), always("F2", nil), on(surfaceGraph, "", "F3", 0.05, nil),
			graph("F4", 0.02), always("F16", nil), always("F21", nil),
			on(surfaceGraph, "", "F5", 0.3, crowd), graph("F5", 0.02), on("", "", "F6", 0.005, map[string]any{"kind": "seconds", "seconds": 1}), on("", "", "F7", 0.04, nil),
			on(surfaceGraph, "", "F8", 0.01, nil), on(surfaceGraph, "", "F9", 0.005, nil),
			on("", "", "F12", 0.005, nil), graph("F15", 0.005), graph("F17", 0.001), graph("F18", 0.01), graph("F19", 0.01),
			on(surfaceGraph, http.MethodPost, "F33", 0.01, nil), graph("F49", 0.02), graph("F50", 0.01), on("", "", "F55", 0.005, nil),
		}
	case ProfileHostile:
		return []FaultRule{
			always("F1", map[string]any{"min": "2m", "max": "15m"}), always("F2", map[string]any{"min": "0s", "max": "1h"}),
			on(surfaceGraph, "", "F3", 0.3, map[string]any{"max": "5m", "replicas": 3}), graph("F4", 0.1), always("F16", nil),
			on("", "", "F21", 0.1, map[string]any{"min": "5s", "max": "5s"}), graph("F49", 0.1),
			on(surfaceGraph, "", "F5", 0.3, crowd), graph("F5", 0.1), on("", "", "F6", 0.04, nil), on("", "", "F7", 0.1, nil),
			on("", "", "F8", 0.03, nil), on("", "", "F9", 0.02, nil), graph("F10", 0.002), graph("F11", 0.002),
			on("", "", "F12", 0.005, map[string]any{"max": "2m"}), on("", "", "F14", 0.02, nil), on("", "", "F15", 0.02, nil),
			graph("F17", 0.01), graph("F18", 0.05), graph("F19", 0.05), on("", "", "F32", 0.02, nil), graph("F33", 0.05),
			on("", "", "F34", 0.01, nil), on("", "", "F35", 0.01, nil), on("", "", "F36", 0.01, nil), graph("F50", 0.05), on("", "", "F55", 0.01, nil),
		}
	}
	return nil
}
