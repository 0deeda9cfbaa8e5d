package entralab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/credsmith/credsmith/entralab"
)

// TestConnectionFaults goes through the sockets: what breaks there breaks
// before there is a request.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := lab.Healthy()
	for _, tc := range []struct {
		fault  string
		params params
		want   string // part of the error, "" for an answer
	}{
		{"F37", params{"kind": "expired"}, "certificate has expired"},
		{"F37", params{"kind": "wrong-host"}, "certificate"},
		{"F37", params{"kind": "unknown-ca"}, "unknown authority"},
		{"F37", params{"kind": "tls11"}, "protocol version"},
		{"F37", params{"kind": "stall", "stall": "1h"}, "deadline exceeded"},
		{"F37", params{"kind": "swap"}, ""},
		{"F38", params{"kind": "reset"}, "reset"},
		{"F38", params{"kind": "blackhole", "hold": "1h"}, "deadline exceeded"},
		{"F8", nil, ""}, // its error is that of HTTP/2, see below
		{"F14", params{"at": 10, "kind": "promised"}, ""},
		{"F36", params{"kind": "huge"}, ""},
		{"F36", params{"kind": "reset"}, ""},
		{"F13", params{"bytes_per_second": 1 << 20}, ""},
	} {
		name := fmt.Sprint(tc.fault, " ", tc.params["kind"])
		addFault(t, lab, entralab.FaultRule{Match: entralab.FaultMatch{Surface: "token"}, Fault: tc.fault, Params: tc.params})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if strings.Contains(tc.want, "deadline") {
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		}
		before := len(lab.History(0))
		r := newRequest(t, "POST", tokenURL(lab, lab.TenantID()), credentialsForm(app.ClientID, value(app)).Encode(), "Content-Type", "application/x-www-form-urlencoded")
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}}}
		if tc.fault == "F8" || tc.fault == "F14" { // over HTTP/2 too
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		}
		got, err := tryWith(client, r.WithContext(ctx))
		client.CloseIdleConnections()
		cancel()
		fails := tc.want != "" || tc.fault == "F8" || tc.fault == "F14" || tc.params["kind"] == "reset"
		switch {
		case fails && err == nil:
			t.Errorf("%s: status %d, want an error", name, got.status)
		case fails && !strings.Contains(err.Error(), tc.want):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		case !fails && (err != nil || got.status != 200):
			t.Errorf("%s: %v, status %d", name, err, got.status)
		}
		if events := lab.History(before); len(events) == 0 || events[0].Fault != tc.fault {
			t.Errorf("%s: history %+v", name, events)
		}
		lab.RemoveFaults()
		if got := code(t, lab, app.ClientID, value(app)); got != 0 {
			t.Errorf("%s: without the rule: %d", name, got)
		}
	}
}

// TestWaitingEnds: neither a client that left nor a lab that closes waits for
// a fault to be over.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	lab, err := entralab.Start(t.Context(), entralab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F12", Params: params{"min": "1h", "max": "1h"}})
	failed := make(chan error, 1)
	go func() {
		resp, err := lab.Client().Get(lab.AuthorityURL() + "/common/v2.0/.well-known/openid-configuration")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	for len(lab.History(0)) == 0 { // until the request is there
		time.Sleep(time.Millisecond)
	}
	if err := lab.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}

// TestAzidentityUnderRude: retries as the SDK ships them cope with the profile.
func TestAzidentityUnderRude(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: 11})
	app := lab.Healthy()
	for range 20 {
		credential, err := azidentity.NewClientSecretCredential(lab.TenantID(), app.ClientID, value(app), &azidentity.ClientSecretCredentialOptions{
			DisableInstanceDiscovery: true,
			ClientOptions: policy.ClientOptions{
				Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()},
				Transport: lab.Client(),
				Retry:     policy.RetryOptions{RetryDelay: time.Millisecond},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}}); err != nil {
			t.Error(err)
		}
	}
}

// overSockets asks for a token by a client of its own, which the caller may
// use again.
func overSockets(t *testing.T, lab *entralab.Lab, client *http.Client, patience time.Duration) (reply, error) {
	t.Helper()
	app := lab.Healthy()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRequest(t, "POST", tokenURL(lab, lab.TenantID()), credentialsForm(app.ClientID, value(app)).Encode(), "Content-Type", "application/x-www-form-urlencoded")
	return tryWith(client, r.WithContext(ctx))
}

