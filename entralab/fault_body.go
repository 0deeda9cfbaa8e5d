package entralab

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

func faultTruncated(c *faultCall, a *faultAnswer) bool {
	if len(a.body) == 0 {
		return false
	}
	at := c.rule.params.number("at")
	if at < 0 {
		at = c.random.IntN(len(a.body))
	}
	if at >= len(a.body) {
		return false
	}
	if c.kind() == "fitting" { // Content-Length agrees: only the JSON tells
		a.body = a.body[:at]
		return true
	}
	a.cut, a.promised = at, true
	return true
}

// malformable is the member that F15 spoils unless it is told another.
func malformable(surface string) string {
	switch surface {
	case surfaceToken:
		return "access_token"
	case surfaceGraph:
		return "secretText"
	}
	return "value"
}

func faultMalformed(c *faultCall, a *faultAnswer) bool {
	if c.kind() == "not-json" {
		changed := len(a.body) > 0
		a.body = bytes.TrimSuffix(a.body, []byte("}"))
		a.body = append(a.body, `,"`...)
		return changed
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(a.body, &members) != nil || len(members) == 0 {
		return false
	}
	name := c.rule.params.text("member")
	if name == "" {
		name = malformable(c.q.surface)
		if members[name] == nil && c.q.surface == surfaceGraph {
			name = "value" // of lists
		}
	}
	if members[name] == nil {
		return false
	}
	switch c.kind() {
	case "wrong-type":
		members[name] = json.RawMessage(`{"unexpected":[1]}`)
	case "null":
		members[name] = json.RawMessage("null")
	case "missing":
		delete(members, name)
	case "empty":
		members[name] = json.RawMessage(`""`)
	case "duplicate":
		a.body = append(encodeJSON(members), []byte(`,`+strconv.Quote(name)+`:"second"}`)...)
		a.body = bytes.Replace(a.body, []byte(`},`+strconv.Quote(name)+`:"second"}`), []byte(`,`+strconv.Quote(name)+`:"second"}`), 1)
		return true
	}
	a.body = encodeJSON(members)
	return true
}

var keyIDs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`("keyId"\s*:\s*")([0-9a-f-]{36})(")`) })

// faultKeyIDs writes the key ids of an answer in another way, or gives the
// last of them the name of another secret: of the answer's first, or of one
// that the app holds when the answer tells of one alone.
func faultKeyIDs(c *faultCall, a *faultAnswer) bool {
	old, kind := a.body, c.kind()
	found := keyIDs().FindAllSubmatchIndex(old, -1)
	if len(found) == 0 {
		return false
	}
	if kind == "reused" {
		last := found[len(found)-1]
		id := string(old[found[0][4]:found[0][5]])
		if len(found) == 1 {
			id = c.otherKeyID(id)
		}
		a.body = slices.Concat(old[:last[4]], []byte(id), old[last[5]:])
		return !bytes.Equal(old, a.body)
	}
	a.body = keyIDs().ReplaceAllFunc(old, func(found []byte) []byte {
		m := keyIDs().FindSubmatch(found)
		id := "{" + string(m[2]) + "}"
		if kind == "upper" {
			id = strings.ToUpper(string(m[2]))
		}
		return []byte(string(m[1]) + id + string(m[3]))
	})
	return !bytes.Equal(old, a.body)
}

// otherKeyID is the oldest secret of the app that a request is about, or the
// given one when it has no other.
func (c *faultCall) otherKeyID(given string) string {
	id, _ := parseGUID(c.q.event.ObjectID)
	c.lab.mu.RLock()
	defer c.lab.mu.RUnlock()
	for _, t := range c.lab.tenants {
		if a := t.appByID(id); a != nil {
			for _, s := range a.secrets {
				if s.keyID.String() != given {
					return s.keyID.String()
				}
			}
		}
	}
	return given
}

var endDates = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`("endDateTime"\s*:\s*)("[^"]*")`) })

func faultEndDate(c *faultCall, a *faultAnswer) bool {
	kind, old := c.kind(), a.body
	a.body = endDates().ReplaceAllFunc(old, func(found []byte) []byte {
		m := endDates().FindSubmatch(found)
		value := string(m[2])
		switch kind {
		case "rounded":
			if at, err := time.Parse(time.RFC3339, strings.Trim(value, `"`)); err == nil {
				value = strconv.Quote(graphTime(at.Truncate(24 * time.Hour)))
			}
		case "absent":
			value = "null"
		case "far":
			value = `"9999-12-31T23:59:59Z"`
		case "past":
			value = strconv.Quote(graphTime(c.q.now.AddDate(0, 0, -1)))
		}
		return []byte(string(m[1]) + value)
	})
	return !bytes.Equal(old, a.body)
}

// faultDate moves the Date header, which clients take for the service's clock.
func faultDate(c *faultCall, a *faultAnswer) bool {
	a.header.Set("Date", c.q.now.Add(c.between()).Format(http.TimeFormat))
	return true
}

func faultRedirect(c *faultCall) *faultAnswer {
	status, _ := strconv.Atoi(c.kind())
	a := newAnswer(status, "text/html", "<html><body>Object moved</body></html>\n")
	a.header.Set("Location", c.rule.params.text("location"))
	return a
}

// faultEncoding spoils how the body is written. A bomb is small on the wire.
func faultEncoding(c *faultCall, a *faultAnswer) bool {
	switch c.kind() {
	case "gzip-bomb":
		var small bytes.Buffer
		z := gzip.NewWriter(&small)
		io.CopyN(z, zeros{}, int64(c.rule.params.number("bytes"))) // into memory: cannot fail
		z.Close()
		a.body = small.Bytes()
		a.header.Set("Content-Encoding", "gzip")
	case "wrong-encoding":
		a.header.Set("Content-Encoding", "gzip")
	case "bom":
		a.body = append([]byte("\xef\xbb\xbf"), a.body...)
	case "utf-16":
		units := utf16.Encode([]rune("\ufeff" + string(a.body)))
		a.body = make([]byte, 0, 2*len(units))
		for _, u := range units {
			a.body = binary.LittleEndian.AppendUint16(a.body, u)
		}
	}
	return true
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func faultReset(c *faultCall) *faultAnswer {
	if c.kind() != "reset" {
		return nil
	}
	a := newAnswer(0, "", "")
	a.abort = true
	return a
}

func faultHeaders(c *faultCall, a *faultAnswer) bool {
	switch c.kind() {
	case "huge":
		a.header.Set("X-Lab-Huge", strings.Repeat("x", c.rule.params.number("bytes")))
	case "many":
		for i := range c.rule.params.number("count") {
			a.header.Set(fmt.Sprintf("X-Lab-%d", i), "x")
		}
	case "goaway": // what net/http makes of it over HTTP/2
		a.header.Set("Connection", "close")
	case "midway": // RST_STREAM over HTTP/2
		a.cut = len(a.body) / 2
		return len(a.body) > 0
	}
	return true
}

// repeatedID is the id that F55 gives to every request.
const repeatedID = "00000000-1ab0-4000-8000-000000000055"

func faultIDs(c *faultCall, a *faultAnswer) bool {
	changed := false
	for _, name := range []string{"Request-Id", "Client-Request-Id", "X-Ms-Request-Id"} {
		id := a.header.Get(name)
		if id == "" {
			continue
		}
		changed = true
		if c.kind() == "missing" {
			a.header.Del(name)
			continue
		}
		a.header.Set(name, repeatedID)
		a.body = bytes.ReplaceAll(a.body, []byte(id), []byte(repeatedID))
	}
	return changed
}
