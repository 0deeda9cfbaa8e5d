package unpack

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// sniffUTF16 knows UTF-16 by its mark, or, without one, by the zeros in every
// second byte of text that is mostly ASCII.
func sniffUTF16(head []byte) Form {
	const least = 16
	if len(head) >= 2 {
		switch {
		case head[0] == 0xff && head[1] == 0xfe:
			return UTF16LE
		case head[0] == 0xfe && head[1] == 0xff:
			return UTF16BE
		}
	}
	if len(head) < least {
		return Plain
	}
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i%2]++
		}
	}
	most, none := len(head)/2*3/4, 0
	switch {
	case zeros[1] >= most && zeros[0] == none:
		return UTF16LE
	case zeros[0] >= most && zeros[1] == none:
		return UTF16BE
	}
	return Plain
}

// utf16Reader gives UTF-8. What is no UTF-16 becomes U+FFFD.
type utf16Reader struct {
	in        *bufio.Reader
	bigEndian bool
	begun     bool
	pending   rune // a unit that was read too far; 0 is none
	out       []byte
	err       error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	const chunk = 4 << 10
	if len(p) == 0 {
		return 0, nil
	}
	if len(u.out) == 0 && u.err == nil {
		u.out = u.out[:0]
		for len(u.out) < min(chunk, max(len(p), 1)) && u.err == nil {
			var r rune
			if r, u.err = u.next(); u.err == nil {
				u.out = utf8.AppendRune(u.out, r)
			}
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	if n == 0 {
		return 0, u.err
	}
	return n, nil
}

func (u *utf16Reader) next() (rune, error) {
	unit := u.pending
	u.pending = 0
	if unit == 0 {
		var err error
		if unit, err = u.unit(); err != nil {
			return 0, err
		}
	}
	if !u.begun {
		const mark = 0xfeff
		u.begun = true
		if unit == mark {
			return u.next()
		}
	}
	if !utf16.IsSurrogate(unit) {
		return unit, nil
	}
	second, err := u.unit()
	if err != nil {
		return utf8.RuneError, nil // the next turn meets the error again
	}
	if r := utf16.DecodeRune(unit, second); r != utf8.RuneError {
		return r, nil
	}
	u.pending = second
	return utf8.RuneError, nil
}

func (u *utf16Reader) unit() (rune, error) {
	a, err := u.in.ReadByte()
	if err != nil {
		return 0, err
	}
	b, err := u.in.ReadByte()
	if errors.Is(err, io.EOF) {
		return utf8.RuneError, nil // half a unit
	}
	if err != nil {
		return 0, err
	}
	if u.bigEndian {
		return rune(a)<<8 | rune(b), nil
	}
	return rune(b)<<8 | rune(a), nil
}
