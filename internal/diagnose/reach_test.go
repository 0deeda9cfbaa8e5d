package diagnose_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

const (
	tenantA = "aaaaaaaa-0000-4000-8000-000000000001"
	tenantB = "aaaaaaaa-0000-4000-8000-000000000002"
	appA    = "bbbbbbbb-0000-4000-8000-000000000001"
	appB    = "bbbbbbbb-0000-4000-8000-000000000002"
	keyA    = "cccccccc-0000-4000-8000-000000000001"
)

var (
	noon  = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	whole = "abc8Q~" + strings.Repeat("z", 34)
)

// seen builds observations; every part of it is set by an option.
type seen struct{ *diagnose.Observations }

func observed(options ...func(seen)) *diagnose.Observations {
	s := seen{&diagnose.Observations{Case: diagnose.Case{Fingerprint: "fp", Setting: entra.Setting{TenantID: tenantA, ClientID: appA, Value: secret.New(whole), Authority: "https://a", Origin: ".env"}}}}
	s.Discoveries = []diagnose.Discovery{{Tenant: tenantA, Answer: &entra.Answer{Status: 200, TenantID: tenantA, Date: noon, Asked: noon}}}
	for _, option := range options {
		option(s)
	}
	return s.Observations
}

func answer(code int) *entra.Answer {
	if code == 0 {
		return &entra.Answer{Status: 200, Token: &entra.Token{}, Date: noon}
	}
	return &entra.Answer{Status: 401, Failure: &aadsts.Failure{Code: code, Codes: []int{code}}, Date: noon}
}

// tried adds an attempt; code 0 is a token.
func tried(p diagnose.Purpose, code int, change ...func(*diagnose.Attempt)) func(seen) {
	return func(s seen) {
		c := s.Case.Setting
		a := diagnose.Attempt{Purpose: p, Request: entra.TokenRequest{TenantID: c.TenantID, ClientID: c.ClientID, Value: c.Value}, Answer: answer(code)}
		for _, f := range change {
			f(&a)
		}
		s.Attempts = append(s.Attempts, a)
	}
}

func as(code int) func(seen) { return tried(diagnose.AsIs, code) }
func value(v string) func(seen) {
	return func(s seen) { s.Case.Setting.Value = secret.New(v) }
}
func slip(v secret.Slip) func(*diagnose.Attempt) {
	return func(a *diagnose.Attempt) { a.Slips = []secret.Slip{v} }
}

// directory has the app with one secret made at start.
func directory(hint string, start, end time.Time) func(seen) {
	return func(s seen) {
		s.Directory = &diagnose.Directory{TenantID: tenantA, App: &entra.App{ClientID: appA, DisplayName: "billing", Credentials: []entra.Credential{{KeyID: keyA, Hint: hint, Start: start, End: end}}}}
	}
}

func tenant(id string, code int) func(seen) {
	return func(s seen) {
		s.Case.Setting.TenantID = id
		s.Discoveries[0] = diagnose.Discovery{Tenant: id, Answer: answer(code)}
	}
}

func captured(c diagnose.Cause) func(seen) {
	return func(s seen) {
		s.Case.Captured = &diagnose.Captured{Faults: []diagnose.Fault{{Cause: c, Says: "seen in the request"}}}
		as(7000215)(s)
		tried(diagnose.Reshaped, 0)(s)
	}
}

func obstacle(o entra.Obstacle) func(seen) {
	return func(s seen) {
		s.Discoveries[0] = diagnose.Discovery{Tenant: tenantA, Err: &entra.Unreachable{Address: "https://a", Obstacle: o, Because: "it failed", Err: errors.New("x")}}
	}
}

func said(code int, app string, at time.Time) func(seen) {
	return func(s seen) { s.Case.Seen = &aadsts.Failure{Code: code, AppID: app, Timestamp: at} }
}

func other(client, v string) func(seen) {
	return func(s seen) {
		k := s.Case.Setting
		k.ClientID, k.Value, k.Origin = client, secret.New(v), "prod.env"
		s.Case.Known = append(s.Case.Known, k)
	}
}

func with(client, v string) func(*diagnose.Attempt) {
	return func(a *diagnose.Attempt) {
		a.Request.ClientID, a.Request.Value, a.App = client, secret.New(v), entra.App{ClientID: client, DisplayName: "other"}
	}
}

func status(code int) func(seen) {
	return func(s seen) { s.Attempts[0].Answer.Status = code }
}

func record(s seen) {
	s.Record = &entra.Record{Fingerprint: "fp", ClientID: appA, KeyID: tenantB, Seen: noon}
}

var (
	year   = noon.AddDate(1, 0, 0)
	before = noon.AddDate(0, -1, 0)
	fits   = directory("abc", before, year)
	fitsNo = directory("xyz", before, year)
	copied = tried(diagnose.OtherCopy, 0, with(appA, "new8Q~"+strings.Repeat("y", 34)))
)

