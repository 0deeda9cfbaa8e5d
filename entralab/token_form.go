package entralab

import (
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// readTokenRequest reads the form and the Basic header. What is not a form in
// a POST body reads as an empty form, which is what the real service says of
// JSON bodies and of parameters in the query (seen).
func readTokenRequest(r *http.Request, segment string, endpoint version) tokenRequest {
	req := tokenRequest{
		segment: segment, endpoint: endpoint, method: r.Method, form: map[string]string{},
		crossOrigin: r.Header.Get("Origin") != "",
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return req
	}
	if len(body) > maxBody {
		req.tooLarge = true
		return req
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return req
	}
	req.form = parseForm(string(body))
	id, secret, ok := basicCredentials(r.Header.Get("Authorization"))
	if ok {
		// What the service does when both are sent is not known; the body wins,
		// unless they name two apps.
		if sent := req.form["client_id"]; sent != "" && !strings.EqualFold(sent, id) {
			req.secondClientID = id
		}
		for name, value := range map[string]string{"client_id": id, "client_secret": secret} {
			if req.form[name] == "" {
				req.form[name] = value
			}
		}
	}
	return req
}

// parseForm decodes as the real service's framework does: it never fails, and
// an escape that is none stays as it is. The first of a repeated field counts.
func parseForm(body string) map[string]string {
	form := map[string]string{}
	for pair := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name = formDecode(name)
		if _, repeated := form[name]; name != "" && !repeated {
			form[name] = formDecode(value)
		}
	}
	return form
}

func formDecode(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				b = append(b, '%')
				continue
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// basicCredentials reads the header of RFC 6749 2.3.1, where both halves are
// form-encoded before they are joined.
func basicCredentials(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(plain), ":")
	return formDecode(id), formDecode(secret), ok
}
