package entralab

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Config is how a lab starts. The zero Config is a lab on free loopback ports.
type Config struct {
	// Listen is the host to listen on: an address of 127.0.0.0/8, ::1 or
	// localhost. Default 127.0.0.1. Anything else is an error, unless
	// BeyondLoopback is set: the lab hands out credentials to whoever asks.
	Listen string
	// BeyondLoopback lets Listen be another address, 0.0.0.0 and :: included.
	// The control origin stays on 127.0.0.1 even then.
	BeyondLoopback bool
	// HostNames are further names and addresses that the certificates carry
	// and that all origins but control answer for. The first of them is the
	// host in their URLs. Names of Microsoft's services are an error.
	HostNames []string
	// Seed is added to a new lab. A [Store] that holds a lab makes it idle.
	Seed Seed
	// PortBase is the authority's port; Graph, Key Vault and control have the
	// three after it, in this order. 0 takes any free ports.
	PortBase int
	// RandomSeed decides ids and which replica answers a token request. 0
	// draws one; [Lab.RandomSeed] tells it. Secret values do not depend on it.
	RandomSeed uint64
	// AutoSignIn is the user name that signs in, and consents, wherever the
	// sign-in page would ask; a login_hint that names another user of the
	// tenant goes before it. [AutoSignInHint] takes the hint only. Default:
	// the page asks.
	AutoSignIn string
	// RandomLifetimes draws the lifetime of each access token from 60 to 90
	// minutes by the seed, as the real service does. Otherwise every token
	// lasts 3599 seconds, so that tests of expiry need no margin.
	RandomLifetimes bool
	// Profile is how much goes wrong: [ProfileCalm], which is the default,
	// [ProfileRude] or [ProfileHostile].
	Profile string
	// Strict writes what the services leave open in shapes that are drawn at
	// each start, by the random seed: the size of pages that are asked for
	// without one (1 to 100, at most the usual), the order of lists without
	// $orderby, of members and of credentials, the digits of dates (0 to 7), a
	// property that nobody knows in every object, and next links that say
	// nothing. It breaks clients that count on more than is promised.
	Strict bool
	// InProcess opens no sockets: the origins are https://login.lab.test,
	// https://graph.lab.test, https://vault.lab.test and
	// http://control.lab.test, and only [Lab.Transport] reaches them. For
	// testing/synctest.
	InProcess bool
	// Throttling makes Graph refuse what goes beyond the documented limits,
	// counted by the lab's clock: 429 with Retry-After. Off, nothing is
	// counted. The profiles rude and hostile turn it on.
	Throttling bool
	// Store keeps the lab between runs. An empty one is filled with a new lab;
	// one that holds a lab decides the tenants and the random seed. Default:
	// nothing is kept. A write is saved before it is answered; the history of
	// sign-ins and reads is saved within some 100 ms. Codes, refresh tokens and
	// the key of foreign issuers are not kept.
	Store Store
}

// Lab is a running emulated tenant. All its methods may be called at the same
// time.
type Lab struct {
	random       *random
	clock        clock
	faults       *faults
	shapes       *shapes     // nil unless strict
	halfOpen     atomic.Bool // a connection is, or was (F38)
	history      history
	answers      answerBuffers
	key          *signingKey
	certificates *certificates
	digestKey    [32]byte
	sealerKey    [32]byte
	sealer       cipher.AEAD // of backups
	events       *vaultEvents

	authorityURL, graphURL, vaultURL, controlURL string

	transport inProcess
	network   *http.Transport // nil in process

	servers   []*http.Server
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	randomLifetimes bool
	buckets         buckets
	foreign         foreignIssuer
	delegations     delegations
	devices         deviceCodes
	sessions        sessions

	mu          sync.RWMutex // guards what follows, and all that hangs on it
	delay       Delay
	logLag      logLag
	unlicensed  bool // see errLicence
	tenants     []*tenant
	home, other *tenant
	revoked     map[string]bool // certificates, by SHA-256 in hex
	autoSignIn  string
	ruled       map[guid]int // codes of [Lab.Refuse], by application

	subscription guid // Azure's, that all vaults belong to
	operatorID   guid // the operator's service principal
	vaults       map[string]*vault
	vaultDelay   VaultDelay

	healthy, operator App // with their values, for Env

	saver    *saver            // nil without a store
	changed  map[storable]bool // since the last save
	restored bool              // from a store
	cleared  bool              // all tenants were replaced since the last save
}

