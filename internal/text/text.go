// Package text reads files as people's tools write them.
package text

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// UTF8 turns UTF-16 with a byte order mark, as Windows PowerShell writes it,
// into UTF-8 without one. Everything else stays as it is.
func UTF8(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i+1 < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// TooDeep finds where the flow or compact block nesting of a YAML text passes
// what a parser that calls itself can take, far beyond the depth that its
// reader allows; -1 when it does not.
func TooDeep(text string, depth int) int {
	flow, dashes := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			flow++
		case ']', '}':
			flow = max(flow-1, 0)
		case '-', '?', ':':
			dashes++
		case ' ', '\t':
			continue
		}
		if text[i] != '-' && text[i] != '?' && text[i] != ':' {
			dashes = 0
		}
		if flow > 5*depth || dashes > 20*depth {
			return i
		}
	}
	return -1
}
