package request

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// bodyKind is what a body turns out to be, whatever its Content-Type says.
type bodyKind string

const (
	bodyEmpty     bodyKind = ""
	bodyForm      bodyKind = "form"
	bodyJSON      bodyKind = "json"
	bodyMultipart bodyKind = "multipart"
	bodyXML       bodyKind = "xml"
	bodyText      bodyKind = "text"     // no name=value in it
	bodyBadJSON   bodyKind = "bad-json" // starts like JSON, cannot be decoded
	bodyQuoted    bodyKind = "quoted"   // a form inside quotes
	bodyEscaped   bodyKind = "escaped"  // a form, percent-encoded as a whole
	bodyBase64    bodyKind = "base64"   // a form in base64
	bodyLines     bodyKind = "lines"    // one parameter a line, without &
	bodyHTML      bodyKind = "html"     // &amp; for &
	bodyQuestion  bodyKind = "question" // a form behind a ?
)

// readable reports whether the parameters of the body can be told.
func (k bodyKind) readable() bool { return k != bodyXML && k != bodyText && k != bodyBadJSON }

// Where a parameter stands.
const (
	inBody   = "body"
	inQuery  = "query"
	inJSON   = "json"
	inHeader = "header"
	inBasic  = "basic"
)

// field is one parameter as it was sent.
type field struct {
	name  string // decoded
	meant string // the known parameter the name stands for, "" if there is none
	raw   string // the value as it stands in the request
	value string // the value as a server decodes it
	tail  string // what a raw & cut off the value
	in    string
}

// maxFields is far above what a token request has; what is beyond is not read.
const maxFields = 1000

// readBody tells what a body is and reads its parameters. bom reports a byte
// order mark in front.
func readBody(body []byte) (kind bodyKind, fields []field, bom bool) {
	text, bom := strings.CutPrefix(string(body), byteOrderMark)
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return bodyEmpty, nil, bom
	}
	first, last := trimmed[0], trimmed[len(trimmed)-1]
	switch {
	case strings.HasPrefix(trimmed, "--") && strings.Contains(trimmed, "form-data;"):
		return bodyMultipart, readMultipart(trimmed), bom
	case first == '{' || first == '[':
		fields, ok := readJSON(trimmed)
		if !ok {
			return bodyBadJSON, nil, bom
		}
		return bodyJSON, fields, bom
	case first == '<':
		return bodyXML, nil, bom
	case len(trimmed) > 1 && first == last && (first == '"' || first == '\'') && strings.Contains(trimmed, "="):
		return bodyQuoted, readForm(trimmed[1:len(trimmed)-1], inBody), bom
	case first == '?':
		return bodyQuestion, readForm(trimmed[1:], inBody), bom
	case !strings.Contains(trimmed, "=") && strings.Contains(strings.ToLower(trimmed), "%3d"):
		return bodyEscaped, readForm(formDecode(trimmed), inBody), bom
	case !strings.Contains(strings.TrimRight(trimmed, "="), "="):
		if form, ok := base64Form(trimmed); ok {
			return bodyBase64, readForm(form, inBody), bom
		}
		return bodyText, nil, bom
	case !strings.Contains(trimmed, "&") && isLines(trimmed):
		return bodyLines, readForm(joinLines(trimmed), inBody), bom
	case hasHTML(text):
		return bodyHTML, readForm(strings.ReplaceAll(text, "&amp;", "&"), inBody), bom
	}
	return bodyForm, readForm(text, inBody), bom
}

// readForm reads name=value pairs. The segments behind client_secret that
// belong to no known parameter become its tail: an & of the secret itself cut
// them off.
func readForm(text, in string) []field {
	var fields []field
	open, tailStart := false, 0 // whether the last field can have a tail, and where
	end := -1
	for n := 0; n < maxFields && end < len(text); n++ {
		start := end + 1
		segment, _ := cutBefore(text[start:], '&')
		end = start + len(segment)
		rawName, raw, _ := strings.Cut(segment, "=")
		name := formDecode(rawName)
		meant := meantName(name)
		switch {
		case segment == "": // counts only if a tail goes on behind it
		case open && meant == "":
			fields[len(fields)-1].tail = text[tailStart:end]
		default:
			fields = append(fields, field{name: name, meant: meant, raw: raw, value: formDecode(raw), in: in})
			open, tailStart = meant == clientSecret, end
		}
	}
	return fields
}

// formDecode decodes as servers do: + is a space, and a % that starts no
// escape stands for itself.
func formDecode(text string) string {
	if !strings.ContainsAny(text, "+%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			b.WriteByte(' ')
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			b.WriteByte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// literal makes a field of a value that needs no decoding.
func literal(name, value, in string) field {
	return field{name: name, meant: meantName(name), raw: value, value: value, in: in}
}

// readJSON reads the strings of a JSON object; lists become words.
func readJSON(text string) (fields []field, ok bool) {
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, false
	}
	for name, value := range object {
		switch value := value.(type) {
		case string:
			fields = append(fields, literal(name, value, inJSON))
		case []any:
			var words []string
			for _, v := range value {
				if word, isString := v.(string); isString {
					words = append(words, word)
				}
			}
			fields = append(fields, literal(name, strings.Join(words, " "), inJSON))
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields[:min(len(fields), maxFields)], true
}

// readMultipart reads form-data parts. The boundary is the first line.
func readMultipart(text string) []field {
	boundary, rest, _ := strings.Cut(text, "\n")
	var fields []field
	for part := range strings.SplitSeq(rest, strings.TrimRight(boundary, lineEnds)) {
		head, content, ok := strings.Cut(strings.ReplaceAll(part, "\r\n", "\n"), "\n\n")
		if !ok || len(fields) == maxFields {
			continue
		}
		for line := range strings.Lines(head) {
			key, value, _ := strings.Cut(line, ":")
			if !strings.EqualFold(strings.TrimSpace(key), "Content-Disposition") {
				continue
			}
			if _, params, err := mime.ParseMediaType(value); err == nil {
				fields = append(fields, literal(params["name"], strings.TrimSuffix(content, "\n"), inBody))
			}
		}
	}
	return fields
}

// base64Form decodes a whole body that is the base64 of a form.
func base64Form(text string) (string, bool) {
	decoded, ok := decodeBase64(strings.Join(strings.Fields(text), ""))
	if !ok || !strings.Contains(decoded, "=") || !utf8.ValidString(decoded) {
		return "", false
	}
	return decoded, true
}

// decodeBase64 decodes either alphabet, padded or not.
func decodeBase64(text string) (string, bool) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || text == "" {
		return "", false
	}
	return string(decoded), true
}

// isLines reports whether text has several lines and a name=value in each.
func isLines(text string) bool {
	n := 0
	for line := range strings.Lines(text) {
		if n++; !strings.Contains(line, "=") {
			return false
		}
	}
	return n > 1
}

func joinLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "&")
}

// hasHTML reports whether an &amp; stands in front of a known name.
func hasHTML(text string) bool {
	for part := range strings.SplitSeq(text, "&") {
		name, _, _ := strings.Cut(part, "=")
		if after, ok := strings.CutPrefix(name, "amp;"); ok && isKnown(after) {
			return true
		}
	}
	return false
}