// TB is the part of testing.TB that [New] needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// New starts a lab with the zero [Config] and closes it when the test ends.
func New(tb TB) *Lab {
	tb.Helper()
	l, err := Start(context.Background(), Config{})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// Start starts a lab, which serves until [Lab.Close]. The context bounds the
// start only.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	host, err := cfg.host()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("entralab: %w", err)
	}
	if err := checkProfile(cfg.Profile); err != nil {
		return nil, err
	}
	l := &Lab{key: newSigningKey(), randomLifetimes: cfg.RandomLifetimes, revoked: map[string]bool{}, changed: map[storable]bool{}, vaults: map[string]*vault{}}
	rand.Read(l.digestKey[:]) // never fails
	rand.Read(l.sealerKey[:])
	before := &restored{}
	if cfg.Store != nil {
		l.saver = newSaver(cfg.Store, &l.history)
		l.delegations.saver, l.devices.saver, l.sessions.saver = l.saver, l.saver, l.saver
		if before, err = restore(ctx, cfg.Store); err != nil {
			return nil, fmt.Errorf("entralab: %w", err)
		}
	}
	l.events = newVaultEvents()
	if l.certificates, err = newCertificates(slices.Concat([]string{host}, cfg.HostNames), before); err != nil {
		return nil, fmt.Errorf("entralab: %w", err)
	}
	listeners, err := l.listen(ctx, cfg, host)
	if err != nil {
		return nil, err
	}
	if err := l.fill(cfg, before); err != nil {
		for _, listener := range listeners {
			listener.Close()
		}
		l.events.stop()
		l.running.Wait()
		return nil, fmt.Errorf("entralab: %w", err)
	}
	if !cfg.InProcess {
		l.network = &http.Transport{
			DialContext:       l.dial,
			TLSClientConfig:   &tls.Config{RootCAs: l.certificates.pool},
			ForceAttemptHTTP2: true,
		}
	}

	own, vault := &l.certificates.server, &l.certificates.vault
	origins := []struct {
		surface, url string
		certificate  *tls.Certificate
		handler      http.HandlerFunc
	}{
		{surfaceToken, l.authorityURL, own, l.withFaults(surfaceToken, l.withShapes(l.serveAuthority))},
		{surfaceGraph, l.graphURL, own, l.withHiddenPages(l.withFaults(surfaceGraph, l.withShapes(l.withUserinfo(l.serveGraph))))},
		{surfaceVault, l.vaultURL, vault, l.withFaults(surfaceVault, l.withShapes(l.serveVault))},
		{surfaceControl, l.controlURL, own, l.serveControl},
	}
	for _, rule := range profile(cfg.Profile) {
		if _, err := l.faults.add(rule, !cfg.InProcess, false); err != nil {
			panic(err) // a rule of the lab's own
		}
	}
	l.transport.handlers = map[string]http.Handler{}
	for i, origin := range origins {
		handler := l.unlessStopped(onlyNamesOf(origin.certificate.Leaf, origin.handler, origin.surface == surfaceControl))
		l.transport.handlers[origin.url] = handler
		if !cfg.InProcess {
			l.serve(listeners[i], origin.surface, origin.certificate, handler)
		}
	}
	l.transport.vaults = l.transport.handlers[l.vaultURL]
	return l, nil
}

// fill makes the tenants, or takes those of the store, and saves what is new.
func (l *Lab) fill(cfg Config, before *restored) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before == nil || before.tenants == nil {
		l.random = newRandom(cfg.RandomSeed, 0)
		l.running.Go(l.key.generate)
		l.seed()
		if err := l.addSeed(cfg.Seed); err != nil {
			return err
		}
	} else {
		l.random = newRandom(before.lab.RandomSeed, before.lab.Runs+1)
		l.key.use(before.signing, before.keys.SigningCertificate)
		l.continueFrom(before)
		l.restored = true
	}
	l.sealer = newSealer(l.sealerKey)
	l.faults = newFaults(l.random.seed, l.random.run, l.saver)
	if l.saver != nil {
		l.saver.faults = l.faults
	}
	if l.restored {
		l.faults.takeFaults(before.faults)
	}
	if cfg.Strict {
		l.shapes = newShapes(l.random.seed, l.random.run)
	}
	if cfg.Throttling || throttles(cfg.Profile) {
		l.buckets.set(true)
	}
	if cfg.AutoSignIn != "" {
		l.autoSignIn = cfg.AutoSignIn
	}
	l.touch(l, (*seededValues)(l))
	if err := l.save(); err != nil {
		return err
	}
	if l.saver != nil {
		l.running.Go(l.saver.run)
	}
	return nil
}

