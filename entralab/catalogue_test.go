package entralab_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/entralab"
)

// seen is a refusal as a client sees it: oauth and status are zero on a page.
type seen struct {
	oauth  string
	status int
	text   string // without the ids
}

// catalogueLab has what the refusals need.
type catalogueLab struct {
	*testing.T
	lab                        *entralab.Lab
	web, public, key, api      entralab.App // key has a certificate and a federated credential
	bare, absent, off, expired entralab.App
	good                       url.Values // client credentials of web
}

const (
	catalogueIssuer  = "https://issuer.example"
	catalogueSubject = "repo:Org/app"
)

func newCatalogueLab(t *testing.T) *catalogueLab {
	lab := startWith(t, entralab.Config{InProcess: true, AutoSignIn: adaExample, Seed: entralab.Seed{
		Tenants: []entralab.TenantSpec{{Domain: "agency.test", Cloud: entralab.CloudUSGov}},
		Apps:    []entralab.AppSpec{{TenantID: "agency.test", ClientID: "11111111-1111-4111-8111-111111111111"}},
	}})
	web := addApp(t, lab, entralab.AppSpec{DisplayName: "dash", RedirectURIs: []string{redirect}})
	c := &catalogueLab{T: t, lab: lab, web: web, good: credentialsForm(web.ClientID, value(web))}
	c.public = addApp(t, lab, entralab.AppSpec{PublicClient: true})
	c.key = addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate, otherPair().certificate},
		FederatedCredentials: []entralab.FederatedCredentialSpec{{Issuer: catalogueIssuer, Subject: catalogueSubject}}})
	c.api, c.bare = addApp(t, lab, entralab.AppSpec{}), addApp(t, lab, entralab.AppSpec{})
	c.absent = addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
	c.off = addApp(t, lab, entralab.AppSpec{})
	control(t, lab, "portal", `{"action":"disable-app","app":"`+c.off.ObjectID+`"}`)
	now := lab.Now()
	c.expired = addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Start: now.AddDate(-2, 0, 0), End: now}}})
	c.patch("applications/"+c.bare.ObjectID, `{"spa":{"redirectUris":["https://spa.example/"]},"publicClient":{"redirectUris":["http://localhost"]}}`)
	c.patch("applications/"+c.api.ObjectID, `{"api":{"oauth2PermissionScopes":[{"value":"do"}]}}`)
	lab.RevokeCertificate(otherPair().certificate)
	return c
}

func (c *catalogueLab) patch(path, body string) {
	c.Helper()
	if r := graph(c, c.lab, graphToken(c, c.lab, c.lab.Operator()), "PATCH", path, body); r.status != 204 {
		c.Fatal(r.body)
	}
}

func withoutIDs(text string) string {
	text, _, _ = strings.Cut(text, " Trace ID: ")
	return text
}

func (c *catalogueLab) read(r reply) seen {
	c.Helper()
	if to := r.header.Get("Location"); to != "" {
		back, err := url.Parse(to)
		if err != nil {
			c.Fatal(err)
		}
		values := back.Query()
		return seen{values.Get("error"), 0, withoutIDs(values.Get("error_description"))}
	}
	if m := regexp.MustCompile(`<dt>Message:</dt><dd>(.*?)</dd>`).FindStringSubmatch(r.body); m != nil {
		return seen{text: html.UnescapeString(m[1])}
	}
	o := r.object(c)
	oauth, _ := o["error"].(string)
	text, _ := o["error_description"].(string)
	return seen{oauth, r.status, withoutIDs(text)}
}

func (c *catalogueLab) ask(form url.Values, headers ...string) seen {
	c.Helper()
	return c.read(askToken(c, c.lab, c.lab.TenantID(), form, headers...))
}

// change asks for client credentials with a field changed.
func (c *catalogueLab) change(name, text string) seen {
	c.Helper()
	return c.ask(with(c.good, name, text))
}

func (c *catalogueLab) tenant(name string) seen {
	c.Helper()
	return c.read(askToken(c, c.lab, name, c.good))
}

// browse goes to the authorize endpoint with a parameter changed.
func (c *catalogueLab) browse(name, text string) seen {
	c.Helper()
	return c.read(authorize(c, c.lab, c.lab.TenantID(), with(authorizeQuery(c.web), name, text)))
}

