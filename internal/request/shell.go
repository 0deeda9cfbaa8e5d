package request

import (
	"strconv"
	"strings"
)

// word is one argument as the shell hands it to a program.
type word struct {
	text string
	line int
}

// command is one command line taken apart.
type command struct {
	words   []word
	live    []string // expansions, as written: $VAR, ${VAR}, $(…)
	cutLine int      // line of the first & outside quotes that looks like a form's
	end     int      // offset behind the command
	openAt  int      // offset behind a quote that is never closed, 0 if all are
}

// lexer splits a command line by the rules of bash, except that expansions
// stay as they are written.
type lexer struct {
	src      string
	pos      int
	line     int
	cmd      command
	cur      strings.Builder
	open     bool // a word has begun; quotes make even an empty one
	openLine int
	drop     bool // the next word is the target of a redirection
}

var (
	formPart    = pattern(`^&[A-Za-z_]+=`)
	placeholder = pattern(`^<[A-Za-z][\w -]{0,40}>`)
	// brokenLine is a line end that continues a command: the backslash of
	// bash, the backtick of PowerShell, the caret of cmd.exe.
	brokenLine = pattern("^[\\\\`^][ \t]*\r?\n")
	expansion  = pattern(`^\$(?:[A-Za-z_]\w*|[0-9?!@*#$-])`)
)

// lexCommand reads the command that starts at offset start of src.
func lexCommand(src string, start int) command {
	l := lexer{src: src, pos: start, line: lineAt(src, start)}
	for l.pos < len(src) && l.step() {
	}
	l.flush()
	l.cmd.end = l.pos
	return l.cmd
}

// step reads on by one construct; false means the command has ended.
func (l *lexer) step() bool {
	rest := l.src[l.pos:]
	switch c := rest[0]; c {
	case '\'':
		return l.single()
	case '"':
		return l.double()
	case '$':
		return l.dollar()
	case '\\', '`', '^':
		return l.escape(rest)
	case ' ', '\t', '\r':
		l.flush()
		l.advance(1)
	case '\n':
		l.flush()
		return l.nextLine()
	case ';', '|', ')':
		return false
	case '&':
		if !formPart().MatchString(rest) {
			return false
		}
		if l.cmd.cutLine == 0 {
			l.cmd.cutLine = l.line
		}
		l.take(1)
	case '<', '>':
		l.redirect(rest)
	case '#':
		if l.open {
			l.take(1)
			break
		}
		comment, _, _ := strings.Cut(rest, "\n")
		l.advance(len(comment))
	default:
		l.take(1)
	}
	return true
}

// advance skips n bytes of the source.
func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// add appends text to the current word.
func (l *lexer) add(text string) {
	if !l.open {
		l.open, l.openLine = true, l.line
	}
	l.cur.WriteString(text)
}

// take moves n bytes of the source to the current word.
func (l *lexer) take(n int) {
	l.add(l.src[l.pos : l.pos+n])
	l.advance(n)
}

// flush ends the current word.
func (l *lexer) flush() {
	if l.open && !l.drop {
		l.cmd.words = append(l.cmd.words, word{l.cur.String(), l.openLine})
	}
	if l.open {
		l.drop = false
	}
	l.cur.Reset()
	l.open = false
}

// nextLine ends the command, unless the next line starts with an option: a
// paste often loses the backslashes.
func (l *lexer) nextLine() bool {
	next := strings.TrimLeft(l.src[l.pos+1:], " \t")
	if len(next) < 2 || next[0] != '-' || next[1] == ' ' || len(l.cmd.words) == 0 {
		return false
	}
	l.advance(1)
	return true
}

// escape reads a backslash, or what continues a line in other shells.
func (l *lexer) escape(rest string) bool {
	if m := brokenLine().FindString(rest); m != "" {
		l.advance(len(m))
		return true
	}
	switch {
	case rest[0] == '`':
		return false // the end of a command substitution
	case rest[0] == '\\' && len(rest) > 1:
		l.advance(1)
		l.take(1)
	default:
		l.take(1)
	}
	return true
}

