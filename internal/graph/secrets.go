package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

// What a rotation asks of Graph. Each request is sent once: the rotation
// itself tries again, knowing what it did.

// collectionOf is the path of the objects of a kind.
func collectionOf(on entra.Holder) string {
	if on == entra.OnServicePrincipal {
		return "/v1.0/servicePrincipals/"
	}
	return "/v1.0/applications/"
}

// Mint adds a client secret to an application or service principal and returns
// it with its value, which nobody can ask for again. Only an *entra.Refusal
// says that it was not added: there is no idempotency key, and a second
// request would make a second secret.
func (c *Client) Mint(ctx context.Context, on entra.Holder, objectID, displayName string, end time.Time) (entra.Credential, secret.Value, error) {
	type request struct {
		DisplayName string    `json:"displayName"`
		EndDateTime time.Time `json:"endDateTime"`
	}
	var made struct {
		passwordCredential
		SecretText string `json:"secretText"`
	}
	err := c.do(withoutRetries(ctx), http.MethodPost, collectionOf(on)+url.PathEscape(objectID)+"/addPassword",
		map[string]request{"passwordCredential": {displayName, end.UTC()}}, &made)
	if err != nil {
		return entra.Credential{}, secret.Value{}, refused(err)
	}
	if made.SecretText == "" || made.KeyID == "" {
		return entra.Credential{}, secret.Value{}, fmt.Errorf("add a secret to %s: Graph's answer holds no value: look for a secret named %q and remove it", objectID, displayName)
	}
	return made.credential(on), secret.New(made.SecretText), nil
}

// Remove removes a secret by its key id. One that is not there is no error.
func (c *Client) Remove(ctx context.Context, on entra.Holder, objectID, keyID string) error {
	err := c.do(withoutRetries(ctx), http.MethodPost, collectionOf(on)+url.PathEscape(objectID)+"/removePassword", map[string]string{"keyId": keyID}, nil)
	// Graph answers 400 with a text of its own; the code is a general one.
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusBadRequest && strings.Contains(e.Message, "No password credential found with keyId") {
		return nil
	}
	return refused(err)
}

// refused turns a clear no of Graph into an *entra.Refusal. What may have been
// done in spite of the answer stays what it is.
func refused(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	r := &entra.Refusal{After: e.RetryAfter, Err: err}
	switch {
	case e.Status == 0:
		r.Kind = entra.RefusedSignIn
	case e.Status == http.StatusTooManyRequests, e.Code == "Directory_ExpiredPageToken": // begin the listing again
		r.Kind = entra.RefusedThrottled
	case e.Status == http.StatusConflict:
		r.Kind = entra.RefusedConflict
	case e.Status == http.StatusNotFound:
		r.Kind = entra.RefusedAbsent
	case e.Code == "Authentication_RequestFromNonPremiumTenantOrB2CTenant":
		r.Kind = entra.RefusedLicence
	case strings.HasSuffix(e.Code, "AsPerAppPolicy"):
		r.Kind = entra.RefusedPolicy
	case e.Code == "Directory_ResourceSizeExceeded", e.Code == "Directory_QuotaExceeded", strings.Contains(e.Message, "size of the object has exceeded its limit"):
		r.Kind = entra.RefusedLimit
	case e.Status == http.StatusUnauthorized:
		r.Kind = entra.RefusedSignIn
	case e.Status == http.StatusForbidden:
		r.Kind = entra.RefusedPermission
	case e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout:
		r.Kind = entra.RefusedOther
	default: // 5xx, 408: nobody knows whether it was done
		return err
	}
	return r
}

// Snapshot reads an app by its client id, and the directory's clock.
func (c *Client) Snapshot(ctx context.Context, clientID string) (entra.Snapshot, error) {
	var s entra.Snapshot
	if !entra.IsGUID(clientID) {
		return s, fmt.Errorf("%q is no client id", clientID)
	}
	filter := "&$filter=" + url.QueryEscape("appId eq '"+clientID+"'")
	var apps struct{ Value []application }
	head, err := c.send(withoutRetries(ctx), http.MethodGet, "/v1.0/applications?"+appFields+filter, nil, &apps)
	if err != nil {
		return s, refused(err)
	}
	if s.Server, err = http.ParseTime(head.Get("Date")); err != nil {
		return s, wire.NotEntra(c.origin, "the answer does not tell the time (no Date)")
	}
	var principals struct{ Value []servicePrincipal }
	if err := c.get(withoutRetries(ctx), "/v1.0/servicePrincipals?"+spFields+filter, &principals); err != nil {
		return s, refused(err)
	}
	var a *application
	var sp *servicePrincipal
	if len(apps.Value) > 0 {
		a = &apps.Value[0]
	}
	if len(principals.Value) > 0 {
		sp = &principals.Value[0]
	}
	if a == nil && sp != nil && (sp.Owner == "" || entra.SameGUID(sp.Owner, c.tenantID)) {
		// A listing that leaves something out must not pass for an app that
		// is at home in another tenant.
		return s, fmt.Errorf("the directory shows the service principal of app %s and not the application itself", clientID)
	}
	if a != nil || sp != nil {
		s.App = c.app(a, sp)
	}
	return s, nil
}

