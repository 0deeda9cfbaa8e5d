package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/entra"
)

// custom is a type with a form of its own in the file.
type custom interface {
	fromNode(d *decoder, n *yaml.Node)
	schema() map[string]any
}

// decoder turns nodes into Go values and collects what is wrong. The fields
// of a struct say all by their tags:
//
//	yaml:"key"     the key; ",name" takes the key under which the struct stands
//	need:"yes"     it must be there
//	oneof:"a,b"    the texts allowed
//	form:"guid"    it must be a GUID
//	range:"1,9"    the numbers allowed
//	secret:"yes"   a literal is refused in a file that others can read
//
// A field At of type [Position] gets the place.
type decoder struct {
	src  *source
	errs Errors
}

func (d *decoder) at(n *yaml.Node) Position { return Position{d.src.name, n.Line, n.Column} }

func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, Error{d.at(n), fmt.Sprintf(format, args...)})
}

// into decodes a node into what a pointer points to.
func (d *decoder) into(n *yaml.Node, pointer any) {
	d.value(n, reflect.ValueOf(pointer).Elem(), field{})
}

// field is a struct's field as its tags describe it.
type field struct {
	index        int
	key          string
	need, secret bool
	oneof        []string
	lowest, most int // of a number
	form, doc    string
	of           reflect.Type
}

// fieldsOf returns the fields of a struct that stand in the file, and the
// index of the one that takes its name, -1 for none.
func fieldsOf(t reflect.Type) (fields []field, name int) {
	name = -1
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		switch key := tag.Get("yaml"); key {
		case "-", "":
		case ",name":
			name = i
		default:
			f := field{index: i, key: key, need: tag.Get("need") == "yes", secret: tag.Get("secret") == "yes", form: tag.Get("form"), doc: tag.Get("doc"), of: t.Field(i).Type}
			if between := tag.Get("range"); between != "" {
				if _, err := fmt.Sscanf(between, "%d,%d", &f.lowest, &f.most); err != nil {
					panic("config: range of " + key)
				}
			}
			if allowed := tag.Get("oneof"); allowed != "" {
				f.oneof = strings.Split(allowed, ",")
			}
			fields = append(fields, f)
		}
	}
	return fields, name
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, f field) {
	if c, ok := v.Addr().Interface().(custom); ok {
		c.fromNode(d, n)
		return
	}
	switch into := v.Addr().Interface().(type) {
	case *yaml.Node:
		*into = *n
		return
	case *time.Duration:
		if text, ok := d.scalar(n, "a time such as 90d, 36h or 60s"); ok {
			length, err := parseDuration(text)
			if err != nil {
				d.errorf(n, "%s", err)
			}
			*into = length
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Slice:
		if _, name := elementFields(v.Type()); name >= 0 {
			d.named(n, v, name)
		} else {
			d.list(n, v)
		}
	case reflect.Map:
		d.mapping(n, v)
	case reflect.String:
		d.text(n, v, f)
	case reflect.Bool:
		if text, ok := d.scalar(n, "true or false"); ok && n.Tag != "!!bool" {
			d.errorf(n, "true or false is needed here")
		} else {
			v.SetBool(text == "true")
		}
	case reflect.Int:
		if text, ok := d.scalar(n, "a number"); ok {
			i, err := strconv.Atoi(text)
			if err != nil || n.Tag != "!!int" || f.most > 0 && (i < f.lowest || i > f.most) {
				d.errorf(n, "a whole number from %d to %d is needed here", f.lowest, f.most)
			}
			v.SetInt(int64(i))
		}
	default:
		panic("config: no way to read a " + v.Type().String())
	}
}

func elementFields(t reflect.Type) (fields []field, name int) {
	if t.Elem().Kind() != reflect.Struct {
		return nil, -1
	}
	return fieldsOf(t.Elem())
}

// scalar returns the text of a node that must be one.
func (d *decoder) scalar(n *yaml.Node, needed string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.errorf(n, "%s is needed here, not %s", needed, kindOf(n))
	case isNull(n) || n.Value == "":
		d.errorf(n, "%s is needed here: nothing is given", needed)
	default:
		return n.Value, true
	}
	return "", false
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, f field) {
	text, ok := d.scalar(n, "a text")
	if !ok {
		return
	}
	v.SetString(text)
	switch {
	case f.form == "guid" && !entra.IsGUID(text):
		d.errorf(n, "%s must be a GUID such as 00001111-aaaa-2222-bbbb-3333cccc4444", f.key)
	case f.oneof != nil && !slices.Contains(f.oneof, text):
		d.errs = append(d.errs, Unknown(d.at(n), f.key, text, f.oneof))
	}
}

