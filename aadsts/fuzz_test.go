package aadsts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzFind(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.txtar")
	for _, file := range files {
		archive, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, text, _ := strings.Cut(string(archive), "-- text --\n")
		text, _, _ = strings.Cut(text, "-- want.json --\n")
		f.Add(text)
	}
	f.Add("AADSTS7000215 AADSTS700016, AADSTS90002")
	f.Add("7000215 - [2025-01-09 08:26:10Z]: AADSTS7000215: x")
	f.Add(`AADSTS1234: \%5c&amp;quot;%2522<br>` + "\x1b[0m│")
	f.Fuzz(func(t *testing.T, text string) {
		checkInvariants(t, text)
	})
}

func FuzzParseBody(f *testing.F) {
	for _, body := range []string{
		hitLine[strings.Index(hitLine, "{"):],
		`{"error":"invalid_client","error_codes":["70002",50012],"claims":{"a":1},"suberror":"x"}`,
		"\uFEFF{}", "null", "<html>", `{"error_codes":7000215}`, `{"error":null}`, `{"timestamp":"2025-01-09 08:26:10Z","error":"x"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := ParseBody(body)
		if err != nil {
			if !errors.Is(err, ErrNotJSON) && !errors.Is(err, ErrNoError) {
				t.Fatalf("error %v is of neither kind", err)
			}
			// Every quoted byte may be printed as \x00.
			if n := len(err.Error()); n > 80+4*maxSeen {
				t.Fatalf("error of %d bytes: %v", n, err)
			}
			return
		}
		if b.Start < 0 || b.Start >= b.End || b.End > len(body) || body[b.Start] != '{' || body[b.End-1] != '}' {
			t.Fatalf("span %d:%d of %q", b.Start, b.End, body)
		}
		if b.Code == 0 && b.OAuthError == "" && b.Description == "" {
			t.Fatalf("%+v says nothing", b)
		}
		for _, id := range []string{b.AppID, b.TraceID, b.CorrelationID} {
			if id != "" && !isGUID(id) {
				t.Fatalf("%q is no GUID", id)
			}
		}
	})
}
