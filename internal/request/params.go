package request

import (
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Params are the parameters of a token request.
type Params struct {
	Authority string // scheme and host: https://login.microsoftonline.com
	Tenant    string // the tenant's segment of the path
	Endpoint  string // "v1", "v2" or "unknown"

	ClientID  string
	GrantType string
	Scope     string
	Resource  string // v1 only

	Secret    secret.Value // as it is, quotes and white space included
	SecretIn  string       // "body", "basic", "query", "json" or "header"; "" without a secret
	Assertion bool         // a client assertion is there
}

// Form returns what the server reads of the request as it was sent: only a
// body that is a form, HTTP Basic and the URL count.
func (c Captured) Form() Params {
	r := read(c)
	p := Params{Authority: r.authority(), Tenant: r.target.tenant(), Endpoint: unknown}
	if v := r.target.version(); v != "" {
		p.Endpoint = v
	}
	if r.basic != nil && !r.basic.broken {
		p.ClientID, p.Secret, p.SecretIn = formDecode(r.basic.id), secret.New(formDecode(r.basic.secret)), inBasic
	}
	if r.body != bodyForm || r.bom {
		return p
	}
	for _, f := range r.fields {
		if f.in != inBody {
			continue
		}
		switch f.name {
		case grantType:
			p.GrantType = f.value
		case clientID:
			p.ClientID = f.value
		case scope:
			p.Scope = f.value
		case resource:
			p.Resource = f.value
		case clientSecret:
			p.Secret, p.SecretIn = secret.New(f.value), inBody
		case assertion:
			p.Assertion = f.value != ""
		}
	}
	return p
}

// Params returns the best reading of what the sender meant, in whatever form
// it came: the parameters of the corrected request. What cannot be told is
// empty. The secret is freed from the slips of the request (JSON, multipart,
// raw + % &), not from its own, such as quotes or white space around it.
func (c Captured) Params() Params {
	return newLinter(c).params()
}

// params does the work of [Captured.Params].
func (l *linter) params() Params {
	p := Params{Authority: l.authority(), Endpoint: l.version, GrantType: l.grant}
	if t := entra.CleanIdentifier(l.target.tenant()); !l.isLive(t) {
		p.Tenant = t
	}
	p.ClientID = l.meantClientID()
	p.Scope, p.Resource = l.wantedScope()
	if len(l.sent) > 0 {
		p.SecretIn = l.sent[0].in
		if meant := l.sent[0].meant; !l.isLive(meant) {
			p.Secret = secret.New(meant)
		}
	}
	_, p.Assertion = l.filled(assertion)
	return p
}

// authority is scheme and host of the server that was meant.
func (r reading) authority() string {
	if r.target.host == "" || r.isLive(r.target.host) {
		return ""
	}
	if r.target.scheme == "http" && isLoopback(r.target.hostname()) {
		return "http://" + r.target.host
	}
	return "https://" + r.target.host
}

// meantClientID is the client id without the signs pasted along with it.
func (r reading) meantClientID() string {
	id := r.value(clientID)
	if id == "" && r.basic != nil {
		id = formDecode(r.basic.id)
	}
	if r.isLive(id) {
		return ""
	}
	return entra.CleanIdentifier(id)
}
