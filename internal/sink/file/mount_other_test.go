//go:build !linux && !windows

package file

import "errors"

func bindMount(string, string) error { return errors.New("only on linux") }

func unmount(string) {}
