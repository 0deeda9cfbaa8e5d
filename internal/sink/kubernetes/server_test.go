package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// server is an API server with objects by path, as far as the sink asks.
// Merge patches follow RFC 7386; conflicts and dry runs the API conventions.
type server struct {
	t  testing.TB
	mu sync.Mutex

	objects map[string]map[string]any
	version int
	denied  bool
	fail    func(route string) (code int, header map[string]string, body string)
	sent    []string
}

const (
	secretPath     = "/api/v1/namespaces/billing/secrets/entra"
	deploymentPath = "/apis/apps/v1/namespaces/billing/deployments/billing"
)

// newServer has the Secret, without the key, and three workloads at rest.
func newServer(t testing.TB) *server {
	s := &server{t: t, objects: map[string]map[string]any{}}
	s.set(secretPath, `{"kind":"Secret","apiVersion":"v1","type":"Opaque","metadata":{"name":"entra","annotations":{"team":"billing"}},"data":{"other":"eA=="}}`)
	s.set(deploymentPath, `{"kind":"Deployment","metadata":{"name":"billing","generation":1},"spec":{"replicas":2,"template":{"metadata":{"annotations":{"a":"b"}}}},
		"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"availableReplicas":2}}`)
	s.set("/apis/apps/v1/namespaces/billing/statefulsets/queue", `{"kind":"StatefulSet","metadata":{"name":"queue","generation":1},"spec":{"template":{"metadata":{}}},
		"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`)
	s.set("/apis/apps/v1/namespaces/billing/daemonsets/agent", `{"kind":"DaemonSet","metadata":{"name":"agent","generation":1},"spec":{"template":{}},
		"status":{"observedGeneration":1,"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":3}}`)
	return s
}

// set puts an object in place, with a new resourceVersion.
func (s *server) set(path, text string) {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		s.t.Fatal(err)
	}
	s.store(path, o)
}

// edit merges a patch into an object, as somebody else does.
func (s *server) edit(path, patch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p map[string]any
	if err := json.Unmarshal([]byte(patch), &p); err != nil {
		s.t.Fatal(err)
	}
	s.store(path, merge(s.objects[path], p))
}

func (s *server) store(path string, o map[string]any) {
	s.version++
	o["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = o
}

// merge is RFC 7386; it changes neither argument.
func merge(target any, patch map[string]any) map[string]any {
	out := map[string]any{}
	if object, ok := target.(map[string]any); ok {
		for name, value := range object {
			out[name] = value
		}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			out[name] = merge(out[name], value)
		default:
			out[name] = value
		}
	}
	return out
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.sent = append(s.sent, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body)))
	if r.Header.Get("Accept") != "application/json" {
		s.t.Errorf("Accept: %q", r.Header.Get("Accept"))
	}
	w.Header().Set("Content-Type", "application/json")
	if s.fail != nil {
		if code, header, text := s.fail(r.Method); code != 0 {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	before := s.objects[r.URL.Path]
	switch {
	case s.denied && r.Method == http.MethodPatch:
		s.refuse(w, 403, "Forbidden", `secrets "entra" is forbidden: User "system:serviceaccount:billing:credsmith" cannot patch resource "secrets" in API group "" in the namespace "billing"`)
	case before == nil:
		s.refuse(w, 404, "NotFound", `"`+r.URL.Path+`" not found`)
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(before)
	case r.Method == http.MethodPatch:
		s.patch(w, r, before, body)
	default:
		s.refuse(w, 405, "MethodNotAllowed", "")
	}
}

func (s *server) refuse(w http.ResponseWriter, code int, reason, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

func (s *server) patch(w http.ResponseWriter, r *http.Request, before map[string]any, body []byte) {
	var change map[string]any
	if err := json.Unmarshal(body, &change); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" || r.URL.Query().Get("fieldManager") != "credsmith" {
		s.t.Errorf("PATCH %s of %q: %v", r.URL, r.Header.Get("Content-Type"), err)
	}
	after := merge(before, change)
	had, has := before["metadata"].(map[string]any), after["metadata"].(map[string]any)
	if had["resourceVersion"] != has["resourceVersion"] {
		s.refuse(w, 409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
		return
	}
	old, _ := json.Marshal(before)
	now, _ := json.Marshal(after)
	if r.URL.Query().Get("dryRun") == "" && string(old) != string(now) {
		if generation, ok := had["generation"].(float64); ok {
			has["generation"] = generation + 1
		}
		s.store(r.URL.Path, after)
	}
	_ = json.NewEncoder(w).Encode(after)
}

// generation of the deployment counts its restarts.
func (s *server) generation() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.objects[deploymentPath]["metadata"].(map[string]any)["generation"].(float64))
}
