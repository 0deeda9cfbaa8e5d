package file

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// parseYAML finds a key in the one document of a file that has it.
func parseYAML(text, key string) (*document, error) {
	steps, err := path(key)
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(text) {
		return nil, &refusal{"the file is not UTF-8", "save it as UTF-8"}
	}
	// The parser ends lines at these too, and its positions would be off.
	if strings.ContainsAny(strings.ReplaceAll(text, "\r\n", "\n"), "\r\u0085\u2028\u2029") {
		return nil, &refusal{"the file holds a line break that is not a line feed", "save it with the line ends of Unix or Windows"}
	}
	if at := nested(text); at >= 0 {
		return nil, &refusal{fmt.Sprintf("line %d: nested too deeply", lineOf(text, at)), "put the file in order"}
	}
	y := &yamlFile{text: text, key: key, doc: &document{}}
	for i := 0; i < len(text); i++ {
		if i == 0 || text[i-1] == '\n' {
			y.lines = append(y.lines, i)
		}
	}
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // its text quotes the file
			return nil, &refusal{"the file is malformed YAML", "put the file in order; of a template, name the values file"}
		}
		if len(doc.Content) > 0 {
			if err := y.find(doc.Content[0], steps); err != nil {
				return nil, err
			}
		}
	}
	if y.doc.add == nil {
		y.doc.add = func(string) ([]edit, error) {
			return nil, &refusal{"there is no " + key + ", and where it belongs is not clear", "add it to the file with the value null"}
		}
	}
	return y.doc, nil
}

// nested finds where nesting passes what a parser that calls itself can take;
// -1 if it does not.
func nested(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > 5*maxDepth {
			return i
		}
	}
	return -1
}

type yamlFile struct {
	text    string
	key     string
	lines   []int // where each begins
	doc     *document
	parents int // mappings that a missing key could belong to
}

func (y *yamlFile) refuse(n *yaml.Node, says, next string) error {
	return &refusal{fmt.Sprintf("line %d: %s", n.Line, says), next}
}

// offset is where a line and column, in characters from 1, stand in the text.
func (y *yamlFile) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(y.lines) {
		return len(y.text)
	}
	at := y.lines[n.Line-1]
	for i := 1; i < n.Column && at < len(y.text); i++ {
		_, size := utf8.DecodeRuneInString(y.text[at:])
		at += size
	}
	return at
}

// find follows the path through one document.
func (y *yamlFile) find(root *yaml.Node, steps []string) error {
	n, name := root, root // and the name it stands under
	for depth, step := range steps {
		if n.Kind == yaml.AliasNode {
			return y.refuse(n, "the path leads through an alias", "name the path of its anchor")
		}
		if n.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.Content) {
				return nil
			}
			n, name = n.Content[i], nil
			continue
		}
		if n.Kind != yaml.MappingNode {
			return nil
		}
		k, v, err := y.member(n, step)
		if err != nil {
			return err
		}
		if v == nil {
			if depth == len(steps)-1 {
				y.parents++
				y.doc.add = y.adds(n, step)
			}
			return nil
		}
		n, name = v, k
	}
	if root.Kind == yaml.MappingNode && steps[0] == "data" && kind(root) == "Secret" {
		return y.refuse(n, "the data of a Kubernetes Secret is base64", "name the key under stringData, or use a kubernetes sink")
	}
	if len(y.doc.slots) > 0 {
		return y.refuse(n, y.key+" stands in two documents of the file", "give each a file of its own")
	}
	return y.slot(n, name)
}

func kind(root *yaml.Node) string {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "kind" {
			return root.Content[i+1].Value
		}
	}
	return ""
}

// member returns the key and value of a name in a mapping, nil if it is not there.
func (y *yamlFile) member(n *yaml.Node, name string) (k, v *yaml.Node, err error) {
	merged := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch own := n.Content[i]; {
		case own.Tag == "!!merge":
			merged = true
		case own.Kind == yaml.ScalarNode && own.Value == name && v != nil:
			return nil, nil, y.refuse(own, name+" stands there twice", "take one of them out")
		case own.Kind == yaml.ScalarNode && own.Value == name:
			k, v = own, n.Content[i+1]
		}
	}
	if v == nil && merged {
		return nil, nil, y.refuse(n, name+" may come from a merged anchor", "name the path of the anchor, or set "+name+" here")
	}
	return k, v, nil
}

