package setting

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Found is a setting that was found in files. Its Origin is the place of the
// secret, or of the client id when no secret was found.
type Found struct {
	entra.Setting
	Consumer    string // spring, dotnet, nextauth, grafana, terraform, kubernetes, ...
	Name        string // section, registration or container inside the file
	Environment string // prod, staging, dev, test, local, another profile of Spring, or empty: guessed
	Tenant      Part
	Client      Part
	Secret      Part
	Host        Part     // where the authority was read
	Notes       []string // what is partial, unresolved or joined, for people
}

// Part is one part of a setting as it is written in its file.
type Part struct {
	Set          bool
	File         string
	Line, Column int
	Start, End   int    // bytes of the file with quotes; equal when not one run of bytes
	Unresolved   string // the reference that stands there instead of a text; safe to print
	Pinned       bool   // it is a Key Vault reference that names one version
	Vault        string // https://HOST/secrets/NAME that a Key Vault reference names, without the version
}

// Complete reports whether the setting can be tried: all three parts are set
// and none is a reference.
func (f Found) Complete() bool {
	return f.usable(f.Tenant) && f.usable(f.Client) && f.usable(f.Secret)
}

func (Found) usable(p Part) bool { return p.Set && p.Unresolved == "" }

func (f *Found) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.Notes, text) {
		f.Notes = append(f.Notes, text)
	}
}

type role int

const (
	noRole role = iota
	clientRole
	secretRole
	tenantRole
	authorityRole
)

// suffixes name the roles by the end of a key without separators, longest
// names first where one holds another.
var suffixes = []struct {
	text string
	role role
}{
	{"clientsecret", secretRole}, {"applicationsecret", secretRole}, {"appsecret", secretRole}, {"serviceprincipalkey", secretRole},
	{"entraidsecret", secretRole}, {"idaappkey", secretRole}, {"idapassword", secretRole},
	{"clientid", clientRole}, {"applicationid", clientRole}, {"appid", clientRole}, {"entraidid", clientRole},
	{"tenantid", tenantRole}, {"directoryid", tenantRole}, {"azuretenant", tenantRole}, {"idatenant", tenantRole},
	{"authorityhost", authorityRole}, {"activedirectoryendpointurl", authorityRole}, {"activedirectoryendpoint", authorityRole},
	{"aadinstance", authorityRole}, {"instance", authorityRole}, {"authority", authorityRole}, {"oidcissuerurl", authorityRole},
	{"issueruri", authorityRole}, {"issuer", authorityRole}, {"tokenuri", authorityRole}, {"tokenurl", authorityRole},
	{"authurl", authorityRole}, {"authorizationuri", authorityRole},
}

