package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/wire"
)

// Resource is Graph as an app with a token of its own sees it.
type Resource struct {
	Origin string
	HTTP   *http.Client
}

// Use reads an address once with a token. The address must be on the
// resource's own origin: the token is for nobody else.
func (r Resource) Use(ctx context.Context, token entra.Token, address string) (entra.Access, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme+"://"+u.Host != r.Origin {
		return entra.Access{}, fmt.Errorf("%s is not on %s, and the token is for nobody else", address, r.Origin)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return entra.Access{}, fmt.Errorf("ask %s: %w", wire.Address(u), err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	resp, err := wire.Do(r.HTTP, req)
	if err != nil {
		return entra.Access{}, err
	}
	access := entra.Access{Method: req.Method, URL: wire.Address(u), Status: resp.Status}
	if resp.Status > 299 {
		var envelope struct {
			Error struct{ Code, Message string }
		}
		if json.Unmarshal(resp.Body, &envelope) == nil {
			access.Code, access.Message = envelope.Error.Code, envelope.Error.Message
		}
	}
	return access, nil
}
