package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/request"
	"github.com/credsmith/credsmith/internal/secret"
)

// expired: the secret is past its end date, so a new one is needed.
func (s *stage) expired(ctx context.Context) (Result, error) {
	now := s.lab.Now()
	a, err := s.consumer(entralab.AppSpec{DisplayName: "billing-api", Secrets: []entralab.SecretSpec{
		{DisplayName: "winter", Start: now.AddDate(0, 0, -92), End: now.AddDate(0, 0, -2), At: now.AddDate(0, 0, -92)},
	}}, ownID, ownValue)
	if err != nil {
		return Result{}, err
	}
	return s.reMint(ctx, a, "secret-lifetime")
}

// secretID: the Secret ID was pasted; the value cannot be had again.
func (s *stage) secretID(ctx context.Context) (Result, error) {
	a, err := s.consumer(entralab.AppSpec{DisplayName: "invoice-mailer", Secrets: []entralab.SecretSpec{s.old("prod-2026")}}, ownID, keyID)
	if err != nil {
		return Result{}, err
	}
	return s.reMint(ctx, a, "secret-value")
}

func (s *stage) old(name string) entralab.SecretSpec {
	return entralab.SecretSpec{DisplayName: name, At: s.lab.Now().AddDate(0, 0, -30)}
}

func (s *stage) reMint(ctx context.Context, a app, family string) (Result, error) {
	before, err := s.diagnose(ctx, a, nil)
	if err != nil {
		return Result{}, err
	}
	s.audience.Report(before)
	repair, err := s.mint(ctx, a)
	if err != nil {
		return Result{}, err
	}
	return s.finish(ctx, a, family, before, repair)
}

// objectID: the object id stands where the client id belongs. Nothing is
// minted: the secret is right.
func (s *stage) objectID(ctx context.Context) (Result, error) {
	a, err := s.consumer(entralab.AppSpec{DisplayName: "crm-sync", Secrets: []entralab.SecretSpec{s.old("sync")}}, objectID, ownValue)
	if err != nil {
		return Result{}, err
	}
	before, err := s.diagnose(ctx, a, nil)
	if err != nil {
		return Result{}, err
	}
	s.audience.Report(before)
	if err := s.write(a, "AZURE_CLIENT_ID", secret.New(a.ClientID)); err != nil {
		return Result{}, err
	}
	return s.finish(ctx, a, "identity", before, fmt.Sprintf("put the client id %s in place of the object id in crm-sync.env; no secret was touched", a.ClientID))
}

// jsonBody: the request is JSON where a form is wanted.
func (s *stage) jsonBody(ctx context.Context) (Result, error) {
	a, err := s.consumer(entralab.AppSpec{DisplayName: "report-job", Secrets: []entralab.SecretSpec{s.old("reports")}}, ownID, ownValue)
	if err != nil {
		return Result{}, err
	}
	captured, err := s.capture(a)
	if err != nil {
		return Result{}, err
	}
	before, err := s.diagnose(ctx, a, captured)
	if err != nil {
		return Result{}, err
	}
	s.audience.Report(before)
	return s.finish(ctx, a, "request", before, "sent the same parameters as a form; no secret was touched")
}

// capture is the request that the app sends, as a proxy would have written it
// down, with the faults that the linter finds.
func (s *stage) capture(a app) (*diagnose.Captured, error) {
	read, _, err := s.read(a)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{
		"grant_type": "client_credentials", "client_id": a.ClientID,
		"client_secret": a.Secrets[0].Value.Reveal(), "scope": "https://graph.microsoft.com/.default",
	})
	if err != nil {
		return nil, fmt.Errorf("write the request of %s: %w", a.DisplayName, err)
	}
	host, err := url.Parse(read.Authority)
	if err != nil {
		return nil, fmt.Errorf("read the authority of %s: %w", a.DisplayName, err)
	}
	path := "/" + read.TenantID + "/oauth2/v2.0/token"
	raw := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n\r\n%s", path, host.Host, body)
	parsed, err := request.Parse([]byte(raw))
	if err != nil {
		return nil, err
	}
	captured := &diagnose.Captured{Request: entra.RawRequest{
		Method: "POST", Path: path, Header: []entra.Header{{Name: "Content-Type", Value: "application/json"}}, Body: secret.New(string(body)),
	}}
	for _, f := range request.Lint(parsed[0]).Faults {
		captured.Faults = append(captured.Faults, diagnose.Fault{Cause: diagnose.Cause(f.Cause), Says: f.Says})
	}
	return captured, nil
}

// young: the secret is right and the servers do not know it yet. Another
// secret would only start the wait again.
func (s *stage) young(ctx context.Context) (Result, error) {
	s.lab.SetDelay(entralab.Delay{Accept: spreading})
	defer s.lab.SetDelay(entralab.Delay{})
	a, err := s.consumer(entralab.AppSpec{DisplayName: "web-frontend", Secrets: []entralab.SecretSpec{{DisplayName: "today"}}}, ownID, ownValue)
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	before, err := s.diagnose(ctx, a, nil)
	if err != nil {
		return Result{}, err
	}
	s.audience.Report(before)
	return s.finish(ctx, a, "propagation", before, fmt.Sprintf("waited %s until the sign-in servers knew the secret; nothing was changed", time.Since(began).Round(100*time.Millisecond)))
}
