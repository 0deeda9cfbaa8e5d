package bytesview

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	neverClosed = "the quote is never closed"
	afterQuote  = "something other than a comment follows the closing quote"
)

// dockerEnvFile takes the line as it is: quotes, # and spaces are part of the
// value (docker/cli issues 3630 and 4665).
func dockerEnvFile(raw string) outcome {
	line, _, _ := strings.Cut(raw, "\n")
	return outcome{text: strings.TrimSuffix(line, "\r")}
}

// quoted splits a text that starts with a quote into what is inside, escapes
// as they are, and what follows; ok is false if the quote is never closed.
// With escapes a backslash takes the sign behind it along.
func quoted(text string, escapes bool) (inner, rest string, ok bool) {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && escapes:
			i++
		case text[i] == text[0]:
			return text[1:i], text[i+1:], true
		}
	}
	return "", "", false
}

// closings returns where a quote that starts a text may close for readers
// that try one place after the other: the first quote without a backslash,
// then those with one, from the last.
func closings(text string) []int {
	var escaped []int
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == text[0]:
			i++
			escaped = append(escaped, i)
		case text[i] == text[0]:
			slices.Reverse(escaped)
			return append([]int{i}, escaped...)
		}
	}
	slices.Reverse(escaped)
	return escaped
}

