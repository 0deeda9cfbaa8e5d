package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// harEntry is what matters of an entry of a HAR document.
type harEntry struct {
	Request struct {
		Method   string      `json:"method"`
		URL      string      `json:"url"`
		Headers  []nameValue `json:"headers"`
		PostData *struct {
			MimeType string      `json:"mimeType"`
			Text     string      `json:"text"`
			Params   []nameValue `json:"params"`
		} `json:"postData"`
	} `json:"request"`
}

// nameValue is a header or a parameter.
type nameValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	harNext     = "export the HAR again, with content and sensitive data included"
	postmanNext = "export the collection again, as Collection v2.1"
)

// parseJSON returns the token requests of a HAR document or a Postman
// collection. Of a document that breaks off it reads what is whole.
func parseJSON(text string) ([]Captured, error) {
	entries, isHAR, err := elements(text, "log", "entries")
	if len(entries) > 0 {
		return harRequests(text, entries, err)
	}
	if items, found, itemErr := elements(text, "item"); found && (len(items) > 0 || itemErr == nil) {
		return postmanRequests(text, items, itemErr)
	}
	if isHAR && err == nil {
		return nil, fail("read HAR", "it has no entries", "record while the application signs in, then export again")
	}
	if len(text) <= maxPlain {
		if logged := parseLog(text); len(logged) > 0 { // one JSON object a line
			return tokenRequests(logged, nil)
		}
	}
	if err != nil {
		return nil, fail("read HAR", jsonFlaw(text, err), harNext)
	}
	return nil, otherJSON(text)
}

// otherJSON says what a JSON document is that holds no requests.
func otherJSON(text string) error {
	var doc struct {
		Error       any `json:"error"`
		GrantType   any `json:"grant_type"`
		AccessToken any `json:"access_token"`
	}
	_ = json.Unmarshal([]byte(text), &doc) // its form was checked before
	switch {
	case doc.Error != nil:
		return fail("read request", "this is the body of an error response", "paste the request, or give the error to: credsmith explain")
	case doc.AccessToken != nil:
		return fail("read request", "this is the body of a successful response", "nothing is wrong with a request that got a token")
	case doc.GrantType != nil:
		return fail("read request", "this is a body without its request", "put the request line, the headers and an empty line above it")
	}
	return fail("read HAR", "this is JSON, but has neither the log.entries of a HAR nor the item of a Postman collection", harNext)
}

// element is one value of a JSON document with its place in it.
type element struct {
	raw      json.RawMessage
	from, to int
}

// errJSONType stands for a value of another type than the format has behind
// offset.
type errJSONType struct{ offset int }

func (errJSONType) Error() string { return "value of another type" }

// elements returns the elements of the array at path, as far as they are well
// formed, and whether the path is there. The error is of any part of the
// document.
func elements(text string, path ...string) (found []element, there bool, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	if err := wantDelim(d, '{'); err != nil {
		return nil, false, err
	}
	for d.More() {
		key, err := token(d)
		if err != nil {
			return nil, false, err
		}
		switch {
		case key != any(path[0]):
			_, err = value(d, text)
		case len(path) > 1:
			path = path[1:]
			if err = wantDelim(d, '{'); err == nil {
				continue // the rest of the document is not looked at
			}
		default:
			found, err = array(d, text)
			return found, true, err
		}
		if err != nil {
			return nil, false, err
		}
	}
	_, err = token(d)
	return nil, false, err
}

// array reads the elements of an array that d stands in front of.
func array(d *json.Decoder, text string) (found []element, err error) {
	if err := wantDelim(d, '['); err != nil {
		return nil, err
	}
	for d.More() {
		raw, err := value(d, text)
		if err != nil {
			return found, err
		}
		to := int(d.InputOffset())
		found = append(found, element{raw, to - len(raw), to})
	}
	_, err = token(d)
	return found, err
}

func wantDelim(d *json.Decoder, want json.Delim) error {
	before := int(d.InputOffset())
	t, err := token(d)
	if err == nil && t != any(want) {
		return errJSONType{before}
	}
	return err
}

// jsonFlaw says why text is not the JSON it should be. The decoder's own text
// may repeat a part of the input, so only its position is used.
func jsonFlaw(text string, err error) string {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	wrongType, isType := errors.AsType[errJSONType](err)
	end := len(strings.TrimSpace(text))
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isSyntax && int(syntax.Offset) >= end:
		return "the JSON breaks off at " + positionOf(text, end)
	case isSyntax:
		return "the JSON is malformed at " + positionOf(text, max(0, int(syntax.Offset)-1))
	case isType:
		behind := strings.TrimLeft(text[wrongType.offset:], ":, \t\r\n")
		return "the JSON at " + positionOf(text, len(text)-len(behind)) + " is not of the type it should have there"
	}
	return "the JSON cannot be decoded"
}

// harRequests keeps the entries that ask for a token. err is why what follows
// them could not be read.
func harRequests(text string, entries []element, err error) ([]Captured, error) {
	if err != nil {
		err = fail("read HAR", jsonFlaw(text, err)+", so what follows is left out", harNext)
	}
	places := cursor{text: text}
	var kept, all []Captured
	for i, e := range entries {
		var entry harEntry
		if wrong := json.Unmarshal(e.raw, &entry); wrong != nil {
			if err == nil {
				err = fail("read HAR", fmt.Sprintf("entry %d at %s is not of the types a HAR has there", i+1, positionOf(text, e.from)), harNext)
			}
			continue
		}
		c := entry.captured()
		c.Place = fmt.Sprintf("entry %d", i+1)
		all = append(all, c)
		if len(c.Body) > maxPlain {
			continue // an upload
		}
		if r := read(c); r.isTokenCall() {
			c.source = places.origin(e.from, e.to)
			c.Line = c.source.line
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 && err == nil {
		err = notToken(all)
	}
	return kept, err
}

func (e harEntry) captured() Captured {
	c := Captured{Kind: kindHAR, Method: strings.ToUpper(e.Request.Method), URL: e.Request.URL}
	for _, h := range e.Request.Headers {
		c.Header = append(c.Header, Header{Name: h.Name, Value: h.Value})
	}
	pseudo(&c)
	post := e.Request.PostData
	if post == nil {
		return c
	}
	if _, ok := c.header("Content-Type"); !ok && post.MimeType != "" {
		c.Header = append(c.Header, Header{Name: "Content-Type", Value: post.MimeType})
	}
	body := post.Text
	if body == "" {
		body = encodeForm(post.Params) // some exporters give the parameters only, decoded
	}
	c.Body = []byte(body)
	return c
}

// encodeForm writes decoded parameters as a form.
func encodeForm(params []nameValue) string {
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	return strings.Join(pairs, "&")
}

// value reads the next value. A decoder counts the bytes of its values only, so
// the place of an error is looked for again.
func value(d *json.Decoder, text string) (json.RawMessage, error) {
	before := int(d.InputOffset())
	var raw json.RawMessage
	err := d.Decode(&raw)
	if err == nil {
		return raw, nil
	}
	rest := strings.TrimLeft(text[before:], ":, \t\r\n")
	if e, ok := errors.AsType[*json.SyntaxError](json.Unmarshal([]byte(rest), &raw)); ok {
		err = &json.SyntaxError{Offset: int64(len(text)-len(rest)) + e.Offset}
	}
	return nil, err
}

// token is d.Token with the offset of an error counted as json.Unmarshal does.
func token(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		err = &json.SyntaxError{Offset: e.Offset + 1}
	}
	return t, err
}
