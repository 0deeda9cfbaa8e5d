package request

import (
	"fmt"
	"strings"
)

// Wire logs of clients. What each writes was seen by running it (curl 7.88,
// Python 3.11 http.client and urllib3, Node.js 20 fetch) or read in its source
// (azcore); the lines of .NET's HttpClient are from published logs. Only curl
// --trace-ascii and http.client write the body: azcore skips forms even where
// it is told to log bodies. NODE_DEBUG=http names host and port only.
var (
	pythonSend  = pattern(`\bsend: b?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*$`)
	pythonReply = pattern(`\breply: '`)
	curlSent    = pattern(`^(?:[0-9:.]{8,15} )?> (.*)$`)
	curlPort    = pattern(`Connected to \S+ .*\bport (\d+)`)
	traceSend   = pattern(`^(?:[0-9:.]{8,15} )?=> Send (header|data|SSL data)`)
	traceLine   = pattern(`^[0-9a-f]{4,8}: (.*)$`)
	azcoreBlock = pattern(`==> OUTGOING REQUEST \(Try=`)
	loggedURL   = pattern(`\b(GET|POST|PUT)\s+["']?(https?://[^\s"'<>]+)`)
	urllibLine  = pattern(`(https?)://([^\s/"]+?)(?::(?:443|80))? "([A-Z]+) (/\S*) HTTP/[0-9.]+"`)
	undiciLine  = pattern(`\b(?:FETCH|UNDICI) \d+:`)
)

// logReader reads a log line by line.
type logReader struct {
	text   string
	places cursor
	from   int // offset of the line that is read
	to     int // offset behind it
	line   int

	open    *Captured // the request that is being read
	openAt  int       // its offset
	head    bool      // its headers go on
	block   string    // of what its lines are: "curl", "trace", "azcore", "python"
	sending string    // trace: header or data
	wrapped bool      // trace: the last line of data was full
	http    bool      // curl: the connection is not TLS
	body    strings.Builder

	found []Captured
}

// parseLog returns the requests of a wire log.
func parseLog(text string) []Captured {
	r := logReader{text: text, places: cursor{text: text}}
	for line := range strings.Lines(text) {
		r.line++
		r.to += len(line)
		r.read(strings.TrimRight(line, lineEnds))
		r.from = r.to
	}
	r.finish()
	return r.withoutDoubles()
}

// read takes one line.
func (r *logReader) read(line string) {
	if len(line) > maxFilled {
		return
	}
	if m := curlPort().FindStringSubmatch(line); m != nil {
		r.http = m[1] == "80"
	}
	switch {
	case pythonSend().MatchString(line):
		r.python(pythonText(pythonSend().FindStringSubmatch(line)[1]))
	case pythonReply().MatchString(line):
		r.finish()
	case traceSend().MatchString(line):
		r.sending, r.wrapped = traceSend().FindStringSubmatch(line)[1], false
	case strings.Contains(line, "<= Recv"), strings.Contains(line, "== Info:"):
		r.sending = ""
	case r.sending != "" && traceLine().MatchString(line):
		r.trace(traceLine().FindStringSubmatch(line)[1])
	case azcoreBlock().MatchString(line):
		r.finish()
		r.block = "azcore"
	case r.block == "azcore" && strings.HasPrefix(line, "   "):
		r.azcore(strings.TrimSpace(line))
	case curlSent().MatchString(line):
		r.curl(curlSent().FindStringSubmatch(line)[1])
	default:
		r.mention(line)
	}
}

// start opens a request if line is a request line.
func (r *logReader) start(block, line string) {
	r.finish()
	m := requestLine().FindStringSubmatch(line)
	if m == nil {
		return
	}
	r.open = &Captured{Kind: kindLog, Line: r.line, Place: fmt.Sprintf("line %d", r.line), Method: strings.ToUpper(m[1]), URL: m[2]}
	r.openAt, r.head, r.block = r.from, true, block
}

// header adds a header line to the open request.
func (r *logReader) header(line string) {
	if m := headerLine().FindStringSubmatch(line); m != nil && len(r.open.Header) < maxFields {
		r.open.Header = append(r.open.Header, Header{m[1], strings.TrimSpace(m[2]), r.line})
	}
}

// finish closes the open request. One whose body the log leaves out is marked.
func (r *logReader) finish() {
	c := r.open
	body := r.body.String()
	r.open, r.block = nil, ""
	r.body.Reset()
	if c == nil {
		return
	}
	pseudo(c)
	c.URL = absolute(c.URL, *c)
	if r.http && strings.HasPrefix(c.URL, "https://") {
		c.URL = "http://" + strings.TrimPrefix(c.URL, "https://")
	}
	c.Body = []byte(body)
	if body == "" {
		c.BodyLine = 0
		length, _ := c.header("Content-Length")
		c.noBody = length.Value != "0" && c.Method != "GET"
	}
	c.source = r.places.origin(r.openAt, r.from)
	r.found = append(r.found, *c)
}

