package aadsts

import (
	"slices"
	"strings"
	"testing"
)

var categories = []Category{
	SecretInvalid, SecretExpired, SecretMissing, Certificate, FederatedCredential, AppNotFound, AppDisabled, Tenant,
	ScopeResource, ConsentPermission, ConditionalAccess, GrantType, RequestShape, UserSignIn, Throttling, Other,
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	n, last, used := 0, 0, map[Category]bool{}
	for e := range All() {
		n++
		if e.Code <= last {
			t.Errorf("%d comes after %d, want ascending codes", e.Code, last)
		}
		last = e.Code
		used[e.Category] = true
		if !slices.Contains(categories, e.Category) {
			t.Errorf("%d: unknown category %q", e.Code, e.Category)
		}
		if e.Cause == "" || e.Remedy == "" || len(e.Sources) == 0 {
			t.Errorf("%d: cause, remedy or sources missing", e.Code)
		}
		if s := e.HTTPStatus; s != 0 && (s < 400 || s > 599) {
			t.Errorf("%d: HTTP status %d", e.Code, s)
		}
		isMark := func(s string) bool { return strings.HasPrefix(s, "unverified: ") }
		if onlyMarks := !slices.ContainsFunc(e.Sources, func(s string) bool { return !isMark(s) }); e.Verified == onlyMarks {
			t.Errorf("%d: Verified = %v with sources %q", e.Code, e.Verified, e.Sources)
		}
		if got, ok := Lookup(e.Code); !ok || got.Code != e.Code {
			t.Errorf("Lookup(%d) = %v, %v", e.Code, got.Code, ok)
		}
	}
	if n != 179 || len(used) != len(categories) {
		t.Errorf("%d entries in %d categories, want 179 in %d", n, len(used), len(categories))
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, code := range []int{-1, 0, 1, 7000217, 99999999} {
		if e, ok := Lookup(code); ok || e.Code != 0 {
			t.Errorf("Lookup(%d) = %+v, true", code, e)
		}
	}
	e, ok := Lookup(7000222)
	if !ok || e.Name != "InvalidClientSecretExpiredKeysProvided" || e.OAuthError != "invalid_client" || e.HTTPStatus != 401 ||
		e.Category != SecretExpired || !e.Verified || e.Transient || !strings.Contains(e.Message, "{appId}") {
		t.Errorf("Lookup(7000222) = %+v, %v", e, ok)
	}
	if e, _ := Lookup(7000110); e.Verified {
		t.Error("Lookup(7000110).Verified = true, want false")
	}
	if e, _ := Lookup(90033); !e.Transient {
		t.Error("Lookup(90033).Transient = false, want true")
	}
}

func TestAllStops(t *testing.T) {
	t.Parallel()
	n := 0
	for range All() {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("yielded %d times after break, want 2", n)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	holes := map[string]string{"appId": "{tenant}", "tenant": "T", "empty": ""}
	for _, test := range []struct{ message, want string }{
		{"", ""},
		{"no hole", "no hole"},
		{"app '{appId}' in {tenant}{empty}.", "app '{tenant}' in T."},
		{"{unknown} {tenant}", "{unknown} T"},
		{"{tenant", "{tenant"},
		{"{ {tenant}}", "{ T}"},
		{"}{", "}{"},
	} {
		if got := (Entry{Message: test.message}).Format(holes); got != test.want {
			t.Errorf("Format(%q) = %q, want %q", test.message, got, test.want)
		}
	}
	if got := (Entry{Message: "{a}"}).Format(nil); got != "{a}" {
		t.Errorf("Format(nil) = %q, want {a}", got)
	}
}
