// Package gitlab writes a CI/CD variable of GitLab, of a project or a group.
//
// Paths and bodies are those of GitLab's REST API, version 4
// (docs.gitlab.com/api/project_level_variables); texts of refusals are
// recalled, unverified, and nothing hangs on them.
package gitlab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
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
	"github.com/credsmith/credsmith/internal/wire"
)

// Config is the configuration of a sink. Either Project or Group is set.
type Config struct {
	Address string `yaml:"address"`           // "https://gitlab.example.com"; https://gitlab.com if not given
	Project string `yaml:"project"`           // path or number: "contoso/billing"
	Group   string `yaml:"group"`             // path or number: "contoso"
	Key     string `yaml:"key"`               // "AZURE_CLIENT_SECRET"
	Scope   string `yaml:"environment_scope"` // "production"; "*" if not given
	Hidden  bool   `yaml:"hidden"`            // the variable is masked and hidden: GitLab gives its value to nobody
}

// TokenFunc returns the token to send.
type TokenFunc func(context.Context) (secret.Value, error)

const (
	public = "https://gitlab.com"
	// maxValue is GitLab's limit, in characters.
	maxValue = 10000
)

// Sink is one variable in one environment scope.
type Sink struct {
	c      Config
	base   string // address of the variables that this one is among
	token  TokenFunc
	client *http.Client
}

