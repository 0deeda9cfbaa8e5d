package try

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/wire"
)

// Resource uses a token on a target.
type Resource struct {
	Target Target
	HTTP   *http.Client // follows no redirects
	TLS    *tls.Config  // for SMTP and IMAP; never changed
}

// Use sends the token in one request at most. It stays here when it is for
// another resource, or when the resource says beforehand that it trusts
// another tenant. What the resource answers is no error; errors are
// *entra.Unreachable or the context's.
func (r Resource) Use(ctx context.Context, token entra.Token) (entra.Access, error) {
	access := entra.Access{Service: r.Target.service, Method: "GET", URL: wire.Address(r.Target.url), Mailbox: r.Target.mailbox(), Items: -1}
	if !r.Target.takes(token.Audience) {
		access.Withheld = entra.OtherAudience
		return access, nil
	}
	var err error
	switch r.Target.service {
	case entra.ServiceSMTP:
		access.Method = "AUTH"
		err = r.smtp(ctx, token, &access)
	case entra.ServiceIMAP:
		access.Method = "AUTHENTICATE"
		err = r.imap(ctx, token, &access)
	case entra.ServiceKeyVault:
		err = r.vault(ctx, token, &access)
	default:
		err = r.get(ctx, token, r.Target.url, &access)
	}
	for _, foreign := range []*string{&access.Code, &access.Inner, &access.Message, &access.Action, &access.Scope} {
		*foreign = cut(token.Access.Scrub(oneLine(*foreign))) // a hostile host could echo it
	}
	return access, err
}

// get reads an address with the token.
func (r Resource) get(ctx context.Context, token entra.Token, u *url.URL, access *entra.Access) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", wire.Address(u), err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	req.Header.Set("Accept", "application/json")
	resp, err := wire.Do(r.HTTP, req)
	if err != nil {
		return err
	}
	access.Status = resp.Status
	readAnswer(resp, access)
	return nil
}

// readAnswer reads the envelope that Graph, Key Vault and Resource Manager
// share: an error, or a listing.
func readAnswer(resp wire.Response, access *entra.Access) {
	var envelope struct {
		Error struct {
			Code, Message string
			InnerError    struct{ Code string } `json:"innererror"` // written both ways, read without case
		}
		Value json.RawMessage
	}
	if json.Unmarshal(resp.Body, &envelope) != nil {
		return
	}
	if resp.Status < 300 {
		var items []json.RawMessage
		if len(envelope.Value) > 0 && envelope.Value[0] == '[' && json.Unmarshal(envelope.Value, &items) == nil {
			access.Items = len(items)
		}
		return
	}
	e := envelope.Error
	access.Code, access.Inner, access.Message = e.Code, e.InnerError.Code, e.Message
	switch access.Service {
	case entra.ServiceARM:
		access.Action, access.Scope = between(e.Message, "perform action '", "'"), between(e.Message, "over scope '", "'")
		access.TenantID = tenantIn(between(e.Message, "must match the tenant '", "'"))
	case entra.ServiceKeyVault:
		access.Action, access.Scope = between(e.Message, "Action: '", "'"), between(e.Message, "Resource: '", "'")
	}
}

// vault asks without a token first, as every client does, to learn whom the
// vault trusts.
func (r Resource) vault(ctx context.Context, token entra.Token, access *entra.Access) error {
	u := *r.Target.url
	if u.Path == "" || u.Path == "/" {
		u.Path = "/secrets" // a vault by itself has nothing to read
	}
	query := u.Query()
	if query.Get("api-version") == "" {
		query.Set("api-version", "7.4") // there is no default
		u.RawQuery = query.Encode()
	}
	access.URL = wire.Address(&u)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", access.URL, err)
	}
	// A request on a connection that was used before may be sent twice.
	req.Close = true
	resp, err := wire.Do(r.HTTP, req)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusUnauthorized {
		access.Status = resp.Status
		readAnswer(resp, access)
		return nil
	}
	access.TenantID = challengeTenant(resp.Header.Get("WWW-Authenticate"))
	if access.TenantID != "" && token.TenantID != "" && !entra.SameGUID(access.TenantID, token.TenantID) {
		access.Status, access.Withheld = resp.Status, entra.TrustsOther
		return nil
	}
	return r.get(ctx, token, &u, access)
}

// challengeTenant is the tenant of a vault's challenge:
// Bearer authorization="https://HOST/TENANT", resource="…".
func challengeTenant(challenge string) string {
	return tenantIn(between(challenge, `authorization="`, `"`))
}

// tenantIn returns the GUID that is the first part of a URL's path.
func tenantIn(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !entra.IsGUID(first) {
		return ""
	}
	return strings.ToLower(first)
}

// between returns what stands between two marks, "" if they are not there.
func between(text, before, after string) string {
	_, rest, ok := strings.Cut(text, before)
	found, _, closed := strings.Cut(rest, after)
	if !ok || !closed {
		return ""
	}
	return found
}

// maxText is how much of a foreign text is kept, in bytes.
const maxText = 400

// oneLine takes from a foreign text what does not print.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text[:min(len(text), 8*maxText)])
	return strings.Join(strings.Fields(text), " ")
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
