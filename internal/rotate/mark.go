package rotate

import (
	"fmt"
	"strconv"
	"strings"
)

// mark is what the display name of each secret of ours says: which rotation,
// which attempt at minting, and the app's generation.
type mark struct {
	rotation, nonce string
	generation      int64
}

const markPrefix = "credsmith "

// String is the display name: "credsmith r-abcdefghij kq3v7xy2mn g4". Graph
// takes 120 characters.
func (m mark) String() string {
	return fmt.Sprintf("%s%s %s g%d", markPrefix, m.rotation, m.nonce, m.generation)
}

// parseMark reads a display name. Anybody may write one: what it says is
// believed only together with the journal.
func parseMark(name string) (mark, bool) {
	rest, ours := strings.CutPrefix(name, markPrefix)
	f := strings.Fields(rest)
	if !ours || len(f) != 3 || !strings.HasPrefix(f[0], "r-") {
		return mark{}, false
	}
	digits, isGeneration := strings.CutPrefix(f[2], "g")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !isGeneration || err != nil || n < 1 {
		return mark{}, false
	}
	return mark{f[0], f[1], n}, true
}
