package entralab

import "net/http"

// vaultError is an answer of Key Vault that is not a success.
type vaultError struct {
	status               int
	code, inner, message string
}

// body is Key Vault's error object.
func (e *vaultError) body() object {
	o := object{{"code", e.code}, {"message", e.message}}
	if e.inner != "" {
		o = append(o, member{"innererror", object{{"code", e.inner}}})
	}
	return object{{"error", o}}
}

func badParameter(message string) *vaultError {
	return &vaultError{status: http.StatusBadRequest, code: "BadParameter", message: message}
}

func noToken(message string) *vaultError {
	return &vaultError{status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}

func forbidden(inner, message string) *vaultError {
	return &vaultError{status: http.StatusForbidden, code: "Forbidden", inner: inner, message: message}
}

func conflict(inner, message string) *vaultError {
	return &vaultError{status: http.StatusConflict, code: "Conflict", inner: inner, message: message}
}

// secretNotFound names a secret, or a secret and a version with a slash
// between them (recorded).
func secretNotFound(id string) *vaultError {
	return &vaultError{status: http.StatusNotFound, code: "SecretNotFound", message: "A secret with (name/id) " + id +
		" was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. " +
		"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"}
}

func deletedNotFound(name string) *vaultError { // recorded
	return &vaultError{status: http.StatusNotFound, code: "SecretNotFound", message: "Deleted Secret not found: " + name}
}
