package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// licenceRefusal is the code for logs and reports of a tenant without Microsoft
// Entra ID P1, as many public threads have it.
const licenceRefusal = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"

// unseen says why a part of the directory could not be read. A refusal for
// want of a licence or a permission is no answer about what is there.
func unseen(ctx context.Context, what, permission string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	u := &entra.Unseen{What: what, Because: strings.Join(strings.Fields(err.Error()), " "), Err: err}
	if e, ok := errors.AsType[*Error](err); ok {
		switch {
		case e.Code == licenceRefusal:
			u.Because, u.Needs = "the tenant has no premium licence, or is a B2C tenant", "Microsoft Entra ID P1"
		case e.Status == http.StatusForbidden:
			u.Because, u.Needs = "the operator may not read it ("+e.Code+")", permission
		}
	}
	return u
}

type signIn struct {
	CreatedDateTime time.Time `json:"createdDateTime"`
	IPAddress       string    `json:"ipAddress"`
	KeyID           string    `json:"servicePrincipalCredentialKeyId"`
	CredentialType  string    `json:"clientCredentialType"`
	Status          struct {
		ErrorCode int `json:"errorCode"`
	} `json:"status"`
}

// ofServicePrincipals is needed to see any of their sign-ins; only beta has them.
const (
	signInLog           = "/beta/auditLogs/signIns?$top=1000&$filter="
	ofServicePrincipals = "signInEventTypes/any(t: t eq 'servicePrincipal')"
)

// maxSignIns bounds what is read of the log.
const maxSignIns = 5000

// SignIns reads an app's own sign-ins of a stretch of time.
func (c *Client) SignIns(ctx context.Context, app entra.App, since, until time.Time) (entra.SignIns, error) {
	const what, permission = "the sign-in log", "AuditLog.Read.All"
	found := entra.SignIns{Since: since, Accepted: map[string]time.Time{}}
	newest, err := c.newestSignIn(ctx)
	if err != nil {
		return found, unseen(ctx, what, permission, err)
	}
	if newest != nil {
		found.Newest = newest.CreatedDateTime.UTC()
	}
	filter := ofServicePrincipals + " and appId eq '" + app.ClientID + "' and createdDateTime ge " + since.UTC().Format(time.RFC3339)
	read := 0
	for entry, err := range pages[signIn](ctx, c, signInLog+url.QueryEscape(filter)) {
		if err != nil {
			return found, unseen(ctx, what, permission, err)
		}
		if read++; read > maxSignIns { // the newest come first
			found.Since = entry.CreatedDateTime.UTC()
			break
		}
		if at := entry.CreatedDateTime.UTC(); at.Before(until) {
			count(&found, entry, at)
		}
	}
	slices.SortStableFunc(found.Refused, func(a, b entra.Refusals) int { return b.Last.Compare(a.Last) })
	return found, nil
}

// newestSignIn returns the newest entry of any app, which tells how far the log
// has come; nil when it shows none.
func (c *Client) newestSignIn(ctx context.Context) (*signIn, error) {
	return first[signIn](ctx, c, strings.Replace(signInLog, "1000", "1", 1)+url.QueryEscape(ofServicePrincipals))
}

func count(s *entra.SignIns, entry signIn, at time.Time) {
	if entry.Status.ErrorCode == 0 {
		if key := strings.ToLower(entry.KeyID); key != "" {
			s.Accepted[key] = later(s.Accepted[key], at)
		}
		return
	}
	i := slices.IndexFunc(s.Refused, func(r entra.Refusals) bool { return r.Code == entry.Status.ErrorCode && r.Address == entry.IPAddress })
	if i < 0 {
		i = len(s.Refused)
		s.Refused = append(s.Refused, entra.Refusals{Code: entry.Status.ErrorCode, Address: entry.IPAddress, First: at, Last: at})
	}
	r := &s.Refused[i]
	r.Count++
	r.Last = later(r.Last, at)
	if at.Before(r.First) {
		r.First = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// LastUses returns the last sign-in with each credential of an app, by key id
// in lower case, as the daily report has it.
func (c *Client) LastUses(ctx context.Context, app entra.App) (map[string]time.Time, error) {
	type activity struct {
		KeyID          string `json:"keyId"`
		SignInActivity struct {
			Last time.Time `json:"lastSignInDateTime"`
		} `json:"signInActivity"`
	}
	found := map[string]time.Time{}
	path := "/beta/reports/appCredentialSignInActivities?$filter=" + url.QueryEscape("appId eq '"+app.ClientID+"'")
	for a, err := range pages[activity](ctx, c, path) {
		if err != nil {
			return found, unseen(ctx, "the report of credential use", "AuditLog.Read.All", err)
		}
		if !a.SignInActivity.Last.IsZero() {
			key := strings.ToLower(a.KeyID)
			found[key] = later(found[key], a.SignInActivity.Last.UTC())
		}
	}
	return found, nil
}
