package config

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

const (
	maxNodes = 100_000 // what aliases may unfold to
	maxDepth = 50
)

// unfolder replaces aliases by copies of what they stand for, and merge keys
// by the entries they bring. A copy keeps the place of the original.
type unfolder struct {
	src  *source
	left int
	open map[*yaml.Node]bool // anchors being unfolded
	errs Errors
}

func (u *unfolder) fail(n *yaml.Node, says string) *yaml.Node {
	if len(u.errs) == 0 {
		u.errs = u.src.errorf(n.Line, n.Column, "%s", says)
	}
	return n
}

func (u *unfolder) unfold(n *yaml.Node, depth int) *yaml.Node {
	u.left--
	switch {
	case len(u.errs) > 0:
		return n
	case u.left < 0:
		return u.fail(n, "aliases unfold to too many values")
	case depth > maxDepth:
		return u.fail(n, "nested too deeply")
	case n.Kind == yaml.AliasNode:
		if u.open[n.Alias] {
			return u.fail(n, "an alias stands inside its own anchor")
		}
		u.open[n.Alias] = true
		defer delete(u.open, n.Alias)
		return u.unfold(n.Alias, depth+1)
	}
	copied := *n
	copied.Content = nil
	var merged []*yaml.Node
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Tag == "!!merge" {
			merged = append(merged, u.unfold(n.Content[i+1], depth+1))
			continue
		}
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Tag == "!!merge" {
			continue
		}
		copied.Content = append(copied.Content, u.unfold(child, depth+1))
	}
	for _, m := range merged {
		u.merge(&copied, m)
	}
	return &copied
}

// merge adds the entries that a mapping does not have itself.
func (u *unfolder) merge(into, from *yaml.Node) {
	switch {
	case len(u.errs) > 0:
	case from.Kind == yaml.SequenceNode:
		for _, m := range from.Content {
			u.merge(into, m)
		}
	case from.Kind != yaml.MappingNode:
		u.fail(from, "only keys and values can be merged")
	default:
		for i := 0; i+1 < len(from.Content); i += 2 {
			own := slices.ContainsFunc(slices.Collect(keysOf(into)), func(k *yaml.Node) bool { return k.Value == from.Content[i].Value })
			if !own {
				into.Content = append(into.Content, from.Content[i], from.Content[i+1])
			}
		}
	}
}

func keysOf(n *yaml.Node) func(func(*yaml.Node) bool) {
	return func(yield func(*yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i]) {
				return
			}
		}
	}
}
