package entralab

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// random is the seeded source of ids and of the choice of replica. Secret
// values never come from it: the seed is public, see generateValue.
type random struct {
	seed uint64
	run  uint64 // how often a lab with this seed and store was started before

	mu     sync.Mutex
	source *rand.ChaCha8
}

// newRandom starts the source. A lab that goes on from a store must not draw
// the same ids again: run sets its draws apart.
func newRandom(seed, run uint64) *random {
	if seed == 0 {
		// 53 bits, so that a JSON reader that knows only floats reads it back.
		seed = 1 + rand.Uint64()>>11
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], run)
	return &random{seed: seed, run: run, source: rand.NewChaCha8(key)}
}

func (r *random) read(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.source.Read(b) // never fails
}

// guid returns a new version 4 id.
func (r *random) guid() guid {
	var g guid
	r.read(g[:])
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// text returns n random bytes as base64url.
func (r *random) text(n int) string {
	b := make([]byte, n)
	r.read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// fraction returns a number in [0, 1).
func (r *random) fraction() float64 {
	var b [8]byte
	r.read(b[:])
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}
