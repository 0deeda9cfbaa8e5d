package main

import "golang.org/x/sys/unix"

// noDumps keeps the secrets that pass through memory out of core files, and
// other processes of the user out of our memory. Best effort: a system that
// refuses either is not a reason to stop.
func noDumps() {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
