package request

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/txtar"
)

const (
	testTenant = "7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11"
	testClient = "03146f14-24fa-4cde-8455-537c6ff06a55"
	testSecret = "kZ48Q~vTn3bXw.LqPz_7RmYcD-sFgHj2KtW9eBaU"
	testURL    = "https://login.microsoftonline.com/" + testTenant + "/oauth2/v2.0/token"
)

// post is a raw request with that body.
func post(body string) string {
	return "POST " + testURL + " HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\n" + body
}

// form is a correct body but for the secret, which is put in as it is.
func form(rawSecret string) string {
	return "client_id=" + testClient + "&client_secret=" + rawSecret + "&grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
}

// parseOne parses input that must hold exactly one token request.
func parseOne(t *testing.T, input string) Captured {
	t.Helper()
	captured, err := Parse([]byte(input))
	if err != nil || len(captured) != 1 {
		t.Fatalf("Parse(%q) = %d requests, %v; want 1", input, len(captured), err)
	}
	return captured[0]
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	har := func(entries string) string { return `{"log":{"entries":[` + entries + `]}}` }
	for name, test := range map[string]struct{ input, want string }{
		"empty":             {"", "the input is empty"},
		"blank":             {" \r\n\t\n", "the input is empty"},
		"bom only":          {"\ufeff\n", "the input is empty"},
		"binary":            {"POST / HTTP/1.1\n\n\x00\x01", "the input is binary (control character at byte 18)"},
		"gzip":              {"\x1f\x8b\x08rest", "the input is binary (control character at byte 1)"},
		"prose":             {"my request does not work", "neither raw HTTP, a curl or PowerShell command, a HAR document, a Postman collection nor a log"},
		"body only":         {form(testSecret), "this is a body without its request"},
		"json body only":    {`{"grant_type":"client_credentials","client_secret":"` + testSecret + `"}`, "this is a body without its request"},
		"error text":        {"AADSTS7000215: Invalid client secret provided.", "give the error to: credsmith explain"},
		"error body":        {`{"error":"invalid_client","error_codes":[7000215]}`, "give the error to: credsmith explain"},
		"token body":        {`{"token_type":"Bearer","access_token":"` + testSecret + `"}`, "the body of a successful response"},
		"response only":     {"HTTP/1.1 401 Unauthorized\nContent-Type: application/json\n\n{}", "this is a response, not a request"},
		"har truncated":     {har(`{"request":{"method":"POST"}}`)[:40], "the JSON breaks off at 1:41"},
		"har malformed":     {"{\"log\":\n{]}", "the JSON is malformed at 2:2"},
		"har wrong type":    {`{"log":{"entries":"` + testSecret + `"}}`, "the JSON at 1:19 is not of the type"},
		"har no entries":    {har(""), "it has no entries"},
		"json, no har":      {`{"openapi":"3.1.0"}`, "this is JSON, but has neither the log.entries of a HAR nor the item"},
		"har, other calls":  {har(`{"request":{"method":"GET","url":"https://graph.microsoft.com/v1.0/me?code=` + testSecret + `"}},{"request":{}}`), "GET https://graph.microsoft.com/v1.0/me, the first of 2 requests, is not a token request"},
		"other request":     {"GET https://user:" + testSecret + "@graph.microsoft.com/v1.0/users?$top=1#x HTTP/1.1\n\n", "GET https://graph.microsoft.com/v1.0/users is not a token request"},
		"secret in path":    {"GET https://vault/secrets/" + testSecret + "/" + testTenant + " HTTP/1.1\n\n", "GET https://vault/secrets/***/" + testTenant + " is not a token request"},
		"long word in path": {"GET https://vault/secrets/qR7xk9LmN2pT4vW6yZ8aB1cD3eF5 HTTP/1.1\n\n", "GET https://vault/secrets/*** is not a token request"},
		"other method":      {testSecret + " https://api.contoso.com/ HTTP/1.1\n\n", "neither raw HTTP"},
		"other curl":        {"curl -u 'me:" + testSecret + "' https://api.contoso.com/x -d 'a=" + testSecret + "'", "POST https://api.contoso.com/x is not a token request"},
		"curl, no url":      {"curl -d a=b", "POST without a URL is not a token request"},
		"unclosed single":   {"curl " + testURL + " \\\n -d 'client_secret=" + testSecret, "the quote opened at 2:5 is never closed"},
		"unclosed double":   {"curl " + testURL + ` -d "client_secret=` + testSecret, "the quote opened at 1:98 is never closed"},
		"unclosed ansi":     {"curl " + testURL + ` -d $'client_secret=` + testSecret, "the quote opened at 1:98 is never closed"},
		"unclosed brace":    {"curl " + testURL + ` -d "${` + testSecret, "the quote opened at 1:98 is never closed"},
		"unclosed command":  {"curl " + testURL + ` -d "$(cat ` + testSecret, "the quote opened at 1:98 is never closed"},
		"curl body in file": {"curl " + testURL + " -d @" + testSecret, "the body stands in a file or variable that is only named"},
		"curl body in var":  {"curl " + testURL + ` -d "$BODY"`, "the body stands in a file or variable that is only named"},
		"http body in file": {post("< ./body.txt"), "the body stands in a file or variable that is only named"},
		"only comments":     {"# GET https://example.com\n# curl https://example.com\n", "neither raw HTTP"},
		"too large":         {post(strings.Repeat("x", maxPlain)), "a token request has a few thousand"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			captured, err := Parse([]byte(test.input))
			if err == nil {
				t.Fatalf("Parse = %d requests, want an error with %q", len(captured), test.want)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse: %v\nwant %q in it", err, test.want)
			}
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Op == "" || e.Next == "" {
				t.Errorf("the error is %#v, want what was tried and what to do next", err)
			}
			if notToken := strings.Contains(test.want, "not a token request"); errors.Is(err, ErrNotTokenRequest) != notToken {
				t.Errorf("errors.Is(%v, ErrNotTokenRequest) = %v", err, !notToken)
			}
			noLeak(t, err.Error(), testSecret)
		})
	}
}

