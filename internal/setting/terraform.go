package setting

import (
	"maps"
	"path"
	"slices"
	"strings"
)

var (
	hclBlock  = lazy(`^\s*([a-z_]+)((?:\s+"[^"]*")*)\s*\{`)
	hclAssign = lazy(`^\s*"?([A-Za-z_][\w-]*)"?\s*=\s*`)
)

// module is the Terraform files of one directory.
type module struct{ code, variables []*node }

// terraform resolves var.NAME in each directory as Terraform does: from
// terraform.tfvars, then from *.auto.tfvars, else from the variable's default.
// Other .tfvars files are given on its command line and stand for themselves.
func (s *session) terraform() {
	for _, dir := range slices.Sorted(maps.Keys(s.modules)) {
		m, values, used := s.modules[dir], map[string]*node{}, map[Part]bool{}
		for _, root := range m.code {
			for _, block := range root.items {
				if name, ok := strings.CutPrefix(block.key, "variable."); ok && block.get("default") != nil {
					values[name] = block.get("default")
				}
			}
		}
		for _, root := range m.variables {
			if base := path.Base(root.src.name); base == "terraform.tfvars" || strings.HasSuffix(base, ".auto.tfvars") {
				for _, item := range root.items {
					values[item.key] = item
				}
			}
		}
		for _, root := range m.code {
			for _, block := range root.items {
				if !strings.HasPrefix(block.key, "variable.") {
					substitute(block, values)
				}
			}
			found := extract("terraform", flatten(root, nil, nil))
			for _, f := range found {
				used[f.Tenant], used[f.Client], used[f.Secret] = true, true, true
			}
			s.result.Settings = append(s.result.Settings, found...)
		}
		for _, root := range m.variables {
			// What a block took from here is no second setting.
			found := slices.DeleteFunc(extract("terraform", flatten(root, nil, nil)), func(f Found) bool {
				return (!f.Tenant.Set || used[f.Tenant]) && (!f.Client.Set || used[f.Client]) && (!f.Secret.Set || used[f.Secret])
			})
			s.result.Settings = append(s.result.Settings, found...)
		}
	}
}

// substitute puts the values of variables, with their places, where a whole
// value refers to one.
func substitute(n *node, values map[string]*node) {
	if name, ok := strings.CutPrefix(n.text, "var."); ok && n.unresolved != "" {
		if value := values[name]; value != nil {
			key := n.key
			*n = *value
			n.key = key
		}
	}
	for _, item := range n.items {
		substitute(item, values)
	}
}

// readTerraform reads assignments of literal strings with the blocks around
// them, line by line: enough for provider and backend blocks and tfvars. What
// is an expression is a reference.
func readTerraform(session *session, s *source) ([]Found, error) {
	root := &node{kind: mapping, src: s}
	stack := []*node{root}
	heredoc, comment := "", false
	s.each(func(line string, at int) {
		trimmed := strings.TrimSpace(line)
		switch {
		case heredoc != "":
			if trimmed == heredoc {
				heredoc = ""
			}
			return
		case comment:
			comment = !strings.Contains(line, "*/")
			return
		case strings.HasPrefix(trimmed, "/*"):
			comment = !strings.Contains(trimmed, "*/")
			return
		case trimmed == "" || trimmed[0] == '#' || strings.HasPrefix(trimmed, "//"):
			return
		}
		top := stack[len(stack)-1]
		if m := hclBlock().FindStringSubmatch(line); m != nil && len(stack) < maxDepth {
			block := &node{kind: mapping, src: s, key: strings.Join(strings.Fields(strings.ReplaceAll(m[1]+m[2], `"`, "")), ".")}
			top.items = append(top.items, block)
			if !strings.HasSuffix(trimmed, "}") {
				stack = append(stack, block)
			}
			return
		}
		if trimmed[0] == '}' {
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			return
		}
		m := hclAssign().FindStringSubmatchIndex(line)
		if m == nil {
			return
		}
		n := hclValue(s, line[m[1]:], at+m[1])
		n.key = line[m[2]:m[3]]
		rest := s.text[n.start:n.end]
		if strings.HasPrefix(rest, "<<") {
			heredoc = strings.Trim(rest, "<-\"")
		}
		if strings.HasSuffix(trimmed, "{") && len(stack) < maxDepth {
			n.kind = mapping
			stack = append(stack, n)
		}
		top.items = append(top.items, n)
	})
	dir := path.Dir(s.name)
	if session.modules[dir] == nil {
		session.modules[dir] = &module{}
	}
	if m := session.modules[dir]; strings.HasSuffix(s.name, ".tfvars") {
		m.variables = append(m.variables, root)
	} else {
		m.code = append(m.code, root)
	}
	return nil, nil
}

func hclValue(s *source, text string, at int) *node {
	n := &node{src: s, start: at}
	if !strings.HasPrefix(text, `"`) {
		if i := strings.Index(text, " #"); i >= 0 {
			text = text[:i]
		}
		text = strings.TrimRight(text, " \t")
		n.end, n.unresolved = at+len(text), "an expression"
		if strings.HasPrefix(text, "var.") || strings.HasPrefix(text, "data.") || strings.HasPrefix(text, "local.") {
			n.text, n.unresolved = text, named(text, "", "", "an expression")
		}
		return n
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			if c := strings.IndexByte(`ntr`, text[i]); c >= 0 {
				b.WriteByte("\n\t\r"[c])
			} else {
				b.WriteByte(text[i])
			}
		case strings.HasPrefix(text[i:], "$${") || strings.HasPrefix(text[i:], "%%{"):
			b.WriteString(text[i+1 : i+3])
			i += 2
		case strings.HasPrefix(text[i:], "${") || strings.HasPrefix(text[i:], "%{"):
			n.unresolved = "a template"
			b.WriteByte(text[i])
		case text[i] == '"':
			n.text, n.end = b.String(), at+i+1
			return n
		default:
			b.WriteByte(text[i])
		}
	}
	n.end, n.unresolved = at+len(text), "a string without an end on its line"
	return n
}
