package entralab

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// withUserinfo puts OpenID's userinfo endpoint in front of Graph, whose origin
// it shares.
func (l *Lab) withUserinfo(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oidc/userinfo" {
			l.serveUserinfo(w, r)
			return
		}
		next(w, r)
	}
}

// serveUserinfo answers from the token alone. The members are those of
// Microsoft's documentation; the bodies of refusals are Graph's.
func (l *Lab) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	now := l.clock.now()
	_, refused := l.verify(token, now)
	var claims struct {
		Subject string `json:"sub"`
		Name    string `json:"name"`
		Email   string `json:"upn"`
		Scopes  string `json:"scp"`
	}
	if refused == nil {
		raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]) // verified just now
		json.Unmarshal(raw, &claims)
		if !strings.Contains(" "+claims.Scopes+" ", " openid ") {
			refused = unauthorized("Access token validation failure.")
		}
	}
	if refused != nil {
		writeJSON(w, refused.status, refused.body(now, l.random.guid().String(), l.random.guid().String()))
		return
	}
	writeJSON(w, http.StatusOK, object{{"sub", claims.Subject}, {"name", claims.Name}, {"email", claims.Email}})
}
