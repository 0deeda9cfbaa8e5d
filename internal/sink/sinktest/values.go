package sinktest

import "math/rand/v2"

// Values in the form that Entra makes.
const (
	first  = "aB38Q~first-0123456789.abcdefghijk_lmno"
	second = "zY97Q~second.ABCDEFGHIJKL-MNOPQRST~uvwx"
	third  = "k_28Q~third~qwertzuiopas.dfghjklyxcvbnm"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	// unreserved is what Entra uses today.
	unreserved = letters + "~._-"
	// anything is what it once used, or may, and signs that some format reads
	// as more than themselves.
	anything = unreserved + "[]@+'\"\\$% #;:,=!&*?|<>{}()/^`\t"
)

// plain returns values that every place must hold: all lengths of 16 to 64 of
// the alphabet Entra uses, and its signs in front and at the end.
func plain() []string {
	values := []string{first, second, third}
	for length := 16; length <= 64; length++ {
		values = append(values, random(unreserved, length))
	}
	for _, sign := range "~._-" {
		values = append(values, string(sign)+random(unreserved, 38)+string(sign))
	}
	return values
}

// hostile returns values that a place may refuse but must not change. Their
// letters are random: an error may well say "trailing" or "newline".
func hostile() []string {
	var values []string
	for _, around := range [][2]string{
		{" ", ""}, {"", " "}, {"\t", ""}, {"", "\t"}, {"", "\n"}, {"", "\r"}, {"\n", ""},
		{"#", ""}, {";", ""}, {"!", ""}, {"", " # x"}, {"", " ; x"}, {"", " // x"}, {"", `\`}, {"", `\\`}, {`\`, ""},
		{"${HOME}", ""}, {"$HOME-", ""}, {"", "$"}, {"$(id)", ""}, {"`id`", ""}, {"%PATH%", ""}, {"%7E", "%2B"}, {"{{ .V }}", ""},
		{`"`, `"`}, {"'", "'"}, {"`", "`"}, {`"`, ""}, {"", "'"}, {`"""`, `'''`},
		{"-", ""}, {"- ", ""}, {"k: ", ""}, {"", ":"}, {"", ": v"}, {"*", ""}, {"&", ""}, {"!!int ", ""}, {"@", ""}, {"[", "]"}, {"{", "}"},
		{"| ", ""}, {"> ", ""}, {"? ", ""}, {"--- ", ""}, {"...", ""}, {"= ", " ="}, {"\ufeff", ""}, {"~", ""},
	} {
		values = append(values, around[0]+random(letters, 20)+around[1])
	}
	for _, inside := range []string{
		" ", "  ", "\n", "\r\n", "\nSECOND=", "\t", " # ", " ; ", `\n`, `\u007e`, `\\`, `'"'`, "${x}", "$$", "=", ": ", ", ",
		"äöüß", "\U0001f511", "\u200b", "\u2028", "\u0085", "\u00a0", "\ufeff", "\x00", "\x07", "\x1b[0m", "\x7f", "\xff\xfe", "\xed\xa0\x80",
	} {
		values = append(values, random(letters, 12)+inside+random(letters, 13))
	}
	values = append(values, "12345678901234567890", "0x1234567890abcdef12", "1234567890.123456789e10", "2027-01-01T00:00:00Z", "-1234567890123456789", "+base64/0123/4567/89ab==")
	for length := 16; length <= 64; length++ {
		values = append(values, random(anything, length), "-"+random(anything, length-1))
	}
	return values
}

// random returns the same text for the same alphabet and length every time.
func random(alphabet string, length int) string {
	r := rand.New(rand.NewPCG(uint64(len(alphabet)), uint64(length)))
	b := make([]byte, length)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}