func (c *catalogueLab) code(pairs ...string) url.Values {
	c.Helper()
	query := authorizeQuery(c.web)
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return codeForm(c.web, sentBack(c, authorize(c, c.lab, c.lab.TenantID(), query)).Get("code"))
}

// codeOn is a code for a redirect URI of another platform.
func (c *catalogueLab) codeOn(uri string, pairs ...string) url.Values {
	c.Helper()
	query := with(authorizeQuery(c.bare), "redirect_uri", uri)
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	back, err := url.Parse(authorize(c, c.lab, c.lab.TenantID(), query).header.Get("Location"))
	if err != nil {
		c.Fatal(err)
	}
	form := with(codeForm(c.bare, back.Query().Get("code")), "redirect_uri", uri)
	return with(form, "client_secret", "")
}

func (c *catalogueLab) refreshForm() url.Values {
	c.Helper()
	tokens := userTokens(c, c.lab, c.web, "openid offline_access")
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {c.web.ClientID}, "client_secret": {value(c.web)}, "refresh_token": {tokens["refresh_token"].(string)}}
}

// onBehalf asks in the name of a user, with a token for the API.
func (c *catalogueLab) onBehalf(assertion string) url.Values {
	c.Helper()
	if assertion == "" {
		assertion = userTokens(c, c.lab, c.web, c.api.ClientID+"/do")["access_token"].(string)
	}
	return url.Values{
		"grant_type": {grantOnBehalfOf}, "requested_token_use": {"on_behalf_of"}, "client_id": {c.api.ClientID}, "client_secret": {value(c.api)},
		"scope": {"User.Read"}, "assertion": {assertion},
	}
}

func (c *catalogueLab) assert(changes ...any) seen {
	c.Helper()
	return c.ask(assertionForm(c.key.ClientID, appPair().assertion(c, c.lab, c.key, changes...)))
}

func (c *catalogueLab) federated(issuer, subject, audience string) seen {
	c.Helper()
	return c.ask(assertionForm(c.key.ClientID, c.lab.SignAssertion(issuer, subject, audience)))
}

// later asks when the clock has gone on.
func (c *catalogueLab) later(d time.Duration, form url.Values, headers ...string) seen {
	c.Helper()
	c.lab.Advance(d)
	defer c.lab.Advance(-d)
	return c.ask(form, headers...)
}

// ruled asks while the lab refuses the web app.
func (c *catalogueLab) ruled(code int, form func() url.Values) seen {
	c.Helper()
	sent := form()
	if err := c.lab.Refuse(c.web.ObjectID, code); err != nil {
		c.Fatal(err)
	}
	defer c.lab.Refuse(c.web.ObjectID, 0)
	return c.ask(sent)
}

