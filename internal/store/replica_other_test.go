//go:build !unix

package store_test

func runChild() bool { return false }
