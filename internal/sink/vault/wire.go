package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
	"github.com/credsmith/credsmith/internal/wire"
)

// path is the newest version of a path. A path that is not there, or whose
// newest version is deleted, has no data.
type path struct {
	version int // 0 when there never was one
	data    map[string]json.RawMessage
	custom  map[string]string
}

var errForeign = errors.New("the answer is not one of a KV engine, version 2")

const nextForeign = "check address and mount; version 1 of the engine is not supported: it keeps no versions and cannot compare"

// look reads the path.
func (s *Sink) look(ctx context.Context, verb string) (path, error) {
	resp, err := s.send(ctx, verb, http.MethodGet, s.url("data"), "", nil)
	if err != nil {
		return path{}, err
	}
	var answer struct {
		Data *struct {
			Data     map[string]json.RawMessage
			Metadata *struct {
				Version int
				Custom  map[string]string `json:"custom_metadata"`
			}
		}
		Errors []string
	}
	if resp.Status != http.StatusOK && resp.Status != http.StatusNotFound {
		return path{}, s.refused(verb, resp)
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil {
		return path{}, &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: fmt.Errorf("HTTP %d: %w", resp.Status, errForeign)}
	}
	switch {
	case answer.Data != nil && answer.Data.Metadata != nil && answer.Data.Metadata.Version > 0:
		return path{answer.Data.Metadata.Version, answer.Data.Data, answer.Data.Metadata.Custom}, nil
	case resp.Status == http.StatusNotFound && answer.Data == nil && len(answer.Errors) == 0:
		// Version 1 says the same of what is not there, and would then take
		// the envelope of a write for the secret itself.
		return path{}, s.isVersion2(ctx, verb)
	case resp.Status == http.StatusNotFound && answer.Data == nil:
		return path{}, s.refused(verb, resp)
	}
	return path{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errForeign, Next: nextForeign}
}

// isVersion2 asks about the mount, as the servers' own command line does.
func (s *Sink) isVersion2(ctx context.Context, verb string) error {
	resp, err := s.send(ctx, verb, http.MethodGet, s.c.Address+"/v1/sys/internal/ui/mounts/"+escape(s.c.Mount+"/"+s.c.Path), "", nil)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK {
		return s.refused(verb, resp)
	}
	var answer struct {
		Data struct {
			Type    string
			Options map[string]string
		}
	}
	if json.Unmarshal(resp.Body, &answer) != nil || answer.Data.Options["version"] != "2" || answer.Data.Type != "kv" {
		return &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: fmt.Errorf("%s is not a KV engine, version 2", s.c.Mount), Next: nextForeign}
	}
	return nil
}

// put writes all keys of the path if version is still its newest, and returns
// the version it got.
func (s *Sink) put(ctx context.Context, data map[string]json.RawMessage, version int) (int, error) {
	resp, err := s.send(ctx, "write", http.MethodPost, s.url("data"), "application/json", map[string]any{
		"data": data, "options": map[string]int{"cas": version},
	})
	if err != nil {
		return 0, err
	}
	if resp.Status == http.StatusBadRequest && bytes.Contains(resp.Body, []byte("check-and-set")) {
		return 0, &sink.Error{Op: s.op("write"), Kind: sink.Changed, Err: errChanged}
	}
	if resp.Status != http.StatusOK {
		return 0, s.refused("write", resp)
	}
	var answer struct{ Data struct{ Version int } }
	if json.Unmarshal(resp.Body, &answer) != nil || answer.Data.Version <= version {
		return 0, &sink.Error{Op: s.op("write"), Kind: sink.Unreachable, Err: errForeign}
	}
	return answer.Data.Version, nil
}

// describe sets the key's label among the path's custom metadata.
func (s *Sink) describe(ctx context.Context, label string) error {
	resp, err := s.send(ctx, "label", http.MethodPatch, s.url("metadata"), "application/merge-patch+json", map[string]any{
		"custom_metadata": map[string]string{s.label(): label},
	})
	if err == nil && resp.Status != http.StatusNoContent && resp.Status != http.StatusOK {
		return s.refused("label", resp)
	}
	return err
}

