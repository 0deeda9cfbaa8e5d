package azuredevops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
	"github.com/credsmith/credsmith/internal/wire"
)

// application is Azure DevOps itself, in every tenant (Microsoft
// documentation).
const application = "499b84ac-1321-427f-aa17-267ca6975798"

// noToken is a personal access token that is not where it should be: a person
// puts it there.
type noToken struct{ error }

// AsPerson authorizes with a personal access token, asked for at every request.
// The error of token is shown.
func AsPerson(token func(context.Context) (secret.Value, error)) Authorize {
	return func(r *http.Request) error {
		given, err := token(r.Context())
		if err != nil {
			return noToken{err}
		}
		r.SetBasicAuth("", given.Reveal())
		return nil
	}
}

// AsOperator authorizes with a token of Entra.
func AsOperator(credential azcore.TokenCredential) Authorize {
	return func(r *http.Request) error {
		token, err := credential.GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{application + "/.default"}})
		if err != nil {
			return errors.New("the operator got no token for Azure DevOps")
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
		return nil
	}
}

func (s *Sink) foreign(verb string) error {
	return &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errors.New("the answer is not one of Azure DevOps")}
}

// refused is what a status means. The service's own words are left out: they
// may repeat what was sent.
func (s *Sink) refused(verb string, resp wire.Response) error {
	e := web.Refused(s.op(verb), resp.Status, resp.Header, fmt.Errorf("HTTP %d", resp.Status))
	role := "make the identity Administrator of the variable group (Pipelines > Library > Security)"
	if s.c.ServiceConnection != "" {
		role = "make the identity Administrator of the service connection (Project settings > Service connections > Security)"
	}
	switch {
	case resp.Status == http.StatusNonAuthoritativeInfo: // a page to sign in
		e.Kind, e.Next = sink.Denied, "the token is wrong or has expired: set AZURE_DEVOPS_EXT_PAT, or add the operator to the organization"
	case resp.Status == http.StatusNotFound:
		e.Next = "check organization, project and number; " + role
	// A token that is wrong or has expired is a page too (recalled, unverified);
	// a proxy would say 407.
	case resp.Status == http.StatusUnauthorized && !resp.IsJSON():
		e.Next = "the token is wrong or has expired: set AZURE_DEVOPS_EXT_PAT, or add the operator to the organization"
	case !resp.IsJSON() && e.Kind != sink.Throttled:
		e.Kind = sink.Unreachable // a proxy on the way
	case resp.Status == http.StatusConflict:
		e.Kind = sink.Unreachable // somebody else writes it at this moment
	case e.Kind == sink.Denied:
		e.Next = role
	}
	return e
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
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("the address cannot be asked"), Next: "check organization and project"}
	}
	if err := s.authorize(req); err != nil {
		if context.Cause(ctx) != nil {
			return wire.Response{}, web.Failed(ctx, s.op(verb), err)
		}
		if _, ok := errors.AsType[noToken](err); ok {
			return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Denied, Err: err, Next: "put a personal access token where token of the sink says, or into AZURE_DEVOPS_EXT_PAT"}
		}
		return wire.Response{}, &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: err, Next: "add the operator to the organization, or set AZURE_DEVOPS_EXT_PAT"}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-TFS-FedAuthRedirect", "Suppress") // no redirect to a page to sign in
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return web.Do(s.client, req, s.op(verb))
}
