package github_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

const token = "ghp_made-up-token"

// server is GitHub's API over the secrets of one place. It opens what is
// sealed, and complains of any other request than the documented ones. Texts
// of refusals are recalled, unverified.
type server struct {
	t    testing.TB
	base string // path of the secrets
	mu   sync.Mutex

	keyID           string
	public, private *[32]byte
	rolls           int // so often the key changes right after it was asked for

	value      string
	exists     bool
	visibility string // "" but for an organisation
	selected   []int64
	pageSize   int

	denied bool // to write
	scopes string
	fail   func(route string) (status int, header map[string]string, body string)
	sent   []string // method and path
}

func newServer(t testing.TB, base string) *server {
	s := &server{t: t, base: base, pageSize: 100}
	s.roll()
	return s
}

func (s *server) roll() {
	s.public, s.private, _ = box.GenerateKey(rand.Reader)
	s.keyID = rand.Text()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	route := r.Method + " " + r.URL.EscapedPath()
	s.sent = append(s.sent, route)
	for name, want := range map[string]string{"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"} {
		if got := r.Header.Get(name); got != want {
			s.t.Errorf("%s: %s is %q, want %q", route, name, got, want)
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if s.scopes != "" {
		w.Header().Set("X-OAuth-Scopes", s.scopes)
	}
	w.Header().Set("Date", "Mon, 23 Nov 2026 12:00:00 GMT")
	if s.fail != nil {
		if status, header, text := s.fail(route); status != 0 {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			io.WriteString(w, text)
			return
		}
	}
	switch route {
	case "GET " + s.base + "/public-key":
		answer(w, 200, map[string]string{"key_id": s.keyID, "key": base64.StdEncoding.EncodeToString(s.public[:])})
		if s.rolls > 0 {
			s.rolls--
			s.roll()
		}
	case "GET " + s.base + "/AZURE_CLIENT_SECRET":
		if !s.exists {
			answer(w, 404, map[string]string{"message": "Not Found"})
			return
		}
		got := map[string]string{"name": "AZURE_CLIENT_SECRET", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z"}
		if s.visibility != "" {
			got["visibility"] = s.visibility
		}
		answer(w, 200, got)
	case "GET " + s.base + "/AZURE_CLIENT_SECRET/repositories":
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		var some []map[string]any
		for _, id := range s.selected[min((page-1)*s.pageSize, len(s.selected)):min(page*s.pageSize, len(s.selected))] {
			some = append(some, map[string]any{"id": id, "name": "r"})
		}
		answer(w, 200, map[string]any{"total_count": len(s.selected), "repositories": some})
	case "PUT " + s.base + "/AZURE_CLIENT_SECRET":
		s.put(w, body)
	default:
		s.t.Errorf("%s is no request of GitHub's", route)
		answer(w, 404, map[string]string{"message": "Not Found"})
	}
}

func (s *server) put(w http.ResponseWriter, body []byte) {
	var sent struct {
		EncryptedValue string  `json:"encrypted_value"`
		KeyID          string  `json:"key_id"`
		Visibility     string  `json:"visibility"`
		Selected       []int64 `json:"selected_repository_ids"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&sent); err != nil {
		s.t.Errorf("body %s: %v", body, err)
	}
	if s.denied {
		answer(w, 403, map[string]string{"message": "Resource not accessible by personal access token"})
		return
	}
	sealed, err := base64.StdEncoding.DecodeString(sent.EncryptedValue)
	value, ok := box.OpenAnonymous(nil, sealed, s.public, s.private)
	if sent.KeyID != s.keyID || err != nil || !ok {
		answer(w, 422, map[string]string{"message": "Bad request - key ID is invalid"})
		return
	}
	if s.visibility != "" { // what is left out is reset
		s.visibility, s.selected = sent.Visibility, sent.Selected
	} else if sent.Visibility != "" || sent.Selected != nil {
		s.t.Errorf("visibility in %s", body)
	}
	existed := s.exists
	s.value, s.exists = string(value), true
	if existed {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, 201, map[string]string{})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	text, _ := json.Marshal(body)
	w.Write(text)
}

func (s *server) requests() string {
	return strings.ReplaceAll(fmt.Sprint(slices.Clone(s.sent)), s.base, "")
}
