package request

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	// requestLine is METHOD target [version], with the comment Microsoft's
	// documentation puts behind it.
	requestLine = pattern(`^([A-Za-z]+)[ \t]+(\S.*?)(?:[ \t]+HTTP/[0-9.]+)?(?:[ \t]+//.*)?[ \t\r]*$`)
	// versionedLine is the same with a version, which can start a request
	// anywhere, even right behind the body of another.
	versionedLine = pattern(`^[A-Z]+[ \t]+\S.*[ \t]HTTP/[0-9.]+(?:[ \t]+//.*)?[ \t\r]*$`)
	headerLine    = pattern("^(:?[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$")
	variableLine  = pattern(`^@([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(.*?)[ \t\r]*$`)
	// liveVariable is a value only the editor that sends a .http file knows.
	liveVariable = pattern(`\{\{\$[^{}]*\}\}`)
)

// statusLine reports whether line starts a response.
func statusLine(line string) bool {
	return strings.HasPrefix(line, "HTTP/") && !strings.HasPrefix(line, "HTTP/ ")
}

// startsRequest reports whether line can be the first of a request. Without a
// version the target must be a URL or a path, since prose looks like
// "METHOD target" too.
func startsRequest(line string) bool {
	if strings.HasPrefix(line, ":method:") || strings.HasPrefix(line, ":authority:") || strings.HasPrefix(line, ":path:") || strings.HasPrefix(line, ":scheme:") {
		return true
	}
	m := requestLine().FindStringSubmatch(line)
	if m == nil {
		return bareURL(line)
	}
	known := showMethod(strings.ToUpper(m[1])) == strings.ToUpper(m[1])
	return versionedLine().MatchString(line) || known && (strings.HasPrefix(m[2], "/") || strings.Contains(m[2], "://") || strings.HasPrefix(m[2], "{{"))
}

// bareURL reports whether line is a URL and nothing else, which .http files
// allow for a GET.
func bareURL(line string) bool {
	return strings.HasPrefix(line, "https://") || strings.HasPrefix(line, "http://")
}

// startsHTTP reports whether the first line that says anything starts a request.
func startsHTTP(text string) bool {
	var p httpParser
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if p.skipScript(line) || line == "" || isComment(line) || variableLine().MatchString(line) {
			continue
		}
		return startsRequest(line)
	}
	return false
}

func isComment(line string) bool {
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//")
}

// httpParser reads raw HTTP line by line.
type httpParser struct {
	variables []string // of a .http file, as pairs for strings.NewReplacer
	found     []Captured
	current   *Captured
	body      strings.Builder
	state     httpState
	line      int
	places    cursor
	from, to  int  // offsets of the request, of the line behind the one that is read
	script    bool // in a script of a .http file: < {% … %} before, > {% … %} behind
}

// httpState is the part of the capture the parser is in.
type httpState int

const (
	stateBetween httpState = iota // before a request, or in a response
	stateHead
	stateBody
)

// parseHTTP returns the requests of text. Responses between them are skipped.
func parseHTTP(text string) []Captured {
	p := httpParser{places: cursor{text: text}}
	for line := range strings.Lines(text) {
		p.line++
		p.read(line)
		p.to += len(line)
	}
	p.finish()
	return p.found
}

// read takes one line, with its end.
func (p *httpParser) read(line string) {
	content := strings.TrimRight(line, lineEnds)
	if p.skipScript(content) {
		return
	}
	switch {
	case strings.HasPrefix(content, "###"), statusLine(content):
		p.finish()
		return
	case versionedLine().MatchString(content):
		p.start(content)
		return
	}
	switch p.state {
	case stateBetween:
		if m := variableLine().FindStringSubmatch(content); m != nil {
			p.variable(m[1], m[2])
		} else if content = strings.TrimSpace(content); !isComment(content) && startsRequest(content) {
			p.start(content)
		}
	case stateHead:
		p.head(line, content)
	case stateBody:
		p.body.WriteString(line)
	}
}

// skipScript reports whether a line is for the editor only: a script around a
// request, or the file its response goes to.
func (p *httpParser) skipScript(content string) bool {
	starts := strings.HasPrefix(content, "< {%") || strings.HasPrefix(content, "> {%")
	if starts || p.script {
		p.script = !strings.Contains(content, "%}")
		return true
	}
	return p.state == stateBody && (strings.HasPrefix(content, "> ") || strings.HasPrefix(content, ">> ") || strings.HasPrefix(content, "<> "))
}

// Limits on the variables of a .http file, which can hold one another.
const (
	maxVariables = 100
	maxVariable  = 1 << 10
	maxFilled    = 64 << 10
)

// variable defines one. Its value may hold variables defined before.
func (p *httpParser) variable(name, value string) {
	if value = p.fill(value); len(value) <= maxVariable && len(p.variables) < 2*maxVariables {
		p.variables = append(p.variables, "{{"+name+"}}", value)
	}
}

