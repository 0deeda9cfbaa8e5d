package aadsts

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

// wanted is a Failure in a test file. Its span is left out: it would change
// with every word.
type wanted struct {
	Code          int       `json:"code"`
	Codes         []int     `json:"codes,omitempty"`
	OAuthError    string    `json:"oauth_error,omitempty"`
	SubError      string    `json:"suberror,omitempty"`
	Claims        string    `json:"claims,omitempty"`
	AppID         string    `json:"app_id,omitempty"`
	Tenant        string    `json:"tenant,omitempty"`
	TraceID       string    `json:"trace_id,omitempty"`
	CorrelationID string    `json:"correlation_id,omitempty"`
	Timestamp     time.Time `json:"timestamp,omitzero"`
	Message       string    `json:"message,omitempty"`
}

func want(f Failure) wanted {
	return wanted{f.Code, f.Codes, f.OAuthError, f.SubError, f.Claims, f.AppID, f.Tenant, f.TraceID, f.CorrelationID, f.Timestamp, f.Message}
}

// TestRenderings reads every text in testdata: renderings are what public
// threads show, forms are what else the parser promises. A wrong reading from
// the field becomes a new file; -update writes its second half.
func TestRenderings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) < 31 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testRendering(t, file)
		})
	}
}

func testRendering(t *testing.T, file string) {
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The two sections of a txtar file.
	const textMark, wantMark = "-- text --\n", "-- want.json --\n"
	comment, rest, ok1 := strings.Cut(string(archive), textMark)
	text, wantJSON, ok2 := strings.Cut(rest, wantMark)
	if !ok1 || !ok2 || comment == "" {
		t.Fatal("want a comment and the sections text and want.json")
	}
	got := []wanted{}
	for f := range Find([]byte(text)) {
		got = append(got, want(f))
	}
	checkInvariants(t, text)
	encoded := toJSON(t, got)
	if encoded == wantJSON {
		return
	}
	if !*update {
		t.Errorf("Find:\ngot  %swant %s", encoded, wantJSON)
		return
	}
	if err := os.WriteFile(file, []byte(comment+textMark+text+wantMark+encoded), 0o644); err != nil {
		t.Fatal(err)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkInvariants checks what holds for every text.
func checkInvariants(t *testing.T, text string) {
	t.Helper()
	end := 0
	for f := range FindString(text) {
		if f.Start < end || f.Start >= f.End || f.End > len(text) {
			t.Fatalf("span %d:%d after %d in %d bytes", f.Start, f.End, end, len(text))
		}
		end = f.End
		for _, code := range f.Codes {
			if !strings.Contains(text[f.Start:f.End], strconv.Itoa(code)) {
				t.Errorf("code %d is not in %q", code, text[f.Start:f.End])
			}
		}
		if f.Code == 0 && (f.OAuthError == "" || len(f.Codes) > 0) || f.Code != 0 && !slices.Contains(f.Codes, f.Code) {
			t.Errorf("code %d, codes %v, OAuth error %q", f.Code, f.Codes, f.OAuthError)
		}
		for name, id := range map[string]string{"AppID": f.AppID, "TraceID": f.TraceID, "CorrelationID": f.CorrelationID} {
			if id != "" && !isGUID(id) {
				t.Errorf("%s = %q, want a GUID", name, id)
			}
		}
		if len(f.Message) > maxMessage || strings.Contains(f.Message, "  ") || strings.ContainsAny(f.Message, "\r\n\t") {
			t.Errorf("message is not tidy: %q", f.Message)
		}
	}
}

func isGUID(s string) bool {
	if len(s) != guidLen || s != strings.ToLower(s) {
		return false
	}
	for i, c := range []byte(s) {
		if isDash := i == 8 || i == 13 || i == 18 || i == 23; isDash != (c == '-') || !isDash && !isHex(c) {
			return false
		}
	}
	return true
}
