package entralab_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

func TestListenAddresses(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"0.0.0.0", "::", "192.168.1.1", "example.com", "127.0.0.1:80", " "} {
		lab, err := entralab.Start(context.Background(), entralab.Config{Listen: host})
		if err == nil {
			lab.Close()
			t.Errorf("%q: started", host)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", host)) {
			t.Errorf("%q: %v does not name it", host, err)
		}
	}
	hosts := []string{"127.0.0.1", "localhost"}
	if runtime.GOOS == "linux" { // elsewhere the rest of 127.0.0.0/8 has no interface
		hosts = append(hosts, "127.0.0.2")
	}
	for _, host := range hosts {
		lab := startWith(t, entralab.Config{Listen: host})
		for _, origin := range []string{lab.AuthorityURL(), lab.GraphURL(), lab.VaultURL(), lab.ControlURL()} {
			u, err := url.Parse(origin)
			if err != nil || u.Hostname() != host || u.Path != "" {
				t.Errorf("%s: origin %s", host, origin)
			}
			if r := do(t, lab, newRequest(t, "GET", origin+"/control/nothing", "")); r.status != 404 && r.status != 401 {
				t.Errorf("%s: status %d", origin, r.status)
			}
		}
	}
	for _, base := range []int{-1, 65533} {
		if _, err := entralab.Start(context.Background(), entralab.Config{PortBase: base}); err == nil {
			t.Errorf("port base %d: started", base)
		}
	}
}

