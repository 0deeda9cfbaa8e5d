package setting

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// hclParser reads the native syntax of HCL: blocks, attributes and literals of
// their values. What is an expression is passed over by its brackets and
// becomes a reference. Source: HCL native syntax specification.
type hclParser struct {
	src   *source
	text  string
	at    int
	depth int
}

func parseHCL(s *source) (*node, error) {
	p := &hclParser{src: s, text: s.text}
	if strings.HasPrefix(p.text, mark) {
		p.at = len(mark)
	}
	root := &node{kind: mapping, src: s}
	if err := p.body(root, -1); err != nil {
		return nil, err
	}
	return root, nil
}

func (p *hclParser) fail(at int, says string) error {
	return p.src.errorAt(min(at, len(p.text)), errors.New("malformed HCL: "+says))
}

// space passes over blanks and comments, and over line ends where asked to.
func (p *hclParser) space(lines bool) error {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n' && lines:
			p.at++
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				p.at += end
			} else {
				p.at = len(p.text)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return p.fail(p.at, "a comment has no end")
			}
			p.at += end + 2
		default:
			return nil
		}
	}
	return nil
}

func (p *hclParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// word reads an identifier; "" when none stands here.
func (p *hclParser) word() string {
	begin := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		letter := c|32 >= 'a' && c|32 <= 'z' || c == '_' || c >= 0x80
		if !letter && (p.at == begin || c != '-' && (c < '0' || c > '9')) {
			break
		}
		p.at++
	}
	return p.text[begin:p.at]
}

// body reads attributes and blocks up to the closing brace of the block that
// was opened at open, or up to the end of the file (-1).
func (p *hclParser) body(into *node, open int) error {
	for {
		if err := p.space(true); err != nil {
			return err
		}
		switch {
		case p.at >= len(p.text):
			if open >= 0 {
				return p.fail(open, "a block has no end")
			}
			return nil
		case p.peek() == '}':
			if open < 0 {
				return p.fail(p.at, "a } closes nothing")
			}
			p.at++
			return nil
		}
		item, err := p.item()
		if err != nil {
			return err
		}
		into.items = append(into.items, item)
		if err := p.space(false); err != nil {
			return err
		}
		if c := p.peek(); p.at < len(p.text) && c != '\n' && (c != '}' || open < 0) {
			return p.fail(p.at, "a new line is expected here")
		}
	}
}

// item reads an attribute, or a block, whose labels become part of its key. A
// quoted name of an attribute is of JSON and of older files.
func (p *hclParser) item() (*node, error) {
	begin := p.at
	var names []string
	for {
		if err := p.space(false); err != nil {
			return nil, err
		}
		name := p.word()
		if name == "" && p.peek() == '"' {
			label := &node{src: p.src}
			if err := p.quoted(label); err != nil {
				return nil, err
			}
			name = label.text
		}
		if name == "" {
			break
		}
		names = append(names, name)
	}
	switch c := p.peek(); {
	case len(names) == 0:
		return nil, p.fail(begin, "the name of an attribute or a block is expected here")
	case c == '=' && len(names) == 1:
		p.at++
		n, err := p.value()
		if n != nil {
			n.key = names[0]
		}
		return n, err
	case c == '{':
		block := &node{kind: mapping, src: p.src, key: strings.Join(names, "."), start: begin, end: begin}
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(p.at, "nested too deeply")
		}
		defer func() { p.depth-- }()
		open := p.at
		p.at++
		return block, p.body(block, open)
	}
	return nil, p.fail(p.at, "= or { is expected here")
}

// value reads what follows an equals sign: a string, an object, a list, a
// heredoc or an expression.
func (p *hclParser) value() (*node, error) {
	if err := p.space(false); err != nil {
		return nil, err
	}
	n := &node{src: p.src, start: p.at, end: p.at}
	var err error
	switch {
	case p.at >= len(p.text) || p.peek() == '\n':
		return nil, p.fail(p.at, "a value is expected here")
	case p.peek() == '"':
		err = p.quoted(n)
	case p.peek() == '{':
		err = p.items(n, mapping, '}')
	case p.peek() == '[':
		err = p.items(n, list, ']')
	case strings.HasPrefix(p.text[p.at:], "<<"):
		err = p.heredoc(n)
	default:
		return n, p.expression(n)
	}
	if err != nil {
		return nil, err
	}
	// "a" == "b" ? c : d begins like a literal.
	behind := p.at
	if err := p.space(false); err != nil {
		return nil, err
	}
	if c := p.peek(); c != 0 && !strings.ContainsRune("\n},])", rune(c)) {
		p.at = n.start
		return n, p.expression(n)
	}
	p.at = behind
	return n, nil
}

