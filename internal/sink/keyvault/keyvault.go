// Package keyvault writes a secret into Azure Key Vault, as a new version that
// expires with it. The vault keeps the versions before.
package keyvault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink.
type Config struct {
	Vault  string `yaml:"vault"`  // origin, "https://kv-billing.vault.azure.net"
	Secret string `yaml:"secret"` // name, 1 to 127 letters, digits and dashes
}

// The tags of a version that credsmith wrote. Whoever may list secrets can
// read them.
const (
	tagGeneration = "credsmith-generation"
	tagRotation   = "credsmith-rotation"
	tagClientID   = "credsmith-client-id"
	tagKeyID      = "credsmith-key-id"
)

// The vault's own limits (Microsoft documentation).
const (
	maxValue = 25 * 1024 // bytes
	maxTags  = 15
)

// Sink is one secret of one vault.
type Sink struct {
	origin string
	name   string
	client *azsecrets.Client
}

// New returns the sink of a configuration; its errors name the field. It signs
// in with the credential on first use, in the tenant that the vault names.
func New(c Config, credential azcore.TokenCredential, client *http.Client) (*Sink, error) {
	u, err := url.Parse(strings.TrimRight(c.Vault, "/"))
	switch {
	case c.Vault == "":
		return nil, errors.New("vault: is missing: the address of the vault, such as https://kv-billing.vault.azure.net")
	case err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("vault: is not an address such as https://kv-billing.vault.azure.net")
	case c.Secret == "":
		return nil, errors.New("secret: is missing: the name of the secret in the vault")
	case !regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`).MatchString(c.Secret):
		return nil, fmt.Errorf("secret: %q is no name of a secret: 1 to 127 letters, digits and dashes", c.Secret)
	}
	origin := "https://" + strings.ToLower(u.Host)
	options := &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: guard{client},
		// A rotation repeats by itself, with what it knows about waiting.
		Retry: policy.RetryOptions{MaxRetries: -1},
	}}
	// The SDK gives tokens only to hosts under the name that the challenge
	// asks tokens for. A loopback address is under no name.
	options.DisableChallengeResourceVerification = web.Loopback(u.Hostname())
	azclient, err := azsecrets.NewClient(origin, credential, options)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &Sink{origin, c.Secret, azclient}, nil
}

// Ref returns "keyvault:https://HOST/secrets/NAME"; the vault does not tell
// upper from lower case.
func (s *Sink) Ref() string {
	return "keyvault:" + s.origin + "/secrets/" + strings.ToLower(s.name)
}

// Abilities says what a vault can do. It has no compare-and-set: a write
// refuses what it sees to be changed, but two at the same moment both pass.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{ReadBack: true, Labels: true} }

// Check reads the secret. Whether a new version may be set, no vault tells
// without setting one.
func (s *Sink) Check(ctx context.Context) error {
	_, err := s.latest(ctx, "check")
	return err
}

// Read returns the newest version, which is what consumers get.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	v, err := s.latest(ctx, "read")
	if err != nil || v == nil {
		return sink.Held{}, err
	}
	held := sink.Held{Exists: true, Value: secret.New(text(v.Value)), Version: v.ID.Version()}
	held.Generation, _ = strconv.ParseInt(text(v.Tags[tagGeneration]), 10, 64)
	if v.Managed != nil && *v.Managed {
		held.ManagedBy = "Key Vault certificate/" + s.name
	}
	return held, nil
}

// Write sets a new version, unless the newest one is from this very delivery.
// Content type and tags of the version before stay.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	refuse := func(kind sink.Kind, why, next string) (string, error) {
		return "", &sink.Error{Op: s.op("write"), Kind: kind, Err: errors.New(why), Next: next}
	}
	value := d.Value.Reveal()
	switch {
	case value == "" || len(value) > maxValue:
		return refuse(sink.Invalid, "the value is empty or longer than 25 KiB", "a vault cannot hold it: deliver it another way")
	case !utf8.ValidString(value):
		return refuse(sink.Invalid, "the value is not UTF-8", "a vault cannot hold it: deliver it another way")
	}
	before, err := s.latest(ctx, "write")
	if err != nil {
		return "", err
	}
	tags := map[string]string{
		tagGeneration: strconv.FormatInt(d.Generation, 10), tagRotation: d.Rotation, tagClientID: d.ClientID, tagKeyID: d.KeyID,
	}
	if before != nil && text(before.Value) == value && tagged(before, tags) {
		return before.ID.Version(), nil
	}
	version := ""
	if before != nil {
		version = before.ID.Version()
	}
	if version != d.Version {
		return refuse(sink.Changed, "it was changed since it was read", "")
	}
	p := azsecrets.SetSecretParameters{Value: &value, Tags: pointers(tags), SecretAttributes: &azsecrets.SecretAttributes{}}
	if !d.Expires.IsZero() {
		p.SecretAttributes.Expires = new(d.Expires)
	}
	if before != nil {
		p.ContentType = before.ContentType
		p.Tags = maps.Clone(before.Tags)
		if p.Tags == nil {
			p.Tags = map[string]*string{}
		}
		maps.Copy(p.Tags, pointers(tags))
	}
	if len(p.Tags) > maxTags {
		return refuse(sink.Invalid, fmt.Sprintf("with credsmith's %d tags the secret would have %d, and a vault allows %d", len(tags), len(p.Tags), maxTags), "remove tags from the secret")
	}
	resp, err := s.client.SetSecret(ctx, s.name, p, nil)
	if err != nil {
		return "", s.refused(ctx, "write", err)
	}
	if resp.ID == nil || resp.ID.Version() == "" {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Unreachable, Err: errNotVault}
	}
	return resp.ID.Version(), nil
}

// tagged reports whether a version carries these tags, others aside.
func tagged(v *azsecrets.Secret, tags map[string]string) bool {
	for name, want := range tags {
		if v.Tags[name] == nil || *v.Tags[name] != want {
			return false
		}
	}
	return true
}

func pointers(tags map[string]string) map[string]*string {
	out := map[string]*string{}
	for name, value := range tags {
		out[name] = &value
	}
	return out
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// latest returns the newest version; nil when there is no such secret.
func (s *Sink) latest(ctx context.Context, verb string) (*azsecrets.Secret, error) {
	resp, err := s.client.GetSecret(ctx, s.name, "", nil)
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.StatusCode == http.StatusNotFound && e.ErrorCode == "SecretNotFound" {
		return nil, nil
	}
	if err != nil {
		return nil, s.refused(ctx, verb, err)
	}
	if resp.ID == nil || resp.ID.Version() == "" || resp.Value == nil {
		return nil, &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errNotVault}
	}
	return &resp.Secret, nil
}

func (s *Sink) op(verb string) string {
	return fmt.Sprintf("%s the secret %s of %s", verb, s.name, s.origin)
}

// guard stands between the SDK and the wire.
type guard struct{ client *http.Client }

var errNotVault = errors.New("the answer is not one of a key vault: check the address, and the proxies on the way")

// maxAnswer bounds an answer, in bytes: a value has 25 KiB at most.
const maxAnswer = 1 << 20

// challenge is what the SDK can read of a 401: it takes the tenant from the
// first part of the path without looking whether there is one.
var challenge = regexp.MustCompile(`authorization="?https://[^/"\s]+/[^/"\s]+`)

// Do sends one request.
func (g guard) Do(req *http.Request) (*http.Response, error) {
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized && !challenge.MatchString(resp.Header.Get("WWW-Authenticate")) {
		resp.Body.Close()
		return nil, errNotVault
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}