func socketClient(t *testing.T, lab *entralab.Lab, http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestHalfOpen: a connection that answered goes silent without an end, and a
// client that gives it up reaches the lab by another.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	for _, http2 := range []bool{false, true} {
		for _, answers := range []int{0, 2} {
			id := addFault(t, lab, entralab.FaultRule{
				Match: entralab.FaultMatch{Surface: "token"}, Fault: "F38", Times: 1,
				Params: params{"kind": "half-open", "hold": "1h", "answers": answers},
			})
			client := socketClient(t, lab, http2)
			for i := range answers {
				if got, err := overSockets(t, lab, client, 10*time.Second); err != nil || got.status != 200 {
					t.Errorf("HTTP/2 %v, answer %d: %v, status %d", http2, i, err, got.status)
				}
			}
			events := len(lab.History(0))
			if _, err := overSockets(t, lab, client, 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("HTTP/2 %v, after %d answers: %v, want a deadline that passes", http2, answers, err)
			}
			after := lab.History(events)
			if answers == 0 && (len(after) != 1 || after[0].Fault != "F38") || answers > 0 && len(after) != 0 {
				t.Errorf("HTTP/2 %v, after %d answers: history %+v", http2, answers, after)
			}
			client.CloseIdleConnections()
			if got, err := overSockets(t, lab, socketClient(t, lab, http2), 10*time.Second); err != nil || got.status != 200 {
				t.Errorf("HTTP/2 %v, another connection: %v, status %d", http2, err, got.status)
			}
			lab.RemoveFault(id)
		}
	}
}

// TestRefusedConnections: the port is closed for a while, and open after it.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	addFault(t, lab, entralab.FaultRule{Match: entralab.FaultMatch{Surface: "token"}, Fault: "F38", Times: 1, Params: params{"kind": "refused", "hold": "300ms"}})
	client := socketClient(t, lab, false)
	first, refused := true, 0
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := overSockets(t, lab, client, 5*time.Second)
		if err == nil && got.status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v, status %d", err, got.status)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused++
		} else if !first {
			t.Errorf("%v, want a refused connection", err)
		}
		first = false
	}
	if refused == 0 {
		t.Error("no connection was refused")
	}
}

// TestRefusedEndsWithTheLab: a lab that closes does not wait for its port.
func TestRefusedEndsWithTheLab(t *testing.T) {
	t.Parallel()
	lab, err := entralab.Start(t.Context(), entralab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F38", Params: params{"kind": "refused", "hold": "1h"}})
	if _, err := overSockets(t, lab, socketClient(t, lab, false), 5*time.Second); err == nil {
		t.Error("the first connection is answered")
	}
	if err := lab.Close(); err != nil {
		t.Error(err)
	}
}

// TestSlowConnection: handshake and answer crawl, and arrive whole.
func TestSlowConnection(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	fast := overTime(t, lab, socketClient(t, lab, true))
	addFault(t, lab, entralab.FaultRule{Match: entralab.FaultMatch{Surface: "token"}, Fault: "F38", Params: params{"kind": "slow", "bytes_per_second": 5000}})
	slow := overTime(t, lab, socketClient(t, lab, true))
	// A token, the certificate and the rest are some 3 KB.
	if slow < 400*time.Millisecond || slow < 2*fast {
		t.Errorf("%v, and %v at full speed", slow, fast)
	}
}

func overTime(t *testing.T, lab *entralab.Lab, client *http.Client) time.Duration {
	t.Helper()
	begin := time.Now()
	got, err := overSockets(t, lab, client, 20*time.Second)
	if err != nil || got.status != 200 || got.object(t)["access_token"] == nil {
		t.Errorf("%v, status %d", err, got.status)
	}
	return time.Since(begin)
}

// TestSwappedCertificate: F37's swap is another certificate of the same CA for
// the same names, for each connection its own.
func TestSwappedCertificate(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	leaf := func() *x509.Certificate {
		u, _ := url.Parse(lab.AuthorityURL())
		conn, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: lab.CertPool()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	before := leaf()
	if again := leaf(); !again.Equal(before) {
		t.Fatal("the certificate changes without a fault")
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F37", Params: params{"kind": "swap"}})
	one, two := leaf(), leaf()
	for _, swapped := range []*x509.Certificate{one, two} {
		if swapped.Equal(before) || swapped.SerialNumber.Cmp(before.SerialNumber) == 0 || bytes.Equal(swapped.RawSubjectPublicKeyInfo, before.RawSubjectPublicKeyInfo) {
			t.Error("the certificate or its key is the same")
		}
		if !slices.Equal(swapped.DNSNames, before.DNSNames) || !bytes.Equal(swapped.RawIssuer, before.RawIssuer) || !swapped.NotAfter.Equal(before.NotAfter) {
			t.Errorf("names %v, issuer %s, until %v", swapped.DNSNames, swapped.Issuer, swapped.NotAfter)
		}
	}
	if one.Equal(two) {
		t.Error("two connections see the same swapped certificate")
	}
	lab.RemoveFaults()
	if !leaf().Equal(before) {
		t.Error("the certificate stays swapped without the rule")
	}
}
