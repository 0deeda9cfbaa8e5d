package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenantID = "7f1c0000-0000-4000-8000-00000000000a"
	appID    = "1b7e0000-0000-4000-8000-00000000000b"
	opID     = "0be40000-0000-4000-8000-00000000000c"
)

const full = `# the whole file
tenants:
  contoso:
    tenant_id: ` + tenantID + `
    cloud: public
    identity: {client_id: ` + opID + `, secret: "${env:OP_SECRET}"}
  fabrikam:
    tenant_id: 7f1c0000-0000-4000-8000-00000000000d
    cloud: {authority: https://login.example, graph: https://graph.example/, vault_suffix: .vault.example}
    identity: {managed_identity: true}
store: postgres://credsmith:${env:DB_PASSWORD}@db.example/credsmith
bindings:
  billing-api:
    tenant: contoso
    app: ` + appID + `
    lifetime: 90d
    renew_before: 30d
    overlap: 7d
    retire: expire
    sinks:
      - keyvault: {vault: https://kv-billing.vault.azure.net, secret: billing-client-secret}
      - dotenv: {file: /srv/billing/.env, key: AZURE_CLIENT_SECRET}
      - exec: {command: [/opt/bin/push-secret, billing], timeout: 60s}
    prove: {scope: https://graph.example/.default, times: 3, over: 36h}
  mailer:
    tenant: fabrikam
    app: ` + appID + `
    lifetime: 12h
    sinks:
      - dotenv: {file: .env, key: A}
policy: {max_age: 90d}
alerts: {}
`

// write puts a file of that text into a new directory.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "credsmith.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Load(write(t, text), environment(map[string]string{"OP_SECRET": "canary-op", "DB_PASSWORD": "canary-db"}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoad(t *testing.T) {
	t.Parallel()
	c := load(t, full)
	contoso, _ := c.Tenant("contoso")
	fabrikam, _ := c.Tenant("fabrikam")
	if c.Tenants[0].Name != "contoso" || contoso.TenantID != tenantID || contoso.Cloud.Graph != "https://graph.microsoft.com" || contoso.Identity.ClientID != opID {
		t.Errorf("contoso %+v", contoso)
	}
	if fabrikam.Cloud.Authority != "https://login.example" || fabrikam.Cloud.Graph != "https://graph.example" || fabrikam.Cloud.Vault != "vault.example" || !fabrikam.Identity.ManagedIdentity {
		t.Errorf("fabrikam %+v", fabrikam)
	}
	value, err := contoso.Identity.Secret.Resolve()
	if err != nil || value.Reveal() != "canary-op" {
		t.Errorf("secret %v", err)
	}
	store, err := c.Store.Resolve()
	if err != nil || store.Reveal() != "postgres://credsmith:canary-db@db.example/credsmith" {
		t.Errorf("store %v", err)
	}
	if err := c.Resolve(); err != nil {
		t.Error(err)
	}
	b, _ := c.Binding("billing-api")
	day := 24 * time.Hour
	if b.Tenant != "contoso" || b.App != appID || b.Lifetime != 90*day || b.RenewBefore != 30*day || b.Overlap != 7*day || b.Retire != "expire" {
		t.Errorf("binding %+v", b)
	}
	if b.Prove.Scope != "https://graph.example/.default" || b.Prove.Times != 3 || b.Prove.Over != 36*time.Hour {
		t.Errorf("prove %+v", b.Prove)
	}
	if b.At.Line != 13 || b.At.Column != 3 || len(b.Sinks) != 3 || b.Sinks[1].Kind != "dotenv" || b.Sinks[1].At.Line != 22 || b.Sinks[1].At.Column != 9 {
		t.Errorf("at %v, sinks %d at %v", b.At, len(b.Sinks), b.Sinks[1].At)
	}
	mailer, _ := c.Binding("mailer")
	if mailer.RenewBefore != 4*time.Hour || mailer.Overlap != 4*time.Hour || mailer.Retire != "evidence" || mailer.Prove.Times != 8 || mailer.Prove.Over != time.Minute || mailer.Prove.Scope != "https://graph.example/.default" {
		t.Errorf("defaults %+v", mailer)
	}
	if c.Policy.IsZero() || len(c.Policy.Content) != 2 {
		t.Error("policy is not kept")
	}
	if _, ok := c.Binding("other"); ok {
		t.Error("an unknown binding is found")
	}
	if got := c.Path("state/x"); got != filepath.Join(filepath.Dir(c.File), "state", "x") {
		t.Errorf("path %s", got)
	}
}

