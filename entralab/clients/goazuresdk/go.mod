// HashiCorp's Graph SDK, which Terraform's azuread provider is built on. It is
// a module of its own because its 58 MB are nobody else's to download.
module github.com/credsmith/credsmith/entralab/clients/goazuresdk

go 1.26.0

require (
	github.com/credsmith/credsmith v0.0.0
	github.com/hashicorp/go-azure-sdk/microsoft-graph v0.20250131.1134653
	github.com/hashicorp/go-azure-sdk/sdk v0.20250131.1134653
)

require (
	github.com/hashicorp/go-azure-helpers v0.66.2 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.7 // indirect
	github.com/hashicorp/go-uuid v1.0.3 // indirect
	github.com/hashicorp/go-version v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	software.sslmate.com/src/go-pkcs12 v0.4.0 // indirect
)

replace github.com/credsmith/credsmith => ../../..
