// Package request reads captured OAuth2 token requests to Microsoft Entra ID
// and names everything that is wrong with them.
//
// [Parse] takes what people have at hand: raw HTTP and .http files, curl and
// PowerShell commands, HAR and Postman exports, wire logs of clients. [Lint]
// reports all faults of one request at once, each with its cause and place,
// and writes the request as it should have been.
// [Captured.Form] is what the server reads of a request, [Captured.Params]
// what its sender meant.
//
// The package does no I/O. A [Captured] holds the secret as it was sent; what
// leaves the package as text (faults, corrected requests, errors, a printed
// Captured) holds neither the secret nor a part of it.
package request

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// The kinds of capture.
const (
	kindHTTP       = "http"
	kindCurl       = "curl"
	kindPowerShell = "powershell"
	kindHAR        = "har"
	kindPostman    = "postman"
	kindLog        = "log"
)

// Captured is one request as it was sent, or would have been sent.
//
// URL, Header and Body may hold the secret: print a Captured only as a whole,
// which shows the method and nothing else.
type Captured struct {
	Kind     string   // "http", "curl", "powershell", "har", "postman" or "log"
	Place    string   // where in the input: "line 12", "entry 3"
	Line     int      // line of the request line or command, 0 if not known
	Method   string   // upper case
	URL      string   // absolute where the capture names a host
	Header   []Header // in the order sent
	Body     []byte   // as sent, without the line end an editor adds to a file
	BodyLine int      // line where Body starts, 0 if not known

	live      []string // what a shell or editor would still have replaced: $VAR, {{$dotenv NAME}}
	cutLine   int      // curl: line of an & outside quotes, which ends the command in a shell
	elsewhere bool     // the body stands in a file or variable the capture only names
	noBody    bool     // the capture leaves the body out, as most logs do
	source    origin   // what of the input the request was read from
}

// Header is one header line.
type Header struct {
	Name, Value string
	Line        int // 0 if not known
}

// Fault is one thing wrong with a request.
type Fault struct {
	Cause string `json:"cause"` // one of the product's cause identifiers
	Says  string `json:"says"`  // one sentence: what is wrong and what to do
	At    string `json:"at"`    // "url", "line 4", "body", "header NAME" or "parameter NAME"

	// Where At stands in the input, from 1, in characters; 0 if the request was
	// never text. What is missing stands where the body does.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Report is what [Lint] finds.
type Report struct {
	Faults    []Fault `json:"faults"`         // empty, never nil, when nothing is wrong
	Corrected string  `json:"corrected"`      // a raw HTTP request, secrets as ***, unknown parts as <name>
	Note      string  `json:"note,omitempty"` // what could not be looked at, and why
}

// ErrNotTokenRequest is in the chain of errors about input that holds
// requests, but none for a token.
var ErrNotTokenRequest = errors.New("not a token request")

// Error says why input could not be read as a token request.
type Error struct {
	Op   string // what was tried
	Err  error  // why it failed
	Next string // what to do about it
}

// Error returns all three parts on one line.
func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() + "; " + e.Next }

// Unwrap returns why it failed.
func (e *Error) Unwrap() error { return e.Err }

func fail(op, why, next string) error { return &Error{op, errors.New(why), next} }

// Parse reads the token requests of one capture, in order: raw HTTP (also
// .http files, HTTP/2 pseudo headers and several requests in a row), curl in
// the quoting of bash, PowerShell or cmd.exe, Invoke-RestMethod and
// Invoke-WebRequest, a HAR document or a Postman collection, or the wire log
// of a client. Other requests beside a token request are left out.
//
// Where a part of the input cannot be read, the requests of the rest are
// returned beside the error.
func Parse(data []byte) ([]Captured, error) {
	text, err := decodeText(data)
	if err != nil {
		return nil, err
	}
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "{{") {
		return parseJSON(text)
	}
	if len(text) > maxPlain {
		return nil, fail("read request", fmt.Sprintf("the input has %d bytes and the limit for text is %d: a token request has a few thousand", len(text), maxPlain),
			"cut the one request out of it")
	}
	switch {
	case startsHTTP(text):
		return tokenRequests(parseHTTP(text), nil)
	case statusLine(trimmed):
		return nil, fail("read request", "this is a response, not a request", "paste the request, or give the response to: credsmith explain")
	}
	commands, found, err := parseCommands(text)
	kept, err := tokenRequests(commands, err)
	if len(kept) > 0 {
		return kept, err
	}
	if logged := parseLog(text); len(logged) > 0 {
		return tokenRequests(logged, nil)
	}
	if found {
		return nil, err
	}
	return nil, unrecognised(trimmed)
}

