// Package labseed reads the seed file of a lab.
package labseed

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/credsmith/credsmith/entralab"
)

// maxSize bounds a file.
const maxSize = 16 << 20

// The shape of the file.
type (
	file struct {
		Tenants []tenant `yaml:"tenants"`
		Apps    []app    `yaml:"apps"`
		Vaults  []vault  `yaml:"vaults"`
		Delay   delay    `yaml:"delay"`
	}
	tenant struct {
		ID          string `yaml:"id"`
		DisplayName string `yaml:"display_name"`
		Domain      string `yaml:"domain"`
		Cloud       string `yaml:"cloud"` // usgov or china; default the public one
	}
	app struct {
		Tenant             string      `yaml:"tenant"`
		DisplayName        string      `yaml:"display_name"`
		ObjectID           string      `yaml:"object_id"`
		ClientID           string      `yaml:"client_id"`
		Audience           string      `yaml:"audience"`
		Permissions        []string    `yaml:"permissions"`
		RedirectURIs       []string    `yaml:"redirect_uris"`
		Disabled           bool        `yaml:"disabled"`
		NoServicePrincipal bool        `yaml:"no_service_principal"`
		Secrets            []secret    `yaml:"secrets"`
		Federated          []federated `yaml:"federated"`
		Certificates       []string    `yaml:"certificates"` // PEM
	}
	secret struct {
		DisplayName string `yaml:"display_name"`
		KeyID       string `yaml:"key_id"`
		Value       string `yaml:"value"` // or ${env:NAME}
		Added       string `yaml:"added"` // dates, or distances from now such as -30d
		Start       string `yaml:"start"`
		End         string `yaml:"end"`
	}
	federated struct {
		Name        string `yaml:"name"`
		Issuer      string `yaml:"issuer"`
		Subject     string `yaml:"subject"`
		Audience    string `yaml:"audience"`
		Description string `yaml:"description"`
	}
	vault struct {
		Name            string        `yaml:"name"`
		Tenant          string        `yaml:"tenant"`
		RetentionDays   int           `yaml:"retention_days"`
		PurgeProtection bool          `yaml:"purge_protection"`
		Secrets         []vaultSecret `yaml:"secrets"`
		Grants          []vaultGrant  `yaml:"grants"`
	}
	vaultSecret struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"` // or ${env:NAME}
	}
	vaultGrant struct {
		App    string `yaml:"app"` // client id
		Role   string `yaml:"role"`
		Secret string `yaml:"secret"` // default: the whole vault
	}
	delay struct {
		Accept   string `yaml:"accept"`
		Remove   string `yaml:"remove"`
		Replicas int    `yaml:"replicas"`
	}
)

// Seed is a file that was read, with the places of its parts for errors found
// later.
type Seed struct {
	entralab.Seed
	name string
	tree *ast.File
}

// Read reads a file; name stands in errors. lookup resolves ${env:NAME}, now
// is what relative dates count from. Errors never hold a value.
func Read(name string, in io.Reader, lookup func(string) (string, bool), now time.Time) (*Seed, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxSize>>20)
	}
	s := &Seed{name: name}
	var f file
	if err := decode(name, text, &f); err != nil {
		return nil, err
	}
	if s.tree, err = parser.ParseBytes(text, 0); err != nil {
		return nil, located(name, err)
	}
	r := reader{s, lookup, now}
	for _, t := range f.Tenants {
		s.Tenants = append(s.Tenants, entralab.TenantSpec{ID: t.ID, DisplayName: t.DisplayName, Domain: t.Domain, Cloud: t.Cloud})
	}
	for i, a := range f.Apps {
		spec, err := r.app(fmt.Sprintf("$.apps[%d]", i), a)
		if err != nil {
			return nil, err
		}
		s.Apps = append(s.Apps, spec)
	}
	for i, v := range f.Vaults {
		seed, err := r.vault(fmt.Sprintf("$.vaults[%d]", i), v)
		if err != nil {
			return nil, err
		}
		s.Vaults = append(s.Vaults, seed)
	}
	if s.Delay.Accept, err = r.duration("$.delay.accept", f.Delay.Accept); err != nil {
		return nil, err
	}
	if s.Delay.Remove, err = r.duration("$.delay.remove", f.Delay.Remove); err != nil {
		return nil, err
	}
	s.Delay.Replicas = f.Delay.Replicas
	return s, nil
}

func decode(name string, text []byte, into *file) (err error) {
	defer func() { // the YAML library's own slips with odd input
		if recover() != nil {
			err = fmt.Errorf("%s is not YAML that can be read", name)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField())
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return located(name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s holds more than one document", name)
	}
	return nil
}

// located says where an error is, as file:line:column, and for a key that is
// not known the nearest one. It quotes no more of the file than the key: what
// stands there may be a value.
func located(name string, err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		return fmt.Errorf("%s: %w", name, errors.New("not YAML that can be read"))
	}
	at := e.GetToken().Position
	where := fmt.Sprintf("%s:%d:%d", name, at.Line, at.Column)
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		key := unknown.Token.Value
		return fmt.Errorf("%s: unknown key %q; the nearest known one is %q", where, key, nearest(key))
	}
	return fmt.Errorf("%s: %T: the value has another form here than it should", where, e)
}

// Locate names the place in the file of an error that starting the lab found.
func (s *Seed) Locate(err error) error {
	var e *entralab.SeedError
	if !errors.As(err, &e) {
		return err
	}
	return s.at(fmt.Sprintf("$.%s[%d]", e.Part, e.Index), e.Err)
}

