package request

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// curlCommand is the word curl where a command can stand.
var curlCommand = pattern("(?m)(?:^|[ \t;|&(`>])((?:[^\\s;|&(`>'\"=]*[/\\\\])?curl(?:\\.exe)?)[ \t\\\\^`]")

// Options of curl that take a value, besides those [curlBuilder.option] reads.
// An option missing here is taken for one without; the value it has then
// counts as a second URL, of which the likelier is kept.
const (
	curlShortValues = "AbcCDeEhKmoPQrtTwxyYzd" + "FHuX"
	curlLongValues  = " abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type ciphers config connect-timeout connect-to " +
		"continue-at cookie cookie-jar create-file-mode crlfile curves delegation dns-interface dns-ipv4-addr dns-servers doh-url " +
		"dump-header ech engine etag-compare etag-save expect100-timeout form-string happy-eyeballs-timeout-ms haproxy-clientip hostpubsha256 " +
		"hsts interface ip-tos ipfs-gateway keepalive-time key key-type krb libcurl limit-rate local-port login-options max-filesize max-redirs " +
		"max-time netrc-file noproxy oauth2-bearer output output-dir parallel-max pass pinnedpubkey preproxy proto proto-default proto-redir " +
		"proxy proxy-cacert proxy-cert proxy-header proxy-key proxy-pass proxy-user proxy1.0 quote random-file range rate referer resolve " +
		"retry retry-delay retry-max-time sasl-authzid service-name socks4 socks4a socks5 socks5-hostname speed-limit speed-time stderr " +
		"time-cond tls-max tls13-ciphers trace trace-ascii trace-config unix-socket upload-file url-query user-agent variable vlan-priority write-out "
)

// maxCommands bounds the work on input that is no script a person wrote.
const maxCommands = 500

// parseCurl returns the curl commands of text. found reports whether there was
// any; err is why the first unreadable one was.
func parseCurl(text string) (commands []Captured, found bool, err error) {
	lex := lexCommand
	switch shellOf(text) {
	case shellPowerShell:
		return nil, false, nil // parsePowerShell reads them
	case shellCmd:
		lex = lexCmd
	}
	places := cursor{text: text}
	for pos, n := 0, 0; pos < len(text) && n < maxCommands; n++ {
		m := curlCommand().FindStringSubmatchIndex(text[pos:])
		if m == nil {
			break
		}
		start := pos + m[2]
		pos += m[3]
		lineStart := 1 + strings.LastIndexByte(text[:start], '\n')
		if strings.HasPrefix(strings.TrimSpace(text[lineStart:start]), "#") {
			continue // commented out
		}
		found = true
		cmd := lex(text, start)
		if cmd.openAt > 0 {
			if err == nil {
				err = fail("read curl command", "the quote opened at "+positionOf(text, cmd.openAt-1)+" is never closed", unclosedNext)
			}
			continue
		}
		c := curlRequest(cmd, lineAt(text, start))
		c.source = places.origin(start, cmd.end)
		commands = append(commands, c)
		pos = cmd.end
	}
	return commands, found, err
}

const unclosedNext = "paste the whole command, as it stands in bash, PowerShell or cmd.exe"

// curlBuilder collects what the options of one command ask for.
type curlBuilder struct {
	c         Captured
	urls      []string
	data      []string // the pieces of -d, joined with & when sent
	json      []string
	form      []string // the parts of -F
	get       bool
	method    string
	implied   string // by options other than -X
	elsewhere bool
}

// curlRequest reads the options of one command.
func curlRequest(cmd command, line int) Captured {
	b := curlBuilder{c: Captured{Kind: kindCurl, Line: line, Place: fmt.Sprintf("line %d", line), live: cmd.live, cutLine: cmd.cutLine}}
	words := cmd.words[1:]
	for i := 0; i < len(words); i++ {
		i += b.argument(words[i], words[i+1:])
	}
	return b.finish()
}

// argument reads one word and reports how many of next it used as a value.
func (b *curlBuilder) argument(w word, next []word) int {
	switch {
	case strings.HasPrefix(w.text, "--"):
		return b.long(w, next)
	case len(w.text) > 1 && w.text[0] == '-':
		return b.short(w, next)
	}
	b.urls = append(b.urls, w.text)
	return 0
}

// long reads a word like --data.
func (b *curlBuilder) long(w word, next []word) int {
	name := w.text[2:]
	if _, read := curlOptions[name]; read || strings.Contains(curlLongValues, " "+name+" ") {
		if len(next) == 0 {
			return 0
		}
		b.option(name, next[0])
		return 1
	}
	switch name {
	case "get":
		b.get = true
	case "head":
		b.implied = "HEAD"
	}
	return 0
}

// short reads a word like -sS, -XPOST or -d.
func (b *curlBuilder) short(w word, next []word) int {
	for i := 1; i < len(w.text); i++ {
		switch letter := w.text[i]; {
		case letter == 'G':
			b.get = true
		case letter == 'I':
			b.implied = "HEAD"
		case strings.IndexByte(curlShortValues, letter) < 0:
		case i+1 < len(w.text):
			b.option(curlShort[letter], word{w.text[i+1:], w.line})
			return 0
		case len(next) > 0:
			b.option(curlShort[letter], next[0])
			return 1
		}
	}
	return 0
}