// items reads the entries of an object or a list. A for expression is one
// reference.
func (p *hclParser) items(n *node, kind nodeKind, closing byte) error {
	open := p.at
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.at, "nested too deeply")
	}
	defer func() { p.depth-- }()
	n.kind = kind
	p.at++
	for {
		if err := p.space(true); err != nil {
			return err
		}
		switch {
		case p.at >= len(p.text):
			return p.fail(open, "a bracket has no end")
		case p.peek() == closing:
			p.at++
			n.end = p.at
			return nil
		case p.peek() == ',':
			p.at++
			continue
		case strings.HasPrefix(p.text[p.at:], "for ") && len(n.items) == 0:
			p.at, n.kind = open, scalar
			return p.expression(n)
		}
		key := ""
		if kind == mapping {
			name, err := p.entryKey()
			if err != nil {
				return err
			}
			key = name
		}
		item, err := p.value()
		if err != nil {
			return err
		}
		item.key = key
		n.items = append(n.items, item)
		if err := p.space(false); err != nil {
			return err
		}
		if c := p.peek(); p.at < len(p.text) && c != ',' && c != '\n' && c != closing {
			return p.fail(p.at, "a comma is expected here")
		}
	}
}

// entryKey reads the key of an object's entry with its = or :. A key in
// parentheses is an expression and names nothing.
func (p *hclParser) entryKey() (string, error) {
	n := &node{src: p.src}
	switch p.peek() {
	case '"':
		if err := p.quoted(n); err != nil {
			return "", err
		}
	case '(':
		if err := p.brackets(); err != nil {
			return "", err
		}
	default:
		begin := p.at
		for p.at < len(p.text) && strings.IndexByte(" \t\r\n=:,{}[]()\"", p.text[p.at]) < 0 {
			p.at++
		}
		n.text = p.text[begin:p.at]
	}
	if err := p.space(false); err != nil {
		return "", err
	}
	if c := p.peek(); c != '=' && c != ':' {
		return "", p.fail(p.at, "= or : is expected here")
	}
	p.at++
	return n.text, nil
}

// quoted reads a string. One with a ${ } or %{ } is a template.
func (p *hclParser) quoted(n *node) error {
	open := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		rest := p.text[p.at:]
		switch {
		case rest[0] == '\n':
			return p.fail(open, "a string has no end on its line")
		case rest[0] == '"':
			p.at++
			n.text, n.end = b.String(), p.at
			vaultReference(n)
			return nil
		case rest[0] == '\\':
			size := p.escape(rest, &b)
			if size == 0 {
				return p.fail(p.at, "a backslash starts an escape that HCL does not know")
			}
			p.at += size - 1
		case strings.HasPrefix(rest, "$${") || strings.HasPrefix(rest, "%%{"):
			b.WriteString(rest[1:3])
			p.at += 2
		case strings.HasPrefix(rest, "${") || strings.HasPrefix(rest, "%{"):
			n.unresolved = "a template"
			p.at++
			if err := p.brackets(); err != nil {
				return err
			}
			p.at--
		default:
			b.WriteByte(rest[0])
		}
	}
	return p.fail(open, "a string has no end on its line")
}

// escape writes the sign of a backslash sequence and returns its length; 0
// when there is none of that name.
func (p *hclParser) escape(text string, b *strings.Builder) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case 'n':
		b.WriteByte('\n')
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case '"', '\\':
		b.WriteByte(text[1])
	case 'u':
		return hexRune(text, 4, b)
	case 'U':
		return hexRune(text, 8, b)
	default:
		return 0
	}
	return 2
}

