package operator_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ada = "ada-example@contoso.lab.test"

func newLab(t testing.TB) *entralab.Lab {
	t.Helper()
	lab, err := entralab.Start(context.Background(), entralab.Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	return lab
}

func placeOf(lab *entralab.Lab) operator.Place {
	return operator.Place{TenantID: lab.TenantID(), Authority: lab.AuthorityURL(), Graph: lab.GraphURL(), HTTP: wire.Wrap(lab.Transport())}
}

// reads checks that an identity reads the directory.
func reads(t testing.TB, lab *entralab.Lab, p operator.Place, id operator.Identity, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	app := lab.Healthy()
	found, _, err := graph.New(p.Graph, id.TenantID, id.Credential, p.HTTP).Find(context.Background(), app.ClientID)
	if err != nil || found == nil || found.ObjectID != app.ObjectID {
		t.Errorf("%s: %+v, %v", id.Name, found, err)
	}
}

func readerApp(t testing.TB, lab *entralab.Lab, spec entralab.AppSpec) entralab.App {
	t.Helper()
	spec.Permissions = append(spec.Permissions, "Application.Read.All")
	app, err := lab.AddApp(spec)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestSecret(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	app := readerApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{DisplayName: "one"}}})
	id, err := placeOf(lab).Secret(app.ClientID, secret.New(app.Secrets[0].Value.Reveal()))
	reads(t, lab, placeOf(lab), id, err)
	if id.Name != "app "+app.ClientID {
		t.Error(id.Name)
	}
}

// certificate returns a certificate and, in one PEM file, it and its key.
func certificate(t testing.TB, key any) (*x509.Certificate, []byte) {
	t.Helper()
	var public any
	switch k := key.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return made, append(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	made, file := certificate(t, key)
	app := readerApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{made}})
	id, err := placeOf(lab).Certificate(app.ClientID, file, secret.Value{})
	reads(t, lab, placeOf(lab), id, err)

	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other := certificate(t, curve)
	for name, bad := range map[string][]byte{"nothing": nil, "text": []byte("canary-text"), "no key": file[:strings.Index(string(file), "-----BEGIN PRIVATE")], "elliptic": other} {
		_, err := placeOf(lab).Certificate(app.ClientID, bad, secret.New("canary-password"))
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorkload(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	const issuer, subject = "https://cluster.example/", "system:serviceaccount:ops:credsmith"
	app := readerApp(t, lab, entralab.AppSpec{FederatedCredentials: []entralab.FederatedCredentialSpec{{Name: "k8s", Issuer: issuer, Subject: subject}}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(lab.SignAssertion(issuer, subject, "api://AzureADTokenExchange")), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := placeOf(lab).Workload(app.ClientID, file)
	reads(t, lab, placeOf(lab), id, err)
	if _, err := placeOf(lab).Workload(app.ClientID, ""); err == nil || !strings.Contains(err.Error(), "AZURE_FEDERATED_TOKEN_FILE is not set") {
		t.Error(err)
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{Request: r, StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// TestManaged asks the metadata service of the machine, which gives a token.
func TestManaged(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	app := readerApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{DisplayName: "one"}}})
	token := tokenFor(t, lab, app)
	status, asked := 200, url.Values{}
	p := placeOf(lab)
	p.HTTP = wire.Wrap(roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "169.254.169.254" {
			return lab.Transport().RoundTrip(r)
		}
		asked = r.URL.Query()
		if status != 200 {
			return answer(r, status, `{"error":"invalid_request","error_description":"Identity not found"}`), nil
		}
		return answer(r, 200, fmt.Sprintf(`{"access_token":%q,"expires_in":"3599","expires_on":"%d","resource":"x","token_type":"Bearer"}`, token, time.Now().Add(time.Hour).Unix())), nil
	}))
	id, err := p.Managed(app.ClientID)
	reads(t, lab, p, id, err)
	if asked.Get("client_id") != app.ClientID || asked.Get("resource") != lab.GraphURL() {
		t.Errorf("asked %v", asked)
	}
	status = 400
	id, err = p.Managed("")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = graph.New(p.Graph, id.TenantID, id.Credential, p.HTTP).Find(t.Context(), app.ClientID)
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Op != "sign in as the operator" || strings.Contains(err.Error(), "\n") {
		t.Errorf("without an identity: %v", err)
	}
}

// tokenFor is a token for Graph as the app gets it.
func tokenFor(t testing.TB, lab *entralab.Lab, app entralab.App) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {app.Secrets[0].Value.Reveal()}, "scope": {lab.GraphURL() + "/.default"}}
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.AccessToken == "" {
		t.Fatalf("token: %v", err)
	}
	return got.AccessToken
}

