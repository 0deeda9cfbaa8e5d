package entralab

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
)

// object is a JSON object whose members keep their order: clients must not
// depend on it, but people compare bodies with recorded ones.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) { return o.appendJSON(nil), nil }

func (o object) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, m.name), ':')
		b = appendJSON(b, m.value)
	}
	return append(b, '}')
}

// appendJSON writes v as encodeJSON does, without reflection where v is of a
// kind that large answers are made of.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendText(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case interface{ appendJSON(b []byte) []byte }:
		return v.appendJSON(b)
	case []object:
		if v == nil {
			return append(b, "null"...)
		}
		b = append(b, '[')
		for i, o := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = o.appendJSON(b)
		}
		return append(b, ']')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	}
	return append(b, encodeJSON(v)...)
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(b, encodeJSON(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendTexts writes a JSON list of strings.
func appendTexts(b []byte, texts ...string) []byte {
	b = append(b, '[')
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

// encodeJSON writes v without escaping '<', '>' and '&', which neither real
// service does in the messages of this package. Everything it is given can be
// encoded.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("entralab: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decodeStrictly reads one JSON value and nothing after it, without members
// that into does not have.
func decodeStrictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// nullable turns "" into JSON's null.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// graphTime writes a date as the directory does: seconds, and seven digits
// after them when there are any.
func graphTime(t time.Time) string { return t.UTC().Format(graphLayout) }

const graphLayout = "2006-01-02T15:04:05.9999999Z"