// provoked are the codes of the catalogue that the token service gives, each
// with a request that gets it.
var provoked = map[int]func(c *catalogueLab) seen{
	50011: func(c *catalogueLab) seen { return c.browse("redirect_uri", redirect+"/") },
	50013: func(c *catalogueLab) seen {
		return c.ask(c.onBehalf(breakSignature(c.onBehalf("").Get("assertion"))))
	},
	50027: func(c *catalogueLab) seen { return c.ask(assertionForm(c.key.ClientID, "x")) },
	50034: func(c *catalogueLab) seen { return c.browse("lab_user", "x@y") },
	50048: func(c *catalogueLab) seen { return c.assert("sub", unknownGUID) },
	50049: func(c *catalogueLab) seen {
		return c.read(do(c, c.lab, newRequest(c, "GET", c.lab.AuthorityURL()+"/common/discovery/instance?authorization_endpoint=https://x/", "")))
	},
	50057: func(c *catalogueLab) seen { return c.ruled(50057, c.refreshForm) },
	50058: func(c *catalogueLab) seen {
		c.lab.SetAutoSignIn("")
		defer c.lab.SetAutoSignIn(adaExample)
		return c.browse("prompt", "none")
	},
	50059: func(c *catalogueLab) seen { return c.tenant("common") },
	50076: func(c *catalogueLab) seen { return c.ruled(50076, c.refreshForm) },
	50079: func(c *catalogueLab) seen { return c.ruled(50079, c.refreshForm) },
	50105: func(c *catalogueLab) seen {
		c.patch("servicePrincipals/"+c.web.ServicePrincipalID, `{"appRoleAssignmentRequired":true}`)
		defer c.patch("servicePrincipals/"+c.web.ServicePrincipalID, `{"appRoleAssignmentRequired":false}`)
		return c.browse("prompt", "login")
	},
	50158: func(c *catalogueLab) seen { return c.ruled(50158, c.refreshForm) },
	50173: func(c *catalogueLab) seen { return c.ruled(50173, c.refreshForm) },
	50194: func(c *catalogueLab) seen { return c.read(authorize(c, c.lab, "common", authorizeQuery(c.web))) },
	50196: func(c *catalogueLab) seen { return c.ruled(50196, func() url.Values { return c.good }) },
	53003: func(c *catalogueLab) seen { return c.ruled(53003, func() url.Values { return c.good }) },
	54005: func(c *catalogueLab) seen {
		form := c.code()
		c.ask(form)
		return c.ask(form)
	},
	65001: func(c *catalogueLab) seen { return c.ruled(65001, c.refreshForm) },
	65004: func(c *catalogueLab) seen { return c.browse("lab_answer", "cancel") },
	65005: func(c *catalogueLab) seen { return c.browse("scope", "api://"+c.api.ClientID+"/x") },
	70000: func(c *catalogueLab) seen { return c.ask(with(c.code(), "client_id", c.bare.ClientID)) },
	70003: func(c *catalogueLab) seen { return c.change("grant_type", "password") },
	70005: func(c *catalogueLab) seen { return c.browse("response_type", "x") },
	70007: func(c *catalogueLab) seen { return c.browse("response_mode", "x") },
	70008: func(c *catalogueLab) seen { return c.later(time.Hour, c.code()) },
	70011: func(c *catalogueLab) seen { return c.change("scope", ".default") },
	70016: func(c *catalogueLab) seen {
		c.lab.SetAutoSignIn("")
		defer c.lab.SetAutoSignIn(adaExample)
		form, _ := startDevice(c, c.lab, c.public)
		return c.ask(form)
	},
	70018: func(c *catalogueLab) seen {
		return c.ask(url.Values{"grant_type": {deviceGrant}, "client_id": {c.public.ClientID}, "device_code": {"x"}})
	},
	70021: func(c *catalogueLab) seen { return c.federated(catalogueIssuer, "x", "x") },
	70025: func(c *catalogueLab) seen {
		return c.ask(assertionForm(c.bare.ClientID, c.lab.SignAssertion(catalogueIssuer, "x", "x")))
	},
	70043: func(c *catalogueLab) seen { return c.ruled(70043, c.refreshForm) },
	90002: func(c *catalogueLab) seen { return c.tenant("nobody.example") },
	90013: func(c *catalogueLab) seen { return c.browse("code_challenge_method", "x") },
	90023: func(c *catalogueLab) seen { return c.ask(with(c.onBehalf("x"), "requested_token_use", "x")) },
	90033: func(c *catalogueLab) seen { return c.ruled(90033, func() url.Values { return c.good }) },
	90102: func(c *catalogueLab) seen { return c.browse("redirect_uri", "/x") },
	240002: func(c *catalogueLab) seen {
		return c.ask(c.onBehalf(userTokens(c, c.lab, c.web, "openid")["id_token"].(string)))
	},
	500011: func(c *catalogueLab) seen { return c.change("scope", "api://x/.default") },
	500014: func(c *catalogueLab) seen {
		c.patch("servicePrincipals/"+c.api.ServicePrincipalID, `{"accountEnabled":false}`)
		defer c.patch("servicePrincipals/"+c.api.ServicePrincipalID, `{"accountEnabled":true}`)
		return c.change("scope", c.api.ClientID+"/.default")
	},
	500112: func(c *catalogueLab) seen { return c.ask(with(c.code(), "redirect_uri", "https://x")) },
	500113: func(c *catalogueLab) seen {
		return c.read(authorize(c, c.lab, c.lab.TenantID(), with(authorizeQuery(c.api), "redirect_uri", "")))
	},
	500131: func(c *catalogueLab) seen {
		return c.ask(c.onBehalf(userTokens(c, c.lab, c.web, "User.Read")["access_token"].(string)))
	},
	500133: func(c *catalogueLab) seen { return c.later(2*time.Hour, c.onBehalf("")) },
	501051: func(c *catalogueLab) seen {
		c.patch("servicePrincipals/"+c.api.ServicePrincipalID, `{"appRoleAssignmentRequired":true}`)
		defer c.patch("servicePrincipals/"+c.api.ServicePrincipalID, `{"appRoleAssignmentRequired":false}`)
		return c.change("scope", c.api.ClientID+"/.default")
	},
	501481: func(c *catalogueLab) seen { return c.ask(with(c.code("code_challenge", "x"), "code_verifier", "y")) },
	700016: func(c *catalogueLab) seen { return c.change("client_id", unknownGUID) },
	700021: func(c *catalogueLab) seen { return c.assert("iss", unknownGUID, "sub", unknownGUID) },
	700022: func(c *catalogueLab) seen { return c.browse("scope", "a/b c/d") },
	700023: func(c *catalogueLab) seen { return c.assert("aud", "x") },
	700024: func(c *catalogueLab) seen { return c.assert("exp", 1) },
	700025: func(c *catalogueLab) seen { return c.ask(with(c.codeOn("http://localhost"), "client_secret", "x")) },
	700026: func(c *catalogueLab) seen {
		return c.ask(assertionForm(c.bare.ClientID, appPair().assertion(c, c.lab, c.bare)))
	},
	700027: func(c *catalogueLab) seen {
		return c.ask(assertionForm(c.key.ClientID, breakSignature(appPair().assertion(c, c.lab, c.key))))
	},
	700051: func(c *catalogueLab) seen { return c.browse("response_type", "token") },
	700054: func(c *catalogueLab) seen { return c.browse("response_type", "id_token") },
	700082: func(c *catalogueLab) seen { return c.later(91*24*time.Hour, c.refreshForm()) },
	700084: func(c *catalogueLab) seen {
		form := with(c.codeOn("https://spa.example/", "code_challenge", "abc"), "code_verifier", "abc")
		tokens := askToken(c, c.lab, c.lab.TenantID(), form, "Origin", "https://spa.example").object(c)
		return c.later(24*time.Hour, url.Values{"grant_type": {"refresh_token"}, "client_id": {c.bare.ClientID}, "refresh_token": {tokens["refresh_token"].(string)}}, "Origin", "https://spa.example")
	},
	700211: func(c *catalogueLab) seen { return c.federated(catalogueIssuer+"/", catalogueSubject, "x") },
	700212: func(c *catalogueLab) seen { return c.federated(catalogueIssuer, catalogueSubject, "x") },
	700213: func(c *catalogueLab) seen { return c.federated(catalogueIssuer, "x", "api://AzureADTokenExchange") },
	700222: func(c *catalogueLab) seen { return c.federated(c.lab.AuthorityURL()+"/x", "x", "x") },
	900021: func(c *catalogueLab) seen { return c.tenant(zeroGUID) },
	900023: func(c *catalogueLab) seen { return c.tenant("undefined") },
	900144: func(c *catalogueLab) seen { return c.change("grant_type", "") },
	900382: func(c *catalogueLab) seen {
		return c.ruled(900382, func() url.Values { return with(c.good, "client_secret", "x") })
	},
	900439: func(c *catalogueLab) seen {
		return c.read(askToken(c, c.lab, "agency.test", credentialsForm("11111111-1111-4111-8111-111111111111", "x")))
	},
	900384: func(c *catalogueLab) seen {
		return c.ask(assertionForm(c.key.ClientID, breakSignature(c.lab.SignAssertion(catalogueIssuer, "x", "x"))))
	},
	900432: func(c *catalogueLab) seen { return c.ruled(900432, func() url.Values { return c.code() }) },
	900561: func(c *catalogueLab) seen {
		return c.read(do(c, c.lab, newRequest(c, "GET", tokenURL(c.lab, c.lab.TenantID()), "")))
	},
	901002:  func(c *catalogueLab) seen { return c.change("resource", "https://graph.microsoft.com") },
	1000031: func(c *catalogueLab) seen { return c.ruled(1000031, func() url.Values { return c.good }) },
	1002012: func(c *catalogueLab) seen { return c.change("scope", "User.Read") },
	7000110: func(c *catalogueLab) seen {
		return c.ask(c.good, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.bare.ClientID+":x")))
	},
	7000112: func(c *catalogueLab) seen { return c.ask(credentialsForm(c.off.ClientID, value(c.off))) },
	7000114: func(c *catalogueLab) seen {
		own := with(credentialsForm(c.api.ClientID, value(c.api)), "scope", c.api.ClientID+"/.default")
		return c.ask(c.onBehalf(askToken(c, c.lab, c.lab.TenantID(), own).object(c)["access_token"].(string)))
	},
	7000214: func(c *catalogueLab) seen {
		return c.ask(assertionForm(c.key.ClientID, otherPair().assertion(c, c.lab, c.key)))
	},
	7000215: func(c *catalogueLab) seen { return c.change("client_secret", "x") },
	7000216: func(c *catalogueLab) seen { return c.change("client_secret", "") },
	7000218: func(c *catalogueLab) seen { return c.ask(with(c.code(), "client_secret", "")) },
	7000219: func(c *catalogueLab) seen { return c.ask(with(c.onBehalf("x"), "client_secret", "")) },
	7000222: func(c *catalogueLab) seen { return c.ask(credentialsForm(c.expired.ClientID, value(c.expired))) },
	7000229: func(c *catalogueLab) seen { return c.ask(credentialsForm(c.absent.ClientID, value(c.absent))) },
	7000272: func(c *catalogueLab) seen { return c.assert("iss", catalogueIssuer, "h.kid", "x") },
	7002138: func(c *catalogueLab) seen {
		return c.federated(catalogueIssuer, strings.ToLower(catalogueSubject), "api://AzureADTokenExchange")
	},
	9002313: func(c *catalogueLab) seen { return c.ask(with(c.code(), "code", "x")) },
	9002325: func(c *catalogueLab) seen {
		return c.ask(c.codeOn("https://spa.example/"), "Origin", "https://spa.example")
	},
	9002326: func(c *catalogueLab) seen { return c.ask(c.good, "Origin", "https://spa.example") },
	9002327: func(c *catalogueLab) seen { return c.ask(c.codeOn("https://spa.example/")) },
	9002332: func(c *catalogueLab) seen { return c.read(authorize(c, c.lab, "consumers", authorizeQuery(c.web))) },
}

