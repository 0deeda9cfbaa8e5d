package store_test

// runChild does the work of a child process, and reports whether this is one.
func runChild() bool { return false }
