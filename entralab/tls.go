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
	"net"
	"net/http"
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

// newCertificates makes a CA and leaves for the loopback names, and for host
// when that is another loopback address.
func newCertificates(host string) (*certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "entralab CA", Organization: []string{"emulated tenant, not Microsoft"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(2, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	c := &certificates{
		ca: ca, caKey: caKey,
		caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		pool:  x509.NewCertPool(),
	}
	c.pool.AppendCertsFromPEM(c.caPEM)
	names := []string{"localhost", "lab.test", "*.lab.test"}
	if c.server, err = newLeaf(ca, caKey, 2, host, names); err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	for _, domain := range vaultDomains {
		names = append(names, "*."+domain)
	}
	if c.vault, err = newLeaf(ca, caKey, 3, host, names); err != nil {
		return nil, fmt.Errorf("leaf certificate of the vault: %w", err)
	}
	return c, nil
}

func newLeaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, serial int64, host string, names []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "entralab"},
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
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
// name to loopback.
func onlyNamesOf(leaf *x509.Certificate, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if leaf.VerifyHostname(host) != nil {
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
		unknown := *c.ca
		unknown.Subject = pkix.Name{CommonName: "an unknown CA"}
		if caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return tls.Certificate{}, err
		}
		ca = &unknown
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca, key.Public(), caKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
