// Package kubernetes writes a secret into one key of a Kubernetes Secret and
// restarts the workloads that read it.
package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink.
type Config struct {
	Context   string   `yaml:"context"` // of the kubeconfig; "" for the current one, or the cluster that credsmith runs in
	Namespace string   `yaml:"namespace"`
	Secret    string   `yaml:"secret"`  // name of the Secret, which must exist
	Key       string   `yaml:"key"`     // in its data
	Rollout   []string `yaml:"rollout"` // what to restart: "deployment/NAME", "statefulset/NAME", "daemonset/NAME"
}

// Cluster is the way to an API server.
type Cluster struct {
	Origin string       // "https://10.0.0.1:6443", with a path where a gateway needs one
	Client *http.Client // signs in; follows no redirects and repeats nothing
}

// annotation of a Secret holds, for each key that credsmith wrote, what it
// wrote; on a pod template, the rotation that restarted it.
const (
	annotation         = "credsmith/deliveries"
	rotationAnnotation = "credsmith/rotation"
)

// maxValue is the longest value, in bytes; a Secret holds 1 MiB in all.
const maxValue = 256 << 10

// Sink is one key of one Secret.
type Sink struct {
	c         Config
	cluster   Cluster
	workloads []workload
}

// New returns the sink of a configuration; its errors name the field.
func New(c Config, cluster Cluster) (*Sink, error) {
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	subdomain := regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	key := regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)
	switch {
	case !label.MatchString(c.Namespace):
		return nil, fmt.Errorf("namespace: %q is no name of a namespace", c.Namespace)
	case !subdomain.MatchString(c.Secret):
		return nil, fmt.Errorf("secret: %q is no name of a Secret", c.Secret)
	case !key.MatchString(c.Key) || c.Key == "." || c.Key == "..":
		return nil, fmt.Errorf("key: %q is no key of a Secret: letters, digits, dots, dashes and underscores", c.Key)
	}
	s := &Sink{c: c, cluster: cluster}
	for i, text := range c.Rollout {
		w, ok := parseWorkload(text)
		if !ok || !subdomain.MatchString(w.name) {
			return nil, fmt.Errorf("rollout[%d]: %q is not deployment/NAME, statefulset/NAME or daemonset/NAME", i, text)
		}
		s.workloads = append(s.workloads, w)
	}
	return s, nil
}

// Ref returns "kubernetes:CONTEXT/NAMESPACE/SECRET#KEY".
func (s *Sink) Ref() string {
	return "kubernetes:" + url.PathEscape(s.c.Context) + "/" + s.c.Namespace + "/" + s.c.Secret + "#" + s.c.Key
}

// Abilities says what a Secret can do. A version is of the whole Secret.
func (s *Sink) Abilities() sink.Abilities {
	return sink.Abilities{ReadBack: true, Compare: true, Labels: true}
}

// object is a Secret, as far as it matters.
type object struct {
	Metadata  metadata          `json:"metadata"`
	Data      map[string][]byte `json:"data"`
	Immutable bool              `json:"immutable"`
}

type metadata struct {
	ResourceVersion string            `json:"resourceVersion"`
	Annotations     map[string]string `json:"annotations"`
	Labels          map[string]string `json:"labels"`
	Owners          []owner           `json:"ownerReferences"`
	Fields          []managedField    `json:"managedFields"`
}

// deliveries returns the labels of the keys.
func (o *object) deliveries() map[string]string {
	said := map[string]string{}
	_ = json.Unmarshal([]byte(o.Metadata.Annotations[annotation]), &said) // anybody may have written it
	if said == nil {
		said = map[string]string{}
	}
	return said
}

// Check reads the Secret and lets the server try writes and restarts without
// doing them.
func (s *Sink) Check(ctx context.Context) error {
	o, err := s.get(ctx, "check")
	if err != nil {
		return err
	}
	if err := s.writable(o, "check"); err != nil {
		return err
	}
	if err := s.patch(ctx, s.op("check"), s.path(), true, map[string]any{}, nil); err != nil {
		return err
	}
	for _, w := range s.workloads {
		if err := s.patch(ctx, s.opOf("check", w), s.pathOf(w), true, map[string]any{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Read returns what the Secret has at the key.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	o, err := s.get(ctx, "read")
	if err != nil || o == nil {
		return sink.Held{}, err
	}
	value, exists := o.Data[s.c.Key]
	if !exists {
		return sink.Held{}, nil
	}
	held := sink.Held{Exists: true, Value: secret.New(string(value)), Version: o.Metadata.ResourceVersion, ManagedBy: o.managedBy(s.c.Key)}
	held.Generation = web.Generation(o.deliveries()[s.c.Key])
	return held, nil
}

// Write changes the key and its label in one step, if the Secret is still as
// it was read.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || len(value) > maxValue {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty or longer than 256 KiB"), Next: "deliver it another way"}
	}
	o, err := s.get(ctx, "write")
	if err != nil {
		return "", err
	}
	if err := s.writable(o, "write"); err != nil {
		return "", err
	}
	label := web.Label(d)
	was, exists := o.Data[s.c.Key]
	said := o.deliveries()
	written := exists && string(was) == value
	if written && said[s.c.Key] == label {
		return o.Metadata.ResourceVersion, nil
	}
	if !written && (exists && o.Metadata.ResourceVersion != d.Version || !exists && d.Version != "") {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Changed, Err: errChanged}
	}
	said = maps.Clone(said)
	said[s.c.Key] = label
	deliveries, _ := json.Marshal(said)
	var after object
	err = s.patch(ctx, s.op("write"), s.path(), false, map[string]any{
		"metadata": map[string]any{"resourceVersion": o.Metadata.ResourceVersion, "annotations": map[string]string{annotation: string(deliveries)}},
		"data":     map[string][]byte{s.c.Key: []byte(value)},
	}, &after)
	if err != nil {
		return "", err
	}
	if after.Metadata.ResourceVersion == "" {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Unreachable, Err: errForeign}
	}
	return after.Metadata.ResourceVersion, nil
}

var errChanged = errors.New("the Secret was changed since it was read")

// writable refuses a Secret that no write can change.
func (s *Sink) writable(o *object, verb string) error {
	switch {
	case o == nil:
		return &sink.Error{
			Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("there is no such Secret"),
			Next: fmt.Sprintf("make it, empty: kubectl create secret generic %s --namespace %s", s.c.Secret, s.c.Namespace),
		}
	case o.Immutable:
		return &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("the Secret is immutable"), Next: "make a Secret that is not, and point the workloads to it"}
	}
	return nil
}

func (s *Sink) op(verb string) string {
	return fmt.Sprintf("%s %s of the Secret %s/%s%s", verb, s.c.Key, s.c.Namespace, s.c.Secret, s.where())
}

func (s *Sink) where() string {
	if s.c.Context == "" {
		return ""
	}
	return " of " + s.c.Context
}
