package vault_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// server is a KV engine, version 2, at the mount "kv/apps", with one token.
// Its answers follow the public API documentation and the Go client of
// OpenBao; texts are recalled, unverified.
type server struct {
	t  testing.TB
	mu sync.Mutex

	versions []map[string]json.RawMessage // newest last
	deleted  bool                         // the newest version
	custom   map[string]string

	denied bool
	v1     bool // the mount is of version 1
	fail   func(path string) (status int, header map[string]string, body string)
	sent   []string // method, path, headers that matter, body
}

const token = "hvs.made-up-token"

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.sent = append(s.sent, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL.EscapedPath(), r.Header.Get("Content-Type"), body)))
	if got := r.Header.Get("X-Vault-Namespace"); got != "team" {
		s.t.Errorf("X-Vault-Namespace: %q", got)
	}
	if r.Header.Get("X-Vault-Request") != "true" {
		s.t.Error("no X-Vault-Request")
	}
	if s.fail != nil {
		if status, header, text := s.fail(r.Method + " " + r.URL.Path); status != 0 {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	if r.Header.Get("X-Vault-Token") != token {
		s.errors(w, 403, "permission denied")
		return
	}
	switch route := r.Method + " " + r.URL.Path; route {
	case "GET /v1/kv/apps/data/billing/entra":
		s.get(w)
	case "POST /v1/kv/apps/data/billing/entra":
		s.put(w, r, body)
	case "PATCH /v1/kv/apps/metadata/billing/entra":
		s.describe(w, r, body)
	case "POST /v1/sys/capabilities-self":
		s.capabilities(w, body)
	case "GET /v1/sys/internal/ui/mounts/kv/apps/billing/entra":
		version := "2"
		if s.v1 {
			version = "1"
		}
		s.answer(w, 200, map[string]any{"type": "kv", "path": "kv/apps/", "options": map[string]string{"version": version}})
	default:
		s.errors(w, 404, fmt.Sprintf("no handler for route %q. route entry not found.", strings.TrimPrefix(r.URL.Path, "/v1/")))
	}
}

func (s *server) errors(w http.ResponseWriter, status int, texts ...string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, texts...)})
}

func (s *server) answer(w http.ResponseWriter, status int, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "r", "lease_duration": 0, "data": data, "warnings": nil})
}

func (s *server) metadata() map[string]any {
	deletion := ""
	if s.deleted {
		deletion = "2026-11-22T10:00:00Z"
	}
	return map[string]any{"created_time": "2026-11-22T09:00:00Z", "custom_metadata": s.custom, "deletion_time": deletion, "destroyed": false, "version": len(s.versions)}
}

func (s *server) get(w http.ResponseWriter) {
	switch {
	case s.v1 || len(s.versions) == 0:
		s.errors(w, 404)
	case s.deleted:
		s.answer(w, 404, map[string]any{"data": nil, "metadata": s.metadata()})
	default:
		s.answer(w, 200, map[string]any{"data": s.versions[len(s.versions)-1], "metadata": s.metadata()})
	}
}

func (s *server) put(w http.ResponseWriter, r *http.Request, body []byte) {
	var sent struct {
		Data    map[string]json.RawMessage
		Options struct{ CAS *int }
	}
	if err := json.Unmarshal(body, &sent); err != nil || r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("POST of %q: %v", r.Header.Get("Content-Type"), err)
	}
	switch {
	case s.denied:
		s.errors(w, 403, "1 error occurred:\n\t* permission denied\n\n")
	case sent.Options.CAS == nil:
		s.errors(w, 400, "check-and-set parameter required for this call")
	case *sent.Options.CAS != len(s.versions):
		s.errors(w, 400, "check-and-set parameter did not match the current version")
	default:
		s.versions, s.deleted = append(s.versions, sent.Data), false
		s.answer(w, 200, s.metadata())
	}
}

func (s *server) describe(w http.ResponseWriter, r *http.Request, body []byte) {
	var sent struct {
		Custom map[string]string `json:"custom_metadata"`
	}
	if err := json.Unmarshal(body, &sent); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
		s.t.Errorf("PATCH of %q: %v", r.Header.Get("Content-Type"), err)
	}
	if s.denied {
		s.errors(w, 403, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	if len(s.versions) == 0 {
		s.errors(w, 404)
		return
	}
	for name, text := range sent.Custom {
		if len(name) > 128 || len(text) > 512 {
			s.errors(w, 400, "custom_metadata validation failed")
			return
		}
	}
	custom := maps.Clone(s.custom)
	if custom == nil {
		custom = map[string]string{}
	}
	maps.Copy(custom, sent.Custom)
	s.custom = custom
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) capabilities(w http.ResponseWriter, body []byte) {
	var sent struct{ Paths []string }
	_ = json.Unmarshal(body, &sent)
	data := map[string]any{}
	for _, path := range sent.Paths {
		data[path] = []string{"create", "patch", "read", "update"}
		if s.denied {
			data[path] = []string{"read"}
		}
	}
	s.answer(w, 200, data)
}

// write is somebody else who writes.
func (s *server) write(data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var version map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &version); err != nil {
		s.t.Fatal(err)
	}
	s.versions, s.deleted = append(s.versions, version), false
}
