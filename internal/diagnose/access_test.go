package diagnose_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/try"
	"github.com/credsmith/credsmith/internal/wire"
)

// street is a lab on sockets, beside which other servers can stand.
type street struct {
	*testing.T
	lab    *entralab.Lab
	app    entralab.App
	access string                       // the last token that went out
	sent   int                          // requests that carried it
	stubs  map[string]http.RoundTripper // by host
}

func onStreet(t *testing.T, permissions ...string) *street {
	t.Helper()
	s := &street{T: t, lab: entralab.New(t), stubs: map[string]http.RoundTripper{}}
	app, err := s.lab.AddApp(entralab.AppSpec{DisplayName: "billing", Permissions: permissions, Secrets: []entralab.SecretSpec{{}}})
	if err != nil {
		t.Fatal(err)
	}
	s.app = app
	return s
}

// RoundTrip counts requests with a token.
func (s *street) RoundTrip(r *http.Request) (*http.Response, error) {
	if access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		s.access = access
		s.sent++
	}
	if beside, ok := s.stubs[r.URL.Host]; ok {
		return beside.RoundTrip(r)
	}
	return s.lab.Transport().RoundTrip(r)
}

// try diagnoses the app's setting and uses the token on an address. An empty
// scope means that of the service.
func (s *street) try(service entra.Service, address, scope string) diagnose.Report {
	s.Helper()
	target, err := try.Parse(service, address, try.Place{Authority: s.lab.AuthorityURL(), Graph: s.lab.GraphURL()})
	if err != nil {
		s.Fatal(err)
	}
	if scope == "" {
		scope = target.Scope()
	}
	client := wire.Wrap(s)
	c := diagnose.Case{
		Setting: entra.Setting{TenantID: s.app.TenantID, ClientID: s.app.ClientID, Value: secret.New(s.app.Secrets[0].Value.Reveal()), Authority: s.lab.AuthorityURL(), Origin: "test"},
		Scope:   scope, Try: service,
	}
	s.sent = 0
	r, err := diagnose.Run(s.Context(), c, diagnose.Means{
		SignIn: token.New(s.lab.AuthorityURL(), client), Resource: try.Resource{Target: target, HTTP: client, TLS: &tls.Config{RootCAs: s.lab.CertPool()}},
	})
	if err != nil {
		s.Fatal(err)
	}
	if s.sent > 1 {
		s.Errorf("%s: the token went out %d times", address, s.sent)
	}
	printed, err := json.Marshal(r)
	if err != nil {
		s.Fatal(err)
	}
	for _, hidden := range []string{s.access, s.app.Secrets[0].Value.Reveal()} {
		if hidden == "" { // no token went out
			continue
		}
		if where := canary.Find(printed, hidden); len(where) > 0 {
			s.Errorf("%s: the report shows a secret: %v", address, where)
		}
	}
	return r
}

// expect compares verdict, cause and confidence, and that the summary and the
// steps say certain words.
func (s *street) expect(r diagnose.Report, want string, words ...string) {
	s.Helper()
	cause := "-"
	if r.Cause != nil {
		cause = string(*r.Cause)
	}
	if got := strings.Join([]string{string(r.Verdict), cause, string(r.Confidence)}, " "); got != want {
		s.Errorf("verdict %q, want %q\nsummary: %s\nevidence: %+v", got, want, r.Summary, r.Evidence)
	}
	text := fmt.Sprint(r.Summary, r.Evidence, r.Fix, r.CannotTell)
	for _, word := range words {
		if !strings.Contains(text, word) {
			s.Errorf("%q is nowhere in %s", word, text)
		}
	}
	if strings.Contains(text, "{client_id}") {
		s.Errorf("a hole was left: %v", r.Fix)
	}
}

