package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
	"github.com/credsmith/credsmith/internal/wire"
)

// errForeign is an answer of something else on the way.
var errForeign = errors.New("the answer is not one of a Kubernetes API server: check the address, and the proxies on the way")

func (s *Sink) path() string {
	return "/api/v1/namespaces/" + s.c.Namespace + "/secrets/" + s.c.Secret
}

// get reads the Secret; nil when there is none.
func (s *Sink) get(ctx context.Context, verb string) (*object, error) {
	resp, err := s.send(ctx, s.op(verb), http.MethodGet, s.path(), nil)
	if err != nil {
		return nil, err
	}
	if status, ok := statusOf(resp); resp.Status == http.StatusNotFound && ok && status.Reason == "NotFound" {
		return nil, nil
	}
	var o object
	if err := s.decode(s.op(verb), resp, &o); err != nil {
		return nil, err
	}
	if o.Metadata.ResourceVersion == "" {
		return nil, &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errForeign}
	}
	return &o, nil
}

// patch merges a change into an object, and the answer into out unless that
// is nil. A dry run changes nothing: the server says whether it would.
func (s *Sink) patch(ctx context.Context, op, path string, dry bool, change, out any) error {
	path += "?fieldManager=credsmith"
	if dry {
		path += "&dryRun=All"
	}
	body, err := json.Marshal(change)
	if err != nil {
		return &sink.Error{Op: op, Kind: sink.Invalid, Err: errors.New("the change cannot be sent"), Next: "report it"}
	}
	resp, err := s.send(ctx, op, http.MethodPatch, path, body)
	if err != nil {
		return err
	}
	return s.decode(op, resp, out)
}

// send sends one request.
func (s *Sink) send(ctx context.Context, op, method, path string, body []byte) (wire.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.cluster.Origin, "/")+path, bytes.NewReader(body))
	if err != nil {
		return wire.Response{}, &sink.Error{Op: op, Kind: sink.Invalid, Err: errors.New("the cluster's address cannot be asked"), Next: "check the kubeconfig"}
	}
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return web.Do(s.cluster.Client, req, op)
}

// status is what an API server says instead of an object.
type status struct {
	Kind    string
	Reason  string
	Message string
	Details struct{ RetryAfterSeconds int }
}

func statusOf(resp wire.Response) (status, bool) {
	var st status
	return st, json.Unmarshal(resp.Body, &st) == nil && st.Kind == "Status"
}

// decode reads an object, or why there is none.
func (s *Sink) decode(op string, resp wire.Response, out any) error {
	if resp.Status == http.StatusOK {
		if _, isStatus := statusOf(resp); isStatus || out != nil && json.Unmarshal(resp.Body, out) != nil {
			return &sink.Error{Op: op, Kind: sink.Unreachable, Err: errForeign}
		}
		return nil
	}
	st, ok := statusOf(resp)
	message := fmt.Sprintf("HTTP %d %s", resp.Status, st.Reason)
	if resp.Status == http.StatusForbidden || resp.Status == http.StatusNotFound {
		message += ": " + strings.Join(strings.Fields(st.Message), " ") // others may repeat what was sent
	}
	e := web.Refused(op, resp.Status, resp.Header, errors.New(message))
	switch {
	case !ok && e.Kind != sink.Throttled && e.Kind != sink.Denied:
		e.Kind, e.Err = sink.Unreachable, fmt.Errorf("HTTP %d: %w", resp.Status, errForeign)
	case resp.Status == http.StatusConflict:
		e.Kind = sink.Changed
	case e.Kind == sink.Throttled && e.After == 0:
		e.After = time.Duration(min(max(st.Details.RetryAfterSeconds, 0), 86400)) * time.Second
	case resp.Status == http.StatusUnauthorized:
		e.Next = "check the credentials of the kubeconfig"
	case e.Kind == sink.Denied:
		e.Next = fmt.Sprintf("give credsmith's account the verbs get and patch on this resource in the namespace %s", s.c.Namespace)
	case e.Kind == sink.Invalid:
		e.Next = "check the names of the Secret and the workloads"
	}
	return e
}
