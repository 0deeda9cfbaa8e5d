package setting

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// readUnit keeps a unit of systemd, or a drop-in of one, until all of its
// parts have been read.
func readUnit(session *session, s *source) ([]Found, error) {
	unit := s.name
	if dir := path.Dir(s.name); strings.HasSuffix(dir, ".service.d") {
		unit = strings.TrimSuffix(dir, ".d")
	}
	session.units[unit] = append(session.units[unit], s)
	return nil, nil
}

func isUnit(name string) bool {
	return strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".conf") && strings.HasSuffix(path.Dir(name), ".service.d")
}

// resolveUnits reads the environment of each service: what its file and then
// its drop-ins set, and over that the files they name. Source: systemd.exec(5).
func (s *session) resolveUnits() {
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		u := unitReader{session: s, env: &node{kind: mapping}}
		parts := s.units[name]
		slices.SortStableFunc(parts, func(a, b *source) int {
			if (a.name == name) != (b.name == name) {
				return map[bool]int{true: -1, false: 1}[a.name == name]
			}
			return strings.Compare(path.Base(a.name), path.Base(b.name))
		})
		for _, part := range parts {
			u.env.src = part
			if err := u.read(part); err != nil {
				s.fail(part.name, err)
			}
		}
		found := extract("systemd", flatten(u.environment(), nil, nil))
		for i := range found {
			found[i].Name = path.Base(name)
			for _, gone := range u.gone {
				found[i].note("EnvironmentFile %s is not in the tree: give --from the files that hold the rest", gone)
			}
		}
		s.result.Settings = append(s.result.Settings, found...)
	}
}

// unitReader gathers what the lines of a unit set.
type unitReader struct {
	session *session
	env     *node
	files   []unitFile
	unset   []string
	gone    []string // environment files that are not in the tree
}

type unitFile struct{ from, path string }

