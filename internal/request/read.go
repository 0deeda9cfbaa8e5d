package request

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reading is a captured request taken apart.
type reading struct {
	Captured
	target target
	body   bodyKind
	bom    bool    // in front of the body
	fields []field // of the body, then the query, then the headers
	basic  *basic  // nil without HTTP Basic
}

// basic is what an Authorization header with HTTP Basic holds.
type basic struct {
	payload string // as it stands in the header
	id      string // not form-decoded
	secret  string // not form-decoded
	broken  bool   // the payload is not base64
}

// read takes a request apart. It judges nothing: whatever is there ends up in
// some field.
func read(c Captured) reading {
	r := reading{Captured: c, target: parseTarget(c.URL)}
	r.body, r.fields, r.bom = readBody(c.Body)
	r.fields = append(r.fields, readForm(r.target.query, inQuery)...)
	for _, h := range c.Header[:min(len(c.Header), maxFields)] {
		if meant := meantName(h.Name); meant == grantType || meant == clientID || meant == clientSecret || meant == scope {
			r.fields = append(r.fields, literal(h.Name, h.Value, inHeader))
		}
	}
	r.basic = readBasic(c, r.target)
	return r
}

// readBasic reads HTTP Basic from the Authorization header or, as clients do
// that are given it there, from the URL.
func readBasic(c Captured, t target) *basic {
	if h, ok := c.header("Authorization"); ok {
		scheme, payload, _ := strings.Cut(strings.TrimSpace(h.Value), " ")
		if !strings.EqualFold(scheme, "Basic") {
			return nil
		}
		b := &basic{payload: strings.TrimSpace(payload)}
		text, ok := decodeBase64(b.payload)
		if !ok {
			b.broken, text = true, b.payload
		}
		b.id, b.secret, _ = strings.Cut(text, ":")
		return b
	}
	if t.user == "" {
		return nil
	}
	id, password, _ := strings.Cut(t.user, ":")
	return &basic{payload: t.user, id: unescapePath(id), secret: unescapePath(password)}
}

// contentType is the media type of the request, "" if it names none.
func (r reading) contentType() string {
	h, _ := r.header("Content-Type")
	mediaType, _, err := mime.ParseMediaType(h.Value)
	if err != nil {
		mediaType, _, _ = strings.Cut(h.Value, ";")
	}
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// find returns the parameter the sender meant by name. One with a value goes
// before an empty one, the right name before a slip of it, the body before the
// query.
func (r reading) find(name string) (field, bool) {
	var best field
	found, rank := false, -1
	for _, f := range r.fields {
		if f.meant != name {
			continue
		}
		n := 0
		if f.raw != "" || f.tail != "" {
			n += 2
		}
		if f.name == name {
			n++
		}
		if n > rank {
			best, found, rank = f, true, n
		}
	}
	return best, found
}

// filled is find for a parameter that has a value.
func (r reading) filled(name string) (field, bool) {
	f, ok := r.find(name)
	return f, ok && f.raw != ""
}

// value is the decoded value of the parameter meant by name, "" if there is none.
func (r reading) value(name string) string {
	f, _ := r.find(name)
	return f.value
}

// isTokenCall reports whether the request, one of many, is one for a token.
func (r reading) isTokenCall() bool {
	if r.Method == "OPTIONS" { // what a browser asks before
		return false
	}
	return r.target.isToken() || r.meansToken()
}

// meansToken reports whether a parameter only a token request has is there.
func (r reading) meansToken() bool {
	for _, name := range []string{grantType, clientSecret, assertion} {
		if _, ok := r.find(name); ok {
			return true
		}
	}
	return false
}

// asksForToken reports whether the request, picked out by a person, was
// to be one for a token. It is lenient: what is wrong may be just the path.
func (r reading) asksForToken() bool {
	_, hasID := r.find(clientID)
	n := len(r.target.segments)
	return r.meansToken() || hasID || r.target.has("oauth2") || n > 0 && strings.EqualFold(r.target.segments[n-1], "token")
}

// sent is a client secret as it was sent.
type sent struct {
	in    string // body, query, json, header, basic
	at    string // where, in the words of a fault
	name  string // of the parameter
	meant string // what the sender meant

	plus, percent, cut, space bool // signs that had to be encoded and are not
}

// secrets returns every place that holds a client secret, empty ones left
// out: the parameter first, then HTTP Basic.
func (r reading) secrets() []sent {
	var found []sent
	if f, ok := r.find(clientSecret); ok && (f.raw != "" || f.tail != "") {
		s := sent{meant: f.raw}
		if f.in == inBody && r.body != bodyMultipart || f.in == inQuery {
			s = readRaw(f.raw, f.tail)
		}
		s.in, s.name = f.in, f.name
		switch s.at = "parameter " + clientSecret; f.in {
		case inQuery:
			s.at = "url"
		case inHeader:
			s.at = "header " + clientSecret
		}
		found = append(found, s)
	}
	if r.basic != nil && r.basic.secret != "" {
		s := readRaw(r.basic.secret, "")
		s.in, s.at, s.name = inBasic, "header Authorization", clientSecret
		found = append(found, s)
	}
	return found
}

// readRaw reads a value as it stands in a form, where tail is what a raw & cut
// off. The server decodes it; what was meant differs if some signs in it
// should have been encoded and were not.
func readRaw(raw, tail string) sent {
	s := sent{cut: tail != ""}
	whole := raw + tail
	s.percent = rawPercent(whole)
	core := strings.TrimRight(whole, "+")
	if !strings.ContainsAny(core, "/=") {
		// A + at an end is most often an encoded space. Only a value with other
		// signs of base64 is likely to start with one of its own.
		core = strings.TrimLeft(core, "+")
	}
	s.plus = strings.Contains(core, "+")
	s.space = strings.Contains(strings.Trim(whole, " +"), " ")
	if s.percent {
		s.meant = whole // who leaves a % raw encodes nothing
		return s
	}
	s.meant = formDecode(strings.Replace(whole, core, strings.ReplaceAll(core, "+", "%2B"), 1))
	return s
}

// rawPercent reports whether a % in raw stands for itself: it starts no escape,
// or the escape stands for what no encoder escapes.
func rawPercent(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			continue
		}
		if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
			return true
		}
		c := rune(unhex(raw[i+1])<<4 | unhex(raw[i+2]))
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsControl(c) && !strings.ContainsRune("\t\r\n", c)) {
			return true
		}
		i += 2
	}
	return strings.Contains(raw, "%") && !utf8.ValidString(formDecode(raw))
}
