package appservice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
	"github.com/credsmith/credsmith/internal/wire"
)

func (p *place) foreign(verb string) error {
	return &sink.Error{Op: p.op(verb), Kind: sink.Unreachable, Err: errors.New("the answer is not one of Azure Resource Manager's")}
}

// refused is what a status means. Of Azure's own words only the code is shown:
// a message may repeat what was sent.
func (p *place) refused(verb string, resp wire.Response) error {
	var answer struct{ Error struct{ Code string } }
	said := json.Unmarshal(resp.Body, &answer) == nil && answer.Error.Code != ""
	message := fmt.Sprintf("HTTP %d", resp.Status)
	if said {
		message += fmt.Sprintf(" %.60q", answer.Error.Code)
	}
	e := web.Refused(p.op(verb), resp.Status, resp.Header, errors.New(message))
	switch {
	case !said && !resp.IsJSON() && e.Kind != sink.Throttled:
		e.Kind = sink.Unreachable // a proxy on the way
	case resp.Status == http.StatusConflict:
		e.Kind = sink.Unreachable // another operation on the app is under way
	case resp.Status == http.StatusUnauthorized:
		e.Next = "the app must be in a subscription of the operator's tenant"
	case e.Kind == sink.Denied:
		e.Next = "give the operator the role Website Contributor on the app"
	case resp.Status == http.StatusNotFound:
		e.Next = "check subscription, resource group, name and slot: az webapp show --ids SITE"
	}
	return e
}

func (p *place) send(ctx context.Context, verb, method, address string, body any) (wire.Response, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return wire.Response{}, fmt.Errorf("encode the request: %w", err)
		}
	}
	token, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{p.c.ARM + "/.default"}})
	if err != nil {
		if context.Cause(ctx) != nil {
			return wire.Response{}, web.Failed(ctx, p.op(verb), err)
		}
		return wire.Response{}, &sink.Error{Op: p.op(verb), Kind: sink.Unreachable, Err: errors.New("the operator got no token for Azure Resource Manager"), Next: "see why: credsmith doctor --try arm, with the operator's setting"}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return wire.Response{}, &sink.Error{Op: p.op(verb), Kind: sink.Invalid, Err: errors.New("the address cannot be asked"), Next: "check site and arm"}
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return web.Do(p.client, req, p.op(verb))
}
