//go:build unix

package entralab_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// BenchmarkGrantTLS compares grants per CPU-second over TLS with bare
// signatures per CPU-second of this process, in three turns, of which the
// median counts. The client is another process, so that its work is not the
// lab's. The unit "ratio" is the figure to look at.
func BenchmarkGrantTLS(b *testing.B) {
	lab := startWith(b, entralab.Config{})
	app := lab.Healthy()
	body := credentialsForm(app.ClientID, value(app)).Encode()
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
	for b.Loop() {
		var ratios []float64
		for range 3 {
			signing := cpu(b, func() { sixteen(benchGrants, sign) })
			granting := cpu(b, func() {
				client := exec.Command(os.Args[0], "-test.run=^TestBenchClient$")
				client.Env = append(os.Environ(), "LAB_BENCH_URL="+tokenURL(lab, lab.TenantID()), "LAB_BENCH_BODY="+body, "LAB_BENCH_CA="+string(lab.CAPEM()))
				if out, err := client.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			})
			ratios = append(ratios, float64(signing)/float64(granting))
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[1], "ratio")
	}
}

// benchGrants is how many grants and signatures are compared.
const benchGrants = 1600

// TestBenchClient is the client of BenchmarkGrantTLS, and nothing otherwise.
func TestBenchClient(t *testing.T) {
	url := os.Getenv("LAB_BENCH_URL")
	if url == "" {
		t.Skip("not started by BenchmarkGrantTLS")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(os.Getenv("LAB_BENCH_CA")))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	sixteen(benchGrants, func() {
		resp, err := client.Post(url, "application/x-www-form-urlencoded", strings.NewReader(os.Getenv("LAB_BENCH_BODY")))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// sixteen runs f n times on 16 goroutines.
func sixteen(n int, f func()) {
	const workers = 16
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for range n / workers {
				f()
			}
		})
	}
	wait.Wait()
}

// cpu returns the CPU time that this process spends in f.
func cpu(b *testing.B, f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}
