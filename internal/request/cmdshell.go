package request

import "strings"

// The shells whose quoting is read.
type shell int

const (
	shellBash shell = iota
	shellPowerShell
	shellCmd
)

var (
	cmdSigns        = pattern(`(?m)\^[ \t]*\r?$|\^"|^[A-Za-z]:\\[^>\n]*>`)
	powerShellSigns = pattern("(?mi)\\bInvoke-(?:RestMethod|WebRequest)\\b|(?:^|[\\s;({=|])(?:irm|iwr)\\s|\\$env:|^PS [A-Za-z]:|^PS>|[ \\t]`[ \\t]*\\r?$|^\\$\\w+[ \\t]*=|\\bcurl(?:\\.exe)?[ \\t]+-(?:Uri|Body|Method)\\b")
	cmdVariable     = pattern(`^%[A-Za-z_]\w{2,}%`)
	bashBreak       = pattern(`(?m)\\\r?$`)
)

// shellOf tells for which shell the commands of text are quoted: by what
// continues its lines, by prompts, by commands only one of them has.
func shellOf(text string) shell {
	switch {
	case powerShellSigns().MatchString(text):
		return shellPowerShell
	case cmdSigns().MatchString(text):
		return shellCmd
	case strings.Contains(text, "curl.exe") && strings.Contains(text, "'") && !bashBreak().MatchString(text):
		return shellPowerShell // cmd.exe has no single quotes
	}
	return shellBash
}

// cmdLexer reads a command line twice, as Windows does: cmd.exe takes out its
// carets and ends the command, then the program splits what is left.
type cmdLexer struct {
	src   string
	pos   int
	line  int
	quote bool // by the rules of cmd.exe, which knows no escape for quotes
	cmd   command
	text  []byte
	lines []int // of each byte of text
}

// lexCmd reads the command that starts at offset start of src.
func lexCmd(src string, start int) command {
	l := cmdLexer{src: src, pos: start, line: lineAt(src, start)}
	quoteAt := 0
	for l.pos < len(src) {
		if src[l.pos] == '"' && !l.quote {
			quoteAt = l.pos
		}
		if !l.step(src[l.pos:]) {
			break
		}
	}
	if l.quote {
		l.cmd.openAt = quoteAt + 1
	}
	l.cmd.end = l.pos
	l.split()
	return l.cmd
}

// keep moves n bytes of the source to the text.
func (l *cmdLexer) keep(n int) {
	for range n {
		c := l.src[l.pos]
		l.text, l.lines = append(l.text, c), append(l.lines, l.line)
		if c == '\n' {
			l.line++
		}
		l.pos++
	}
}

// step reads on by one construct of cmd.exe; false means the command has ended.
func (l *cmdLexer) step(rest string) bool {
	if m := cmdVariable().FindString(rest); m != "" {
		l.cmd.live = append(l.cmd.live, m)
		l.keep(len(m))
		return true
	}
	switch c := rest[0]; {
	case c == '\n':
		return false
	case c == '\r':
		l.pos++
	case c == '"':
		l.quote = !l.quote
		l.keep(1)
	case l.quote:
		l.keep(1)
	case c == '^':
		return l.caret(rest)
	case c == '&' && formPart().MatchString(rest):
		if l.cmd.cutLine == 0 {
			l.cmd.cutLine = l.line
		}
		l.keep(1)
	case (c == '<' || c == '>') && placeholder().MatchString(rest):
		l.keep(len(placeholder().FindString(rest)))
	case strings.IndexByte("&|<>", c) >= 0:
		return false
	default:
		l.keep(1)
	}
	return true
}

// caret reads ^, which continues a line or takes the next sign as it is.
func (l *cmdLexer) caret(rest string) bool {
	if m := brokenLine().FindString(rest); m != "" {
		l.line++
		l.pos += len(m)
		return true
	}
	l.pos++
	if len(rest) > 1 && rest[1] != '\r' && rest[1] != '\n' {
		l.keep(1)
	}
	return true
}

// split takes the text apart as programs of Microsoft's C runtime do: \" is a
// quote, and so is "" inside quotes.
func (l *cmdLexer) split() {
	var cur strings.Builder
	open, quoted, line := false, false, 0
	begin := func(i int) {
		if !open {
			open, line = true, l.lines[i]
		}
	}
	flush := func() {
		if open {
			l.cmd.words = append(l.cmd.words, word{cur.String(), line})
		}
		cur.Reset()
		open = false
	}
	for i := 0; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '\\':
			n := 1
			for i+n < len(l.text) && l.text[i+n] == '\\' {
				n++
			}
			begin(i)
			if i+n == len(l.text) || l.text[i+n] != '"' {
				cur.WriteString(strings.Repeat(`\`, n))
				i += n - 1
				break
			}
			cur.WriteString(strings.Repeat(`\`, n/2))
			i += n - 1
			if n%2 == 1 {
				cur.WriteByte('"')
				i++
			}
		case c == '"' && quoted && i+1 < len(l.text) && l.text[i+1] == '"':
			cur.WriteByte('"')
			i++
		case c == '"':
			begin(i)
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			flush()
		default:
			begin(i)
			cur.WriteByte(c)
		}
	}
	flush()
}