// entries calls each for every key of a mapping; a key given twice is an
// error and left out.
func (d *decoder) entries(n *yaml.Node, each func(key, value *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "keys and values are needed here, not %s", kindOf(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.errorf(key, "a key must be a text")
			continue
		}
		if line, again := first[key.Value]; again {
			d.errorf(key, "%q is given twice, first in line %d", clip(key.Value), line)
			continue
		}
		first[key.Value] = key.Line
		each(key, n.Content[i+1])
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	fields, _ := fieldsOf(v.Type())
	if at := v.FieldByName("At"); at.IsValid() && at.Type() == reflect.TypeFor[Position]() {
		at.Set(reflect.ValueOf(d.at(n)))
	}
	var given []string
	before := len(d.errs)
	d.entries(n, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			var known []string
			for _, f := range fields {
				known = append(known, f.key)
			}
			d.errs = append(d.errs, Unknown(d.at(key), "key", key.Value, known))
			given = append(given, nearest(key.Value, known)) // said once
			return
		}
		f := fields[i]
		given = append(given, f.key)
		d.value(value, v.Field(f.index), f)
		if f.secret {
			d.guard(value, v.Field(f.index))
		}
	})
	if len(d.errs) > before && n.Kind != yaml.MappingNode && !isNull(n) {
		return // what it lacks is no news
	}
	for _, f := range fields {
		if f.need && !slices.Contains(given, f.key) {
			d.errorf(n, "%s is missing", f.key)
		}
	}
}

// guard refuses a secret that stands in a file that others can read.
func (d *decoder) guard(n *yaml.Node, v reflect.Value) {
	if t, ok := v.Interface().(Text); ok && d.src.open && !t.IsZero() && t.isLiteral() {
		d.errorf(n, "a secret stands in a file that others can read: use ${env:NAME} or ${file:PATH}, or take the file from others with chmod 600")
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "a list is needed here, not %s", kindOf(n))
		return
	}
	for _, item := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(item, element, field{})
		v.Set(reflect.Append(v, element))
	}
}

// named reads a mapping of names to structs, in the order of the file.
func (d *decoder) named(n *yaml.Node, v reflect.Value, name int) {
	d.entries(n, func(key, value *yaml.Node) {
		if !goodName(key.Value) {
			d.errorf(key, "the name %q must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit", clip(key.Value))
			return
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.structure(value, element)
		element.Field(name).SetString(key.Value)
		element.FieldByName("At").Set(reflect.ValueOf(d.at(key)))
		v.Set(reflect.Append(v, element))
	})
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(n, func(key, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, field{})
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
	})
}

func goodName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '.' && r != '-' && r != '_') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single text"
}

// maxDuration is beyond any secret's life.
const maxDuration = 3650 * 24 * time.Hour

var units = []struct {
	name string
	unit time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// parseDuration reads 90d, 36h, 1d12h, 60s: whole numbers with a unit each,
// the larger first.
func parseDuration(text string) (time.Duration, error) {
	const form = "write it as 90d, 36h, 15m or 60s"
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" && !strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("%s has no unit: %s", clip(text), form)
	}
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("%s is negative: %s", clip(text), form)
	}
	var total time.Duration
	rest, next := text, 0
	for rest != "" && rest != "0" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		i := slices.IndexFunc(units[next:], func(u struct {
			name string
			unit time.Duration
		}) bool {
			return strings.HasPrefix(rest[digits:], u.name)
		})
		if digits == 0 || i < 0 {
			return 0, fmt.Errorf("%q is not a time: %s", clip(text), form)
		}
		count, err := strconv.ParseInt(rest[:digits], 10, 32)
		unit := units[next+i].unit
		if err != nil || time.Duration(count) > (maxDuration-total)/unit {
			return 0, fmt.Errorf("%s is longer than 3650d", clip(text))
		}
		total += time.Duration(count) * unit
		rest, next = rest[digits+1:], next+i+1
	}
	if total == 0 {
		return 0, fmt.Errorf("%s is no time at all: %s", cmp.Or(clip(text), "nothing"), form)
	}
	return total, nil
}

// formatDuration writes a length as the file has it.
func formatDuration(length time.Duration) string {
	text := ""
	for _, u := range units {
		if count := length / u.unit; count > 0 {
			text += fmt.Sprintf("%d%s", count, u.name)
			length -= count * u.unit
		}
	}
	return text
}