// TestDeviceCode signs a person in; the tenant is that of their token.
func TestDeviceCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := newLab(t)
		app, err := lab.AddApp(entralab.AppSpec{DisplayName: "credsmith", PublicClient: true})
		if err != nil {
			t.Fatal(err)
		}
		typed := regexp.MustCompile(`the code ([A-Z0-9]{9})`)
		var shown []string
		page := func(field string) func(string) {
			return func(message string) {
				shown = append(shown, message)
				form := url.Values{"otc": {typed.FindStringSubmatch(message)[1]}, field: {map[string]string{"lab_user": ada, "lab_answer": "cancel"}[field]}}
				resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/common/oauth2/deviceauth", form)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("page: %v", err)
				} else {
					resp.Body.Close()
				}
			}
		}
		p := placeOf(lab)
		id, err := p.DeviceCode(t.Context(), app.ClientID, page("lab_user"))
		if err != nil || id.TenantID != lab.TenantID() || id.Name != ada+" (device code)" || len(shown) != 1 {
			t.Fatalf("%+v %v %q", id, err, shown)
		}
		// The token at hand is used: nobody is asked again.
		_, _, err = graph.New(p.Graph, id.TenantID, id.Credential, p.HTTP).Find(t.Context(), app.ClientID)
		if e, refused := errors.AsType[*graph.Error](err); err != nil && (!refused || e.Status != 403) || len(shown) != 1 {
			t.Errorf("%v, prompts %d", err, len(shown))
		}
		_, err = p.DeviceCode(t.Context(), app.ClientID, page("lab_answer"))
		if err == nil || !strings.HasPrefix(err.Error(), "device code: the login host refuses it (HTTP 400): the sign-in was declined") || strings.Contains(err.Error(), "\n") {
			t.Errorf("declined: %v", err)
		}
	})
}

// TestAzureCLI starts a program named az. Not parallel: it changes PATH.
func TestAzureCLI(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	lab := newLab(t)
	app := readerApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{DisplayName: "one"}}})
	dir := t.TempDir()
	az := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "az"), []byte("#!/bin/sh\necho \"$@\" >> '"+dir+"/calls'\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	az(fmt.Sprintf("echo '{\"accessToken\":\"%s\",\"expires_on\":%d}'\n", tokenFor(t, lab, app), time.Now().Add(time.Hour).Unix()))
	p := placeOf(lab)
	p.TenantID = ""
	id, err := p.AzureCLI(t.Context())
	reads(t, lab, p, id, err)
	if id.TenantID != lab.TenantID() {
		t.Errorf("tenant %s", id.TenantID)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if want := "account get-access-token -o json --resource " + lab.GraphURL() + "\n"; err != nil || string(calls) != want {
		t.Errorf("az was called with %q, want once %q", calls, want)
	}
	for script, want := range map[string]string{
		"echo 'ERROR: Please run '\"'az login'\"' to setup account.' >&2; exit 1\n":     "az login: Please run 'az login' to setup account",
		"printf 'ERROR: AADSTS70043: The refresh token has expired\\nmore' >&2; exit 1": "az login: AADSTS70043: The refresh token has expired",
		"echo not json\n": "az login: invalid character",
		"echo '{\"accessToken\":\"opaque\",\"expires_on\":4102444800}'\n": "az login: the token does not tell its tenant: name it with CREDSMITH_OPERATOR_TENANT_ID",
	} {
		az(script)
		if _, err := p.AzureCLI(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