func TestParseLargeInput(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	for name, input := range map[string]string{
		"text":      strings.Repeat("a", size),
		"form":      post(strings.Repeat("a=b&", size/4)),
		"curl":      strings.Repeat("curl '", size/6),
		"list":      strings.Repeat("[", size),
		"har":       `{"log":{"entries":[{"request":{"method":"POST","url":"` + testURL + `","postData":{"text":"` + strings.Repeat("a", size) + `"}}}]}}`,
		"too large": strings.Repeat(" ", maxInput+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if captured, err := Parse([]byte(input)); err == nil {
				t.Errorf("Parse = %d requests, want an error", len(captured))
			}
		})
	}
}

// TestHardInput holds what would take minutes or gigabytes if some step were
// not linear.
func TestHardInput(t *testing.T) {
	t.Parallel()
	const size = 100_000
	var laughs strings.Builder
	for i := range 30 {
		fmt.Fprintf(&laughs, "@v%d = {{v%d}}{{v%d}}{{v%d}}x\n", i+1, i, i, i)
	}
	for name, input := range map[string]string{
		"tail":       post(form(strings.Repeat("a&", size))),
		"scopes":     post("grant_type=client_credentials&scope=" + strings.Repeat("aa://bb+", size/4)),
		"names":      post("client_id=x&" + strings.Repeat("client_sekrat=1&", size/16)),
		"curl":       "curl " + testURL + " -d grant_type=x\n" + strings.Repeat("curl \"", size/6),
		"brackets":   "curl " + testURL + " -d grant_type=x\n curl " + strings.Repeat("$(", size/2),
		"variables":  "@v0 = x\n" + laughs.String() + post(strings.Repeat("{{v30}}", 5000)+"&grant_type=x"),
		"headers":    "POST " + testURL + " HTTP/1.1\n" + strings.Repeat("client_secre: x\n", size/16) + "\n",
		"secret":     post(form(strings.Repeat("%20+", size/4))),
		"requests":   strings.Repeat("POST /oauth2/token HTTP/1.1\n\n", size/30),
		"nested":     post(strings.Repeat(`{"a":`, 5000)),
		"scripts":    strings.Repeat("irm "+testURL+" -Body @{grant_type='x'}\n", size/100),
		"strings":    "irm " + testURL + " -Body @{grant_type='x'}\n$a = " + strings.Repeat(`"$(`, size),
		"additions":  "irm " + testURL + " -Body @{grant_type='x'}\n$a = " + strings.Repeat("''+", size),
		"members":    "irm " + testURL + " -Body @{grant_type='x'}\n" + strings.Repeat("$a[$b[", size),
		"tables":     "irm " + testURL + " -Body @{grant_type='x'}\n$a = " + strings.Repeat("@{a=", size),
		"growing":    "$a = 'xxxxxxxx'\n" + strings.Repeat("$a = \"$a$a$a\"\n", 1000) + "irm " + testURL + " -Method Post -Body \"grant_type=x&client_id=$a\"",
		"carets":     "curl " + testURL + " -d grant_type=x ^\n" + strings.Repeat(`^"\`, size),
		"log":        strings.Repeat("POST "+testURL+" \n", size/100),
		"folders":    `{"item":[{"request":{"method":"POST","url":"` + testURL + `"}},` + strings.Repeat(`{"item":[`, 3000) + strings.Repeat("]}", 3000) + "]}",
		"boundaries": post("--\nform-data;" + strings.Repeat("--\n\n\n", size/5)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			defer func() {
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
			}()
			captured, err := Parse([]byte(input))
			if len(captured) == 0 {
				t.Fatal(err)
			}
			for _, c := range captured[:min(len(captured), 10)] {
				Lint(c)
			}
		})
	}
}

// TestEncodings reads every vector of raw HTTP and curl again as other systems
// save it. Nothing but the encoding differs, so the report must not.
func TestEncodings(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*.txtar")
	encodings := map[string]func(string) string{
		"bom":       func(s string) string { return byteOrderMark + s },
		"utf-16 le": func(s string) string { return encodeUTF16(s, binary.LittleEndian) },
		"utf-16 be": func(s string) string { return encodeUTF16(s, binary.BigEndian) },
		"crlf":      func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"no end":    func(s string) string { return strings.TrimRight(s, "\n") },
		"blanks":    func(s string) string { return "\n\n" + s + "\n\n\n" },
	}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".txtar")
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		input := section(archive, "request")
		want, err := Parse([]byte(input))
		if hasError(archive) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if base == "curl_lines" || base == "body_exact_line_end" {
			continue // their faults are line ends
		}
		for name, encode := range encodings {
			got, err := Parse([]byte(encode(input)))
			if err != nil || len(got) != len(want) {
				t.Errorf("%s as %s: %d requests, %v; want %d", base, name, len(got), err, len(want))
				continue
			}
			for i := range got {
				if g, w := causes(Lint(got[i])), causes(Lint(want[i])); g != w {
					t.Errorf("%s as %s: %s, want %s", base, name, g, w)
				}
			}
		}
	}
}

func encodeUTF16(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(byteOrderMark + text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// causes returns the causes and places of a report in one line.
func causes(r Report) string {
	var found []string
	for _, f := range r.Faults {
		at := f.At
		if strings.HasPrefix(at, "line ") {
			at = "line"
		}
		found = append(found, f.Cause+" at "+at)
	}
	return strings.Join(found, ", ")
}

func TestPositions(t *testing.T) {
	t.Parallel()
	captured, err := Parse([]byte("# two requests\n\n" + post(form("x")) + "\n\n###\n// the second\n" + post(form("y")) + "\n"))
	if err != nil || len(captured) != 2 {
		t.Fatalf("%d requests, %v", len(captured), err)
	}
	for i, want := range []struct {
		line, header, body int
		place              string
	}{{3, 4, 6, "line 3"}, {10, 11, 13, "line 10"}} {
		c := captured[i]
		if c.Line != want.line || c.Header[0].Line != want.header || c.BodyLine != want.body || c.Place != want.place {
			t.Errorf("request %d at line %d (%s), header at %d, body at %d; want %+v", i, c.Line, c.Place, c.Header[0].Line, c.BodyLine, want)
		}
	}
	c := parseOne(t, "#!/bin/sh\ncurl \\\n  -H 'Content-Type: text/plain' \\\n  -d 'grant_type=x\n' \\\n  -d client_id=y "+testURL)
	if c.Line != 2 || c.Header[0].Line != 3 || c.BodyLine != 4 {
		t.Errorf("curl at line %d, header at %d, body at %d; want 2, 3, 4", c.Line, c.Header[0].Line, c.BodyLine)
	}
}

// TestShellWords compares with what bash hands to a program.
func TestShellWords(t *testing.T) {
	t.Parallel()
	for input, want := range map[string][]string{
		`curl a  b`:                   {"a", "b"},
		`curl 'a b' "c d"e\ f`:        {"a b", "c de f"},
		`curl "" ''`:                  {"", ""},
		`curl "a\"b\\c\d\$e"`:         {`a"b\c\d$e`},
		`curl 'a\b'`:                  {`a\b`},
		`curl a\b\\`:                  {`ab\`},
		`curl $'a\q' b\`:              {`a\q`, `b\`},
		`curl $'a\x41\101\u00e9\'\n'`: {"aAAé'\n"},
		"curl a\\\nb \\\n c":          {"ab", "c"},
		"curl a \\  \r\n b":           {"a", "b"},
		"curl a ^\r\n b `\n c":        {"a", "b", "c"},
		"curl a\n -d b\nc":            {"a", "-d", "b"},
		"curl a # b":                  {"a"},
		"curl a#b":                    {"a#b"},
		"curl a;b":                    {"a"},
		"curl a|b":                    {"a"},
		"curl a && b":                 {"a"},
		"curl a >b 2>/dev/null c":     {"a", "c"},
		"curl x/<tenant-id>/y":        {"x/<tenant-id>/y"},
		"curl a&b=c":                  {"a&b=c"},
		`curl "$A-${B}" $(c "d") $`:   {`$A-${B}`, `$(c "d")`, "$"},
		"curl \"`date`\"":             {"`date`"},
	} {
		var got []string
		cmd := lexCommand(input, 0)
		for _, w := range cmd.words[1:] {
			got = append(got, w.text)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || cmd.openAt != 0 {
			t.Errorf("words of %q = %q, want %q (open %d)", input, got, want, cmd.openAt)
		}
	}
}

// TestCurlOptions checks what becomes of a command line.
func TestCurlOptions(t *testing.T) {
	t.Parallel()
	const url = " https://h/oauth2/token"
	for input, want := range map[string]string{
		"curl -d a=b -d c=d" + url:                          "POST https://h/oauth2/token [Content-Type:application/x-www-form-urlencoded] a=b&c=d",
		"curl -sSfLd a=b" + url:                             "POST https://h/oauth2/token [Content-Type:application/x-www-form-urlencoded] a=b",
		"curl -da=b -XPUT" + url:                            "PUT https://h/oauth2/token [Content-Type:application/x-www-form-urlencoded] a=b",
		"curl" + url + " -HContent-Type:text/plain -d @-":   "", // the body is not there
		"curl --data-raw @x -H 'X: y' -H 'Empty;'" + url:    "POST https://h/oauth2/token [X:y Empty: Content-Type:application/x-www-form-urlencoded] @x",
		"curl --data-urlencode 'a=b c' -G" + url:            "GET https://h/oauth2/token?a=b%20c [] ",
		"curl --get -d a=b" + url + "?c=d":                  "GET https://h/oauth2/token?c=d&a=b [] ",
		"curl --data-urlencode =é --data-urlencode é" + url: "POST https://h/oauth2/token [Content-Type:application/x-www-form-urlencoded] %C3%A9&%C3%A9",
		"curl --json '{}'" + url:                            "POST https://h/oauth2/token [Content-Type:application/json] {}",
		"curl -u a:b" + url:                                 "GET https://h/oauth2/token [Authorization:Basic YTpi] ",
		"curl -I" + url:                                     "HEAD https://h/oauth2/token [] ",
		"curl --unknown -o out.json --max-time 3" + url:     "GET https://h/oauth2/token [] ",
		"curl out.json" + url + " -X":                       "GET https://h/oauth2/token [] ",
		"/usr/bin/curl.exe --url h/oauth2/token":            "GET http://h/oauth2/token [] ",
	} {
		got := ""
		if captured, err := Parse([]byte(input)); err == nil {
			c := captured[0]
			var headers []string
			for _, h := range c.Header {
				headers = append(headers, h.Name+":"+h.Value)
			}
			got = fmt.Sprintf("%s %s %v %s", c.Method, c.URL, headers, c.Body)
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", input, got, want)
		}
	}
}

// TestHandMade lints requests no parser made: nothing may panic, and both
// members of the report are always there.
func TestHandMade(t *testing.T) {
	t.Parallel()
	for _, c := range []Captured{{}, {URL: "%zz?%zz"}, {URL: "://@?#"}, {Method: "POST", URL: "login.microsoftonline.com"}, {Body: []byte("=&=&&client_secret")}} {
		report := Lint(c)
		if report.Faults == nil || !strings.HasPrefix(report.Corrected, "POST /<tenant-id>/oauth2/v2.0/token HTTP/1.1\n") {
			t.Errorf("Lint = %+v", report)
		}
		c.Form()
		c.Params()
	}
	text, err := json.Marshal(Report{Faults: []Fault{}, Corrected: "x"})
	if err != nil || string(text) != `{"faults":[],"corrected":"x"}` {
		t.Errorf("JSON %s, %v", text, err)
	}
}