var (
	curlShort   = map[byte]string{'d': "data", 'F': "form", 'H': "header", 'u': "user", 'X': "request", 'T': "upload-file"}
	curlOptions = map[string]struct{}{
		"data": {}, "data-raw": {}, "data-ascii": {}, "data-binary": {}, "data-urlencode": {}, "json": {}, "form": {},
		"header": {}, "user": {}, "request": {}, "url": {},
	}
)

// option applies an option that has a value.
func (b *curlBuilder) option(name string, value word) {
	text := value.text
	switch name {
	case "data", "data-ascii", "data-binary", "json":
		if strings.HasPrefix(text, "@") {
			b.elsewhere = true
		}
		if name == "json" {
			b.json = append(b.json, text)
		} else {
			b.data = append(b.data, text)
		}
	case "data-raw":
		b.data = append(b.data, text)
	case "data-urlencode":
		b.data = append(b.data, b.urlencode(text))
	case "form", "form-string":
		b.form = append(b.form, text)
	case "header":
		b.header(value)
	case "user":
		b.header(word{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text)), value.line})
	case "request":
		b.method = strings.ToUpper(text)
	case "url":
		b.urls = append([]string{text}, b.urls...)
	case "upload-file":
		b.implied, b.elsewhere = "PUT", true
	}
	switch name {
	case "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json", "form", "form-string":
		if b.c.BodyLine == 0 {
			b.c.BodyLine = value.line
		}
	}
}

// urlencode encodes what follows the name, as --data-urlencode does. Content
// that curl would take from a file is not known.
func (b *curlBuilder) urlencode(text string) string {
	at := strings.IndexAny(text, "=@")
	if at < 0 {
		return escape(text)
	}
	name, content := text[:at], text[at+1:]
	if text[at] == '@' {
		content = text[at:]
		b.c.live = append(b.c.live, content, escape(content))
		return name + "=" + escape(content)
	}
	if name == "" {
		return escape(content)
	}
	return name + "=" + escape(content)
}

// escape percent-encodes text, a space as %20.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// header adds the value of -H.
func (b *curlBuilder) header(value word) {
	name, content, ok := strings.Cut(value.text, ":")
	if !ok {
		name, ok = strings.CutSuffix(value.text, ";") // a header without content
		if !ok {
			return
		}
	}
	b.c.Header = append(b.c.Header, Header{strings.TrimSpace(name), strings.TrimSpace(content), value.line})
}

// defaultHeader adds a header the command does not name itself.
func (b *curlBuilder) defaultHeader(name, content string) {
	if _, named := b.c.header(name); !named {
		b.c.Header = append(b.c.Header, Header{Name: name, Value: content})
	}
}

// finish settles what depends on several options: body, URL and method.
func (b *curlBuilder) finish() Captured {
	body := strings.Join(b.data, "&")
	b.c.URL = b.url()
	switch {
	case len(b.form) > 0:
		body = b.multipart()
	case len(b.json) > 0:
		body = strings.Join(b.json, "")
		b.defaultHeader("Content-Type", "application/json")
	case b.get && body != "":
		separator := "?"
		if strings.Contains(b.c.URL, "?") {
			separator = "&"
		}
		b.c.URL += separator + body
		body = ""
	case len(b.data) > 0:
		b.defaultHeader("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case b.method != "":
		b.c.Method = b.method
	case b.get:
		b.c.Method = "GET"
	case b.implied != "":
		b.c.Method = b.implied
	case len(b.data)+len(b.json)+len(b.form) > 0:
		b.c.Method = "POST"
	default:
		b.c.Method = "GET"
	}
	b.c.Body = []byte(body)
	for _, live := range b.c.live {
		b.elsewhere = b.elsewhere || body == live
	}
	b.c.elsewhere = b.elsewhere
	if body == "" {
		b.c.BodyLine = 0
	}
	return b.c
}

// url returns the likeliest of the words that may be the URL. Like curl it
// takes http for granted.
func (b *curlBuilder) url() string {
	if len(b.urls) == 0 {
		return ""
	}
	for _, u := range b.urls {
		if strings.Contains(u, "://") {
			return u
		}
	}
	if b.c.isLive(b.urls[0]) {
		return b.urls[0] // the variable may hold the scheme too
	}
	return "http://" + b.urls[0]
}

// multipart writes the parts of -F as curl would.
func (b *curlBuilder) multipart() string {
	var parts []nameValue
	for _, part := range b.form {
		name, content, _ := strings.Cut(part, "=")
		if strings.HasPrefix(content, "@") || strings.HasPrefix(content, "<") && !strings.HasSuffix(content, ">") {
			b.c.live = append(b.c.live, content)
		}
		parts = append(parts, nameValue{name, content})
	}
	body, boundary := multipart(parts)
	b.defaultHeader("Content-Type", "multipart/form-data; boundary="+boundary)
	return body
}

// multipart writes form-data with a boundary of its own.
func multipart(parts []nameValue) (body, boundary string) {
	boundary = "------------------------credsmith"
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, p.Name, p.Value)
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.String(), boundary
}