func (s *street) do(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func TestTryGraph(t *testing.T) {
	t.Parallel()
	s := onStreet(t)
	s.expect(s.try("graph", "", ""), "broken permission-missing confirmed", "Application.Read.All", "no application permission at all", "403 Authorization_RequestDenied")
	s.expect(s.try("graph", s.lab.GraphURL()+"/v1.0/auditLogs/directoryAudits", ""), "broken permission-missing confirmed", "AuditLog.Read.All", "az ad app permission add --id "+s.app.ClientID)
	s.expect(s.try("graph", s.lab.GraphURL()+"/v1.0/unheard-of", ""), "inconclusive - possible", "not about permission")

	// A token for another resource stays at home.
	s.expect(s.try("graph", "", "https://vault.azure.net/.default"), "broken scope-malformed confirmed", "https://vault.azure.net/.default gives a token for https://vault.azure.net")
	if s.sent != 0 {
		t.Error("the token of a vault went to Graph")
	}

	s = onStreet(t, "User.Read.All")
	s.expect(s.try("graph", s.lab.GraphURL()+"/v1.0/applications", ""), "broken permission-missing confirmed", "carries only: User.Read.All")
	s.expect(s.try("graph", s.lab.GraphURL()+"/v1.0/users", ""), "working - confirmed", "lets it in")
	if s.sent != 1 {
		t.Errorf("the token went out %d times, want once", s.sent)
	}
}

// TestTryGraphAnswers: what the lab's Graph does not say of itself.
func TestTryGraphAnswers(t *testing.T) {
	t.Parallel()
	s := onStreet(t, "Mail.Read")
	tests := []struct {
		path       string
		status     int
		body, want string
		words      []string
	}{
		{"/v1.0/users/ada@contoso.com/messages", 403, `{"error":{"code":"ErrorAccessDenied","message":"Access is denied. Check credentials and try again."}}`, "broken permission-missing likely", []string{"usually opens this part", "application access policy"}},
		{"/v1.0/users", 403, `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation."}}`, "broken permission-missing confirmed", []string{"lacks the Graph permission User.Read.All", "carries only: Mail.Read", "appRoles[?value=='User.Read.All']"}},
		{"/v1.0/unheard-of", 403, `{"error":{"code":"Authorization_RequestDenied"}}`, "broken permission-missing confirmed", nil},
		{"/v1.0/users", 401, `{"error":{"code":"InvalidAuthenticationToken","message":"Lifetime validation failed, the token is expired."}}`, "inconclusive - possible", []string{"does not accept the token", "the token is for https://graph.microsoft.com"}},
		{"/v1.0/users", 400, `not JSON`, "inconclusive - possible", []string{"HTTP 400"}},
		{"/v1.0/users", 200, `not JSON`, "working - confirmed", nil},
	}
	for _, test := range tests {
		stub := s.stub(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		})
		s.expect(s.try("graph", stub+test.path, ""), test.want, test.words...)
	}
}

// TestTryBusy: one use of the token is all, also when the resource is busy.
func TestTryBusy(t *testing.T) {
	t.Parallel()
	s := onStreet(t, "User.Read.All")
	for fault, want := range map[string]string{"F6": "inconclusive throttled possible", "F7": "inconclusive service-unavailable possible"} {
		s.lab.RemoveFaults()
		_, err := s.lab.AddFault(entralab.FaultRule{Match: entralab.FaultMatch{Surface: "graph"}, Fault: fault})
		s.do(err)
		s.expect(s.try("graph", s.lab.GraphURL()+"/v1.0/users", ""), want)
		if s.sent != 1 {
			t.Errorf("%s: the token went out %d times, want once", fault, s.sent)
		}
	}
}

