// Package consumer tells from an error text or the name of a settings file
// which product or library signs in, where it keeps its secret, how long it
// goes on with what it had, and how it is made to read a new one.
//
// It does no I/O. It says nothing of the failure: that is for package explain.
package consumer

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Sure says where a statement comes from.
type Sure string

// From the surest to the least sure.
const (
	Published  Sure = "published"  // in an error text or issue that anyone can read
	Documented Sure = "documented" // in the documentation of the product
	Recalled   Sure = "recalled"   // from recollection, unverified
)

// Consumer is what signs in with a secret. Its JSON shape is a contract.
type Consumer struct {
	ID       string `json:"id"`        // "grafana"
	Name     string `json:"name"`      // "Grafana"
	Secret   string `json:"secret"`    // where its secret lives
	Caches   string `json:"caches"`    // what it goes on with, and how long
	Reload   string `json:"reload"`    // how it takes up a new secret
	Source   string `json:"source"`    // of caches and reload: an address, or "recollection"
	HowSure  Sure   `json:"how_sure"`  // of caches and reload
	CodeLost bool   `json:"code_lost"` // its errors are known to come without the AADSTS code

	signs []sign
	files []string // patterns of [path.Match], of the last parts of a path, in lower case
}

// sign is a text that only this consumer writes: its parts follow one another,
// in one line or in neighbouring ones.
type sign struct {
	text   string // parts, separated by "…"
	weight int
	source string // where such a text was published; "" if it is recalled
}

// Weights of signs: a library is in many products, so a product's own sign
// goes before it.
const (
	product = 3
	library = 2
	hint    = 1
)

// Match is a consumer that a text or a file speaks of.
type Match struct {
	Consumer
	Sign       string `json:"sign"`        // what it was recognised by
	SignSource string `json:"sign_source"` // where such a text was published, or "recollection"
}

// maxText bounds what is searched: a consumer shows early.
const maxText = 1 << 20

// maxGap is how far apart the parts of a sign may stand, in bytes.
const maxGap = 300

const recollection = "recollection"

// Recognize returns the consumers a text may be of, the likeliest first; it is
// empty, never nil, if no sign of one is in it.
func Recognize(text string) []Match {
	text = text[:min(len(text), maxText)]
	type ranked struct {
		Match
		weight int
	}
	var found []ranked
	pairs := pairsOf(text)
	for _, c := range table {
		best := ranked{}
		for _, s := range c.signs {
			if s.weight > best.weight && pairs.allow(s) && s.in(text) {
				best = ranked{Match{c, s.text, cmp.Or(s.source, recollection)}, s.weight}
			}
		}
		if best.weight > 0 {
			found = append(found, best)
		}
	}
	slices.SortStableFunc(found, func(a, b ranked) int { return b.weight - a.weight })
	matches := make([]Match, len(found))
	for i, f := range found {
		matches[i] = f.Match
	}
	return matches
}

// pairs are the pairs of neighbouring bytes that a text has: they spare nearly
// all searches for signs.
type pairs [1 << 10]uint64

func pairsOf(text string) *pairs {
	var has pairs
	for i := 1; i < len(text); i++ {
		pair := uint(text[i-1])<<8 | uint(text[i])
		has[pair/64] |= 1 << (pair % 64)
	}
	return &has
}

// allow reports whether the text may have the first part of the sign.
func (has *pairs) allow(s sign) bool {
	part, _, _ := strings.Cut(s.text, "…")
	for i := 1; i < len(part); i++ {
		pair := uint(part[i-1])<<8 | uint(part[i])
		if has[pair/64]&(1<<(pair%64)) == 0 {
			return false
		}
	}
	return true
}

// in reports whether the parts of the sign follow one another in text.
func (s sign) in(text string) bool {
	parts := strings.Split(s.text, "…")
	for from := 0; ; {
		at := strings.Index(text[from:], parts[0])
		if at < 0 {
			return false
		}
		from += at + len(parts[0])
		if follow(text[from:], parts[1:]) {
			return true
		}
	}
}

// follow reports whether the parts stand in text, each near the one before.
func follow(text string, parts []string) bool {
	for _, part := range parts {
		at := strings.Index(text[:min(len(text), maxGap)], part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// ForFile returns the consumers that read a file of that path, by its name
// alone; several do where a name is common. It is empty, never nil, for a file
// of no known consumer.
func ForFile(file string) []Match {
	parts := strings.Split(strings.ToLower(strings.ReplaceAll(file, `\`, "/")), "/")
	matches := []Match{}
	for _, c := range table {
		for _, pattern := range c.files {
			n := 1 + strings.Count(pattern, "/")
			if n > len(parts) {
				continue
			}
			if ok, _ := path.Match(pattern, strings.Join(parts[len(parts)-n:], "/")); ok {
				matches = append(matches, Match{c, pattern, recollection})
				break
			}
		}
	}
	return matches
}

// All returns every consumer of the table.
func All() []Consumer { return slices.Clone(table) }
