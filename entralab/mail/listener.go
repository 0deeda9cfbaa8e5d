package mail

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// listener bounds its connections and can wait for their end, which neither
// library offers.
type listener struct {
	net.Listener
	mu      sync.Mutex
	open    map[*conn]bool
	running sync.WaitGroup
	drip    func(b []byte, perSecond int, write func([]byte) (int, error)) (int, error)
}

// conn leaves the listener's list when the library closes it, which is the
// last thing it does with a connection.
type conn struct {
	net.Conn
	listener *listener
	once     sync.Once
	pace     atomic.Int64 // bytes a second, 0 for all at once
}

// Accept drops connections beyond the bound. A new one has to speak within the
// timeout; the libraries set deadlines of their own from then on.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.add(inner); c != nil {
			c.SetDeadline(time.Now().Add(timeout))
			return c, nil
		}
		inner.Close()
	}
}

func (l *listener) add(inner net.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConns {
		return nil
	}
	c := &conn{Conn: inner, listener: l}
	l.open[c] = true
	l.running.Add(1)
	return c
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.open, c)
		c.listener.mu.Unlock()
		c.listener.running.Done()
	})
	return err
}

// end cuts all connections and waits until the library has noticed. Call it
// when nothing is accepted any more.
func (l *listener) end() {
	l.mu.Lock()
	for c := range l.open {
		c.Conn.Close() // not c.Close: the library has to
	}
	l.mu.Unlock()
	l.running.Wait()
}

// tlsListener speaks TLS from the first byte.
func tlsListener(l *listener, config *tls.Config) net.Listener { return tls.NewListener(l, config) }
