package logscan

import (
	"bytes"
	"net/url"
	"regexp"
	"sync"
)

// secretParameter is a client_secret in a form body, in JSON or in logfmt.
var secretParameter = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)client_?secret\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?([^\s&"'\\,;{}()<>]{8,120})`)
})

// parameters reports the values of client_secret that have not the form of
// Entra's: those are found wherever they are, these near failures only. Those
// that start outside [from, to) belong to another piece.
func (s *Scan) parameters(name string, p []byte, base, from, to int64) {
	if !bytes.Contains(p, []byte("client_secret")) && !bytes.Contains(p, []byte("clientSecret")) && !bytes.Contains(p, []byte("ClientSecret")) {
		return
	}
	for _, m := range secretParameter().FindAllSubmatchIndex(p, -1) {
		at := base + int64(m[2])
		value := p[m[2]:m[3]]
		if at < from || at >= to || bytes.Contains(value, []byte("Q~")) || bytes.Contains(value, []byte("Q%7")) || hidden(value) {
			continue
		}
		if plain, err := url.QueryUnescape(string(value)); err == nil {
			value = []byte(plain)
		}
		s.secret(name, at, SecretParameter, value)
	}
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
