package config

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Sink is a place that a value is written to. What it is made of depends on
// its kind: Decode reads it.
type Sink struct {
	Kind string    // "dotenv"
	Node yaml.Node // the body
	At   Position

	src *source
}

// Decode reads the body into the struct that a pointer points to, as strictly
// as the rest of the file: the tags of the package's own types apply. Its
// error is [Errors].
func (s Sink) Decode(into any) error {
	d := &decoder{src: s.src}
	d.into(&s.Node, into)
	if len(d.errs) > 0 {
		return d.errs.sorted()
	}
	return nil
}

// Token takes the key token out of the body: a text that stands elsewhere, zero
// if there is none. Decode reads what is left. Its error is [Errors].
func (s *Sink) Token() (Text, error) {
	for i := 0; i+1 < len(s.Node.Content); i += 2 {
		if s.Node.Content[i].Value != "token" {
			continue
		}
		d := &decoder{src: s.src}
		var token Text
		token.fromNode(d, s.Node.Content[i+1])
		if len(d.errs) == 0 && token.isLiteral() {
			d.errorf(s.Node.Content[i+1], "a token does not stand in the configuration: write ${env:NAME} or ${file:PATH}")
		}
		s.Node.Content = slices.Delete(slices.Clone(s.Node.Content), i, i+2)
		if len(d.errs) > 0 {
			return Text{}, d.errs.sorted()
		}
		return token, nil
	}
	return Text{}, nil
}

func (s *Sink) fromNode(d *decoder, n *yaml.Node) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		d.errorf(n, "a sink is one kind with its keys, such as: - dotenv: {file: app.env, key: AZURE_CLIENT_SECRET}")
		return
	}
	if n.Content[1].Kind != yaml.MappingNode {
		d.errorf(n.Content[1], "the sink %s needs keys and values, not %s", clip(n.Content[0].Value), kindOf(n.Content[1]))
		return
	}
	*s = Sink{Kind: n.Content[0].Value, Node: *n.Content[1], At: d.at(n.Content[0]), src: d.src}
}

func (*Sink) schema() map[string]any {
	return map[string]any{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": map[string]any{"type": "object"}}
}

// placeKeys are the keys that say where a sink writes; other kinds are the
// same place when all their keys are equal.
func placeKeys(kind string) []string {
	switch kind {
	case "dotenv":
		return []string{"file", "key"}
	case "keyvault":
		return []string{"vault", "secret"}
	case "vault":
		return []string{"address", "namespace", "mount", "path", "key"}
	case "kubernetes":
		return []string{"context", "namespace", "secret", "key"}
	case "appservice":
		return []string{"arm", "site", "setting"}
	case "azuredevops":
		return []string{"organization", "project", "variable_group", "variable", "service_connection"}
	case "github":
		return []string{"api", "repository", "environment", "organization", "secret"}
	case "gitlab":
		return []string{"address", "project", "group", "key", "environment_scope"}
	}
	return nil
}

// usual is what a key stands for when it is left out, "" for nothing.
func usual(kind, key string) string {
	switch kind + " " + key {
	case "appservice arm":
		return "https://management.azure.com"
	case "github api":
		return "https://api.github.com"
	case "gitlab address":
		return "https://gitlab.com"
	case "gitlab environment_scope":
		return "*"
	}
	return ""
}

// place is a text that is equal for sinks that write to the same place.
func (s Sink) place() string {
	var parts []string
	keys := placeKeys(s.Kind)
	for i := 0; i+1 < len(s.Node.Content); i += 2 {
		key, value := s.Node.Content[i].Value, s.Node.Content[i+1]
		if keys != nil && !slices.Contains(keys, key) {
			continue
		}
		text := canonical(value)
		if key == "file" {
			text = strconv.Quote(path.Clean(strings.ReplaceAll(value.Value, `\`, "/")))
		}
		if key == "vault" || key == "site" || s.Kind == "azuredevops" || s.Kind == "github" || s.Kind == "gitlab" && key != "key" && key != "environment_scope" {
			text = strconv.Quote(strings.ToLower(strings.TrimRight(value.Value, "/")))
		}
		if left := usual(s.Kind, key); left != "" && (value.Value == "" || strings.TrimRight(value.Value, "/") == left) {
			continue
		}
		parts = append(parts, key+"="+text)
	}
	slices.Sort(parts)
	return s.Kind + " " + strings.Join(parts, " ")
}

// canonical writes a node so that equal nodes have equal texts.
func canonical(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return strconv.Quote(n.Value)
	}
	var parts []string
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	for i := 0; i+step <= len(n.Content); i += step {
		text := ""
		for _, child := range n.Content[i : i+step] {
			text += canonical(child) + ":"
		}
		parts = append(parts, text)
	}
	if step == 2 {
		slices.Sort(parts)
	}
	return kindOf(n) + "(" + strings.Join(parts, ",") + ")"
}