// slot makes a slot of the node that the path leads to.
func (y *yamlFile) slot(n, name *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return y.refuse(n, "the value is an alias", "name the path of its anchor")
	case n.Kind != yaml.ScalarNode:
		return y.refuse(n, "the value is no text", "name the text inside it")
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return y.refuse(n, "the value is a block of lines", "write it in quotes on one line")
	case n.Tag == "!!null" && n.Value == "":
		return y.emptySlot(n, name)
	case n.Tag != "!!str" && n.Tag != "!!null" && n.Style&yaml.TaggedStyle != 0:
		return y.refuse(n, "the value has the tag "+n.Tag, "take the tag out")
	}
	start, end, ok := y.span(n)
	if !ok {
		return y.refuse(n, "the value goes over several lines", "write it in quotes on one line")
	}
	quote := byte(0)
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		quote = y.text[start]
	}
	s := slot{start: start, end: end, text: n.Value}
	s.write = func(v string) (string, error) { return quoteYAML(v, quote) }
	if n.Tag == "!!null" { // written as ~ or null: nothing is there
		y.parents++
		y.doc.add = func(value string) ([]edit, error) {
			written, err := s.write(value)
			return []edit{{s.start, s.end, written}}, err
		}
		return nil
	}
	y.doc.slots = append(y.doc.slots, s)
	return nil
}

// span finds the bytes of a scalar as written on one line; ok is false if it
// is on none or on several. Its anchor and tag, where the parser places it,
// are passed over.
func (y *yamlFile) span(n *yaml.Node) (start, end int, ok bool) {
	start = y.offset(n)
	for start < len(y.text) && (y.text[start] == '&' || y.text[start] == '!') {
		blank := start + strings.IndexAny(y.text[start:]+" ", " \t\n")
		start = len(y.text) - len(strings.TrimLeft(y.text[min(blank, len(y.text)):], " \t"))
	}
	rest, _, _ := strings.Cut(y.text[start:], "\n")
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0 && strings.HasPrefix(rest, `"`):
		end = closing(rest, '"')
	case n.Style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(rest, "'"):
		end = closing("'"+strings.ReplaceAll(rest[1:], "''", "xx"), '\'')
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 && n.Value != "" && strings.HasPrefix(rest, n.Value):
		end = len(n.Value) - 1
	default:
		end = -1
	}
	return start, start + end + 1, end >= 0
}

// emptySlot takes a name with nothing behind its colon.
func (y *yamlFile) emptySlot(n, name *yaml.Node) error {
	if name == nil || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return y.refuse(n, "the value is empty", "write null there")
	}
	start := y.offset(name)
	end := start + strings.IndexByte(y.text[start:]+":", ':')
	if start+len(name.Value) != end {
		return y.refuse(n, "the value is empty", "write null there")
	}
	y.parents++
	y.doc.add = func(value string) ([]edit, error) {
		written, err := quoteYAML(value, 0)
		return []edit{{end + 1, end + 1, " " + written}}, err
	}
	return nil
}

// adds returns what puts a missing name into a mapping: behind its last value
// that ends on its own line, else before its first name.
func (y *yamlFile) adds(n *yaml.Node, name string) func(string) ([]edit, error) {
	return func(value string) ([]edit, error) {
		unclear := &refusal{"there is no " + y.key + ", and where it belongs is not clear", "add it to the file with the value null"}
		if y.parents > 1 || n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
			return nil, unclear
		}
		first := n.Content[0]
		start := y.offset(first)
		begin := y.lines[first.Line-1]
		indent := y.text[begin:start]
		if strings.Trim(indent, " ") != "" {
			return nil, unclear
		}
		written, err := quoteYAML(value, 0)
		if err != nil {
			return nil, err
		}
		key, err := quoteYAML(name, 0)
		if err != nil {
			return nil, err
		}
		entry := indent + key + ": " + written
		for i := len(n.Content) - 2; i >= 0; i -= 2 {
			k, v := n.Content[i], n.Content[i+1]
			_, _, whole := y.span(v)
			if v.Kind != yaml.ScalarNode || v.Line != k.Line || !whole {
				continue
			}
			end := strings.IndexByte(y.text[y.offset(k):], '\n')
			if end < 0 {
				return appended(y.text, entry), nil
			}
			end += y.offset(k) + 1
			return []edit{{end, end, entry + lineEnd(y.text)}}, nil
		}
		return []edit{{begin, begin, entry + lineEnd(y.text)}}, nil
	}
}

// quoteYAML writes a text so that readers of YAML 1.1 and 1.2 take it as one.
func quoteYAML(value string, quote byte) (string, error) {
	if strings.Contains(value, "$") || strings.Contains(value, "{{") {
		return "", &refusal{"the value holds '$' or '{{', in whose place some readers of yaml files put other values", anotherSecret}
	}
	hidden := strings.ContainsFunc(value, unprintable)
	switch {
	case hidden, quote == '"':
		// Every escape of JSON is one of YAML.
		return quoteJSON(value)
	case quote == 0 && plainYAML(value):
		return value, nil
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'", nil
}

// plainYAML reports whether a value is a text without quotes too. A number or
// date does not begin with a letter.
func plainYAML(value string) bool {
	for i := range len(value) {
		c := value[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') && (i == 0 || strings.IndexByte("~._-/+=@", c) < 0) {
			return false
		}
	}
	return !slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(value))
}
