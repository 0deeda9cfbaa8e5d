package request

import (
	"fmt"
	"net/url"
	"strings"
)

var (
	psCommand    = pattern(`(?i)^(?:Invoke-RestMethod|Invoke-WebRequest|irm|iwr|wget|curl(?:\.exe)?)(?:[ \t\x60]|$)`)
	psAssignment = pattern(`^\$(?:\{([^{}\n]+)\}|((?:(?i:global|script|local|private):)?\w+))[ \t]*(\+?=)[^=]`)
	psParameter  = pattern(`^-([A-Za-z]\w*)(:?)`)
)

// psParameters are the parameters that matter, and how few letters name them.
var psParameters = []struct {
	name string
	min  int
}{
	{"uri", 1}, {"method", 3}, {"body", 1}, {"headers", 2}, {"contenttype", 3}, {"form", 4}, {"infile", 2}, {"custommethod", 3},
}

// psSwitches are the parameters without a value.
var psSwitches = set(`usebasicparsing usedefaultcredentials disablekeepalive skipcertificatecheck skipheadervalidation skiphttperrorcheck
	passthru resume allowunencryptedauthentication preserveauthorizationonredirect noproxy followrellink verbose debug`)

// parsePowerShell returns the requests that the commands of a PowerShell
// script make. found reports whether there was such a command; err is why the
// first unreadable one was.
func parsePowerShell(text string) (commands []Captured, found bool, err error) {
	if shellOf(text) != shellPowerShell {
		return nil, false, nil
	}
	s := &psScanner{src: text, line: 1, vars: map[string]psValue{}}
	places := cursor{text: text}
	begins := true // a command can stand here
	for s.pos < len(text) && len(commands) < maxCommands {
		s.blank(true)
		rest := s.rest()
		if rest == "" {
			break
		}
		if m := psAssignment().FindStringSubmatch(rest); m != nil {
			s.advance(len(m[0]) - 1)
			s.blank(true)
			if !psCommand().MatchString(s.rest()) && !strings.HasPrefix(s.rest(), "(") && len(s.vars) < maxVariables {
				s.assign(strings.ToLower(m[1]+m[2]), m[3], s.expression())
			}
			begins = true
		} else if begins && psCommand().MatchString(rest) {
			found = true
			start, line := s.pos, s.line
			c := s.command()
			if s.openAt > 0 {
				return commands, found, fail("read PowerShell command", "the quote or bracket opened at "+positionOf(text, s.openAt-1)+" is never closed", unclosedNext)
			}
			c.Line, c.Place = line, fmt.Sprintf("line %d", line)
			c.source = places.origin(max(0, start-maxFilled), s.pos)
			c.source.last = true
			commands = append(commands, c)
		} else {
			begins = strings.IndexByte("({;|=&>", rest[0]) >= 0 || len(rest) > 1 && rest[1] == '\n' || rest[0] == '}'
			s.word()
		}
	}
	return commands, found, err
}

// assign sets a variable, or adds to its text.
func (s *psScanner) assign(name, operator string, v psValue) {
	if old := s.vars[name]; operator == "+=" && !v.isSet && !old.isSet {
		v.text, v.live = old.text+v.text, append(old.live, v.live...)
	}
	if len(v.text) <= maxFilled {
		s.vars[name] = v
	}
}

// word passes over a word, a string or a sign.
func (s *psScanner) word() {
	rest := s.rest()
	n := 0
	for n < len(rest) && isNameByte(rest[n]) {
		n++
	}
	if n > 0 {
		s.advance(n)
		return
	}
	s.skip()
}

// command reads a command and makes its request.
func (s *psScanner) command() Captured {
	name := psCommand().FindString(s.rest())
	start := s.pos
	s.advance(len(strings.TrimRight(name, " \t`")))
	s.cut = 0
	call := psCall{params: map[string]psValue{}}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "curl") || strings.HasPrefix(lower, "wget") {
		line := s.line
		if words := s.words(); !words.isCmdlet() {
			c := curlRequest(words.command(s.cut, line), line)
			return c
		}
		s.pos, s.line, s.cut = start+len(strings.TrimRight(name, " \t`")), line, 0 // an alias of Invoke-WebRequest
	}
	for s.more() {
		s.argument(&call)
	}
	return call.request(s.cut)
}

// more reports whether the command goes on.
func (s *psScanner) more() bool {
	s.blank(false)
	return s.pos < len(s.src) && strings.IndexByte("\n;|)}&", s.src[s.pos]) < 0
}

// psWords are the arguments of a program.
type psWords []psValue

func (s *psScanner) words() psWords {
	var words psWords
	for s.more() {
		words = append(words, s.primary())
	}
	return words
}

// isCmdlet reports whether curl is the alias of Windows PowerShell 5.1.
func (w psWords) isCmdlet() bool {
	for _, v := range w {
		switch strings.ToLower(v.text) {
		case "-uri", "-body", "-method", "-headers", "-contenttype", "-usebasicparsing":
			return true
		}
	}
	return false
}

