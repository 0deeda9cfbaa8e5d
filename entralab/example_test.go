package entralab_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/credsmith/credsmith/entralab"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// A test calls New(t); elsewhere Start and Close do the same.
func Example() {
	lab, err := entralab.Start(context.Background(), entralab.Config{})
	if err != nil {
		panic(err)
	}
	defer lab.Close()
	app, err := lab.AddApp(entralab.AppSpec{DisplayName: "billing", Secrets: []entralab.SecretSpec{{DisplayName: "ci"}}})
	if err != nil {
		panic(err)
	}

	// The client is the one your program uses.
	config := clientcredentials.Config{
		ClientID:     app.ClientID,
		ClientSecret: app.Secrets[0].Value.Reveal(),
		TokenURL:     lab.AuthorityURL() + "/" + lab.TenantID() + "/oauth2/v2.0/token",
		Scopes:       []string{"https://graph.microsoft.com/.default"},
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, lab.Client())
	token, err := config.Token(ctx)
	fmt.Println(token.Type(), err)

	// Somebody deletes the secret in the portal.
	if err := lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
		panic(err)
	}
	_, err = config.Token(ctx)
	refused := err.(*oauth2.RetrieveError)
	fmt.Println(refused.Response.StatusCode, refused.ErrorCode, refused.ErrorDescription[:13])

	// Output:
	// Bearer <nil>
	// 401 invalid_client AADSTS7000215
}

func ExampleLab_Advance() {
	lab, err := entralab.Start(context.Background(), entralab.Config{InProcess: true})
	if err != nil {
		panic(err)
	}
	defer lab.Close()
	app := lab.Healthy()
	ask := func() int {
		r, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/token", map[string][]string{
			"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
			"client_id": {app.ClientID}, "client_secret": {app.Secrets[0].Value.Reveal()},
		})
		if err != nil {
			panic(err)
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	fmt.Println("today:", ask() == http.StatusOK)
	lab.Advance(3 * 365 * 24 * 60 * 60 * 1e9)
	fmt.Println("in three years:", ask() == http.StatusOK)
	// Output:
	// today: true
	// in three years: false
}