func TestTryKeyVault(t *testing.T) {
	t.Parallel()
	s := onStreet(t)
	vault := func(spec entralab.VaultSpec) string {
		s.Helper()
		v, err := s.lab.AddVault(spec)
		s.do(err)
		_, err = s.lab.SetVaultSecret(spec.Name, "password", "hunter2")
		s.do(err)
		return v.URL
	}
	roles := vault(entralab.VaultSpec{Name: "kv-roles"})
	r := s.try("keyvault", roles+"/secrets/password", "")
	if last := r.Fix[len(r.Fix)-1]; len(r.Fix) != 2 || last.Run != "credsmith doctor --try keyvault "+roles+"/secrets/password" || strings.Contains(fmt.Sprint(r.Fix), "API permissions") {
		t.Errorf("steps %+v", r.Fix)
	}
	for _, address := range []string{roles, roles + "/", roles + "/secrets/password"} {
		s.expect(s.try("keyvault", address, ""), "broken permission-missing confirmed", "ForbiddenByRbac", "Key Vault Secrets User", "--name kv-roles", "Microsoft.KeyVault/vaults/secrets/")
	}
	policies := vault(entralab.VaultSpec{Name: "kv-policies", AccessPolicies: true})
	s.expect(s.try("keyvault", policies+"/secrets/password", ""), "broken permission-missing confirmed", "AccessDenied", "set-policy --name kv-policies --spn "+s.app.ClientID)
	walled := vault(entralab.VaultSpec{Name: "kv-walled", Firewall: entralab.FirewallDeny})
	s.expect(s.try("keyvault", walled+"/secrets/password", ""), "inconclusive - possible", "network rules", "ForbiddenByFirewall")
	private := vault(entralab.VaultSpec{Name: "kv-private", Firewall: entralab.FirewallPrivate})
	s.expect(s.try("keyvault", private+"/secrets/password", ""), "inconclusive - possible", "network rules", "ForbiddenByConnection")
	abroad := vault(entralab.VaultSpec{Name: "kv-abroad", TenantID: s.lab.OtherTenantID()})
	s.expect(s.try("keyvault", abroad+"/secrets/password", ""), "broken tenant-wrong confirmed", "trusts tenant "+s.lab.OtherTenantID())
	if s.sent != 0 {
		t.Error("the token went to a vault of another tenant")
	}

	s.do(s.lab.GrantVault("kv-roles", "", s.app.ServicePrincipalID, entralab.RoleSecretsOfficer))
	s.expect(s.try("keyvault", roles+"/secrets/password", ""), "working - confirmed", "the vault lets it in")
	s.expect(s.try("keyvault", roles, ""), "working - confirmed")
	s.expect(s.try("keyvault", roles+"/secrets/absent", ""), "inconclusive - possible", "no secret of that name")
	if s.sent != 1 {
		t.Errorf("the token went out %d times, want once", s.sent)
	}
}

// TestTryKeyVaultAnswers: what the lab's vaults do not answer, with bodies as
// seen in public reports.
func TestTryKeyVaultAnswers(t *testing.T) {
	t.Parallel()
	s := onStreet(t)
	tests := []struct {
		status      int
		body, want  string
		words       []string
		unchallenge bool
	}{
		{403, `{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innererror":{"code":"SecretDisabled"}}}`, "inconclusive - possible", []string{"newest version of the secret is disabled"}, false},
		{403, `{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innerError":{"code":"SecretDisabled"}}}`, "inconclusive - possible", []string{"newest version of the secret is disabled"}, false},
		{403, `{"error":{"code":"Forbidden","message":"The policy requires the caller 'appid=x' to use on-behalf-of (OBO) flow.","innererror":{"code":"ForbiddenByPolicy"}}}`, "broken permission-missing confirmed", []string{"only on behalf of a user"}, false},
		{403, `{"error":{"code":"Forbidden","message":"no"}}`, "broken permission-missing confirmed", nil, false},
		{401, `{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer."}}`, "inconclusive - possible", []string{"does not accept the token", "AKV10032"}, false},
		{429, `{"error":{"code":"Throttled","message":"slow"}}`, "inconclusive throttled possible", nil, false},
		{503, `busy`, "inconclusive service-unavailable possible", nil, false},
		{403, `{"error":{"code":"Forbidden","message":"Client address is not authorized.","innererror":{"code":"ForbiddenByFirewall"}}}`, "inconclusive - possible", []string{"network rules"}, true},
	}
	for _, test := range tests {
		stub := s.stub(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" && !test.unchallenge {
				w.Header().Set("WWW-Authenticate", `Bearer authorization="`+s.lab.AuthorityURL()+"/"+s.app.TenantID+`", resource="https://vault.azure.net"`)
				w.WriteHeader(401)
				return
			}
			if r.URL.Query().Get("api-version") == "" {
				t.Error("no api-version was sent")
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		})
		s.expect(s.try("keyvault", stub+"/secrets/password", ""), test.want, test.words...)
	}
}

