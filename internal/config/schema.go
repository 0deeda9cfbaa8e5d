package config

import (
	"reflect"
	"time"

	"go.yaml.in/yaml/v4"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// Schema is the JSON Schema (draft 2020-12) of the file, made from the types
// that read it, for editors. What one part says of another it cannot check.
func Schema() map[string]any {
	s := schemaOf(typeOf[Config]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = DefaultFile
	s["required"] = []string{"tenants"}
	return s
}

func schemaOf(t reflect.Type) map[string]any {
	if c, ok := reflect.New(t).Interface().(custom); ok {
		return c.schema()
	}
	switch t {
	case typeOf[yaml.Node]():
		return map[string]any{}
	case typeOf[time.Duration]():
		return map[string]any{"type": "string", "pattern": "^(?=.*[1-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Struct:
		return structSchema(t)
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Slice:
		if _, name := elementFields(t); name >= 0 {
			return map[string]any{
				"type": "object", "additionalProperties": schemaOf(t.Elem()),
				"propertyNames": map[string]any{"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
			}
		}
		return map[string]any{"type": "array", "minItems": 1, "items": schemaOf(t.Elem())}
	}
	return map[string]any{"type": "string", "minLength": 1}
}

func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	fields, _ := fieldsOf(t)
	for _, f := range fields {
		s := schemaOf(f.of)
		if f.doc != "" {
			s["description"] = f.doc
		}
		if f.oneof != nil {
			s["enum"] = f.oneof
		}
		if f.form == "guid" {
			s["pattern"] = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
		}
		if f.most > 0 {
			s["minimum"], s["maximum"] = f.lowest, f.most
		}
		properties[f.key] = s
		if f.need {
			required = append(required, f.key)
		}
	}
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}
