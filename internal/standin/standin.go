// Package standin listens in place of the token endpoint of Microsoft Entra ID
// and lints what an application sends it. It issues no token and forwards
// nothing: the request, with the secret in it, stays in memory until it is
// linted.
package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/request"
)

// Limits on what one client may use up.
const (
	maxBody    = 1 << 20
	maxHeader  = 32 << 10
	maxAtOnce  = 64
	maxWait    = 10 * time.Second
	maxGoodbye = 2 * time.Second
)

// publicHost is where the request would have gone.
const publicHost = "login.microsoftonline.com"

// Server is a stand-in that listens.
type Server struct {
	listener net.Listener
	slots    chan struct{} // one for each request that is served
}

// Listen opens a loopback address such as 127.0.0.1:8400; port 0 is any free
// one. All other addresses are refused: the stand-in speaks plain HTTP, and
// what it is sent holds a secret.
func Listen(ctx context.Context, address string) (*Server, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: it is no address such as 127.0.0.1:8400", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %q: only loopback addresses (127.0.0.0/8, ::1, localhost) are allowed", address)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, reason(err))
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() { // localhost in a hosts file
		return nil, errors.Join(fmt.Errorf("listen on %q: it is not a loopback address", address), listener.Close())
	}
	return &Server{listener, make(chan struct{}, maxAtOnce)}, nil
}

// reason is an error of the network without the address it repeats.
func reason(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}

// URL is the authority to give to the application, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Serve lints requests until ctx ends or, if count is above 0, that many were
// linted. Each goes to seen, one at a time, before its client is answered; an
// error of seen ends Serve. It returns the cause of ctx's end, and nil after
// count requests. The listener is closed in any case.
func (s *Server) Serve(ctx context.Context, count int, seen func(request.Report) error) error {
	run := &run{server: s, count: count, seen: seen, done: make(chan error, 1)}
	server := &http.Server{
		Handler:           http.HandlerFunc(run.serve),
		ReadHeaderTimeout: maxWait,
		ReadTimeout:       maxWait,
		WriteTimeout:      2 * maxWait,
		IdleTimeout:       maxWait,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // it may repeat what was sent
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			run.finish(fmt.Errorf("serve: %w", err))
		}
	})
	var err error
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-run.done:
	}
	// The answer to the last request is still to be written.
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxGoodbye)
	defer cancel()
	if server.Shutdown(goodbye) != nil {
		_ = server.Close() // clients that hold on to a connection lose it
	}
	wg.Wait()
	return err
}

// run is one call of Serve.
type run struct {
	server *Server
	count  int
	seen   func(request.Report) error
	done   chan error

	mu     sync.Mutex
	linted int
	ended  bool
}

// finish ends the run; only the first call counts.
func (r *run) finish(err error) {
	select {
	case r.done <- err:
	default:
	}
}

func (r *run) serve(w http.ResponseWriter, req *http.Request) {
	select {
	case r.server.slots <- struct{}{}:
		defer func() { <-r.server.slots }()
	default:
		refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests at once")
		return
	}
	path := strings.Split(strings.Trim(req.URL.EscapedPath(), "/"), "/")
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch last := path[len(path)-1]; {
	case !r.isOwnHost(req.Host):
		refuse(w, http.StatusMisdirectedRequest, "invalid_request", "this server answers for its own loopback address only")
	case reads && last == "openid-configuration":
		answer(w, http.StatusOK, r.configuration(path[0]))
	case reads && last == "instance" && slices.Contains(path, "discovery"):
		answer(w, http.StatusOK, r.instance(path[0], req.Host))
	case reads && last == "keys" && slices.Contains(path, "discovery"):
		answer(w, http.StatusOK, map[string]any{"keys": []any{}})
	case req.Method == http.MethodPost, last == "token":
		r.lint(w, req)
	default:
		refuse(w, http.StatusNotFound, "invalid_request", "this is neither a token endpoint nor the discovery of one")
	}
}

// isOwnHost keeps out pages of a browser that were sent here by name.
func (r *run) isOwnHost(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	own, ok := r.server.listener.Addr().(*net.TCPAddr)
	ip := net.ParseIP(name)
	return ok && port == strconv.Itoa(own.Port) && (strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback())
}

// configuration is the discovery document of a tenant, as far as clients that
// ask for an app's token read it.
func (r *run) configuration(tenant string) map[string]any {
	base := r.server.URL() + "/" + tenant
	return map[string]any{
		"issuer":                                base + "/v2.0",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint":         base + "/oauth2/v2.0/devicecode",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}
}

// instance is the answer to MSAL's question for the aliases of an authority.
func (r *run) instance(tenant, host string) map[string]any {
	return map[string]any{
		"tenant_discovery_endpoint": r.server.URL() + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata":                  []map[string]any{{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
	}
}

// lint looks at one request, hands the report on and answers with it.
func (r *run) lint(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		status, why := http.StatusBadRequest, "the body could not be read to its end"
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status, why = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes, and a token request has a few thousand", maxBody)
		}
		refuse(w, status, "invalid_request", why)
		return
	}
	captured := request.Captured{Kind: "http", Method: req.Method, URL: "https://" + publicHost + req.URL.RequestURI(), Body: body}
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		for _, value := range req.Header[name] {
			captured.Header = append(captured.Header, request.Header{Name: name, Value: value})
		}
	}
	report := request.Lint(captured)
	if !r.handOn(report) {
		refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the last request asked for was linted")
		return
	}
	answerReport(w, report)
}

// handOn gives a report to seen. It reports false if the run is over.
func (r *run) handOn(report request.Report) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.linted++
	err := r.seen(report)
	if r.ended = err != nil || r.linted == r.count; r.ended {
		r.finish(err)
	}
	return true
}

// answerReport is an OAuth error that says what was found. There is no token
// for a request without faults either.
func answerReport(w http.ResponseWriter, report request.Report) {
	code, says := "unauthorized_client", "the request is well formed, and this server issues no tokens"
	if n := len(report.Faults); n > 0 {
		code, says = "invalid_request", "1 fault found:"
		if n > 1 {
			says = fmt.Sprintf("%d faults found:", n)
		}
		for _, f := range report.Faults {
			says += fmt.Sprintf(" [%s, %s] %s", f.Cause, f.At, f.Says)
		}
	}
	answer(w, http.StatusBadRequest, oauthError{
		Error: code, Description: from + says, Codes: []int{}, Timestamp: time.Now().UTC().Format("2006-01-02 15:04:05Z"),
		Faults: report.Faults, Corrected: report.Corrected,
	})
}

// from starts every error, so that nobody takes it for one of Entra.
const from = "credsmith request --listen, not Entra ID: "

// oauthError is the body of an error, as Entra writes it, with what was found.
type oauthError struct {
	Error       string          `json:"error"`
	Description string          `json:"error_description"`
	Codes       []int           `json:"error_codes"`
	Timestamp   string          `json:"timestamp,omitempty"`
	Faults      []request.Fault `json:"faults,omitempty"`
	Corrected   string          `json:"corrected,omitempty"`
}

// refuse answers what was not linted.
func refuse(w http.ResponseWriter, status int, code, says string) {
	answer(w, status, oauthError{Error: code, Description: from + says, Codes: []int{}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // a client that is gone gets nothing
}
