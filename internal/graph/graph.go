// Package graph reads and writes a tenant through Microsoft Graph with the
// operator's identity: the dozen calls that credsmith needs, with types of
// their own.
package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/wire"
)

// Client is Microsoft Graph as one operator sees it.
type Client struct {
	origin   string
	tenantID string
	pipeline runtime.Pipeline
	token    func(context.Context) (azcore.AccessToken, error)
}

// New returns a client of the Graph at an origin, for the tenant that a
// credential signs in to. It signs in on first use.
func New(origin, tenantID string, credential azcore.TokenCredential, client *http.Client) *Client {
	bearer := runtime.NewBearerTokenPolicy(credential, []string{origin + "/.default"}, nil)
	return &Client{
		origin: origin, tenantID: tenantID,
		token: func(ctx context.Context) (azcore.AccessToken, error) {
			return credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{origin + "/.default"}})
		},
		pipeline: runtime.NewPipeline("credsmith", "", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &policy.ClientOptions{Transport: client}),
	}
}

// TenantID returns the operator's tenant.
func (c *Client) TenantID() string { return c.tenantID }

// Error is a refusal by Graph, or by the sign-in before it.
type Error struct {
	Op        string // "GET /v1.0/applications"
	Status    int    // 0 when the sign-in failed
	Code      string // Graph's error code, or AADSTS…
	Message   string
	RequestID string
	// RetryAfter is how long Graph asks to wait; 0 if it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := e.Op + ": "
	if e.Status != 0 {
		text += fmt.Sprintf("HTTP %d ", e.Status)
	}
	text += e.Code
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// IsNotFound reports whether Graph says that the object is not there.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}

// get reads one object or page into out. The path may hold a query, or be one
// of Graph's own absolute nextLinks, which must stay on this origin: the token
// goes nowhere else.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	_, err := c.send(ctx, method, path, in, out)
	return err
}

// send also returns the head of the answer; nil when none came.
func (c *Client) send(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	address := path
	if strings.HasPrefix(path, "/") {
		address = c.origin + path
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme+"://"+u.Host != c.origin {
		return nil, &Error{Op: method + " " + c.origin, Code: "ForeignLink", Message: "the answer points to another host, which is not followed"}
	}
	op := method + " " + u.Path
	req, err := runtime.NewRequest(ctx, method, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if in != nil {
		if err := runtime.MarshalAsJSON(req, in); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return nil, c.trouble(ctx, op, err)
	}
	defer resp.Body.Close()
	body, err := runtime.Payload(resp)
	if err != nil {
		return resp.Header, wire.Unreachable(wire.Address(u), err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.Header, refusal(op, resp, body)
	}
	if out == nil {
		return resp.Header, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return resp.Header, wire.NotEntra(wire.Address(u), "the answer is not the JSON that Graph sends")
	}
	return resp.Header, nil
}

// trouble tells a refused sign-in of the operator from a broken connection.
func (c *Client) trouble(ctx context.Context, op string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if _, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		for f := range aadsts.FindString(err.Error()) {
			return &Error{Op: "sign in as the operator", Code: fmt.Sprintf("AADSTS%d", f.Code), Message: f.Message}
		}
	}
	// What credentials say that cannot even try, such as a managed identity
	// away from Azure.
	if _, asked := errors.AsType[*azidentity.AuthenticationFailedError](err); !asked {
		if unavailable, ok := errors.AsType[interface {
			error
			NonRetriable()
		}](err); ok {
			return &Error{Op: "sign in as the operator", Code: "NoToken", Message: strings.Join(strings.Fields(unavailable.Error()), " ")}
		}
	}
	return fmt.Errorf("%s: %w", op, wire.Unreachable(c.origin, err))
}

func refusal(op string, resp *http.Response, body []byte) error {
	var envelope struct {
		Error struct {
			Code, Message string
			InnerError    struct {
				RequestID string `json:"request-id"`
			} `json:"innerError"`
		}
	}
	e := &Error{Op: op, Status: resp.StatusCode, Code: http.StatusText(resp.StatusCode), RetryAfter: wire.RetryAfter(resp.Header)}
	if json.Unmarshal(body, &envelope) == nil && envelope.Error.Code != "" {
		e.Code, e.Message, e.RequestID = envelope.Error.Code, envelope.Error.Message, envelope.Error.InnerError.RequestID
	}
	return e
}

// maxPages bounds a listing: at 999 apps a page it is more than any tenant has.
const maxPages = 2000

// pages walks a collection. It stops at the first error, which comes with a
// zero item.
func pages[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		seen := map[string]bool{}
		for range maxPages {
			var page struct {
				Value []T    `json:"value"`
				Next  string `json:"@odata.nextLink"`
			}
			if err := c.get(ctx, path, &page); err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Value {
				if !yield(item, nil) {
					return
				}
			}
			if path = page.Next; path == "" {
				return
			}
			if seen[path] {
				break
			}
			seen[path] = true
		}
		yield(zero, &Error{Op: "GET " + c.origin, Code: "EndlessPages", Message: "the listing does not end"})
	}
}

// withoutRetries keeps a request from being sent twice.
func withoutRetries(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
}
