// Package vault writes a secret into one key of a path of HashiCorp Vault's or
// OpenBao's KV engine, version 2. The other keys of the path stay, and the
// engine keeps the versions before.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink.
type Config struct {
	Address   string `yaml:"address"`   // origin, "https://vault.example.com:8200"; plain HTTP on loopback only
	Namespace string `yaml:"namespace"` // "" for the root
	Mount     string `yaml:"mount"`     // of the engine, "secret"
	Path      string `yaml:"path"`      // "billing/entra"
	Key       string `yaml:"key"`       // "client_secret"
}

// TokenFunc returns the token to send. It is asked for every request, since
// agents renew tokens in their files.
type TokenFunc func(context.Context) (secret.Value, error)

// maxValue is the longest value, in bytes: the engine's storage takes some
// 500 KiB for all keys of a path.
const maxValue = 64 << 10

// Sink is one key of one path.
type Sink struct {
	c      Config
	token  TokenFunc
	client *http.Client
}

// New returns the sink of a configuration; its errors name the field.
func New(c Config, token TokenFunc, client *http.Client) (*Sink, error) {
	u, err := url.Parse(strings.TrimRight(c.Address, "/"))
	c.Namespace, c.Mount, c.Path = strings.Trim(c.Namespace, "/"), strings.Trim(c.Mount, "/"), strings.Trim(c.Path, "/")
	switch {
	case c.Address == "":
		return nil, errors.New("address: is missing: where the server is, such as https://vault.example.com:8200")
	case err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("address: is not an address such as https://vault.example.com:8200")
	case u.Scheme == "http" && !web.Loopback(u.Hostname()):
		return nil, errors.New("address: plain http would show the secret to the network: use https")
	case c.Mount == "":
		return nil, errors.New("mount: is missing: the path that the KV engine is mounted at, such as secret")
	case c.Path == "":
		return nil, errors.New("path: is missing: the path of the secret within the engine")
	case c.Key == "" || len(c.Key) > 100 || !utf8.ValidString(c.Key):
		return nil, errors.New("key: is missing, longer than 100 bytes, or not UTF-8: the name of the value at the path")
	}
	for name, text := range map[string]string{"namespace": c.Namespace, "mount": c.Mount, "path": c.Path} {
		if !clean(text) {
			return nil, fmt.Errorf("%s: %q is not a path: names with single slashes between them", name, text)
		}
	}
	c.Address = u.Scheme + "://" + strings.ToLower(u.Host)
	return &Sink{c, token, client}, nil
}

// clean reports whether a path means the same to everyone on the way.
func clean(path string) bool {
	if path == "" {
		return true
	}
	return !slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool {
		return part == "" || part == "." || part == ".." || !utf8.ValidString(part) ||
			strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' })
	})
}

// Ref returns "vault:ADDRESS/NAMESPACE/MOUNT/PATH#KEY".
func (s *Sink) Ref() string {
	parts := []string{s.c.Address, s.c.Namespace, s.c.Mount, s.c.Path}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return "vault:" + strings.Join(parts, "/") + "#" + s.c.Key
}

// Abilities says what the engine can do. A version is of the whole path.
func (s *Sink) Abilities() sink.Abilities {
	return sink.Abilities{ReadBack: true, Compare: true, Labels: true}
}

// label is the name of what the path's custom metadata say of the key.
func (s *Sink) label() string { return "credsmith/" + s.c.Key }

// Check reads the path and asks what the token may do there.
func (s *Sink) Check(ctx context.Context) error {
	p, err := s.look(ctx, "check")
	if err != nil {
		return err
	}
	if _, _, err := s.value(p); err != nil {
		return err
	}
	return s.may(ctx)
}

// Read returns what the newest version has at the key.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	p, err := s.look(ctx, "read")
	if err != nil {
		return sink.Held{}, err
	}
	value, exists, err := s.value(p)
	if err != nil || !exists {
		return sink.Held{}, err
	}
	held := sink.Held{Exists: true, Value: secret.New(value), Version: strconv.Itoa(p.version)}
	held.Generation = web.Generation(p.custom[s.label()])
	// What PushSecret of External Secrets leaves (recalled, unverified).
	if p.custom["managed-by"] == "external-secrets" {
		held.ManagedBy = "External Secrets PushSecret"
	}
	return held, nil
}

// value returns what is at the key.
func (s *Sink) value(p path) (value string, exists bool, err error) {
	raw, exists := p.data[s.c.Key]
	if !exists || string(raw) == "null" {
		return "", false, nil
	}
	if json.Unmarshal(raw, &value) != nil {
		return "", false, &sink.Error{Op: s.op("read"), Kind: sink.Invalid, Err: errors.New("the key holds something else than text"), Next: "name another key"}
	}
	return value, true, nil
}

// Write makes a version of the path in which only the key is new, and then
// labels it: a label is late after a crash, never early. What is written
// already gets its label alone.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty, longer than 64 KiB, or not UTF-8"), Next: "deliver it another way"}
	}
	p, err := s.look(ctx, "write")
	if err != nil {
		return "", err
	}
	label := web.Label(d)
	was, exists, err := s.value(p)
	if err != nil {
		return "", err
	}
	if !exists || was != value {
		version := ""
		if exists {
			version = strconv.Itoa(p.version)
		}
		if version != d.Version {
			return "", &sink.Error{Op: s.op("write"), Kind: sink.Changed, Err: errChanged}
		}
		data := map[string]json.RawMessage{}
		maps.Copy(data, p.data)
		data[s.c.Key], _ = json.Marshal(value)
		if p.version, err = s.put(ctx, data, p.version); err != nil {
			return "", err
		}
	}
	if p.custom[s.label()] != label {
		if err := s.describe(ctx, label); err != nil {
			return "", err
		}
	}
	return strconv.Itoa(p.version), nil
}

var errChanged = errors.New("the path was changed since it was read")

func (s *Sink) op(verb string) string {
	return fmt.Sprintf("%s %s of %s/%s at %s", verb, s.c.Key, s.c.Mount, s.c.Path, s.c.Address)
}
