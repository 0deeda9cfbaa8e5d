package entra

import (
	"fmt"
	"net/url"
	"strings"
)

// Cloud is one of Microsoft's clouds: each has its own directory, portal, app
// registrations and secrets.
type Cloud struct {
	Name      string
	Authority string // origin of the token service
	Graph     string // origin of Microsoft Graph
	Portal    string
	ARM       string // origin of Azure Resource Manager
	Vault     string // domain of the key vaults, each a host in it
	Outlook   string // origin of Exchange Online, which also serves IMAP and SMTP
	SMTP      string // host of Exchange Online's submission
}

// Clouds are the clouds in service. The first is the default.
// Source: Microsoft, "National clouds"; the mail hosts of the national clouds
// are recalled, unverified.
func Clouds() []Cloud {
	return []Cloud{
		{"public", "https://login.microsoftonline.com", "https://graph.microsoft.com", "https://entra.microsoft.com",
			"https://management.azure.com", "vault.azure.net", "https://outlook.office365.com", "smtp.office365.com"},
		{"usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us", "https://entra.microsoft.us",
			"https://management.usgovcloudapi.net", "vault.usgovcloudapi.net", "https://outlook.office365.us", "smtp.office365.us"},
		{"china", "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", "https://entra.microsoftonline.cn",
			"https://management.chinacloudapi.cn", "vault.azure.cn", "https://partner.outlook.cn", "smtp.partner.outlook.cn"},
	}
}

// DefaultAuthority is the authority of the public cloud.
const DefaultAuthority = "https://login.microsoftonline.com"

// CloudOf returns the cloud an authority belongs to; ok is false for a private
// or emulated one.
func CloudOf(authority string) (cloud Cloud, ok bool) {
	for _, c := range Clouds() {
		if c.Authority == authority {
			return c, true
		}
	}
	switch authority {
	case "https://login.windows.net", "https://login.microsoft.com", "https://sts.windows.net":
		return Clouds()[0], true
	case "https://login.chinacloudapi.cn":
		return Clouds()[2], true
	}
	return Cloud{}, false
}

const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

// Origin returns scheme://host[:port] of an address that must be https, in
// lower case and without a path. The error names what is wrong with it.
func Origin(address string) (string, error) {
	address = strings.TrimSpace(address)
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is not an address", address)
	case u.Scheme == "" && !strings.Contains(address, "/"):
		return Origin("https://" + address) // AZURE_AUTHORITY_HOST is often a bare host
	case u.Scheme == "http":
		return "", fmt.Errorf("%s is http: a secret is sent over https only", address)
	case u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("%q is not an https address", address)
	case u.User != nil:
		return "", fmt.Errorf("the address of %s holds a user name", u.Host)
	case strings.Trim(u.Host, hostCharacters) != "":
		// Also of other scripts, whose letters can look like these.
		return "", fmt.Errorf("the host in %q holds characters that no login host has", address)
	}
	return "https://" + strings.ToLower(u.Host), nil
}
