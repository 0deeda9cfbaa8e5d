package logscan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/logscan/export"
)

const (
	fieldApp    = "03146f14-24fa-4cde-8455-537c6ff06a55"
	fieldTenant = "4bbb0000-0000-4000-8000-000000000090"
	fieldText   = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + fieldApp + "'."
)

// readAny reads a log as the command does.
func readAny(t *testing.T, s *Scan, name, log string) {
	t.Helper()
	s.Source(name)
	var err error
	if format := export.Sniff([]byte(log[:min(len(log), export.Enough)])); format != export.None {
		err = s.Records(t.Context(), name, strings.NewReader(log), format)
	} else {
		err = s.Reader(t.Context(), name, strings.NewReader(log))
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestFields: each way that logs are written gives time, app and place.
func TestFields(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, log string
		want            Place
	}{
		{"Docker", "c-json.log", `{"log":"Unhandled ` + fieldText + `\n","stream":"stderr","time":"2026-01-02T03:04:05.5Z"}`, Place{}},
		{"CRI", "/var/log/pods/prod_billing-7f9c6d5b8d-x1abc_0f1e2d3c-0000-4000-8000-0000000000c2/app/0.log", "2026-01-02T03:04:05.5Z stderr F " + fieldText,
			Place{Environment: "prod", Workload: "prod", Pod: "billing-7f9c6d5b8d-x1abc", Container: "app"}},
		{"containers", "/var/log/containers/billing-7f9c6d5b8d-x1abc_payments_app-0123456789abcdef.log", "2026-01-02T03:04:05.5Z stderr F " + fieldText,
			Place{Workload: "payments", Pod: "billing-7f9c6d5b8d-x1abc", Container: "app"}},
		{"journald export", "j", "__REALTIME_TIMESTAMP=1767323045500000\n_HOSTNAME=web0\nMESSAGE=x\n\n__CURSOR=s=a\n__REALTIME_TIMESTAMP=1767323045500000\n_HOSTNAME=web1\n_SYSTEMD_UNIT=billing.service\nMESSAGE=" + fieldText + "\n\n",
			Place{Host: "web1", Workload: "billing.service"}},
		{"journald JSON", "j", `{"__REALTIME_TIMESTAMP":"1767323045500000","_HOSTNAME":"web1","_SYSTEMD_UNIT":"billing.service","MESSAGE":"` + fieldText + `"}`, Place{Host: "web1", Workload: "billing.service"}},
		{"syslog", "s", "Jan  2 03:04:05 web1 billing[77]: " + fieldText, Place{Host: "web1", Workload: "billing"}},
		{"syslog 5424", "s", "<165>1 2026-01-02T03:04:05.5Z web1 billing 77 ID47 - " + fieldText, Place{Host: "web1", Workload: "billing"}},
		{"logfmt", "l", "time=2026-01-02T03:04:05.5Z level=error host=web1 env=prod pod=billing-a msg=\"" + fieldText + `"`, Place{Environment: "prod", Host: "web1", Pod: "billing-a"}},
		{"Fluent Bit", "f", `{"ts":1767323045.5,"kubernetes":{"pod_name":"billing-a","namespace_name":"prod","container_name":"app","host":"node3"},"log":"` + fieldText + `"}`,
			Place{Environment: "prod", Host: "node3", Workload: "prod", Pod: "billing-a", Container: "app"}},
		{"kubectl --prefix", "k", "[pod/billing-a/app] 2026-01-02T03:04:05.5Z " + fieldText, Place{Pod: "billing-a", Container: "app"}},
		{"compose", "k", "billing-1  | 2026-01-02T03:04:05.5Z " + fieldText, Place{Pod: "billing-1"}},
		{"a path of an environment", "logs/staging/app.log", "2026-01-02T03:04:05.5Z " + fieldText, Place{Environment: "staging"}},
		{"the host of the request is no place", "a", `2026-01-02T03:04:05.5Z host=login.microsoftonline.com ` + fieldText, Place{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Now: testNow, Key: testKey})
			readAny(t, s, test.file, test.log+"\n")
			r := s.Result()
			if len(r.Incidents) != 1 || r.Failures != 1 || r.Incidents[0].AppID != fieldApp {
				t.Fatalf("%d failures, incidents %+v", r.Failures, r.Incidents)
			}
			in := r.Incidents[0]
			if at := in.First.Truncate(time.Second); !at.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
				t.Errorf("first %v", at)
			}
			got := in.Places[0]
			test.want.File, test.want.Failures, test.want.First, test.want.Last = test.file, 1, got.First, got.Last
			if len(in.Places) != 1 || got != test.want {
				t.Errorf("places %+v, want %+v", in.Places, test.want)
			}
		})
	}
}

