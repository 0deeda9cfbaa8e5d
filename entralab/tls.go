package entralab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// certificates are the lab's own CA, the leaf that the origins share, and Key
// Vault's, which names hosts that no other origin may answer for.
type certificates struct {
	caPEM         []byte
	pool          *x509.CertPool
	server, vault tls.Certificate

	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
}

// newCA makes a CA.
func newCA() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "entralab CA", Organization: []string{"emulated tenant, not Microsoft"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(2, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("CA certificate: %w", err)
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

// newCertificates takes the CA of the lab before, or makes one, and makes
// leaves for the loopback names and the given hosts.
func newCertificates(hosts []string, before *restored) (c *certificates, err error) {
	c = &certificates{pool: x509.NewCertPool()}
	if before != nil && before.ca != nil && time.Until(before.ca.NotAfter) > caRenewal {
		c.ca, c.caKey = before.ca, before.caKey
	} else if c.ca, c.caKey, err = newCA(); err != nil {
		return nil, err
	}
	c.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw})
	c.pool.AddCert(c.ca)
	names := []string{"localhost", "lab.test", "*.lab.test"}
	if c.server, err = newLeaf(c.ca, c.caKey, hosts, names); err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	for _, domain := range vaultDomains {
		names = append(names, "*."+domain)
	}
	if c.vault, err = newLeaf(c.ca, c.caKey, hosts, names); err != nil {
		return nil, fmt.Errorf("leaf certificate of the vault: %w", err)
	}
	return c, nil
}

func newLeaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, hosts, names []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "entralab"},
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		switch ip := net.ParseIP(host); {
		case ip == nil:
			template.DNSNames = append(slices.Clip(template.DNSNames), host)
		case !ip.IsUnspecified():
			template.IPAddresses = append(template.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// onlyNamesOf refuses requests for a host that the certificate does not name.
// It keeps the lab from answering as login.microsoftonline.com behind somebody's
// DNS, and a web page from reaching the control origin by rebinding its own
// name to loopback; that one answers for loopback names only.
func onlyNamesOf(leaf *x509.Certificate, next http.HandlerFunc, control bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if leaf.VerifyHostname(host) != nil || control && !isLoopback(host) {
			writeProblem(w, http.StatusMisdirectedRequest, "this is an emulated tenant on loopback; it does not answer for another host")
			return
		}
		next(w, r)
	})
}

// issue makes another leaf like one in use, changed as a test wants it; foreign signs it with
// a CA that nobody knows.
func (c *certificates) issue(leaf *x509.Certificate, foreign bool, change func(*x509.Certificate)) (tls.Certificate, error) {
	template := x509.Certificate{
		Subject: leaf.Subject, DNSNames: leaf.DNSNames, IPAddresses: leaf.IPAddresses,
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, KeyUsage: leaf.KeyUsage, ExtKeyUsage: leaf.ExtKeyUsage,
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	change(&template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	ca, caKey := c.ca, c.caKey
	if foreign {
		if caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return tls.Certificate{}, err
		}
		ca = &x509.Certificate{Subject: pkix.Name{CommonName: "an unknown CA"}}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca, key.Public(), caKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// serial tells the leaves of several runs under one CA apart.
func serial() *big.Int {
	return new(big.Int).SetUint64(mathrand.Uint64()>>1 + 2)
}

// isLoopback reports whether a host is this machine, or a name that only the
// lab's own transport knows.
func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), "lab.test")
}

// microsoftDomains are those whose names the lab must never carry: with its CA
// trusted and a name resolved to it, it would take real credentials. The list
// follows the endpoints in Microsoft's documentation of its clouds.
var microsoftDomains = []string{
	"microsoft.com", "microsoft.us", "microsoftonline.com", "microsoftonline.us", "microsoftonline.de", "microsoftonline-p.com", "windows.net",
	"windowsazure.us", "azure.com", "azure.net", "azure.us", "azure.cn", "chinacloudapi.cn", "usgovcloudapi.net", "cloudapi.de",
	"partner.microsoftonline.cn", "microsoftonline.cn", "windows-ppe.net", "live.com", "office.com", "office365.com", "msauth.net", "msftauth.net",
	"microsoftazure.de", "azurewebsites.net", "sharepoint.com", "outlook.com", "onmicrosoft.com",
}

// checkHostName refuses names that the certificate must not carry.
func checkHostName(name string) error {
	lower := strings.ToLower(strings.TrimSuffix(name, "."))
	if net.ParseIP(name) == nil && (lower == "" || len(lower) > 253 || !domainShaped("x."+lower) || strings.Trim(lower, ".-") != lower) {
		return fmt.Errorf("entralab: %q is not a host name: give a name such as lab, or an address", clip(name))
	}
	for _, domain := range microsoftDomains {
		if lower == domain || strings.HasSuffix(lower, "."+domain) {
			return fmt.Errorf("entralab: %q is a name of Microsoft's: the lab never answers for it", name)
		}
	}
	return nil
}
