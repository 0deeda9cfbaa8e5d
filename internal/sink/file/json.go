package file

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON and YAML.
const maxDepth = 200

// parseJSON finds a key in JSON, with comments and trailing commas or without.
func parseJSON(text, key string) (*document, error) {
	steps, err := path(key)
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(text) {
		return nil, &refusal{"the file is not UTF-8", "save it as UTF-8"}
	}
	p := &jsonParser{text: text, steps: steps, doc: &document{}}
	p.doc.add = func(string) ([]edit, error) {
		return nil, &refusal{"there is no " + key + ", nor anything to add it to", "add it to the file with the value null"}
	}
	if err := p.value(0, true); err != nil {
		return nil, err
	}
	if p.space(); p.at < len(text) {
		return nil, p.fail("text follows the end of the JSON value")
	}
	return p.doc, nil
}

// jsonParser goes through a text once and stops at nothing but the value on
// the path.
type jsonParser struct {
	text  string
	at    int
	steps []string
	doc   *document
}

func (p *jsonParser) fail(says string) error {
	return &refusal{fmt.Sprintf("line %d: %s", lineOf(p.text, min(p.at, len(p.text))), says), "put the file in order"}
}

// space passes blanks and comments.
func (p *jsonParser) space() {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.at++
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				p.at += end
			} else {
				p.at = len(p.text)
			}
		case strings.HasPrefix(rest, "/*"):
			if end := strings.Index(rest[2:], "*/"); end >= 0 {
				p.at += end + 4
			} else {
				p.at = len(p.text)
			}
		default:
			return
		}
	}
}

// value passes a value. on tells that the first depth steps of the path led
// here.
func (p *jsonParser) value(depth int, on bool) error {
	p.space()
	if depth > maxDepth {
		return p.fail("nested too deeply")
	}
	if p.at >= len(p.text) {
		return p.fail("it ends too early")
	}
	start, sought := p.at, on && depth == len(p.steps)
	switch c := p.text[p.at]; {
	case sought && (c == '{' || c == '['):
		return &refusal{fmt.Sprintf("line %d: the value is no text", lineOf(p.text, start)), "name the text inside it"}
	case c == '{':
		return p.object(depth, on)
	case c == '[':
		return p.array(depth, on)
	case c == '"':
		text, err := p.str()
		if err != nil {
			return err
		}
		if sought {
			p.doc.slots = append(p.doc.slots, slot{start, p.at, text, quoteJSON})
		}
		return nil
	}
	end := strings.IndexAny(p.text[p.at:], ",]} \t\r\n/")
	if end < 0 {
		end = len(p.text) - p.at
	}
	word := p.text[p.at : p.at+end]
	if !json.Valid([]byte(word)) {
		return p.fail("a value is expected here")
	}
	p.at += end
	if sought {
		if word != "null" {
			return &refusal{fmt.Sprintf("line %d: the value is no text", lineOf(p.text, start)), "put it in double quotes"}
		}
		p.doc.add = func(value string) ([]edit, error) {
			written, err := quoteJSON(value)
			return []edit{{start, start + len(word), written}}, err
		}
	}
	return nil
}

