package file

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// bareSigns are what every reader of .env files takes as they stand, a shell too.
const bareSigns = "~._-@%+/:=,^[]*?"

var (
	assignment = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[ \t]*(export[ \t]+)?([^\s#='"]+)[ \t]*=[ \t]*`)
	})
	// second finds another assignment on the same line, as a shell takes it.
	second = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[ \t;&][A-Za-z_][A-Za-z0-9_]*=`) })
)

// parseDotenv finds every assignment of a key. Where readers do not agree on
// what a line means (a shell, docker, systemd, and the libraries of the
// languages all have rules of their own) and the key is part of it, it refuses.
func parseDotenv(text, key string) (*document, error) {
	lines, err := linesOf(text)
	if err != nil {
		return nil, err
	}
	export := ""
	doc := &document{add: func(value string) ([]edit, error) {
		written, err := quoteDotenv(value, 0)
		return appended(text, export+key+"="+written), err
	}}
	continued := false // the line before ended with a backslash
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		m := assignment().FindStringSubmatchIndex(l.text)
		if m == nil {
			continued = continued && goesOn(l.text)
			continue
		}
		mine := l.text[m[4]:m[5]] == key
		export = ""
		if m[2] >= 0 {
			export = "export "
		}
		if mine && continued {
			return nil, &refusal{fmt.Sprintf("line %d: the line before ends with a backslash, which some readers join with this one", l.number), "take the backslash out"}
		}
		s, last, err := dotenvValue(text, lines, i, m[1])
		if err != nil && mine {
			return nil, err
		}
		// Lines inside a value of several lines are its text for some readers
		// and assignments for others.
		for ; i < last; i++ {
			if in := assignment().FindStringSubmatch(lines[i+1].text); in != nil && in[2] == key {
				return nil, &refusal{fmt.Sprintf("line %d: %s stands between the quotes that line %d opens", lines[i+1].number, key, l.number), "close the quotes on their line"}
			}
		}
		continued = goesOn(lines[last].text)
		if mine {
			doc.slots = append(doc.slots, s)
		}
	}
	return doc, nil
}

// goesOn tells a line that a shell joins with the next.
func goesOn(text string) bool {
	return (len(text)-len(strings.TrimRight(text, `\`)))%2 == 1
}

// dotenvValue reads the value that begins in line i at a column. last is the
// line where it ends; with an error too.
func dotenvValue(text string, lines []line, i, column int) (s slot, last int, err error) {
	l := lines[i]
	refuse := func(says, next string) error {
		return &refusal{fmt.Sprintf("line %d: %s", l.number, says), next}
	}
	start := l.at + column
	rest := l.text[column:]
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		end := closing(text[start:], rest[0])
		switch {
		case end < 0: // never closed: the quote is part of the value
		case end >= len(rest):
			for last = i; lines[last].next <= start+end; last++ {
			}
			return s, last, refuse("the value goes over several lines", "write it on one line")
		default:
			if after := rest[end+1:]; strings.TrimSpace(after) != "" && !strings.HasPrefix(strings.TrimLeft(after, " \t"), "#") || strings.HasPrefix(after, "#") {
				return s, i, refuse("text follows the closing quote", "take it out")
			}
			inner := rest[1:end]
			return slot{start, start + end + 1, inner, func(v string) (string, error) { return quoteDotenv(v, rest[0]) }}, i, nil
		}
	}
	for at := range len(rest) {
		if rest[at] == '#' && (at == 0 || rest[at-1] == ' ' || rest[at-1] == '\t') {
			rest = rest[:at]
			break
		}
	}
	if rest = strings.TrimRight(rest, " \t"); rest == "" { // blanks stay in front of a comment
		start = l.at + len(strings.TrimRight(l.text[:column], " \t"))
	}
	switch {
	case goesOn(rest):
		err = refuse("the value ends with a backslash, which some readers join with the next line", "take the backslash out")
	case second().MatchString(rest):
		err = refuse("the line holds a second assignment", "give each its own line")
	}
	return slot{start, start + len(rest), rest, func(v string) (string, error) { return quoteDotenv(v, 0) }}, i, err
}

// closing returns where a quoted text ends; -1 if it does not. A backslash
// guards a double quote.
func closing(quoted string, quote byte) int {
	for i := 1; i < len(quoted); i++ {
		switch {
		case quoted[i] == '\\' && quote == '"':
			i++
		case quoted[i] == quote:
			return i
		}
	}
	return -1
}

// quoteDotenv writes a value so that every reader takes it the same. Without
// need there are no quotes where none were: docker run --env-file would pass
// them on. Escapes and expansion, which readers do not agree on, it refuses.
func quoteDotenv(value string, quote byte) (string, error) {
	if err := unholdable(Dotenv, value, "\\$"); err != nil {
		return "", err
	}
	single, double := strings.Contains(value, "'"), strings.Contains(value, `"`)
	if single && (double || strings.Contains(value, "`")) {
		return "", &refusal{"the value holds quotes of more than one kind, which readers of dotenv files do not agree on", anotherSecret}
	}
	switch {
	case single:
		quote = '"'
	case double, strings.Contains(value, "`"), quote == 0 && !bare(value):
		quote = '\''
	}
	if quote == 0 {
		return value, nil
	}
	return string(quote) + value + string(quote), nil
}

// bare reports whether a value needs no quotes. A shell puts a home directory
// in place of ~ and ~user, at the start and behind a colon, up to a slash; no
// user has a name as long as a secret.
func bare(value string) bool {
	for i := range len(value) {
		c := value[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(bareSigns, c) < 0 {
			return false
		}
	}
	if strings.Contains(value, ":~") {
		return false
	}
	return !strings.HasPrefix(value, "~") || len(value) >= 16 && !strings.ContainsAny(value, "/:")
}
