package aadsts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrNotJSON is returned for a body that is no JSON: a proxy's HTML page,
	// an empty answer, JSON that was cut short. Find may still read it.
	ErrNotJSON = errors.New("aadsts: not JSON")
	// ErrNoError is returned for JSON that is not an error of the token
	// endpoint: it has no `error`, `error_codes` or `error_description` of the
	// right type.
	ErrNoError = errors.New("aadsts: no error in the JSON")
)

// A Body is an error of the token endpoint.
type Body struct {
	// Failure is what the members say and, where one is missing or redacted,
	// what the description says. Its span is that of the JSON value.
	Failure
	// Description is the `error_description` member as it was sent.
	Description string
	// ErrorURI is the `error_uri` member: the help page, if there is one.
	ErrorURI string
}

// ParseBody reads the error that the token endpoint answers, v1 or v2:
//
//	{"error":"invalid_client","error_description":"AADSTS7000215: …","error_codes":[7000215],
//	 "timestamp":"2025-01-09 08:26:10Z","trace_id":"…","correlation_id":"…","error_uri":"…"}
//
// Members may come in any order; those that are unknown, null or of the wrong
// type count as absent, and of a member that comes twice the last counts. A
// byte order mark before the value and anything behind it are ignored. The
// error is or wraps [ErrNotJSON] or [ErrNoError] and quotes at most 40 bytes
// of the body.
func ParseBody(body []byte) (Body, error) {
	text := bytes.TrimPrefix(body, []byte("\uFEFF"))
	text = bytes.TrimLeft(text, " \t\r\n")
	start := len(body) - len(text)
	dec := json.NewDecoder(bytes.NewReader(text))
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return Body{}, fmt.Errorf("%w: %s", ErrNotJSON, seen(text))
	}
	var m members
	if value[0] != '{' || json.Unmarshal(value, &m) != nil {
		return Body{}, fmt.Errorf("%w: no object but %s", ErrNoError, seen(text))
	}
	oauth, codes, description := m.text("error"), m.codes(), m.text("error_description")
	if oauth == "" && len(codes) == 0 && description == "" {
		return Body{}, fmt.Errorf("%w: its members are %s", ErrNoError, m.names())
	}
	b := Body{Failure: inDescription(description), Description: description, ErrorURI: m.text("error_uri")}
	b.Start, b.End = start, start+int(dec.InputOffset())
	b.OAuthError = oauth
	if len(codes) > 0 {
		b.Codes, b.Code = codes, mostSpecific(codes)
	}
	b.SubError = m.text("suberror")
	b.Claims = m.claims()
	b.takeIDs(m)
	return b, nil
}

// inDescription returns the first failure that a description tells of.
func inDescription(description string) Failure {
	for f := range FindString(description) {
		return f
	}
	return Failure{}
}

// takeIDs prefers the members to the description, where somebody may have
// redacted the one and not the other.
func (b *Body) takeIDs(m members) {
	for key, id := range map[string]*string{"trace_id": &b.TraceID, "correlation_id": &b.CorrelationID} {
		text := strings.TrimSpace(m.text(key))
		sc := scanner{s: text}
		if guid, end := sc.guid(0); end == len(text) && end > 0 {
			*id = guid
		}
	}
	sc := scanner{s: strings.TrimSpace(m.text("timestamp"))}
	if at, end := sc.time(0, true); end > 0 {
		b.Timestamp = at
	}
}

// members are those of a JSON object, not decoded yet.
type members map[string]json.RawMessage

// text returns a member that is a string, else "".
func (m members) text(key string) string {
	var s string
	if json.Unmarshal(m[key], &s) != nil {
		return ""
	}
	return s
}

// codes returns error_codes: numbers, or strings with numbers.
func (m members) codes() []int {
	const maxCodes = 16
	var list []json.RawMessage
	if json.Unmarshal(m["error_codes"], &list) != nil {
		list = []json.RawMessage{m["error_codes"]} // one number without brackets
	}
	var codes []int
	for _, item := range list[:min(len(list), maxCodes)] {
		digits := strings.Trim(string(item), `" `)
		if code, err := strconv.Atoi(digits); err == nil && code >= 1000 && code <= 99_999_999 && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}

// claims returns the JSON text of the member, which is a string that holds
// JSON, or the JSON itself.
func (m members) claims() string {
	if s := m.text("claims"); s != "" {
		return s
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(m["claims"], &object) != nil || object == nil {
		return ""
	}
	var compact bytes.Buffer
	if json.Compact(&compact, m["claims"]) != nil {
		return ""
	}
	return compact.String()
}

const maxSeen = 40

// seen describes what a body starts with.
func seen(text []byte) string {
	if len(text) == 0 {
		return "empty"
	}
	return fmt.Sprintf("starts with %q", cut(string(text[:min(len(text), maxSeen+1)]), maxSeen))
}

// names lists the members. Values are left out: the body may be a token.
func (m members) names() string {
	if len(m) == 0 {
		return "none"
	}
	return fmt.Sprintf("%q", cut(strings.Join(slices.Sorted(maps.Keys(m)), " "), maxSeen))
}
