// Package request reads captured OAuth2 token requests to Microsoft Entra ID
// and names everything that is wrong with them.
//
// [Parse] takes what people have at hand: raw HTTP, a curl command or a HAR
// export. [Lint] reports all faults of one request at once, each with its
// cause and place, and writes the request as it should have been.
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
	"strings"
)

// The kinds of capture.
const (
	kindHTTP = "http"
	kindCurl = "curl"
	kindHAR  = "har"
)

// Captured is one request as it was sent, or would have been sent.
//
// URL, Header and Body may hold the secret: print a Captured only as a whole,
// which shows the method and nothing else.
type Captured struct {
	Kind     string   // "http", "curl" or "har"
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
}

// Report is what [Lint] finds.
type Report struct {
	Faults    []Fault `json:"faults"`    // empty, never nil, when nothing is wrong
	Corrected string  `json:"corrected"` // a raw HTTP request, secrets as ***, unknown parts as <name>
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
// .http files, HTTP/2 pseudo headers and several requests in a row), curl
// commands in bash quoting, or a HAR document, of which it keeps the entries
// that ask for a token. Other requests beside a token request are left out.
func Parse(data []byte) ([]Captured, error) {
	text, err := decodeText(data)
	if err != nil {
		return nil, err
	}
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") {
		return parseHAR(text)
	}
	if len(text) > maxPlain {
		return nil, fail("read request", fmt.Sprintf("the input has %d bytes, and a token request has a few thousand", len(text)),
			"cut the one request out of it")
	}
	switch {
	case startsHTTP(text):
		return tokenRequests(parseHTTP(text), nil)
	case statusLine(trimmed):
		return nil, fail("read request", "this is a response, not a request", "paste the request, or give the response to: credsmith explain")
	}
	if commands, found, err := parseCurl(text); found {
		return tokenRequests(commands, err)
	}
	return nil, unrecognised(trimmed)
}

// unrecognised guesses what was pasted instead of a request. The input may
// hold a secret anywhere, so no part of it is repeated.
func unrecognised(text string) error {
	why, next := "this is neither raw HTTP, a curl command nor a HAR document",
		"paste the request line, the headers, an empty line and the body, or the curl command"
	switch {
	case strings.Contains(text, "AADSTS"):
		why, next = "this is the text of an error, not a request", "paste the request, or give the error to: credsmith explain"
	case strings.Contains(text, "grant_type="), strings.Contains(text, "client_id="), strings.Contains(text, "client_secret="):
		why, next = "this is a body without its request", "put the request line, the headers and an empty line above it"
	}
	return fail("read request", why, next)
}

// tokenRequests keeps the token requests of all. err is why some of the input
// could not be read; it matters only when nothing is left.
func tokenRequests(all []Captured, err error) ([]Captured, error) {
	var kept []Captured
	for _, c := range all {
		r := read(c)
		if !r.asksForToken() {
			continue
		}
		if c.elsewhere {
			return nil, fail("read request at "+c.Place, "the body stands in a file or variable that is only named",
				"put its content in its place")
		}
		kept = append(kept, c)
	}
	switch {
	case len(kept) > 0:
		return kept, nil
	case err != nil:
		return nil, err
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
