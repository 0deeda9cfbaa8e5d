package entralab

import (
	"fmt"
	"slices"
)

// The clouds a tenant may live in: the lab's hosts are those of the public one.
const (
	CloudUSGov = "usgov"
	CloudChina = "china"
)

// clouds are the names that discovery gives (Microsoft documentation of the
// hosts). Recalled, unverified: that the public host describes tenants of other
// clouds at all, and the region scopes.
var clouds = map[string]struct{ host, region string }{
	"":         {"", "EU"},
	CloudUSGov: {"microsoftonline.us", "USGov"},
	CloudChina: {"partner.microsoftonline.cn", "CN"},
}

// errGovernment has no recorded text: Microsoft's list of breaking changes
// names it so.
var errGovernment = refusal{900439, "invalid_request", 400, false, "USGClientNotSupportedOnPublicEndpoint"}

func checkCloud(name string) error {
	if _, ok := clouds[name]; !ok {
		return fmt.Errorf("no cloud %q: %q and %q are known, and none for the public one", clip(name), CloudChina, CloudUSGov)
	}
	return nil
}

// crossesClouds refuses confidential clients of a tenant in another cloud. That
// it is told after the app was found and before its credential is looked at is
// unverified.
func (c *tokenCall) crossesClouds() *refusal {
	confidential := []string{"client_secret", "client_assertion"}
	if c.tenant.cloud == "" || !slices.ContainsFunc(confidential, func(name string) bool { return c.req.form[name] != "" }) {
		return nil
	}
	switch {
	case c.tenant.cloud == CloudUSGov:
		return errGovernment.with()
	case c.req.form["grant_type"] == "authorization_code":
		return rulings[900432].with()
	}
	return rulings[900382].with()
}
