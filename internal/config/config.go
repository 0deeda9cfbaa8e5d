// Package config reads credsmith.yaml: tenants and the identity used in each,
// the store, and the bindings of apps to the places that hold their secrets.
//
// It is strict: a key that is not known, a key given twice or a value of the
// wrong form is an error with file, line and column. Texts such as
// ${env:NAME} are resolved when they are used, into [secret.Value].
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/text"
)

// DefaultFile is read when no other file is named.
const DefaultFile = "credsmith.yaml"

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// Config is a credsmith.yaml. Tenants and bindings keep the order of the file.
type Config struct {
	Tenants  []Tenant  `yaml:"tenants" doc:"The tenants that credsmith works in, by a name of your own."`
	Store    Text      `yaml:"store" doc:"Where credsmith keeps its records: sqlite:PATH or postgres://..., from ${env:NAME} if it holds a password."`
	StoreKey string    `yaml:"store_key" doc:"File of the key that seals what is in the store; the database's name and .key if not given. PostgreSQL needs it."`
	Bindings []Binding `yaml:"bindings" doc:"Apps whose secrets credsmith rotates, by a name of your own."`
	Policy   yaml.Node `yaml:"policy" doc:"Rules over the inventory."`
	Alerts   yaml.Node `yaml:"alerts" doc:"Who is told of what."`

	File string `yaml:"-"` // as it was named
}

// Tenant is a directory and how credsmith signs in to it.
type Tenant struct {
	Name     string   `yaml:",name"`
	TenantID string   `yaml:"tenant_id" need:"yes" form:"guid" doc:"The tenant's GUID."`
	Cloud    Cloud    `yaml:"cloud" doc:"Microsoft's cloud that the tenant is in; public if not given."`
	Identity Identity `yaml:"identity" doc:"What credsmith itself signs in with. Without it: CREDSMITH_OPERATOR_..., else the user of az login."`
	At       Position `yaml:"-"`
}

// Identity is one way to sign in. The zero Identity means that the file names
// none.
type Identity struct {
	ClientID            string   `yaml:"client_id" form:"guid" doc:"Client id of the app, or of a user-assigned managed identity."`
	Certificate         string   `yaml:"certificate" doc:"File with certificate and private key, PEM or PKCS#12, relative to this file."`
	CertificatePassword Text     `yaml:"certificate_password" secret:"yes" doc:"Password of a PKCS#12 file: ${env:NAME} or ${file:PATH}."`
	Secret              Text     `yaml:"secret" secret:"yes" doc:"Client secret: ${env:NAME} or ${file:PATH}."`
	ManagedIdentity     bool     `yaml:"managed_identity" doc:"The managed identity of the machine."`
	WorkloadIdentity    bool     `yaml:"workload_identity" doc:"The federated token that Kubernetes mounts (AZURE_FEDERATED_TOKEN_FILE)."`
	At                  Position `yaml:"-"`
}

// IsZero reports whether the file names no identity.
func (i Identity) IsZero() bool { return i.At == Position{} }

// Binding is one app and all places that hold its secret.
type Binding struct {
	Name        string        `yaml:",name"`
	Tenant      string        `yaml:"tenant" doc:"A name under tenants; may be left out if there is one tenant."`
	App         string        `yaml:"app" need:"yes" form:"guid" doc:"Client id of the app."`
	Lifetime    time.Duration `yaml:"lifetime" need:"yes" doc:"How long a new secret is valid."`
	RenewBefore time.Duration `yaml:"renew_before" doc:"How long before its end a secret is replaced; a third of lifetime if not given."`
	Overlap     time.Duration `yaml:"overlap" doc:"How long old and new secret are valid together; 7d if not given, or renew_before if that is shorter."`
	Retire      string        `yaml:"retire" oneof:"evidence,expire,manual" doc:"When the old secret is removed: once nobody is seen to use it (the default), never before its end, or by a person."`
	Sinks       []Sink        `yaml:"sinks" need:"yes" doc:"The places that the value is written to."`
	Prove       Prove         `yaml:"prove" doc:"How a new secret is tried before it is delivered."`
	At          Position      `yaml:"-"`
}

// Prove says how a new secret is tried.
type Prove struct {
	Scope string        `yaml:"scope" doc:"Scope to sign in for; Graph's /.default of the tenant's cloud if not given."`
	Times int           `yaml:"times" range:"1,100" doc:"Sign-ins in a row that must succeed; 8 if not given."`
	Over  time.Duration `yaml:"over" doc:"The time over which they are spread; 60s if not given."`
	At    Position      `yaml:"-"`
}

// Defaults of a binding.
const (
	defaultOverlap = 7 * 24 * time.Hour
	defaultTimes   = 8
	defaultOver    = time.Minute
)

