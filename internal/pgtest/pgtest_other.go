//go:build !unix

// Package pgtest runs a PostgreSQL server for the tests of one package.
package pgtest

import (
	"database/sql"
	"testing"
)

// New skips the test: the server is run on Unix only.
func New(t testing.TB) string {
	t.Helper()
	t.Skip("PostgreSQL is run on Unix only")
	return ""
}

// Admin is never reached.
func Admin() *sql.DB { return nil }

// Dir is never reached.
func Dir() string { return "" }

// Socket is never reached.
func Socket() string { return "" }

// Stop does nothing.
func Stop() error { return nil }
