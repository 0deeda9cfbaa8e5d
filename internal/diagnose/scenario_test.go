package diagnose_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// scenario is one way in which a set-up is broken. It knows what is wrong, and
// whether the evidence can tell.
type scenario struct {
	cause diagnose.Cause // "" for a setting that works
	// blind and reading tell whether the cause can be named without and with
	// the directory. Where it cannot, an answer is right that claims no other
	// cause as proven.
	blind, reading bool
	build          func(s *stage) diagnose.Case
}

// stage is the tenant that a scenario breaks something in.
type stage struct {
	*bench
	draw *rand.Rand
}

func pick[T any](draw *rand.Rand, from ...T) T { return from[draw.IntN(len(from))] }

// newApp adds an app whose secret in use has some age, beside others.
func (s *stage) newApp(age time.Duration) {
	s.Helper()
	now := s.lab.Now()
	spec := entralab.AppSpec{
		DisplayName: fmt.Sprintf("%s-%04d", pick(s.draw, "billing", "crawler", "報告", "O'Neil & co", "web-frontend"), s.draw.IntN(10000)),
		Secrets:     []entralab.SecretSpec{{DisplayName: pick(s.draw, "prod", "winter", ""), At: now.Add(-age)}},
	}
	for range s.draw.IntN(3) {
		at := now.Add(-time.Duration(100+s.draw.IntN(300)) * 24 * time.Hour)
		other := entralab.SecretSpec{DisplayName: "another", At: at}
		if s.draw.IntN(2) == 0 { // one that has ended
			other.End = at.Add(time.Duration(1+s.draw.IntN(90)) * 24 * time.Hour)
		}
		spec.Secrets = append(spec.Secrets, other)
	}
	app, err := s.lab.AddApp(spec)
	if err != nil {
		s.Fatal(err)
	}
	s.app = app
}

// someAge is old enough to be known everywhere.
func (s *stage) someAge() time.Duration {
	return time.Hour + time.Duration(s.draw.Int64N(int64(300*24*time.Hour)))
}

// edited breaks the value of an app's secret.
func edited(cause diagnose.Cause, blind, reading bool, edit func(draw *rand.Rand, v string) string) scenario {
	return scenario{cause, blind, reading, func(s *stage) diagnose.Case {
		s.newApp(s.someAge())
		return s.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(edit(s.draw, s.value())) })
	}}
}

// changed breaks something else of the setting.
func changed(cause diagnose.Cause, blind, reading bool, change func(s *stage, c *diagnose.Case)) scenario {
	return scenario{cause, blind, reading, func(s *stage) diagnose.Case {
		s.newApp(s.someAge())
		return s.ask(func(c *diagnose.Case) { change(s, c) })
	}}
}

// insert puts a text at the start, at the end or inside.
func insert(draw *rand.Rand, v, text string) string {
	at := pick(draw, 0, len(v), 1+draw.IntN(len(v)-1))
	return v[:at] + text + v[at:]
}

func guidText(draw *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", draw.Uint32(), draw.IntN(1<<16), draw.IntN(1<<12), draw.IntN(1<<12), draw.Int64N(1<<48))
}

