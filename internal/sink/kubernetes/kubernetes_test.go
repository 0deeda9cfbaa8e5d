package kubernetes_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/kubernetes"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const value = "aB38Q~kubernetes-0123456789.abcdefghijk_"

var config = kubernetes.Config{Context: "prod", Namespace: "billing", Secret: "entra", Key: "client-secret", Rollout: []string{"deployment/billing"}}

func open(t testing.TB, c kubernetes.Config, line http.RoundTripper) *kubernetes.Sink {
	t.Helper()
	s, err := kubernetes.New(c, kubernetes.Cluster{Origin: "https://kube.example.com:6443/k8s/c-1", Client: wire.Wrap(prefix{line})})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// prefix is a gateway that serves the cluster under a path of its own.
type prefix struct{ to http.RoundTripper }

func (p prefix) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/k8s/c-1")
	if !ok {
		return nil, fmt.Errorf("no gateway path in %s", r.URL)
	}
	r = r.Clone(r.Context())
	r.URL.Path = path
	return p.to.RoundTrip(r)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		srv := newServer(t)
		line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return reloading{open(t, config, line), srv} },
			Change: func(_ *testing.T, value string) {
				srv.edit(secretPath, `{"data":{"client-secret":"`+base64.StdEncoding.EncodeToString([]byte(value))+`"}}`)
			},
			Deny: func(*testing.T) { srv.denied = true },
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, config, cut), reached
			},
			Reloads: srv.generation,
		}
	})
}

// reloading lets the controllers end a restart before it is asked about.
type reloading struct {
	*kubernetes.Sink
	srv *server
}

func (r reloading) Reloaded(ctx context.Context, rotation string) (bool, error) {
	r.srv.edit(deploymentPath, fmt.Sprintf(`{"status":{"observedGeneration":%d}}`, r.srv.generation()))
	return r.Sink.Reloaded(ctx, rotation)
}

func delivery(version string) sink.Delivery {
	return sink.Delivery{
		Value: secret.New(value), Version: version, Generation: 7, Rotation: "rot-7",
		ClientID: "0f1e2d3c-0000-4000-8000-0000000000c1", KeyID: "0f1e2d3c-0000-4000-8000-0000000000d1",
		Expires: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

const label = `client_id=0f1e2d3c-0000-4000-8000-0000000000c1\\u0026expires=2027-03-01T00%3A00%3A00Z\\u0026generation=7\\u0026key_id=0f1e2d3c-0000-4000-8000-0000000000d1\\u0026rotation=rot-7`

// TestWire pins what is sent.
func TestWire(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	s := open(t, config, sinktest.Handler{Handler: srv})
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	version, err := s.Write(t.Context(), delivery(""))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Write(t.Context(), delivery("")); err != nil || again != version {
		t.Errorf("Write again = %q, %v; want %q", again, err, version)
	}
	if err := s.Reload(t.Context(), "rot-7"); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(value))
	const merge = " application/merge-patch+json "
	want := []string{
		"GET " + secretPath,
		"PATCH " + secretPath + "?fieldManager=credsmith&dryRun=All" + merge + "{}",
		"PATCH " + deploymentPath + "?fieldManager=credsmith&dryRun=All" + merge + "{}",
		"GET " + secretPath,
		"PATCH " + secretPath + "?fieldManager=credsmith" + merge +
			`{"data":{"client-secret":"` + encoded + `"},"metadata":{"annotations":{"credsmith/deliveries":"{\"client-secret\":\"` + label + `\"}"},"resourceVersion":"1"}}`,
		"GET " + secretPath,
		"PATCH " + deploymentPath + "?fieldManager=credsmith" + merge + `{"spec":{"template":{"metadata":{"annotations":{"credsmith/rotation":"rot-7"}}}}}`,
	}
	if !slices.Equal(srv.sent, want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(srv.sent, "\n"), strings.Join(want, "\n"))
	}
	// What others keep in the Secret stays.
	o := srv.objects[secretPath]
	if o["data"].(map[string]any)["other"] != "eA==" || o["metadata"].(map[string]any)["annotations"].(map[string]any)["team"] != "billing" {
		t.Errorf("the Secret is %v", o)
	}
	// A second key of the same Secret keeps the first one's label.
	c := config
	c.Key = "client-id"
	if _, err := open(t, c, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery("")); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Read(t.Context()); err != nil || held.Generation != 7 {
		t.Errorf("Read = %+v, %v", held, err)
	}
}

