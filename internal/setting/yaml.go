package setting

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxNodes bounds what aliases may unfold to.
const maxNodes = 100_000

// parseYAML returns the documents of a file. Aliases and merge keys are
// unfolded within a budget.
func parseYAML(s *source) (docs []*node, err error) {
	if at := tooDeep(s.text); at >= 0 {
		return nil, s.errorAt(at, errors.New("malformed YAML: nested too deeply"))
	}
	file, err := parser.ParseBytes([]byte(strings.TrimPrefix(s.text, mark)), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		e := &Error{File: s.name, Err: errors.New("malformed YAML")}
		if strings.Contains(s.text, "{{") {
			e.Err = errors.New("malformed YAML, as templates are before they are rendered: give the rendered file or the values file")
		}
		// The message of the parser quotes the file: only its place is used.
		if syntax, ok := errors.AsType[yaml.Error](err); ok && syntax.GetToken() != nil {
			e.Line, e.Column = syntax.GetToken().Position.Line, max(syntax.GetToken().Position.Column, 1)
		}
		return nil, e
	}
	for _, doc := range file.Docs {
		c := &yamlReader{src: s, anchors: map[string]ast.Node{}, open: map[string]bool{}, left: maxNodes}
		n, err := c.node(doc.Body, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
	return docs, nil
}

// tooDeep finds where flow or compact block nesting passes what a parser
// that calls itself can take; -1 when it does not.
func tooDeep(text string) int {
	flow, dashes := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			flow++
		case ']', '}':
			flow = max(flow-1, 0)
		case '-', '?', ':':
			dashes++
		case ' ', '\t':
			continue
		}
		if text[i] != '-' && text[i] != '?' && text[i] != ':' {
			dashes = 0
		}
		if flow > 5*maxDepth || dashes > 20*maxDepth {
			return i
		}
	}
	return -1
}

type yamlReader struct {
	src     *source
	anchors map[string]ast.Node
	open    map[string]bool // aliases being unfolded
	left    int
}

func (c *yamlReader) fail(n ast.Node, says string) error {
	e := &Error{File: c.src.name, Err: errors.New("malformed YAML: " + says)}
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

func (c *yamlReader) node(from ast.Node, depth int) (*node, error) {
	n := &node{kind: null, src: c.src}
	if from == nil || from.GetToken() == nil {
		return n, nil
	}
	if c.left--; c.left < 0 {
		return nil, c.fail(from, fmt.Sprintf("aliases unfold to more than %d values", maxNodes))
	}
	if depth > maxDepth {
		return nil, c.fail(from, "nested too deeply")
	}
	c.span(n, from)
	switch v := from.(type) {
	case *ast.AnchorNode:
		c.anchors[v.Name.String()] = v.Value
		return c.node(v.Value, depth+1)
	case *ast.AliasNode:
		return c.alias(v, depth)
	case *ast.TagNode:
		return c.node(v.Value, depth+1)
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text = scalar, v.Value
		reference(n)
	case *ast.LiteralNode:
		n.kind, n.text = scalar, v.Value.Value
		n.end = n.start
		reference(n)
	case *ast.MappingNode:
		n.kind = mapping
		return n, c.entries(n, v.Values, depth)
	case *ast.MappingValueNode:
		n.kind = mapping
		return n, c.entries(n, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		n.kind = list
		for _, item := range v.Values {
			child, err := c.node(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, child)
		}
	default:
		n.kind, n.text = scalar, from.GetToken().Value
	}
	return n, nil
}

func (c *yamlReader) alias(v *ast.AliasNode, depth int) (*node, error) {
	name := v.Value.String()
	target, ok := c.anchors[name]
	if !ok {
		return nil, c.fail(v, "an alias has no anchor before it")
	}
	if c.open[name] {
		return nil, c.fail(v, "an alias stands inside its own anchor")
	}
	c.open[name] = true
	defer delete(c.open, name)
	return c.node(target, depth+1)
}

func (c *yamlReader) entries(n *node, values []*ast.MappingValueNode, depth int) error {
	for _, v := range values {
		child, err := c.node(v.Value, depth+1)
		if err != nil {
			return err
		}
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			// What the map sets itself counts, so merged keys come first.
			n.items = append(append([]*node{}, child.items...), n.items...)
			continue
		}
		own := *child
		own.key = v.Key.GetToken().Value
		n.items = append(n.items, &own)
	}
	return nil
}

// span finds the bytes of a scalar in the text.
func (c *yamlReader) span(n *node, from ast.Node) {
	t := from.GetToken()
	if t.Position == nil {
		return
	}
	n.start = c.src.offset(t.Position.Line, t.Position.Column)
	if t.Position.Line == 1 && strings.HasPrefix(c.src.text, mark) {
		n.start = min(n.start+len(mark), len(c.src.text))
	}
	rest := c.src.text[n.start:]
	n.end = n.start
	switch {
	case strings.HasPrefix(rest, `"`):
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' {
				n.end += i + 1
				return
			}
		}
	case strings.HasPrefix(rest, "'"):
		for i := 1; i < len(rest); i++ {
			if strings.HasPrefix(rest[i:], "''") {
				i++
			} else if rest[i] == '\'' {
				n.end += i + 1
				return
			}
		}
	case strings.HasPrefix(rest, t.Value):
		n.end += len(t.Value)
	}
}