// redirect skips a redirection with its target.
func (l *lexer) redirect(rest string) {
	if m := placeholder().FindString(rest); m != "" {
		l.take(len(m)) // <tenant-id>, as documentation writes it
		return
	}
	if _, err := strconv.Atoi(l.cur.String()); err == nil {
		l.cur.Reset() // 2> names a stream
		l.open = false
	}
	l.flush()
	l.advance(len(rest) - len(strings.TrimLeft(rest, "<>&")))
	l.drop = true
}

// unclosed ends the command at a quote that has no end.
func (l *lexer) unclosed(at int) bool {
	l.cmd.openAt = at + 1
	l.advance(len(l.src) - l.pos)
	return false
}

// single reads '…', where every character stands for itself.
func (l *lexer) single() bool {
	end := strings.IndexByte(l.src[l.pos+1:], '\'')
	if end < 0 {
		return l.unclosed(l.pos)
	}
	l.add("")
	l.advance(1)
	l.take(end)
	l.advance(1)
	return true
}

// double reads "…", where a backslash keeps four signs only.
func (l *lexer) double() bool {
	start := l.pos
	l.add("")
	l.advance(1)
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case rest[0] == '"':
			l.advance(1)
			return true
		case rest[0] == '$', rest[0] == '`':
			if !l.expand() {
				return l.unclosed(start)
			}
		case rest[0] == '\\' && len(rest) > 1 && rest[1] == '\n':
			l.advance(2)
		case rest[0] == '\\' && len(rest) > 1 && strings.IndexByte("$`\"\\", rest[1]) >= 0:
			l.advance(1)
			l.take(1)
		default:
			l.take(1)
		}
	}
	return l.unclosed(start)
}

// dollar reads $'…', $"…" or an expansion.
func (l *lexer) dollar() bool {
	rest := l.src[l.pos:]
	switch {
	case strings.HasPrefix(rest, "$'"):
		return l.ansi()
	case strings.HasPrefix(rest, `$"`):
		l.advance(1)
		return true
	}
	return l.expand() || l.unclosed(l.pos)
}

// expand takes an expansion as it is written and remembers it. It reports
// false if the expansion is never closed.
func (l *lexer) expand() bool {
	rest := l.src[l.pos:]
	n := len(expansion().FindString(rest))
	switch {
	case strings.HasPrefix(rest, "${"):
		n = 1 + strings.IndexByte(rest, '}')
	case strings.HasPrefix(rest, "$("):
		n = closing(rest)
	case rest[0] == '`':
		n = 2 + strings.IndexByte(rest[1:], '`')
		if n == 1 {
			n = 0
		}
	case n == 0:
		l.take(1) // a lone dollar stands for itself
		return true
	}
	if n == 0 {
		return false
	}
	l.cmd.live = append(l.cmd.live, rest[:n])
	l.take(n)
	return true
}

// closing returns the length of text up to the bracket that closes its first.
func closing(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

var ansiEscape = pattern(`^\\(?:x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3})`)

var ansiControl = map[byte]string{
	'a': "\a", 'b': "\b", 'e': "\x1b", 'E': "\x1b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'\\': "\\", '\'': "'", '"': "\"", '?': "?",
}

// ansi reads $'…', where a backslash starts an escape as in C.
func (l *lexer) ansi() bool {
	start := l.pos
	l.add("")
	l.advance(2)
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case rest[0] == '\'':
			l.advance(1)
			return true
		case rest[0] != '\\' || len(rest) == 1:
			l.take(1)
		default:
			if m := ansiEscape().FindString(rest); m != "" {
				l.add(ansiCharacter(m[1:]))
				l.advance(len(m))
				break
			}
			if plain, known := ansiControl[rest[1]]; known {
				l.add(plain)
				l.advance(2)
				break
			}
			l.take(2)
		}
	}
	return l.unclosed(start)
}

// ansiCharacter decodes x41, u00e9, U0001f511 or 101: the first two of these
// families name a character, the others a byte.
func ansiCharacter(code string) string {
	base, digits := 16, code[1:]
	if code[0] <= '7' {
		base, digits = 8, code
	}
	n, _ := strconv.ParseUint(digits, base, 32)
	if code[0] == 'u' || code[0] == 'U' {
		return string(rune(n))
	}
	return string([]byte{byte(n)})
}
