package unpack

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func zstded(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

func wide(text string, bigEndian bool) string {
	var b bytes.Buffer
	for _, unit := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b.Write([]byte{byte(unit >> 8), byte(unit)})
		} else {
			b.Write([]byte{byte(unit), byte(unit >> 8)})
		}
	}
	return b.String()
}

func TestReader(t *testing.T) {
	t.Parallel()
	const text = "2026-01-02 ERROR AADSTS7000215: größer als 🎉\n"
	for _, test := range []struct{ name, packed, want string }{
		{"plain", text, text},
		{"nothing", "", ""},
		{"one byte", "\x1f", "\x1f"},
		{"gzip members", gzipped(text) + gzipped("") + gzipped("b"), text + "b"},
		{"zstd frames", zstded(t, text) + zstded(t, "b"), text + "b"},
		{"UTF-16 little endian with a mark", "\xff\xfe" + wide(text, false), text},
		{"UTF-16 big endian with a mark", "\xfe\xff" + wide(text, true), text},
		{"UTF-16 without a mark", wide(text, false), text},
		{"UTF-16 big endian without a mark", wide(text, true), text},
		{"UTF-16 in gzip", gzipped("\xff\xfe" + wide(text, false)), text},
		{"a lone half of a pair", "\xff\xfe\x00\xd8a\x00b\x00", "\ufffdab"},
		{"half a unit at the end", "\xff\xfea\x00b", "a\ufffd"},
		{"zeros in both places", strings.Repeat("\x00", 64), strings.Repeat("\x00", 64)},
		{"short text in gzip", gzipped("a"), "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, in := range map[string]io.Reader{"whole": strings.NewReader(test.packed), "bytes": iotest.OneByteReader(strings.NewReader(test.packed))} {
				r, err := Reader(in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || string(got) != test.want {
					t.Errorf("%s: %q %v, want %q", name, got, err, test.want)
				}
				_ = r.Close()
			}
		})
	}
	for _, cut := range []string{gzipped(text)[:20], gzipped(text)[:len(gzipped(text))-2], zstded(t, text)[:12]} {
		r, err := Reader(strings.NewReader(cut))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err == nil || err == io.EOF {
			t.Errorf("an archive that was cut gives %v", err)
		}
		_ = r.Close()
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(gzipped("text")))
	f.Add([]byte("\xff\xfe" + wide("text 🎉", false)))
	f.Add([]byte("\xff\xfe\x00\xd8"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		r, err := Reader(bytes.NewReader(packed))
		if err != nil {
			return
		}
		const most = 1 << 20
		_, _ = io.Copy(io.Discard, io.LimitReader(r, most))
		_ = r.Close()
	})
}