// parseCommands returns the requests of curl and PowerShell commands, in order.
func parseCommands(text string) (commands []Captured, found bool, err error) {
	commands, found, err = parseCurl(text)
	scripted, scriptFound, scriptErr := parsePowerShell(text)
	commands = append(commands, scripted...)
	slices.SortStableFunc(commands, func(a, b Captured) int { return a.Line - b.Line })
	if err == nil {
		err = scriptErr
	}
	return commands, found || scriptFound, err
}

// unrecognised guesses what was pasted instead of a request. The input may
// hold a secret anywhere, so no part of it is repeated.
func unrecognised(text string) error {
	why, next := "this is neither raw HTTP, a curl or PowerShell command, a HAR document, a Postman collection nor a log with requests in it",
		"paste the request line, the headers, an empty line and the body, or the command that sends it"
	switch {
	case strings.Contains(text, "AADSTS"):
		why, next = "this is the text of an error, not a request", "paste the request, or give the error to: credsmith explain"
	case strings.Contains(text, "grant_type="), strings.Contains(text, "client_id="), strings.Contains(text, "client_secret="):
		why, next = "this is a body without its request", "put the request line, the headers and an empty line above it"
	}
	return fail("read request", why, next)
}

// tokenRequests keeps the token requests of all. err is why some of the input
// could not be read; it goes before what is said of the rest.
func tokenRequests(all []Captured, err error) ([]Captured, error) {
	var kept []Captured
	for _, c := range all {
		r := read(c)
		if !r.asksForToken() {
			continue
		}
		if c.elsewhere {
			if err == nil {
				err = fail("read request at "+c.Place, "the body stands in a file or variable that is only named",
					"put its content in its place")
			}
			continue
		}
		kept = append(kept, c)
	}
	switch {
	case len(kept) > 0, err != nil:
		return kept, err
	case len(all) == 0:
		return nil, fail("read request", "no request is in it", "paste the POST to …/oauth2/v2.0/token")
	}
	return nil, notToken(all)
}

// notToken is the error for requests of which none is for a token.
func notToken(all []Captured) error {
	first := all[0]
	what := showMethod(first.Method) + " " + showURL(first.URL)
	if len(all) > 1 {
		what += fmt.Sprintf(", the first of %d requests,", len(all))
	}
	return &Error{"read request", fmt.Errorf("%s is %w", what, ErrNotTokenRequest), "paste the POST to …/oauth2/v2.0/token"}
}

// header returns the first header of that name.
func (c Captured) header(name string) (Header, bool) {
	for _, h := range c.Header {
		if strings.EqualFold(h.Name, name) {
			return h, true
		}
	}
	return Header{}, false
}

// isLive reports whether text holds something that was not yet replaced when
// the request was captured, so that nothing can be said of it.
func (c Captured) isLive(text string) bool {
	for _, live := range c.live {
		if strings.Contains(strings.ToLower(text), strings.ToLower(live)) { // hosts are read in lower case
			return true
		}
	}
	return false
}

// Format writes the method, whatever the verb.
func (c Captured) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%s request [redacted]", showMethod(c.Method))
}

// LogValue returns the same as Format.
func (c Captured) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON always fails: a Captured holds the secret.
func (Captured) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a captured request does not encode: it holds the secret")
}