// signIns are exports of one failure with an expired secret, one of an unknown
// app, and a sign-in that succeeded.
func signIns(t *testing.T) map[string]string {
	t.Helper()
	const app = "7c2e1d8f-0000-4000-8000-0000000000aa"
	codes := []string{"7000222", "700016", "0"}
	columns := []string{"TimeGenerated", "AppId", "ServicePrincipalName", "ResultType", "IPAddress", "CorrelationId", "ServicePrincipalCredentialKeyId", "Id", "AADTenantId", "Category"}
	var lines []string
	var rows [][]string
	var flat, graph []map[string]any
	for i, code := range codes {
		id := fmt.Sprintf("d5930000-0000-4000-8000-000000f8010%d", i)
		corr := fmt.Sprintf("59fe0000-0000-4000-8000-0000000000b%d", i)
		at, key := fmt.Sprintf("2026-01-02T03:0%d:05.3518405Z", i), ""
		if code == "0" {
			key = "11110000-0000-4000-8000-000000000001"
		}
		lines = append(lines, fmt.Sprintf(`{"time":"%s","resourceId":"/tenants/%s/providers/Microsoft.aadiam","operationName":"Sign-in activity","category":"ServicePrincipalSignInLogs","tenantId":"%s","resultType":"%s","callerIpAddress":"203.0.113.7","correlationId":"%s","Level":4,"properties":{"id":"%s","createdDateTime":"%s","appId":"%s","ipAddress":"203.0.113.7","status":{"errorCode":%s},"servicePrincipalName":"billing-worker","servicePrincipalCredentialKeyId":"%s"}}`,
			at, fieldTenant, fieldTenant, code, corr, id, at, app, code, key))
		row := []string{at, app, "billing-worker", code, "203.0.113.7", corr, key, id, fieldTenant, "ServicePrincipalSignInLogs"}
		rows = append(rows, row)
		one := map[string]any{"TableName": "PrimaryResult"}
		for i, column := range columns {
			one[column] = row[i]
		}
		flat = append(flat, one)
		graph = append(graph, map[string]any{"id": id, "createdDateTime": at, "appId": app, "ipAddress": "203.0.113.7", "correlationId": corr, "servicePrincipalName": "billing-worker",
			"servicePrincipalCredentialKeyId": key, "status": map[string]any{"errorCode": json.Number(code), "failureReason": "x"}, "tenantId": fieldTenant})
	}
	encode := func(v any) string {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var named []map[string]string
	csv := strings.Join(columns, ",") + "\n"
	for _, column := range columns {
		named = append(named, map[string]string{"name": column, "type": "string"})
	}
	for _, row := range rows {
		csv += strings.Join(row, ",") + "\n"
	}
	return map[string]string{
		"storage":              strings.Join(lines, "\r\n") + "\r\n",
		"storage, hour open":   strings.Join(lines, "\n") + "\n" + lines[0][:200],
		"Event Hub":            `{"records":[` + strings.Join(lines, ",") + "]}\n" + `{"records":[]}`,
		"Graph":                encode(map[string]any{"@odata.context": "https://graph.microsoft.com/beta/$metadata#auditLogs/signIns", "value": graph}),
		"portal JSON":          encode(graph),
		"Log Analytics":        encode(map[string]any{"tables": []any{map[string]any{"name": "PrimaryResult", "columns": named, "rows": rows}}}),
		"az monitor":           encode(flat),
		"Log Analytics CSV":    "\ufeff" + csv,
		"portal CSV":           strings.NewReplacer("TimeGenerated", "Date (UTC)", "AppId", "Application ID", "ResultType", "Sign-in error code", "IPAddress", "IP address", "CorrelationId", "Correlation ID", "ServicePrincipalName", "Service principal name", "ServicePrincipalCredentialKeyId", "Service principal credential key ID", ",Id,", ",Request ID,", "AADTenantId", "Tenant ID").Replace(strings.SplitN(csv, "\n", 2)[0]) + "\n" + strings.SplitN(csv, "\n", 2)[1],
		"text before, no head": "x\n" + strings.Join(lines[:1], "\n"),
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	const app = "7c2e1d8f-0000-4000-8000-0000000000aa"
	for name, log := range signIns(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Now: testNow, Key: testKey})
			readAny(t, s, "export", log)
			readAny(t, s, "again", log) // what is exported twice counts once
			r := s.Result()
			if name == "text before, no head" {
				if r.Failures != 1 || r.Apps[0].AppID != app {
					t.Errorf("%+v", r.Apps)
				}
				return
			}
			if r.Failures != 2 || len(r.Apps) != 1 || r.Apps[0].AppID != app || r.Apps[0].Codes["7000222"] != 1 || r.Apps[0].Codes["700016"] != 1 {
				t.Fatalf("%d failures, %+v", r.Failures, r.Apps)
			}
			if r.Bytes != 2*int64(len(log)) || r.Lines != 2*int64(strings.Count(log, "\n")) {
				t.Errorf("%d bytes, %d lines", r.Bytes, r.Lines)
			}
			for _, in := range r.Incidents {
				x := in.Examples[0]
				if in.Name != "billing-worker" || in.Places[0].Host != "203.0.113.7" || len(in.Tenants) != 1 || in.Tenants[0] != fieldTenant {
					t.Errorf("name %q, places %+v, tenants %v", in.Name, in.Places, in.Tenants)
				}
				if !strings.HasPrefix(x.TraceID, "d5930000") || !strings.HasPrefix(x.CorrelationID, "59fe0000") || x.At.Minute() > 1 || x.At.Second() != 5 {
					t.Errorf("example %+v", x)
				}
				if in.Succeeded == nil || len(in.Succeeded.KeyIDs) != 1 || !strings.HasPrefix(in.Succeeded.KeyIDs[0], "1111") {
					t.Errorf("succeeded %+v", in.Succeeded)
				}
			}
		})
	}
}

