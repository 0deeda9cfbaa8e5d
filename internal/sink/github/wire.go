package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
	"github.com/credsmith/credsmith/internal/wire"
)

// publicKey is what GitHub opens with its private half: X25519.
type publicKey struct {
	id     string
	key    [32]byte
	scopes []string // of a classic token; none of another
}

var errForeign = errors.New("the answer is not one of GitHub's")

func (s *Sink) publicKey(ctx context.Context, verb string) (publicKey, error) {
	resp, err := s.send(ctx, verb, http.MethodGet, s.base+"/public-key", nil)
	if err != nil {
		return publicKey{}, err
	}
	if resp.Status != http.StatusOK {
		return publicKey{}, s.refused(verb, resp)
	}
	var answer struct {
		ID  string `json:"key_id"`
		Key string `json:"key"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil || answer.ID == "" {
		return publicKey{}, s.foreign(verb)
	}
	key, err := base64.StdEncoding.DecodeString(answer.Key)
	if err != nil || len(key) != 32 {
		return publicKey{}, s.foreign(verb)
	}
	scopes := strings.FieldsFunc(resp.Header.Get("X-OAuth-Scopes"), func(r rune) bool { return r == ',' || r == ' ' })
	return publicKey{answer.ID, [32]byte(key), scopes}, nil
}

// known is what GitHub tells of a secret.
type known struct {
	exists     bool
	visibility string  // of an organisation's: "all", "private", "selected"
	selected   []int64 // repositories, by id
}

// maxPages bounds the repositories that may use a secret: 100 a page.
const maxPages = 100

func (s *Sink) look(ctx context.Context, verb string) (known, error) {
	resp, err := s.send(ctx, verb, http.MethodGet, s.base+"/"+s.c.Secret, nil)
	switch {
	case err != nil:
		return known{}, err
	case resp.Status == http.StatusNotFound:
		return known{}, nil
	case resp.Status != http.StatusOK:
		return known{}, s.refused(verb, resp)
	}
	var answer struct{ Name, Visibility string }
	if json.Unmarshal(resp.Body, &answer) != nil || !strings.EqualFold(answer.Name, s.c.Secret) {
		return known{}, s.foreign(verb)
	}
	k := known{exists: true, visibility: answer.Visibility}
	if s.c.Organization == "" {
		return k, nil
	}
	switch k.visibility {
	case "all", "private":
		return k, nil
	case "selected":
		k.selected, err = s.repositories(ctx, verb)
		return k, err
	}
	return known{}, s.foreign(verb)
}

// repositories are those that may use a secret of the organisation. A write
// that left one out would take the secret away from it.
func (s *Sink) repositories(ctx context.Context, verb string) ([]int64, error) {
	ids := []int64{}
	for page := 1; page <= maxPages; page++ {
		resp, err := s.send(ctx, verb, http.MethodGet, fmt.Sprintf("%s/%s/repositories?per_page=100&page=%d", s.base, s.c.Secret, page), nil)
		if err != nil {
			return nil, err
		}
		if resp.Status != http.StatusOK {
			return nil, s.refused(verb, resp)
		}
		var answer struct {
			Total        *int `json:"total_count"`
			Repositories []struct{ ID int64 }
		}
		if json.Unmarshal(resp.Body, &answer) != nil || answer.Total == nil {
			return nil, s.foreign(verb)
		}
		for _, r := range answer.Repositories {
			ids = append(ids, r.ID)
		}
		if len(ids) >= *answer.Total {
			return ids, nil
		}
		if len(answer.Repositories) == 0 {
			break
		}
	}
	return nil, &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errors.New("the list of repositories that may use it did not come whole")}
}

// put seals the value and writes it. stale reports that the key may have
// changed since it was asked for.
func (s *Sink) put(ctx context.Context, to publicKey, value string, k known) (stale bool, err error) {
	sealed, err := box.SealAnonymous(nil, []byte(value), &to.key, rand.Reader)
	if err != nil {
		return false, fmt.Errorf("seal the value: %w", err)
	}
	body := map[string]any{"encrypted_value": base64.StdEncoding.EncodeToString(sealed), "key_id": to.id}
	if s.c.Organization != "" {
		body["visibility"] = k.visibility
		if k.visibility == "selected" {
			body["selected_repository_ids"] = k.selected
		}
	}
	resp, err := s.send(ctx, "write", http.MethodPut, s.base+"/"+s.c.Secret, body)
	if err != nil {
		return false, err
	}
	if resp.Status != http.StatusCreated && resp.Status != http.StatusNoContent {
		return resp.Status == http.StatusUnprocessableEntity, s.refused("write", resp)
	}
	return false, nil
}

func (s *Sink) foreign(verb string) error {
	return &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errForeign}
}

// refused is what a status means. Of GitHub's own words only the message is
// shown, and none after a write: it could repeat what was sent.
func (s *Sink) refused(verb string, resp wire.Response) error {
	var answer struct{ Message string }
	said := json.Unmarshal(resp.Body, &answer) == nil && answer.Message != ""
	message := fmt.Sprintf("HTTP %d", resp.Status)
	if said && verb != "write" {
		message += fmt.Sprintf(": %.200q", answer.Message)
	}
	e := web.Refused(s.op(verb), resp.Status, resp.Header, errors.New(message))
	switch {
	case !said && e.Kind != sink.Throttled:
		e.Kind = sink.Unreachable // a proxy on the way
	case (resp.Status == http.StatusForbidden || resp.Status == http.StatusTooManyRequests) && limited(resp):
		e.Kind, e.After = sink.Throttled, patience(resp)
	case resp.Status == http.StatusUnauthorized:
		e.Next = "the token is wrong or has expired: set GH_TOKEN, or what token of the sink names"
	case resp.Status == http.StatusForbidden:
		e.Next = s.permission()
	case resp.Status == http.StatusNotFound:
		e.Kind, e.Next = sink.Denied, "GitHub says the same of what is not there and of what the token may not see: check the names, and "+s.permission()
	}
	return e
}

func (s *Sink) permission() string {
	switch {
	case s.c.Organization != "":
		return "give the token the organization permission Secrets: write"
	case s.c.Environment != "":
		return "give the token the repository permission Environments: write"
	}
	return "give the token the repository permission Secrets: write"
}

// limited tells a rate limit from a missing permission; both may be 403.
func limited(resp wire.Response) bool {
	return resp.Status == http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-Ratelimit-Remaining") == "0" ||
		bytes.Contains(resp.Body, []byte("secondary rate limit"))
}

// patience is how long to wait: a minute where GitHub does not say, as its
// documentation advises.
func patience(resp wire.Response) time.Duration {
	if after := wire.RetryAfter(resp.Header); after > 0 {
		return after
	}
	reset, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64)
	now := resp.Date()
	if err != nil || now.IsZero() {
		return time.Minute
	}
	return min(max(time.Unix(reset, 0).Sub(now), time.Second), time.Hour)
}

func (s *Sink) send(ctx context.Context, verb, method, address string, body any) (wire.Response, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return wire.Response{}, fmt.Errorf("encode the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: err}
	}
	token, err := s.token(ctx)
	if err != nil {
		if context.Cause(ctx) != nil {
			return wire.Response{}, web.Failed(ctx, s.op(verb), err)
		}
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Denied, Err: err, Next: "the token comes from GH_TOKEN, else GITHUB_TOKEN, or from where token of the sink says"}
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return web.Do(s.client, req, s.op(verb))
}