func TestManagedBy(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct{ metadata, want string }{
		"nobody":            {`{}`, ""},
		"external secrets":  {`{"ownerReferences":[{"kind":"ExternalSecret","name":"billing","controller":true}]}`, "External Secrets ExternalSecret/billing"},
		"merged into":       {`{"labels":{"reconcile.external-secrets.io/managed":"true"}}`, "External Secrets"},
		"sealed":            {`{"ownerReferences":[{"kind":"SealedSecret","name":"entra","controller":true}]}`, "Sealed Secrets SealedSecret/entra"},
		"another operator":  {`{"ownerReferences":[{"kind":"InfisicalSecret","name":"x","controller":true}]}`, "InfisicalSecret/x"},
		"owned, not ruled":  {`{"ownerReferences":[{"kind":"Billing","name":"x"}]}`, ""},
		"vault operator":    {`{"labels":{"app.kubernetes.io/managed-by":"hashicorp-vso"}}`, "Vault Secrets Operator"},
		"helm, its key":     {`{"annotations":{"meta.helm.sh/release-name":"billing"},"managedFields":[{"manager":"helm","fieldsV1":{"f:data":{"f:client-secret":{}}}}]}`, "Helm release/billing"},
		"helm, another key": {`{"annotations":{"meta.helm.sh/release-name":"billing"},"labels":{"app.kubernetes.io/managed-by":"Helm"},"managedFields":[{"manager":"helm","fieldsV1":{"f:data":{"f:other":{}}}}]}`, ""},
		"argo, its key":     {`{"annotations":{"argocd.argoproj.io/tracking-id":"shop:/Secret:billing/entra"},"managedFields":[{"manager":"argocd-controller","fieldsV1":{"f:data":{"f:client-secret":{}}}}]}`, "Argo CD Application/shop"},
		"argo, applied":     {`{"annotations":{"argocd.argoproj.io/tracking-id":"shop:/Secret:billing/entra","kubectl.kubernetes.io/last-applied-configuration":"{\"stringData\":{\"client-secret\":\"x\"}}"}}`, "Argo CD Application/shop"},
		"argo, another key": {`{"annotations":{"argocd.argoproj.io/tracking-id":"shop:/Secret:billing/entra","kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"other\":\"x\"}}"}}`, ""},
		"flux":              {`{"managedFields":[{"manager":"kustomize-controller","fieldsV1":{"f:data":{"f:client-secret":{}}}}]}`, "Flux kustomize-controller"},
		"odd":               {`{"managedFields":[{"manager":"helm","fieldsV1":"?"}],"annotations":{"credsmith/deliveries":"null"}}`, ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			srv.edit(secretPath, `{"data":{"client-secret":"eA=="},"metadata":`+c.metadata+`}`)
			held, err := open(t, config, sinktest.Handler{Handler: srv}).Read(t.Context())
			if err != nil || held.ManagedBy != c.want || held.Generation != 0 {
				t.Errorf("Read = %+v, %v; want managed by %q", held, err, c.want)
			}
		})
	}
}