// TestExportOfText: exceptions in Application Insights tell their codes in text.
func TestExportOfText(t *testing.T) {
	t.Parallel()
	log := `{"tables":[{"name":"PrimaryResult","columns":[{"name":"timestamp"},{"name":"outerMessage"},{"name":"innermostMessage"},{"name":"cloud_RoleName"},{"name":"cloud_RoleInstance"},{"name":"operation_Id"}],"rows":[
["2026-01-02T03:04:05.1Z","` + fieldText + `","` + fieldText + `","billing","billing-1","a"],["2026-01-02T03:06:05.1Z","` + fieldText + `","","billing","billing-2","b"],["2026-01-02T03:07:05.1Z","all well","","billing","billing-3","c"]]}]}`
	s := New(Options{Now: testNow, Key: testKey})
	readAny(t, s, "appinsights.json", log)
	r := s.Result()
	if r.Failures != 2 || r.Occurrences != 3 || len(r.Incidents) != 1 {
		t.Fatalf("%d failures, %d occurrences, %+v", r.Failures, r.Occurrences, r.Incidents)
	}
	in := r.Incidents[0]
	if len(in.Places) != 2 || in.Places[0].Host != "billing-1" || in.Places[0].Workload != "billing" || in.Last.Sub(*in.First) != 2*time.Minute {
		t.Errorf("%+v", in)
	}
}

