// Package try uses a token once on the resource that an app would use it on:
// Microsoft Graph, a key vault, Azure Resource Manager, or a mailbox over SMTP
// or IMAP. A token goes to hosts of the authority's own cloud only; with a
// private authority, such as a lab, to this machine.
package try

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// Place is where a setting signs in.
type Place struct {
	Authority string // origin of the token service
	Graph     string // origin of Graph when it is not the cloud's; "" if not known
}

func (p Place) cloud() (cloud entra.Cloud, real bool) {
	if cloud, ok := entra.CloudOf(p.Authority); ok {
		return cloud, true
	}
	return entra.Clouds()[0], false // a lab hands out tokens for the public cloud's resources
}

// Target is an address that a token may be sent to.
type Target struct {
	service entra.Service
	url     *url.URL
	cloud   entra.Cloud
	real    bool   // the authority is Microsoft's
	graph   string // its origin; "" when nobody said
}

// Service returns the kind of resource.
func (t Target) Service() entra.Service { return t.service }

// Parse checks an address of a service: its form, and that it belongs to the
// place. An empty address means the service's own, where it has one.
func Parse(service entra.Service, address string, at Place) (Target, error) {
	t := Target{service: service}
	t.cloud, t.real = at.cloud()
	if t.graph = at.Graph; t.real {
		t.graph = t.cloud.Graph
	}
	if !slices.Contains(entra.Services(), service) {
		return t, fmt.Errorf("%s is no service that a token can be tried on", service)
	}
	if address == "" {
		var err error
		if address, err = t.usual(at); err != nil {
			return t, err
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return t, errors.New("the address is not a URL")
	}
	t.url = u
	if err := t.form(); err != nil {
		return t, err
	}
	return t, t.belongs()
}

// usual is what is tried when no address is given.
func (t Target) usual(at Place) (string, error) {
	switch {
	case t.service == entra.ServiceGraph && t.graph != "":
		return t.graph + "/v1.0/applications?$top=1", nil
	case t.service == entra.ServiceGraph:
		return "", fmt.Errorf("no Graph is known for the login host %s", at.Authority)
	case t.service == entra.ServiceARM && t.real:
		return t.cloud.ARM + "/subscriptions?api-version=2022-12-01", nil
	}
	return "", fmt.Errorf("--try %s needs an address such as %s", t.service, Example(t.service))
}

// Example is an address of a service as it is typed.
func Example(s entra.Service) string {
	switch s {
	case entra.ServiceKeyVault:
		return "https://NAME.vault.azure.net/secrets/SECRET"
	case entra.ServiceARM:
		return "https://management.azure.com/subscriptions?api-version=2022-12-01"
	case entra.ServiceSMTP:
		return "smtp://app@contoso.com@smtp.office365.com:587"
	case entra.ServiceIMAP:
		return "imaps://app@contoso.com@outlook.office365.com:993"
	}
	return "https://graph.microsoft.com/v1.0/users"
}

// form checks what of an address does not hang on the place.
func (t Target) form() error {
	u := t.url
	switch scheme := t.scheme(); {
	case u.Scheme == "http":
		return fmt.Errorf("%s is http: a token is sent over TLS only", u.Host)
	case u.Scheme != scheme:
		return fmt.Errorf("an address for --try %s starts with %s://, such as %s", t.service, scheme, Example(t.service))
	case u.Hostname() == "" || strings.ContainsFunc(u.Host, notOfHosts):
		return errors.New("the address names no host that can be sent to")
	case u.Fragment != "":
		return errors.New("the address has a fragment (#…), which is never sent")
	}
	if t.scheme() == "https" {
		if u.User != nil {
			return fmt.Errorf("the address of %s holds a user name", u.Host)
		}
		return nil
	}
	mailbox := t.mailbox()
	if _, withPassword := u.User.Password(); withPassword {
		return errors.New("the address holds a password or a colon in the mailbox: it takes a mailbox only")
	}
	if name, domain, _ := strings.Cut(mailbox, "@"); name == "" || domain == "" || strings.ContainsFunc(mailbox, notOfMailboxes) {
		return fmt.Errorf("the address names no mailbox: write it before the host, such as %s", Example(t.service))
	}
	return nil
}

func (t Target) scheme() string {
	switch t.service {
	case entra.ServiceSMTP:
		return "smtp"
	case entra.ServiceIMAP:
		return "imaps"
	}
	return "https"
}

// mailbox is the address that SMTP or IMAP signs in as.
func (t Target) mailbox() string {
	if t.url.User == nil {
		return ""
	}
	return t.url.User.Username()
}

func notOfHosts(r rune) bool {
	return r > 'z' || r < '-' || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]", r)
}

