package setting

import (
	"strings"
)

var (
	hclBlock  = lazy(`^\s*([a-z_]+)((?:\s+"[^"]*")*)\s*\{`)
	hclAssign = lazy(`^\s*"?([A-Za-z_][\w-]*)"?\s*=\s*`)
)

// readTerraform reads assignments of literal strings with the blocks around
// them, line by line: enough for provider and backend blocks and tfvars. What
// is an expression is a reference.
func readTerraform(_ *session, s *source) ([]Found, error) {
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
	return extract("terraform", flatten(root, nil, nil)), nil
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
			n.unresolved = named(text, "", "", "an expression")
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
