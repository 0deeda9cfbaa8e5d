package entralab

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Refusals that only a fault gives. 50196 and 53003 as in Microsoft's list and
// a public log; 90033 is recalled.
var (
	errLoop      = refusal{50196, "invalid_grant", 429, false, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."}
	errBlocked   = refusal{53003, "interaction_required", 400, false, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."}
	errTransient = refusal{90033, "temporarily_unavailable", 503, false, "A transient error has occurred. Please try again."}
)

// scriptedRefusals are what F20 can answer, with the texts of the real checks.
var scriptedRefusals = []*refusal{
	&errNoTenant, &errGrantType, &errTenantUnknown, &errResource, &errAppUnknown, &errTenantName, &errMissing,
	&errAppDisabled, &errSecretUnknown, &errSecretMissing, &errSecretExpired, &errNoPrincipal, &errNotAssigned,
	&errResourceDisabled, &errTooLarge, &errNoKeys, &errKeyRevoked, &errFederatedNone, &errLoop, &errBlocked, &errTransient,
}

func refusalByCode(code int) *refusal {
	for _, f := range scriptedRefusals {
		if f.code == code {
			return f
		}
	}
	return nil
}

func scriptedCodes() string {
	codes := make([]string, 0, len(scriptedRefusals))
	for _, f := range scriptedRefusals {
		codes = append(codes, codeText(f.code))
	}
	return strings.Join(codes, ", ")
}

// tokenAnswer is a refusal that no handler gave.
func (c *faultCall) tokenAnswer(f *refusal) *faultAnswer {
	r := c.request.Clone(c.request.Context())
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	form := readTokenRequest(r, "", v2).form
	segment, _, _ := strings.Cut(strings.TrimPrefix(c.q.path, "/"), "/")
	filled := f.with("appId", form["client_id"], "appName", "app", "tenant", segment, "tenantId", segment, "tenantName", segment,
		"resource", form["scope"], "resourceId", form["scope"], "resourceName", form["scope"], "grantType", form["grant_type"], "name", "client_secret")
	x := c.lab.exchangeWith(c.request, form, c.guid)
	return record(func(w http.ResponseWriter, _ *http.Request) { x.refuse(w, c.request.Host, filled) }, c.request)
}

func faultRefusal(c *faultCall) *faultAnswer {
	f := refusalByCode(c.rule.params.number("code"))
	if f == nil { // refused by the check of rules
		return nil
	}
	c.q.event.Code = f.code
	return c.tokenAnswer(f)
}

// tokenPayload reads the claims of a JWT without believing them.
func tokenPayload(token string) (map[string]any, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err != nil || d.Decode(&claims) != nil {
		return nil, false
	}
	return claims, true
}

func faultKeysDown(c *faultCall) *faultAnswer {
	if c.kind() == "keys-down" && strings.HasSuffix(c.q.path, "/keys") {
		return c.serverError("503")
	}
	return nil
}

// faultIdentity changes what the identity provider says: the tokens in an
// answer, signed again, and the keys.
func faultIdentity(c *faultCall, a *faultAnswer) bool {
	var members map[string]json.RawMessage
	if a.status != http.StatusOK || json.Unmarshal(a.body, &members) != nil {
		return false
	}
	changed := false
	if kind := c.kind(); strings.HasSuffix(c.q.path, "/keys") {
		if kind != "rollover" {
			return false
		}
		changed = c.rollKeys(members)
	} else {
		for _, name := range []string{"access_token", "id_token"} {
			var token string
			if json.Unmarshal(members[name], &token) != nil {
				continue
			}
			if forged, ok := c.forge(token, kind); ok {
				members[name] = encodeJSON(forged)
				changed = true
			}
		}
	}
	a.body = encodeJSON(members)
	return changed
}

// rolled is what follows the name of the lab's key in the name it rolls to.
const rolled = "-next"

// rollKeys publishes the key under its next name, and under that alone.
func (c *faultCall) rollKeys(members map[string]json.RawMessage) bool {
	key := c.lab.key.jwk()
	for i, m := range key {
		if m.name == "kid" {
			key[i].value = c.lab.key.thumbprint + rolled
		}
	}
	members["keys"] = encodeJSON([]object{key})
	return true
}

// forge changes one claim and signs again. It reports false for what has no
// such claim.
func (c *faultCall) forge(token, kind string) (string, bool) {
	claims, ok := tokenPayload(token)
	if !ok {
		return "", false
	}
	header, _ := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	shift := int64(c.rule.params.duration("skew").Seconds())
	switch kind {
	case "issuer":
		claims["iss"] = "https://login.elsewhere.lab.test/" + c.guid().String() + "/v2.0"
	case "audience":
		claims["aud"] = c.guid().String()
	case "tenant":
		claims["tid"] = c.guid().String()
	case "nonce":
		if claims["nonce"] == nil {
			return "", false
		}
		claims["nonce"] = "not-the-one-sent"
	case "skew":
		for _, name := range []string{"iat", "nbf", "exp"} {
			if n, ok := claims[name].(json.Number); ok {
				at, _ := n.Int64()
				claims[name] = at + shift
			}
		}
	case "groups": // Microsoft documentation: too many to list
		claims["_claim_names"] = map[string]string{"groups": "src1"}
		claims["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": c.lab.graphURL + "/v1.0/users/me/getMemberObjects"}}
	case "rollover":
		header = bytes.ReplaceAll(header, []byte(c.lab.key.thumbprint), []byte(c.lab.key.thumbprint+rolled))
	default:
		return "", false
	}
	return c.lab.key.jwt(base64url(string(header)), encodeJSON(claims)), true
}
