package kernel

import "golang.org/x/sys/cpu"

var useAVX2 = cpu.X86.HasAVX2

// nextAVX2 looks at n bytes from p, a multiple of 32, for places where an anchor
// may start. It returns where the 32 bytes with the first one start, and a bit
// for each place in them; n and 0 when there is none. It reads 5 bytes more.
//
//go:noescape
func nextAVX2(p *byte, n int) (at int, mask uint32)

const (
	block = 32
	ahead = 5 // how far behind its place nextAVX2 reads
)

// next is nextGo, but a place that the mask names need not hold an anchor.
func next(p []byte, from, to int) (places, resume int, mask uint32) {
	n := (min(to, len(p)-ahead) - from) &^ (block - 1)
	if !useAVX2 || n <= 0 {
		return nextGo(p, from, to)
	}
	at, mask := nextAVX2(&p[from], n)
	return from + at, min(from+at+block, from+n), mask
}
