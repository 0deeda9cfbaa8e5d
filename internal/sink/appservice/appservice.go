// Package appservice writes an application setting of Azure App Service or
// Functions, or has an app take up its Key Vault references again.
//
// Paths and bodies are those of Azure Resource Manager, Microsoft.Web
// 2022-03-01 (learn.microsoft.com/rest/api/appservice/web-apps). A write
// replaces all settings, and there is no ETag: what was read is written back
// whole, as it was, with the one value changed.
package appservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink.
type Config struct {
	Site      string `yaml:"site"`      // resource id of the app or of its slot
	Setting   string `yaml:"setting"`   // "AZURE_CLIENT_SECRET"
	Reference bool   `yaml:"reference"` // the setting is a Key Vault reference: it is not written, the app is made to resolve it again
	ARM       string `yaml:"arm"`       // "https://management.usgovcloudapi.net"; https://management.azure.com if not given
}

const (
	publicARM = "https://management.azure.com"
	version   = "?api-version=2022-03-01"
	// maxValue bounds a value, in bytes: what a process environment takes for
	// certain on Windows.
	maxValue = 32767
)

// place is one setting of one app.
type place struct {
	c          Config
	base       string
	credential azcore.TokenCredential
	client     *http.Client
}

var isSite = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]+/providers/Microsoft\.Web/sites/[a-z0-9-]+(?:/slots/[a-z0-9-]+)?$`)
})

// New returns the sink of a configuration: a [sink.Reloader] with Reference.
// Its errors name the field. credential signs in on first use.
func New(c Config, credential azcore.TokenCredential, client *http.Client) (sink.Sink, error) {
	if c.ARM == "" {
		c.ARM = publicARM
	}
	c.ARM = strings.TrimRight(c.ARM, "/")
	u, err := url.Parse(c.ARM)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("arm: is not an address such as https://management.azure.com")
	case !isSite().MatchString(c.Site):
		return nil, errors.New("site: is not the resource id of an app or a slot: /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Web/sites/NAME (az webapp show --query id)")
	case c.Setting == "" || len(c.Setting) > 255 || !utf8.ValidString(c.Setting) || strings.ContainsFunc(c.Setting, func(r rune) bool { return r <= ' ' || r == '=' || r == 0x7f }):
		return nil, errors.New("setting: is missing, longer than 255 bytes, or holds a blank or an equals sign: the name of the application setting")
	}
	p := &place{c, c.ARM + c.Site, credential, client}
	if c.Reference {
		return &Reference{place: p, asked: map[string]bool{}}, nil
	}
	return &Sink{p}, nil
}

// Ref returns "appservice:SITE#SETTING".
func (p *place) Ref() string { return "appservice:" + strings.ToLower(p.c.Site) + "#" + p.c.Setting }

func (p *place) op(verb string) string {
	name := p.c.Site[strings.Index(strings.ToLower(p.c.Site), "/sites/")+len("/sites/"):]
	return fmt.Sprintf("%s setting %s of app %s", verb, p.c.Setting, name)
}

// settings are all settings of the app, as they came.
func (p *place) settings(ctx context.Context, verb string) (map[string]json.RawMessage, error) {
	resp, err := p.send(ctx, verb, http.MethodPost, p.base+"/config/appsettings/list"+version, nil)
	if err != nil {
		return nil, err
	}
	if resp.Status != http.StatusOK {
		return nil, p.refused(verb, resp)
	}
	return p.read(verb, resp.Body)
}

func (p *place) read(verb string, body []byte) (map[string]json.RawMessage, error) {
	var answer struct {
		Properties map[string]json.RawMessage
	}
	if json.Unmarshal(body, &answer) != nil || answer.Properties == nil {
		return nil, p.foreign(verb)
	}
	return answer.Properties, nil
}

// find returns a setting: that of the name, else the first that differs in
// letter case alone, which is the same variable on Windows.
func (p *place) find(verb string, all map[string]json.RawMessage) (name, value string, exists bool, err error) {
	name = p.c.Setting
	if _, exists = all[name]; !exists {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if strings.EqualFold(key, p.c.Setting) {
				name, exists = key, true
				break
			}
		}
	}
	if exists && json.Unmarshal(all[name], &value) != nil {
		return name, "", false, p.foreign(verb)
	}
	return name, value, exists, nil
}

func isReference(value string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "@microsoft.keyvault(")
}

// Sink is a setting that holds the value itself.
type Sink struct{ *place }

// Abilities: settings can be read, and are not compared.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{ReadBack: true} }

// Check reads the settings. Whether they may be written, Resource Manager does
// not tell without a write.
func (s *Sink) Check(ctx context.Context) error {
	_, err := s.Read(ctx)
	return err
}

// Read returns what the setting holds.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	all, err := s.settings(ctx, "read")
	if err != nil {
		return sink.Held{}, err
	}
	_, value, exists, err := s.find("read", all)
	if err == nil && isReference(value) {
		err = s.isAReference("read")
	}
	if err != nil || !exists {
		return sink.Held{}, err
	}
	return sink.Held{Exists: true, Value: secret.New(value)}, nil
}

func (s *Sink) isAReference(verb string) error {
	return &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("the setting is a Key Vault reference"), Next: "bind the vault's secret with a keyvault sink, and write reference: true here"}
}

// Write puts all settings back with the value changed, which restarts the app.
// What is written already is left alone.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty, longer than 32,767 bytes, not UTF-8, or holds a zero byte"), Next: "deliver it another way"}
	}
	release, err := web.Alone(ctx, s.base, s.op("write"))
	if err != nil {
		return "", err
	}
	defer release()
	all, err := s.settings(ctx, "write")
	if err != nil {
		return "", err
	}
	name, was, exists, err := s.find("write", all)
	switch {
	case err != nil:
		return "", err
	case isReference(was):
		return "", s.isAReference("write")
	case exists && was == value:
		return "", nil
	}
	next := maps.Clone(all)
	next[name], _ = json.Marshal(value)
	resp, err := s.send(ctx, "write", http.MethodPut, s.base+"/config/appsettings"+version, map[string]any{"properties": next})
	if err != nil {
		return "", err
	}
	if resp.Status != http.StatusOK {
		return "", s.refused("write", resp)
	}
	if _, err := s.read("write", resp.Body); err != nil {
		return "", err
	}
	return "", nil
}

// Reference is a setting that refers to a Key Vault secret without a version.
// The vault's own sink writes the value; this one has the app resolve the
// reference again, which it does by itself once in 24 hours.
type Reference struct {
	*place
	mu    sync.Mutex
	asked map[string]bool // rotations
}

// Abilities: the value is the vault's.
func (r *Reference) Abilities() sink.Abilities { return sink.Abilities{} }

// Check sees that the setting is a reference that follows its secret.
func (r *Reference) Check(ctx context.Context) error {
	all, err := r.settings(ctx, "check")
	if err != nil {
		return err
	}
	_, value, exists, err := r.find("check", all)
	switch {
	case err != nil:
		return err
	case !exists || !isReference(value):
		return &sink.Error{Op: r.op("check"), Kind: sink.Invalid, Err: errors.New("the setting is no Key Vault reference"), Next: "leave reference: true out, and the value is written to the setting"}
	case pinned(value):
		return &sink.Error{Op: r.op("check"), Kind: sink.Invalid, Err: errors.New("the reference names one version of the secret"), Next: "leave the version out of the reference: it would never see a new one"}
	}
	return nil
}

// pinned reports whether a reference names a version: a third part of the path,
// or SecretVersion.
func pinned(reference string) bool {
	text := strings.TrimSpace(reference)
	text = strings.TrimSuffix(text[strings.IndexByte(text, '(')+1:], ")")
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "secretversion":
			return strings.TrimSpace(value) != ""
		case "secreturi":
			u, err := url.Parse(strings.TrimSpace(value))
			return err == nil && len(strings.Split(strings.Trim(u.Path, "/"), "/")) > 2
		}
	}
	return false
}

// Read tells that there is such a setting; its value is the vault's.
func (r *Reference) Read(ctx context.Context) (sink.Held, error) {
	err := r.Check(ctx)
	return sink.Held{Exists: err == nil}, err
}

// Write writes nothing: the vault's sink does.
func (r *Reference) Write(ctx context.Context, _ sink.Delivery) (string, error) {
	return "", r.Check(ctx)
}

// Reload has the app resolve all its references again, once for each rotation
// of this process; doing it twice does no harm.
func (r *Reference) Reload(ctx context.Context, rotation string) error {
	r.mu.Lock()
	asked := r.asked[rotation]
	r.mu.Unlock()
	if asked {
		return nil
	}
	resp, err := r.send(ctx, "refresh", http.MethodPost, r.base+"/config/configreferences/appsettings/refresh"+version, nil)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK && resp.Status != http.StatusAccepted && resp.Status != http.StatusNoContent {
		return r.refused("refresh", resp)
	}
	r.mu.Lock()
	r.asked[rotation] = true
	r.mu.Unlock()
	return nil
}

// Reloaded reports whether the reference is resolved. The names of the states
// are recalled, unverified.
func (r *Reference) Reloaded(ctx context.Context, _ string) (bool, error) {
	resp, err := r.send(ctx, "resolve", http.MethodGet, r.base+"/config/configreferences/appsettings/"+url.PathEscape(r.c.Setting)+version, nil)
	if err != nil {
		return false, err
	}
	if resp.Status != http.StatusOK {
		return false, r.refused("resolve", resp)
	}
	var answer struct {
		Properties struct{ Status, Details string }
	}
	if json.Unmarshal(resp.Body, &answer) != nil || answer.Properties.Status == "" {
		return false, r.foreign("resolve")
	}
	switch answer.Properties.Status {
	case "Resolved":
		return true, nil
	case "Initialized":
		return false, nil
	}
	return false, &sink.Error{
		Op: r.op("resolve"), Kind: sink.Denied, Err: fmt.Errorf("the app cannot resolve the reference: %q", answer.Properties.Status),
		Next: "give the app's identity the role Key Vault Secrets User on the secret, and see the portal under Environment variables",
	}
}