// onlyComment reports whether nothing but a comment is in rest of a line.
func onlyComment(rest string) bool {
	line, _, _ := strings.Cut(rest, "\n")
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

var spaceHash = pattern(`[ \t]+#[^\n]*`)

// plain is an unquoted value: one line, without a comment behind a space.
func plain(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if at := spaceHash().FindStringIndex(" " + line); at != nil {
		line = line[:max(0, at[0]-1)]
	}
	return strings.TrimSpace(line)
}

// unescape replaces \x by what of gives for x; what it does not know stays.
func unescape(text string, of func(c byte) (string, bool)) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if plain, ok := of(text[i+1]); ok {
				b.WriteString(plain)
				i++
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// among returns a rule for [unescape]: letters that stand for controls, and
// signs that stand for themselves.
func among(controls, signs string) func(byte) (string, bool) {
	all := map[byte]string{'n': "\n", 'r': "\r", 't': "\t", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v"}
	return func(c byte) (string, bool) {
		if strings.IndexByte(controls, c) >= 0 {
			return all[c], true
		}
		return string(c), strings.IndexByte(signs, c) >= 0
	}
}

// expand takes variables out, as if none were set: the default stays, where
// the pattern has a group for it.
func expand(text string, variable *regexp.Regexp) (string, bool) {
	return variable.ReplaceAllString(text, "${default}"), variable.MatchString(text)
}

var (
	anyVariable   = pattern(`\$(?:\{[A-Za-z_][A-Za-z0-9_]*(?::?-(?P<default>[^{}]*)|[^{}]*)\}|[A-Za-z_][A-Za-z0-9_]*)`)
	pythonBraces  = pattern(`\$\{[^}:]*(?::-(?P<default>[^}]*))?\}`)
	upperVariable = pattern(`\$\{?[A-Z0-9_]+\}?`)
)

// composeEnvFile follows Docker's page on the syntax of environment files.
func composeEnvFile(raw string) outcome {
	text := strings.TrimLeft(raw, " \t")
	switch {
	case strings.HasPrefix(text, "'"):
		inner, rest, ok := quoted(text, true)
		return closed(ok, rest, unescape(inner, among("", "'")), false)
	case strings.HasPrefix(text, `"`):
		inner, rest, ok := quoted(text, true)
		value, expands := expand(inner, anyVariable())
		return closed(ok, rest, unescape(value, among("nrt", `"\`)), expands)
	}
	value, expands := expand(plain(text), anyVariable())
	return outcome{text: value, expands: expands}
}

// closed is the outcome of a quoted value.
func closed(ok bool, rest, text string, expands bool) outcome {
	switch {
	case !ok:
		return outcome{refused: neverClosed}
	case !onlyComment(rest):
		return outcome{refused: afterQuote}
	}
	return outcome{text: text, expands: expands}
}

// nodeDotenv: a # ends an unquoted value even without a space before it, a
// quote that is not closed is part of the value, and only \n and \r in double
// quotes are escapes.
func nodeDotenv(raw string) outcome {
	text := strings.TrimLeft(raw, " \t")
	if text != "" && strings.IndexByte("'\"`", text[0]) >= 0 {
		for _, end := range closings(text) {
			if !onlyComment(text[end+1:]) {
				continue
			}
			inner := text[1:end]
			if text[0] == '"' {
				inner = strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(inner)
			}
			return outcome{text: inner}
		}
	}
	line, _, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	if n := len(line); n > 1 && line[0] == line[n-1] && strings.IndexByte("'\"`", line[0]) >= 0 {
		line = line[1 : n-1]
	}
	return outcome{text: line}
}

// pythonDotenv expands ${X} in every kind of value. A # that starts the value
// is part of it.
func pythonDotenv(raw string) outcome {
	text := strings.TrimLeft(raw, " \t")
	got := outcome{text: plain(text)}
	switch {
	case strings.HasPrefix(text, "#"):
		got.text = "#" + plain("x" + text[1:])[1:]
	case text != "" && (text[0] == '\'' || text[0] == '"'):
		ends := closings(text)
		if len(ends) == 0 {
			return outcome{refused: neverClosed}
		}
		rule := among("", `\'`)
		if text[0] == '"' {
			rule = among("abfnrtv", `\'"`)
		}
		got = closed(true, text[ends[0]+1:], unescape(text[1:ends[0]], rule), false)
	}
	got.text, got.expands = expand(got.text, pythonBraces())
	return got
}

// godotenv expands names in upper case only, takes backslashes out of double
// quotes, and \$ to $ where it expands.
func godotenv(raw string) outcome {
	text := strings.TrimLeft(raw, " \t")
	switch {
	case strings.HasPrefix(text, "'"):
		inner, rest, ok := quoted(text, true)
		return closed(ok, rest, inner, false)
	case strings.HasPrefix(text, `"`):
		inner, rest, ok := quoted(text, true)
		inner = unescape(inner, func(c byte) (string, bool) {
			if c == 'n' || c == 'r' {
				return among("nr", "")(c)
			}
			return string(c), c != '$'
		})
		value, expands := godotenvExpand(inner)
		return closed(ok, rest, value, expands)
	}
	value, expands := godotenvExpand(plain(text))
	return outcome{text: value, expands: expands}
}

func godotenvExpand(text string) (string, bool) {
	var b strings.Builder
	expands := false
	for i, part := range strings.Split(text, `\$`) {
		if i > 0 {
			b.WriteByte('$')
		}
		value, some := expand(part, upperVariable())
		b.WriteString(value)
		expands = expands || some
	}
	return b.String(), expands
}

// systemdFile (recalled, unverified): quotes only where a value or a part of
// it starts, no expansion, and a comment only at the start of a line.
func systemdFile(raw string) outcome {
	var b strings.Builder
	text := raw
	for {
		text = strings.TrimLeft(text, " \t\r")
		if text == "" || text[0] == '\n' {
			return outcome{text: b.String()}
		}
		if text[0] != '\'' && text[0] != '"' {
			line, _, _ := strings.Cut(text, "\n")
			b.WriteString(unescape(strings.TrimRight(line, " \t\r"), func(c byte) (string, bool) { return string(c), true }))
			return outcome{text: b.String()}
		}
		inner, rest, ok := quoted(text, text[0] == '"')
		if !ok {
			return outcome{refused: neverClosed}
		}
		if text[0] == '"' {
			inner = unescape(inner, among("", "\"\\`$"))
		}
		b.WriteString(inner)
		text = rest
	}
}

// shell reads a word as sh does behind NAME=. What follows a blank would be
// run as a command, with the variable set for that command only.
func shell(raw string) outcome {
	var got outcome
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\n':
			i = len(raw)
		case c == '\'':
			end := strings.IndexByte(raw[i+1:], '\'')
			if end < 0 {
				return outcome{refused: neverClosed}
			}
			b.WriteString(raw[i+1 : i+1+end])
			i += end + 1
		case c == '"':
			inner, rest, ok := quoted(raw[i:], true)
			if !ok {
				return outcome{refused: neverClosed}
			}
			if runs(inner) {
				return outcome{refused: "a part of it would be run as a command"}
			}
			b.WriteString(shellDouble(inner, &got))
			i = len(raw) - len(rest) - 1
		case c == '\\' && i+1 < len(raw):
			i++
			if raw[i] != '\n' {
				b.WriteByte(raw[i])
			}
		case c == '\\': // nothing follows
		case c == ' ' || c == '\t' || c == '\r' && i+1 == len(raw):
			if c == '\r' {
				b.WriteByte(c)
			} else if !onlyComment(raw[i:]) {
				return outcome{refused: "what follows the blank would be run as a command"}
			} else {
				i = len(raw)
			}
		case c == '`' || strings.HasPrefix(raw[i:], "$("):
			return outcome{refused: "a part of it would be run as a command"}
		case strings.IndexByte("&|;()<>", c) >= 0:
			return outcome{refused: "a sign of the shell (& | ; ( ) < >) ends the value, and what follows would be run"}
		case c == '$':
			i += len(takeVariable(raw[i:], &b, &got)) - 1
		case c == '~' && (i == 0 || raw[i-1] == ':'):
			return outcome{refused: "a ~ at the start or behind a colon may stand for a home directory: quote the value"}
		default:
			b.WriteByte(c)
		}
	}
	if got.refused == "" {
		got.text = b.String()
	}
	return got
}

// runs reports whether text in double quotes holds a command.
func runs(text string) bool {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '`', strings.HasPrefix(text[i:], "$("):
			return true
		}
	}
	return false
}

var shellVariable = pattern("^\\$(?:[A-Za-z_][A-Za-z0-9_]*|\\{[A-Za-z_][A-Za-z0-9_]*(?::?-([^'\"\\\\$`{}~]*))?\\})")

// takeVariable reads a $ with the name behind it, if there is one.
func takeVariable(text string, b *strings.Builder, got *outcome) string {
	if m := shellVariable().FindStringSubmatch(text); m != nil {
		got.expands = true
		b.WriteString(m[1])
		return m[0]
	}
	if strings.IndexByte("{'\"@*#?-$!0123456789", (text + " ")[1]) >= 0 {
		got.refused = "a variable of the shell is written in a way that is not followed here"
	}
	b.WriteByte('$')
	return "$"
}

func shellDouble(inner string, got *outcome) string {
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == '\\' && i+1 < len(inner) && strings.IndexByte("$`\"\\\n", inner[i+1]) >= 0:
			i++
			if inner[i] != '\n' {
				b.WriteByte(inner[i])
			}
		case inner[i] == '$':
			i += len(takeVariable(inner[i:], &b, got)) - 1
		default:
			b.WriteByte(inner[i])
		}
	}
	return b.String()
}