func TestPortBase(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	lab, err := entralab.Start(context.Background(), entralab.Config{PortBase: base})
	if err != nil {
		t.Skip("neighbouring ports are taken: ", err)
	}
	defer lab.Close()
	for i, origin := range []string{lab.AuthorityURL(), lab.GraphURL(), lab.VaultURL(), lab.ControlURL()} {
		if !strings.HasSuffix(origin, fmt.Sprintf("//127.0.0.1:%d", base+i)) {
			t.Errorf("origin %d: %s, want port %d", i, origin, base+i)
		}
	}
	if _, err := entralab.Start(context.Background(), entralab.Config{PortBase: base}); err == nil {
		t.Error("a second lab on the same ports")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	block, rest := pem.Decode(lab.CAPEM())
	if block == nil || len(rest) != 0 {
		t.Fatal("CAPEM is not one PEM block")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.IsCA {
		t.Fatal(err)
	}
	// As another process would, with the file.
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(lab.CAPEM())
	if !pool.Equal(lab.CertPool()) {
		t.Error("CertPool and CAPEM differ")
	}
	if _, err := http.Get(lab.AuthorityURL()); err == nil {
		t.Error("a client that does not know the CA got through")
	}
	if r := do(t, lab, newRequest(t, "GET", strings.Replace(lab.GraphURL(), "127.0.0.1", "localhost", 1)+"/v1.0/users", "")); r.status != 401 {
		t.Errorf("as localhost: %d", r.status)
	}
}

func TestTransportReachesOnlyTheLab(t *testing.T) {
	t.Parallel()
	for _, cfg := range []entralab.Config{{}, {InProcess: true}} {
		lab := startWith(t, cfg)
		client := &http.Client{Transport: lab.Transport()}
		for _, origin := range []string{lab.AuthorityURL(), lab.GraphURL(), lab.VaultURL(), lab.ControlURL()} {
			resp, err := client.Get(origin)
			if err != nil {
				t.Errorf("%s: %v", origin, err)
				continue
			}
			resp.Body.Close()
		}
		for _, foreign := range []string{"https://login.microsoftonline.com", "https://graph.microsoft.com/v1.0", strings.Replace(lab.AuthorityURL(), "https", "http", 1), "http://127.0.0.1:1"} {
			if resp, err := client.Get(foreign); err == nil {
				resp.Body.Close()
				t.Errorf("%s answered", foreign)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := client.Do(newRequest(t, "GET", lab.GraphURL(), "").WithContext(ctx)); err == nil {
			t.Error("a cancelled request answered")
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	lab, err := entralab.Start(context.Background(), entralab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := lab.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := lab.Client().Get(lab.ControlURL()); err == nil {
		t.Error("a closed lab answers")
	}
}

func TestStartHonoursItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	lab, err := entralab.Start(ctx, entralab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	cancel()
	if r := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/state", "")); r.status != 200 {
		t.Errorf("after the context's end: %d", r.status)
	}
	if _, err := entralab.Start(ctx, entralab.Config{}); err == nil {
		t.Error("started with an ended context")
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	lab := start(t)
	env := map[string]string{}
	for _, line := range lab.Env() {
		name, v, _ := strings.Cut(line, "=")
		env[name] = v
		if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_~.:/-]*$`).MatchString(v) {
			t.Errorf("%s needs quotes: %s", name, v)
		}
	}
	for name, want := range map[string]string{
		"AZURE_AUTHORITY_HOST": lab.AuthorityURL(), "AZURE_TENANT_ID": lab.TenantID(), "AZURE_CLIENT_ID": lab.Healthy().ClientID,
		"CREDSMITH_LAB_SECRET_ID": lab.Healthy().Secrets[0].KeyID, "CREDSMITH_GRAPH_URL": lab.GraphURL(), "CREDSMITH_VAULT_URL": lab.VaultURL(), "CREDSMITH_LAB_CONTROL": lab.ControlURL(),
		"CREDSMITH_OPERATOR_CLIENT_ID": lab.Operator().ClientID, "CREDSMITH_OPERATOR_SECRET_ID": lab.Operator().Secrets[0].KeyID,
		"CREDSMITH_OPERATOR_TENANT_ID": lab.TenantID(), "CREDSMITH_OPERATOR_AUTHORITY_HOST": lab.AuthorityURL(),
	} {
		if env[name] != want {
			t.Errorf("%s=%s, want %s", name, env[name], want)
		}
	}
	for id, secret := range map[string]string{"AZURE_CLIENT_ID": "AZURE_CLIENT_SECRET", "CREDSMITH_OPERATOR_CLIENT_ID": "CREDSMITH_OPERATOR_CLIENT_SECRET"} {
		if got := code(t, lab, env[id], env[secret]); got != 0 {
			t.Errorf("%s: %d", id, got)
		}
	}
	if len(env) != 13 {
		t.Errorf("%d variables, want 13", len(env))
	}
}

func TestAddAppRefusals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	before := stateOf(t, lab)
	for name, spec := range map[string]entralab.AppSpec{
		"tenant":           {TenantID: "nobody"},
		"permission":       {Permissions: []string{"Everything.Do"}},
		"audience":         {SignInAudience: "Everyone"},
		"nowhere to grant": {NoServicePrincipal: true, Permissions: []string{"Mail.Send"}},
		"too many":         {SignInAudience: "PersonalMicrosoftAccount", Secrets: make([]entralab.SecretSpec, 3)},
		"backwards":        {Secrets: []entralab.SecretSpec{{Start: lab.Now(), End: lab.Now().AddDate(0, 0, -1)}}},
		"from the future":  {Secrets: []entralab.SecretSpec{{}, {At: lab.Now().AddDate(0, 0, 1)}}},
	} {
		if _, err := lab.AddApp(spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := lab.AddSecret("x", entralab.SecretSpec{}); err == nil {
		t.Error("a secret for no app")
	}
	if err := lab.RemoveSecret("x", "y"); err == nil {
		t.Error("a secret of no app is removed")
	}
	if err := lab.RemoveSecret(lab.Healthy().ObjectID, "y"); err == nil {
		t.Error("no secret is removed")
	}
	apps := func(s string) int { return strings.Count(s, `"object_id"`) }
	if apps(before) != apps(stateOf(t, lab)) {
		t.Error("a refused spec left an app behind")
	}
}

func TestSecretTextNeverPrints(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	text := value(app)
	hidden := struct {
		app    entralab.App
		secret *entralab.Secret
		value  entralab.SecretText
	}{app, &app.Secrets[0], app.Secrets[0].Value}
	var logged strings.Builder
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	log.Info("x", "app", app, "secret", app.Secrets[0], "value", app.Secrets[0].Value, "hidden", hidden)
	printed := []string{logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		for _, v := range []any{app, &app, app.Secrets, app.Secrets[0], app.Secrets[0].Value, hidden, &hidden, map[string]any{"x": app}} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
	}
	for _, s := range printed {
		if leaks(s, text) {
			t.Errorf("printed: %s", s)
		}
	}
	for _, v := range []any{app, app.Secrets[0], app.Secrets[0].Value} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("encoded: %s", b)
		}
	}
	if s := fmt.Sprint(app.Secrets[0].Value); s != "[redacted]" {
		t.Errorf("prints as %s", s)
	}
	if (entralab.SecretText{}).Reveal() != "" {
		t.Error("the zero SecretText has a text")
	}
}