// python takes what one call of http.client sent: a head, or a body.
func (r *logReader) python(sent string) {
	if !versionedLine().MatchString(firstLine(sent)) {
		if r.open != nil && r.block == "python" {
			r.addBody(sent)
		}
		return
	}
	head, body, _ := strings.Cut(sent, "\r\n\r\n")
	line, rest, _ := strings.Cut(head, "\r\n")
	r.start("python", line)
	for header := range strings.SplitSeq(rest, "\r\n") {
		if r.open != nil {
			r.header(header)
		}
	}
	if r.open != nil {
		r.addBody(body)
	}
}

func (r *logReader) addBody(text string) {
	if r.body.Len() == 0 {
		r.open.BodyLine = r.line
	}
	if r.body.Len()+len(text) <= maxPlain {
		r.body.WriteString(text)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\r\n")
	return line
}

// pythonText undoes the escapes of a Python literal of bytes.
func pythonText(literal string) string {
	inner := literal[1 : len(literal)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' || i+1 == len(inner) {
			b.WriteByte(inner[i])
			continue
		}
		i++
		switch c := inner[i]; {
		case c == 'x' && i+2 < len(inner) && isHex(inner[i+1]) && isHex(inner[i+2]):
			b.WriteByte(unhex(inner[i+1])<<4 | unhex(inner[i+2]))
			i += 2
		case c == 'n':
			b.WriteByte('\n')
		case c == 'r':
			b.WriteByte('\r')
		case c == 't':
			b.WriteByte('\t')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// curl takes a line behind the > of curl -v, which shows no body.
func (r *logReader) curl(sent string) {
	switch {
	case versionedLine().MatchString(sent):
		r.start("curl", sent)
	case r.open == nil || r.block != "curl" || !r.head:
	case strings.TrimSpace(sent) == "":
		r.head = false
	default:
		r.header(sent)
	}
}

// traceWidth is where curl --trace-ascii breaks a line of what was sent.
const traceWidth = 64

// trace takes a line of what curl --trace-ascii shows of the bytes sent. It
// breaks lines at line ends too, which are all that is left of them.
func (r *logReader) trace(sent string) {
	switch {
	case r.sending == "SSL data":
	case r.sending == "header" && versionedLine().MatchString(sent):
		r.start("trace", sent)
	case r.open == nil || r.block != "trace":
	case r.sending == "header":
		r.header(sent)
	default:
		if r.body.Len() > 0 && !r.wrapped {
			sent = "\n" + sent
		}
		r.wrapped = len(strings.TrimPrefix(sent, "\n")) >= traceWidth
		r.addBody(sent)
	}
}

// azcore takes a line of a block of azcore's log.
func (r *logReader) azcore(line string) {
	switch {
	case r.open == nil:
		if loggedURL().MatchString(line) {
			r.start("azcore", line)
		}
	case line == "Request contained no body":
		r.open.Header = append(r.open.Header, Header{"Content-Length", "0", r.line})
	default:
		r.header(line)
	}
}

// mention takes a line that may name a request and nothing else of it.
func (r *logReader) mention(line string) {
	if r.open != nil && (r.block == "azcore" || r.block == "curl" && (r.head || strings.HasPrefix(line, "< HTTP/"))) {
		r.finish()
	}
	method, address := "", ""
	if m := loggedURL().FindStringSubmatch(line); m != nil {
		method, address = m[1], m[2]
	} else if m := urllibLine().FindStringSubmatch(line); m != nil {
		method, address = m[3], m[1]+"://"+m[2]+m[4]
	}
	address = strings.TrimRight(address, `\.,;)]}`)
	if undiciLine().MatchString(line) {
		scheme, rest, _ := strings.Cut(address, "://")
		address = scheme + "://" + strings.Replace(rest, "//", "/", 1) // it joins origin and path with a slash of its own
	}
	if t := parseTarget(address); !t.has("token") && !t.has("oauth2") || t.has(".well-known") {
		return
	}
	r.found = append(r.found, Captured{
		Kind: kindLog, Line: r.line, Place: fmt.Sprintf("line %d", r.line), Method: method, URL: address,
		noBody: method != "GET", source: r.places.origin(r.from, r.to),
	})
}

// withoutDoubles drops requests without a body that are named again, or whose
// body stands elsewhere in the log: clients log one request several times.
func (r *logReader) withoutDoubles() []Captured {
	known := map[string]bool{}
	var kept []Captured
	for _, c := range r.found {
		if !c.noBody {
			known[c.Method+" "+c.URL] = true
		}
	}
	for _, c := range r.found {
		key := c.Method + " " + c.URL
		if c.noBody && known[key] {
			continue
		}
		known[key] = true
		kept = append(kept, c)
	}
	return kept
}
