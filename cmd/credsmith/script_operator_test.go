package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/labtest"
)

// cmdFill writes a file in which @NAME@ stands for a variable.
//
//	fill TEMPLATE FILE
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	text := regexp.MustCompile(`@(\w+)@`).ReplaceAllStringFunc(ts.ReadFile(args[0]), func(name string) string {
		return ts.Getenv(name[1 : len(name)-1])
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// cmdCertificate registers an app that reads the directory and signs in with a
// certificate, writes the certificate and its key to a file, and sets CLIENT_ID.
//
//	certificate FILE
func cmdCertificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "op"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ts.Check(err)
	made, err := x509.ParseCertificate(der)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	app, err := labOf(ts).AddApp(entralab.AppSpec{DisplayName: "operator", Certificates: []*x509.Certificate{made}, Permissions: []string{"Application.Read.All"}})
	ts.Check(err)
	file := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), file, 0o600))
	ts.Setenv("CLIENT_ID", app.ClientID)
}

// cmdAzToken writes what az prints for the lab's operator.
//
//	aztoken FILE
func cmdAzToken(ts *testscript.TestScript, _ bool, args []string) {
	lab := labOf(ts)
	op := lab.Operator()
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+op.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {op.ClientID}, "client_secret": {op.Secrets[0].Value.Reveal()}, "scope": {lab.GraphURL() + "/.default"},
	})
	ts.Check(err)
	defer resp.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	ts.Check(json.NewDecoder(resp.Body).Decode(&got))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, `{"accessToken":%q,"expires_on":%d}`, got.Token, time.Now().Add(time.Hour).Unix()), 0o600))
}

// cmdPerson lets a user of the lab answer every sign-in page at once, and names
// a public client app for them in CLIENT_ID.
//
//	person USER
func cmdPerson(ts *testscript.TestScript, _ bool, args []string) {
	labOf(ts).SetAutoSignIn(args[0])
	app, err := labOf(ts).AddApp(entralab.AppSpec{DisplayName: "credsmith", PublicClient: true})
	ts.Check(err)
	ts.Setenv("CLIENT_ID", app.ClientID)
}

// cmdForbid gives the app of OBJECT_ID a policy that lets no secret be added.
func cmdForbid(ts *testscript.TestScript, _ bool, _ []string) {
	labtest.Restrict(scriptTB{ts}, labOf(ts), entralab.App{ObjectID: ts.Getenv("OBJECT_ID")}, "passwordAddition", "")
}
