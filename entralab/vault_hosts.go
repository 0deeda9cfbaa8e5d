package entralab

import (
	"context"
	"net"
	"slices"
	"strings"
)

// vaultDomains are where vaults have hosts of their own, NAME.DOMAIN: the
// public cloud's, and two that never lead out of this machine. With the public
// one an unchanged SDK accepts the challenge's usual resource; with the others
// the resource is the domain itself.
var vaultDomains = []string{vaultDomainAzure, vaultDomainLocal, vaultDomainTest}

const (
	vaultDomainAzure = "vault.azure.net"
	vaultDomainLocal = "vault.localhost" // with sockets
	vaultDomainTest  = "vault.lab.test"  // in process
)

// vaultHost is the host of one vault, taken apart.
type vaultHost struct{ name, domain, port string }

// parseVaultHost reads NAME.DOMAIN, with or without a port.
func parseVaultHost(host string) (vaultHost, bool) {
	h, port := strings.ToLower(host), ""
	if name, p, err := net.SplitHostPort(h); err == nil {
		h, port = name, p
	}
	h = strings.TrimSuffix(h, ".") // as the certificate's check does
	for _, domain := range vaultDomains {
		if name, ok := strings.CutSuffix(h, "."+domain); ok && name != "" && !strings.Contains(name, ".") {
			return vaultHost{name, domain, port}, true
		}
	}
	return vaultHost{}, false
}

// resource is what the challenge of this host names. SDKs refuse a challenge
// unless the request's host, port included, ends with the resource's.
func (h vaultHost) resource() string {
	if h.port == "" || h.domain == vaultDomainAzure {
		return "https://" + h.domain
	}
	return "https://" + net.JoinHostPort(h.domain, h.port)
}

// isVaultParent reports whether a resource, in lower case, is one that only
// the lab's challenges name.
func isVaultParent(resource string) bool {
	host, ok := strings.CutPrefix(resource, "https://")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return ok && host != vaultDomainAzure && slices.Contains(vaultDomains, host)
}

// urlOf is a vault's address on this machine, for the names that need no DNS
// of Microsoft's.
func (l *Lab) urlOf(name string) string {
	h := vaultHost{name: strings.ToLower(name), domain: vaultDomainTest}
	if l.network != nil {
		h.domain = vaultDomainLocal
		_, h.port, _ = net.SplitHostPort(strings.TrimPrefix(l.vaultURL, "https://"))
	}
	return "https://" + h.name + "." + strings.TrimPrefix(h.resource(), "https://")
}

// dial connects the lab's own client. The hosts of vaults lead to the lab.
func (l *Lab) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, ok := parseVaultHost(address); ok {
		address = strings.TrimPrefix(l.vaultURL, "https://")
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}
