package setting

import (
	"errors"
	"slices"
	"strings"
)

// readShell reads the assignments of a script for sh or bash, exported or for
// one command, with the shell's own rules for quotes and variables. Commands
// are not run: what they would print is a reference.
func readShell(_ *session, s *source) ([]Found, error) {
	root, err := parseShell(s)
	// A script has a syntax of its own, which is only told about where it
	// hides a setting.
	if err != nil && !slices.ContainsFunc(looksDotenv().FindAllString(s.text, -1), func(head string) bool {
		head = strings.TrimSuffix(strings.TrimPrefix(head, "export "), "=")
		r, _ := roleOf([]string{head})
		return r != noRole && r != authorityRole
	}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return extract("shell", flatten(root, nil, nil)), nil
}

type shellParser struct {
	src      *source
	text     string
	at       int
	depth    int
	known    map[string]*node
	heredocs []string // words that end the texts below this line
}

// shellWord is one word: its text without quotes and what stands for the rest.
type shellWord struct {
	text       strings.Builder
	unresolved string
	plain      bool // no quote, escape or variable so far
}

// declaring are the commands whose arguments are assignments.
var declaring = []string{"export", "declare", "typeset", "readonly", "local", "env"}

// reserved are the words behind which a command begins.
var reserved = []string{"if", "then", "else", "elif", "do", "while", "until", "{", "!", "time", "exec", "sudo"}

func parseShell(s *source) (*node, error) {
	p := &shellParser{src: s, text: s.text, known: map[string]*node{}}
	if strings.HasPrefix(p.text, mark) {
		p.at = len(mark)
	}
	root := &node{kind: mapping, src: s}
	command := true // assignments are expected here
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '\n':
			p.at++
			p.skipHeredocs()
			command = true
		case strings.IndexByte(";&|()", c) >= 0:
			p.at++
			command = true
		case strings.IndexByte(" \t\r<>", c) >= 0:
			p.redirection()
		case strings.HasPrefix(p.text[p.at:], "\\\n"):
			p.at += 2
		case c == '#':
			p.line()
		default:
			n, word, err := p.word()
			if err != nil {
				return nil, err
			}
			switch {
			case command && n != nil:
				root.items = append(root.items, n)
				p.known[n.key] = n
			case command && (slices.Contains(declaring, word) || slices.Contains(reserved, word) || strings.HasPrefix(word, "-")):
			case command && p.known[word] != nil: // export NAME, after NAME=word
			default:
				command = false
			}
		}
	}
	return root, nil
}

func (p *shellParser) fail(at int, says string) error {
	return p.src.errorAt(min(at, len(p.text)), errors.New("malformed script: "+says))
}

// line passes over the rest of the line.
func (p *shellParser) line() {
	if end := strings.IndexByte(p.text[p.at:], '\n'); end >= 0 {
		p.at += end
		return
	}
	p.at = len(p.text)
}

var heredocWord = lazy(`^<<-?[ \t]*["'\\]?([A-Za-z_][A-Za-z0-9_]*)["']?`)

// redirection passes over a blank, < or >, and keeps the word of a heredoc.
func (p *shellParser) redirection() {
	if strings.HasPrefix(p.text[p.at:], "<<<") {
		p.at += 3
		return
	}
	if m := heredocWord().FindStringSubmatch(p.text[p.at:min(len(p.text), p.at+100)]); m != nil {
		p.heredocs = append(p.heredocs, m[1])
		p.at += len(m[0])
		return
	}
	p.at++
}

// skipHeredocs passes over the texts that begin on this line.
func (p *shellParser) skipHeredocs() {
	for _, word := range p.heredocs {
		for {
			if p.at >= len(p.text) {
				p.heredocs = nil
				return // the shell takes what there is
			}
			begin := p.at
			p.line()
			ended := strings.Trim(p.text[begin:p.at], "\t\r ") == word
			p.at = min(p.at+1, len(p.text))
			if ended {
				break
			}
		}
	}
	p.heredocs = nil
}

// word reads one word. It is a node when it is an assignment.
func (p *shellParser) word() (*node, string, error) {
	w := &shellWord{plain: true}
	var n *node
	for p.at < len(p.text) && strings.IndexByte(" \t\n;&|()<>", p.text[p.at]) < 0 {
		rest := p.text[p.at:]
		if rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n') && n == nil {
			break
		}
		if rest[0] == '=' && n == nil && w.plain {
			key := w.text.String()
			name, more := strings.CutSuffix(key, "+")
			if shellName().MatchString(name) {
				n = &node{key: name, src: p.src, start: p.at + 1}
				p.at++
				w.text.Reset()
				if before := p.known[name]; more && before != nil {
					w.text.WriteString(before.text)
					w.unresolved = before.unresolved
				}
				continue
			}
		}
		if err := p.piece(w, rest); err != nil {
			return nil, "", err
		}
	}
	if n == nil {
		return nil, w.text.String(), nil
	}
	n.text, n.unresolved, n.end = w.text.String(), w.unresolved, p.at
	if n.end == n.start && strings.HasPrefix(p.text[p.at:], "(") {
		n.unresolved = "a list"
	}
	vaultReference(n)
	if n.unresolved != "" {
		n.text = ""
	}
	return n, "", nil
}

var shellName = lazy(`^[A-Za-z_][A-Za-z0-9_]*$`)

