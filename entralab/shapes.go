package entralab

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shapes are how a strict lab writes what the services leave open, drawn anew
// at each start, see [Config.Strict]. A nil *shapes changes nothing.
type shapes struct {
	salt     uint64
	pageSize int    // of lists that are asked for without a size
	digits   int    // of a second's fraction in dates
	unknown  string // name of a property that nobody has heard of
}

func newShapes(seed, run uint64) *shapes {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], run)
	copy(key[16:], "shapes")
	random := rand.New(rand.NewChaCha8(key))
	return &shapes{
		salt: random.Uint64(), pageSize: 1 + random.IntN(100), digits: random.IntN(8),
		unknown: "labProperty" + strconv.FormatUint(uint64(random.Uint32()), 36),
	}
}

// page is the size of a page without one that was asked for.
func (s *shapes) page(usual int) int {
	if s == nil {
		return usual
	}
	return min(usual, s.pageSize)
}

// rank puts texts in an order that has nothing to do with what they say.
func (s *shapes) rank(text []byte) uint64 {
	h := fnv.New64a()
	h.Write(text) // never fails
	return s.rankOf(h.Sum64())
}

// rankOf mixes as splitmix64 does.
func (s *shapes) rankOf(n uint64) uint64 {
	n += s.salt
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// listOrder is the order of a list that has none of its own, nil for that of
// creation.
func listOrder[T item](s *shapes) func(a, b T) int {
	if s == nil {
		return nil
	}
	return func(a, b T) int { return cmp.Compare(s.rankOf(uint64(a.ord())), s.rankOf(uint64(b.ord()))) }
}

// withShapes writes a handler's JSON in the lab's shapes.
func (l *Lab) withShapes(next http.HandlerFunc) http.HandlerFunc {
	if l.shapes == nil {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		answer := record(next, r)
		if strings.HasPrefix(answer.header.Get("Content-Type"), "application/json") {
			if v, err := readOrdered(json.NewDecoder(bytes.NewReader(answer.body))); err == nil {
				answer.body = appendJSON(nil, l.shapes.value("", v))
			}
		}
		answer.deliver(l, w, r)
	}
}

// readOrdered reads a JSON value whose objects keep the order of their members.
func readOrdered(d *json.Decoder) (any, error) {
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readOrdered(d)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name.(string), v}) // the decoder takes nothing else
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readOrdered(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return token, nil
}

// value writes a member's value. The items of a page stay as the list has them.
func (s *shapes) value(name string, v any) any {
	switch v := v.(type) {
	case object:
		return s.object(name, v)
	case []any:
		objects := false
		for i := range v {
			_, isObject := v[i].(object)
			objects = objects || isObject
			v[i] = s.value("", v[i])
		}
		if objects && name != "value" {
			slices.SortStableFunc(v, func(a, b any) int {
				return cmp.Compare(s.rank(appendJSON(nil, a)), s.rank(appendJSON(nil, b)))
			})
		}
	case string:
		switch {
		case name == nextLinkName:
			return hideLink(v)
		case strings.HasSuffix(name, "DateTime"):
			return s.date(v)
		}
	}
	return v
}

// holders are members whose own members are names that a client chose, or
// headers: nothing is added there.
var holders = []string{"tags", "headers"}

func (s *shapes) object(name string, o object) object {
	for i, m := range o {
		o[i].value = s.value(m.name, m.value)
	}
	if !slices.Contains(holders, name) {
		values := []any{nil, "unknown", json.Number("-1"), true, []any{}, object{{s.unknown, nil}}}
		o = append(o, member{s.unknown, values[s.rank([]byte(name))%uint64(len(values))]})
	}
	slices.SortStableFunc(o, func(a, b member) int { return cmp.Compare(s.rank([]byte(a.name)), s.rank([]byte(b.name))) })
	return o
}

// date cuts or fills a date to the lab's digits.
func (s *shapes) date(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	layout := "2006-01-02T15:04:05"
	if s.digits > 0 {
		layout += "." + strings.Repeat("0", s.digits)
	}
	return at.UTC().Format(layout + "Z")
}

const (
	nextLinkName = "@odata.nextLink"
	hiddenPage   = "/lab-page-" // before what stands for a page's path and query
)

// hideLink makes a link whose path and query say nothing: clients have to
// follow it as it is.
func hideLink(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return u.Scheme + "://" + u.Host + "/" + version + hiddenPage + base64.RawURLEncoding.EncodeToString([]byte(u.RequestURI()))
}

// withHiddenPages leads links that hideLink made to what they stand for.
func (l *Lab) withHiddenPages(next http.HandlerFunc) http.HandlerFunc {
	if l.shapes == nil {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if _, hidden, found := strings.Cut(r.URL.Path, hiddenPage); found {
			text, err := base64.RawURLEncoding.DecodeString(hidden)
			if u, err2 := url.ParseRequestURI(string(text)); err == nil && err2 == nil && strings.HasPrefix(u.Path, "/") {
				r = r.Clone(r.Context())
				r.URL.Path, r.URL.RawPath, r.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
				r.RequestURI = r.URL.RequestURI()
			}
		}
		next(w, r)
	}
}