// notOfMailboxes keeps what would end a line or the XOAUTH2 message's field.
func notOfMailboxes(r rune) bool { return r <= ' ' || r >= 0x7f }

// belongs keeps a token from hosts that are not its resource's.
func (t Target) belongs() error {
	host, port := strings.ToLower(t.url.Hostname()), t.url.Port()
	if !t.real {
		if isLoopback(host) || t.service == entra.ServiceGraph && t.origin() == t.graph {
			return nil
		}
		return fmt.Errorf("%s is not on this machine, and with a private login host the token is for nobody else", host)
	}
	allowed, own := false, ""
	switch t.service {
	case entra.ServiceGraph:
		allowed, own = t.origin() == t.cloud.Graph, t.cloud.Graph
	case entra.ServiceARM:
		allowed, own = t.origin() == t.cloud.ARM, t.cloud.ARM
	case entra.ServiceKeyVault:
		name, ok := strings.CutSuffix(host, "."+t.cloud.Vault)
		allowed, own = ok && name != "" && !strings.Contains(name, ".") && (port == "" || port == "443"), "https://NAME."+t.cloud.Vault
	case entra.ServiceSMTP:
		allowed, own = host == t.cloud.SMTP && (port == "" || port == "587" || port == "25"), "smtp://MAILBOX@"+t.cloud.SMTP+":587"
	case entra.ServiceIMAP:
		allowed, own = "https://"+host == t.cloud.Outlook && (port == "" || port == "993"), "imaps://MAILBOX@"+strings.TrimPrefix(t.cloud.Outlook, "https://")+":993"
	}
	if !allowed {
		return fmt.Errorf("%s is not on %s, and the token is for nobody else", t.url.Host, own)
	}
	return nil
}

// origin is the target's scheme and host, without the port that goes without saying.
func (t Target) origin() string {
	return t.url.Scheme + "://" + strings.TrimSuffix(strings.ToLower(t.url.Host), ":443")
}

// isLoopback also takes the names that RFC 6761 keeps for this machine.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dialAddress is host and port.
func (t Target) dialAddress() string {
	port := t.url.Port()
	if port == "" {
		port = map[string]string{"smtp": "587", "imaps": "993", "https": "443"}[t.url.Scheme]
	}
	return net.JoinHostPort(t.url.Hostname(), port)
}

// Well-known ids of Microsoft's services, which a token's aud may hold in
// place of an address. That of Exchange is seen in public token dumps.
const (
	graphAppID   = "00000003-0000-0000-c000-000000000000"
	vaultAppID   = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093" // recalled, unverified
	armAppID     = "797f4846-ba00-4fd7-ba43-dac1f8f63013" // recalled, unverified
	outlookAppID = "00000002-0000-0ff1-ce00-000000000000"
)

// audiences are the aud values that the resource takes, the usual one first.
func (t Target) audiences() []string {
	switch t.service {
	case entra.ServiceKeyVault:
		return []string{"https://" + t.cloud.Vault, vaultAppID}
	case entra.ServiceARM:
		return []string{t.cloud.ARM, "https://management.core.windows.net", "https://management.core.usgovcloudapi.net", "https://management.core.chinacloudapi.cn", armAppID}
	case entra.ServiceSMTP, entra.ServiceIMAP:
		return []string{t.cloud.Outlook, "https://outlook.office.com", outlookAppID}
	}
	return []string{t.cloud.Graph, graphAppID, t.graph}
}

// Scope is what to ask the token service for.
func (t Target) Scope() string { return t.audiences()[0] + "/.default" }

// takes reports whether a token with that audience is for the target.
func (t Target) takes(audience string) bool {
	return audience != "" && slices.ContainsFunc(t.audiences(), func(a string) bool {
		return strings.EqualFold(strings.TrimRight(audience, "/"), a)
	})
}