// mistyped replaces, swaps or adds one character behind the hint.
func mistyped(draw *rand.Rand, v string) string {
	i := 10 + draw.IntN(len(v)-12)
	other := func(c byte) string { return string([]byte{"xy"[b2i(c == 'x')]}) }
	switch draw.IntN(3) {
	case 0:
		return v[:i] + other(v[i]) + v[i+1:]
	case 1:
		for v[i] == v[i+1] {
			i--
		}
		return v[:i] + v[i+1:i+2] + v[i:i+1] + v[i+2:]
	}
	return v[:i] + other(v[i]) + v[i:]
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// scenarios are all ways, each as likely.
func scenarios() map[string]scenario {
	all := map[string]scenario{
		"works": changed("", true, true, func(*stage, *diagnose.Case) {}),
		"whitespace at an end": edited("secret-whitespace", true, true, func(draw *rand.Rand, v string) string {
			blank := pick(draw, " ", "\n", "\r\n", "\t", "\u00a0", "\ufeff", "\u200b")
			return pick(draw, v+blank, blank+v, blank+v+blank)
		}),
		"invisible inside": edited("secret-whitespace", true, true, func(draw *rand.Rand, v string) string {
			return insert(draw, v, pick(draw, "\u200b", "\u200c", "\u2060", "\ufeff"))
		}),
		"quotes": edited("secret-quoted", true, true, func(draw *rand.Rand, v string) string {
			return pick(draw, `"`+v+`"`, `'`+v+`'`, "`"+v+"`", `"`+v, v+`"`, `“`+v+`”`)
		}),
		"percent": edited("secret-encoded", true, true, func(draw *rand.Rand, v string) string {
			once := strings.ReplaceAll(v, "~", pick(draw, "%7E", "%7e"))
			return pick(draw, once, url.QueryEscape(once))
		}),
		"base64": edited("secret-encoded", true, true, func(draw *rand.Rand, v string) string {
			return pick(draw, base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding).EncodeToString([]byte(pick(draw, v, v+"\n")))
		}),
		"HTML": edited("secret-encoded", true, true, func(draw *rand.Rand, v string) string {
			return strings.ReplaceAll(v, "~", pick(draw, "&#126;", "&#x7e;"))
		}),
		"JSON escapes": edited("secret-encoded", true, true, func(draw *rand.Rand, v string) string {
			return strings.ReplaceAll(v, "~", pick(draw, `\u007e`, `\u007E`))
		}),
		"Secret ID": changed("secret-id-used", true, true, func(s *stage, c *diagnose.Case) {
			id := s.app.Secrets[0].KeyID
			c.Setting.Value = secret.New(pick(s.draw, id, strings.ToUpper(id), "{"+id+"}"))
		}),
		"Secret ID without dashes": changed("secret-id-used", false, true, func(s *stage, c *diagnose.Case) {
			c.Setting.Value = secret.New(strings.ReplaceAll(s.app.Secrets[0].KeyID, "-", ""))
		}),
		"dropped character": edited("secret-typo", false, false, func(draw *rand.Rand, v string) string {
			i := 10 + draw.IntN(len(v)-12)
			return v[:i] + v[i+1:]
		}),
		"typo": edited("secret-typo", false, true, mistyped),
		"cut": edited("secret-truncated", true, true, func(draw *rand.Rand, v string) string {
			return v[:8+draw.IntN(len(v)-12)]
		}),
		"placeholder": edited("secret-placeholder", true, true, func(draw *rand.Rand, _ string) string {
			return pick(draw, "${CLIENT_SECRET}", "<your-client-secret>", "changeme", "***", "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/x)", "{{ .Values.secret }}", "$(ClientSecret)")
		}),
		"empty": edited("secret-empty", true, true, func(*rand.Rand, string) string { return "" }),
		"of nobody": edited("secret-unknown", false, false, func(draw *rand.Rand, v string) string {
			return fmt.Sprintf("%s8Q~%s", pick(draw, "!Zz", "§Z"), strings.Repeat(pick(draw, "z", "q"), 34))
		}),
		"another app's": changed("secret-of-other-app", false, true, func(s *stage, c *diagnose.Case) {
			other := s.register("other", -s.someAge())
			c.Setting.Value = secret.New(other.Secrets[0].Value.Reveal())
		}),
		"deleted": changed("secret-deleted", false, true, func(s *stage, c *diagnose.Case) {
			if err := s.lab.RemoveSecret(s.app.ObjectID, s.app.Secrets[0].KeyID); err != nil {
				s.Fatal(err)
			}
		}),
		"unknown client id": changed("client-id-unknown", false, true, func(s *stage, c *diagnose.Case) { c.Setting.ClientID = guidText(s.draw) }),
		"object id": changed("client-id-is-object-id", false, true, func(s *stage, c *diagnose.Case) {
			c.Setting.ClientID = pick(s.draw, s.app.ObjectID, s.app.ServicePrincipalID)
		}),
		"swapped": changed("client-id-malformed", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.ClientID, c.Setting.Value = s.value(), secret.New(c.Setting.ClientID)
		}),
		"malformed client id": changed("client-id-malformed", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.ClientID = pick(s.draw, "billing-api", c.Setting.ClientID[:30], c.Setting.ClientID+" ", `"`+c.Setting.ClientID+`"`, "{"+c.Setting.ClientID+"}")
		}),
		"unknown tenant": changed("tenant-unknown", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.TenantID = pick(s.draw, guidText(s.draw), "nobody.onmicrosoft.com")
		}),
		"malformed tenant": changed("tenant-malformed", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.TenantID = pick(s.draw, "contoso", c.Setting.TenantID[:20])
		}),
		"tenant with blanks": changed("tenant-malformed", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.TenantID = pick(s.draw, " "+c.Setting.TenantID, c.Setting.TenantID+"\n", `"`+c.Setting.TenantID+`"`)
		}),
		"tenant placeholder": changed("tenant-placeholder", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.TenantID = pick(s.draw, "<your-tenant-id>", "${AZURE_TENANT_ID}", "YOUR_TENANT_ID")
		}),
		"common": changed("authority-common", true, true, func(s *stage, c *diagnose.Case) { c.Setting.TenantID = pick(s.draw, "common", "organizations") }),
		"wrong tenant": changed("tenant-wrong", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.TenantID, c.KnownTenants = s.lab.OtherTenantID(), []string{s.app.TenantID}
		}),
		"scope": changed("scope-malformed", true, true, func(s *stage, c *diagnose.Case) {
			c.Scope = pick(s.draw, "https://graph.microsoft.com/User.Read", "https://graph.microsoft.com", "User.Read", ".default", "openid profile", "https://vault.azure.net/", "https://graph.microsoft.com/User.Read https://graph.microsoft.com/Mail.Send")
		}),
		"resource": changed("resource-unknown", true, true, func(s *stage, c *diagnose.Case) {
			c.Scope = pick(s.draw, "https://nowhere.example/.default", "https://graph.microsoft.us/.default", "https://graph.windows.net/.default", "graph.microsoft.com/.default", "api://"+guidText(s.draw)+"/.default")
		}),
		"newline and scope": changed("secret-whitespace", true, true, func(s *stage, c *diagnose.Case) {
			c.Setting.Value, c.Scope = secret.New(s.value()+"\n"), "https://graph.microsoft.com/User.Read"
		}),
		"of another audience": changed("scope-malformed", true, true, func(_ *stage, c *diagnose.Case) {
			c.Try, c.Scope = entra.ServiceGraph, "https://vault.azure.net/.default"
		}),
		"not assigned": changed("assignment-required", true, true, func(s *stage, c *diagnose.Case) {
			api := s.register("api", -s.someAge())
			s.patchPrincipal(api, `{"appRoleAssignmentRequired":true}`)
			c.Scope = api.ClientID + "/.default"
		}),
		"permission": changed("permission-missing", true, true, func(s *stage, c *diagnose.Case) {
			c.Try = entra.ServiceGraph
		}),
		"disabled": changed("app-disabled", true, true, func(s *stage, _ *diagnose.Case) {
			s.portal(`{"action":"` + pick(s.draw, "disable-app", "deactivate-app") + `","app":"` + s.app.ObjectID + `"}`)
		}),
		"deleted app": changed("app-deleted", false, true, func(s *stage, _ *diagnose.Case) {
			s.portal(`{"action":"delete-app","app":"` + s.app.ObjectID + `"}`)
		}),
		"blocked by policy": changed("conditional-access", true, true, func(s *stage, _ *diagnose.Case) {
			if err := s.lab.Refuse(s.app.ObjectID, 53003); err != nil {
				s.Fatal(err)
			}
		}),
	}
	all["expired"] = scenario{"secret-expired", true, true, func(s *stage) diagnose.Case {
		at := s.lab.Now().Add(-s.someAge())
		end := at.Add(time.Duration(s.draw.Int64N(int64(s.lab.Now().Sub(at))-int64(time.Minute))) + time.Second)
		return s.withSecret(entralab.SecretSpec{DisplayName: "ended", At: at, End: end})
	}}
	all["not yet valid"] = scenario{"secret-not-yet-valid", false, true, func(s *stage) diagnose.Case {
		start := s.lab.Now().Add(time.Hour + time.Duration(s.draw.Int64N(int64(90*24*time.Hour))))
		return s.withSecret(entralab.SecretSpec{Start: start, End: start.AddDate(1, 0, 0)})
	}}
	all["without service principal"] = scenario{"service-principal-missing", true, true, func(s *stage) diagnose.Case {
		app, err := s.lab.AddApp(entralab.AppSpec{NoServicePrincipal: true, Secrets: []entralab.SecretSpec{{}}})
		if err != nil {
			s.Fatal(err)
		}
		s.app = app
		return s.ask(nil)
	}}
	all["propagating"] = scenario{"secret-propagating", false, true, func(s *stage) diagnose.Case {
		s.lab.SetDelay(entralab.Delay{Accept: time.Duration(3+s.draw.IntN(8)) * time.Second, Replicas: 1})
		defer s.lab.SetDelay(entralab.Delay{})
		return s.withSecret(entralab.SecretSpec{DisplayName: "today"})
	}}
	return all
}

// withSecret is the case of a new app with one secret.
func (s *stage) withSecret(spec entralab.SecretSpec) diagnose.Case {
	s.Helper()
	app, err := s.lab.AddApp(entralab.AppSpec{DisplayName: "one-secret", Secrets: []entralab.SecretSpec{spec}})
	if err != nil {
		s.Fatal(err)
	}
	s.app = app
	return s.ask(nil)
}
