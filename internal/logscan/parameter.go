package logscan

import (
	"bytes"
	"net/url"
	"regexp"
	"sync"
)

// secretParameter is what follows client_secret in a form body, in JSON or in
// logfmt.
var secretParameter = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?([^\s&"'\\,;{}()<>]{8,120})`)
})

// parameters reports the values of client_secret that have not the form of
// Entra's: those are found wherever they are, these near failures only. Those
// that start outside [from, to) belong to another piece.
func (s *Scan) parameters(name string, p []byte, base, from, to int64) {
	for _, word := range []string{"client_secret", "CLIENT_SECRET", "clientSecret", "ClientSecret"} {
		for i := bytes.Index(p, []byte(word)); i >= 0; {
			i += len(word)
			s.parameter(name, p[i:min(i+maxParameter, len(p))], base+int64(i), from, to)
			next := bytes.Index(p[i:], []byte(word))
			if next < 0 {
				break
			}
			i += next
		}
	}
}

// maxParameter bounds a key's punctuation and the value behind it.
const maxParameter = 160

func (s *Scan) parameter(name string, p []byte, base, from, to int64) {
	m := secretParameter().FindSubmatchIndex(p)
	if m == nil {
		return
	}
	at := base + int64(m[2])
	value := p[m[2]:m[3]]
	if at < from || at >= to || bytes.Contains(value, []byte("Q~")) || bytes.Contains(value, []byte("Q%7")) || hidden(value) {
		return
	}
	if plain, err := url.QueryUnescape(string(value)); err == nil {
		value = []byte(plain)
	}
	s.secret(name, at, SecretParameter, value)
}

// hidden reports whether a value was masked, or stands for one.
func hidden(value []byte) bool {
	lower := bytes.ToLower(value)
	for _, mark := range []string{"***", "...", "…", "xxxx", "redact", "secret", "hidden", "mask", "${", "$(", "%(", "null", "keyvault", "configured", "provided", "invalid"} {
		if bytes.Contains(lower, []byte(mark)) {
			return true
		}
	}
	return !bytes.ContainsAny(value, "0123456789")
}
