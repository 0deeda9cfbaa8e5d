package entralab

import (
	"net/http"
	"strings"
)

// serveMetadata answers HashiCorp's providers, which ask a host for the
// addresses of a cloud (names read in go-azure-sdk). There is no resource
// manager: its address is Graph's, so that the answer is complete.
func (l *Lab) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if version := r.URL.Query().Get("api-version"); version != "2022-09-01" {
		writeProblem(w, http.StatusBadRequest, "api-version must be 2022-09-01")
		return
	}
	writeJSON(w, http.StatusOK, object{
		{"name", "credsmith-lab"},
		{"resourceManager", l.graphURL + "/"},
		{"microsoftGraphResourceId", l.graphURL + "/"},
		{"authentication", object{
			{"loginEndpoint", l.authorityURL}, // the SDK puts a slash behind it
			{"audiences", []string{"https://management.core.windows.net/", "https://management.azure.com/"}},
			{"tenant", "common"},
			{"identityProvider", "AAD"},
		}},
		{"suffixes", object{{"keyVaultDns", "vault.azure.net"}, {"storage", "core.windows.net"}}},
	})
}

// isMetadata reports whether a request asks for the metadata, without a token.
func isMetadata(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.TrimSuffix(r.URL.Path, "/") == "/metadata/endpoints"
}
