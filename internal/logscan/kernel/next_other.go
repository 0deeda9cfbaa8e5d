//go:build !amd64

package kernel

func next(p []byte, from, to int) (places, resume int, mask uint32) { return nextGo(p, from, to) }
