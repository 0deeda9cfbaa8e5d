package config_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/config"
)

// TestSchemaAgrees: what the reader takes the schema takes, and what only the
// form is wrong of neither does.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(config.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	change := func(old, by string) string { return strings.Replace(small, old, by, 1) }
	for text, good := range map[string]bool{
		full:                              true,
		small:                             true,
		change("90d", "1d12h"):            true,
		change("lifetime", "life_time"):   false,
		change("90d", "30"):               false,
		change("90d", "0d"):               false,
		change("90d", "-90d"):             false,
		change("90d", "5h2d"):             false,
		change(tenantID, "contoso.com"):   false,
		change("billing-api", `"../etc"`): false,
		change("    identity", "    cloud: publik\n    identity"):                                false,
		change("    identity", "    cloud: usgov\n    identity"):                                 true,
		change("    identity", "    cloud: {authority: https://a}\n    identity"):                false,
		change("lifetime: 90d", "lifetime: 90d\n    retire: expires"):                            false,
		change("lifetime: 90d", "lifetime: 90d\n    prove: {times: 0}"):                          false,
		change("lifetime: 90d", "lifetime: 90d\n    prove: {times: '3'}"):                        false,
		change("dotenv: {file: app.env, key: A}", "{dotenv: {}, exec: {}}"):                      false,
		change("\n      - dotenv: {file: app.env, key: A}", " []"):                               false,
		change("    app: "+appID+"\n", ""):                                                       false,
		change("    sinks:\n      - dotenv: {file: app.env, key: A}", "    sinks: {dotenv: {}}"): false,
		"bindings: {}\n": false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		says := violates(schema, value, "$")
		if good && says != "" || !good && says == "" {
			t.Errorf("schema says %q of:\n%s", says, text)
		}
		_, err := config.Load(write(t, text), environment(nil))
		if (err == nil) != good {
			t.Errorf("reader says %v of:\n%s", err, text)
		}
	}
}

// TestSchemaDescribes: each key has a text for editors.
func TestSchemaDescribes(t *testing.T) {
	t.Parallel()
	raw, _ := json.Marshal(config.Schema())
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	count := 0
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		for name, p := range part(s, "properties") {
			count++
			child := p.(map[string]any)
			if d, _ := child["description"].(string); !strings.HasSuffix(d, ".") {
				t.Errorf("%s.%s: description %q", path, name, d)
			}
			walk(path+"."+name, child)
		}
		if more := part(s, "additionalProperties"); more != nil {
			walk(path+".*", more)
		}
	}
	walk("$", schema)
	if count < 20 {
		t.Errorf("only %d keys", count)
	}
}

func part(s map[string]any, key string) map[string]any { m, _ := s[key].(map[string]any); return m }

// violates checks a value by the words of JSON Schema that the file's schema
// uses; a word it does not know fails.
func violates(s map[string]any, v any, at string) string {
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(int)
	_, isBool := v.(bool)
	for word, rule := range s {
		bad := ""
		switch word {
		case "$schema", "title", "description", "additionalProperties", "propertyNames":
		case "type":
			if !map[string]bool{"object": isObject, "array": isList, "string": isText, "integer": isNumber, "boolean": isBool}[rule.(string)] {
				bad = "is no " + rule.(string)
			}
		case "properties":
			for name, p := range rule.(map[string]any) {
				if inner, given := object[name]; given && bad == "" {
					bad = violates(p.(map[string]any), inner, name)
				}
			}
		case "required":
			for _, name := range rule.([]any) {
				if _, given := object[name.(string)]; !given {
					bad = "lacks " + name.(string)
				}
			}
		case "items":
			for _, item := range list {
				bad += violates(rule.(map[string]any), item, "[]")
			}
		case "minItems":
			if float64(len(list)) < rule.(float64) {
				bad = "is too short"
			}
		case "minLength":
			if isText && float64(len(text)) < rule.(float64) {
				bad = "is too short"
			}
		case "minProperties", "maxProperties":
			if n := float64(len(object)); word == "minProperties" && n < rule.(float64) || word == "maxProperties" && n > rule.(float64) {
				bad = "has another number of keys"
			}
		case "minimum", "maximum":
			if n := float64(number); isNumber && (word == "minimum" && n < rule.(float64) || word == "maximum" && n > rule.(float64)) {
				bad = "is out of range"
			}
		case "pattern":
			if isText && !matches(rule.(string), text) {
				bad = "does not match " + rule.(string)
			}
		case "enum":
			if !slices.Contains(rule.([]any), v) {
				bad = "is not one of the texts"
			}
		case "oneOf":
			fits := 0
			for _, one := range rule.([]any) {
				if violates(one.(map[string]any), v, at) == "" {
					fits++
				}
			}
			if fits != 1 {
				bad = "fits none"
			}
		default:
			bad = "unknown word " + word
		}
		if bad != "" {
			return at + " " + bad
		}
	}
	known := part(s, "properties")
	for name, value := range object {
		if _, is := known[name]; is {
			continue
		}
		switch more := s["additionalProperties"].(type) {
		case bool:
			return at + " has the unknown key " + name
		case map[string]any:
			if says := violates(more, value, name); says != "" {
				return says
			}
		}
		if names := part(s, "propertyNames"); names != nil && !matches(names["pattern"].(string), name) {
			return at + " has a bad name"
		}
	}
	return ""
}

// matches stands in for the one look-ahead that Go's patterns do not have.
func matches(pattern, text string) bool {
	if rest, ahead := strings.CutPrefix(pattern, "^(?=.*[1-9])"); ahead {
		return strings.ContainsAny(text, "123456789") && regexp.MustCompile("^"+rest).MatchString(text)
	}
	return regexp.MustCompile(pattern).MatchString(text)
}
