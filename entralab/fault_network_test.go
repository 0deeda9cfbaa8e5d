package entralab_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
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
