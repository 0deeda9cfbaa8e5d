package aadsts_test

import (
	"errors"
	"fmt"

	"github.com/credsmith/credsmith/aadsts"
)

func ExampleFind() {
	log := []byte(`2026-01-02T03:04:05Z ERROR token: {"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app '03146f14-24fa-4cde-8455-537c6ff06a55' are expired. Trace ID: 4d2d9295-f94e-430b-95a6-030b76c95900 Correlation ID: 1fb1be83-8f31-4946-976d-28fc8ae4e69f Timestamp: 2026-01-02 03:04:05Z","error_codes":[7000222]}
2026-01-02T03:05:00Z ERROR OAuth Provider returned an error: invalid_client
`)
	for f := range aadsts.Find(log) {
		fmt.Println(f.OAuthError, f.Code, f.AppID)
	}
	// Output:
	// invalid_client 7000222 03146f14-24fa-4cde-8455-537c6ff06a55
	// invalid_client 0
}

func ExampleParseBody() {
	body, err := aadsts.ParseBody([]byte(`{"error":"invalid_request","error_description":"AADSTS90002: Tenant 'contoso' not found.","error_codes":[90002]}`))
	if errors.Is(err, aadsts.ErrNotJSON) {
		fmt.Println("a proxy answered, not Entra")
		return
	}
	fmt.Println(body.OAuthError, body.Code, body.Tenant)
	// Output: invalid_request 90002 contoso
}

func ExampleLookup() {
	entry, known := aadsts.Lookup(7000222)
	fmt.Println(known, entry.Category, entry.Name)
	fmt.Println(entry.Format(map[string]string{"appId": "03146f14-24fa-4cde-8455-537c6ff06a55"})[:68])
	// Output:
	// true secret_expired InvalidClientSecretExpiredKeysProvided
	// The provided client secret keys for app '03146f14-24fa-4cde-8455-537
}
