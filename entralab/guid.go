package entralab

import "encoding/hex"

// guid is an id of the directory. It is kept as bytes because a large tenant
// holds several for every app.
type guid [16]byte

// parseGUID reads the 8-4-4-4-12 form, in either case, which is the only one
// the real services take in a path or a form field.
func parseGUID(s string) (guid, bool) {
	var g guid
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return guid{}, false
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(g[:], []byte(digits)); err != nil {
		return guid{}, false
	}
	return g, true
}

// String returns the lower-case 8-4-4-4-12 form.
func (g guid) String() string {
	b := g.text()
	return string(b[:])
}

// appendJSON writes the same form in quotes.
func (g guid) appendJSON(b []byte) []byte {
	text := g.text()
	return append(append(append(b, '"'), text[:]...), '"')
}

func (g guid) text() (b [36]byte) {
	hex.Encode(b[0:8], g[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], g[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], g[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], g[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], g[10:16])
	return b
}

// mustGUID reads an id written in this package.
func mustGUID(s string) guid {
	g, ok := parseGUID(s)
	if !ok {
		panic("entralab: not a GUID: " + s)
	}
	return g
}