var (
	yamlTyped  = pattern(`^(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN|[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|0x[0-9a-fA-F]+|0o?[0-7]+|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)
	yamlEscape = pattern(`\\(?:[0abtnvfre"/\\N_LP \t]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})`)
)

// yamlScalar reads a value on one line; the style is told by its first sign.
func yamlScalar(raw string) outcome {
	line, _, _ := strings.Cut(strings.TrimLeft(raw, " \t"), "\n")
	line = strings.TrimRight(line, "\r")
	switch {
	case strings.HasPrefix(line, "'"):
		text := strings.ReplaceAll(line[1:], "''", "\x00")
		inner, rest, ok := strings.Cut(text, "'")
		return yamlClosed(ok, rest, strings.ReplaceAll(inner, "\x00", "'"))
	case strings.HasPrefix(line, `"`):
		inner, rest, ok := quoted(line, true)
		if ok && strings.Contains(yamlEscape().ReplaceAllString(inner, ""), `\`) {
			return outcome{refused: "a backslash starts an escape that YAML does not know"}
		}
		return yamlClosed(ok, rest, yamlEscape().ReplaceAllStringFunc(inner, yamlUnescape))
	}
	text := plain(line)
	switch {
	case text == "":
		return outcome{refused: "it is null, not text"}
	case strings.IndexByte("@`%&*!|>{}[],#", text[0]) >= 0, strings.HasPrefix(text, "- "), strings.HasPrefix(text, "? "), strings.HasPrefix(text, ": "):
		return outcome{refused: "its first sign has a meaning in YAML: quote the value"}
	case text == "-", text == "?":
		return outcome{refused: "it starts a list or a key, not text: quote the value"}
	case strings.Contains(text, ": "), strings.HasSuffix(text, ":"):
		return outcome{refused: "a colon before a blank makes a mapping of it: quote the value"}
	case yamlTyped().MatchString(text):
		return outcome{refused: "it is a number, a date, a truth value or null, not text: quote the value"}
	}
	return outcome{text: text}
}

// yamlClosed is [closed], with a blank before a comment.
func yamlClosed(ok bool, rest, text string) outcome {
	if ok && strings.HasPrefix(rest, "#") {
		return outcome{refused: afterQuote}
	}
	return closed(ok, rest, text, false)
}

var yamlLetters = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	'"': `"`, '/': "/", '\\': `\`, 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029", ' ': " ",
}

func yamlUnescape(escape string) string {
	if plain, ok := yamlLetters[escape[1]]; ok {
		return plain
	}
	n, _ := strconv.ParseUint(escape[2:], 16, 32)
	return string(rune(n))
}

var composeVariable = pattern(`\$(\$|\{[^{}]*\}|[A-Za-z_][A-Za-z0-9_]*)?`)

// composeFile is a value in docker-compose.yml: YAML, then $$ for $ and
// variables; any other $ is an error.
func composeFile(raw string) outcome {
	got := yamlScalar(raw)
	if got.refused != "" {
		return got
	}
	bad := false
	got.text = composeVariable().ReplaceAllStringFunc(got.text, func(m string) string {
		switch m {
		case "$$":
			return "$"
		case "$":
			bad = true
		default:
			got.expands = true
			value, _ := expand(m, anyVariable())
			return value
		}
		return ""
	})
	if bad {
		return outcome{refused: "a $ that starts no variable is an error: write $$"}
	}
	return got
}

// jsonString reads a string of a JSON document.
func jsonString(raw string) outcome {
	text := strings.TrimSpace(raw)
	if !strings.HasPrefix(text, `"`) {
		return outcome{refused: "it is not a JSON string: it starts with no quote"}
	}
	inner, rest, ok := quoted(text, true)
	var value string
	switch rest = strings.TrimSpace(rest); {
	case !ok:
		return outcome{refused: neverClosed}
	case rest != "" && strings.IndexByte(",}]", rest[0]) < 0:
		return outcome{refused: "something other than , } or ] follows the closing quote"}
	case !utf8.ValidString(inner) || json.Unmarshal([]byte(`"`+inner+`"`), &value) != nil:
		return outcome{refused: "it holds an escape or a control character JSON does not know"}
	}
	return outcome{text: value}
}

// javaProperties: quotes and blanks at the end are part of the value, a
// backslash goes and the sign behind it stays.
func javaProperties(raw string) outcome {
	var b strings.Builder
	text := strings.TrimLeft(raw, " \t\f")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n' || c == '\r':
			return outcome{text: b.String()}
		case c != '\\':
			b.WriteByte(c)
		case i+1 == len(text): // nothing follows
		default:
			i++
			switch c := text[i]; c {
			case '\n': // the value goes on in the next line
				i += len(text[i+1:]) - len(strings.TrimLeft(text[i+1:], " \t\f"))
			case 'n', 'r', 't', 'f':
				plain, _ := among("nrtf", "")(c)
				b.WriteString(plain)
			case 'u':
				n, err := strconv.ParseUint(text[i+1:min(len(text), i+5)], 16, 32)
				if err != nil || i+5 > len(text) {
					return outcome{refused: "a \\u without four hexadecimal digits is an error"}
				}
				b.WriteRune(rune(n))
				i += 4
			default:
				b.WriteByte(c)
			}
		}
	}
	return outcome{text: b.String()}
}