func squash(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// roleOf tells what a key holds and the family of keys it belongs to.
func roleOf(keys []string) (role, string) {
	last := len(keys) - 1
	whole := squash(keys[last])
	for _, s := range suffixes {
		prefix, ok := strings.CutSuffix(whole, s.text)
		if !ok && s.text[:3] == "ida" {
			continue
		}
		if !ok {
			continue
		}
		switch s.text {
		case "entraidsecret", "entraidid":
			prefix += "entraid"
		case "azuretenant":
			prefix += "azure"
		case "idaappkey", "idatenant", "idapassword":
			prefix += "ida"
		}
		return s.role, family(keys[:last], prefix)
	}
	return noRole, ""
}

// aside are the segments that split one setting over sibling sections.
var aside = []string{"credential", "credentials", "profile", "clientcredentials", "environment"}

func family(parents []string, prefix string) string {
	var kept []string
	for i, p := range parents {
		_, err := strconv.Atoi(p)
		switch {
		case slices.Contains(aside, squash(p)):
		case err == nil && i > 0 && slices.Contains(aside, squash(parents[i-1])):
		case p == "provider" && i > 0 && parents[i-1] == "client":
			kept = append(kept, "registration")
		default:
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 {
		kept[len(kept)-1] = strings.TrimSuffix(kept[len(kept)-1], ".")
	}
	for _, ending := range aside {
		prefix = strings.TrimSuffix(prefix, ending)
	}
	if prefix == "aad" {
		prefix = ""
	}
	return strings.Join(append(kept, prefix), ".")
}

// field is a scalar with the keys that lead to it.
type field struct {
	keys  []string
	value *node
}

// flatten lists the scalars under n. Lists of name and value, as containers
// have them, read as maps. Dotted and doubly underscored keys are split.
func flatten(n *node, keys []string, into []field) []field {
	if n == nil {
		return into
	}
	switch n.kind {
	case scalar:
		if len(keys) > 0 {
			into = append(into, field{slices.Clone(keys), n})
		}
	case mapping:
		for _, item := range n.items {
			into = flatten(item, append(slices.Clip(keys), splitKey(item.key)...), into)
		}
	case list:
		for i, item := range n.items {
			if value := item.get("value"); value != nil && item.str("name") != "" {
				into = flatten(value, append(slices.Clip(keys), splitKey(item.str("name"))...), into)
				continue
			}
			into = flatten(item, append(slices.Clip(keys), strconv.Itoa(i)), into)
		}
	}
	return into
}

func splitKey(key string) []string {
	key = strings.ReplaceAll(key, "__", ":")
	return strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == ':' && !strings.HasPrefix(key, "ida:") })
}

// extract makes settings of the scalars of one scope: those that one consumer
// reads together.
func extract(consumer string, fields []field) []Found {
	groups := map[string]*Found{}
	var order []string
	for _, f := range fields {
		if len(f.keys) == 0 {
			continue
		}
		r, name := roleOf(f.keys)
		if r == noRole {
			continue
		}
		g := groups[name]
		if g == nil {
			g = &Found{Name: strings.Trim(name, "."), Consumer: consumerOf(consumer, name)}
			groups[name] = g
			order = append(order, name)
		}
		g.put(r, f.value)
	}
	var all []Found
	for _, name := range order {
		all = append(all, *groups[name])
	}
	all = slices.DeleteFunc(join(all, ""), func(f Found) bool { return !f.relevant() })
	for i := range all {
		all[i].finish()
	}
	return all
}

func consumerOf(consumer, name string) string {
	name = strings.ToLower(name)
	if consumer == "dotenv" && strings.Trim(name, ".") == "azuread" {
		return "nextauth"
	}
	for _, c := range []struct{ has, is string }{
		{"spring", "spring"}, {"activedirectory", "spring"}, {"gfauth", "grafana"}, {"auth.azuread", "grafana"}, {"arm", "terraform"}, {"tfvar", "terraform"},
		{"oauth2proxy", "oauth2-proxy"}, {"authmicrosoftentraid", "nextauth"},
	} {
		if strings.HasPrefix(name, c.has) || strings.HasPrefix(name, "."+c.has) {
			return c.is
		}
	}
	return consumer
}

func (f *Found) put(r role, n *node) {
	line, column := n.src.place(n.start)
	p := Part{Set: true, File: n.src.name, Line: line, Column: column, Start: n.start, End: n.end, Unresolved: n.unresolved, Pinned: n.pinned, Vault: n.vault}
	text := strings.Clone(n.text) // a part of the file's text would keep all of it
	if n.unresolved != "" {
		text = ""
	}
	if n.note != "" {
		f.note("%s", n.note)
	}
	switch r {
	case clientRole:
		f.ClientID, f.Client = text, p
	case secretRole:
		f.Value, f.Secret = secret.New(text), p
	case tenantRole:
		f.TenantID, f.Tenant = text, p
	case authorityRole:
		f.authority(text, p)
	}
}

// authority takes the origin of an address, and the tenant in its path when
// nothing else names one.
func (f *Found) authority(text string, p Part) {
	if p.Unresolved != "" {
		f.Host = p
		return
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme == "" || u.Host == "" {
		origin, err := entra.Origin(text)
		if err == nil && strings.Contains(origin, "login.") {
			f.Authority, f.Host = origin, p
		}
		return
	}
	f.Authority, f.Host = u.Scheme+"://"+u.Host, p
	segment, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if segment != "" && !f.Tenant.Set && !strings.ContainsAny(segment, "{$<") {
		f.TenantID, f.Tenant = segment, p
	}
}

var guid = lazy(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

var ours = lazy(`(?i)azure|entra|microsoft|aad|msal|activedirectory|msgraph|(^|\.)(arm|ida|ad)`)

// relevant reports whether the group is of Entra ID and not of another
// provider that also has client ids and secrets.
func (f *Found) relevant() bool {
	if !f.Secret.Set && !f.Client.Set {
		return false
	}
	if _, ok := entra.CloudOf(f.Authority); f.Authority != "" && !ok && !strings.Contains(f.Authority, "login") && !ours().MatchString(f.Name) {
		return false
	}
	return f.Tenant.Set || f.Authority != "" || ours().MatchString(f.Name) || guid().MatchString(f.ClientID) ||
		slices.Contains([]string{"kubernetes", "terraform", "nextauth", "azure-login"}, f.Consumer) && f.Client.Unresolved != ""
}

// place is where the setting is said to stand.
func (f *Found) place() Part {
	if f.Secret.Set {
		return f.Secret
	}
	return f.Client
}

// finish sets what follows from the parts.
func (f *Found) finish() {
	at := f.place()
	f.Origin = At(at.File, at.Line, at.Column)
	if f.Environment == "" {
		f.Environment = EnvironmentOf(at.File)
	}
	for _, p := range []struct {
		name string
		part Part
	}{{"tenant id", f.Tenant}, {"client id", f.Client}, {"secret", f.Secret}} {
		switch {
		case !p.part.Set:
			f.note("no %s found beside it", p.name)
		case p.part.Unresolved != "":
			f.note("the %s is a reference that files do not resolve: %s", p.name, p.part.Unresolved)
		}
	}
}

// environments are the names that one environment goes by.
var environments = map[string]string{
	"prod": "prod", "production": "prod", "prd": "prod", "live": "prod",
	"staging": "staging", "stage": "staging", "stg": "staging", "preprod": "staging", "preproduction": "staging", "uat": "staging",
	"dev": "dev", "development": "dev", "develop": "dev", "nonprod": "nonprod",
	"test": "test", "testing": "test", "tst": "test", "qa": "test",
	"local": "local",
}

// environmentNamed is the one name of an environment, or the name as it is
// when it is none of the usual ones.
func environmentNamed(name string) string {
	return cmp.Or(environments[strings.ToLower(strings.TrimSpace(name))], name)
}

// EnvironmentOf guesses the environment from a path: the file name speaks
// before its directories.
func EnvironmentOf(name string) string {
	for dir := name; dir != "." && dir != "/" && dir != ""; dir = path.Dir(dir) {
		base := strings.NewReplacer("pre-prod", "preprod", "pre_prod", "preprod", "non-prod", "nonprod", "non_prod", "nonprod").Replace(strings.ToLower(path.Base(dir)))
		for _, word := range strings.FieldsFunc(base, func(r rune) bool { return r == '.' || r == '-' || r == '_' }) {
			if word == "local" && path.Base(name) == "local.settings.json" {
				return "local"
			}
			if e := environments[word]; e != "" {
				return e
			}
		}
	}
	return ""
}

// join pairs the one group that has a secret and no client id with the one
// that has a client id and no secret, and lends the only tenant and authority
// to those without. With more than one candidate nothing is joined.
func join(all []Found, where string) []Found {
	secrets, ids := -1, -1
	for i, f := range all {
		switch {
		case f.Secret.Set && !f.Client.Set:
			secrets = only(secrets, i)
		case f.Client.Set && !f.Secret.Set:
			ids = only(ids, i)
		}
	}
	if secrets >= 0 && ids >= 0 {
		s, c := &all[secrets], all[ids]
		s.ClientID, s.Client = c.ClientID, c.Client
		s.lend(c)
		if where != "" {
			s.note("secret and client id are joined from two files of %s", where)
		}
		all = slices.Delete(all, ids, ids+1)
	}
	lender, tenants := Found{}, map[string]bool{}
	for _, f := range all {
		if f.Tenant.Set {
			lender, tenants[f.TenantID+f.Tenant.Unresolved] = f, true
		}
	}
	if len(tenants) == 1 {
		for i := range all {
			// A client id of another form belongs to another provider.
			foreign := all[i].Client.Set && all[i].Client.Unresolved == "" && !guid().MatchString(all[i].ClientID) && !ours().MatchString(all[i].Name)
			if !all[i].Tenant.Set && !foreign {
				all[i].lend(lender)
			}
		}
	}
	return all
}

// only keeps the first index; a second makes it ambiguous (-2).
func only(seen, i int) int {
	if seen == -1 {
		return i
	}
	return -2
}

func (f *Found) lend(from Found) {
	if !f.Tenant.Set && from.Tenant.Set {
		f.TenantID, f.Tenant = from.TenantID, from.Tenant
	}
	if !f.Host.Set && from.Host.Set {
		f.Authority, f.Host = from.Authority, from.Host
	}
}