func (cfg Config) host() (string, error) {
	host := cfg.Listen
	if host == "" {
		host = "127.0.0.1"
	}
	switch ip := net.ParseIP(host); {
	case host == "localhost" || ip != nil && (ip.IsLoopback() || cfg.BeyondLoopback):
	case ip == nil && cfg.BeyondLoopback:
		return "", fmt.Errorf("entralab: cannot listen on %q: give an address", cfg.Listen)
	default:
		return "", fmt.Errorf("entralab: cannot listen on %q: only loopback addresses (127.0.0.0/8, ::1, localhost) are allowed", cfg.Listen)
	}
	for _, name := range cfg.HostNames {
		if err := checkHostName(name); err != nil {
			return "", err
		}
	}
	if cfg.PortBase < 0 || cfg.PortBase > 65535-3 {
		return "", fmt.Errorf("entralab: port base %d: must be 0 or leave room for four ports up to 65535", cfg.PortBase)
	}
	return host, nil
}

// listen opens the sockets and sets the URLs: authority, Graph, Key Vault and
// control in this order.
func (l *Lab) listen(ctx context.Context, cfg Config, host string) ([]net.Listener, error) {
	if cfg.InProcess {
		l.authorityURL, l.graphURL = "https://login.lab.test", "https://graph.lab.test"
		l.vaultURL, l.controlURL = "https://vault.lab.test", "http://control.lab.test"
		return nil, nil
	}
	var listeners []net.Listener
	for i, origin := range []struct {
		url    *string
		scheme string
	}{{&l.authorityURL, "https://"}, {&l.graphURL, "https://"}, {&l.vaultURL, "https://"}, {&l.controlURL, "http://"}} {
		port := 0
		if cfg.PortBase != 0 {
			port = cfg.PortBase + i
		}
		address, named := host, host
		switch {
		case origin.url == &l.controlURL && !isLoopback(host):
			address, named = "127.0.0.1", "127.0.0.1"
		case origin.url != &l.controlURL && len(cfg.HostNames) > 0:
			named = cfg.HostNames[0]
		case net.ParseIP(host).IsUnspecified():
			named = "127.0.0.1"
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			for _, open := range listeners[:i] {
				open.Close()
			}
			return nil, fmt.Errorf("entralab: %w", err)
		}
		_, actual, _ := net.SplitHostPort(listener.Addr().String())
		*origin.url = origin.scheme + net.JoinHostPort(named, actual)
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func (l *Lab) serve(listener net.Listener, surface string, certificate *tls.Certificate, handler http.Handler) {
	server := &http.Server{
		Handler:           l.unlessHalfOpen(handler),
		ConnContext:       markHalfOpen,
		TLSConfig:         l.tlsConfig(surface, certificate),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // a client that distrusts the CA is its own test
	}
	l.servers = append(l.servers, server)
	l.running.Go(func() {
		if surface != surfaceControl {
			server.ServeTLS(&faultListener{lab: l, surface: surface, inner: listener}, "", "")
		} else {
			server.Serve(listener)
		}
	})
}

// Close stops serving and waits for the lab's goroutines. It may be called
// more than once.
func (l *Lab) Close() error {
	l.closeOnce.Do(func() {
		l.mu.Lock() // so that no webhook starts delivery while Close waits
		l.events.stop()
		l.mu.Unlock()
		close(l.faults.closed)
		if l.network != nil {
			l.network.CloseIdleConnections()
		}
		for _, server := range l.servers {
			l.closeErr = errors.Join(l.closeErr, server.Close())
		}
		if l.saver == nil {
			l.running.Wait()
			return
		}
		close(l.saver.quit)
		l.running.Wait()
		if l.saver.stopped() {
			l.closeErr = errors.Join(l.closeErr, l.saver.err)
		}
	})
	return l.closeErr
}

// Restored reports whether the [Store] held this lab already, so that
// [Config.Seed] was not used.
func (l *Lab) Restored() bool { return l.restored }

// AuthorityURL is the origin of the token service, without a slash at the end.
func (l *Lab) AuthorityURL() string { return l.authorityURL }

// GraphURL is the origin of Microsoft Graph, without version or slash.
func (l *Lab) GraphURL() string { return l.graphURL }

// VaultURL is the origin of Key Vault, without a slash at the end. The default
// vault, kv-lab, answers there; [Vault.URL] tells where the others do.
func (l *Lab) VaultURL() string { return l.vaultURL }

// ControlURL is the origin of the control API, plain HTTP.
func (l *Lab) ControlURL() string { return l.controlURL }

// TenantID is the home tenant, "Contoso (lab)" with the domain
// contoso.lab.test.
func (l *Lab) TenantID() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.home.id.String()
}

// OtherTenantID is a second tenant, "Fabrikam (lab)" with the domain
// fabrikam.lab.test and one app. It is empty after an import of one tenant.
func (l *Lab) OtherTenantID() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.other == nil {
		return ""
	}
	return l.other.id.String()
}

