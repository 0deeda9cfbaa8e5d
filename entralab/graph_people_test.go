package entralab_test

import "testing"

func TestUsersAndOrganizationByID(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	ada := graph(t, lab, token, "GET", "users?$filter=displayName+eq+'Ada+Example'", "").object(t)["value"].([]any)[0].(map[string]any)["id"].(string)
	user := `"id":"` + ada + `","displayName":"Ada Example","mail":"ada-example@contoso.lab.test","userPrincipalName":"ada-example@contoso.lab.test"}`
	context := func(of string) string {
		return `{"@odata.context":"https://graph.lab.test/v1.0/$metadata#` + of + `",`
	}
	domains := `"verifiedDomains":[{"capabilities":"Email, OfficeCommunicationsOnline","isDefault":true,"isInitial":true,"name":"contoso.lab.test","type":"Managed"}]`
	for path, want := range map[string]string{
		"users/" + ada:                       context("users/$entity") + user,
		"users/Ada-Example@contoso.lab.test": context("users/$entity") + user,
		"users('" + ada + "')?$select=mail":  context("users(mail)/$entity") + `"mail":"ada-example@contoso.lab.test"}`,
		"organization/" + lab.TenantID():     context("organization/$entity") + `"id":"` + lab.TenantID() + `","displayName":"Contoso (lab)",` + domains + `}`,
		"organization?$select=id":            context("organization(id)") + `"value":[{"id":"` + lab.TenantID() + `"}]}`,
		"organization":                       context("organization") + `"value":[{"id":"` + lab.TenantID() + `","displayName":"Contoso (lab)",` + domains + `}]}`,
	} {
		if r := graph(t, lab, token, "GET", path, ""); r.status != 200 || r.body != want {
			t.Errorf("%s: %d %s\nwant %s", path, r.status, r.body, want)
		}
	}
	for path, want := range map[string]int{
		"users/nobody@contoso.lab.test": 404, "users/" + lab.TenantID(): 404, "organization/" + lab.OtherTenantID(): 404, "organization/x": 404, "users/" + ada + "?$select=x": 400, "organization?$top=1": 400,
	} {
		if r := graph(t, lab, token, "GET", path, ""); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
}
