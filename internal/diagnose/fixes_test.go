package diagnose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/diagnose"
)

// Why a cause has no step in the portal, or none for az and PowerShell.
const (
	atConsumer = "the value is put right where the consumer keeps it"
	inCode     = "the client's code builds the request"
	onMachine  = "it lies with the machine or the network that signs in"
	withMS     = "it lies with the service"
	notByHand  = "the portal shows the endpoint, no command does"
)

var noPortal = map[diagnose.Cause]string{
	"secret-whitespace": atConsumer, "secret-quoted": atConsumer, "secret-encoded": atConsumer, "secret-empty": atConsumer,
	"body-not-form": inCode, "parameter-missing": inCode, "grant-type-wrong": inCode, "secret-not-encoded": inCode, "secret-missing": inCode,
	"throttled": inCode, "network-dns": onMachine, "network-tls": onMachine, "network-proxy": onMachine, "network-refused": onMachine, "clock-skew": onMachine,
	"environment-drift": "credsmith drift compares the settings",
}

var noCommand = map[diagnose.Cause]string{
	"endpoint-wrong": notByHand, "service-unavailable": withMS,
}

// TestEveryCauseHasWays: a person finds, for each cause, the page of the portal
// and the lines for az and PowerShell, or there is a reason why not.
func TestEveryCauseHasWays(t *testing.T) {
	t.Parallel()
	for _, info := range diagnose.Causes() {
		has := func(way func(diagnose.Fix) string) bool {
			return slices.ContainsFunc(info.Fix, func(f diagnose.Fix) bool { return way(f) != "" })
		}
		portal := has(func(f diagnose.Fix) string { return f.Portal })
		az, shell := has(func(f diagnose.Fix) string { return f.Az }), has(func(f diagnose.Fix) string { return f.PowerShell })
		if without := noPortal[info.Cause]; portal == (without != "") {
			t.Errorf("%s: portal %t, reason for none %q", info.Cause, portal, without)
		}
		without := noPortal[info.Cause] + noCommand[info.Cause]
		if az != shell || az == (without != "") {
			t.Errorf("%s: az %t, PowerShell %t, reason for none %q", info.Cause, az, shell, without)
		}
		proves := slices.ContainsFunc(info.Fix, func(f diagnose.Fix) bool { return strings.HasPrefix(f.Run, "credsmith ") })
		if !proves && info.Family != diagnose.AroundFamily && info.Cause != "credential-kind-wrong" && info.Cause != "secret-use-blocked" {
			t.Errorf("%s: no step runs credsmith", info.Cause)
		}
		for _, f := range info.Fix {
			if f.Do == "" || strings.Contains(f.Az, "credential reset") && !strings.Contains(f.Az, "--append") {
				t.Errorf("%s: %+v", info.Cause, f)
			}
			for _, line := range []string{f.Az, f.PowerShell, f.Run} {
				if strings.ContainsAny(line, "\n\r") || strings.Count(line, `"`)%2 != 0 {
					t.Errorf("%s: %q does not paste", info.Cause, line)
				}
			}
		}
	}
	for cause := range noPortal {
		if _, ok := diagnose.Lookup(cause); !ok {
			t.Errorf("%s is no cause", cause)
		}
	}
}
