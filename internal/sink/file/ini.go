package file

import (
	"fmt"
	"slices"
	"strings"
)

// parseINI finds every assignment of a key "section.name"; the part after the
// last dot is the name, and a key without one stands before all sections.
func parseINI(text, key string) (*document, error) {
	lines, err := linesOf(text)
	if err != nil {
		return nil, err
	}
	section, name := "", key
	if at := strings.LastIndexByte(key, '.'); at >= 0 {
		section, name = key[:at], key[at+1:]
	}
	doc := &document{}
	current, found := "", section == ""
	var place *line // the last line of the section that is not blank
	for i, l := range lines {
		body := strings.TrimSpace(l.text)
		switch {
		case body == "" || body[0] == '#' || body[0] == ';':
			if current == section && found && body != "" {
				place = &lines[i]
			}
			continue
		case body[0] == '[' && strings.HasSuffix(body, "]"):
			current = strings.Trim(body, "[] ")
			if current == section {
				found, place = true, &lines[i]
			} else if strings.EqualFold(current, section) {
				return nil, &refusal{fmt.Sprintf("line %d: the section is [%s], not [%s]", l.number, current, section), "write the key of the sink the same way"}
			}
			continue
		case current != section:
			continue
		}
		place = &lines[i]
		at := strings.IndexAny(l.text, "=:")
		if at < 0 {
			continue
		}
		own := strings.TrimSpace(l.text[:at])
		if own != name {
			if strings.EqualFold(own, name) {
				return nil, &refusal{fmt.Sprintf("line %d: the name is %s, not %s, which is the same for some readers", l.number, own, name), "write the key of the sink the same way"}
			}
			continue
		}
		if i+1 < len(lines) && indent(lines[i+1].text) > indent(l.text) && !strings.ContainsRune("#;[", []rune(strings.TrimSpace(lines[i+1].text))[0]) {
			return nil, &refusal{fmt.Sprintf("line %d: the line after it is indented, which some readers add to the value", l.number), "take the indentation out"}
		}
		s, err := iniValue(l, at+1)
		if err != nil {
			return nil, err
		}
		doc.slots = append(doc.slots, s)
	}
	doc.add = func(value string) ([]edit, error) {
		written, err := quoteINI(value, "")
		if err != nil {
			return nil, err
		}
		return addINI(text, section, name+" = "+written, found, place), nil
	}
	return doc, nil
}

// indent returns how far a line is indented; 0 for a blank one.
func indent(text string) int {
	if strings.TrimSpace(text) == "" {
		return 0
	}
	return len(text) - len(strings.TrimLeft(text, " \t"))
}

// addINI puts an assignment behind the last line of its section.
func addINI(text, section, assignment string, found bool, place *line) []edit {
	eol := lineEnd(text)
	switch {
	case !found && text == "":
		return appended(text, "["+section+"]", assignment)
	case !found:
		return appended(text, "", "["+section+"]", assignment)
	case place == nil: // before all sections
		return []edit{{0, 0, assignment + eol}}
	case place.next == len(text):
		return appended(text, assignment)
	}
	return []edit{{place.next, place.next, assignment + eol}}
}

// iniValue reads the value of a line from a column.
func iniValue(l line, column int) (slot, error) {
	rest := l.text[column:]
	start := l.at + column + len(rest) - len(strings.TrimLeft(rest, " \t"))
	rest = strings.TrimSpace(rest)
	s := slot{start: start, end: start + len(rest), text: rest}
	quote := ""
	if n := len(rest); n > 1 && slices.Contains([]byte("\"'`"), rest[0]) && rest[n-1] == rest[0] {
		quote, s.text = rest[:1], rest[1:n-1]
	} else if strings.ContainsAny(rest, "#;") {
		return s, &refusal{fmt.Sprintf("line %d: # or ; in the value begins a comment for some readers and not for others", l.number), "put the comment on a line of its own"}
	}
	if strings.HasPrefix(rest, `"""`) || strings.HasPrefix(rest, "'''") || goesOn(rest) {
		return s, &refusal{fmt.Sprintf("line %d: the value may go on over lines", l.number), "write it on one line"}
	}
	s.write = func(v string) (string, error) { return quoteINI(v, quote) }
	return s, nil
}

// quoteINI writes a value that all readers take the same: the one of Grafana
// takes quotes off, begins comments at # and ; and expands $; the one of Python
// keeps quotes and expands %.
func quoteINI(value, quote string) (string, error) {
	if err := unholdable(INI, value, "#;$%\\\"'`"); err != nil {
		return "", err
	}
	if strings.TrimSpace(value) != value {
		return "", &refusal{"the value begins or ends with a blank, which readers of ini files take off", anotherSecret}
	}
	return quote + value + quote, nil
}
