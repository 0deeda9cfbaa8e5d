package entralab_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

func restrictions(kind, extra string) string {
	return `{"passwordCredentials":[{"restrictionType":"` + kind + `"` + extra + `}]}`
}

func TestManagementPolicies(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Set(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC))
	admin := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.ReadWrite.All", "Policy.Read.All", "Policy.ReadWrite.ApplicationConfiguration"}})
	app := addApp(t, lab, entralab.AppSpec{})
	c := callAs(t, lab, admin)
	object := "applications/" + app.ObjectID
	lasting := func(days int) string {
		return fmt.Sprintf(`{"passwordCredential":{"startDateTime":"2027-04-01T00:00:00Z","endDateTime":%q}}`, time.Date(2027, 4, 1+days, 0, 0, 0, 0, time.UTC).Format(time.RFC3339))
	}
	const byDefault = "policies/defaultAppManagementPolicy"
	const tooLong, noType = "CredentialInvalidLifetimeAsPerAppPolicy", "CredentialTypeNotAllowedAsPerAppPolicy"
	refusal := map[string]string{
		tooLong: "Credential lifetime exceeds the max value allowed as per assigned policy '%s'.",
		noType:  "Credential type not allowed as per assigned policy '%s'.",
	}
	const zero = "00000000-0000-0000-0000-000000000000"
	add := func(days int, code, policy string) {
		t.Helper()
		if code == "" {
			c.do("POST", object+"/addPassword", lasting(days), 200)
			return
		}
		c.refused("POST", object+"/addPassword", lasting(days), 400, code, fmt.Sprintf(refusal[code], policy))
	}
	if got := c.do("GET", byDefault, "", 200).object(t); got["id"] != zero || got["isEnabled"] != false {
		t.Errorf("default policy %v", got)
	}
	lifetime := restrictions("passwordLifetime", `,"state":"enabled","maxLifetime":"P90D"`)
	c.do("PATCH", byDefault, `{"applicationRestrictions":`+lifetime+`}`, 204)
	add(91, "", "") // not enabled yet
	c.do("PATCH", byDefault, `{"isEnabled":true}`, 204)
	add(91, tooLong, zero)
	add(90, "", "")
	c.do("PATCH", byDefault, `{"applicationRestrictions":`+restrictions("passwordAddition", `,"maxLifetime":null,"excludeActors":null`)+`}`, 204)
	add(1, noType, zero)
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("an older secret under the policy: %d", got)
	}
	c.do("POST", "servicePrincipals/"+app.ServicePrincipalID+"/addPassword", "", 200)

	made := c.do("POST", "policies/appManagementPolicies", `{"displayName":"one week","restrictions":`+restrictions("passwordLifetime", `,"maxLifetime":"P7D"`)+`}`, 201).object(t)
	id := made["id"].(string)
	ref := `{"@odata.id":"https://graph.microsoft.com/v1.0/policies/appManagementPolicies/` + id + `"}`
	c.do("POST", object+"/appManagementPolicies/$ref", ref, 204)
	c.do("POST", object+"/appManagementPolicies/$ref", ref, 400)
	if got := c.members(object+"/appManagementPolicies", "displayName"); len(got) != 1 || got[0] != "one week" {
		t.Errorf("assigned %v", got)
	}
	add(7, "", "") // the tenant's ban no longer counts
	add(8, tooLong, id)
	for extra, refused := range map[string]bool{
		`,"state":"disabled"`: false,
		`,"restrictForAppsCreatedAfterDateTime":"2027-02-28T00:00:00Z"`: true,
		`,"restrictForAppsCreatedAfterDateTime":"2027-03-02T00:00:00Z"`: false,
	} {
		c.do("PATCH", "policies/appManagementPolicies/"+id, `{"restrictions":`+restrictions("passwordAddition", extra)+`}`, 204)
		if refused {
			add(1, noType, id)
		} else {
			add(1, "", "")
		}
	}
	c.do("DELETE", object+"/appManagementPolicies/"+id+"/$ref", "", 204)
	c.do("DELETE", object+"/appManagementPolicies/"+id+"/$ref", "", 404)
	add(1, noType, zero)
	c.do("DELETE", "policies/appManagementPolicies/"+id, "", 204)
	c.do("GET", "policies/appManagementPolicies/"+id, "", 404)
	for _, bad := range []string{
		`{"isEnabled":"yes"}`, `{"nothing":1}`, `{"restrictions":{}}`, `{"applicationRestrictions":[]}`, `{"applicationRestrictions":null}`,
		`{"applicationRestrictions":` + restrictions("nothing", "") + `}`, `{"applicationRestrictions":` + restrictions("passwordLifetime", "") + `}`,
		`{"applicationRestrictions":` + restrictions("passwordAddition", `,"state":"on"`) + `}`,
	} {
		c.do("PATCH", byDefault, bad, 400)
	}
	for _, lifetime := range []string{"", "P", "PT", "90D", "P90", "P9", "PD", "P1D1Y", "P1DT", "P1.5D", "P1H", "-P1D", "P1D ", "P1D1D", "P9999999D"} {
		c.do("PATCH", byDefault, `{"applicationRestrictions":`+restrictions("passwordLifetime", `,"maxLifetime":"`+lifetime+`"`)+`}`, 400)
	}
	for lifetime, days := range map[string]int{"P90D": 90, "P2W": 14, "P1M": 30, "P1Y": 366, "P1DT24H": 2, "P0DT47H60M": 2, "PT86400S": 1} {
		c.do("PATCH", byDefault, `{"applicationRestrictions":`+restrictions("passwordLifetime", `,"maxLifetime":"`+lifetime+`"`)+`}`, 204)
		add(days, "", "")
		add(days+1, tooLong, zero)
	}
	reader := callAs(t, lab, lab.Operator())
	reader.do("GET", byDefault, "", 200)
	reader.do("PATCH", byDefault, `{"isEnabled":false}`, 403)
	if r := callAs(t, lab, lab.Healthy()).do("GET", byDefault, "", 403); strings.Contains(r.body, "restrictions") {
		t.Error(r.body)
	}
}
