package file

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// parseProperties finds every assignment of a key in a file of Java
// properties: separators = : and blank, escapes, lines continued with a
// backslash, Spring's documents split at #---.
func parseProperties(text, key string) (*document, error) {
	lines, err := linesOf(text)
	if err != nil {
		return nil, err
	}
	doc := &document{}
	documents, seen := 1, 0 // the document with the key in it
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		body := strings.TrimLeft(l.text, " \t\f")
		if body == "#---" || body == "!---" {
			documents++
		}
		if body == "" || body[0] == '#' || body[0] == '!' {
			continue
		}
		last := i // of the lines that this one goes on over
		for goesOn(lines[last].text) && last+1 < len(lines) {
			last++
		}
		name, column := propertyName(l.text)
		mine := name == key
		if !mine && column == len(l.text) && last > i {
			return nil, &refusal{fmt.Sprintf("line %d: the name goes over several lines", l.number), "write it on one line"}
		}
		if mine {
			if seen != 0 && seen != documents {
				return nil, &refusal{fmt.Sprintf("line %d: %s stands in two documents of the file", l.number, key), "keep it in one, or give each profile a file of its own"}
			}
			seen = documents
			end := lines[last].at + len(lines[last].text)
			if goesOn(lines[last].text) {
				return nil, &refusal{fmt.Sprintf("line %d: the file ends in a line that goes on", lines[last].number), "take the backslash at its end out"}
			}
			doc.slots = append(doc.slots, slot{l.at + column, end, propertyValue(lines, i, last, column), writeProperty(l.text[:column])})
		}
		i = last
	}
	doc.add = func(value string) ([]edit, error) {
		if documents > 1 {
			return nil, &refusal{key + " is missing, and the file holds several documents", "put " + key + "= where it belongs"}
		}
		if n := len(lines); n > 0 && goesOn(lines[n-1].text) {
			return nil, &refusal{fmt.Sprintf("line %d: the file ends in a line that goes on", n), "take the backslash at its end out"}
		}
		written, err := writeProperty("=")(value)
		return appended(text, escapeName(key)+"="+written), err
	}
	return doc, nil
}

// propertyName returns the name on a line, and the column where the value begins.
func propertyName(text string) (name string, column int) {
	const blank = " \t\f"
	start := len(text) - len(strings.TrimLeft(text, blank))
	end := start
	for end < len(text) && !strings.ContainsRune("=:"+blank, rune(text[end])) {
		if text[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(text))
	column = len(text) - len(strings.TrimLeft(text[end:], blank))
	if column < len(text) && (text[column] == '=' || text[column] == ':') {
		column++
		column = len(text) - len(strings.TrimLeft(text[column:], blank))
	}
	return unescape(text[start:end]), column
}

// propertyValue joins the lines of a value: blanks that begin a line after the
// first do not count.
func propertyValue(lines []line, first, last, column int) string {
	var b strings.Builder
	for i := first; i <= last; i++ {
		part := strings.TrimLeft(lines[i].text, " \t\f")
		if i == first {
			part = lines[i].text[column:]
		}
		if i < last {
			part = strings.TrimSuffix(part, `\`)
		}
		b.WriteString(part)
	}
	return unescape(b.String())
}

// unescape takes Java's escapes out, which are of UTF-16.
func unescape(s string) string {
	in := []rune(s)
	if !utf8.ValidString(s) { // Latin-1, as Java reads these files
		in = in[:0]
		for i := range len(s) {
			in = append(in, rune(s[i]))
		}
	}
	var units []uint16
	for i := 0; i < len(in); i++ {
		r := in[i]
		if r == '\\' && i+1 < len(in) {
			i++
			r = in[i]
			if at := strings.IndexRune("tnrf", r); at >= 0 {
				r = rune("\t\n\r\f"[at])
			}
			if r == 'u' && i+4 < len(in) {
				if code, err := strconv.ParseUint(string(in[i+1:i+5]), 16, 16); err == nil {
					units = append(units, uint16(code))
					i += 4
					continue
				}
			}
		}
		units = utf16.AppendRune(units, r)
	}
	return string(utf16.Decode(units))
}

// writeProperty escapes a value for the line that begins with before. Beyond
// ASCII everything is escaped: Java reads these files as Latin-1 or as UTF-8.
func writeProperty(before string) func(string) (string, error) {
	return func(value string) (string, error) {
		if strings.Contains(value, "$") {
			return "", &refusal{"the value holds '$', which readers of properties files do not agree on (Spring puts other values in its place)", anotherSecret}
		}
		var b strings.Builder
		if before == "" || !strings.ContainsRune("=: \t\f", rune(before[len(before)-1])) {
			b.WriteByte('=') // a name without a value or separator
		}
		for i, r := range value {
			switch {
			case r == '\\', i == 0 && strings.ContainsRune(" =:", r):
				b.WriteByte('\\')
				b.WriteRune(r)
			case r < ' ' || r == 0x7f || r > unicode.MaxASCII:
				for _, unit := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&b, `\u%04x`, unit)
				}
			default:
				b.WriteRune(r)
			}
		}
		return b.String(), nil
	}
}

// escapeName writes a name that keeps its = : and blanks.
func escapeName(key string) string {
	return strings.NewReplacer(`\`, `\\`, "=", `\=`, ":", `\:`, " ", `\ `, "#", `\#`, "!", `\!`).Replace(key)
}