// piece reads one part of a word outside of quotes.
func (p *shellParser) piece(w *shellWord, rest string) error {
	plain := false
	defer func() { w.plain = w.plain && plain }()
	switch {
	case rest[0] == '\\':
		p.at = min(p.at+2, len(p.text))
		if len(rest) > 1 && rest[1] != '\n' {
			w.text.WriteByte(rest[1])
		}
	case rest[0] == '\'':
		end := strings.IndexByte(rest[1:], '\'')
		if end < 0 {
			return p.fail(p.at, "a quote has no end")
		}
		w.text.WriteString(rest[1 : 1+end])
		p.at += end + 2
	case rest[0] == '"', strings.HasPrefix(rest, `$"`):
		return p.double(w)
	case strings.HasPrefix(rest, "$'"):
		return p.escaped(w)
	case rest[0] == '$' || rest[0] == '`':
		return p.expansion(w)
	default:
		plain = true
		w.text.WriteByte(rest[0])
		p.at++
	}
	return nil
}

// double reads text in double quotes.
func (p *shellParser) double(w *shellWord) error {
	open := p.at
	if p.text[p.at] == '$' {
		p.at++
	}
	for p.at++; p.at < len(p.text); {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			return nil
		case c == '\\' && p.at+1 < len(p.text) && strings.IndexByte("$`\"\\\n", p.text[p.at+1]) >= 0:
			if p.text[p.at+1] != '\n' {
				w.text.WriteByte(p.text[p.at+1])
			}
			p.at += 2
		case c == '$' || c == '`':
			if err := p.expansion(w); err != nil {
				return err
			}
		default:
			w.text.WriteByte(c)
			p.at++
		}
	}
	return p.fail(open, "a quote has no end")
}

// escaped reads $'…' of bash, with the escapes that a secret can hold.
func (p *shellParser) escaped(w *shellWord) error {
	open := p.at
	for p.at += 2; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\'':
			p.at++
			return nil
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			if i := strings.IndexByte(`ntr\'"`, p.text[p.at]); i >= 0 {
				w.text.WriteByte("\n\t\r\\'\""[i])
				continue
			}
			w.unresolved = "an escape in $' '"
		default:
			w.text.WriteByte(c)
		}
	}
	return p.fail(open, "a quote has no end")
}

// expansion reads a variable or a command. A variable that the script sets
// before is put in its place.
func (p *shellParser) expansion(w *shellWord) error {
	open := p.at
	rest := p.text[p.at:]
	switch {
	case rest[0] == '`':
		end := p.at + 1
		for end < len(p.text) && p.text[end] != '`' {
			if p.text[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(p.text) {
			return p.fail(open, "a quote has no end")
		}
		p.at, w.unresolved = end+1, "a variable or command in $( )"
		return nil
	case strings.HasPrefix(rest, "$("):
		w.unresolved = "a variable or command in $( )"
		p.at++
		return p.group('(', ')')
	case strings.HasPrefix(rest, "${"):
		p.at++
		if err := p.group('{', '}'); err != nil {
			return err
		}
		inner := p.text[open+2 : p.at-1]
		name := leadingName(inner)
		p.variable(w, name, inner[len(name):])
		return nil
	}
	name := leadingName(rest[1:])
	p.at += 1 + len(name)
	if name == "" {
		// $1, $? and the like are given when the script runs.
		if len(rest) > 1 && strings.IndexByte("0123456789?@*#!-$", rest[1]) >= 0 {
			p.at++
			w.unresolved = "a parameter of the script"
			return nil
		}
		w.text.WriteByte('$')
		return nil
	}
	p.variable(w, name, "")
	return nil
}

func leadingName(text string) string {
	end := 0
	for end < len(text) && (text[end] == '_' || text[end]|32 >= 'a' && text[end]|32 <= 'z' || end > 0 && text[end] >= '0' && text[end] <= '9') {
		end++
	}
	return text[:end]
}

// variable adds the text of a variable, with the operator behind its name.
func (p *shellParser) variable(w *shellWord, name, operator string) {
	before := p.known[name]
	fallback, has := strings.CutPrefix(strings.TrimPrefix(operator, ":"), "-")
	if has && strings.ContainsAny(fallback, "$`\"'\\") {
		has = false // it would have to be read as a word again
	}
	switch {
	case before != nil && before.unresolved != "":
		w.unresolved = before.unresolved
	case before != nil && (operator == "" || has && (before.text != "" || operator[0] == '-')):
		w.text.WriteString(before.text)
	case has:
		w.text.WriteString(fallback)
	default:
		w.unresolved = named(name, "${", "}", "a variable in ${ }")
	}
}

// group passes over what stands between brackets, quotes and all.
func (p *shellParser) group(opening, closing byte) error {
	open, level := p.at, 0
	if p.depth++; p.depth > maxDepth {
		return p.fail(open, "nested too deeply")
	}
	defer func() { p.depth-- }()
	aside := &shellWord{}
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == opening:
			level++
			p.at++
		case c == closing:
			level--
			p.at++
			if level == 0 {
				return nil
			}
		case c == '\\':
			p.at += 2
		case c == '\'' && opening == '{':
			p.at++ // inside double quotes it is a sign like any other
		case c == '\'' || c == '"' || c == '`' || strings.HasPrefix(p.text[p.at:], "$(") || strings.HasPrefix(p.text[p.at:], "${"):
			if err := p.piece(aside, p.text[p.at:]); err != nil {
				return err
			}
		case c == '#' && opening == '(' && strings.IndexByte(" \t\n;", p.text[p.at-1]) >= 0:
			p.line()
		case c == '<' && opening == '(':
			p.redirection()
		case c == '\n':
			p.at++
			p.skipHeredocs()
		default:
			p.at++
		}
	}
	p.at = len(p.text)
	return p.fail(open, "a bracket has no end")
}