// RandomSeed is the seed in use, for [Config.RandomSeed].
func (l *Lab) RandomSeed() uint64 { return l.random.seed }

// CAPEM is the certificate of the lab's CA, for SSL_CERT_FILE,
// NODE_EXTRA_CA_CERTS and the like.
func (l *Lab) CAPEM() []byte { return append([]byte(nil), l.certificates.caPEM...) }

// CertPool holds the lab's CA and nothing else.
func (l *Lab) CertPool() *x509.CertPool { return l.certificates.pool.Clone() }

// Client returns a client that trusts the lab and follows no redirects. It
// goes through the sockets if there are any, and reaches NAME.vault.azure.net
// in the lab, never in the world.
func (l *Lab) Client() *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if l.network != nil {
		c.Transport = l.network
	} else {
		c.Transport = l.transport
	}
	return c
}

// Transport calls the lab's handlers in process, whatever the [Config], and
// refuses every host but the lab's own and those of its vaults.
func (l *Lab) Transport() http.RoundTripper { return l.transport }

// Now is the lab's time, in UTC. All dates the lab writes, checks or sends,
// the Date header included, follow it; certificates follow the system's.
func (l *Lab) Now() time.Time { return l.clock.now() }

// Advance moves the clock, back if d is negative. The clock stays within 1970
// and 2200.
func (l *Lab) Advance(d time.Duration) {
	l.changeSettings(func() { l.clock.advance(d) })
	l.events.wake()
}

// Set sets the clock, within the same bounds.
func (l *Lab) Set(t time.Time) {
	l.changeSettings(func() { l.clock.set(t) })
	l.events.wake()
}

// Freeze stops the clock, or lets it run on from where it stands.
func (l *Lab) Freeze(on bool) {
	l.changeSettings(func() { l.clock.freeze(on) })
	l.events.wake()
}

// SetDelay sets the delay for secrets that are written from now on. Earlier
// ones keep theirs.
func (l *Lab) SetDelay(d Delay) {
	l.changeSettings(func() { l.setDelay(d) })
}

func (l *Lab) setDelay(d Delay) {
	l.delay = Delay{Accept: max(d.Accept, 0), Remove: max(d.Remove, 0), Replicas: max(d.Replicas, 1)}
}

// Digest is what the history and the state show of a secret's value in a
// vault: HMAC-SHA-256 in hex, under a key that the lab draws at random. It lets
// a test compare values that it knows with what a vault held.
func (l *Lab) Digest(value string) string {
	mac := hmac.New(sha256.New, l.digestKey[:])
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil))
}

// History returns the events after a sequence number, oldest first; 0 asks for
// all. The lab remembers the last 100,000.
func (l *Lab) History(after int) []Event { return l.history.after(after) }

// Env returns the KEY=VALUE lines that let an unchanged client use the lab:
// the healthy app as the client's own identity and the operator app as
// credsmith's. No value needs quotes. SSL_CERT_FILE and NODE_EXTRA_CA_CERTS
// are missing, since only the caller knows where it wrote [Lab.CAPEM]. So are
// values that came with an import.
func (l *Lab) Env() []string {
	l.mu.RLock()
	app, operator := l.healthy, l.operator
	l.mu.RUnlock()
	lines := []string{
		"AZURE_AUTHORITY_HOST=" + l.authorityURL,
		"AZURE_TENANT_ID=" + app.TenantID,
		"AZURE_CLIENT_ID=" + app.ClientID,
	}
	if keyID, value := app.known(); keyID != "" {
		lines = append(lines, "AZURE_CLIENT_SECRET="+value, "CREDSMITH_LAB_SECRET_ID="+keyID)
	}
	lines = append(lines,
		"CREDSMITH_GRAPH_URL="+l.graphURL,
		"CREDSMITH_VAULT_URL="+l.vaultURL,
		"CREDSMITH_LAB_CONTROL="+l.controlURL,
		"CREDSMITH_OPERATOR_CLIENT_ID="+operator.ClientID)
	if keyID, value := operator.known(); keyID != "" {
		lines = append(lines, "CREDSMITH_OPERATOR_CLIENT_SECRET="+value, "CREDSMITH_OPERATOR_SECRET_ID="+keyID)
	}
	return append(lines,
		"CREDSMITH_OPERATOR_TENANT_ID="+operator.TenantID,
		"CREDSMITH_OPERATOR_AUTHORITY_HOST="+l.authorityURL)
}
