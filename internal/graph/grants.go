package graph

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

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
