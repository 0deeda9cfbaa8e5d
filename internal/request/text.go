package request

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	plain "github.com/credsmith/credsmith/internal/text"
)

// Limits on input. A HAR export of a long browser session has tens of
// megabytes; a request that asks for a token has a few kilobytes.
const (
	maxInput = 64 << 20
	maxPlain = 1 << 20
)

const byteOrderMark = "\ufeff"

// decodeText returns input as UTF-8 without a byte order mark.
func decodeText(data []byte) (string, error) {
	if len(data) > maxInput {
		return "", fail("read request", fmt.Sprintf("the input has more than %d MB", maxInput>>20), "export fewer requests")
	}
	text := strings.TrimPrefix(string(plain.UTF8(data)), byteOrderMark)
	if strings.TrimSpace(text) == "" {
		return "", fail("read request", "the input is empty", "paste raw HTTP, a curl command or a HAR document")
	}
	if i := strings.IndexFunc(text, isBinary); i >= 0 {
		return "", fail("read request", fmt.Sprintf("the input is binary (control character at byte %d)", i+1),
			"give text: raw HTTP, a curl command or a HAR document")
	}
	return text, nil
}

func isBinary(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r'
}

// showMethod returns method if it is one.
func showMethod(method string) string {
	switch method {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return "a request with another method"
}

// showURL returns rawURL without user, query and fragment, and without
// segments that may be a secret or hold one.
func showURL(rawURL string) string {
	t := parseTarget(rawURL)
	var b strings.Builder
	if t.scheme != "" {
		b.WriteString(showWord(t.scheme) + "://")
	}
	b.WriteString(showWord(t.host))
	for _, segment := range t.segments {
		if len(segment) > 24 && !entra.IsGUID(segment) {
			segment = mask // longer than a word of an API
		}
		b.WriteString("/" + showWord(segment))
	}
	if b.Len() == 0 {
		return "without a URL"
	}
	return b.String()
}

// showWord returns text if it is a plain name, of a host or a path segment.
func showWord(text string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("-._:{}[]", r)
	}
	kind := secret.New(text).Shape().Kind
	if len(text) > 64 || kind == secret.EntraQ || kind == secret.Base64 || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return mask
	}
	return text
}

// lineAt returns the number of the line that holds byte offset of text.
func lineAt(text string, offset int) int {
	return 1 + strings.Count(text[:min(offset, len(text))], "\n")
}

// pattern compiles a regular expression when it is first used: most runs of
// the program never lint a request.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// lineEnds are the characters that end a line.
const lineEnds = "\r\n"