func (u *unitReader) read(s *source) error {
	section := ""
	var logical *unitLine
	var err error
	s.each(func(line string, at int) {
		body := strings.TrimLeft(line, " \t")
		if body != "" && (body[0] == '#' || body[0] == ';') || err != nil {
			return // also between the lines of one value
		}
		if logical == nil {
			logical = &unitLine{src: s}
		}
		if strings.HasSuffix(line, `\`) {
			logical.add(line[:len(line)-1]+" ", at)
			return
		}
		logical.add(line, at)
		if head := strings.TrimSpace(logical.text); strings.HasPrefix(head, "[") {
			section = strings.Trim(head, "[]")
		} else if section == "Service" {
			err = u.assign(logical)
		}
		logical = nil
	})
	return err
}

// unitLine is a line with those it goes on in, and where each byte stands.
type unitLine struct {
	src  *source
	text string
	at   []int
}

func (l *unitLine) add(text string, at int) {
	l.text += text
	for i := range len(text) {
		l.at = append(l.at, at+i)
	}
}

func (u *unitReader) assign(l *unitLine) error {
	key, value, _ := strings.Cut(l.text, "=")
	begin := len(key) + 1
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "Environment":
		if value == "" {
			u.env.items = nil
			return nil
		}
		return u.words(l, begin)
	case "EnvironmentFile":
		if value == "" {
			u.files = nil
			return nil
		}
		u.files = append(u.files, unitFile{l.src.name, strings.TrimPrefix(value, "-")})
	case "UnsetEnvironment":
		u.unset = append(u.unset, strings.Fields(value)...)
	}
	return nil
}

// words reads the assignments of one Environment= line: words in quotes of
// either kind, with C escapes, then specifiers.
func (u *unitReader) words(l *unitLine, i int) error {
	for {
		for i < len(l.text) && strings.IndexByte(" \t\r", l.text[i]) >= 0 {
			i++
		}
		if i >= len(l.text) {
			return nil
		}
		begin := i
		var b strings.Builder
		var quote byte
		for ; i < len(l.text); i++ {
			switch c := l.text[i]; {
			case c == quote && quote != 0:
				quote = 0
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case c == '\\':
				size := unescapeC(l.text[i:], &b)
				if size == 0 {
					return l.src.errorAt(l.at[i], errors.New("malformed unit: a backslash starts an escape that systemd does not know; it ignores the line"))
				}
				i += size - 1
				continue
			case quote == 0 && strings.IndexByte(" \t\r", c) >= 0:
				goto end
			default:
				b.WriteByte(c)
			}
		}
	end:
		if quote != 0 {
			return l.src.errorAt(l.at[begin], errors.New("malformed unit: a quote has no end; systemd ignores the line"))
		}
		u.put(l, begin, i, b.String())
	}
}

func (u *unitReader) put(l *unitLine, begin, end int, word string) {
	key, value, ok := strings.Cut(word, "=")
	if !ok {
		return
	}
	n := &node{key: key, src: l.src, start: l.at[begin], end: l.at[end-1] + 1}
	n.text, n.unresolved = specifiers(value)
	// The value's own place, where the word is as it is written.
	if raw := l.src.text[n.start:n.end]; strings.HasPrefix(raw, key+"=") {
		n.start += len(key) + 1
	} else if strings.HasPrefix(raw[1:], key+"=") {
		n.start, n.end = n.start+len(key)+2, n.end-1
	}
	vaultReference(n)
	u.env.items = append(u.env.items, n)
}

// unescapeC writes what a C escape stands for and returns its length; 0 for
// one that systemd does not know. Source: systemd.syntax(7), "Quoting".
func unescapeC(text string, b *strings.Builder) int {
	if len(text) < 2 {
		return 0
	}
	if i := strings.IndexByte(`abfnrtv\"'s`, text[1]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v\\\"' "[i])
		return 2
	}
	number := func(from, digits, base int) int {
		if len(text) < from+digits {
			return 0
		}
		code, err := strconv.ParseUint(text[from:from+digits], base, 32)
		if err != nil || code == 0 || code > 0x10ffff {
			return 0
		}
		if digits < 4 {
			b.WriteByte(byte(code))
		} else {
			b.WriteRune(rune(code))
		}
		return from + digits
	}
	switch {
	case text[1] == 'x':
		return number(2, 2, 16)
	case text[1] == 'u':
		return number(2, 4, 16)
	case text[1] == 'U':
		return number(2, 8, 16)
	case text[1] >= '0' && text[1] <= '3':
		return number(1, 3, 8)
	}
	return 0
}

// specifiers takes %% for %; another specifier makes the value a reference,
// and a % before any other sign stays. Source: systemd.unit(5), "Specifiers".
func specifiers(text string) (plain, unresolved string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+1 < len(text) {
			switch {
			case text[i+1] == '%':
				i++
			case strings.IndexByte("aAbBCdDEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY", text[i+1]) >= 0:
				return "", "a specifier of systemd such as %" + text[i+1:i+2]
			}
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}

// environment is what the service sees: its files count over its own lines.
func (u *unitReader) environment() *node {
	all := &node{kind: mapping, src: u.env.src, items: slices.Clone(u.env.items)}
	for _, f := range u.files {
		names := u.session.absolute(f.from, f.path)
		if len(names) == 0 {
			u.gone = append(u.gone, f.path)
		}
		for _, name := range names {
			data, err := u.session.load(name)
			if err != nil {
				u.session.fail(name, err)
				continue
			}
			env, err := newSource(name, data)
			if err != nil {
				u.session.fail(name, err)
				continue
			}
			u.session.imported[name] = true
			all.items = append(all.items, parseSystemdEnv(env)...)
		}
	}
	all.items = slices.DeleteFunc(all.items, func(n *node) bool { return slices.Contains(u.unset, n.key) })
	return all
}

// absolute finds the files that an absolute path of a host's file, which may
// hold wildcards, stands for in the tree: below a directory around the file,
// such as the root of an image, else beside the file.
func (s *session) absolute(from, name string) []string {
	inside := strings.TrimLeft(path.Clean(name), "/")
	dir := path.Dir(from)
	places := []string{path.Join(dir, path.Base(name))}
	for {
		places = append([]string{path.Join(dir, inside)}, places...)
		if dir == "." || dir == "/" {
			break
		}
		dir = path.Dir(dir)
	}
	for _, pattern := range places {
		if found, err := fs.Glob(s.fsys, pattern); err == nil && len(found) > 0 {
			return found
		}
	}
	return nil
}

// parseSystemdEnv reads an environment file as systemd does: comments only at
// the start of a line, quotes of either kind where a value or a part of it
// begins, a backslash at the end of a line joins it with the next, no
// variables.
func parseSystemdEnv(s *source) []*node {
	var all []*node
	text := s.text
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case c == '#' || c == ';':
			for i < len(text) && text[i] != '\n' && text[i] != '\r' {
				i++
			}
			continue
		}
		length := strings.IndexAny(text[i:], "=\r\n")
		if length < 0 {
			break
		}
		key := strings.TrimPrefix(strings.TrimRight(text[i:i+length], " \t"), mark)
		i += length
		if text[i] != '=' {
			continue
		}
		n := &node{key: key, src: s, start: i + 1}
		n.text, i = systemdValue(text, i+1)
		for n.start < i && strings.IndexByte(" \t", text[n.start]) >= 0 {
			n.start++
		}
		n.end = n.start + len(strings.TrimRight(text[n.start:i], " \t\r\n"))
		vaultReference(n)
		all = append(all, n)
	}
	return all
}

// systemdValue reads a value that begins at i, and returns where it ends.
func systemdValue(text string, i int) (string, int) {
	var b strings.Builder
	kept := 0      // what blanks at the end do not take away
	begins := true // quotes count here
	for i < len(text) {
		c := text[i]
		i++
		switch {
		case c == '\n' || c == '\r':
			return b.String()[:kept], i
		case begins && c == '\'':
			end := strings.IndexByte(text[i:], '\'')
			if end < 0 {
				end = len(text) - i
			}
			b.WriteString(text[i : i+end])
			i, kept = min(i+end+1, len(text)), b.Len()
		case begins && c == '"':
			for i < len(text) && text[i] != '"' {
				if text[i] == '\\' {
					if i++; i == len(text) {
						break
					}
					if strings.IndexByte("\"\\`$\n", text[i]) < 0 {
						b.WriteByte('\\')
					}
					if text[i] == '\n' {
						i++
						continue
					}
				}
				b.WriteByte(text[i])
				i++
			}
			i, kept = min(i+1, len(text)), b.Len()
		case c == '\\':
			begins = false
			if i < len(text) {
				if text[i] != '\n' && text[i] != '\r' {
					b.WriteByte(text[i])
				}
				i++
			}
			kept = b.Len()
		case c == ' ' || c == '\t':
			if !begins {
				b.WriteByte(c)
			}
		default:
			begins = false
			b.WriteByte(c)
			kept = b.Len()
		}
	}
	return b.String()[:kept], i
}