// object passes the members of an object.
func (p *jsonParser) object(depth int, on bool) error {
	step := ""
	parent := false // the value itself belongs in here
	if on {
		step, parent = p.steps[depth], depth == len(p.steps)-1
	}
	open, last, names := p.at, jsonMember{}, 0
	for p.at++; ; {
		begin := p.at
		if p.space(); p.at >= len(p.text) {
			return p.fail("it ends too early")
		}
		if p.text[p.at] == '}' {
			if parent && names == 0 {
				p.doc.add = p.adds(open, last, step)
			}
			p.at++
			return nil
		}
		if p.text[p.at] != '"' {
			return p.fail("a name in double quotes is expected here")
		}
		m := jsonMember{before: p.text[begin:p.at]}
		at := p.at
		name, err := p.str()
		if err != nil {
			return err
		}
		if p.space(); p.at >= len(p.text) || p.text[p.at] != ':' {
			return p.fail("a colon is expected here")
		}
		p.at++
		mine := on && name == step
		if on && !mine && strings.EqualFold(name, step) {
			return &refusal{fmt.Sprintf("line %d: the name is %s, not %s, which is the same for some readers", lineOf(p.text, at), name, step), "write the key of the sink the same way"}
		}
		if mine {
			if names++; names > 1 {
				return &refusal{fmt.Sprintf("line %d: %s stands there twice", lineOf(p.text, at), step), "take one of them out"}
			}
		}
		if err := p.value(depth+1, mine); err != nil {
			return err
		}
		m.end = p.at
		if m.comma, err = p.comma('}'); err != nil {
			return err
		}
		last = m
	}
}

// jsonMember is what an added member copies from the one before it.
type jsonMember struct {
	before string // between the comma, or brace, and its name
	end    int    // of its value
	comma  bool   // behind it
}

// comma passes what may follow an item.
func (p *jsonParser) comma(closing byte) (bool, error) {
	p.space()
	switch {
	case p.at < len(p.text) && p.text[p.at] == ',':
		p.at++
		return true, nil
	case p.at < len(p.text) && p.text[p.at] != closing:
		return false, p.fail("a comma is expected here")
	}
	return false, nil
}

// adds returns what puts a member at the end of the object that is open from
// there to p.at, in the manner of the last one.
func (p *jsonParser) adds(open int, last jsonMember, name string) func(string) ([]edit, error) {
	text, brace := p.text, p.at
	return func(value string) ([]edit, error) {
		written, err := quoteJSON(value)
		if err != nil {
			return nil, err
		}
		quoted, err := quoteJSON(name)
		member := quoted + ": " + written
		if last.end == 0 {
			return []edit{{open + 1, open + 1, member}}, err
		}
		before := last.before
		if at := strings.LastIndexByte(before, '\n'); at >= 0 { // a line of its own, indented as the last one
			indent := before[at+1:]
			before = lineEnd(text) + indent[:len(indent)-len(strings.TrimLeft(indent, " \t"))]
		} else if strings.TrimSpace(before) != "" { // a comment, which is of the last one
			before = " "
		}
		// Comments behind the last member stay with it.
		end := brace - (len(text[:brace]) - len(strings.TrimRight(text[:brace], " \t\r\n")))
		if last.comma {
			return []edit{{end, end, before + member + ","}}, err
		}
		return []edit{{last.end, last.end, ","}, {end, end, before + member}}, err
	}
}

func (p *jsonParser) array(depth int, on bool) error {
	index := -1
	if on {
		if n, err := strconv.Atoi(p.steps[depth]); err == nil {
			index = n
		}
	}
	p.at++
	for i := 0; ; i++ {
		if p.space(); p.at >= len(p.text) {
			return p.fail("it ends too early")
		}
		if p.text[p.at] == ']' {
			p.at++
			return nil
		}
		if err := p.value(depth+1, i == index); err != nil {
			return err
		}
		if _, err := p.comma(']'); err != nil {
			return err
		}
	}
}

func (p *jsonParser) str() (string, error) {
	for end := p.at + 1; end < len(p.text); end++ {
		switch p.text[end] {
		case '\\':
			end++
		case '\n':
			return "", p.fail("a text has no end on its line")
		case '"':
			var out string
			if err := json.Unmarshal([]byte(p.text[p.at:end+1]), &out); err != nil {
				return "", p.fail("a text holds an escape or character that JSON does not know")
			}
			p.at = end + 1
			return out, nil
		}
	}
	return "", p.fail("a text has no end")
}

// quoteJSON writes a text. What cannot be seen is escaped, so that it is.
func quoteJSON(value string) (string, error) {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unprintable(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}
