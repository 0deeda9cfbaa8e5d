package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
)

// cmdLab starts a lab for the script and sets the environment of its clients.
// With permissions it serves mail too, at $SMTP and $IMAP, and grants them to
// the healthy app.
//
//	lab [SMTP.SendAsApp] [IMAP.AccessAsApp]
func cmdLab(ts *testscript.TestScript, _ bool, args []string) {
	lab := entralab.New(scriptTB{ts})
	ca := ts.MkAbs("ca.pem")
	ts.Check(os.WriteFile(ca, lab.CAPEM(), 0o600))
	for _, line := range append(lab.Env(), "SSL_CERT_FILE="+ca) {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
	labs.Store(ts, lab)
	if len(args) > 0 {
		server, err := mail.Start(context.Background(), lab, mail.Config{})
		ts.Check(err)
		ts.Defer(func() { ts.Check(server.Close()) })
		for _, permission := range args {
			ts.Check(lab.Grant(lab.Healthy().ObjectID, permission))
		}
		ts.Setenv("SMTP", server.SMTPAddr())
		ts.Setenv("IMAP", server.IMAPAddr())
	}
}

// cmdApp registers an app and sets CLIENT_ID, OBJECT_ID, KEY_ID and SECRET.
//
//	app NAME [age=30] [end=-2] [perm=User.Read.All]     age and end are in days
func cmdApp(ts *testscript.TestScript, _ bool, args []string) {
	lab := labOf(ts)
	spec := entralab.AppSpec{DisplayName: args[0]}
	secretSpec := entralab.SecretSpec{DisplayName: "prod", At: lab.Now().AddDate(0, 0, -30)}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "age":
			days, err := strconv.Atoi(value)
			ts.Check(err)
			secretSpec.At = lab.Now().AddDate(0, 0, -days)
		case "end":
			days, err := strconv.Atoi(value)
			ts.Check(err)
			secretSpec.End = lab.Now().AddDate(0, 0, days)
		case "perm":
			spec.Permissions = append(spec.Permissions, value)
		default:
			ts.Fatalf("app does not know %s", key)
		}
	}
	spec.Secrets = []entralab.SecretSpec{secretSpec}
	app, err := lab.AddApp(spec)
	ts.Check(err)
	ts.Setenv("CLIENT_ID", app.ClientID)
	ts.Setenv("OBJECT_ID", app.ObjectID)
	ts.Setenv("KEY_ID", app.Secrets[0].KeyID)
	ts.Setenv("SECRET", app.Secrets[0].Value.Reveal())
}

// cmdControl posts JSON to the lab's control address.
//
//	portal '{"action":"delete-secret","app":"$OBJECT_ID","key_id":"$KEY_ID"}'
func cmdControl(path string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		resp, err := http.Post(labOf(ts).ControlURL()+path, "application/json", strings.NewReader(strings.Join(args, " ")))
		ts.Check(err)
		defer resp.Body.Close()
		if failed := resp.StatusCode > 299; failed != neg {
			ts.Fatalf("%s: HTTP %d", path, resp.StatusCode)
		}
	}
}

// cmdBadServer starts an https server that misbehaves and sets BAD to its address.
//
//	badserver html|truncated|big|redirect|untrusted
func cmdBadServer(ts *testscript.TestScript, _ bool, args []string) {
	kind := args[0]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind {
		case "html", "untrusted":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Please sign in to the network</body></html>")
		case "truncated":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"issuer":"https://login.microsoftonline.com/`)
		case "big":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.Repeat(" ", 10<<20)))
		case "redirect":
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}
	}))
	server.Config.ErrorLog = nil
	server.StartTLS()
	ts.Defer(server.Close)
	if kind != "untrusted" {
		ca := ts.MkAbs("bad-ca.pem")
		ts.Check(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
		ts.Setenv("SSL_CERT_FILE", ca)
	}
	ts.Setenv("BAD", server.URL)
}

// cmdJSON checks a member of the JSON in stdout; a path may go through arrays
// by number. The want is JSON, or a word taken as a string.
//
//	json cause secret-expired
//	json failures.0.code 7000215
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json path want")
	}
	var at any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &at))
	for part := range strings.SplitSeq(args[0], ".") {
		switch node := at.(type) {
		case map[string]any:
			at = node[part]
		case []any:
			i, err := strconv.Atoi(part)
			if at = nil; err == nil && i < len(node) {
				at = node[i]
			}
		default:
			at = nil
		}
	}
	var want any
	if json.Unmarshal([]byte(args[1]), &want) != nil {
		want = args[1]
	}
	if reflect.DeepEqual(at, want) == neg {
		ts.Fatalf("%s is %v, want %v (not: %v)", args[0], at, want, neg)
	}
}

// scriptTB lets a lab end with its script.
type scriptTB struct{ *testscript.TestScript }

func (scriptTB) Helper()            {}
func (s scriptTB) Cleanup(f func()) { s.Defer(f) }

// labs holds the lab of each running script.
var labs sync.Map

func labOf(ts *testscript.TestScript) *entralab.Lab {
	lab, ok := labs.Load(ts)
	if !ok {
		ts.Fatalf("start a lab first: lab")
	}
	return lab.(*entralab.Lab)
}
