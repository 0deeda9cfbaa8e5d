package setting

import (
	"encoding/json"
	"errors"
	"strings"
)

// maxDepth bounds the nesting of every format.
const maxDepth = 200

// parseJSON reads JSON with comments and trailing commas, as .NET and VS Code
// accept it.
func parseJSON(s *source) (*node, error) {
	p := &jsonParser{src: s, text: s.text}
	if strings.HasPrefix(p.text, mark) {
		p.at = len(mark)
	}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, p.fail("text after the end of the JSON value")
	}
	return n, nil
}

type jsonParser struct {
	src  *source
	text string
	at   int
}

func (p *jsonParser) fail(says string) error {
	return p.src.errorAt(min(p.at, len(p.text)), errors.New("malformed JSON: "+says))
}

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			p.at++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				p.at = len(p.text)
				return
			}
			p.at += end + 4
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) (*node, error) {
	p.space()
	if depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	if p.at >= len(p.text) {
		return nil, p.fail("it ends too early")
	}
	n := &node{src: p.src, start: p.at}
	var err error
	switch c := p.text[p.at]; c {
	case '{':
		n.kind = mapping
		err = p.items(n, '}', depth)
	case '[':
		n.kind = list
		err = p.items(n, ']', depth)
	case '"':
		n.text, err = p.str()
	default:
		end := strings.IndexAny(p.text[p.at:], ",]} \t\r\n/")
		if end < 0 {
			end = len(p.text) - p.at
		}
		n.text = p.text[p.at : p.at+end]
		if !json.Valid([]byte(n.text)) {
			return nil, p.fail("a value is expected here")
		}
		p.at += end
		if n.text == "null" {
			n.kind, n.text = null, ""
		}
	}
	n.end = p.at
	return n, err
}

func (p *jsonParser) items(n *node, closing byte, depth int) error {
	p.at++
	for {
		p.space()
		if p.at >= len(p.text) {
			return p.fail("it ends too early")
		}
		if p.text[p.at] == closing {
			p.at++
			return nil
		}
		key := ""
		if closing == '}' {
			var err error
			if p.text[p.at] != '"' {
				return p.fail("a name in double quotes is expected here")
			}
			if key, err = p.str(); err != nil {
				return err
			}
			if p.space(); p.at >= len(p.text) || p.text[p.at] != ':' {
				return p.fail("a colon is expected here")
			}
			p.at++
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		item.key = key
		n.items = append(n.items, item)
		p.space()
		switch {
		case p.at < len(p.text) && p.text[p.at] == ',':
			p.at++
		case p.at < len(p.text) && p.text[p.at] != closing:
			return p.fail("a comma is expected here")
		}
	}
}

func (p *jsonParser) str() (string, error) {
	for end := p.at + 1; end < len(p.text); end++ {
		switch p.text[end] {
		case '\\':
			end++
		case '\n':
			return "", p.fail("a string has no end on its line")
		case '"':
			var out string
			if err := json.Unmarshal([]byte(p.text[p.at:end+1]), &out); err != nil {
				return "", p.fail("a string holds an escape or character that JSON does not know")
			}
			p.at = end + 1
			return out, nil
		}
	}
	return "", p.fail("a string has no end")
}