// Tenant returns the tenant with a name.
func (c *Config) Tenant(name string) (Tenant, bool) {
	for _, t := range c.Tenants {
		if t.Name == name {
			return t, true
		}
	}
	return Tenant{}, false
}

// Binding returns the binding with a name.
func (c *Config) Binding(name string) (Binding, bool) {
	for _, b := range c.Bindings {
		if b.Name == name {
			return b, true
		}
	}
	return Binding{}, false
}

// Path returns a path of the file as one that can be opened: relative paths
// start at the file's own directory.
func (c *Config) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), filepath.FromSlash(path))
}

// source is the file that positions and references belong to.
type source struct {
	name      string
	lookupEnv func(string) (string, bool)
	open      bool // others may read it
}

// Load reads and checks a file. Its error is [Errors] unless the file cannot
// be read. Nothing outside the file is looked at: [Config.Resolve] does that.
func Load(name string, lookupEnv func(string) (string, bool)) (*Config, error) {
	data, mode, err := readFile(name)
	if err != nil {
		return nil, err
	}
	return parse(&source{name: name, lookupEnv: lookupEnv, open: mode.Perm()&0o077 != 0 && runtime.GOOS != "windows"}, data)
}

func readFile(name string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, 0, fmt.Errorf("read the configuration %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read the configuration %s: %w", name, err)
	}
	if info.IsDir() {
		return nil, 0, fmt.Errorf("read the configuration %s: it is a directory: name the file in it", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read the configuration %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("read the configuration %s: it is larger than %d bytes: that is no configuration", name, maxFile)
	}
	return data, info.Mode(), nil
}

// parse reads the text of a file.
func parse(src *source, data []byte) (*Config, error) {
	root, err := tree(src, data)
	if err != nil {
		return nil, err
	}
	c := &Config{File: src.name}
	d := &decoder{src: src}
	d.into(root, c)
	if len(d.errs) == 0 {
		c.fill()
		d.errs = c.check(src)
	}
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return c, nil
}

// tree returns the one document of a file, with aliases unfolded.
func tree(src *source, data []byte) (*yaml.Node, error) {
	data = bytes.TrimPrefix(text.UTF8(data), []byte("\ufeff"))
	if i := bytes.IndexByte(data, 0); i >= 0 || !utf8.Valid(data) {
		return nil, src.errorf(1, 1, "not a text file in UTF-8")
	}
	if at := text.TooDeep(string(data), maxDepth); at >= 0 {
		return nil, src.errorf(1+bytes.Count(data[:at], []byte("\n")), 1, "nested too deeply")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, src.errorf(1, 1, "the file is empty: it needs tenants")
	}
	if err != nil {
		return nil, src.malformed(data, err)
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, src.errorf(second.Line, 1, "a second document begins here: one file is one document")
	case !errors.Is(err, io.EOF):
		return nil, src.malformed(data, err)
	}
	u := unfolder{src: src, left: maxNodes, open: map[*yaml.Node]bool{}}
	root := u.unfold(doc.Content[0], 0)
	if len(u.errs) > 0 {
		return nil, u.errs
	}
	if isNull(root) {
		return nil, src.errorf(1, 1, "the file is empty: it needs tenants")
	}
	return root, nil
}

// malformed places the parser's error. Its words may quote the file, where a
// secret can stand, so only the place and known slips are told.
func (s *source) malformed(data []byte, err error) error {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok || e.Mark.Line == 0 {
		return s.errorf(1, 1, "not YAML that can be read")
	}
	line := e.Mark.Line
	lines := strings.Split(string(data), "\n")
	for i := min(line, len(lines)) - 1; i >= 0 && i >= line-2; i-- {
		indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
		if at := strings.IndexByte(indent, '\t'); at >= 0 {
			return s.errorf(i+1, at+1, "a tab indents this line: YAML takes blanks only")
		}
	}
	return s.errorf(line, max(e.Mark.Column, 1), "not YAML that can be read: look for a missing quote, colon or indent at this place")
}

// Resolve looks up every reference of the file and reports those that lead
// nowhere.
func (c *Config) Resolve() error {
	var errs Errors
	try := func(t Text) {
		if _, err := t.Resolve(); err != nil {
			if e, ok := errors.AsType[Error](err); ok {
				errs = append(errs, e)
			}
		}
	}
	try(c.Store)
	for _, t := range c.Tenants {
		try(t.Identity.Secret)
		try(t.Identity.CertificatePassword)
		if file := t.Identity.Certificate; file != "" {
			if _, err := os.Stat(c.Path(file)); err != nil {
				errs = append(errs, Error{t.Identity.At, fmt.Sprintf("the certificate file %s cannot be read", c.Path(file))})
			}
		}
	}
	if len(errs) > 0 {
		return errs.sorted()
	}
	return nil
}