// TestReloaded walks roll-outs through what their controllers report.
func TestReloaded(t *testing.T) {
	t.Parallel()
	const (
		deployment  = "deployment/billing"
		statefulSet = "statefulset/queue"
		daemonSet   = "daemonset/agent"
	)
	for title, c := range map[string]struct {
		workload, path, status string
		want                   bool
		kind                   sink.Kind
		text                   string
	}{
		"not seen yet":         {deployment, "deployments/billing", `{"status":{"observedGeneration":1}}`, false, "", ""},
		"some are old":         {deployment, "deployments/billing", `{"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":1,"availableReplicas":2}}`, false, "", ""},
		"old ones are left":    {deployment, "deployments/billing", `{"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":2,"availableReplicas":3}}`, false, "", ""},
		"not available":        {deployment, "deployments/billing", `{"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":1}}`, false, "", ""},
		"done":                 {deployment, "deployments/billing", `{"status":{"observedGeneration":2}}`, true, "", ""},
		"scaled to nothing":    {deployment, "deployments/billing", `{"spec":{"replicas":0},"status":{"observedGeneration":2,"replicas":0,"updatedReplicas":0,"availableReplicas":0}}`, true, "", ""},
		"paused":               {deployment, "deployments/billing", `{"spec":{"paused":true},"status":{"observedGeneration":2,"updatedReplicas":0}}`, false, sink.Invalid, "kubectl rollout resume deployment/billing"},
		"never ready":          {deployment, "deployments/billing", `{"status":{"observedGeneration":2,"replicas":3,"updatedReplicas":1,"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}}`, false, sink.Unreachable, "go on with the old secret"},
		"another restart":      {deployment, "deployments/billing", `{"spec":{"template":{"metadata":{"annotations":{"credsmith/rotation":"rot-8"}}}},"status":{"observedGeneration":2}}`, false, "", ""},
		"stateful set":         {statefulSet, "statefulsets/queue", `{"status":{"observedGeneration":2}}`, true, "", ""},
		"stateful set, half":   {statefulSet, "statefulsets/queue", `{"status":{"observedGeneration":2,"updatedReplicas":0}}`, false, "", ""},
		"stateful, partition":  {statefulSet, "statefulsets/queue", `{"spec":{"replicas":2,"updateStrategy":{"rollingUpdate":{"partition":1}}},"status":{"observedGeneration":2,"replicas":2}}`, false, sink.Invalid, "partition to 0"},
		"daemon set":           {daemonSet, "daemonsets/agent", `{"status":{"observedGeneration":2}}`, true, "", ""},
		"daemon set, half":     {daemonSet, "daemonsets/agent", `{"status":{"observedGeneration":2,"updatedNumberScheduled":2}}`, false, "", ""},
		"daemon set, not up":   {daemonSet, "daemonsets/agent", `{"status":{"observedGeneration":2,"numberAvailable":2}}`, false, "", ""},
		"daemon set, by hand":  {daemonSet, "daemonsets/agent", `{"spec":{"updateStrategy":{"type":"OnDelete"}},"status":{"observedGeneration":2}}`, false, sink.Invalid, "OnDelete"},
		"daemon set, not seen": {daemonSet, "daemonsets/agent", `{"status":{"observedGeneration":1}}`, false, "", ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			config := config
			config.Rollout = []string{c.workload}
			s := open(t, config, sinktest.Handler{Handler: srv})
			if done, err := s.Reloaded(t.Context(), "rot-7"); done || err != nil {
				t.Fatalf("Reloaded before Reload = %v, %v", done, err)
			}
			if err := s.Reload(t.Context(), "rot-7"); err != nil {
				t.Fatal(err)
			}
			srv.edit("/apis/apps/v1/namespaces/billing/"+c.path, c.status)
			done, err := s.Reloaded(t.Context(), "rot-7")
			if done != c.want || (err != nil) != (c.kind != "") || err != nil && (sink.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("Reloaded = %v, %v; want %v, %s %q", done, err, c.want, c.kind, c.text)
			}
		})
	}
	srv := newServer(t)
	gone := config
	gone.Rollout = []string{"deployment/gone"}
	s := open(t, gone, sinktest.Handler{Handler: srv})
	for what, err := range map[string]error{"Check": s.Check(t.Context()), "Reload": s.Reload(t.Context(), "r")} {
		if sink.KindOf(err) != sink.Invalid || !strings.Contains(err.Error(), "deployment/gone") {
			t.Errorf("%s of a workload that is not there = %v", what, err)
		}
	}
}

