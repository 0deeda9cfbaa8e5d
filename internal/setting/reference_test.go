package setting

import "testing"

func TestVaultAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/billing/)":                                 "https://kv.vault.azure.net/secrets/billing",
		"@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/billing)":                                  "https://kv.vault.azure.net/secrets/billing",
		"@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/billing/0123456789abcdef0123456789abcdef)": "https://kv.vault.azure.net/secrets/billing",
		"@Microsoft.KeyVault(VaultName=KV-billing;SecretName=billing)":                                               "https://kv-billing.vault.azure.net/secrets/billing",
		"@Microsoft.KeyVault(VaultName=kvb;SecretName=a/../b)":                                                       "",
		"@Microsoft.KeyVault(SecretUri=http://kv.vault.azure.net/secrets/billing)":                                   "",
		"@Microsoft.AppConfiguration(Endpoint=https://x.azconfig.io; Key=a)":                                         "",
	} {
		if got := vaultAddress(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
