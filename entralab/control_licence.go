package entralab

import "net/http"

// errLicence is recorded in many public threads. Sign-in logs and reports need
// a premium licence; the directory's audit log does not (Microsoft
// documentation).
var errLicence = &graphError{http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C or tenant doesn't have premium license"}

// checkLicence refuses what the tenants have no licence for.
func (c *graphCall) checkLicence() *graphError {
	if c.lab.unlicensed {
		return errLicence
	}
	return nil
}

// licence gives the tenants a premium licence or takes it away.
func (c *controlCall) licence() (any, *problem) {
	var sent struct{ Premium *bool }
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	if sent.Premium == nil {
		return nil, badCommand("premium must be true or false")
	}
	c.lab.unlicensed = !*sent.Premium
	c.event.Write = &Write{Kind: "licence"}
	return object{{"premium", *sent.Premium}}, nil
}
