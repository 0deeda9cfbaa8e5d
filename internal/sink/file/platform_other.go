//go:build !linux

package file

import "os"

// mounted cannot tell here; the rename will.
func mounted(*target) error { return nil }

// keepAttributes keeps none here; docs/sinks.md says so.
func keepAttributes(*os.File, *os.File) error { return nil }
