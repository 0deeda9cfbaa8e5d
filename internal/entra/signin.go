package entra

import (
	"fmt"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/secret"
)

// TokenRequest is one sign-in with client credentials.
type TokenRequest struct {
	TenantID string
	ClientID string
	Value    secret.Value
	Scope    string
	Raw      *RawRequest // sent as it is instead, when not nil
}

// RawRequest is a captured token request, to be sent once more as it was.
type RawRequest struct {
	Method string
	Path   string // with query; the host is always the authority's
	Header []Header
	Body   secret.Value // it may hold the secret
}

// Header is one line of a request's head.
type Header struct{ Name, Value string }

// Answer is what the authority said to a request. Exactly one of Token,
// Failure and (for discovery) TenantID says how it went.
type Answer struct {
	Status   int
	Date     time.Time // the server's clock; zero if it sent none
	Asked    time.Time // our clock when the answer came
	Token    *Token
	Failure  *aadsts.Failure
	TenantID string // discovery: the tenant's GUID, whatever name it was asked by
	// RetryAfter is how long the server asks to wait; 0 if it does not say.
	RetryAfter time.Duration
}

// Token is an access token and what it says of itself.
type Token struct {
	Access   secret.Value
	Audience string
	TenantID string
	AppID    string
	ObjectID string // of the service principal
	Roles    []string
	Expires  time.Time
}

// Service is a kind of resource that a token can be used on.
type Service string

// The services.
const (
	ServiceGraph    Service = "graph"
	ServiceKeyVault Service = "keyvault"
	ServiceARM      Service = "arm"
	ServiceSMTP     Service = "smtp"
	ServiceIMAP     Service = "imap"
)

// Services returns all of them, in the order in which they are listed.
func Services() []Service {
	return []Service{ServiceGraph, ServiceKeyVault, ServiceARM, ServiceSMTP, ServiceIMAP}
}

// Access is what a resource said to a token. Texts of the resource's own are
// one line each and hold no part of the token.
type Access struct {
	Service     Service
	Method, URL string // the URL without its query
	Mailbox     string // that SMTP or IMAP was asked for

	// Withheld says why the token was not sent; the resource then said nothing
	// but, for TrustsOther, whom it trusts.
	Withheld Withheld
	Status   int    // of HTTP, or of an SMTP reply; 0 with IMAP
	Code     string // the resource's error code, "" when it let the token in
	Inner    string // a closer code within it
	Message  string
	TenantID string // the tenant that the resource trusts, if it says so
	Action   string // what the app may not do, if the resource says so
	Scope    string // and on what
	Items    int    // in the listing that was read; -1 if it was none
}

// Withheld is a reason to keep a token from a resource.
type Withheld string

// The reasons.
const (
	OtherAudience Withheld = "audience" // the token is for another resource
	TrustsOther   Withheld = "tenant"   // the resource trusts another tenant than the token's
)

// Obstacle is what keeps a request from being answered as Entra answers.
type Obstacle string

// The obstacles.
const (
	NoName       Obstacle = "dns"
	Refused      Obstacle = "refused"
	TimedOut     Obstacle = "timeout"
	BadTLS       Obstacle = "tls"
	BadProxy     Obstacle = "proxy"
	Redirected   Obstacle = "redirect"
	NotEntra     Obstacle = "not-entra" // HTML, truncated or foreign JSON, an endless body
	Interrupted  Obstacle = "interrupted"
	OtherTrouble Obstacle = "other"
)

// Unreachable says that no answer of Entra's kind came.
type Unreachable struct {
	Address  string // what was asked, without query
	Obstacle Obstacle
	Because  string // one line, no part of any body
	Hint     string // what to do next
	Err      error
}

func (e *Unreachable) Error() string { return fmt.Sprintf("%s: %s", e.Address, e.Because) }
func (e *Unreachable) Unwrap() error { return e.Err }