// Why the token service of the lab does not give a code.
const (
	older     = "an older number; today's service gives another"
	wordless  = "no text of it is known"
	inBrowser = "it needs a user's device, password or second factor, which the lab does not have"
	policies  = "a policy of tenants that the lab does not have; 53003 stands for them"
	faults    = "a fault of the service; 90033 stands for them"
	oneTenant = "an app of the lab lives in one tenant, and no users are guests"
	consents  = "the lab keeps no consents; 65001 stands for them"
	noSAML    = "the lab speaks no SAML and has no federated domains"
	noClouds  = "900382, 900432 and 900439 stand for it"
	otherText = "the lab gives another code for the same request"
)

var unprovoked = map[int]string{
	28002: otherText + ": 65005 or 500011", 28003: "codes are redeemed without a scope",
	40008: noSAML, 40010: noSAML, 50000: faults, 50001: older + ": 500011", 50003: noSAML, 50005: inBrowser, 50012: older + ": 7000215",
	50017: wordless, 50020: oneTenant, 50033: faults, 50053: inBrowser, 50055: inBrowser, 50078: inBrowser, 50107: noSAML,
	50126: inBrowser, 50128: otherText + ": 90002", 50131: policies, 50146: "the lab maps no claims", 51004: oneTenant,
	53000: inBrowser, 53001: inBrowser, 53002: inBrowser, 53004: inBrowser, 53011: policies, 65002: "the lab has no apps of Microsoft",
	70001: older + ": 700016", 70002: older + ": 7000215", 70004: wordless, 70019: otherText + ": 70020", 81010: inBrowser,
	90004: wordless, 90006: faults, 90008: consents, 90009: "the lab lets an app name itself by its URI", 90010: older, 90012: faults,
	90014: older + ": 900144", 90015: wordless, 90019: older + ": 50059", 90024: faults, 90036: faults, 90038: noClouds, 90043: older + ": 900382",
	90051: noClouds, 90055: wordless, 90056: older + ": 900561", 90072: oneTenant, 90090: faults, 90094: consents, 90095: consents,
	90099: oneTenant, 90100: wordless, 90130: noClouds, 100007: "the lab has no regional endpoints", 500021: policies, 500022: policies,
	500207: oneTenant, 500208: oneTenant, 500212: policies, 500213: policies, 500341: "users of the lab cannot be deleted",
	501461: "the lab maps no claims", 530032: policies, 530034: policies, 530035: policies, 650052: "the lab sells no services",
	650054: otherText + ": 500011", 650056: consents, 650057: consents, 700003: inBrowser, 700005: oneTenant, 700011: otherText + ": 700016",
	700020: inBrowser, 700030: "the lab trusts no issuer and subject name in place of a certificate", 700223: policies, 700229: wordless, 700238: policies,
	900971: otherText + ": 500113", 1002016: "Go's TLS refuses old versions itself", 1100000: wordless,
	7000113: policies, 7000212: wordless, 7002137: "a subject form of Microsoft's own agents", 7002381: policies, 7500529: noSAML,
	9001023: "the lab has no password grant", 9002346: "the lab has no personal accounts",
}

