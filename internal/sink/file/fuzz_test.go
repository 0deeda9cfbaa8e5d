package file

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// FuzzPatch writes a value into any text. If that passes, the value is read
// back, a second time changes nothing, and what else stands there is as it was.
func FuzzPatch(f *testing.F) {
	for i, format := range Formats() {
		for _, file := range files[format] {
			f.Add(byte(i), file, "Q~new'\"x")
		}
	}
	for _, seed := range []string{"a:\n  x: 1\nb: 2\n", "a: &x\n  k: 'it''s'\nb: *x\n", "- k: |\n    1\n", "a: {k: 1}\n---\na: 2"} {
		f.Add(byte(2), seed, value)
	}
	f.Add(byte(1), "{\"a\":{// c\n\"x\":1,/**/}}", value)
	f.Add(byte(0), "P='x\nk=1\n'\nk=2\\\n", value)
	f.Add(byte(3), "a\\\n b=1\na.k : x\\\n  y\n#---\n", value)
	f.Add(byte(4), "k=1\n[a]\nk: '2'\n x\n[b]", value)
	f.Add(byte(0), "\xff\xfek\x00=\x00", value)
	f.Fuzz(func(t *testing.T, which byte, text, value string) {
		format := Formats()[int(which)%len(Formats())]
		key := "a.k"
		if format == Dotenv {
			key = "k"
		}
		before := []byte(text)
		after, err := format.patch(before, key, value)
		if err != nil {
			if _, ok := errors.AsType[*refusal](err); !ok {
				t.Fatalf("%T %v is no refusal", err, err)
			}
			return
		}
		if read, exists, err := format.lookup(after, key); read != value || !exists || err != nil {
			t.Fatalf("%q: lookup = %q %v %v, want %q", after, read, exists, err, value)
		}
		if again, err := format.patch(after, key, value); err != nil || string(again) != string(after) {
			t.Fatalf("%q: a second patch gives %q, %v", after, again, err)
		}
		unchanged(t, format, before, after, value)
	})
}

// unchanged compares all but the value, with readers that know nothing of the
// patch.
func unchanged(t *testing.T, format Format, before, after []byte, value string) {
	c, _ := decode(before)
	d, _ := decode(after)
	if c.mark != d.mark {
		t.Fatalf("the byte order mark changed from %q to %q", c.mark, d.mark)
	}
	switch format {
	case JSON:
		var old, new any
		if json.Unmarshal([]byte(c.text), &old) != nil {
			return // with comments
		}
		if err := json.Unmarshal([]byte(d.text), &new); err != nil {
			t.Fatalf("%q is no JSON any more: %v", after, err)
		}
		if !reflect.DeepEqual(set(old, value), new) {
			t.Fatalf("%q became %q", before, after)
		}
	case YAML:
		old, new := documents(c.text), documents(d.text)
		if old == nil || strings.Contains(c.text, "&") {
			return // an anchor's value changes where its aliases stand, too
		}
		differ := 0
		for i := range old {
			if i >= len(new) || !reflect.DeepEqual(old[i], new[i]) {
				differ++
				old[i] = set(old[i], value)
			}
		}
		if differ > 1 || !reflect.DeepEqual(old, new) {
			t.Fatalf("%q became %q: %v, %v", before, after, old, new)
		}
	default:
		if format == Properties && strings.Contains(c.text, `\`) {
			return // a value of several lines is one line now
		}
		if rest := others(d.text); !subsequence(others(c.text), rest) {
			t.Fatalf("%q became %q", before, after)
		}
	}
}

// set returns a tree with value at a.k.
func set(tree any, value string) any {
	root, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	root = maps.Clone(root)
	if a, ok := root["a"].(map[string]any); ok {
		a = maps.Clone(a)
		a["k"] = value
		root["a"] = a
	}
	return root
}

func documents(text string) []any {
	docs := []any{}
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc any
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil || !utf8.ValidString(text) {
			return nil
		}
		docs = append(docs, doc)
	}
}

// others returns the lines without a k in them, with the ends of all but the last.
func others(text string) []string {
	lines := slices.Collect(strings.Lines(text))
	if n := len(lines); n > 0 {
		lines[n-1] = strings.TrimRight(lines[n-1], "\r\n")
	}
	return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "k") })
}

func subsequence(part, whole []string) bool {
	for _, l := range whole {
		if len(part) > 0 && strings.TrimRight(part[0], "\r\n") == strings.TrimRight(l, "\r\n") {
			part = part[1:]
		}
	}
	return len(part) == 0
}
