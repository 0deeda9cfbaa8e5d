package text_test

import (
	"testing"

	"github.com/credsmith/credsmith/internal/text"
)

func TestUTF8(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\xff\xfeA\x00\xe9\x00":   "Aé",
		"\xfe\xff\x00A\x00\xe9":   "Aé",
		"\xff\xfe=\xd8\x00\xde":   "\U0001F600", // a surrogate pair
		"\xff\xfeA\x00B":          "A",          // cut in the middle
		"\xff\xfe":                "",
		"plain":                   "plain",
		"\xef\xbb\xbfwith a mark": "\ufeffwith a mark",
		"":                        "",
	} {
		if got := string(text.UTF8([]byte(in))); got != want {
			t.Errorf("UTF8(%q) = %q, want %q", in, got, want)
		}
	}
}
