package request

import (
	"net/url"
	"strings"
)

// target is the address of a request, taken apart without judging it. net/url
// refuses many of the addresses that have to be judged here.
type target struct {
	scheme   string // lower case
	host     string // lower case, with a port if one is given
	user     string // what stands before an @, still encoded
	segments []string
	query    string
	oddPath  string // what is wrong with the path's form: "a slash at its end", ...
}

// parseTarget reads a URL, or a path with or without a host in front.
func parseTarget(rawURL string) target {
	var t target
	rest, _, _ := strings.Cut(strings.TrimSpace(rawURL), "#")
	rest, t.query, _ = strings.Cut(rest, "?")
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		t.scheme, rest = strings.ToLower(scheme), after
	}
	if rest != "" && rest[0] != '/' {
		var authority string
		authority, rest = cutBefore(rest, '/')
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			t.user, authority = authority[:at], authority[at+1:]
		}
		t.host = strings.ToLower(authority)
	}
	path := strings.TrimPrefix(rest, "/")
	switch {
	case path == "":
		return t
	case strings.HasSuffix(path, "/"):
		t.oddPath = "a slash at its end"
	case strings.Contains("/"+path, "//"):
		t.oddPath = "a double slash"
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" {
			t.segments = append(t.segments, unescapePath(segment))
		}
	}
	return t
}

// cutBefore splits text before the first c.
func cutBefore(text string, c byte) (before, from string) {
	if i := strings.IndexByte(text, c); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

func unescapePath(segment string) string {
	if plain, err := url.PathUnescape(segment); err == nil {
		return plain
	}
	return segment
}

// hostname is the host without its port.
func (t target) hostname() string {
	name, _ := cutBefore(t.host, ':')
	return name
}

// isToken reports whether the path is that of a token endpoint of Entra.
func (t target) isToken() bool { return t.version() != "" && t.tenant() != "" && t.oddPath == "" }

// version is "v1" or "v2" if the path is the whole path of that version's
// token endpoint, with or without a tenant, else "".
func (t target) version() string {
	s := t.segments
	if n := len(s); n >= 3 && len(s) <= 3+t.prefix() && isPath(s[n-3:], "oauth2", "v2.0", "token") {
		return v2
	} else if n >= 2 && len(s) <= 2+t.prefix() && isPath(s[n-2:], "oauth2", "token") {
		return v1
	}
	return ""
}

// The two versions of the token endpoint, and neither.
const (
	v1      = "v1"
	v2      = "v2"
	unknown = "unknown"
)

// prefix is how many segments may stand before /oauth2: the tenant, and in
// B2C the user flow behind it.
func (t target) prefix() int {
	if strings.HasSuffix(t.hostname(), ".b2clogin.com") {
		return 2
	}
	return 1
}

func isPath(segments []string, want ...string) bool {
	for i, w := range want {
		if !strings.EqualFold(segments[i], w) {
			return false
		}
	}
	return true
}

// endpointWords are segments of paths that never name a tenant.
var endpointWords = set("oauth2 v1 v1.0 v2 v2.0 token tokens authorize devicecode logout api auth connect oauth adfs")

// tenant is the first segment, unless that belongs to the endpoint itself.
func (t target) tenant() string {
	if len(t.segments) == 0 || endpointWords[strings.ToLower(t.segments[0])] {
		return ""
	}
	return t.segments[0]
}

// likelyVersion is version, or what a wrong path hints at.
func (t target) likelyVersion() string {
	if v := t.version(); v != "" {
		return v
	}
	for _, segment := range t.segments {
		switch strings.ToLower(segment) {
		case "v2.0", "v2":
			return v2
		}
	}
	return unknown
}

// has reports whether the path holds the segment.
func (t target) has(segment string) bool {
	for _, s := range t.segments {
		if strings.EqualFold(s, segment) {
			return true
		}
	}
	return false
}
