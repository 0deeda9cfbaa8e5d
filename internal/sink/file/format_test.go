package file

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
)

const value = "Xy38Q~new.value-0123456789_abcdefghijk~Z"

func TestPatch(t *testing.T) {
	t.Parallel()
	const k = "AZURE_CLIENT_SECRET"
	tests := []struct {
		name         string
		format       Format
		key          string
		before, want string // V stands for the new value
	}{
		{"bare", Dotenv, k, "# top\nA=1\nAZURE_CLIENT_SECRET=old # why\n\nB=2", "# top\nA=1\nAZURE_CLIENT_SECRET=V # why\n\nB=2"},
		{"double quotes, export, CRLF", Dotenv, k, "A=1\r\nexport AZURE_CLIENT_SECRET=\"o\\\"ld\"\r\nB=2\r\n", "A=1\r\nexport AZURE_CLIENT_SECRET=\"V\"\r\nB=2\r\n"},
		{"single quotes, blanks", Dotenv, k, "  AZURE_CLIENT_SECRET = 'old'\t# x\n", "  AZURE_CLIENT_SECRET = 'V'\t# x\n"},
		{"twice", Dotenv, k, "AZURE_CLIENT_SECRET=a\nB=2\nAZURE_CLIENT_SECRET='b'\n", "AZURE_CLIENT_SECRET=V\nB=2\nAZURE_CLIENT_SECRET='V'\n"},
		{"empty", Dotenv, k, "AZURE_CLIENT_SECRET=\nB=2\n", "AZURE_CLIENT_SECRET=V\nB=2\n"},
		{"empty with comment", Dotenv, k, "AZURE_CLIENT_SECRET= # later\n", "AZURE_CLIENT_SECRET=V # later\n"},
		{"missing", Dotenv, k, "A=1\n", "A=1\nAZURE_CLIENT_SECRET=V\n"},
		{"missing, no final newline, CRLF", Dotenv, k, "A=1\r\nB=2", "A=1\r\nB=2\r\nAZURE_CLIENT_SECRET=V"},
		{"missing, exported", Dotenv, k, "export A=1\n", "export A=1\nexport AZURE_CLIENT_SECRET=V\n"},
		{"missing, empty file", Dotenv, k, "", "AZURE_CLIENT_SECRET=V\n"},
		{"commented out", Dotenv, k, "#AZURE_CLIENT_SECRET=x\n", "#AZURE_CLIENT_SECRET=x\nAZURE_CLIENT_SECRET=V\n"},
		{"longer name", Dotenv, k, "MY_AZURE_CLIENT_SECRET=x\nAZURE_CLIENT_SECRET_OLD=y\nAZURE_CLIENT_SECRET=z", "MY_AZURE_CLIENT_SECRET=x\nAZURE_CLIENT_SECRET_OLD=y\nAZURE_CLIENT_SECRET=V"},
		{"open quote", Dotenv, k, "AZURE_CLIENT_SECRET=\"old\nB=it's\n", "AZURE_CLIENT_SECRET=V\nB=it's\n"},
		{"lines between quotes", Dotenv, k, "PEM=\"-----BEGIN\nA=b\n-----END\"\nAZURE_CLIENT_SECRET=z\n", "PEM=\"-----BEGIN\nA=b\n-----END\"\nAZURE_CLIENT_SECRET=V\n"},
		{"Latin-1 elsewhere", Dotenv, k, "# gr\xfc\xdfe\nAZURE_CLIENT_SECRET=z\n", "# gr\xfc\xdfe\nAZURE_CLIENT_SECRET=V\n"},
		{"byte order mark", Dotenv, k, "\ufeffAZURE_CLIENT_SECRET=z\n", "\ufeffAZURE_CLIENT_SECRET=V\n"},

		{"equals", Properties, "azure.client-secret", "a=1\nazure.client-secret = old\nb=2\n", "a=1\nazure.client-secret = V\nb=2\n"},
		{"colon", Properties, "s", "s:old\r\n", "s:V\r\n"},
		{"blank", Properties, "s", "  s old", "  s V"},
		{"name alone", Properties, "s", "s\nb=2\n", "s=V\nb=2\n"},
		{"continued", Properties, "s", "s = ol\\\n   d\\u0041\nb=2\n", "s = V\nb=2\n"},
		{"escaped name", Properties, "a:b c", "a\\:b\\ c=old\n", "a\\:b\\ c=V\n"},
		{"missing name with signs", Properties, "a:b", "x=1\n", "x=1\na\\:b=V\n"},
		{"twice", Properties, "s", "s=1\n! c\ns=2\n", "s=V\n! c\ns=V\n"},
		{"second document", Properties, "s", "a=1\n#---\ns=2\n", "a=1\n#---\ns=V\n"},

		{"section with dots", INI, "auth.azuread.client_secret", "[auth]\nclient_secret = no\n[auth.azuread]\n; c\nclient_secret = old\n", "[auth]\nclient_secret = no\n[auth.azuread]\n; c\nclient_secret = V\n"},
		{"quotes", INI, "a.s", "[a]\ns=\"old\"\n", "[a]\ns=\"V\"\n"},
		{"no section", INI, "s", "s: old\n[a]\ns=1\n", "s: V\n[a]\ns=1\n"},
		{"missing", INI, "a.s", "[a]\nx=1\n\n[b]\ny=2\n", "[a]\nx=1\ns = V\n\n[b]\ny=2\n"},
		{"missing at the end", INI, "a.s", "[a]\r\nx=1", "[a]\r\nx=1\r\ns = V"},
		{"missing section", INI, "a.s", "[b]\ny=2\n", "[b]\ny=2\n\n[a]\ns = V\n"},
		{"missing, no section", INI, "s", "; top\n[b]\ny=2\n", "; top\ns = V\n[b]\ny=2\n"},
		{"empty file", INI, "a.s", "", "[a]\ns = V\n"},
		{"section twice", INI, "a.s", "[a]\ns=1\n[b]\n[a]\ns=2\n", "[a]\ns=V\n[b]\n[a]\ns=V\n"},

		{"nested", JSON, "AzureAd.ClientSecret", "{\n  // c\n  \"AzureAd\": { \"ClientSecret\": \"old\", \"x\": [1,], },\n}\n", "{\n  // c\n  \"AzureAd\": { \"ClientSecret\": \"V\", \"x\": [1,], },\n}\n"},
		{"pointer", JSON, "/a.b/1/c~1d", `{"a.b":[{},{"c/d":"\u006fld"}]}`, `{"a.b":[{},{"c/d":"V"}]}`},
		{"null", JSON, "a.s", `{"a":{"s": null /* c */}}`, `{"a":{"s": "V" /* c */}}`},
		{"missing, lines", JSON, "a.s", "{\n  \"a\": {\n    \"x\": 1, // one\n    \"y\": 2 // two\n  }\n}", "{\n  \"a\": {\n    \"x\": 1, // one\n    \"y\": 2, // two\n    \"s\": \"V\"\n  }\n}"},
		{"missing, trailing comma", JSON, "s", "{\r\n\t\"x\": 1,\r\n}", "{\r\n\t\"x\": 1,\r\n\t\"s\": \"V\",\r\n}"},
		{"missing, one line", JSON, "s", `{ "x": 1, "y": {} }`, `{ "x": 1, "y": {}, "s": "V" }`},
		{"missing, empty", JSON, "a.s", `{"a": {}}`, `{"a": {"s": "V"}}`},
		{"missing after a comment", JSON, "s", "{\n  \"x\": 1,\n  /* about y */ \"y\": 2\n}\n", "{\n  \"x\": 1,\n  /* about y */ \"y\": 2,\n  \"s\": \"V\"\n}\n"},

		{"plain", YAML, "azure.client-secret", "azure: # c\n  client-id: x\n  client-secret: old # why\n", "azure: # c\n  client-id: x\n  client-secret: V # why\n"},
		{"double", YAML, "s", "s: \"o\\\"ld\"   # c\r\nb: 1\r\n", "s: \"V\"   # c\r\nb: 1\r\n"},
		{"single", YAML, "s", "s: 'it''s'\nb: 1", "s: 'V'\nb: 1"},
		{"single, quotes first", YAML, "s", "s: '''old'\nb: 1", "s: 'V'\nb: 1"},
		{"anchor and tag stay", YAML, "s", "s: &x !!str old\nt: *x\n", "s: &x !!str V\nt: *x\n"},
		{"list", YAML, "a.1.s", "a:\n- s: one\n- s: two\n", "a:\n- s: one\n- s: V\n"},
		{"flow", YAML, "a.s", "a: {s: old, \"ä\": 1}\n", "a: {s: V, \"ä\": 1}\n"},
		{"after wide characters", YAML, "s", "{ä: \U0001f511, s: old}\n", "{ä: \U0001f511, s: V}\n"},
		{"one of two documents", YAML, "a.s", "a:\n  x: 1\n---\nb: 1\n---\na:\n  s: old\n", "a:\n  x: 1\n---\nb: 1\n---\na:\n  s: V\n"},
		{"null", YAML, "s", "s: null # c\n", "s: V # c\n"},
		{"tilde", YAML, "s", "s: ~\n", "s: V\n"},
		{"empty", YAML, "a.s", "a:\n  s:\n  t: 1\n", "a:\n  s: V\n  t: 1\n"},
		{"empty with a comment", YAML, "s", "s: # c\nt: 1\n", "s: V # c\nt: 1\n"},
		{"missing", YAML, "a.s", "a:\n  x: 1 # one\n  y:\n    z: 2\nb: 3\n", "a:\n  x: 1 # one\n  s: V\n  y:\n    z: 2\nb: 3\n"},
		{"missing, no scalar", YAML, "a.s", "a:\n  y:\n    z: |\n      2\n", "a:\n  s: V\n  y:\n    z: |\n      2\n"},
		{"missing, at the end", YAML, "s", "x: 1\r\ny: 2", "x: 1\r\ny: 2\r\ns: V"},
		{"missing in a list", YAML, "a.0.s", "a:\n- x: 1\n  y: 2\n", ""},
		{"string data of a Secret", YAML, "stringData.s", "kind: Secret\nstringData:\n  s: old\n", "kind: Secret\nstringData:\n  s: V\n"},
	}
	for _, tt := range tests {
		t.Run(string(tt.format)+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			want := strings.ReplaceAll(tt.want, "V", value)
			for _, mark := range []string{"", "\ufeff"} {
				checkPatch(t, tt.format, tt.key, []byte(mark+tt.before), []byte(mark+want), tt.want == "")
			}
			if strings.HasPrefix(tt.before, "\ufeff") || !isUTF8(tt.before) {
				return
			}
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				checkPatch(t, tt.format, tt.key, utf16Of(order, tt.before), utf16Of(order, want), tt.want == "")
			}
		})
	}
}