// TestCatalogue: every code of the catalogue is one that the token service
// gives, as the catalogue says, or one with a reason why not.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	c := newCatalogueLab(t)
	// The lab's texts go on where the catalogue's end.
	longer := map[int]bool{700024: true, 700027: true, 900439: true}
	// Where the catalogue gives what another endpoint says, or more than is sure.
	elsewhere := map[int]bool{65004: true, 50013: true}
	reasons, requests := maps.Clone(unprovoked), maps.Clone(provoked)
	for entry := range aadsts.All() {
		provoke, reason := requests[entry.Code], reasons[entry.Code]
		delete(requests, entry.Code)
		delete(reasons, entry.Code)
		if (provoke == nil) == (reason == "") {
			t.Errorf("%d: provoke it or say why not, one of the two", entry.Code)
		}
		if provoke == nil {
			continue
		}
		c.T = t
		got := provoke(c)
		text, ok := strings.CutPrefix(got.text, fmt.Sprintf("AADSTS%d: ", entry.Code))
		pattern := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(entry.Message), `.+`)
		if !longer[entry.Code] {
			pattern += "$"
		}
		if !ok || entry.Message != "" && !elsewhere[entry.Code] && !regexp.MustCompile("^"+pattern).MatchString(text) || strings.ContainsAny(text, "{}") {
			t.Errorf("%d: text\n%s\nwant\n%s", entry.Code, got.text, entry.Message)
		}
		if entry.OAuthError != "" && got.oauth != "" && got.oauth != entry.OAuthError && !elsewhere[entry.Code] {
			t.Errorf("%d: error %s, want %s", entry.Code, got.oauth, entry.OAuthError)
		}
		if entry.HTTPStatus != 0 && got.status != 0 && got.status != entry.HTTPStatus {
			t.Errorf("%d: status %d, want %d", entry.Code, got.status, entry.HTTPStatus)
		}
	}
	for code := range requests {
		t.Errorf("%d is not in the catalogue", code)
	}
	for code := range reasons {
		t.Errorf("%d is not in the catalogue", code)
	}
}

// TestRefusals: the switch is turned through the control origin, too.
func TestRefusals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	turn := func(app, number string) reply {
		return control(t, lab, "refusals", `{"app":"`+app+`","code":`+number+`}`)
	}
	if r := turn(app.ObjectID, "53003"); r.status != 204 {
		t.Fatal(r.body)
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 53003 {
		t.Errorf("code %d, want 53003", got)
	}
	if got := code(t, lab, app.ClientID, "x"); got != 7000215 {
		t.Errorf("with a wrong value: code %d, want 7000215", got)
	}
	for _, number := range []string{"65001", "0"} {
		if r := turn(app.ObjectID, number); r.status != 204 {
			t.Fatal(r.body)
		}
		if got := code(t, lab, app.ClientID, value(app)); got != 0 {
			t.Errorf("after %s: code %d, want a token", number, got)
		}
	}
	for _, r := range []reply{turn(app.ObjectID, "7000215"), turn(unknownGUID, "53003"), turn(app.ObjectID, `"x"`)} {
		if r.status != 400 {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
}