// TestBrokenExport: what came before counts, and so do codes behind the break.
func TestBrokenExport(t *testing.T) {
	t.Parallel()
	log := `[{"timestamp":"2026-01-02T03:04:05Z","message":"` + fieldText + `"}, broken` + "\n2026-01-03T03:04:05Z " + fieldText + " Trace ID: d5930000-0000-4000-8000-000000f80100\n"
	s := New(Options{Now: testNow, Key: testKey})
	err := s.Records(t.Context(), "log", strings.NewReader(log), export.Document)
	if err == nil || !strings.Contains(err.Error(), "after 1 records") {
		t.Errorf("error %v", err)
	}
	if r := s.Result(); r.Failures != 2 || r.Bytes != int64(len(log)) {
		t.Errorf("%d failures, %d bytes", r.Failures, r.Bytes)
	}
}

// TestSecretsInExports: by position, and nowhere as they are.
func TestSecretsInExports(t *testing.T) {
	t.Parallel()
	const value = "abc8Q~0123456789012345678901234567890123"
	log := `[{"timestamp":"2026-01-02T03:04:05Z","message":"` + fieldText + ` pod=` + value + ` sent ` + value + `","cloud_RoleInstance":"` + value + `"}]`
	s := New(Options{Now: testNow, Key: testKey})
	readAny(t, s, "log", log)
	r := s.Result()
	if len(r.Secrets) != 1 || r.Secrets[0].Times != 3 || log[r.Secrets[0].Offset:][:40] != value {
		t.Errorf("secrets %+v", r.Secrets)
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), "8Q~") {
		t.Errorf("%v, the result prints the secret: %s", err, text)
	}
}

// TestOneSignInInTwoExports counts once, whichever of them lacks the trace id.
func TestOneSignInInTwoExports(t *testing.T) {
	t.Parallel()
	logs := signIns(t)
	bare := strings.NewReplacer(`"Id":`, `"Other":`).Replace(logs["az monitor"])
	for _, order := range [][]string{{logs["storage"], bare}, {bare, logs["storage"]}} {
		s := New(Options{Now: testNow, Key: testKey})
		for i, log := range order {
			readAny(t, s, fmt.Sprint("export-", i), log)
		}
		if r := s.Result(); r.Failures != 2 {
			t.Errorf("%d failures", r.Failures)
		}
	}
}

// TestZones: lines in local time are told by the service's own times.
func TestZones(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 3 {
		fmt.Fprintf(&log, "2026-01-02 05:0%d:06 ERROR %s Trace ID: d5930000-0000-4000-8000-000000f8010%d Timestamp: 2026-01-02 03:0%d:05Z\n", i, fieldText, i, i)
	}
	log.WriteString("2026-01-02 05:05:06 ERROR OAuth Provider returned an error: invalid_client\n")
	for _, test := range []struct {
		zone *time.Location
		last string
		want string
	}{
		{time.UTC, "2026-01-02T05:05:06Z", "UTC|3 failures are in lines whose time is 2h0m0s off the service's own: if those lines are in local time, give its zone with --zone"},
		{time.FixedZone("", 7200), "2026-01-02T03:05:06Z", "+02:00"},
	} {
		s := New(Options{Now: testNow.In(test.zone), Key: testKey})
		readAny(t, s, "log", log.String())
		r := s.Result()
		if got := strings.Join(r.Notes, "|"); got != "times that name no zone were taken as "+test.want {
			t.Errorf("notes %q", got)
		}
		for _, in := range r.Incidents {
			if in.AppID == "" && in.Last.Format(time.RFC3339) != test.last {
				t.Errorf("in %v: last %v, want %s", test.zone, in.Last, test.last)
			}
		}
	}
}