// TestPage: the example of docs/configuration.md is one.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if c := load(t, example); !found || len(c.Bindings) != 1 || len(c.Bindings[0].Sinks) != 2 {
		t.Errorf("%+v", c)
	}
}

// TestSinkDecode reads a sink's body as strictly as the file.
func TestSinkDecode(t *testing.T) {
	t.Parallel()
	type exec struct {
		Command []string          `yaml:"command" need:"yes"`
		Timeout time.Duration     `yaml:"timeout"`
		Env     map[string]string `yaml:"env"`
		Mode    int               `yaml:"mode" range:"0,511"`
		Token   config.Text       `yaml:"token" secret:"yes"`
		At      config.Position   `yaml:"-"`
	}
	b, _ := load(t, full).Binding("billing-api")
	var e exec
	if err := b.Sinks[2].Decode(&e); err != nil || fmt.Sprint(e.Command) != "[/opt/bin/push-secret billing]" || e.Timeout != time.Minute || e.At.Line != 23 {
		t.Errorf("%+v %v", e, err)
	}
	for body, want := range map[string]string{
		"{command: [a], timout: 1s}":     `:30: unknown key "timout": did you mean "timeout"?`,
		"{command: a}":                   "a list is needed here, not a single text",
		"{timeout: 5s}":                  "command is missing",
		"{command: [a], mode: 512}":      "a whole number from 0 to 511 is needed here",
		"{command: [a], env: {A: [b]}}":  "a text is needed here, not a list",
		"{command: [a], token: }":        "a text is needed here",
		"{command: [a], token: '${x}'}":  "a reference is ${env:NAME} or ${file:PATH}, not ${x...}",
		"{command: [a], command: [b]}":   `"command" is given twice, first in line 8`,
		"{command: [{}]}":                "a text is needed here, not keys and values",
		"{command: [a], timeout: [1s]}":  "a time such as 90d, 36h or 60s is needed here, not a list",
		"{command: [a], [b]: c}":         "a key must be a text",
		"{command: [a], env: [A=b]}":     "keys and values are needed here, not a list",
		"{command: [a], mode: 0x1}":      "a whole number from 0 to 511",
		"{command: [a], timeout: 1s1s}":  `"1s1s" is not a time`,
		"{command: [a], timeout: '1 s'}": `"1 s" is not a time`,
	} {
		c := load(t, "tenants:\n  a: {tenant_id: "+tenantID+"}\nbindings:\n  b:\n    app: "+appID+"\n    lifetime: 9d\n    sinks:\n      - exec: "+body+"\n")
		err := c.Bindings[0].Sinks[0].Decode(new(exec))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "credsmith.yaml:8:") || strings.Contains(err.Error(), "more") {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// small is a good file; tests change one line of it.
const small = `tenants:
  contoso:
    tenant_id: ` + tenantID + `
    identity: {client_id: ` + opID + `, secret: "${env:OP_SECRET}"}
bindings:
  billing-api:
    app: ` + appID + `
    lifetime: 90d
    sinks:
      - dotenv: {file: app.env, key: A}
`

// TestBad is the catalogue of bad configurations (B31 to B40): each message
// names the place and the fault.
func TestBad(t *testing.T) {
	t.Parallel()
	change := func(old, by string) string {
		if !strings.Contains(small, old) {
			t.Fatalf("no %q in the good file", old)
		}
		return strings.Replace(small, old, by, 1)
	}
	deep := strings.Repeat("[", 3000) + strings.Repeat("]", 3000)
	cases := map[string]struct{ text, want string }{
		"B31 empty":            {"", ":1:1: the file is empty: it needs tenants"},
		"B31 only a comment":   {"# nothing\n", ":1:1: the file is empty: it needs tenants"},
		"B31 null":             {"~\n", ":1:1: the file is empty: it needs tenants"},
		"no tenants":           {"bindings: {}\n", ":1:1: tenants is missing: name at least one"},
		"a list":               {"- a\n", ":1:1: keys and values are needed here, not a list"},
		"B35 unknown key":      {change("lifetime", "life_time"), `:8:5: unknown key "life_time": did you mean "lifetime"?`},
		"B35 unknown at top":   {"tenant:\n" + small, `:1:1: unknown key "tenant": did you mean "tenants"?`},
		"B35 far from any":     {"x-y-z-w:\n" + small, `:1:1: unknown key "x-y-z-w": known are alerts, bindings, policy, store, store_key, tenants`},
		"B36 duplicate key":    {change("    lifetime: 90d", "    lifetime: 90d\n    lifetime: 80d"), `:9:5: "lifetime" is given twice, first in line 8`},
		"B36 duplicate name":   {small + "  billing-api: {}\n", `:11:3: "billing-api" is given twice, first in line 6`},
		"B37 bomb":             {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "aliases unfold to too many values"},
		"B37 alias to itself":  {"a: &a {b: *a}\n", ":1:11: an alias stands inside its own anchor"},
		"B37 deep":             {"policy: " + deep + "\n", ":1:1: nested too deeply"},
		"B37 deep enough":      {"policy: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\n", "nested too deeply"},
		"B38 tabs":             {change("    lifetime", "\tlifetime"), ":8:1: a tab indents this line: YAML takes blanks only"},
		"B38 not UTF-8":        {"tenants: \xff\xfe\xfd\n", ":1:1: not a text file in UTF-8"},
		"B38 zero byte":        {"tenants: \x00\n", ":1:1: not a text file in UTF-8"},
		"two documents":        {small + "---\n" + small, ":11:1: a second document begins here"},
		"no YAML":              {"tenants: {\n", "not YAML that can be read"},
		"no YAML, quoted":      {"store: \"canary-in-text\n", "not YAML that can be read"},
		"B39 no unit":          {change("90d", "30"), ":8:15: 30 has no unit: write it as 90d, 36h, 15m or 60s"},
		"B39 fraction":         {change("90d", "1.5"), ":8:15: 1.5 has no unit"},
		"B39 negative":         {change("90d", "-90d"), ":8:15: -90d is negative"},
		"B39 zero":             {change("90d", "0d"), ":8:15: 0d is no time at all"},
		"B39 bare zero":        {change("90d", "0"), ":8:15: 0 is no time at all"},
		"B39 huge":             {change("90d", "3651d"), ":8:15: 3651d is longer than 3650d"},
		"B39 beyond counting":  {change("90d", "99999999999999999999d"), ":8:15: 99999999999999999999d is longer than 3650d"},
		"B39 sum":              {change("90d", "3650d1s"), ":8:15: 3650d1s is longer than 3650d"},
		"B39 other unit":       {change("90d", "2y"), `:8:15: "2y" is not a time`},
		"B39 wrong order":      {change("90d", "5h2d"), `:8:15: "5h2d" is not a time`},
		"B39 nothing":          {change("90d", ""), ":8:14: a time such as 90d, 36h or 60s is needed here: nothing is given"},
		"B40 overlap":          {change("lifetime: 90d", "lifetime: 90d\n    overlap: 91d"), ":6:3: overlap (91d) is not shorter than lifetime (90d)"},
		"B40 lead":             {change("lifetime: 90d", "lifetime: 90d\n    renew_before: 90d"), ":6:3: renew_before (90d) is not shorter than lifetime (90d)"},
		"B40 same place":       {small + "      - dotenv: {key: A, file: ./app.env}\n", ":11:9: this dotenv sink writes to the same place as the one in line 10"},
		"B40 same elsewhere":   {small + "  other:\n    app: " + opID + "\n    lifetime: 9d\n    sinks: [{dotenv: {file: app.env, key: A, mode: 6}}]\n", ":14:14: this dotenv sink writes to the same place as the one in line 10"},
		"B40 same command":     {small + "      - exec: {command: [a, b]}\n      - exec: {command: [\"a\", b]}\n", ":12:9: this exec sink writes to the same place as the one in line 11"},
		"B40 same repository":  {small + "      - github: {repository: c/b, environment: e, secret: S}\n      - github: {secret: s, environment: E, repository: C/B, api: https://api.github.com/}\n", ":12:9: this github sink writes to the same place"},
		"B40 same variable":    {small + "      - gitlab: {project: c/b, key: K}\n      - gitlab: {project: C/B, key: K, environment_scope: \"*\", hidden: true}\n", ":12:9: this gitlab sink writes to the same place"},
		"B40 same site":        {small + "      - appservice: {site: /s/A, setting: S}\n      - appservice: {site: /S/a, setting: S, arm: \"https://management.azure.com/\", reference: true}\n", ":12:9: this appservice sink writes to the same place"},
		"B40 same group":       {small + "      - azuredevops: {organization: c, project: P, variable_group: 7, variable: V}\n      - azuredevops: {organization: C, project: p, variable_group: 7, variable: v, token: \"${env:T}\"}\n", ":12:9: this azuredevops sink writes to the same place"},
		"B40 same vault":       {small + "      - keyvault: {vault: https://K/, secret: s}\n      - keyvault: {secret: s, vault: https://k}\n", ":12:9: this keyvault sink writes to the same place"},
		"B40 no sinks":         {change("\n      - dotenv: {file: app.env, key: A}", " []"), ":6:3: sinks is empty"},
		"B40 sinks left out":   {change("    sinks:\n      - dotenv: {file: app.env, key: A}\n", ""), ":7:5: sinks is missing"},
		"B40 tenant no GUID":   {change(tenantID, "contoso.com"), ":3:16: tenant_id must be a GUID"},
		"B40 unknown tenant":   {change("    app:", "    tenant: contosso\n    app:"), `:6:3: unknown tenant "contosso": did you mean "contoso"?`},
		"B40 which tenant":     {change("  contoso:", "  other: {tenant_id: "+appID+"}\n  contoso:"), ":7:3: tenant is missing: it is one of other, contoso"},
		"tenant twice":         {change("  contoso:", "  other: {tenant_id: "+strings.ToUpper(tenantID)+"}\n  contoso:"), ":3:3: the tenants other and contoso have the same tenant_id"},
		"app twice":            {small + "  other: {app: " + appID + ", lifetime: 9d, sinks: [{exec: {command: [x]}}]}\n", ":11:3: the bindings billing-api and other have the same app"},
		"app missing":          {change("    app: "+appID+"\n", ""), ":7:5: app is missing"},
		"app empty":            {change("app: "+appID, "app: ''"), ":7:10: a text is needed here: nothing is given"},
		"retire":               {change("lifetime: 90d", "lifetime: 90d\n    retire: expires"), `:9:13: unknown retire "expires": did you mean "expire"?`},
		"prove nothing":        {change("lifetime: 90d", "lifetime: 90d\n    prove: {times: 0}"), ":9:20: a whole number from 1 to 100 is needed here"},
		"sink of two kinds":    {change("dotenv: {file: app.env, key: A}", "{dotenv: {}, exec: {}}"), ":10:9: a sink is one kind with its keys"},
		"sink without body":    {change("{file: app.env, key: A}", "app.env"), ":10:17: the sink dotenv needs keys and values, not a single text"},
		"name":                 {change("billing-api", `"../etc"`), `:6:3: the name "../etc" must be 1 to 64 letters`},
		"no name":              {change("billing-api", `""`), `:6:3: the name "" must be 1 to 64 letters`},
		"cloud":                {change("    identity", "    cloud: publik\n    identity"), `:4:12: unknown cloud "publik": did you mean "public"?`},
		"cloud over http":      {change("    identity", "    cloud: {authority: http://a, graph: https://g}\n    identity"), ":4:12: authority: http://a is http: a secret is sent over https only"},
		"cloud without graph":  {change("    identity", "    cloud: {authority: https://a}\n    identity"), ":4:12: graph is missing"},
		"cloud as list":        {change("    identity", "    cloud: [public]\n    identity"), ":4:12: public, usgov, china or the addresses of another cloud is needed here, not a list"},
		"identity of no kind":  {change(`, secret: "${env:OP_SECRET}"`, ""), ":4:15: the identity has nothing to sign in with"},
		"identity of two":      {change(`secret:`, "managed_identity: true, secret:"), ":4:15: the identity has more than one way to sign in: keep one of secret, managed_identity"},
		"identity of nobody":   {change("client_id: "+opID+", ", ""), ":4:15: client_id is missing: a secret belongs to an app"},
		"workload of nobody":   {change(`client_id: `+opID+`, secret: "${env:OP_SECRET}"`, "workload_identity: true"), ":4:15: client_id is missing: a workload_identity belongs to an app"},
		"a boolean":            {change(`secret: "${env:OP_SECRET}"`, "managed_identity: yes"), "true or false is needed here"},
		"password of nothing":  {change("secret:", "certificate_password: '${env:A}', secret:"), ":4:15: certificate_password is given without certificate"},
		"reference never ends": {change("${env:OP_SECRET}", "${env:OP_SECRET"), ":4:73: ${ is never closed with }"},
		"reference of no kind": {change("${env:OP_SECRET}", "${OP_SECRET}"), ":4:73: a reference is ${env:NAME} or ${file:PATH}, not ${OP_SECRET...}"},
		"merge of a text":      {change("lifetime: 90d", "<<: x\n    lifetime: 90d"), ":8:9: only keys and values can be merged"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(write(t, c.text), environment(nil))
			if err == nil || !strings.Contains(err.Error(), "credsmith.yaml"+c.want) && !(c.want[0] != ':' && strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if _, ok := errors.AsType[config.Errors](err); !ok {
				t.Errorf("%T is not Errors", err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Error("the error quotes the file")
			}
		})
	}
}

// TestUnreadable: B32, B33, and a file beyond any configuration.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := write(t, "# "+strings.Repeat("x", 1<<20)+"\n")
	for name, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "none.yaml: no such file or directory",
		dir:                             dir + ": it is a directory: name the file in it",
		big:                             "it is larger than 1048576 bytes",
	} {
		_, err := config.Load(name, environment(nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestOpenFile: B34, a secret in a file that others can read.
func TestOpenFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing here")
	}
	literal := strings.Replace(small, "${env:OP_SECRET}", "canary-literal", 1)
	store := "store: postgres://u:canary@h/d\n" + small
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{small, 0o666, ""},
		{literal, 0o600, ""},
		{literal, 0o666, ":4:73: a secret stands in a file that others can read"},
		{literal, 0o640, ":4:73: a secret stands in a file that others can read"},
		{strings.Replace(small, "${env:OP_SECRET}", "canary${env:X}", 1), 0o644, ":4:73: a secret stands in"},
		{store, 0o600, ""},
		{store, 0o644, ":1:8: a password stands in a file that others can read"},
		{"store: postgres://h/d?password=canary\n" + small, 0o644, ":1:8: a password stands"},
		{"store: sqlite:./state/credsmith.db\n" + small, 0o644, ""},
		{"store: postgres://u:${env:P}@h/d\n" + small, 0o644, ""},
	} {
		name := write(t, c.text)
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(name, environment(nil))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("mode %o: %v, want %q", c.mode, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Error("the error quotes the secret")
		}
	}
}

// TestForgiven: what is unusual in a file and no fault.
func TestForgiven(t *testing.T) {
	t.Parallel()
	utf16 := []byte{0xff, 0xfe}
	for _, r := range small {
		utf16 = append(utf16, byte(r), byte(r>>8))
	}
	for name, text := range map[string]string{
		"CRLF":     strings.ReplaceAll(small, "\n", "\r\n"),
		"BOM":      "\ufeff" + small,
		"UTF-16":   string(utf16),
		"sections": small + "policy:\nalerts:\n",
		"anchor":   strings.Replace(small, "lifetime: 90d", "lifetime: &l 90d\n    overlap: 1d", 1) + "  two: {app: " + opID + ", lifetime: *l, sinks: [{exec: {command: [x]}}]}\n",
	} {
		c := load(t, text)
		if b := c.Bindings[len(c.Bindings)-1]; b.Lifetime != 90*24*time.Hour {
			t.Errorf("%s: %+v", name, b)
		}
	}
	merged := load(t, strings.Replace(small, "  billing-api:", "  billing-api: &d", 1)+"  two:\n    <<: *d\n    app: "+opID+"\n    sinks: [{exec: {command: [x]}}]\n")
	if two, _ := merged.Binding("two"); two.Lifetime != 90*24*time.Hour || two.App != opID || two.Sinks[0].Kind != "exec" {
		t.Errorf("merged %+v", two)
	}
}

// TestReferences are looked up late, and name where they stand.
func TestReferences(t *testing.T) {
	t.Parallel()
	name := write(t, strings.Replace(small, "${env:OP_SECRET}", "${file:op.txt}", 1))
	dir := filepath.Dir(name)
	c, err := config.Load(name, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	secret := c.Tenants[0].Identity.Secret
	for _, step := range []struct{ content, want string }{
		{"-", "op.txt cannot be read: no such file or directory"},
		{"", "op.txt is empty"},
		{strings.Repeat("x", 64<<10+1), "op.txt is larger than 65536 bytes"},
		{"canary-file\r\n", ""},
		{" canary-file", ""},
	} {
		if step.content != "-" {
			if err := os.WriteFile(filepath.Join(dir, "op.txt"), []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		value, err := secret.Resolve()
		if step.want == "" {
			if err != nil || value.Reveal() != strings.TrimSuffix(step.content, "\r\n") || c.Resolve() != nil {
				t.Errorf("%q: %v", step.content, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "credsmith.yaml:4:73: the file ") || !strings.Contains(err.Error(), step.want) {
			t.Errorf("error %v, want %q", err, step.want)
		}
		if all := c.Resolve(); all == nil || all.Error() != err.Error() {
			t.Errorf("all %v", all)
		}
	}
	unset, err := config.Load(write(t, small), environment(map[string]string{"OP_SECRET": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if err := unset.Resolve(); err == nil || !strings.HasSuffix(err.Error(), "credsmith.yaml:4:73: the variable OP_SECRET is not set: export it") {
		t.Errorf("error %v", err)
	}
	certificate, err := config.Load(write(t, strings.Replace(small, `secret: "${env:OP_SECRET}"`, "certificate: op.pem", 1)), environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.Resolve(); err == nil || !strings.Contains(err.Error(), ":4:15: the certificate file ") {
		t.Errorf("error %v", err)
	}
}

// TestNothingPrints: what a configuration holds of secrets never prints.
func TestNothingPrints(t *testing.T) {
	t.Parallel()
	c := load(t, strings.Replace(full, "${env:OP_SECRET}", "canary-literal", 1))
	text := fmt.Sprintf("%v %+v %#v", c.Tenants, c.Tenants[0].Identity, c.Store)
	if strings.Contains(text, "canary") {
		t.Error(text)
	}
	if _, err := json.Marshal(c.Tenants); err != nil {
		t.Log("encoding fails loudly:", err)
	}
	if got := load(t, small).Tenants[0].Identity.Secret.String(); got != "${env:OP_SECRET}" {
		t.Errorf("a reference shows as %s", got)
	}
}

func TestErrorsTellAll(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("90d", "30", "app.env", "", tenantID, "x").Replace(small)
	_, err := config.Load(write(t, text), environment(nil))
	all, _ := errors.AsType[config.Errors](err)
	if len(all) != 2 || all[0].At.Line != 3 || all[1].At.Line != 8 || !strings.HasSuffix(err.Error(), "(and 1 more)") {
		t.Errorf("%v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(full)
	f.Add(small)
	f.Add("tenants: &a {b: *a}")
	f.Add("a: {<<: [*b, {c: d}]}")
	f.Fuzz(func(t *testing.T, text string) {
		name := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(name, environment(nil))
		if err != nil {
			if !strings.HasPrefix(err.Error(), name+":") {
				t.Errorf("error without place: %v", err)
			}
			return
		}
		_ = c.Resolve()
	})
}

// TestOtherPlaces: sinks that differ in one key that matters are two places.
func TestOtherPlaces(t *testing.T) {
	t.Parallel()
	load(t, small+`      - github: {repository: c/b, secret: S}
      - github: {repository: c/b, secret: S, environment: e}
      - github: {repository: c/b, secret: S, api: "https://ghe.example.com/api/v3"}
      - github: {organization: c, secret: S}
      - gitlab: {project: c/b, key: K}
      - gitlab: {project: c/b, key: k}
      - gitlab: {project: c/b, key: K, environment_scope: prod}
      - gitlab: {group: c/b, key: K}
      - exec: {command: [a]}
      - exec: {command: [b]}
`)
}
