package kernel

import (
	"math/bits"

	"golang.org/x/sys/cpu"
)

var useAVX2 = cpu.X86.HasAVX2

// nextAVX2 looks at n bytes from p, a multiple of block, for places near which
// an anchor may start. It returns where the first block with one starts, and a
// bit for each place in it; n and 0 when there is none. It reads ahead bytes more.
//
//go:noescape
func nextAVX2(p *byte, n int) (at int, mask uint64)

const (
	block = 64
	ahead = 3 // how far behind its place nextAVX2 reads
	aside = 2 // how far before or behind its place an anchor starts
)

// vector appends the anchors of p[from:to] and returns up to where all are
// known: what is too short for the vectors is left.
func vector(hits []Hit, p []byte, from, to int, base int64) ([]Hit, int) {
	start := max(from-aside, 0)
	n := (min(to+aside, len(p)-ahead) - start) &^ (block - 1)
	if !useAVX2 || n <= 0 {
		return hits, from
	}
	known := from // anchors before this are found
	for i := start; i < start+n; {
		at, mask := nextAVX2(&p[i], start+n-i)
		i += at
		for ; mask != 0; mask &= mask - 1 {
			place := i + bits.TrailingZeros64(mask)
			for _, at := range [...]int{place - aside, place, place + aside} {
				if at < known || at >= to {
					continue
				}
				if kind := At(p, at); kind != None {
					hits = append(hits, Hit{base + int64(at), kind})
					known = at + 1
				}
			}
		}
		i += block
	}
	return hits, max(known, start+n-aside)
}