// TestRefusals drives what a server may answer; each request is sent once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	answer := func(method string, code int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(got string) (int, map[string]string, string) {
				if got == method {
					return code, header, body
				}
				return 0, nil, ""
			}
		}
	}
	for title, c := range map[string]struct {
		setUp func(*server)
		kind  sink.Kind
		after time.Duration
		text  string
	}{
		"throttled":         {answer("PATCH", 429, map[string]string{"Retry-After": "3"}, `{"kind":"Status","reason":"TooManyRequests"}`), sink.Throttled, 3 * time.Second, "HTTP 429"},
		"throttled, inside": {answer("PATCH", 429, nil, `{"kind":"Status","reason":"TooManyRequests","details":{"retryAfterSeconds":4}}`), sink.Throttled, 4 * time.Second, "HTTP 429"},
		"conflict":          {answer("PATCH", 409, nil, `{"kind":"Status","reason":"Conflict"}`), sink.Changed, 0, "HTTP 409"},
		"server error":      {answer("PATCH", 500, nil, `{"kind":"Status","reason":"InternalError"}`), sink.Unreachable, 0, "HTTP 500"},
		"token ended":       {answer("GET", 401, nil, `{"kind":"Status","reason":"Unauthorized"}`), sink.Denied, 0, "credentials of the kubeconfig"},
		"webhook":           {answer("PATCH", 422, nil, `{"kind":"Status","reason":"Invalid","message":"Invalid value: `+value+`"}`), sink.Invalid, 0, "HTTP 422 Invalid"},
		"immutable":         {func(s *server) { s.edit(secretPath, `{"immutable":true}`) }, sink.Invalid, 0, "immutable"},
		"no Secret":         {func(s *server) { delete(s.objects, secretPath) }, sink.Invalid, 0, "kubectl create secret generic entra --namespace billing"},
		"a proxy's page":    {answer("GET", 404, nil, `<html>`), sink.Unreachable, 0, "not one of a Kubernetes API server"},
		"no JSON":           {answer("GET", 200, nil, `<html>`), sink.Unreachable, 0, "not one of a Kubernetes API server"},
		"no object":         {answer("GET", 200, nil, `{}`), sink.Unreachable, 0, "not one of a Kubernetes API server"},
		"write, no object":  {answer("PATCH", 200, nil, `null`), sink.Unreachable, 0, "not one of a Kubernetes API server"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			c.setUp(srv)
			_, err := open(t, config, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery(""))
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
			if sent := slices.Sorted(slices.Values(srv.sent)); len(slices.Compact(sent)) != len(srv.sent) {
				t.Errorf("sent %q, want each request once", srv.sent)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*kubernetes.Config)
		want   string
	}{
		{func(c *kubernetes.Config) { c.Namespace = "" }, "namespace: "},
		{func(c *kubernetes.Config) { c.Namespace = "a/b" }, "namespace: "},
		{func(c *kubernetes.Config) { c.Secret = "../x" }, "secret: "},
		{func(c *kubernetes.Config) { c.Key = "a b" }, "key: "},
		{func(c *kubernetes.Config) { c.Rollout = []string{"deployment/a", "job/b"} }, "rollout[1]: "},
		{func(c *kubernetes.Config) { c.Rollout = []string{"deployment"} }, "rollout[0]: "},
	} {
		bad := config
		c.change(&bad)
		if _, err := kubernetes.New(bad, kubernetes.Cluster{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", bad, err, c.want)
		}
	}
	if got, want := open(t, config, nil).Ref(), "kubernetes:prod/billing/entra#client-secret"; got != want {
		t.Errorf("Ref() = %q, want %q", got, want)
	}
}

// TestConnect reads kubeconfigs as kubectl does, and goes over a socket.
func TestConnect(t *testing.T) {
	srv := newServer(t)
	bearer := ""
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer = r.Header.Get("Authorization")
		srv.ServeHTTP(w, r)
	}))
	defer tls.Close()
	ca := base64.StdEncoding.EncodeToString(pemOf(tls))
	file := filepath.Join(t.TempDir(), "config")
	kubeconfig := `apiVersion: v1
kind: Config
current-context: loose
clusters:
- {name: good, cluster: {server: "` + tls.URL + `", certificate-authority-data: ` + ca + `}}
- {name: loose, cluster: {server: "` + tls.URL + `", insecure-skip-tls-verify: true}}
- {name: plain, cluster: {server: "http://kube.example.com"}}
users:
- {name: me, user: {token: made-up}}
contexts:
- {name: prod, context: {cluster: good, user: me}}
- {name: loose, context: {cluster: loose, user: me}}
- {name: plain, context: {cluster: plain, user: me}}
`
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	for name, want := range map[string]string{"": "insecure-skip-tls-verify", "plain": "not https", "none": `"none"`} {
		if _, err := kubernetes.Connect(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Connect(%q) = %v, want %q", name, err, want)
		}
	}
	cluster, err := kubernetes.Connect("prod")
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Client.CloseIdleConnections()
	s, err := kubernetes.New(config, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), delivery("")); err != nil || bearer != "Bearer made-up" {
		t.Errorf("Write: %v; Authorization: %q", err, bearer)
	}
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