var (
	isKey  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_]{1,255}$`) })
	isPath = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)
	})
)

// New returns the sink of a configuration; its errors name the field.
func New(c Config, token TokenFunc, client *http.Client) (*Sink, error) {
	if c.Address == "" {
		c.Address = public
	}
	if c.Scope == "" {
		c.Scope = "*"
	}
	c.Address = strings.TrimRight(c.Address, "/")
	u, err := url.Parse(c.Address)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("address: is not an address such as https://gitlab.example.com")
	case u.Scheme == "http" && !web.Loopback(u.Hostname()):
		return nil, errors.New("address: plain http would show the secret to the network: use https")
	case (c.Project == "") == (c.Group == ""):
		return nil, errors.New("project: name either a project, such as contoso/billing, or a group")
	case !isPath().MatchString(c.Project + c.Group):
		return nil, fmt.Errorf("project, group: %q is not a path such as contoso/billing", c.Project+c.Group)
	case !isKey().MatchString(c.Key):
		return nil, fmt.Errorf("key: %q is not a name of letters, digits and _, such as AZURE_CLIENT_SECRET", c.Key)
	case !utf8.ValidString(c.Scope) || len(c.Scope) > 255:
		return nil, errors.New("environment_scope: is longer than 255 bytes, or not UTF-8")
	}
	base := c.Address + "/api/v4/projects/" + url.PathEscape(c.Project)
	if c.Group != "" {
		base = c.Address + "/api/v4/groups/" + url.PathEscape(c.Group)
	}
	return &Sink{c, base + "/variables", token, client}, nil
}

// Ref returns "gitlab:PROJECT@SCOPE#KEY", a group as "groups/GROUP", with the
// address before it where it is not gitlab.com.
func (s *Sink) Ref() string {
	ref := s.c.Project
	if s.c.Group != "" {
		ref = "groups/" + s.c.Group
	}
	if s.c.Address != public {
		ref = s.c.Address + "/" + ref
	}
	if s.c.Scope != "*" {
		ref += "@" + s.c.Scope
	}
	return "gitlab:" + ref + "#" + s.c.Key
}

// Abilities: GitLab compares nothing, and gives back what is not hidden.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{ReadBack: !s.c.Hidden} }

// Check reads the variable, and asks for the scopes of the token. Reading and
// writing need the same role, Maintainer or Owner of a group, but not the same
// scope.
func (s *Sink) Check(ctx context.Context) error {
	if _, err := s.look(ctx, "check"); err != nil {
		return err
	}
	resp, err := s.send(ctx, "check", http.MethodGet, s.c.Address+"/api/v4/personal_access_tokens/self", nil)
	if err != nil {
		return err
	}
	var self struct{ Scopes []string }
	if resp.Status != http.StatusOK || json.Unmarshal(resp.Body, &self) != nil {
		return nil // not every token, and not every version, tells
	}
	if slices.Contains(self.Scopes, "read_api") && !slices.Contains(self.Scopes, "api") && !slices.Contains(self.Scopes, "granular") {
		return &sink.Error{Op: s.op("check"), Kind: sink.Denied, Err: errors.New("the token has the scope read_api, which lets it read and not write"), Next: s.role()}
	}
	return nil
}

// Read returns what the variable holds.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	v, err := s.look(ctx, "read")
	if err != nil || v == nil {
		return sink.Held{}, err
	}
	held := sink.Held{Exists: true}
	if v.Value != nil && !s.c.Hidden {
		held.Value = secret.New(*v.Value)
	}
	return held, nil
}

// Write changes the value and nothing else of a variable that exists, but that
// the value is no longer expanded (raw): "$" is a letter of secrets. A variable
// that does not exist is made masked.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || !utf8.ValidString(value) || utf8.RuneCountInString(value) > maxValue {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty, longer than 10,000 characters, or not UTF-8"), Next: "deliver it another way"}
	}
	v, err := s.look(ctx, "write")
	if err != nil {
		return "", err
	}
	method, address, status := http.MethodPut, s.variable(), http.StatusOK
	body := map[string]any{"value": value, "raw": true}
	if v == nil {
		method, address, status = http.MethodPost, s.base, http.StatusCreated
		body["key"], body["environment_scope"], body["masked"] = s.c.Key, s.c.Scope, true
		if s.c.Hidden {
			delete(body, "masked")
			body["masked_and_hidden"] = true
		}
	}
	resp, err := s.send(ctx, "write", method, address, body)
	if err != nil {
		return "", err
	}
	if resp.Status != status {
		return "", s.refused("write", resp)
	}
	var answer variable
	if json.Unmarshal(resp.Body, &answer) != nil || answer.Key != s.c.Key {
		return "", s.foreign("write")
	}
	return "", nil
}

// variable is what GitLab says of one.
type variable struct {
	Key    string
	Value  *string // null when it is hidden
	Scope  string  `json:"environment_scope"`
	Hidden bool
}

// look reads the variable; nil is none.
func (s *Sink) look(ctx context.Context, verb string) (*variable, error) {
	resp, err := s.send(ctx, verb, http.MethodGet, s.variable(), nil)
	if err != nil {
		return nil, err
	}
	if resp.Status == http.StatusNotFound {
		return nil, s.maySee(ctx, verb)
	}
	if resp.Status != http.StatusOK {
		return nil, s.refused(verb, resp)
	}
	var v variable
	if json.Unmarshal(resp.Body, &v) != nil || v.Key != s.c.Key || cmp.Or(v.Scope, "*") != s.c.Scope { // older versions know no scope of a group's
		return nil, s.foreign(verb)
	}
	if (v.Hidden || v.Value == nil) != s.c.Hidden {
		return nil, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: fmt.Errorf("the variable is hidden: %v", !s.c.Hidden), Next: fmt.Sprintf("write hidden: %v in the configuration", !s.c.Hidden)}
	}
	return &v, nil
}

// maySee tells a variable that is not there from a project that is not there,
// or that the token may not see.
func (s *Sink) maySee(ctx context.Context, verb string) error {
	resp, err := s.send(ctx, verb, http.MethodGet, s.base+"?per_page=1", nil)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK {
		return s.refused(verb, resp)
	}
	var some []variable
	if json.Unmarshal(resp.Body, &some) != nil || some == nil {
		return s.foreign(verb)
	}
	return nil
}

func (s *Sink) variable() string {
	return s.base + "/" + s.c.Key + "?" + url.Values{"filter[environment_scope]": {s.c.Scope}}.Encode()
}

func (s *Sink) op(verb string) string {
	where := strings.TrimSuffix(strings.TrimPrefix(s.Ref(), "gitlab:"), "#"+s.c.Key)
	return fmt.Sprintf("%s variable %s of %s at GitLab", verb, s.c.Key, where)
}

func (s *Sink) foreign(verb string) error {
	return &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errors.New("the answer is not one of GitLab's")}
}

func (s *Sink) role() string {
	if s.c.Group != "" {
		return "give the token the scope api and the role Owner of the group"
	}
	return "give the token the scope api and the role Maintainer of the project"
}

// refused is what a status means. GitLab's own words are left out: those of a
// write may repeat the value.
func (s *Sink) refused(verb string, resp wire.Response) error {
	e := web.Refused(s.op(verb), resp.Status, resp.Header, fmt.Errorf("HTTP %d", resp.Status))
	switch {
	case !resp.IsJSON() && e.Kind != sink.Throttled:
		e.Kind = sink.Unreachable // a proxy on the way
	case resp.Status == http.StatusUnauthorized:
		e.Next = "the token is wrong or has expired: set GITLAB_TOKEN, or what token of the sink names"
	case resp.Status == http.StatusForbidden:
		e.Next = s.role()
	case resp.Status == http.StatusNotFound:
		e.Kind, e.Next = sink.Denied, "GitLab says the same of what is not there and of what the token may not see: check the name, and "+s.role()
	case resp.Status == http.StatusConflict:
		e.Kind = sink.Unreachable // somebody else writes it at this moment
	case resp.Status == http.StatusBadRequest && verb == "write":
		e.Next = "GitLab cannot mask every value (8 characters or more, one line, no blanks): unmask the variable, or let the tenant make another secret"
	}
	return e
}

func (s *Sink) send(ctx context.Context, verb, method, address string, body any) (wire.Response, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return wire.Response{}, fmt.Errorf("encode the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: err}
	}
	token, err := s.token(ctx)
	if err != nil {
		if context.Cause(ctx) != nil {
			return wire.Response{}, web.Failed(ctx, s.op(verb), err)
		}
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Denied, Err: err, Next: "the token comes from GITLAB_TOKEN, or from where token of the sink says"}
	}
	req.Header.Set("PRIVATE-TOKEN", token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return web.Do(s.client, req, s.op(verb))
}
