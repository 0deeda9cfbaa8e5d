package request

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The parts of a Postman collection, format v2.1, that make a request. Members
// that may be of several types are read in a second step.
type (
	postmanItem struct {
		Name     string            `json:"name"`
		Item     []json.RawMessage `json:"item"` // of a folder
		Request  json.RawMessage   `json:"request"`
		Auth     *postmanAuth      `json:"auth"`
		Variable []postmanParam    `json:"variable"`
	}
	postmanRequest struct {
		Method string          `json:"method"`
		URL    json.RawMessage `json:"url"`
		Header json.RawMessage `json:"header"`
		Body   *postmanBody    `json:"body"`
		Auth   *postmanAuth    `json:"auth"`
	}
	postmanBody struct {
		Mode       string         `json:"mode"`
		Raw        string         `json:"raw"`
		URLEncoded []postmanParam `json:"urlencoded"`
		FormData   []postmanParam `json:"formdata"`
		Options    struct {
			Raw struct {
				Language string `json:"language"`
			} `json:"raw"`
		} `json:"options"`
	}
	postmanParam struct {
		Key      string `json:"key"`
		Value    any    `json:"value"`
		Disabled bool   `json:"disabled"`
		Type     string `json:"type"`
	}
	postmanAuth struct {
		Type   string         `json:"type"`
		Basic  []postmanParam `json:"basic"`
		OAuth2 []postmanParam `json:"oauth2"`
	}
)

func (p postmanParam) text() string {
	text, _ := p.Value.(string)
	return text
}

// Limits on a collection: folders in folders, and requests.
const (
	maxFolders = 50
	maxItems   = 10_000
)

// postmanReader walks the tree of a collection.
type postmanReader struct {
	text      string
	places    cursor
	variables []string // as pairs for strings.NewReplacer
	found     []Captured
	items     int
	err       error
}

// postmanRequests returns the token requests of a collection. err is why what
// follows its items could not be read.
func postmanRequests(text string, items []element, err error) ([]Captured, error) {
	p := postmanReader{text: text, places: cursor{text: text}}
	if err != nil {
		p.err = fail("read Postman collection", jsonFlaw(text, err)+", so what follows is left out", postmanNext)
	}
	var collection struct {
		Variable []postmanParam `json:"variable"`
		Auth     *postmanAuth   `json:"auth"`
	}
	_ = json.Unmarshal([]byte(text), &collection) // what breaks off has none
	p.define(collection.Variable)
	for i, item := range items {
		p.item(item, fmt.Sprintf("item %d", i+1), collection.Auth, 0)
	}
	return tokenRequests(p.found, p.err)
}

// define adds variables. As in Postman the one of the inner level counts,
// which [strings.NewReplacer] takes first.
func (p *postmanReader) define(variables []postmanParam) {
	for _, v := range variables {
		if text := v.text(); !v.Disabled && v.Key != "" && text != "" && len(text) <= maxVariable && len(p.variables) < 2*maxVariables {
			p.variables = append([]string{"{{" + v.Key + "}}", text}, p.variables...)
		}
	}
}

// item reads a request, or a folder with what is in it.
func (p *postmanReader) item(e element, place string, auth *postmanAuth, depth int) {
	if p.items++; p.items > maxItems || depth > maxFolders {
		p.flaw(e, place, "is beyond what is read (%d items, %d folders deep)", maxItems, maxFolders)
		return
	}
	var item postmanItem
	if err := json.Unmarshal(e.raw, &item); err != nil {
		p.flaw(e, place, "is not of the types Collection v2.1 has there")
		return
	}
	if item.Auth != nil {
		auth = item.Auth
	}
	outer := p.variables
	p.define(item.Variable)
	if len(item.Request) > 0 {
		p.request(e, item.Request, place, auth)
	}
	at := e.from
	for i, raw := range item.Item {
		offset := strings.Index(p.text[at:e.to], string(raw))
		inner := element{raw, at + offset, at + offset + len(raw)}
		at = inner.to
		p.item(inner, fmt.Sprintf("%s.%d", place, i+1), auth, depth+1)
	}
	p.variables = outer
}

func (p *postmanReader) flaw(e element, place, format string, args ...any) {
	if p.err == nil {
		p.err = fail("read Postman collection", place+" at "+positionOf(p.text, e.from)+" "+fmt.Sprintf(format, args...), postmanNext)
	}
}

// request adds the request of an item, and the one Postman itself makes for a
// token if its OAuth 2.0 helper is set up.
func (p *postmanReader) request(e element, raw json.RawMessage, place string, auth *postmanAuth) {
	var r postmanRequest
	var bare string
	if err := json.Unmarshal(raw, &bare); err == nil {
		r.Method, r.URL = "GET", raw // the request is a URL
	} else if err := json.Unmarshal(raw, &r); err != nil {
		p.flaw(e, place, "has a request that is not of the types Collection v2.1 has there")
		return
	}
	if r.Auth != nil {
		auth = r.Auth
	}
	c := Captured{Method: strings.ToUpper(r.Method), URL: postmanURL(r.URL), Header: postmanHeaders(r.Header)}
	if c.Method == "" {
		c.Method = "GET"
	}
	if auth != nil && auth.Type == "basic" {
		pair := pick(auth.Basic, "username") + ":" + pick(auth.Basic, "password")
		if _, named := c.header("Authorization"); !named {
			c.Header = append(c.Header, Header{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(p.fill(pair)))})
		}
	}
	p.body(&c, r.Body)
	p.add(c, e, place)
	if auth != nil && auth.Type == "oauth2" {
		if c, ok := helperRequest(auth.OAuth2, p.fill); ok {
			p.add(c, e, place+" (authorization)")
		}
	}
}

