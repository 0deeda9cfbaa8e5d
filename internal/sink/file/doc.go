// Package file writes a secret into a file that consumers read: dotenv, JSON,
// YAML, Java properties and ini.
package file
