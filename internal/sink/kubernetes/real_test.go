package kubernetes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/kubernetes"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

// The tokens of two people: one may do everything, one may read.
const (
	adminToken  = "made-up-admin"
	readerToken = "made-up-reader"
)

// TestRealServer runs the suite over a kube-apiserver with etcd: `make
// test-kube` builds both and names them in KUBE_APISERVER and ETCD.
func TestRealServer(t *testing.T) {
	if os.Getenv("KUBE_APISERVER") == "" {
		t.Skip("KUBE_APISERVER names no kube-apiserver: make test-kube")
	}
	c := startCluster(t)
	var count atomic.Int64
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		n := count.Add(1)
		config := kubernetes.Config{Namespace: "billing", Secret: fmt.Sprintf("entra-%d", n), Key: "client-secret", Rollout: []string{fmt.Sprintf("deployment/billing-%d", n)}}
		at, deployment := "/api/v1/namespaces/billing/secrets", "/apis/apps/v1/namespaces/billing/deployments"
		c.call(t, "POST", at, `{"metadata":{"name":"`+config.Secret+`"},"data":{"other":"eA=="}}`)
		c.call(t, "POST", deployment, fmt.Sprintf(`{"metadata":{"name":"billing-%d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
			"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`, n))
		at, deployment = at+"/"+config.Secret, fmt.Sprintf("%s/billing-%d", deployment, n)
		token := &atomic.Value{}
		token.Store(adminToken)
		line := &sinktest.Line{To: signed{c.transport, token}, Trouble: &sinktest.Trouble{}}
		open := func(t *testing.T, line http.RoundTripper) *kubernetes.Sink {
			s, err := kubernetes.New(config, kubernetes.Cluster{Origin: c.origin, Client: wire.Wrap(line)})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return sinktest.Fixture{
			// No controllers run here: the test plays that of the deployment.
			Open: func(t *testing.T) sink.Sink {
				return controlled{open(t, line), func(ctx context.Context) {
					c.callIn(ctx, t, "PATCH", deployment+"/status", fmt.Sprintf(`{"status":{"observedGeneration":%d,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`, c.generation(t, deployment)))
				}}
			},
			Change: func(t *testing.T, value string) {
				c.call(t, "PATCH", at, `{"data":{"client-secret":"`+base64.StdEncoding.EncodeToString([]byte(value))+`"}}`)
			},
			Deny: func(*testing.T) { token.Store(readerToken) },
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, cut), reached
			},
			Reloads: func() int { return c.generation(t, deployment) },
		}
	})
}

// controlled ends a restart before it is asked about.
type controlled struct {
	*kubernetes.Sink
	finish func(context.Context)
}

func (s controlled) Reloaded(ctx context.Context, rotation string) (bool, error) {
	if done, err := s.Sink.Reloaded(ctx, rotation); done || err != nil {
		return false, fmt.Errorf("over before it began: %v, %w", done, err)
	}
	s.finish(ctx)
	return s.Sink.Reloaded(ctx, rotation)
}

// signed shows a token.
type signed struct {
	to    http.RoundTripper
	token *atomic.Value
}

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.token.Load().(string))
	return s.to.RoundTrip(r)
}

// cluster is a running API server.
type cluster struct {
	origin    string
	transport *http.Transport
}

func (c *cluster) call(t *testing.T, method, path, body string) []byte {
	t.Helper()
	return c.callIn(t.Context(), t, method, path, body)
}

func (c *cluster) callIn(ctx context.Context, t *testing.T, method, path, body string) []byte {
	t.Helper()
	req, _ := http.NewRequestWithContext(ctx, method, c.origin+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode > 299 {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return answer
}

func (c *cluster) generation(t *testing.T, path string) int {
	var o struct{ Metadata struct{ Generation int } }
	if err := json.Unmarshal(c.call(t, "GET", path, ""), &o); err != nil {
		t.Fatal(err)
	}
	return o.Metadata.Generation
}

// startCluster runs etcd and an API server until the test ends.
func startCluster(t *testing.T) *cluster {
	dir := t.TempDir()
	etcd, peer, secure := freePort(t), freePort(t), freePort(t)
	start(t, os.Getenv("ETCD"), "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", "http://"+etcd, "--advertise-client-urls", "http://"+etcd,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer, "--unsafe-no-fsync")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	tokens := write("tokens.csv", adminToken+",admin,1,system:masters\n"+readerToken+",reader,2\n")
	_, port, _ := net.SplitHostPort(secure)
	start(t, os.Getenv("KUBE_APISERVER"), "--etcd-servers", "http://"+etcd, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", filepath.Join(dir, "certs"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC", "--token-auth-file", tokens, "--disable-admission-plugins", "ServiceAccount")
	c := &cluster{origin: "https://" + secure}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		if c.up(t, filepath.Join(dir, "certs", "apiserver.crt")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the API server is not ready after two minutes")
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("given up")
		}
	}
	t.Cleanup(c.transport.CloseIdleConnections)
	c.call(t, "POST", "/api/v1/namespaces", `{"metadata":{"name":"billing"}}`)
	c.call(t, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"reader"},"rules":[{"apiGroups":["","apps"],"resources":["secrets","deployments"],"verbs":["get"]}]}`)
	c.call(t, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"reader"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"reader"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"reader"}]}`)
	return c
}

// up trusts the certificate that the server made for itself, once it is ready.
func (c *cluster) up(t *testing.T, certificate string) bool {
	text, err := os.ReadFile(certificate)
	if err != nil {
		return false
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, c.origin+"/readyz", http.NoBody)
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		c.transport.CloseIdleConnections()
		return false
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.transport.CloseIdleConnections()
		return false
	}
	return true
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program until the test ends; its output is kept beside it.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("%s: %s", filepath.Base(program), text[max(0, len(text)-4000):])
		}
		out.Close()
	})
}
