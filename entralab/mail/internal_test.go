package mail

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestStoreBytes: the store counts bodies, copies in mailboxes and envelopes.
func TestStoreBytes(t *testing.T) {
	t.Parallel()
	s := &Server{mailboxes: map[string]*mailbox{}}
	s.GrantMailbox("app", "a@lab.test")
	s.GrantMailbox("app", "b@lab.test")
	body := bytes.Repeat([]byte("x"), maxMessageBytes-100)
	// Each recipient counts once, however often it is named.
	m := Message{From: "a@lab.test", To: []string{"A@lab.test", "a@lab.test", "b@lab.test"}, Data: body}
	taken := 0
	for s.deliver(m) {
		taken++
	}
	if want := maxBytes / (3*len(body) + 40); taken != want || s.bytes != want*(3*len(body)+40) {
		t.Errorf("%d messages and %d bytes, want %d messages", taken, s.bytes, want)
	}
	if !s.deliver(Message{To: []string{"a@lab.test"}, Data: []byte("small")}) {
		t.Error("what fits is refused")
	}
	if s.deliver(Message{To: []string{strings.Repeat("x", maxBytes)}}) {
		t.Error("envelopes do not count")
	}
}

// TestListenerBound: connections beyond the bound are dropped at once, and one
// that ends makes room.
func TestListenerBound(t *testing.T) {
	t.Parallel()
	l, err := listen(context.Background(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	var open []net.Conn
	for range maxConns {
		dial()
		open = append(open, <-accepted)
	}
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("one too many: %d bytes, %v", n, err)
	}
	open[0].Close()
	open[0].Close() // counts once
	dial()
	open[0] = <-accepted
	for _, c := range open {
		c.Close()
	}
	l.Close()
	<-accepted
	l.end()
}

func FuzzXOAUTH2(f *testing.F) {
	for _, seed := range []string{
		"user=a@lab.test\x01auth=Bearer t\x01\x01", "", "user=", "user=a\x01auth=Bearer \x01\x01", "user=a\x01auth=bearer t\x01\x01",
		"user=a\x01auth=Bearer t\x01", "user=a\x01auth=Bearer t\x01\x01\x01", "n,a=x,\x01auth=Bearer t\x01\x01", "user=\xff\x01auth=Bearer \x00\x01\x01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		user, token, ok := parseXOAUTH2(message)
		if ok != (user != "" && token != "") {
			t.Errorf("%q: %q, %q, %t", message, user, token, ok)
		}
		if ok && "user="+user+"\x01auth=Bearer "+token+"\x01\x01" != message {
			t.Errorf("%q came apart as %q and %q", message, user, token)
		}
		if strings.ContainsAny(user+token, "\x00\x01\r\n") {
			t.Errorf("%q: control characters in %q, %q", message, user, token)
		}
	})
}
