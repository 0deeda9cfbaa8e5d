package request

import (
	"net/netip"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// cloud is the name of one of the separate Microsoft clouds, as entra has it.
type cloud string

const (
	public  cloud = "public"
	usGov   cloud = "usgov"
	china   cloud = "china"
	germany cloud = "germany" // closed in 2021
)

// String returns the name for people.
func (c cloud) String() string {
	switch c {
	case usGov:
		return "US Government"
	case china:
		return "China"
	case germany:
		return "German"
	}
	return string(c)
}

const publicAuthority = "login.microsoftonline.com"

// moreAuthorities are hosts of the token endpoint besides those entra knows:
// for customers' identities, and former names.
var moreAuthorities = map[string]cloud{
	"ciamlogin.com": public, "b2clogin.com": public, "login-us.microsoftonline.com": usGov, "login.microsoftonline.de": germany,
}

// authorityCloud returns the cloud of an authority's host, "" if it is none
// that is known. Hosts below a known one are regional endpoints of it.
func authorityCloud(host string) cloud {
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		if known, ok := entra.CloudOf("https://" + name); ok {
			return cloud(known.Name)
		}
		if c, ok := moreAuthorities[name]; ok {
			return c
		}
	}
	return ""
}

// products have token endpoints, or none, that are often mistaken for Entra's.
var products = map[string]string{
	"graph.microsoft.com": "Microsoft Graph", "graph.microsoft.us": "Microsoft Graph", "graph.windows.net": "Azure AD Graph",
	"management.azure.com": "Azure Resource Manager", "portal.azure.com": "the Azure portal", "entra.microsoft.com": "the Entra admin center",
	"vault.azure.net": "Key Vault", "accounts.accesscontrol.windows.net": "the Access Control Service of SharePoint",
	"login.live.com": "Microsoft accounts", "169.254.169.254": "managed identities",
	"googleapis.com": "Google", "accounts.google.com": "Google", "okta.com": "Okta", "oktapreview.com": "Okta", "auth0.com": "Auth0",
	"amazoncognito.com": "Amazon Cognito", "github.com": "GitHub", "salesforce.com": "Salesforce", "onelogin.com": "OneLogin",
}

// vaults are the resource of all Key Vaults, and the ends of their addresses.
var vaults = [3]string{"vault.azure.net", "vault.usgovcloudapi.net", "vault.azure.cn"}

// services are resources that exist in every cloud under another name, in the
// order public, US Government, China.
var services = [][3]string{
	{"graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"},
	{"management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"},
	{"management.core.windows.net", "management.core.usgovcloudapi.net", "management.core.chinacloudapi.cn"},
	vaults,
	{"database.windows.net", "database.usgovcloudapi.net", "database.chinacloudapi.cn"},
	{"graph.windows.net", "graph.microsoftazure.us", "graph.chinacloudapi.cn"},
}

// resourceHosts are the ends of resource names that only one cloud has.
var resourceHosts = map[string]cloud{
	"microsoft.us": usGov, "usgovcloudapi.net": usGov, "azure.us": usGov, "office365.us": usGov, "microsoftazure.us": usGov, "sharepoint.us": usGov,
	"chinacloudapi.cn": china, "azure.cn": china, "microsoftonline.cn": china, "sharepoint.cn": china,
	"microsoft.com": public, "azure.com": public, "azure.net": public, "windows.net": public, "office.com": public,
	"office365.com": public, "sharepoint.com": public, "dynamics.com": public,
}

// below returns what a table has for host or the closest domain above it.
func below[T any](table map[string]T, host string) (found T, ok bool) {
	for host != "" {
		if found, ok = table[host]; ok {
			return found, true
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return found, false
}

// inCloud returns the service's host in cloud c.
func inCloud(host string, c cloud) (string, bool) {
	column := map[cloud]int{public: 0, usGov: 1, china: 2}
	i, ok := column[c]
	for _, names := range services {
		for _, name := range names {
			if ok && name == host {
				return names[i], true
			}
		}
	}
	return "", false
}

// isLoopback reports whether host is this machine, as for the lab.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
