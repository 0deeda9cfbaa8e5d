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

const harNext = "export the HAR again, with content and sensitive data included"

// parseHAR returns the token requests of a HAR document.
func parseHAR(text string) ([]Captured, error) {
	var doc struct {
		Log *struct {
			Entries []harEntry `json:"entries"`
		} `json:"log"`
		Error       any `json:"error"`
		GrantType   any `json:"grant_type"`
		AccessToken any `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fail("read HAR", harFlaw(text, err), harNext)
	}
	switch {
	case doc.Log != nil && len(doc.Log.Entries) == 0:
		return nil, fail("read HAR", "it has no entries", "record while the application signs in, then export again")
	case doc.Log != nil:
		return harRequests(doc.Log.Entries)
	case doc.Error != nil:
		return nil, fail("read request", "this is the body of an error response", "paste the request, or give the error to: credsmith explain")
	case doc.AccessToken != nil:
		return nil, fail("read request", "this is the body of a successful response", "nothing is wrong with a request that got a token")
	case doc.GrantType != nil:
		return nil, fail("read request", "this is a body without its request", "put the request line, the headers and an empty line above it")
	}
	return nil, fail("read HAR", "this is JSON, but has no log.entries", harNext)
}

// harFlaw says why text is no HAR document. The decoder's own text may repeat
// a part of the input, so only its position is used.
func harFlaw(text string, err error) string {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	wrongType, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), isSyntax && int(syntax.Offset) >= len(strings.TrimSpace(text)):
		return fmt.Sprintf("the JSON breaks off at line %d", lineAt(text, len(text)))
	case isSyntax:
		return fmt.Sprintf("the JSON is malformed at line %d", lineAt(text, int(syntax.Offset)))
	case isType:
		return fmt.Sprintf("the JSON at line %d is not of the type a HAR has there", lineAt(text, int(wrongType.Offset)))
	}
	return "the JSON cannot be decoded"
}

// harRequests keeps the entries that ask for a token.
func harRequests(entries []harEntry) ([]Captured, error) {
	var kept, all []Captured
	for i, entry := range entries {
		c := entry.captured()
		c.Place = fmt.Sprintf("entry %d", i+1)
		all = append(all, c)
		if len(c.Body) > maxPlain {
			continue // an upload
		}
		if r := read(c); r.isTokenCall() {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return nil, notToken(all)
	}
	return kept, nil
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
		// Some exporters give the parameters only, decoded.
		var pairs []string
		for _, p := range post.Params {
			pairs = append(pairs, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
		}
		body = strings.Join(pairs, "&")
	}
	c.Body = []byte(body)
	return c
}