// stub is another server on this machine, which the lab's client trusts.
func (s *street) stub(answer http.HandlerFunc) string {
	s.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.TLS = s.lab.ServerTLS()
	server.StartTLS()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.lab.CertPool()}}
	s.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	s.stubs[strings.TrimPrefix(server.URL, "https://")] = transport
	return server.URL
}

// TestTryARM: Resource Manager's answers as public reports show them.
func TestTryARM(t *testing.T) {
	t.Parallel()
	s := onStreet(t)
	const other = "aaaaaaaa-0000-4000-8000-000000000002"
	tests := []struct {
		path       string
		status     int
		body, want string
		words      []string
	}{
		{"/subscriptions?api-version=2022-12-01", 200, `{"value":[],"count":{"type":"Total","value":0}}`, "broken permission-missing confirmed", []string{"no role on any subscription", "az role assignment create"}},
		{"/subscriptions?api-version=2022-12-01", 200, `{"value":[{"id":"/subscriptions/x"}]}`, "working - confirmed", []string{"Resource Manager lets it in"}},
		{"/subscriptions/x/resourceGroups?api-version=2021-04-01", 200, `{"value":[]}`, "working - confirmed", nil},
		{"/subscriptions/x/resourceGroups?api-version=2021-04-01", 403, `{"error":{"code":"AuthorizationFailed","message":"The client 'c' with object id 'o' does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/read' over scope '/subscriptions/x' or the scope is invalid. If access was recently granted, please refresh your credentials."}}`,
			"broken permission-missing confirmed", []string{"no role that allows Microsoft.Resources/subscriptions/resourceGroups/read", "does not exist"}},
		{"/subscriptions/x?api-version=2022-12-01", 401, `{"error":{"code":"InvalidAuthenticationTokenTenant","message":"The access token is from the wrong issuer 'https://sts.windows.net/` + s.app.TenantID + `/'. It must match the tenant 'https://sts.windows.net/` + other + `/' associated with this subscription. Please use the authority (URL) 'https://login.windows.net/` + other + `' to get the token."}}`,
			"broken tenant-wrong confirmed", []string{"trusts tenant " + other}},
		{"/subscriptions/x?api-version=2022-12-01", 404, `{"error":{"code":"SubscriptionNotFound","message":"The subscription 'x' could not be found."}}`, "inconclusive - possible", []string{"no such subscription"}},
		{"/subscriptions/x", 400, `{"error":{"code":"MissingApiVersionParameter","message":"The api-version query parameter (?api-version=) is required for all requests."}}`, "inconclusive - possible", []string{"MissingApiVersionParameter"}},
		{"/subscriptions/x", 401, `{"error":{"code":"InvalidAuthenticationToken","message":"no"}}`, "inconclusive - possible", []string{"does not accept the token"}},
	}
	for _, test := range tests {
		stub := s.stub(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		})
		s.expect(s.try("arm", stub+test.path, ""), test.want, test.words...)
		if s.sent != 1 {
			t.Errorf("%s: the token went out %d times, want once", test.path, s.sent)
		}
	}
}

