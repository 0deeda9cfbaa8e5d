package setting

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/text"
)

// maxNodes bounds what aliases may unfold to.
const maxNodes = 100_000

// parseYAML returns the documents of a file. Aliases and merge keys are
// unfolded within a budget.
func parseYAML(s *source) (docs []*node, err error) {
	if at := text.TooDeep(s.text, maxDepth); at >= 0 {
		return nil, s.errorAt(at, errors.New("malformed YAML: nested too deeply"))
	}
	decoder := yaml.NewDecoder(strings.NewReader(strings.TrimPrefix(s.text, mark)))
	c := &yamlReader{src: s, open: map[*yaml.Node]bool{}}
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, c.malformed(err)
		}
		c.left = maxNodes
		n, err := c.node(&doc, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

// malformed places an error of the parser. Its message quotes the file, so
// only the place is used; for what has no end, that of its beginning.
func (c *yamlReader) malformed(err error) error {
	says := "malformed YAML"
	if strings.Contains(c.src.text, "{{") {
		says = "malformed YAML, as templates are before they are rendered: give the rendered file or the values file"
	}
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok || e.Mark.Line == 0 {
		return &Error{File: c.src.name, Err: errors.New(says)}
	}
	at := e.Mark
	if strings.Contains(e.Message, "end of stream") && e.ContextMark.Line > 0 {
		at = e.ContextMark
	}
	return c.src.errorAt(c.offset(at.Line, at.Column), errors.New(says))
}

type yamlReader struct {
	src  *source
	open map[*yaml.Node]bool // anchors being unfolded
	left int

	// Every 256th character of one line, so that columns of a long line are
	// found without counting from its start.
	line  int
	marks []int
}

// offset is where a line and column, counted in characters from 1, stand in
// the text.
func (c *yamlReader) offset(line, column int) int {
	s := c.src
	if line < 1 || line > len(s.lines) {
		return len(s.text)
	}
	if c.line != line {
		c.line, c.marks = line, c.marks[:0]
		at, end := s.lines[line-1], len(s.text)
		if line < len(s.lines) {
			end = s.lines[line]
		}
		if line == 1 && strings.HasPrefix(s.text, mark) {
			at += len(mark)
		}
		for n := 0; at < end; n++ {
			if n%256 == 0 {
				c.marks = append(c.marks, at)
			}
			_, size := utf8.DecodeRuneInString(s.text[at:])
			at += size
		}
		c.marks = append(c.marks, at)
	}
	column = max(column-1, 0)
	i := min(column/256, len(c.marks)-1)
	at := c.marks[i]
	for range column - i*256 {
		_, size := utf8.DecodeRuneInString(s.text[at:])
		at += size
	}
	return min(at, len(s.text))
}

func (c *yamlReader) fail(n *yaml.Node, says string) error {
	return c.src.errorAt(c.offset(n.Line, n.Column), errors.New("malformed YAML: "+says))
}

func (c *yamlReader) node(from *yaml.Node, depth int) (*node, error) {
	n := &node{kind: null, src: c.src}
	if c.left--; c.left < 0 {
		return nil, c.fail(from, fmt.Sprintf("aliases unfold to more than %d values", maxNodes))
	}
	if depth > maxDepth {
		return nil, c.fail(from, "nested too deeply")
	}
	switch from.Kind {
	case yaml.DocumentNode:
		if len(from.Content) > 0 {
			return c.node(from.Content[0], depth)
		}
		return n, nil
	case yaml.AliasNode:
		return c.alias(from, depth)
	case yaml.ScalarNode:
		c.span(n, from)
		if from.Tag != "!!null" {
			n.kind, n.text = scalar, from.Value
			reference(n)
		}
	case yaml.MappingNode:
		n.start = c.offset(from.Line, from.Column)
		n.end = n.start
		if template(from) {
			n.kind, n.unresolved = scalar, "a template"
			return n, nil
		}
		n.kind = mapping
		return n, c.entries(n, from.Content, depth)
	case yaml.SequenceNode:
		n.kind, n.start = list, c.offset(from.Line, from.Column)
		n.end = n.start
		for _, item := range from.Content {
			child, err := c.node(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, child)
		}
	}
	return n, nil
}

// template knows {{ x }} without quotes, which is a map with a map as key.
func template(n *yaml.Node) bool {
	return n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode
}

func (c *yamlReader) alias(from *yaml.Node, depth int) (*node, error) {
	if c.open[from.Alias] {
		return nil, c.fail(from, "an alias stands inside its own anchor")
	}
	c.open[from.Alias] = true
	defer delete(c.open, from.Alias)
	return c.node(from.Alias, depth+1)
}

// entries adds keys and values, which take turns in content.
func (c *yamlReader) entries(n *node, content []*yaml.Node, depth int) error {
	var merged []*node // maps
	for i := 0; i+1 < len(content); i += 2 {
		child, err := c.node(content[i+1], depth+1)
		if err != nil {
			return err
		}
		if content[i].Tag == "!!merge" {
			// A list of maps merges them all, the first before the others.
			if child.kind == list {
				merged = append(merged, child.items...)
			} else {
				merged = append(merged, child)
			}
			continue
		}
		own := *child
		own.key = content[i].Value
		n.items = append(n.items, &own)
	}
	if len(merged) == 0 {
		return nil
	}
	// The last of a key counts: what the map sets itself, then the first map.
	var items []*node
	for _, m := range slices.Backward(merged) {
		items = append(items, m.items...)
	}
	n.items = append(items, n.items...)
	return nil
}

// span finds the bytes of a scalar as written. The parser places it at its
// anchor or tag, if it has one: those are passed over.
func (c *yamlReader) span(n *node, from *yaml.Node) {
	n.start = c.offset(from.Line, from.Column)
	text := c.src.text
	for n.start < len(text) && (text[n.start] == '&' || text[n.start] == '!') {
		end := n.start
		for end < len(text) && strings.IndexByte(" \t\r\n", text[end]) < 0 {
			end++
		}
		for end < len(text) && strings.IndexByte(" \t\r\n", text[end]) >= 0 {
			end++
		}
		n.start = end
	}
	rest := text[n.start:]
	n.end = n.start
	switch {
	case from.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' {
				n.end += i + 1
				return
			}
		}
	case from.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if strings.HasPrefix(rest[i:], "''") {
				i++
			} else if rest[i] == '\'' {
				n.end += i + 1
				return
			}
		}
	case from.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && strings.HasPrefix(rest, from.Value):
		n.end += len(from.Value)
	}
}
