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
	"time"
)

// certificates are the lab's own CA and the one leaf that all origins share.
type certificates struct {
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	caPEM  []byte
	pool   *x509.CertPool
	leaf   *x509.Certificate
	server tls.Certificate
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

// newCertificates takes the CA of the lab before, or makes one, and makes a
// leaf for the loopback names, and for host when that is another loopback
// address.
func newCertificates(host string, before *restored) (c *certificates, err error) {
	c = &certificates{pool: x509.NewCertPool()}
	if before != nil && before.ca != nil && time.Until(before.ca.NotAfter) > caRenewal {
		c.ca, c.caKey = before.ca, before.caKey
	} else if c.ca, c.caKey, err = newCA(); err != nil {
		return nil, err
	}
	c.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw})
	c.pool.AddCert(c.ca)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("leaf key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "entralab"},
		DNSNames:     []string{"localhost", "lab.test", "*.lab.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    c.ca.NotBefore,
		NotAfter:     c.ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, c.ca, leafKey.Public(), c.caKey)
	if err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	if c.leaf, err = x509.ParseCertificate(leafDER); err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	c.server = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey, Leaf: c.leaf}
	return c, nil
}

// onlyOwnNames refuses requests for a host that the certificate does not name.
// It keeps the lab from answering as login.microsoftonline.com behind somebody's
// DNS, and a web page from reaching the control origin by rebinding its own
// name to loopback.
func (c *certificates) onlyOwnNames(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if c.leaf.VerifyHostname(host) != nil {
			writeProblem(w, http.StatusMisdirectedRequest, "this is an emulated tenant on loopback; it does not answer for another host")
			return
		}
		next(w, r)
	})
}

// serial tells the leaves of several runs under one CA apart.
func serial() *big.Int {
	return new(big.Int).SetUint64(mathrand.Uint64()>>1 + 2)
}
