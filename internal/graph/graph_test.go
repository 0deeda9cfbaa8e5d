package graph_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a lab and Graph as its operator sees it. Requests pass through
// intercept first, which may answer them itself.
type rig struct {
	testing.TB
	lab       *entralab.Lab
	client    *graph.Client
	requests  []string
	intercept func(*http.Request) *http.Response
}

func newRig(t testing.TB) *rig {
	t.Helper()
	// Strict: nothing here may count on what Graph does not promise.
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	r := &rig{TB: t, lab: lab}
	r.client = r.as(lab.Operator())
	return r
}

func (r *rig) as(app entralab.App) *graph.Client {
	r.Helper()
	client := wire.Wrap(r)
	identity, err := operator.Place{TenantID: app.TenantID, Authority: r.lab.AuthorityURL(), Graph: r.lab.GraphURL(), HTTP: client}.Secret(app.ClientID, secret.New(app.Secrets[0].Value.Reveal()))
	if err != nil {
		r.Fatal(err)
	}
	return graph.New(r.lab.GraphURL(), identity.TenantID, identity.Credential, client)
}

func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	if r.intercept != nil {
		if resp := r.intercept(req); resp != nil {
			resp.Request = req
			return resp, nil
		}
	}
	return r.lab.Transport().RoundTrip(req)
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func (r *rig) app(name string) entralab.App {
	r.Helper()
	app, err := r.lab.AddApp(entralab.AppSpec{DisplayName: name, Secrets: []entralab.SecretSpec{{DisplayName: "one, with [brackets]"}}})
	if err != nil {
		r.Fatal(err)
	}
	return app
}

func TestFind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	app := r.app("billing")
	found, byObject, err := r.client.Find(t.Context(), strings.ToUpper(app.ClientID))
	if err != nil || byObject != nil || found == nil {
		t.Fatalf("Find by client id = %+v, %+v, %v", found, byObject, err)
	}
	if found.ObjectID != app.ObjectID || found.ServicePrincipal.ObjectID != app.ServicePrincipalID || len(found.ByHint(app.Secrets[0].Hint)) != 1 {
		t.Errorf("found %+v", found)
	}
	for _, id := range []string{app.ObjectID, app.ServicePrincipalID} {
		found, byObject, err = r.client.Find(t.Context(), id)
		if err != nil || found != nil || byObject == nil || byObject.ClientID != app.ClientID {
			t.Errorf("Find by object id = %+v, %+v, %v", found, byObject, err)
		}
	}
	for _, id := range []string{"11111111-2222-4333-8444-555555555555", "no guid' or 1 eq 1"} {
		if found, byObject, err = r.client.Find(t.Context(), id); found != nil || byObject != nil || err != nil {
			t.Errorf("Find(%q) = %+v, %+v, %v", id, found, byObject, err)
		}
	}
}

func TestMintAndChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	app := r.app("billing")
	end := r.lab.Now().Add(90 * 24 * time.Hour).Truncate(time.Second)
	made, value, err := r.client.Mint(t.Context(), entra.OnApplication, app.ObjectID, "made, here]", end)
	if err != nil || value.IsEmpty() || made.Hint != value.Shape().Hint || !made.End.Equal(end) {
		t.Fatalf("Mint = %+v, %v", made, err)
	}
	if err := r.lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
		t.Fatal(err)
	}
	found, _, err := r.client.Find(t.Context(), app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := r.client.Changes(t.Context(), *found)
	if err != nil || len(changes) != 3 {
		t.Fatalf("Changes = %+v, %v; want three", changes, err)
	}
	if got := changes[0].Removed; len(got) != 1 || !entra.SameGUID(got[0].KeyID, app.Secrets[0].KeyID) || got[0].DisplayName != "one, with [brackets]" {
		t.Errorf("newest change removed %+v", got)
	}
	if got := changes[1].Added; len(got) != 1 || !entra.SameGUID(got[0].KeyID, made.KeyID) || got[0].DisplayName != "made, here]" || changes[1].By == "" {
		t.Errorf("change before added %+v by %q", got, changes[1].By)
	}
}

// TestMintOnce: a lost answer must not be answered with a second secret.
func TestMintOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 503, 504} {
		r := newRig(t)
		app := r.app("billing")
		r.intercept = func(req *http.Request) *http.Response {
			if strings.HasSuffix(req.URL.Path, "/addPassword") {
				return reply(status, "")
			}
			return nil
		}
		_, _, err := r.client.Mint(t.Context(), entra.OnApplication, app.ObjectID, "x", r.lab.Now())
		sent := 0
		for _, request := range r.requests {
			if strings.HasSuffix(request, "/addPassword") {
				sent++
			}
		}
		if e, ok := errors.AsType[*graph.Error](err); !ok || e.Status != status || sent != 1 {
			t.Errorf("HTTP %d: sent %d times, error %v", status, sent, err)
		}
	}
}

func TestWithHintReadsAllPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var want entralab.App
	for i := range 5 {
		want = r.app(fmt.Sprintf("app %d", i))
	}
	pages := 0
	r.intercept = func(req *http.Request) *http.Response {
		if q := req.URL.Query(); q.Get("$top") == "999" { // smaller pages
			pages++
			q.Set("$top", "2")
			req.URL.RawQuery = q.Encode()
		}
		return nil
	}
	found, err := r.client.WithHint(t.Context(), want.Secrets[0].Hint)
	if err != nil || len(found) != 1 || found[0].ClientID != want.ClientID {
		t.Errorf("WithHint = %+v, %v", found, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	weak := r.app("weak")
	_, _, err := r.as(weak).Find(t.Context(), weak.ClientID)
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Status != 403 || e.Code != "Authorization_RequestDenied" || e.RequestID == "" {
		t.Errorf("without permission: %v", err)
	}
	weak.Secrets[0] = r.app("other").Secrets[0]
	_, _, err = r.as(weak).Find(t.Context(), weak.ClientID)
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Code != "AADSTS7000215" || strings.Contains(err.Error(), "\n") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

// TestForeignNextLink: the token does not follow a link to another host.
func TestForeignNextLink(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.intercept = func(req *http.Request) *http.Response {
		if req.URL.Host != "graph.lab.test" && req.URL.Host != "login.lab.test" {
			t.Errorf("a request went to %s", req.URL.Host)
		}
		if req.URL.Path == "/v1.0/applications" {
			return reply(200, `{"value":[],"@odata.nextLink":"https://elsewhere.example/v1.0/applications"}`)
		}
		return nil
	}
	_, err := r.client.WithHint(t.Context(), "abc")
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Code != "ForeignLink" {
		t.Errorf("error %v, want ForeignLink", err)
	}
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"page": "<html>", "cut": `{"value":[{"id":"`, "wrong type": `{"value":{}}`, "loop": `{"value":[],"@odata.nextLink":"https://graph.lab.test/v1.0/applications?a"}`} {
		r := newRig(t)
		r.intercept = func(req *http.Request) *http.Response {
			if strings.HasPrefix(req.URL.Path, "/v1.0/") {
				return reply(200, body)
			}
			return nil
		}
		_, err := r.client.WithHint(t.Context(), "abc")
		if err == nil || bytes.Contains([]byte(err.Error()), []byte("\n")) || len(err.Error()) > 200 {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
