package entralab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
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

// faultListener ends, holds or slows connections (F38).
type faultListener struct {
	lab     *Lab
	surface string

	mu     sync.Mutex
	inner  net.Listener // another one after the port was closed for a while
	closed bool
}

func (f *faultListener) Accept() (net.Conn, error) {
	for {
		f.mu.Lock()
		inner := f.inner
		f.mu.Unlock()
		conn, err := inner.Accept()
		if err != nil || f.lab.faults.active.Load() == nil {
			return conn, err
		}
		c := f.lab.faults.strike(f.surface, "F38", f.lab.clock.now())
		if c == nil {
			return conn, nil
		}
		f.lab.noteConnection(f.surface, "F38")
		hold := c.rule.params.duration("hold")
		switch c.kind() {
		case "reset":
			reset(conn)
		case "refused":
			reset(conn)
			if err := f.shut(inner, hold); err != nil {
				return nil, err
			}
		case "half-open":
			f.lab.halfOpen.Store(true)
			half := &halfOpenConn{Conn: conn, hold: hold}
			half.answers.Store(int64(c.rule.params.number("answers")))
			return half, nil
		case "slow":
			return slowConn{conn, f.lab.faults, c.rule.params.number("bytes_per_second")}, nil
		default:
			f.lab.running.Go(func() { // accepted, and never read
				f.lab.faults.sleep(context.Background(), hold)
				reset(conn)
			})
		}
	}
}

// shut closes the port for a while, so that connections are refused by the
// system itself: a listener cannot refuse one.
func (f *faultListener) shut(inner net.Listener, hold time.Duration) error {
	address := inner.Addr().String()
	inner.Close()
	for wait := hold; f.lab.faults.sleep(context.Background(), wait); wait = 10 * time.Millisecond {
		var config net.ListenConfig
		next, err := config.Listen(context.Background(), "tcp", address)
		if err != nil {
			continue // somebody took the port meanwhile
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.closed {
			next.Close()
			break
		}
		f.inner = next
		return nil
	}
	return net.ErrClosed // the lab closes
}

func (f *faultListener) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if err := f.inner.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // the port was shut by a fault
}

func (f *faultListener) Addr() net.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inner.Addr()
}

// halfOpenConn answers some requests and then says no more, as a peer that is
// gone without a farewell.
type halfOpenConn struct {
	net.Conn
	hold    time.Duration
	answers atomic.Int64 // still to give
	silent  atomic.Bool
}

func (c *halfOpenConn) Write(b []byte) (int, error) {
	if c.silent.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

type halfOpenKey struct{}

// markHalfOpen lets requests find the connection they came over.
func markHalfOpen(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		if half, ok := secured.NetConn().(*halfOpenConn); ok {
			return context.WithValue(ctx, halfOpenKey{}, half)
		}
	}
	return ctx
}

// unlessHalfOpen serves a request unless its connection has gone silent.
func (l *Lab) unlessHalfOpen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.halfOpen.Load() {
			if c, ok := r.Context().Value(halfOpenKey{}).(*halfOpenConn); ok && c.answers.Add(-1) < 0 {
				c.silent.Store(true)
				l.faults.sleep(r.Context(), c.hold)
				panic(http.ErrAbortHandler)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// slowConn sends so many bytes a second, the handshake included. The server's
// deadlines for writing do not count.
type slowConn struct {
	net.Conn
	faults    *faults
	perSecond int
}

func (c slowConn) SetWriteDeadline(time.Time) error { return nil }
func (c slowConn) SetDeadline(at time.Time) error   { return c.SetReadDeadline(at) }
func (c slowConn) Write(b []byte) (sent int, err error) {
	return c.faults.drip(context.Background(), b, c.perSecond, c.Conn.Write)
}

// drip sends so many bytes a second, in real time.
func (f *faults) drip(ctx context.Context, b []byte, perSecond int, write func([]byte) (int, error)) (sent int, err error) {
	for sent < len(b) && err == nil {
		n := min(max(perSecond/10, 1), len(b)-sent)
		if !f.sleep(ctx, time.Duration(n)*time.Second/time.Duration(perSecond)) {
			return sent, net.ErrClosed
		}
		n, err = write(b[sent : sent+n])
		sent += n
	}
	return sent, err
}

// reset ends a connection without the usual farewell.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
