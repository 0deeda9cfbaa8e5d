// Package github writes a secret of GitHub Actions: of a repository, of one of
// its environments, or of an organisation. GitHub gives no value back; it says
// when a secret was last written.
//
// Paths, bodies and statuses are those of GitHub's REST API, version
// 2022-11-28 (docs.github.com/rest/actions/secrets).
package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink. Either Repository or Organization is
// set.
type Config struct {
	Repository   string `yaml:"repository"`   // "contoso/billing"
	Environment  string `yaml:"environment"`  // of the repository; "" for the repository's own secrets
	Organization string `yaml:"organization"` // "contoso"
	Secret       string `yaml:"secret"`       // "AZURE_CLIENT_SECRET"
	API          string `yaml:"api"`          // "https://ghe.example.com/api/v3"; https://api.github.com if not given
}

// TokenFunc returns the token to send.
type TokenFunc func(context.Context) (secret.Value, error)

const (
	publicAPI = "https://api.github.com"
	// maxValue is GitHub's limit, in bytes.
	maxValue = 48 << 10
)

// Sink is one secret.
type Sink struct {
	c      Config
	base   string // address of the secrets that this one is among
	token  TokenFunc
	client *http.Client
}

var (
	isName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`) })
	isOwner = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$`) })
	isRepo  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]+$`) })
)

// New returns the sink of a configuration; its errors name the field.
func New(c Config, token TokenFunc, client *http.Client) (*Sink, error) {
	c.Secret = strings.ToUpper(c.Secret) // as GitHub keeps it
	if c.API == "" {
		c.API = publicAPI
	}
	c.API = strings.TrimRight(c.API, "/")
	u, err := url.Parse(c.API)
	owner, repo, both := strings.Cut(c.Repository, "/")
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("api: is not an address such as https://ghe.example.com/api/v3")
	case u.Scheme == "http" && !web.Loopback(u.Hostname()):
		return nil, errors.New("api: plain http would show the token to the network: use https")
	case (c.Repository == "") == (c.Organization == ""):
		return nil, errors.New("repository: name either a repository, such as contoso/billing, or an organization")
	case c.Repository != "" && (!both || !isOwner().MatchString(owner) || !isRepo().MatchString(repo) || repo == "." || repo == ".."):
		return nil, fmt.Errorf("repository: %q is not OWNER/NAME, such as contoso/billing", c.Repository)
	case c.Organization != "" && !isOwner().MatchString(c.Organization):
		return nil, fmt.Errorf("organization: %q is not the name of one, such as contoso", c.Organization)
	case c.Environment != "" && c.Repository == "":
		return nil, errors.New("environment: an environment belongs to a repository: name it too")
	case !utf8.ValidString(c.Environment) || len(c.Environment) > 255 || c.Environment == "." || c.Environment == "..":
		return nil, errors.New("environment: is no name of one, longer than 255 bytes, or not UTF-8")
	case !isName().MatchString(c.Secret) || len(c.Secret) > 100:
		return nil, fmt.Errorf("secret: %q is not a name of letters, digits and _ that begins with no digit, such as AZURE_CLIENT_SECRET", c.Secret)
	case strings.HasPrefix(c.Secret, "GITHUB_"):
		return nil, errors.New("secret: names that begin with GITHUB_ are GitHub's own")
	}
	s := &Sink{c: c, token: token, client: client}
	switch {
	case c.Organization != "":
		s.base = c.API + "/orgs/" + c.Organization + "/actions/secrets"
	case c.Environment != "":
		s.base = c.API + "/repos/" + c.Repository + "/environments/" + url.PathEscape(c.Environment) + "/secrets"
	default:
		s.base = c.API + "/repos/" + c.Repository + "/actions/secrets"
	}
	return s, nil
}

// Ref returns "github:OWNER/REPOSITORY@ENVIRONMENT#NAME", with the address
// before the owner where it is not github.com.
func (s *Sink) Ref() string {
	ref := strings.ToLower(s.c.Organization + s.c.Repository)
	if s.c.API != publicAPI {
		ref = s.c.API + "/" + ref
	}
	if s.c.Environment != "" {
		ref += "@" + s.c.Environment
	}
	return "github:" + ref + "#" + s.c.Secret
}

// Abilities: GitHub gives no value back and compares nothing.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{} }

// Check asks for the key that values are sealed to. A classic token's scopes
// come with it; what another token may, GitHub does not tell without a write.
func (s *Sink) Check(ctx context.Context) error {
	key, err := s.publicKey(ctx, "check")
	if err != nil {
		return err
	}
	if err := s.mayWrite(key.scopes); err != nil {
		return err
	}
	k, err := s.look(ctx, "check")
	if err != nil {
		return err
	}
	return s.mustExist(k)
}

// Read tells whether there is such a secret.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	// A secret that is not there looks like one that may not be seen; the key
	// tells them apart.
	if _, err := s.publicKey(ctx, "read"); err != nil {
		return sink.Held{}, err
	}
	k, err := s.look(ctx, "read")
	return sink.Held{Exists: k.exists}, err
}

// Write replaces the value. Who may use a secret of an organisation stays as
// it is: such a secret must exist.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty, longer than 48 KiB, or not UTF-8"), Next: "deliver it another way"}
	}
	k, err := known{}, error(nil)
	if s.c.Organization != "" {
		if k, err = s.look(ctx, "write"); err != nil {
			return "", err
		}
		if err := s.mustExist(k); err != nil {
			return "", err
		}
	}
	for try := 0; ; try++ {
		key, err := s.publicKey(ctx, "write")
		if err != nil {
			return "", err
		}
		stale, err := s.put(ctx, key, value, k)
		if err == nil || !stale || try > 0 {
			return "", err
		}
	}
}

// mayWrite refuses a classic token without the scope that a write needs: the
// key of a public repository is given to everyone.
func (s *Sink) mayWrite(scopes []string) error {
	enough := []string{"repo", "public_repo"}
	if s.c.Organization != "" {
		enough = []string{"admin:org"}
	}
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(enough, scope) }) {
		return nil
	}
	return &sink.Error{
		Op: s.op("check"), Kind: sink.Denied, Err: fmt.Errorf("the token has the scopes %s, and not %s", strings.Join(scopes, ", "), enough[0]),
		Next: "give the token the scope " + enough[0] + ", or, if it is a fine-grained one, " + strings.TrimPrefix(s.permission(), "give the token "),
	}
}

func (s *Sink) mustExist(k known) error {
	if s.c.Organization == "" || k.exists {
		return nil
	}
	return &sink.Error{
		Op: s.op("find"), Kind: sink.Invalid, Err: errors.New("the organization has no such secret"),
		Next: "make it once, with any value, so that you decide which repositories may use it: gh secret set " + s.c.Secret + " --org " + s.c.Organization,
	}
}

func (s *Sink) op(verb string) string {
	return fmt.Sprintf("%s secret %s of %s at GitHub", verb, s.c.Secret, strings.TrimSuffix(strings.TrimPrefix(s.Ref(), "github:"), "#"+s.c.Secret))
}
