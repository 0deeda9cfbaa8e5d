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

// certificates are the lab's own CA and the one leaf that all origins share.
type certificates struct {
	caPEM  []byte
	pool   *x509.CertPool
	leaf   *x509.Certificate
	server tls.Certificate

	ca       *x509.Certificate
	caKey    *ecdsa.PrivateKey
	template *x509.Certificate // of the leaf
}

// newCertificates makes a CA and a leaf for the loopback names, and for host
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
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("leaf key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "entralab"},
		DNSNames:     []string{"localhost", "lab.test", "*.lab.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	c := &certificates{
		ca: ca, caKey: caKey, template: leaf,
		caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		pool:  x509.NewCertPool(),
	}
	if c.leaf, err = x509.ParseCertificate(leafDER); err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	c.pool.AppendCertsFromPEM(c.caPEM)
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

// issue makes another leaf, changed as a test wants it; foreign signs it with
// a CA that nobody knows.
func (c *certificates) issue(foreign bool, change func(*x509.Certificate)) (tls.Certificate, error) {
	template := *c.template
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
