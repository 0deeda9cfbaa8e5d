package entralab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// tlsConfig is the server's, or the one that F37 puts in its place.
func (l *Lab) tlsConfig(surface string, certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{Certificates: []tls.Certificate{*certificate}}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if l.faults.active.Load() == nil {
			return nil, nil
		}
		c := l.faults.strike(surface, "F37", l.clock.now())
		if c == nil {
			return nil, nil
		}
		l.noteConnection(surface, "F37")
		return l.brokenTLS(hello.Context(), c, certificate)
	}
	return config
}

func (l *Lab) brokenTLS(ctx context.Context, c *faultCall, certificate *tls.Certificate) (*tls.Config, error) {
	kind := c.kind()
	switch kind {
	case "stall":
		l.faults.sleep(ctx, c.rule.params.duration("stall"))
		return nil, context.DeadlineExceeded
	case "tls11":
		return &tls.Config{
			Certificates: []tls.Certificate{*certificate},
			MinVersion:   tls.VersionTLS11, MaxVersion: tls.VersionTLS11,
		}, nil
	}
	leaf, err := l.certificates.issue(certificate.Leaf, kind == "unknown-ca", func(template *x509.Certificate) {
		switch kind {
		case "expired":
			template.NotBefore, template.NotAfter = time.Now().AddDate(0, 0, -30), time.Now().AddDate(0, 0, -1)
		case "wrong-host":
			template.DNSNames, template.IPAddresses = []string{"elsewhere.lab.test"}, nil
		}
	})
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{leaf}, NextProtos: []string{"h2", "http/1.1"}}, nil
}

// noteConnection writes a fault that struck before there was a request.
func (l *Lab) noteConnection(surface, fault string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.history.add(l.clock.now(), Event{Surface: surface, Outcome: outcomeFault, Fault: fault})
}

// faultListener ends or holds connections (F38).
type faultListener struct {
	net.Listener
	lab     *Lab
	surface string
}

func (f faultListener) Accept() (net.Conn, error) {
	for {
		conn, err := f.Listener.Accept()
		if err != nil || f.lab.faults.active.Load() == nil {
			return conn, err
		}
		c := f.lab.faults.strike(f.surface, "F38", f.lab.clock.now())
		if c == nil {
			return conn, nil
		}
		f.lab.noteConnection(f.surface, "F38")
		if c.kind() == "reset" {
			reset(conn)
			continue
		}
		f.lab.running.Go(func() { // accepted, and never read
			f.lab.faults.sleep(context.Background(), c.rule.params.duration("hold"))
			reset(conn)
		})
	}
}

// reset ends a connection without the usual farewell.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
