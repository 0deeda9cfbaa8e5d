package explain_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/explain"
)

// TestRenderings explains every published rendering that the parser is tested
// with, those that lost their code included.
func TestRenderings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "aadsts", "testdata", "renderings", "*.txtar"))
	if err != nil || len(files) < 31 {
		t.Fatalf("%d renderings, %v; want 31", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []struct{ Code int }
			if err := json.Unmarshal(archive.Files[1].Data, &want); err != nil {
				t.Fatal(err)
			}
			got := explain.Text(archive.Files[0].Data)
			if len(got) != max(len(want), 1) {
				t.Fatalf("%d failures explained, want %d", len(got), max(len(want), 1))
			}
			for i, e := range got {
				if e.Meaning == "" || e.Remedy == "" || e.Category == "" || !e.Known && e.OAuthError == nil {
					t.Errorf("not explained: %+v", e)
				}
				if len(want) > 0 && want[i].Code != 0 && (e.Code == nil || *e.Code != want[i].Code) {
					t.Errorf("code %v, want %d", e.Code, want[i].Code)
				}
				if strings.HasPrefix(e.Category, "secret_") && len(e.Likely) == 0 {
					t.Errorf("no likely cause for %s", e.Category)
				}
			}
		})
	}
}

// TestLostCode: texts of clients that drop the answer are told apart by what
// lies behind them; "-" is a text that says nothing at all.
func TestLostCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"401 [no body]":               "secret_invalid invalid_client",
		"401 Unauthorized: [no body]": "secret_invalid invalid_client",
		"1401 [no body]":              "-",
		"A01 NO AUTHENTICATE failed.": "other ",
		"535 5.7.3 Authentication unsuccessful [x.prod.exchangelabs.com]":                                                 "other ",
		"az: error: argument --password/-p: expected one argument":                                                        "request_shape ",
		`msg=login.OAuthLogin(NewTransportWithCode) error="oauth2: cannot fetch token: 401 Unauthorized"`:                 "secret_invalid invalid_client",
		`msg=login.OAuthLogin(NewTransportWithCode) error="invalid character '<'"`:                                        "other ",
		"oauth2: cannot fetch token: 400 Bad Request":                                                                     "-",
		"[auth][error] OAuthCallbackError: OAuth Provider returned an error":                                              "other ",
		"[next-auth][error][OAUTH_CALLBACK_ERROR]":                                                                        "other ",
		`type="IDENTITY_PROVIDER_LOGIN_ERROR", error="identity_provider_login_failure"`:                                   "other ",
		"##[error]Could not fetch access token for Azure. Verify if the Service Principal used is valid and not expired.": "secret_invalid invalid_client",
		"Could not fetch access token for Azure. Status code: invalid_client, status message: ":                           "secret_invalid invalid_client",
		"Could not fetch access token for Azure. Status code: undefined":                                                  "-",
		"ErrorCode=UserErrorLinkedServiceAuthenticationFailed":                                                            "secret_invalid invalid_client",
		"adal: Refresh request failed. Status Code = '401'":                                                               "secret_invalid invalid_client",
	} {
		got := "-"
		if all := explain.Text([]byte(text)); len(all) > 0 {
			got = all[0].Category + " "
			if all[0].OAuthError != nil {
				got += *all[0].OAuthError
			}
			if all[0].Code != nil || all[0].Meaning == "" || all[0].Remedy == "" || (all[0].OAuthError != nil) != (len(all[0].Likely) > 0) {
				t.Errorf("%q: %+v", text, all[0])
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOnceHoweverOften(t *testing.T) {
	t.Parallel()
	line := "AADSTS7000215: Invalid client secret provided. Trace ID: 4d2d9295-f94e-430b-95a6-030b76c95900 Correlation ID: 1fb1be83-8f31-4946-976d-28fc8ae4e69f Timestamp: 2024-03-29 19:20:46Z\n"
	other := strings.ReplaceAll(line, "4d2d9295", "5d2d9295")
	if got := explain.Text([]byte(line + line + other + line)); len(got) != 2 {
		t.Errorf("%d failures, want 2", len(got))
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	for entry := range aadsts.All() {
		e := explain.Code(entry.Code)
		if e.Code == nil || !e.Known || e.Meaning == "" || e.Remedy == "" || e.Category == "" {
			t.Errorf("AADSTS%d: %+v", entry.Code, e)
		}
		for _, l := range e.Likely {
			if l.HowToTell == "" {
				t.Errorf("AADSTS%d: %s without how to tell", entry.Code, l.Cause)
			}
		}
	}
}

// TestShape keeps the contract: members are never renamed, and what is not
// known is null.
func TestShape(t *testing.T) {
	t.Parallel()
	out, err := json.Marshal(explain.Text([]byte("invalid_client"))[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{`"code":null`, `"app_id":null`, `"tenant_id":null`, `"trace_id":null`, `"correlation_id":null`, `"timestamp":null`, `"oauth_error":"invalid_client"`, `"category":"secret_invalid"`, `"meaning":"`, `"transient":false`, `"likely":[{"cause":"secret-id-used","how_to_tell":"`} {
		if !bytes.Contains(out, []byte(member)) {
			t.Errorf("no %s in %s", member, out)
		}
	}
	if got := explain.Text([]byte("all is well")); got == nil || len(got) != 0 {
		t.Errorf("Text of nothing = %#v, want an empty list", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("AADSTS7000215: x"))
	f.Add([]byte("adal: Refresh request failed. Status Code = '401'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, e := range explain.Text(text) {
			if e.Meaning == "" {
				t.Errorf("a failure without a meaning: %+v", e)
			}
		}
	})
}
