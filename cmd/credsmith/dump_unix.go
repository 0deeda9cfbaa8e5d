//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// noDumps keeps the secrets that pass through memory out of core files.
func noDumps() { unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
