package graph

import (
	"context"
	"net/url"
	"slices"
	"strings"
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

// maxResources bounds how many resources are asked for the names of their
// permissions.
const maxResources = 5

// Grants returns the application permissions that were consented to for an
// app, by resource and name.
func (c *Client) Grants(ctx context.Context, app entra.App) ([]entra.Grant, error) {
	if app.ServicePrincipal == nil {
		return nil, nil
	}
	type assignment struct{ AppRoleID, ResourceID, ResourceDisplayName string }
	principal := "/v1.0/servicePrincipals/" + url.PathEscape(app.ServicePrincipal.ObjectID)
	var grants []entra.Grant
	names := map[string]string{} // by role id
	asked := map[string]bool{}
	for a, err := range pages[assignment](ctx, c, principal+"/appRoleAssignments") {
		if err != nil {
			return grants, unseen(ctx, "the app's permissions", "Application.Read.All", err)
		}
		if !asked[a.ResourceID] && len(asked) < maxResources && entra.IsGUID(a.ResourceID) {
			asked[a.ResourceID] = true
			c.roleNames(ctx, a.ResourceID, names)
		}
		permission := a.AppRoleID
		if name := names[strings.ToLower(a.AppRoleID)]; name != "" {
			permission = name
		}
		grants = append(grants, entra.Grant{Resource: a.ResourceDisplayName, Permission: permission})
	}
	return sorted(grants), nil
}

// Consents returns the delegated permissions that were consented to for an app.
// They do not count when it signs in as itself.
func (c *Client) Consents(ctx context.Context, app entra.App) ([]entra.Grant, error) {
	if app.ServicePrincipal == nil {
		return nil, nil
	}
	type delegation struct{ Scope, ResourceID string }
	var grants []entra.Grant
	path := "/v1.0/servicePrincipals/" + url.PathEscape(app.ServicePrincipal.ObjectID) + "/oauth2PermissionGrants"
	for d, err := range pages[delegation](ctx, c, path) {
		if err != nil {
			return grants, unseen(ctx, "the app's delegated permissions", "Directory.Read.All", err)
		}
		for scope := range strings.FieldsSeq(d.Scope) {
			grants = append(grants, entra.Grant{Resource: d.ResourceID, Permission: scope})
		}
	}
	return sorted(grants), nil
}

// roleNames adds the names of a resource's roles. Without them ids are shown.
func (c *Client) roleNames(ctx context.Context, resource string, names map[string]string) {
	var sp struct {
		AppRoles []struct{ ID, Value string }
	}
	if c.get(ctx, "/v1.0/servicePrincipals/"+resource+"?$select=id,appRoles", &sp) != nil {
		return
	}
	for _, r := range sp.AppRoles {
		names[strings.ToLower(r.ID)] = r.Value
	}
}

func sorted(grants []entra.Grant) []entra.Grant {
	slices.SortStableFunc(grants, func(a, b entra.Grant) int {
		return strings.Compare(a.Resource+" "+a.Permission, b.Resource+" "+b.Permission)
	})
	return grants
}