// may asks what the token may do, without doing it.
func (s *Sink) may(ctx context.Context) error {
	data, metadata := s.c.Mount+"/data/"+s.c.Path, s.c.Mount+"/metadata/"+s.c.Path
	resp, err := s.send(ctx, "check", http.MethodPost, s.c.Address+"/v1/sys/capabilities-self", "application/json", map[string]any{"paths": []string{data, metadata}})
	if err != nil {
		return err
	}
	var answer struct{ Data map[string]json.RawMessage }
	if resp.Status != http.StatusOK || json.Unmarshal(resp.Body, &answer) != nil {
		if resp.Status == http.StatusForbidden || resp.Status == http.StatusOK {
			return nil // not every policy lets tokens ask
		}
		return s.refused("check", resp)
	}
	for path, needs := range map[string][]string{data: {"read", "create", "update"}, metadata: {"patch"}} {
		var has []string
		if json.Unmarshal(answer.Data[path], &has) != nil || slices.Contains(has, "root") {
			continue
		}
		for _, need := range needs {
			if !slices.Contains(has, need) {
				return &sink.Error{Op: s.op("check"), Kind: sink.Denied, Err: fmt.Errorf("the token has no capability %q on %s", need, path), Next: s.policy()}
			}
		}
	}
	return nil
}

func (s *Sink) policy() string {
	return fmt.Sprintf(`give the token's policy: path "%s/data/%s" { capabilities = ["create", "read", "update"] } and path "%s/metadata/%s" { capabilities = ["patch"] }`,
		s.c.Mount, s.c.Path, s.c.Mount, s.c.Path)
}

func (s *Sink) url(of string) string {
	return s.c.Address + "/v1/" + escape(s.c.Mount) + "/" + of + "/" + escape(s.c.Path)
}

// escape escapes the parts of a path between its slashes.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// send sends one request.
func (s *Sink) send(ctx context.Context, verb, method, address, kind string, body any) (wire.Response, error) {
	token, err := s.token(ctx)
	if err != nil {
		if context.Cause(ctx) != nil {
			return wire.Response{}, web.Failed(ctx, s.op(verb), err)
		}
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Denied, Err: err, Next: "check where the token comes from"}
	}
	var sent []byte
	if body != nil {
		if sent, err = json.Marshal(body); err != nil {
			return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errForeign, Next: nextForeign}
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(sent))
	if err != nil {
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("the address cannot be asked"), Next: "check address and path"}
	}
	req.Header.Set("X-Vault-Token", token.Reveal())
	req.Header.Set("X-Vault-Request", "true")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if s.c.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", s.c.Namespace)
	}
	return web.Do(s.client, req, s.op(verb))
}

// refused is an answer that is not a success.
func (s *Sink) refused(verb string, resp wire.Response) error {
	var body struct{ Errors []string }
	said := json.Unmarshal(resp.Body, &body) == nil && body.Errors != nil
	message := fmt.Sprintf("HTTP %d", resp.Status)
	if said && resp.Status != http.StatusBadRequest { // which may repeat what was sent
		message += ": " + strings.Join(strings.Fields(strings.Join(body.Errors, "; ")), " ")
	}
	e := web.Refused(s.op(verb), resp.Status, resp.Header, errors.New(message))
	switch {
	case !said && e.Kind != sink.Throttled:
		e.Kind = sink.Unreachable // a proxy on the way
	case resp.Status == http.StatusPreconditionFailed:
		e.Kind = sink.Unreachable // this node has not caught up yet
	case e.Kind == sink.Denied:
		e.Next = s.policy()
	case e.Kind == sink.Invalid:
		e.Next = nextForeign
	}
	return e
}