func checkPatch(t *testing.T, format Format, key string, before, want []byte, refused bool) {
	t.Helper()
	if len(before) > 6 && string(before[:6]) == "\ufeff\ufeff" {
		return
	}
	got, err := format.patch(before, key, value)
	if refused {
		if err == nil {
			t.Fatalf("patch = %q, want a refusal", got)
		}
		return
	}
	if err != nil {
		t.Fatalf("patch: %v", err)
	}
	if string(got) != string(want) {
		t.Fatalf("patch = %q\n          want %q", got, want)
	}
	if read, exists, err := format.lookup(got, key); read != value || !exists || err != nil {
		t.Errorf("lookup = %q %v %v", read, exists, err)
	}
	if again, err := format.patch(got, key, value); err != nil || string(again) != string(got) {
		t.Errorf("a second patch changes the file: %q, %v", again, err)
	}
}

func isUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

func utf16Of(order binary.ByteOrder, text string) []byte {
	var out []byte
	for _, unit := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		out = append(out, 0, 0)
		order.PutUint16(out[len(out)-2:], unit)
	}
	return out
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		format Format
		key    string
		file   string
		says   string
	}{
		{Dotenv, "K", "K=\"a\nb\"\n", "line 1: the value goes over several lines"},
		{Dotenv, "K", "P='x\nK=1\n'\n", "line 2: K stands between the quotes that line 1 opens"},
		{Dotenv, "K", "K='a'b\n", "line 1: text follows the closing quote"},
		{Dotenv, "K", "K='a'#b\n", "line 1: text follows the closing quote"},
		{Dotenv, "K", "K=a\\\n", "ends with a backslash"},
		{Dotenv, "K", "A=a\\\nK=1\n", "the line before ends with a backslash"},
		{Dotenv, "K", "K=a B=b\n", "second assignment"},
		{Dotenv, "K", "K=a; B=b\n", "second assignment"},
		{Dotenv, "K", "A=1\rK=2\r", "carriage return"},
		{Dotenv, "K", "K\x00=\x002\x00", "zero byte"},
		{Dotenv, "K", "\xff\xfeK\x00=\x00\x00\xd8", "damaged UTF-16"},
		{Dotenv, "K", "\xff\xfeK\x00=", "damaged UTF-16"},
		{Properties, "s", "s=1\n#---\ns=2\n", "two documents"},
		{Properties, "s", "a=1\n#---\nb=2\n", "several documents"},
		{Properties, "s", "s=1\\", "goes on"},
		{Properties, "s", "a=1\\", "goes on"},
		{Properties, "s", "s\\\n=1\n", "the name goes over several lines"},
		{INI, "a.s", "[a]\ns=1\n  more\n", "indented"},
		{INI, "a.s", "[a]\ns=1 ; c\n", "comment for some readers"},
		{INI, "a.s", "[a]\nS=1\n", "the name is S, not s"},
		{INI, "a.s", "[A]\ns=1\n", "the section is [A], not [a]"},
		{INI, "a.s", "[a]\ns=1\\\n", "go on over lines"},
		{JSON, "a.s", `{"a":{"s":1}}`, "no text"},
		{JSON, "a.s", `{"a":{"s":{}}}`, "no text"},
		{JSON, "a.s", `{"a":"x"}`, "there is no a.s"},
		{JSON, "a.s", `{"b":{}}`, "there is no a.s"},
		{JSON, "a.s", `{"a":{"s":"1","s":"2"}}`, "twice"},
		{JSON, "a.s", `{"A":{"s":"1"}}`, "the name is A, not a"},
		{JSON, "a", `{"a":"1"`, "ends too early"},
		{JSON, "a", `{"a":"1"} x`, "follows the end"},
		{JSON, "a", "{\n\"a\":'1'}", "line 2: a value is expected"},
		{JSON, "a", strings.Repeat("[", 300), "nested too deeply"},
		{JSON, "a", "{\"a\":\"\xff\"}", "not UTF-8"},
		{YAML, "s", "b: &x old\ns: *x\n", "line 2: the value is an alias"},
		{YAML, "a.s", "b: &x\n  s: old\na: *x\n", "the path leads through an alias"},
		{YAML, "a.s", "b: &x\n  s: old\na:\n  <<: *x\n", "merged anchor"},
		{YAML, "s", "s: |\n  old\n", "block of lines"},
		{YAML, "s", "s: \"a\n  b\"\n", "several lines"},
		{YAML, "s", "s: a\n  b\n", "several lines"},
		{YAML, "s", "s: {}\n", "no text"},
		{YAML, "s", "s: 1\ns: 2\n", "twice"},
		{YAML, "s", "s: !vault x\n", "has the tag !vault"},
		{YAML, "s", "s: a\n---\ns: b\n", "two documents"},
		{YAML, "a.s", "x: 1\n", "there is no a.s"},
		{YAML, "a.s", "a: {}\n", "there is no a.s"},
		{YAML, "a.s", "a:\n  x: 1\n---\na:\n  x: 1\n", "there is no a.s"},
		{YAML, "data.s", "kind: Secret\ndata:\n  s: b2xk\n", "base64"},
		{YAML, "s", "s: {{ .x }\n", "malformed"},
		{YAML, "s", "s: \"a\u2028b\"\n", "line break that is not a line feed"},
		{YAML, "s", strings.Repeat("[", 100_000), "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(string(tt.format)+" "+tt.says, func(t *testing.T) {
			t.Parallel()
			got, err := tt.format.patch([]byte(tt.file), tt.key, value)
			r, ok := errors.AsType[*refusal](err)
			if !ok || !strings.Contains(err.Error(), tt.says) || r.next == "" {
				t.Errorf("patch(%q) = %q, %v; want a refusal with %q and what to do", tt.file, got, err, tt.says)
			}
		})
	}
}
