package graph

import (
	"context"
	"net/url"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

type managementPolicy struct {
	ID             string
	DisplayName    string
	IsEnabled      bool
	Restrictions   restrictions // of a policy for apps
	OfApplications restrictions `json:"applicationRestrictions"` // of the tenant's default
	OfPrincipals   restrictions `json:"servicePrincipalRestrictions"`
}

type restrictions struct {
	PasswordCredentials []struct {
		RestrictionType string
		State           *string // null counts as enabled (recalled, unverified)
		MaxLifetime     *string
		CreatedAfter    *time.Time `json:"restrictForAppsCreatedAfterDateTime"`
		ExcludeActors   *struct{}
	}
}

// SecretPolicy returns what applies to new secrets of an app: its own policy
// takes the place of the tenant's default, the two are not merged.
func (c *Client) SecretPolicy(ctx context.Context, app entra.App) (entra.SecretPolicy, error) {
	policy, err := c.secretPolicy(ctx, app)
	return policy, unseen(ctx, "the app management policies", "Policy.Read.All", err)
}

func (c *Client) secretPolicy(ctx context.Context, app entra.App) (entra.SecretPolicy, error) {
	if app.ObjectID != "" {
		own, err := first[managementPolicy](ctx, c, "/v1.0/applications/"+url.PathEscape(app.ObjectID)+"/appManagementPolicies")
		if err != nil {
			return entra.SecretPolicy{}, err
		}
		if own != nil {
			return own.of(app, own.Restrictions), nil
		}
	}
	var byDefault managementPolicy
	if err := c.get(ctx, "/v1.0/policies/defaultAppManagementPolicy", &byDefault); err != nil {
		return entra.SecretPolicy{}, err
	}
	policy := byDefault.of(app, byDefault.OfApplications)
	if app.ObjectID == "" { // its secrets are on the service principal
		policy = byDefault.of(app, byDefault.OfPrincipals)
	}
	policy.OfTenant = true
	return policy, nil
}

// of reads what restricts an app's secrets: a restriction is for apps made
// since a time.
func (p managementPolicy) of(app entra.App, r restrictions) entra.SecretPolicy {
	policy := entra.SecretPolicy{ID: p.ID, Name: p.DisplayName}
	if !p.IsEnabled {
		return policy
	}
	for _, one := range r.PasswordCredentials {
		if one.State != nil && *one.State == "disabled" || one.CreatedAfter != nil && app.Created.Before(*one.CreatedAfter) {
			continue
		}
		switch {
		case one.RestrictionType == "passwordAddition":
			policy.ForbidsNew, policy.Exempts = true, one.ExcludeActors != nil
		case one.RestrictionType == "passwordLifetime" && one.MaxLifetime != nil:
			policy.MaxLifetime = *one.MaxLifetime
		}
	}
	return policy
}
