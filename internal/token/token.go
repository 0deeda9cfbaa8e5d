// Package token speaks to Entra's token service, one request at a time, never
// twice, and to no host but the authority it was made for.
package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

// Client is the token service of one authority.
type Client struct {
	authority string
	http      *http.Client
}

// New returns the client of an authority, given as the origin that
// [entra.Origin] returns. The HTTP client must not follow redirects.
func New(authority string, client *http.Client) *Client {
	return &Client{authority, client}
}

// Discover reads a tenant's OpenID configuration. No secret is sent. A tenant
// that the service refuses is an answer with a Failure.
func (c *Client) Discover(ctx context.Context, tenant string) (entra.Answer, error) {
	address := c.authority + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return entra.Answer{}, fmt.Errorf("ask for %s: %w", address, err)
	}
	resp, err := wire.Do(c.http, req)
	if err != nil {
		return entra.Answer{}, err
	}
	answer := answerTo(resp)
	if resp.Status != http.StatusOK {
		answer.Failure, err = failure(wire.Address(req.URL), resp)
		return answer, err
	}
	var document struct {
		Issuer   string `json:"issuer"`
		Endpoint string `json:"token_endpoint"`
	}
	if !resp.IsJSON() || json.Unmarshal(resp.Body, &document) != nil || document.Issuer == "" || document.Endpoint == "" {
		return entra.Answer{}, wire.NotEntra(wire.Address(req.URL), "the answer is no OpenID configuration")
	}
	answer.TenantID = tenantOf(document.Issuer)
	return answer, nil
}

// tenantOf returns the GUID in an issuer such as
// https://login.microsoftonline.com/{tenant}/v2.0; "" for the shared ones.
func tenantOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if entra.IsGUID(part) {
			return strings.ToLower(part)
		}
	}
	return ""
}

// Token sends one token request to the v2 endpoint, or the raw request it
// carries. A refusal is an answer, not an error.
func (c *Client) Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return entra.Answer{}, err
	}
	resp, err := wire.Do(c.http, req)
	if err != nil {
		if u, ok := errors.AsType[*entra.Unreachable](err); ok {
			u.Because = r.Value.Scrub(u.Because) // a redirect may name anything
		}
		return entra.Answer{}, err
	}
	answer := answerTo(resp)
	if resp.Status != http.StatusOK {
		answer.Failure, err = failure(wire.Address(req.URL), resp)
		return answer, err
	}
	token, lab, err := parseToken(resp)
	if err != nil {
		return entra.Answer{}, wire.NotEntra(wire.Address(req.URL), err.Error())
	}
	if _, real := entra.CloudOf(c.authority); real && lab {
		return entra.Answer{}, wire.NotEntra(wire.Address(req.URL), "the token says that it is from a lab, which no Microsoft host gives")
	}
	answer.Token = token
	return answer, nil
}

func (c *Client) request(ctx context.Context, r entra.TokenRequest) (*http.Request, error) {
	if r.Raw != nil {
		return c.rawRequest(ctx, *r.Raw)
	}
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {r.ClientID},
		"client_secret": {r.Value.Reveal()},
		"scope":         {r.Scope},
	}
	address := c.authority + "/" + url.PathEscape(r.TenantID) + "/oauth2/v2.0/token"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("make a token request to %s: not a valid address", c.authority)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// rawRequest sends a captured request as it was, but to this authority only.
func (c *Client) rawRequest(ctx context.Context, raw entra.RawRequest) (*http.Request, error) {
	if !strings.HasPrefix(raw.Path, "/") {
		raw.Path = "/" + raw.Path
	}
	req, err := http.NewRequestWithContext(ctx, raw.Method, c.authority+raw.Path, strings.NewReader(raw.Body.Reveal()))
	if err != nil {
		return nil, errors.New("the captured request has no valid method or path")
	}
	for _, h := range raw.Header {
		switch strings.ToLower(h.Name) {
		case "host", "content-length", "connection", "transfer-encoding", "accept-encoding":
			continue // set anew for this connection
		}
		req.Header.Add(h.Name, h.Value)
	}
	return req, nil
}

func answerTo(resp wire.Response) entra.Answer {
	answer := entra.Answer{Status: resp.Status, Date: resp.Date(), Asked: time.Now()}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 86400 {
		answer.RetryAfter = time.Duration(s) * time.Second
	}
	return answer
}

// failure reads a refusal. A busy service may answer with anything; every
// other answer must be an error of Entra's kind.
func failure(address string, resp wire.Response) (*aadsts.Failure, error) {
	body, err := aadsts.ParseBody(resp.Body)
	switch {
	case err == nil:
		return &body.Failure, nil
	case resp.Status == http.StatusTooManyRequests, resp.Status >= 500:
		return nil, nil
	}
	kind := "neither a token nor an error of Entra's kind"
	if resp.Header.Get("Content-Type") != "" && !resp.IsJSON() {
		kind = "not JSON"
	}
	return nil, wire.NotEntra(address, fmt.Sprintf("the answer (HTTP %d) is %s", resp.Status, kind))
}

// parseToken also reports whether the token says that it is from a lab.
func parseToken(resp wire.Response) (token *entra.Token, lab bool, err error) {
	var body struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"` // v1 sends a string
	}
	if !resp.IsJSON() {
		return nil, false, errors.New("the answer (HTTP 200) is not JSON")
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil {
		return nil, false, errors.New("the answer (HTTP 200) is broken JSON")
	}
	if body.AccessToken == "" {
		return nil, false, errors.New("the answer (HTTP 200) holds no access_token")
	}
	token, lab = claims(body.AccessToken)
	if s, err := strconv.Atoi(strings.Trim(string(body.ExpiresIn), `"`)); err == nil && !resp.Date().IsZero() {
		token.Expires = resp.Date().Add(time.Duration(s) * time.Second)
	}
	return token, lab, nil
}

// claims reads what a token says of itself, as evidence only: the token is for
// the resource to check, and may be opaque.
func claims(access string) (token *entra.Token, lab bool) {
	token = &entra.Token{Access: secret.New(access)}
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return token, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token, false
	}
	var c struct {
		Aud, Tid, Oid, Appid, Azp string
		Roles                     []string
		Lab                       bool `json:"xms_lab"`
	}
	if json.Unmarshal(payload, &c) != nil {
		return token, false
	}
	token.Audience, token.TenantID, token.ObjectID, token.AppID, token.Roles = c.Aud, c.Tid, c.Oid, c.Appid+c.Azp, c.Roles
	return token, c.Lab
}
