//go:build linux

package entralab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// BenchmarkListTLS reads a whole tenant through pages of 999 over TLS, in turn
// with a server that writes the same bytes from memory. "ratio" is the CPU
// time of the second by that of the first, the client's on both sides; the
// median of three turns counts and the bar is 0.5.
func BenchmarkListTLS(b *testing.B) {
	const n = 50_000
	lab := startWith(b, entralab.Config{})
	if err := lab.AddApps(n, manyApps(lab)); err != nil {
		b.Fatal(err)
	}
	for _, collection := range []string{"applications", "servicePrincipals"} {
		b.Run(collection, func(b *testing.B) {
			token := graphToken(b, lab, lab.Operator())
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: lab.CertPool()}}}
			defer client.CloseIdleConnections()
			var urls []string
			pages := map[string][]byte{}
			for url := lab.GraphURL() + "/v1.0/" + collection + "?$top=999"; url != ""; {
				r, _ := http.NewRequest("GET", url, nil)
				r.Header.Set("Authorization", "Bearer "+token)
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status, err)
				}
				path := strings.TrimPrefix(url, lab.GraphURL())
				urls, pages[path] = append(urls, path), body
				_, next, _ := strings.Cut(string(body[:min(len(body), 1000)]), `"@odata.nextLink":"`)
				url, _, _ = strings.Cut(next, `"`)
			}
			memory := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Write(pages[r.URL.RequestURI()])
			}))
			memory.StartTLS()
			defer memory.Close()
			floorTLS := &tls.Config{RootCAs: memory.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}

			size := 0
			for _, body := range pages {
				size += len(body)
			}
			for b.Loop() {
				var ratios []float64
				for range 3 {
					floor := cpu(b, func() { readAll(b, memory.URL, floorTLS, urls, token) })
					listing := cpu(b, func() { readAll(b, lab.GraphURL(), &tls.Config{RootCAs: lab.CertPool()}, urls, token) })
					ratios = append(ratios, float64(floor)/float64(listing))
					b.ReportMetric(float64(size)/1e6/listing.Seconds(), "MB/CPU-s")
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[1], "ratio")
				b.ReportMetric(float64(len(urls)), "pages")
			}
		})
	}
}

// readAll gets the paths one after the other on one connection and drops the
// bodies.
func readAll(b *testing.B, origin string, config *tls.Config, paths []string, token string) {
	host := strings.TrimPrefix(origin, "https://")
	config.ServerName, _, _ = net.SplitHostPort(host)
	conn, err := (&tls.Dialer{Config: config}).DialContext(context.Background(), "tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	reader, buffer := bufio.NewReaderSize(conn, 64<<10), make([]byte, 64<<10)
	for _, path := range paths {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, token)
		resp, err := http.ReadResponse(reader, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buffer); err != nil {
			b.Fatal(err)
		}
	}
}