// fill replaces the variables in text.
func (p *httpParser) fill(text string) string {
	if len(p.variables) == 0 || len(text) > maxFilled {
		return text
	}
	return strings.NewReplacer(p.variables...).Replace(text)
}

// start opens a request at its first line.
func (p *httpParser) start(line string) {
	p.finish()
	p.from = p.to
	p.current = &Captured{Kind: kindHTTP, Line: p.line, Place: fmt.Sprintf("line %d", p.line)}
	p.state = stateHead
	switch {
	case strings.HasPrefix(line, ":"):
		p.head(line, line)
	case bareURL(line):
		p.current.Method, p.current.URL = "GET", strings.TrimSpace(line)
	default:
		m := requestLine().FindStringSubmatch(line)
		p.current.Method, p.current.URL = strings.ToUpper(m[1]), m[2]
	}
}

// head reads one line of the headers. line still has its end.
func (p *httpParser) head(line, content string) {
	trimmed := strings.TrimSpace(content)
	last := len(p.current.Header) - 1
	m := headerLine().FindStringSubmatch(content)
	switch {
	case trimmed == "":
		p.state = stateBody
	case last < 0 && content != trimmed && strings.ContainsAny(trimmed[:1], "?&/"): // a long URL over several lines
		p.current.URL += trimmed
	case last >= 0 && content[0] == ' ' || last >= 0 && content[0] == '\t':
		p.current.Header[last].Value += " " + trimmed
	case m != nil:
		p.current.Header = append(p.current.Header, Header{m[1], strings.TrimSpace(m[2]), p.line})
	case !isComment(trimmed) && strings.Contains(trimmed, "="): // the empty line got lost
		p.state = stateBody
		p.body.WriteString(line)
		p.current.BodyLine = p.line
		return
	}
	if p.state == stateBody {
		p.current.BodyLine = p.line + 1
	}
}

// finish closes the request that is being read, if there is one.
func (p *httpParser) finish() {
	c := p.current
	body := p.body.String()
	p.current, p.state = nil, stateBetween
	p.body.Reset()
	if c == nil {
		return
	}
	pseudo(c)
	for i := range c.Header[:min(len(c.Header), maxFields)] {
		c.Header[i].Value = p.fill(c.Header[i].Value)
	}
	c.URL = absolute(p.fill(c.URL), *c)
	body = p.fill(sentBody(*c, body))
	if strings.HasPrefix(body, "< ") || strings.HasPrefix(body, "<@") {
		c.elsewhere = true // how .http files name a file
	}
	c.Body = []byte(body)
	c.source = p.places.origin(p.from, p.to)
	c.live = append(liveVariable().FindAllString(c.URL, -1), liveVariable().FindAllString(body, -1)...)
	p.found = append(p.found, *c)
}

// pseudo moves the pseudo headers of HTTP/2 to where HTTP/1 has them.
func pseudo(c *Captured) {
	var scheme, authority, path string
	var rest []Header
	for _, h := range c.Header {
		switch strings.ToLower(h.Name) {
		case ":method":
			c.Method = strings.ToUpper(h.Value)
		case ":scheme":
			scheme = h.Value
		case ":authority":
			authority = h.Value
		case ":path":
			path = h.Value
		default:
			rest = append(rest, h)
		}
	}
	c.Header = rest
	if authority == "" && path == "" {
		return
	}
	if scheme == "" {
		scheme = "https"
	}
	if authority == "" {
		if host, ok := c.header("Host"); ok {
			authority = host.Value
		}
	}
	if c.URL == "" || strings.HasPrefix(c.URL, "/") {
		c.URL = scheme + "://" + authority + path
	}
}

// absolute puts the Host header in front of a path. A capture does not say
// whether the connection was TLS; it takes a deliberate http:// to avoid that.
func absolute(target string, c Captured) string {
	if host, ok := c.header("Host"); ok && strings.HasPrefix(target, "/") {
		return "https://" + host.Value + target
	}
	return target
}

// sentBody takes from the text below the headers what was sent.
//
// If Content-Length vouches for them, all line ends count. If not, those at
// the end are an editor's, and those beside an & make a long form readable, as
// in documentation and .http files.
func sentBody(c Captured, text string) string {
	if h, ok := c.header("Content-Length"); ok {
		if n, err := strconv.Atoi(h.Value); err == nil && n > 0 && n <= len(text) && strings.Trim(text[n:], lineEnds) == "" {
			return text[:n]
		}
	}
	text = strings.TrimRight(text, lineEnds)
	if strings.HasPrefix(strings.TrimSpace(text), "{") || strings.Contains(text, "form-data;") {
		return text
	}
	return wrappedForm().ReplaceAllString(text, "&")
}

var wrappedForm = pattern(`[ \t]*\r?\n[ \t]*&|&[ \t]*\r?\n[ \t]*`)