// reach holds one scenario for each cause; likely where nothing can prove it.
var reach = map[diagnose.Cause][]func(seen){
	"secret-id-used":         {value(keyA), as(7000215), fits},
	"secret-whitespace":      {value(whole + "\n"), as(7000215), tried(diagnose.Corrected, 0, slip(secret.Padded))},
	"secret-quoted":          {value(`"` + whole + `"`), as(7000215), tried(diagnose.Corrected, 0, slip(secret.InQuotes))},
	"secret-encoded":         {value("abc8Q%7E" + strings.Repeat("z", 34)), as(7000215), tried(diagnose.Corrected, 0, slip(secret.PercentEscaped))},
	"secret-deleted":         {as(7000215), fitsNo, record},
	"secret-superseded":      {as(7000215), fitsNo, record, other(appA, "new8Q~"+strings.Repeat("y", 34)), copied},
	"secret-of-other-app":    {as(7000215), tried(diagnose.OtherClientID, 0, with(appB, whole))},
	"client-id-of-other-app": {as(7000215), other(appB, whole), tried(diagnose.OtherClientID, 0, with(appB, whole))},
	"secret-propagating":     {as(7000215), tried(diagnose.Again, 0)},
	"secret-typo":            {as(7000215), fits},
	"secret-truncated":       {value(whole[:30]), as(7000215), fits},
	"secret-placeholder":     {value("${X}"), as(7000215)},
	"secret-expired":         {as(7000222), directory("abc", before, noon.AddDate(0, 0, -1))},
	"secret-not-yet-valid":   {as(7000215), directory("abc", noon.AddDate(0, 0, 1), year)},
	"secret-of-other-tenant": {as(7000215), tried(diagnose.ValueAbroad, 0)},
	"secret-empty":           {value("")},
	"secret-unknown":         {as(7000215), fitsNo},

	"client-id-unknown": {as(700016), func(s seen) { s.Directory = &diagnose.Directory{TenantID: tenantA} }},
	"client-id-is-object-id": {as(700016), func(s seen) {
		s.Directory = &diagnose.Directory{TenantID: tenantA, ByObjectID: &entra.App{ClientID: appB}}
	}},
	"client-id-malformed":       {func(s seen) { s.Case.Setting.ClientID = "billing" }, as(700016)},
	"app-deleted":               {as(700016), func(s seen) { s.Directory = &diagnose.Directory{TenantID: tenantA, Deleted: &entra.App{}} }},
	"app-disabled":              {as(7000112)},
	"service-principal-missing": {as(7000229)},
	"tenant-unknown":            {tenant(tenantB, 90002)},
	"tenant-malformed":          {tenant("contoso", 900023)},
	"tenant-placeholder":        {tenant("<your-tenant-id>", 900023)},
	"tenant-wrong":              {as(700016), tried(diagnose.OtherTenant, 0, func(a *diagnose.Attempt) { a.Request.TenantID = tenantB })},
	"authority-common":          {tenant("common", 900023), as(50059)},
	"cloud-wrong":               {as(900382)},

	"body-not-form":         {captured("body-not-form")},
	"secret-not-encoded":    {captured("secret-not-encoded")},
	"parameter-missing":     {as(900144)},
	"grant-type-wrong":      {as(70003)},
	"scope-malformed":       {as(70011)},
	"resource-unknown":      {as(500011)},
	"endpoint-wrong":        {as(900561)},
	"secret-missing":        {as(7000216)},
	"credential-kind-wrong": {as(700025)},

	"permission-missing":  {as(0), func(s seen) { s.Access = &entra.Access{Method: "GET", URL: "https://g", Status: 403} }},
	"consent-missing":     {as(65001)},
	"assignment-required": {as(501051)},
	"conditional-access":  {as(53003)},
	"secret-use-blocked": {as(7000222), directory("abc", before, noon.AddDate(0, 0, -1)), func(s seen) {
		s.Directory.Activity = &diagnose.Activity{Policy: &entra.SecretPolicy{ForbidsNew: true, OfTenant: true}}
	}},

	"throttled":           {as(7000215), status(429)},
	"service-unavailable": {as(90033), status(503)},
	"network-dns":         {obstacle(entra.NoName)},
	"network-tls":         {obstacle(entra.BadTLS)},
	"network-proxy":       {obstacle(entra.BadProxy)},
	"network-refused":     {obstacle(entra.Refused)},
	"clock-skew":          {as(700024), func(s seen) { s.Discoveries[0].Answer.Asked = noon.Add(time.Hour) }},
	"stale-consumer":      {as(0), fits, said(7000215, appA, noon.Add(-time.Hour))},
	"environment-drift":   {as(0), fits, said(7000215, appB, noon)},
}

// TestEveryCauseIsReached also holds that no scenario of a nearest neighbour
// is taken for the cause, since each names its own.
func TestEveryCauseIsReached(t *testing.T) {
	t.Parallel()
	for _, info := range diagnose.Causes() {
		proof := diagnose.ProofOf(info.Cause)
		if proof.Confirms == "" && proof.Suggests == "" || len(proof.Neighbours) == 0 {
			t.Errorf("%s lacks a proof: %+v", info.Cause, proof)
		}
		for _, n := range proof.Neighbours {
			if reach[n.Cause] == nil || n.Apart == "" || n.Cause == info.Cause {
				t.Errorf("%s has a neighbour without scenario: %+v", info.Cause, n)
			}
		}
		options, ok := reach[info.Cause]
		if !ok {
			t.Errorf("%s has no scenario", info.Cause)
			continue
		}
		r := diagnose.Decide(observed(options...))
		if r.Cause == nil || *r.Cause != info.Cause {
			named := "none"
			if r.Cause != nil {
				named = string(*r.Cause)
			}
			t.Errorf("%s: Decide names %s (%s): %s", info.Cause, named, r.Confidence, r.Summary)
			continue
		}
		if want := info.Cause != "secret-unknown"; want != (r.Confidence == diagnose.Confirmed) {
			t.Errorf("%s is %s: %s", info.Cause, r.Confidence, r.Summary)
		}
	}
	if n := len(diagnose.Causes()); n != len(reach) {
		t.Errorf("%d causes, %d scenarios", n, len(reach))
	}
}