// heredoc reads <<WORD or <<-WORD up to a line with that word alone. Its last
// line end is part of the text; <<- takes the common indentation away.
func (p *hclParser) heredoc(n *node) error {
	open := p.at
	p.at += 2
	indented := p.peek() == '-'
	if indented {
		p.at++
	}
	word := p.word()
	if err := p.space(false); err != nil {
		return err
	}
	if word == "" || p.peek() != '\n' {
		return p.fail(open, "a heredoc needs a word, alone on its line")
	}
	p.at++
	var lines []string
	for p.at < len(p.text) {
		line, _, _ := strings.Cut(p.text[p.at:], "\n")
		p.at += len(line)
		if strings.TrimSpace(line) == word {
			if indented {
				lines = dedent(lines)
			}
			n.text = strings.Join(lines, "")
			if strings.Contains(n.text, "${") || strings.Contains(n.text, "%{") {
				n.unresolved = "a template"
			}
			return nil
		}
		p.at = min(p.at+1, len(p.text))
		lines = append(lines, strings.TrimSuffix(line, "\r")+"\n")
	}
	return p.fail(open, "a heredoc has no end")
}

func dedent(lines []string) []string {
	least := -1
	for _, line := range lines {
		blanks := len(line) - len(strings.TrimLeft(line, " \t"))
		if strings.TrimSpace(line) != "" && (least < 0 || blanks < least) {
			least = blanks
		}
	}
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, line[min(max(least, 0), len(line)-1):])
	}
	return out
}

// expression passes over what has no literal value, up to the end of its line
// or what closes around it.
func (p *hclParser) expression(n *node) error {
	for p.at < len(p.text) && strings.IndexByte("\n,}])#", p.text[p.at]) < 0 && !strings.HasPrefix(p.text[p.at:], "//") && !strings.HasPrefix(p.text[p.at:], "/*") {
		if c := p.text[p.at]; c == '=' && !strings.HasPrefix(p.text[p.at:], "==") && strings.IndexByte("!<>", p.text[p.at-1]) < 0 {
			return p.fail(p.at, "a new line is missing before this =")
		}
		if err := p.token(); err != nil {
			return err
		}
	}
	text := strings.TrimRight(p.text[n.start:p.at], " \t\r")
	*n = node{src: p.src, start: n.start, end: n.start + len(text), unresolved: "an expression"}
	if text == "" {
		return p.fail(n.start, "a value is expected here")
	}
	if strings.HasPrefix(text, "var.") || strings.HasPrefix(text, "data.") || strings.HasPrefix(text, "local.") {
		n.text, n.unresolved = text, named(text, "", "", "an expression")
	}
	return nil
}

// token passes over one piece of an expression.
func (p *hclParser) token() error {
	switch c := p.text[p.at]; {
	case c == '"':
		return p.quoted(&node{src: p.src})
	case c == '(' || c == '[' || c == '{':
		return p.brackets()
	case strings.HasPrefix(p.text[p.at:], "<<"):
		return p.heredoc(&node{src: p.src})
	case strings.HasPrefix(p.text[p.at:], "=="):
		p.at++
	}
	p.at++
	return nil
}

// brackets passes over a bracket with all that is in it.
func (p *hclParser) brackets() error {
	open := p.at
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.at, "nested too deeply")
	}
	defer func() { p.depth-- }()
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}'}[p.text[p.at]]
	p.at++
	for {
		if err := p.space(true); err != nil {
			return err
		}
		switch c := p.peek(); {
		case p.at >= len(p.text):
			return p.fail(open, "a bracket has no end")
		case c == closing:
			p.at++
			return nil
		case c == ')' || c == ']' || c == '}':
			return p.fail(p.at, "a closing bracket does not match the one it closes")
		}
		if err := p.token(); err != nil {
			return err
		}
	}
}

// hexRune writes the character of \u or \U with so many digits.
func hexRune(text string, digits int, b *strings.Builder) int {
	if len(text) < 2+digits {
		return 0
	}
	code, err := strconv.ParseUint(text[2:2+digits], 16, 32)
	if err != nil || code > utf8.MaxRune {
		return 0
	}
	b.WriteRune(rune(code))
	return 2 + digits
}
