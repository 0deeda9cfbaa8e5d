package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/secret"
)

// maxReferred bounds a file that ${file:PATH} names, in bytes.
const maxReferred = 64 << 10

// Text is a text of the file in which ${env:NAME} and ${file:PATH} stand for
// what is elsewhere. It never prints what it may hold.
type Text struct {
	raw secret.Value
	src *source
	at  Position
}

// IsZero reports whether the file gives no such text.
func (t Text) IsZero() bool { return t.raw.IsEmpty() }

// At returns where the text stands.
func (t Text) At() Position { return t.at }

// String shows the references of a text, which are no secret, and no more.
func (t Text) String() string {
	parts, err := t.parts()
	if err != nil || len(parts) != 1 || parts[0].kind == literal {
		return "[redacted]"
	}
	return "${" + string(parts[0].kind) + ":" + parts[0].name + "}"
}

// Resolve returns the text with every reference replaced. Its error is an
// [Error] that names the reference and where it stands. A line break at the
// end of a file is not part of the value.
func (t Text) Resolve() (secret.Value, error) {
	parts, err := t.parts()
	if err != nil {
		return secret.Value{}, err
	}
	var whole strings.Builder
	for _, p := range parts {
		value := p.name
		switch p.kind {
		case env:
			found, set := t.src.lookupEnv(p.name)
			if !set || found == "" {
				return secret.Value{}, Error{t.at, fmt.Sprintf("the variable %s is not set: export it", p.name)}
			}
			value = found
		case file:
			if value, err = t.readReferred(p.name); err != nil {
				return secret.Value{}, err
			}
		}
		whole.WriteString(value)
	}
	return secret.New(whole.String()), nil
}

func (t Text) readReferred(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(t.src.name), filepath.FromSlash(path))
	}
	f, err := os.Open(path)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return "", Error{t.at, fmt.Sprintf("the file %s cannot be read: %s", path, err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxReferred+1))
	switch {
	case err != nil:
		return "", Error{t.at, fmt.Sprintf("the file %s cannot be read: is it a directory?", path)}
	case len(data) > maxReferred:
		return "", Error{t.at, fmt.Sprintf("the file %s is larger than %d bytes: it must hold the value and nothing else", path, maxReferred)}
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", Error{t.at, fmt.Sprintf("the file %s is empty", path)}
	}
	return value, nil
}

type partKind string

const (
	literal partKind = ""
	env     partKind = "env"
	file    partKind = "file"
)

type part struct {
	kind partKind
	name string // or the literal text
}

// parts takes a text apart. Its errors quote references, never literals.
func (t Text) parts() ([]part, error) {
	var parts []part
	rest := t.raw.Reveal()
	for rest != "" {
		before, after, found := strings.Cut(rest, "${")
		if before != "" {
			parts = append(parts, part{literal, before})
		}
		if !found {
			break
		}
		inner, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, Error{t.at, "${ is never closed with }"}
		}
		kind, name, _ := strings.Cut(inner, ":")
		if k := partKind(kind); k != env && k != file || name == "" {
			return nil, Error{t.at, "a reference is ${env:NAME} or ${file:PATH}, not ${" + kind + "...}"}
		}
		parts = append(parts, part{partKind(kind), name})
		rest = tail
	}
	return parts, nil
}

// isLiteral reports whether the text itself stands in the file, or a part.
func (t Text) isLiteral() bool {
	parts, err := t.parts()
	for _, p := range parts {
		if p.kind == literal {
			return true
		}
	}
	return err != nil
}

func (t *Text) fromNode(d *decoder, n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || isNull(n) || n.Value == "" {
		d.errorf(n, "a text is needed here")
		return
	}
	*t = Text{secret.New(n.Value), d.src, d.at(n)}
	if _, err := t.parts(); err != nil {
		d.fail(err)
	}
}

func (*Text) schema() map[string]any {
	return map[string]any{"type": "string", "minLength": 1}
}