// at puts the place of a path before an error.
func (s *Seed) at(path string, err error) error {
	where := s.name
	if p, bad := yaml.PathString(path); bad == nil {
		if node, bad := p.FilterFile(s.tree); bad == nil && node != nil && node.GetToken() != nil {
			at := begin(node).GetToken().Position
			where = fmt.Sprintf("%s:%d:%d", s.name, at.Line, at.Column)
		}
	}
	return fmt.Errorf("%s: %s: %w", where, strings.TrimPrefix(path, "$."), err)
}

// begin is the first key of a mapping: its own token is a colon.
func begin(node ast.Node) ast.Node {
	switch node := node.(type) {
	case *ast.MappingNode:
		if len(node.Values) > 0 {
			return node.Values[0].Key
		}
	case *ast.MappingValueNode:
		return node.Key
	}
	return node
}

type reader struct {
	seed   *Seed
	lookup func(string) (string, bool)
	now    time.Time
}

func (r reader) app(path string, a app) (entralab.AppSpec, error) {
	spec := entralab.AppSpec{
		TenantID: a.Tenant, DisplayName: a.DisplayName, ObjectID: a.ObjectID, ClientID: a.ClientID, SignInAudience: a.Audience,
		Permissions: a.Permissions, RedirectURIs: a.RedirectURIs, Disabled: a.Disabled, NoServicePrincipal: a.NoServicePrincipal,
	}
	for i, s := range a.Secrets {
		secret, err := r.secret(fmt.Sprintf("%s.secrets[%d]", path, i), s)
		if err != nil {
			return spec, err
		}
		spec.Secrets = append(spec.Secrets, secret)
	}
	for _, f := range a.Federated {
		spec.FederatedCredentials = append(spec.FederatedCredentials, entralab.FederatedCredentialSpec{
			Name: f.Name, Issuer: f.Issuer, Subject: f.Subject, Audience: f.Audience, Description: f.Description,
		})
	}
	for i, text := range a.Certificates {
		at := fmt.Sprintf("%s.certificates[%d]", path, i)
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return spec, r.seed.at(at, errors.New("not a certificate in PEM"))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return spec, r.seed.at(at, err)
		}
		spec.Certificates = append(spec.Certificates, c)
	}
	return spec, nil
}

// value is the text itself, or what ${env:NAME} stands for.
func (r reader) value(path, text string) (string, error) {
	name, ok := strings.CutPrefix(text, "${env:")
	if !ok || !strings.HasSuffix(name, "}") {
		return text, nil
	}
	name = strings.TrimSuffix(name, "}")
	value, set := r.lookup(name)
	if !set || value == "" {
		return "", r.seed.at(path, fmt.Errorf("the environment variable %q is not set", name))
	}
	return value, nil
}

func (r reader) vault(path string, v vault) (entralab.VaultSeed, error) {
	seed := entralab.VaultSeed{VaultSpec: entralab.VaultSpec{
		Name: v.Name, TenantID: v.Tenant, RetentionDays: v.RetentionDays, PurgeProtection: v.PurgeProtection,
	}}
	for i, s := range v.Secrets {
		value, err := r.value(fmt.Sprintf("%s.secrets[%d].value", path, i), s.Value)
		if err != nil {
			return seed, err
		}
		seed.Secrets = append(seed.Secrets, entralab.VaultSecret{Name: s.Name, Value: value})
	}
	for _, g := range v.Grants {
		seed.Grants = append(seed.Grants, entralab.VaultGrant{ClientID: g.App, Role: g.Role, Secret: g.Secret})
	}
	return seed, nil
}

func (r reader) secret(path string, s secret) (entralab.SecretSpec, error) {
	spec := entralab.SecretSpec{DisplayName: s.DisplayName, KeyID: s.KeyID}
	var err error
	if spec.Value, err = r.value(path+".value", s.Value); err != nil {
		return spec, err
	}
	for _, date := range []struct {
		name, text string
		into       *time.Time
	}{{"added", s.Added, &spec.At}, {"start", s.Start, &spec.Start}, {"end", s.End, &spec.End}} {
		if *date.into, err = r.date(path+"."+date.name, date.text); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

// date reads 2026-01-31, a date with time as in RFC 3339, or a distance from
// now.
func (r reader) date(path, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	d, err := distance(text)
	if err != nil {
		return time.Time{}, r.seed.at(path, errors.New("not a date such as 2026-01-31, or a distance from now such as -30d or 12h"))
	}
	return r.now.Add(d), nil
}

func (r reader) duration(path, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := distance(text)
	if err != nil || d < 0 {
		return 0, r.seed.at(path, errors.New("not a duration such as 8s or 2d"))
	}
	return d, nil
}

// maxDays is a century.
const maxDays = 36500

// distance reads Go's durations and whole days.
func distance(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < -maxDays || n > maxDays {
		return 0, errors.New("not a number of days")
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// nearest is the key of the file with the fewest edits to another text.
func nearest(key string) string {
	best, fewest := "", 1<<30
	for _, shape := range []any{file{}, tenant{}, app{}, secret{}, federated{}, delay{}} {
		for field := range reflect.TypeOf(shape).Fields() {
			name := field.Tag.Get("yaml")
			if n := edits(key[:min(len(key), 100)], name); n < fewest {
				best, fewest = name, n
			}
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(replaced, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
