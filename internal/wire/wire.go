// Package wire is the strict HTTP client that adapters share: TLS 1.2 at
// least, no redirects, bounded answers, and errors that say what stood in the
// way without showing any part of a request or an answer.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// MaxBody is the most that is read of an answer, in bytes. Entra's and Graph's
// largest stay under it (a page of 999 applications is about 2 MiB).
const MaxBody = 8 << 20

// Timeout bounds one request, answer included.
const Timeout = 30 * time.Second

// TLS returns the settings of all connections. caFile names further trusted
// certificates in PEM; empty for those of the system.
func TLS(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	// crypto/x509 reads SSL_CERT_FILE by itself, but not on macOS and Windows.
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates named by SSL_CERT_FILE: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s, named by SSL_CERT_FILE, holds no certificate in PEM", caFile)
	}
	config.RootCAs = pool
	return config, nil
}

// NewClient returns a client over its own connections, see [TLS] for caFile.
func NewClient(caFile string) (*http.Client, error) {
	config, err := TLS(caFile)
	if err != nil {
		return nil, err
	}
	return Wrap(&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: Timeout,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}), nil
}

// Wrap returns a strict client over a given transport.
func Wrap(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: t,
		Timeout:   Timeout,
		// A redirect would carry the secret, or the token, to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Response is an answer, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Date is the server's clock, zero when it did not tell.
func (r Response) Date() time.Time {
	t, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// IsJSON reports whether the answer says and looks that it is JSON.
func (r Response) IsJSON() bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body := bytes.TrimLeft(bytes.TrimPrefix(r.Body, []byte("\ufeff")), " \t\r\n")
	return (kind == "" || strings.HasSuffix(kind, "json")) && len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// Do sends one request and reads the answer whole. Its errors are
// *entra.Unreachable, or the context's.
func Do(client *http.Client, req *http.Request) (Response, error) {
	address := Address(req.URL)
	resp, err := client.Do(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return Response{}, cause
		}
		return Response{}, Unreachable(address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	switch {
	case context.Cause(req.Context()) != nil:
		return Response{}, context.Cause(req.Context())
	case err != nil:
		return Response{}, &entra.Unreachable{Address: address, Obstacle: entra.Interrupted, Because: "the answer broke off", Hint: "try again; if it lasts, look for a proxy in between", Err: err}
	case len(body) > MaxBody:
		return Response{}, &entra.Unreachable{Address: address, Obstacle: entra.NotEntra, Because: fmt.Sprintf("the answer is larger than %d MiB", MaxBody>>20), Hint: hintNotEntra}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return Response{}, redirected(address, resp)
	}
	return Response{resp.StatusCode, resp.Header, body}, nil
}

const hintNotEntra = "check the authority's name; a proxy or a sign-in page of the network may answer in its place"

// NotEntra says that an answer came which the service does not give.
func NotEntra(address, because string) *entra.Unreachable {
	return &entra.Unreachable{Address: address, Obstacle: entra.NotEntra, Because: because, Hint: hintNotEntra}
}

func redirected(address string, resp *http.Response) error {
	to := "elsewhere"
	if u, err := resp.Location(); err == nil {
		to = "to " + u.Scheme + "://" + u.Host
	}
	return &entra.Unreachable{
		Address: address, Obstacle: entra.Redirected,
		Because: fmt.Sprintf("it redirects %s (HTTP %d), which is not followed", to, resp.StatusCode),
		Hint:    "name the authority itself with --authority or AZURE_AUTHORITY_HOST; a network that redirects sign-ins is not to be trusted with a secret",
	}
}

// Address is a URL without what may be secret: query, fragment, user.
func Address(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// Unreachable tells the obstacles to a connection apart.
func Unreachable(address string, err error) *entra.Unreachable {
	u := &entra.Unreachable{Address: address, Err: err}
	set := func(o entra.Obstacle, because, hint string) *entra.Unreachable {
		u.Obstacle, u.Because, u.Hint = o, because, hint
		return u
	}
	host := address
	if parsed, parseErr := url.Parse(address); parseErr == nil {
		host = parsed.Host
	}
	text := err.Error()
	switch {
	case isA[*net.DNSError](err):
		return set(entra.NoName, fmt.Sprintf("the name %s does not resolve", host), "check the spelling of the authority, and the name server")
	case strings.Contains(text, "proxyconnect"), strings.Contains(text, "Proxy Authentication Required"):
		return set(entra.BadProxy, "the proxy refuses the connection", "check HTTPS_PROXY and NO_PROXY")
	case isA[*tls.CertificateVerificationError](err), isA[x509.UnknownAuthorityError](err), isA[x509.HostnameError](err), isA[x509.CertificateInvalidError](err):
		return set(entra.BadTLS, certificateTrouble(host, err), "if a proxy of yours opens TLS, or this is a lab, name its CA certificate in SSL_CERT_FILE; checking cannot be turned off")
	case strings.Contains(text, "tls:"), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return set(entra.BadTLS, fmt.Sprintf("%s does not speak TLS as it should", host), "check host and port of the authority")
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(text, "actively refused"): // Windows has words of its own
		return set(entra.Refused, fmt.Sprintf("%s refuses the connection", host), "check host and port of the authority, and the firewall")
	case isTimeout(err):
		return set(entra.TimedOut, fmt.Sprintf("%s does not answer in time", host), "check the firewall, and whether a proxy is needed (HTTPS_PROXY)")
	}
	return set(entra.OtherTrouble, fmt.Sprintf("%s cannot be reached (%s)", host, lastPart(text)), "check the network between here and there")
}

func certificateTrouble(host string, err error) string {
	switch {
	case isA[x509.HostnameError](err):
		return fmt.Sprintf("the certificate of %s is for another host", host)
	case isA[x509.UnknownAuthorityError](err):
		return fmt.Sprintf("the certificate of %s is not from a trusted authority", host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Sprintf("the certificate of %s is expired or not yet valid", host)
	}
	return fmt.Sprintf("the certificate of %s is not trusted", host)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// lastPart is the end of a chain of errors: the part that names the trouble.
func lastPart(text string) string {
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return strings.Join(strings.Fields(text), " ")
}

// RetryAfter reads how long to wait: seconds or a date, a day at most. What
// makes no sense counts as not said.
func RetryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if s, err := strconv.Atoi(text); err == nil && s > 0 {
		return time.Duration(min(s, 24*60*60)) * time.Second
	}
	at, err := http.ParseTime(text)
	now, nowErr := http.ParseTime(h.Get("Date"))
	if err == nil && nowErr == nil && at.After(now) {
		return min(at.Sub(now), 24*time.Hour)
	}
	return 0
}