// Operator returns what the operator's own token says of it.
func (c *Client) Operator(ctx context.Context) (entra.Operator, error) {
	token, err := c.token(ctx)
	if err != nil {
		return entra.Operator{}, refused(c.trouble(ctx, "sign in", err))
	}
	var claims struct {
		AppID string   `json:"appid"`
		OID   string   `json:"oid"`
		Roles []string `json:"roles"`
		Scp   string   `json:"scp"`
	}
	if parts := strings.Split(token.Token, "."); len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			json.Unmarshal(payload, &claims) // what it does not tell is not known
		}
	}
	op := entra.Operator{ClientID: claims.AppID, ObjectID: claims.OID, Permissions: claims.Roles}
	if claims.Scp != "" {
		// A person: what they may do depends on their directory roles, which
		// the token does not tell. The client app is not who they are.
		op.ClientID = ""
		op.Permissions = nil
	}
	return op, nil
}

// Owns reports whether the operator is an owner of an application.
func (c *Client) Owns(ctx context.Context, app entra.App) (bool, error) {
	op, err := c.Operator(ctx)
	if err != nil {
		return false, err
	}
	for owner, err := range pages[struct {
		ID string `json:"id"`
	}](withoutRetries(ctx), c, "/v1.0/applications/"+url.PathEscape(app.ObjectID)+"/owners?$select=id") {
		if err != nil {
			return false, refused(err)
		}
		if entra.SameGUID(owner.ID, op.ObjectID) {
			return true, nil
		}
	}
	return false, nil
}

// Rules returns what applies to new secrets of an app. Apps for personal
// accounts may have two secrets (Microsoft, "Validation differences by
// supported account types").
func (c *Client) Rules(ctx context.Context, app entra.App) (entra.Rules, error) {
	var rules entra.Rules
	if strings.Contains(app.Audience, "Personal") {
		rules.MaxSecrets = 2
	}
	policy, err := c.secretPolicy(withoutRetries(ctx), app)
	if err != nil {
		err = refused(err)
		if entra.RefusedAs(err) != entra.RefusedPermission {
			return rules, err
		}
		rules.Unknown = "whether a policy limits new secrets cannot be seen without Policy.Read.All: the mint itself will show"
		return rules, nil
	}
	if !policy.ForbidsNew && policy.MaxLifetime == "" {
		return rules, nil
	}
	rules.Policy, rules.Forbidden = policy.Label(), policy.ForbidsNew
	if policy.Exempts {
		rules.Unknown = fmt.Sprintf("policy %s exempts some actors; whether credsmith is one of them cannot be told beforehand", policy.Label())
	}
	if policy.MaxLifetime != "" {
		if rules.MaxLifetime, err = isoDuration(policy.MaxLifetime); err != nil {
			rules.Unknown = fmt.Sprintf("policy %s limits the life of secrets to %q, which cannot be read", policy.Label(), policy.MaxLifetime)
		}
	}
	return rules, nil
}

// SecretUse reads the use of an app's secrets since a time. Only successes tell
// a key id. The newest entry of the whole log is how far it has come.
func (c *Client) SecretUse(ctx context.Context, clientID string, since time.Time) (entra.SecretUse, error) {
	found := entra.SecretUse{Last: map[string]time.Time{}}
	ctx = withoutRetries(ctx)
	newest, err := c.newestSignIn(ctx)
	if err != nil {
		return found, refused(err)
	}
	if newest != nil {
		found.Watermark = newest.CreatedDateTime
	}
	times := map[string][]time.Time{} // by key id
	filter := fmt.Sprintf("%s and appId eq '%s' and createdDateTime ge %s", ofServicePrincipals, clientID, since.UTC().Format(time.RFC3339))
	for entry, err := range pages[signIn](ctx, c, signInLog+url.QueryEscape(filter)) {
		if err != nil {
			return found, refused(err)
		}
		if entry.CreatedDateTime.After(found.Watermark) {
			found.Watermark = entry.CreatedDateTime
		}
		if entry.Status.ErrorCode != 0 {
			continue
		}
		id := strings.ToLower(entra.CleanIdentifier(entry.KeyID))
		if id == "" && entry.CredentialType != "" && entry.CredentialType != "clientSecret" {
			continue // a certificate, or a federated token
		}
		times[id] = append(times[id], entry.CreatedDateTime)
		if entry.CreatedDateTime.After(found.Last[id]) {
			found.Last[id] = entry.CreatedDateTime
		}
	}
	for _, of := range times {
		slices.SortFunc(of, time.Time.Compare)
		for i := 1; i < len(of); i++ {
			found.Longest = max(found.Longest, of[i].Sub(of[i-1]))
		}
	}
	return found, nil
}
