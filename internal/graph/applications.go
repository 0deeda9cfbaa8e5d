package graph

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// passwordCredential is the credential's record as Graph has it.
type passwordCredential struct {
	KeyID               string    `json:"keyId"`
	Hint                string    `json:"hint"`
	DisplayName         string    `json:"displayName"`
	CustomKeyIdentifier []byte    `json:"customKeyIdentifier"` // old tools put the name here
	StartDateTime       time.Time `json:"startDateTime"`
	EndDateTime         time.Time `json:"endDateTime"`
}

func (p passwordCredential) credential(on entra.Holder) entra.Credential {
	display := p.DisplayName
	if display == "" {
		display = strings.ReplaceAll(string(p.CustomKeyIdentifier), "\x00", "") // UTF-16
	}
	return entra.Credential{KeyID: p.KeyID, Hint: p.Hint, DisplayName: display, Start: p.StartDateTime.UTC(), End: p.EndDateTime.UTC(), On: on}
}

type application struct {
	ID                  string               `json:"id"`
	AppID               string               `json:"appId"`
	DisplayName         string               `json:"displayName"`
	CreatedDateTime     time.Time            `json:"createdDateTime"`
	DeletedDateTime     time.Time            `json:"deletedDateTime"`
	IsDisabled          bool                 `json:"isDisabled"`
	SignInAudience      string               `json:"signInAudience"`
	PasswordCredentials []passwordCredential `json:"passwordCredentials"`
}

type servicePrincipal struct {
	ID                  string               `json:"id"`
	AppID               string               `json:"appId"`
	DisplayName         string               `json:"displayName"`
	AccountEnabled      bool                 `json:"accountEnabled"`
	Owner               string               `json:"appOwnerOrganizationId"`
	PasswordCredentials []passwordCredential `json:"passwordCredentials"`
}

const (
	appFields = "$select=id,appId,displayName,createdDateTime,isDisabled,signInAudience,passwordCredentials"
	spFields  = "$select=id,appId,displayName,accountEnabled,appOwnerOrganizationId,passwordCredentials"
)

// app joins the two objects of one client id; either may be nil, not both.
func (c *Client) app(a *application, sp *servicePrincipal) *entra.App {
	app := &entra.App{TenantID: c.tenantID}
	if sp != nil {
		app.ClientID, app.DisplayName = sp.AppID, sp.DisplayName
		app.ServicePrincipal = &entra.ServicePrincipal{ObjectID: sp.ID, Enabled: sp.AccountEnabled}
		for _, p := range sp.PasswordCredentials {
			app.Credentials = append(app.Credentials, p.credential(entra.OnServicePrincipal))
		}
	}
	if a != nil {
		app.ObjectID, app.ClientID, app.DisplayName = a.ID, a.AppID, a.DisplayName
		app.Created, app.DeletedAt, app.Disabled, app.Audience = a.CreatedDateTime.UTC(), a.DeletedDateTime.UTC(), a.IsDisabled, a.SignInAudience
		for _, p := range a.PasswordCredentials {
			app.Credentials = append(app.Credentials, p.credential(entra.OnApplication))
		}
	}
	return app
}

// Find returns the app with that client id, and the app whose application or
// service principal has that object id. Neither found is no error; an id that
// is no GUID is not asked for.
func (c *Client) Find(ctx context.Context, id string) (app, byObjectID *entra.App, err error) {
	if !entra.IsGUID(id) {
		return nil, nil, nil
	}
	a, err := first[application](ctx, c, "/v1.0/applications?"+appFields+"&$filter="+url.QueryEscape("appId eq '"+id+"'"))
	if err != nil {
		return nil, nil, err
	}
	sp, err := first[servicePrincipal](ctx, c, "/v1.0/servicePrincipals?"+spFields+"&$filter="+url.QueryEscape("appId eq '"+id+"'"))
	if err != nil {
		return nil, nil, err
	}
	if a != nil || sp != nil {
		return c.app(a, sp), nil, nil
	}
	byObjectID, err = c.findByObjectID(ctx, id)
	return nil, byObjectID, err
}

func (c *Client) findByObjectID(ctx context.Context, id string) (*entra.App, error) {
	var a application
	err := c.get(ctx, "/v1.0/applications/"+id+"?"+appFields, &a)
	if err == nil {
		return c.app(&a, nil), nil
	}
	if !IsNotFound(err) {
		return nil, err
	}
	var sp servicePrincipal
	err = c.get(ctx, "/v1.0/servicePrincipals/"+id+"?"+spFields, &sp)
	if err == nil {
		return c.app(nil, &sp), nil
	}
	if !IsNotFound(err) {
		return nil, err
	}
	return nil, nil
}

// Deleted returns the deleted app with that client id, nil if there is none.
// Entra keeps deleted apps for 30 days.
func (c *Client) Deleted(ctx context.Context, clientID string) (*entra.App, error) {
	if !entra.IsGUID(clientID) {
		return nil, nil
	}
	// Not every property of a deleted item can be filtered by: all are read.
	for a, err := range pages[application](ctx, c, "/v1.0/directory/deletedItems/microsoft.graph.application") {
		if err != nil {
			return nil, err
		}
		if entra.SameGUID(a.AppID, clientID) {
			return c.app(&a, nil), nil
		}
	}
	return nil, nil
}

func first[T any](ctx context.Context, c *Client, path string) (*T, error) {
	for item, err := range pages[T](ctx, c, path) {
		if err != nil {
			return nil, err
		}
		return &item, nil
	}
	return nil, nil
}

// WithHint returns the apps that have a credential with that hint on the
// application. Graph cannot filter by it, so all apps are read.
func (c *Client) WithHint(ctx context.Context, hint string) ([]entra.App, error) {
	var found []entra.App
	for a, err := range pages[application](ctx, c, "/v1.0/applications?$select=id,appId,displayName,passwordCredentials&$top=999") {
		if err != nil {
			return found, err
		}
		if app := c.app(&a, nil); len(app.ByHint(hint)) > 0 {
			found = append(found, *app)
		}
	}
	return found, nil
}
