//go:build unix

package entralab_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// BenchmarkGrantTLS compares grants per CPU-second over TLS with bare
// signatures per CPU-second, of the whole process, client included: the
// median of three turns. The unit "ratio" is the figure to look at.
func BenchmarkGrantTLS(b *testing.B) {
	lab := startWith(b, entralab.Config{})
	app := lab.Healthy()
	body := credentialsForm(app.ClientID, value(app)).Encode()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}, MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	sign := func() {
		digest := sha256.Sum256([]byte("header.payload"))
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Error(err)
		}
	}
	grant := func() {
		resp, err := client.Post(tokenURL(lab, lab.TenantID()), "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			b.Errorf("status %d", resp.StatusCode)
		}
	}
	const n = 1500
	for b.Loop() {
		var ratios []float64
		for range 3 {
			signing := cpu(b, n, sign)
			ratios = append(ratios, float64(signing)/float64(cpu(b, n, grant)))
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[1], "ratio")
	}
}

// cpu runs f n times on 16 goroutines and returns the CPU time of the process.
func cpu(b *testing.B, n int, f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	var wait sync.WaitGroup
	const workers = 16
	for range workers {
		wait.Go(func() {
			for range n / workers {
				f()
			}
		})
	}
	wait.Wait()
	return used() - before
}