// TestTryRedirect: a token follows no redirect, and what a host echoes of it
// is not shown.
func TestTryRedirect(t *testing.T) {
	t.Parallel()
	s := onStreet(t)
	elsewhere := s.stub(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	away := s.stub(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	s.expect(s.try("arm", away+"/subscriptions", ""), "inconclusive - possible", "redirects to "+elsewhere)
	echo := s.stub(func(w http.ResponseWriter, r *http.Request) {
		access := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"error":{"code":%q,"message":"perform action '%s' over scope '%s'"}}`, access, access, access)
	})
	s.expect(s.try("arm", echo+"/subscriptions", ""), "broken permission-missing confirmed", "[redacted]")
}

func TestTryMailbox(t *testing.T) {
	t.Parallel()
	s := onStreet(t, "SMTP.SendAsApp", "IMAP.AccessAsApp")
	server, err := mail.Start(t.Context(), s.lab, mail.Config{})
	s.do(err)
	t.Cleanup(func() { s.do(server.Close()) })
	smtp := "smtp://billing@contoso.lab.test@" + server.SMTPAddr()
	imap := "imaps://billing%40contoso.lab.test@" + server.IMAPAddr()

	// Unknown to Exchange: the same words as for everything else.
	s.expect(s.try("smtp", smtp, ""), "broken permission-missing likely", "reply 535 5.7.3", "the token carries SMTP.SendAsApp", "the token is for Exchange: https://outlook.office365.com",
		"New-ServicePrincipal -AppId "+s.app.ClientID+" -ObjectId "+s.app.ServicePrincipalID, "Add-MailboxPermission -Identity billing@contoso.lab.test")
	s.expect(s.try("imap", imap, ""), "broken permission-missing likely", "AUTHENTICATE failed", "the token carries IMAP.AccessAsApp")

	r := s.try("imap", imap, "")
	if last := r.Fix[len(r.Fix)-1]; last.Run != "credsmith doctor --try imap imaps://billing@contoso.lab.test@"+server.IMAPAddr() {
		t.Errorf("last step %+v", last)
	}

	// A mailbox that the app has no permission on shows with IMAP.
	server.GrantMailbox("11111111-2222-4333-8444-555555555555", "billing@contoso.lab.test")
	s.expect(s.try("smtp", smtp, ""), "broken permission-missing likely")
	s.expect(s.try("imap", imap, ""), "broken permission-missing confirmed", "Exchange takes the token", "authenticated but not connected")

	server.GrantMailbox(s.app.ClientID, "billing@contoso.lab.test")
	s.expect(s.try("smtp", smtp, ""), "working - confirmed", "the mailbox billing@contoso.lab.test lets it in")
	s.expect(s.try("imap", imap, ""), "working - confirmed")
	if len(server.Messages("billing@contoso.lab.test")) != 0 {
		t.Error("a message was sent")
	}
	server.SetSMTPAuth("billing@contoso.lab.test", false)
	s.expect(s.try("smtp", smtp, ""), "broken permission-missing confirmed", "SmtpClientAuthenticationDisabled $false")

	// A token that is for Graph never gets there.
	s.expect(s.try("smtp", smtp, "https://graph.microsoft.com/.default"), "broken scope-malformed confirmed")
	events := s.lab.History(0)
	uses := slices.DeleteFunc(events, func(e entralab.Event) bool { return e.Surface != "smtp" && e.Surface != "imap" })
	if len(uses) != 8 {
		t.Errorf("%d uses of mailboxes, want 8: %+v", len(uses), uses)
	}

	without := onStreetOf(s, "User.Read.All")
	without.expect(without.try("smtp", smtp, ""), "broken permission-missing confirmed", "lacks the Exchange permission SMTP.SendAsApp", "not of Microsoft Graph")
}

// onStreetOf adds an app to the same lab.
func onStreetOf(s *street, permissions ...string) *street {
	s.Helper()
	app, err := s.lab.AddApp(entralab.AppSpec{DisplayName: "other", Permissions: permissions, Secrets: []entralab.SecretSpec{{At: s.lab.Now().Add(-time.Hour)}}})
	s.do(err)
	return &street{T: s.T, lab: s.lab, app: app}
}
