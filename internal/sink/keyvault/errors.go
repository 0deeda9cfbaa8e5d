package keyvault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// refused makes an error of the SDK one that a rotation and a person can act
// on. The SDK's own hold whole answers, which may repeat what was sent.
func (s *Sink) refused(ctx context.Context, verb string, err error) error {
	if context.Cause(ctx) != nil {
		return web.Failed(ctx, s.op(verb), err)
	}
	if errors.Is(err, errNotVault) {
		return &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: errNotVault}
	}
	if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		return s.signIn(verb, e)
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return s.answered(verb, e)
	}
	if strings.Contains(err.Error(), "doesn't match the requested domain") {
		return &sink.Error{
			Op: s.op(verb), Kind: sink.Invalid, Err: errors.New("it asks for a token of another service"),
			Next: "check the vault's address: a token goes only to a host of the cloud that it is for",
		}
	}
	// What credentials say that cannot even try.
	if unavailable, ok := errors.AsType[interface {
		error
		NonRetriable()
	}](err); ok {
		return &sink.Error{Op: s.op(verb), Kind: sink.Denied, Err: errors.New(oneLine(unavailable.Error())), Next: "check the tenant's identity in the configuration"}
	}
	return web.Failed(ctx, s.op(verb), err)
}

// signIn is a refusal of the operator's own sign-in.
func (s *Sink) signIn(verb string, e *azidentity.AuthenticationFailedError) error {
	status, header := http.StatusForbidden, http.Header{}
	if e.RawResponse != nil {
		status, header = e.RawResponse.StatusCode, e.RawResponse.Header
	}
	if status == http.StatusBadRequest || status == http.StatusNotFound {
		status = http.StatusForbidden // the answers to a credential that is wrong
	}
	message := fmt.Sprintf("the login host refuses the operator's sign-in (HTTP %d)", status)
	for f := range aadsts.FindString(e.Error()) {
		message = fmt.Sprintf("the operator's sign-in is refused: AADSTS%d %s", f.Code, oneLine(f.Message))
		break
	}
	refused := web.Refused(s.op(verb), status, header, errors.New(message))
	if refused.Kind == sink.Denied {
		refused.Next = "check the tenant's identity in the configuration"
	}
	return refused
}

// answered is a refusal of the vault.
func (s *Sink) answered(verb string, e *azcore.ResponseError) error {
	if e.ErrorCode == "" && e.StatusCode < 500 && e.StatusCode != http.StatusTooManyRequests {
		return &sink.Error{Op: s.op(verb), Kind: sink.Unreachable, Err: fmt.Errorf("HTTP %d: %w", e.StatusCode, errNotVault)}
	}
	var body struct {
		Error struct {
			Message    string
			InnerError struct{ Code string }
		}
	}
	if raw, err := runtime.Payload(e.RawResponse); err == nil {
		_ = json.Unmarshal(raw, &body) // innererror and innerError alike
	}
	inner := body.Error.InnerError.Code
	message := fmt.Sprintf("HTTP %d %s", e.StatusCode, strings.TrimSuffix(e.ErrorCode+"/"+inner, "/"))
	if e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden {
		message += ": " + oneLine(body.Error.Message) // no answer to a value
	}
	refused := web.Refused(s.op(verb), e.StatusCode, e.RawResponse.Header, errors.New(message))
	switch {
	case inner == "ObjectIsDeletedButRecoverable":
		refused.Next = fmt.Sprintf("recover or purge the deleted secret: az keyvault secret recover --id %s/deletedsecrets/%s", s.origin, s.name)
	case inner == "ObjectIsBeingDeleted":
		refused.Kind = sink.Unreachable
	case inner == "SecretDisabled":
		refused.Next = "enable the newest version: consumers cannot read it either"
	case strings.HasPrefix(inner, "ForbiddenBy") && inner != "ForbiddenByRbac":
		refused.Next = "let credsmith's address through the vault's firewall"
	case refused.Kind == sink.Denied:
		refused.Next = "give credsmith's identity the role Key Vault Secrets Officer on the secret; a new role takes some minutes to count"
	case e.StatusCode == http.StatusConflict:
		refused.Kind = sink.Unreachable
	case refused.Kind == sink.Invalid:
		refused.Next = "check the vault's address and the secret's name"
	}
	return refused
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