// add fills in the variables of a request and keeps it.
func (p *postmanReader) add(c Captured, e element, place string) {
	if len(c.Body) > maxPlain {
		return // an upload
	}
	c.Kind, c.Place = kindPostman, place
	c.URL = p.fill(c.URL)
	for i := range c.Header {
		c.Header[i].Value = p.fill(c.Header[i].Value)
	}
	c.live = append(liveVariable().FindAllString(c.URL, -1), liveVariable().FindAllString(string(c.Body), -1)...)
	c.source = p.places.origin(e.from, e.to)
	c.Line = c.source.line
	p.found = append(p.found, c)
}

func (p *postmanReader) fill(text string) string {
	if len(p.variables) == 0 || len(text) > maxFilled {
		return text
	}
	return strings.NewReplacer(p.variables...).Replace(text)
}

// postmanURL reads a URL, which is text or an object that holds it.
func postmanURL(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Raw string `json:"raw"`
	}
	_ = json.Unmarshal(raw, &object) // a request without a URL is judged as such
	return object.Raw
}

// postmanHeaders reads headers, which are a list or lines of text.
func postmanHeaders(raw json.RawMessage) []Header {
	var list []postmanParam
	var lines string
	var headers []Header
	if json.Unmarshal(raw, &list) == nil {
		for _, h := range list {
			if !h.Disabled {
				headers = append(headers, Header{Name: h.Key, Value: h.text()})
			}
		}
	} else if json.Unmarshal(raw, &lines) == nil {
		for line := range strings.Lines(lines) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				headers = append(headers, Header{Name: name, Value: strings.TrimSpace(value)})
			}
		}
	}
	return headers
}

// body sets the body and the Content-Type Postman sends with it. That it
// encodes the whole of a urlencoded value is recalled, unverified.
func (p *postmanReader) body(c *Captured, b *postmanBody) {
	if b == nil {
		return
	}
	mediaType := ""
	switch b.Mode {
	case "raw":
		c.Body = []byte(p.fill(b.Raw))
		mediaType = map[string]string{"json": "application/json", "xml": "application/xml", "html": "text/html"}[b.Options.Raw.Language]
		if mediaType == "" {
			mediaType = "text/plain"
		}
	case "urlencoded":
		c.Body, mediaType = []byte(encodeForm(p.enabled(b.URLEncoded))), formType
	case "formdata":
		body, boundary := multipart(p.enabled(b.FormData))
		c.Body, mediaType = []byte(body), "multipart/form-data; boundary="+boundary
	case "file", "graphql":
		c.elsewhere = true
	}
	if _, named := c.header("Content-Type"); !named && mediaType != "" {
		c.Header = append(c.Header, Header{Name: "Content-Type", Value: mediaType})
	}
}

// enabled returns the parameters Postman sends, with variables filled in.
func (p *postmanReader) enabled(params []postmanParam) []nameValue {
	var sent []nameValue
	for _, param := range params {
		if !param.Disabled && param.Key != "" && len(sent) < maxFields {
			sent = append(sent, nameValue{p.fill(param.Key), p.fill(param.text())})
		}
	}
	return sent
}

// pick returns the value of a key, "" if there is none.
func pick(params []postmanParam, key string) string {
	for _, p := range params {
		if p.Key == key && !p.Disabled {
			return p.text()
		}
	}
	return ""
}

// helperRequest is the request Postman's OAuth 2.0 helper makes for a token:
// by default with HTTP Basic, as its setting Client Authentication says. Which
// of the two values it writes when is recalled, unverified.
func helperRequest(settings []postmanParam, fill func(string) string) (Captured, bool) {
	get := func(key string) string { return fill(pick(settings, key)) }
	c := Captured{Method: "POST", URL: get("accessTokenUrl"), Header: []Header{{Name: "Content-Type", Value: formType}}}
	grant := get("grant_type")
	if c.URL == "" || grant != clientCredentials {
		return c, false
	}
	params := []nameValue{{grantType, grant}}
	if s := get(scope); s != "" {
		params = append(params, nameValue{scope, s})
	}
	id, value := get("clientId"), get("clientSecret")
	if get("client_authentication") == "body" {
		params = append(params, nameValue{clientID, id}, nameValue{clientSecret, value})
	} else {
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(value)
		c.Header = append(c.Header, Header{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))})
	}
	c.Body = []byte(encodeForm(params))
	return c, true
}
