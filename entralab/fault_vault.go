package entralab

import (
	"encoding/json"
	"net/http"
	"strings"
)

// The vault's refusals are answers by status, code and inner code, so that
// they need nothing of the vault itself. Texts as in its recorded answers; the
// inner codes of the two states before "deleted" and the 400s are recalled.

const vaultDenied = "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time."

// vaultName is the secret that a path is about.
func (c *faultCall) vaultName() string {
	parts := strings.Split(strings.Trim(c.q.path, "/"), "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

func faultVaultConflict(c *faultCall) *faultAnswer {
	name := c.vaultName()
	switch c.kind() {
	case "deleted":
		return c.vaultAnswer(http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable", "Secret "+name+" is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.")
	case "recovering":
		return c.vaultAnswer(http.StatusConflict, "Conflict", "ObjectIsBeingRecovered", "Secret "+name+" is currently being recovered; retry later.")
	}
	return c.vaultAnswer(http.StatusConflict, "Conflict", "", "The request conflicts with another one; retry later.")
}

func faultVaultRefused(c *faultCall) *faultAnswer {
	switch c.kind() {
	case "firewall":
		return c.vaultAnswer(http.StatusForbidden, "Forbidden", "ForbiddenByFirewall", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1")
	case "rbac":
		return c.vaultAnswer(http.StatusForbidden, "Forbidden", "ForbiddenByRbac", vaultDenied)
	case "throttled":
		return c.vaultAnswer(http.StatusTooManyRequests, "Throttled", "", "Request was not processed because too many requests were received.")
	case "disabled":
		if c.q.method == http.MethodGet {
			return c.vaultAnswer(http.StatusForbidden, "Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.")
		}
	case "late":
		if c.q.method == http.MethodGet {
			return c.vaultAnswer(http.StatusNotFound, "SecretNotFound", "", "A secret with (name/id) "+c.vaultName()+" was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")
		}
	}
	return nil
}

func faultVaultLimit(c *faultCall) *faultAnswer {
	switch c.kind() {
	case "too-large":
		return c.vaultAnswer(http.StatusBadRequest, "BadParameter", "", "The value of the secret is larger than 25 KB.")
	case "tags":
		return c.vaultAnswer(http.StatusBadRequest, "BadParameter", "", "A secret can have at most 15 tags.")
	}
	return nil
}

// faultVaultTrim shortens the value on its way in by its last character.
func faultVaultTrim(c *faultCall) bool {
	var sent map[string]json.RawMessage
	var value string
	if c.kind() != "trimmed" || json.Unmarshal(c.body, &sent) != nil || json.Unmarshal(sent["value"], &value) != nil || value == "" {
		return false
	}
	letters := []rune(value)
	sent["value"] = encodeJSON(string(letters[:len(letters)-1]))
	c.body = encodeJSON(sent)
	return true
}
