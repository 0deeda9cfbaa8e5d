package kernel

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// each is the definition: every place, one after the other.
func each(p []byte, from, to int) []Hit {
	var hits []Hit
	for i := from; i < to; i++ {
		if kind := At(p, i); kind != None {
			hits = append(hits, Hit{int64(i), kind})
		}
	}
	return hits
}

var anchors = []struct {
	text string
	kind Kind
	pos  int
}{
	{"AADSTS7", Code, 0}, {"aadsts7000215", Code, 0}, {"AaDsTs5", Code, 0},
	{"invalid_client", OAuthError, 7}, {"UNAUTHORIZED_CLIENT", OAuthError, 12},
	{"error_codes", ErrorCodes, 5}, {"c8Q~", Secret, 2}, {"c8Q%7e", Secret, 2},
	{"[no body]", NoBody, 0}, {"7000222", BareCode, 0},
}

func TestEveryAnchorAtEveryPlace(t *testing.T) {
	t.Parallel()
	for _, a := range anchors {
		for at := range 150 {
			for behind := range 70 {
				p := []byte(strings.Repeat(".", at) + a.text + strings.Repeat(".", behind))
				want := []Hit{{int64(at + a.pos), a.kind}}
				if got := Append(nil, p, 0, len(p), 0); !slices.Equal(got, want) {
					t.Fatalf("%q at %d, %d behind: %v, want %v", a.text, at, behind, got, want)
				}
			}
		}
	}
}

func TestNoAnchor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"AADSTS codes", "AADST5", "aQ~", "my_client", "status_codes", "17000215", "70002151", "x7000215", "7000215x", "[no_body]", "", "7"} {
		p := []byte(text)
		if got := Append(nil, p, 0, len(p), 0); got != nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzAgainstPlain(f *testing.F) {
	var all []byte
	for _, a := range anchors {
		all = append(append(all, a.text...), " words between "...)
	}
	f.Add(all, 0, len(all))
	f.Add(bytes.Repeat([]byte("d.ts_c...n8Q~[.b.700"), 9), 3, 99)
	f.Fuzz(func(t *testing.T, p []byte, from, to int) {
		to = min(max(to, 0), len(p))
		from = min(max(from, 0), to)
		want := each(p, from, to)
		if got := Append(nil, p, from, to, 0); !slices.Equal(got, want) {
			t.Fatalf("Append %v, want %v", got, want)
		}
		if slow := plain(nil, p, from, to, 0); !slices.Equal(slow, want) {
			t.Fatalf("plain %v, want %v", slow, want)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	line := "2026-01-02T03:04:05,123 INFO [http-nio-8080-exec-7] c.e.auth.TokenCache - cache miss status=200 id=0c9a7104-1b2d-4f5e-8a9b-8abcaa00ff12\n"
	p := []byte(strings.Repeat(line, 1<<18/len(line)))
	for b.Loop() {
		Append(nil, p, 0, len(p), 0)
	}
	b.SetBytes(int64(len(p)))
}
