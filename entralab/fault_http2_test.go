package entralab_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// Types of HTTP/2 frames (RFC 9113, section 6), and flags.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway, frameContinuation = 0, 1, 3, 4, 7, 9
	flagEnd, flagEndHeaders                                                            = 1, 4
)

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// frames speaks HTTP/2 by hand: it sends a GET and returns what comes back, up to
// the frame that ends the stream.
func frames(t *testing.T, lab *entralab.Lab, address string) (got []frame) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: lab.CertPool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	block := []byte{0x82, 0x87} // :method GET, :scheme https
	for _, field := range [][2]string{{":authority", u.Host}, {":path", u.RequestURI()}} {
		block = append(block, 0, byte(len(field[0])))
		block = append(append(block, field[0]...), byte(len(field[1])))
		block = append(block, field[1]...)
	}
	send := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	send = append(send, 0, 0, 0, frameSettings, 0, 0, 0, 0, 0)
	send = append(send, 0, 0, byte(len(block)), frameHeaders, flagEnd|flagEndHeaders, 0, 0, 0, 1)
	if _, err := conn.Write(append(send, block...)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return got
		}
		f := frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))}
		if _, err := io.ReadFull(in, f.payload); err != nil {
			return got
		}
		got = append(got, f)
		if f.kind == frameReset || f.kind == frameData && f.flags&flagEnd != 0 {
			return got
		}
	}
}

// TestStreamFaults looks at the frames: RST_STREAM amid the body, GOAWAY while
// the answer is on its way, and headers that need CONTINUATION.
func TestStreamFaults(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	address := lab.AuthorityURL() + "/" + lab.TenantID() + "/discovery/v2.0/keys"
	calm := do(t, lab, newRequest(t, "GET", address, ""))
	for _, tc := range []struct {
		kind    string
		body    string
		has     []byte // frames
		last    byte
		without byte
	}{
		{"", calm.body, nil, frameData, frameGoAway},
		{"reset", "", nil, frameReset, frameHeaders},
		{"midway", calm.body[:len(calm.body)/2], []byte{frameHeaders}, frameReset, frameGoAway},
		{"goaway", calm.body, []byte{frameGoAway}, frameData, frameReset},
		{"huge", calm.body, []byte{frameContinuation}, frameData, frameReset},
		{"many", calm.body, []byte{frameContinuation}, frameData, frameReset},
	} {
		if tc.kind != "" {
			addFault(t, lab, entralab.FaultRule{Fault: "F36", Params: params{"kind": tc.kind}})
		}
		body, kinds, headers := "", []byte(nil), 0
		for _, f := range frames(t, lab, address) {
			kinds = append(kinds, f.kind)
			switch f.kind {
			case frameData:
				body += string(f.payload)
			case frameHeaders, frameContinuation:
				headers += len(f.payload)
			case frameReset:
				if code := binary.BigEndian.Uint32(f.payload); code != 2 { // INTERNAL_ERROR
					t.Errorf("%s: reset with code %d", tc.kind, code)
				}
			case frameGoAway:
				if code := binary.BigEndian.Uint32(f.payload[4:]); code != 0 {
					t.Errorf("%s: goes away with code %d", tc.kind, code)
				}
			}
		}
		lab.RemoveFaults()
		if body != tc.body || len(kinds) == 0 || kinds[len(kinds)-1] != tc.last || strings.IndexByte(string(kinds), tc.without) >= 0 {
			t.Errorf("%q: frames %v with the body %q, want %q", tc.kind, kinds, body, tc.body)
		}
		for _, kind := range tc.has {
			if strings.IndexByte(string(kinds), kind) < 0 {
				t.Errorf("%q: frames %v, want a %d", tc.kind, kinds, kind)
			}
		}
		if tc.kind == "huge" && headers < 1<<20*5/8 { // an x takes seven bits in Huffman's code
			t.Errorf("huge: %d bytes of headers", headers)
		}
	}
}

// TestHugeHeaders: Go's client takes headers of 1 MiB and 10,000 of them, over
// either version of HTTP, and the body after them.
func TestHugeHeaders(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	address := lab.AuthorityURL() + "/" + lab.TenantID() + "/discovery/v2.0/keys"
	calm := do(t, lab, newRequest(t, "GET", address, ""))
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}, ForceAttemptHTTP2: http2}
		client := &http.Client{Transport: transport}
		for kind, check := range map[string]func(http.Header) bool{
			"huge": func(h http.Header) bool { return h.Get("X-Lab-Huge") == strings.Repeat("x", 1<<20) },
			"many": func(h http.Header) bool { return len(h) >= 10_000 && h.Get("X-Lab-0")+h.Get("X-Lab-9999") == "xx" },
		} {
			addFault(t, lab, entralab.FaultRule{Fault: "F36", Params: params{"kind": kind}})
			got, err := tryWith(client, newRequest(t, "GET", address, ""))
			if err != nil || got.status != 200 || !check(got.header) || got.body != calm.body {
				t.Errorf("%s, HTTP/2 %v: %v, status %d, %d headers, %d bytes", kind, http2, err, got.status, len(got.header), len(got.body))
			}
			lab.RemoveFaults()
		}
		transport.CloseIdleConnections()
	}
}

// TestGoAway: a client goes on over another connection after GOAWAY.
func TestGoAway(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	addFault(t, lab, entralab.FaultRule{Fault: "F36", Params: params{"kind": "goaway"}})
	for i := range 5 {
		r := newRequest(t, "GET", lab.AuthorityURL()+"/"+lab.TenantID()+"/discovery/v2.0/keys", "")
		if got, err := tryWith(client, r); err != nil || got.status != 200 {
			t.Errorf("request %d: %v, status %d", i, err, got.status)
		}
	}
}