// grafanaINI (recalled but for the comments, which Grafana's documentation
// warns of): # and ; end a value anywhere, and triple quotes keep them.
func grafanaINI(raw string) outcome {
	text := strings.TrimSpace(raw)
	if inner, ok := strings.CutPrefix(text, `"""`); ok {
		value, _, ok := strings.Cut(inner, `"""`)
		if !ok {
			return outcome{refused: neverClosed}
		}
		return grafanaExpand(value)
	}
	line, _, _ := strings.Cut(text, "\n")
	if inner, ok := strings.CutPrefix(line, "`"); ok {
		if value, _, ok := strings.Cut(inner, "`"); ok {
			return grafanaExpand(value)
		}
	}
	if at := strings.IndexAny(line, "#;"); at >= 0 {
		line = line[:at]
	}
	line = strings.TrimSpace(line)
	if n := len(line); n > 1 && line[0] == line[n-1] && (line[0] == '"' || line[0] == '\'') {
		line = line[1 : n-1]
	}
	return grafanaExpand(line)
}

var grafanaVariable = pattern(`\$__(?:env|file|vault)\{[^{}]*\}|\$\{[^{}]*\}`)

func grafanaExpand(text string) outcome {
	value, expands := expand(text, grafanaVariable())
	return outcome{text: value, expands: expands}
}
