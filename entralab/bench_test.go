package entralab_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"net/http"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// BenchmarkSign is the floor: what a grant costs when it is nothing but the
// signature.
func BenchmarkSign(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	sign := func() {
		digest := sha256.Sum256([]byte("header.payload"))
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Error(err)
		}
	}
	b.Run("single", func(b *testing.B) {
		for b.Loop() {
			sign()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				sign()
			}
		})
	})
}

// BenchmarkGrant is a whole token request, without sockets.
func BenchmarkGrant(b *testing.B) {
	lab := start(b)
	app := lab.Healthy()
	body := []byte(credentialsForm(app.ClientID, value(app)).Encode())
	grant := func(transport http.RoundTripper) {
		r, err := http.NewRequest("POST", tokenURL(lab, lab.TenantID()), bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := transport.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	transport := lab.Transport()
	b.Run("single", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			grant(transport)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				grant(transport)
			}
		})
	})
}

// BenchmarkRefusal is a token request with a wrong secret: all of the lab's
// own work and no signature.
func BenchmarkRefusal(b *testing.B) {
	lab := start(b)
	app := lab.Healthy()
	body := []byte(credentialsForm(app.ClientID, "wrong").Encode())
	transport := lab.Transport()
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest("POST", tokenURL(lab, lab.TenantID()), bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := transport.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddApp fills a tenant.
func BenchmarkAddApp(b *testing.B) {
	lab := start(b)
	spec := entralab.AppSpec{Secrets: []entralab.SecretSpec{{}, {}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := lab.AddApp(spec); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVault sets and gets one secret, in process.
func BenchmarkVault(b *testing.B) {
	lab := start(b)
	token := vaultToken(b, lab, lab.Operator())
	for b.Loop() {
		for _, method := range []string{"PUT", "GET"} {
			r := newRequest(b, method, lab.VaultURL()+"/secrets/s?api-version=7.6", `{"value":"x"}`, "Authorization", "Bearer "+token, "Content-Type", "application/json")
			if got := do(b, lab, r); got.status != 200 {
				b.Fatal(got.body)
			}
		}
	}
}

// BenchmarkStart starts a lab, gets a first token over TLS, and closes it. The
// key is made meanwhile: the first token waits for it.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		lab, err := entralab.Start(b.Context(), entralab.Config{})
		if err != nil {
			b.Fatal(err)
		}
		resp, err := lab.Client().PostForm(tokenURL(lab, lab.TenantID()), credentialsForm(lab.Healthy().ClientID, value(lab.Healthy())))
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
		if err := lab.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