func (w psWords) command(cut, line int) command {
	cmd := command{words: []word{{"curl", line}}, cutLine: cut}
	for _, v := range w {
		cmd.words = append(cmd.words, word{v.text, v.line})
		cmd.live = append(cmd.live, v.lives()...)
	}
	return cmd
}

// psCall is a call of Invoke-RestMethod or Invoke-WebRequest.
type psCall struct {
	params map[string]psValue
	live   []string
}

// argument reads a parameter with its value, a splatted hashtable, or the URL.
func (s *psScanner) argument(call *psCall) {
	rest := s.rest()
	m := psParameter().FindStringSubmatch(rest)
	switch {
	case m != nil:
		s.advance(len(m[0]))
		name := parameterName(m[1])
		if psSwitches[name] && m[2] == "" || !s.more() {
			return
		}
		if m[2] == "" && psParameter().MatchString(s.rest()) {
			return // a switch
		}
		call.set(name, s.argumentValue())
	case len(rest) > 1 && rest[0] == '@' && isNameByte(rest[1]):
		s.advance(1)
		n := 0
		for n < len(s.rest()) && isNameByte(s.rest()[n]) && s.rest()[n] != '-' {
			n++
		}
		name := s.rest()[:n]
		s.advance(n)
		for _, p := range s.vars[strings.ToLower(name)].table {
			call.set(parameterName(p.key), p.value)
		}
	default:
		v := s.argumentValue()
		if _, named := call.params["uri"]; !named {
			call.set("uri", v)
		}
	}
}

// argumentValue reads a value in an argument, where no operator counts, unless
// in brackets.
func (s *psScanner) argumentValue() psValue {
	if strings.HasPrefix(s.rest(), "$") {
		// $base/token is one word, a variable and what follows it.
		m := psVariable().FindString(s.rest())
		if after := s.rest()[len(m):]; m != "" && after != "" && strings.IndexByte("/?-&:", after[0]) >= 0 {
			return s.bare()
		}
	}
	return s.primary()
}

func (c *psCall) set(name string, v psValue) {
	c.params[name] = v
	c.live = append(c.live, v.lives()...)
}

// parameterName completes the name of a parameter.
func parameterName(short string) string {
	short = strings.ToLower(short)
	for _, p := range psParameters {
		if len(short) >= p.min && strings.HasPrefix(p.name, short) {
			return p.name
		}
	}
	return short
}

// request is the HTTP request of the call. A hashtable becomes a form, or with
// GET the query; the Content-Type of a POST is that of a form unless named
// (documentation of Invoke-RestMethod; not run).
func (c *psCall) request(cut int) Captured {
	r := Captured{Kind: kindPowerShell, Method: "GET", URL: c.params["uri"].text, live: c.live, cutLine: cut}
	if v, ok := c.params["method"]; ok {
		r.Method = strings.ToUpper(v.text)
	} else if v, ok := c.params["custommethod"]; ok {
		r.Method = strings.ToUpper(v.text)
	}
	if r.URL != "" && !strings.Contains(r.URL, "://") && !r.isLive(r.URL) {
		r.URL = "http://" + r.URL
	}
	for _, p := range c.params["headers"].table {
		r.Header = append(r.Header, Header{p.key, p.value.text, p.value.line})
	}
	if v, ok := c.params["contenttype"]; ok {
		r.Header = append(r.Header, Header{"Content-Type", v.text, v.line})
	}
	_, r.elsewhere = c.params["infile"]
	mediaType := formType
	if body, ok := c.params["body"]; ok {
		r.BodyLine = body.line
		c.body(&r, body)
	} else if parts, ok := c.params["form"]; ok {
		text, boundary := multipart(c.pairs(parts, &r))
		r.Body, r.BodyLine, mediaType = []byte(text), parts.line, "multipart/form-data; boundary="+boundary
	}
	if _, named := r.header("Content-Type"); !named && len(r.Body) > 0 && r.Method == "POST" {
		r.Header = append(r.Header, Header{Name: "Content-Type", Value: mediaType})
	}
	return r
}

func (c *psCall) body(r *Captured, body psValue) {
	switch {
	case !body.isSet:
		for _, live := range body.live {
			r.elsewhere = r.elsewhere || live == body.text && body.text != ""
		}
		r.Body = []byte(body.text)
	case r.Method == "GET":
		separator := "?"
		if strings.Contains(r.URL, "?") {
			separator = "&"
		}
		r.URL, r.BodyLine = r.URL+separator+encodeForm(c.pairs(body, r)), 0
	default:
		r.Body = []byte(encodeForm(c.pairs(body, r)))
	}
}

// pairs returns the members of a hashtable; what is not known of them stays so
// when it is encoded.
func (c *psCall) pairs(v psValue, r *Captured) []nameValue {
	var pairs []nameValue
	for _, p := range v.table {
		pairs = append(pairs, nameValue{p.key, p.value.text})
		for _, live := range p.value.lives() {
			r.live = append(r.live, url.QueryEscape(live))
		}
	}
	return pairs
}
