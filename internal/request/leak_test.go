package request

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// carriers put a secret where people put one, rightly or not. Each is a whole
// capture.
var carriers = []func(value string) string{
	func(v string) string { return post(form(v)) },
	func(v string) string { return post(form(url.QueryEscape(v))) },
	func(v string) string { return post(form(url.QueryEscape(url.QueryEscape(v)))) },
	func(v string) string { return post(form("%22" + v + "%0A")) },
	func(v string) string { return post(strings.ReplaceAll(form(v), "&", "\n")) },
	func(v string) string { return post(strings.ReplaceAll(form(v), "&", "&amp;")) },
	func(v string) string { return post(base64.StdEncoding.EncodeToString([]byte(form(v)))) },
	func(v string) string { return post(url.QueryEscape(form(v))) },
	func(v string) string { return post(form("x") + "&client_secret=" + v) },
	func(v string) string { return post("clientSecret=" + v) },
	func(v string) string { return post("client_id=" + v + "&client_secret=" + v) },
	func(v string) string { return post("grant_type=" + v + "&client_secret=" + v) },
	func(v string) string { return post("scope=" + v + "&client_secret=" + v) },
	func(v string) string { return post("resource=" + v + "&claims=" + v + "&client_secret=" + v) },
	func(v string) string { return post("client_assertion=" + v + "&client_assertion_type=" + v) },
	func(v string) string { return post("grant_type=password&username=u&password=" + v) },
	func(v string) string { return post("grant_type=authorization_code&code=" + v) },
	func(v string) string { return post("grant_type=refresh_token&refresh_token=" + v) },
	func(v string) string { return strings.Replace(post(form(v)), "application/x", v+"/x", 1) },
	func(v string) string { return strings.Replace(post(form(v)), testTenant, url.PathEscape(v), 1) },
	func(v string) string {
		return strings.Replace(post(form(v)), "login.microsoftonline.com", url.PathEscape(v), 1)
	},
	func(v string) string {
		return "POST " + testURL + "?client_secret=" + url.QueryEscape(v) + " HTTP/1.1\n\n"
	},
	func(v string) string {
		return "POST " + testURL + " HTTP/1.1\nclient_secret: " + v + "\n\ngrant_type=x"
	},
	func(v string) string {
		return "POST " + testURL + " HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(testClient+":"+v)) + "\n\ngrant_type=x"
	},
	func(v string) string {
		return "POST " + testURL + " HTTP/1.1\nAuthorization: Basic " + testClient + ":" + v + "\n\ngrant_type=x"
	},
	func(v string) string {
		text, _ := json.Marshal(map[string]string{"client_secret": v, "client_id": v})
		return post(string(text))
	},
	func(v string) string { return post(`{"client_secret":"` + v) },
	func(v string) string { return post("<client_secret>" + v + "</client_secret>") },
	func(v string) string { return "curl " + testURL + " -d 'client_secret=" + v + "'" },
	func(v string) string { return "curl " + testURL + " -d client_secret=" + v },
	func(v string) string { return "curl " + testURL + ` -d "client_secret=` + v + `"` },
	func(v string) string { return "curl " + testURL + " --data-urlencode 'client_secret=" + v + "'" },
	func(v string) string { return "curl " + testURL + " -F 'client_secret=" + v + "'" },
	func(v string) string { return "curl " + testURL + " -u '" + testClient + ":" + v + "' -d grant_type=x" },
	func(v string) string {
		text, _ := json.Marshal(form(v))
		return `{"log":{"entries":[{"request":{"method":"POST","url":"` + testURL + `","postData":{"mimeType":"text/plain","text":` + string(text) + `}}}]}}`
	},
	func(v string) string {
		return "Invoke-RestMethod -Method Post -Uri " + testURL + " -Body @{ client_secret = '" + strings.ReplaceAll(v, "'", "''") + "' }"
	},
	func(v string) string {
		return "$s = \"" + v + "\"\nirm " + testURL + " -Method Post -Body \"client_secret=$s\" -Headers @{ X = $s }"
	},
	func(v string) string { return "curl.exe " + testURL + " `\n -d \"client_secret=" + v + "\"" },
	func(v string) string { return "curl ^\"" + testURL + "^\" ^\n -d \"client_secret=" + v + "\"" },
	func(v string) string {
		text, _ := json.Marshal(v)
		return `{"item":[{"name":"x","request":{"method":"POST","url":"` + testURL + `","body":{"mode":"urlencoded","urlencoded":[{"key":"client_secret","value":` + string(text) + `}]},"auth":{"type":"oauth2","oauth2":[{"key":"accessTokenUrl","value":"` + testURL + `"},{"key":"grant_type","value":"client_credentials"},{"key":"clientSecret","value":` + string(text) + `}]}}}]}`
	},
	func(v string) string {
		return fmt.Sprintf("send: b%q\nsend: b%q\n", "POST /"+testTenant+"/oauth2/token HTTP/1.1\r\nHost: x\r\n\r\n", form(v))
	},
	func(v string) string {
		return "=> Send header, 9 bytes (0x9)\n0000: POST " + testURL + " HTTP/1.1\n=> Send data, 9 bytes (0x9)\n0000: client_secret=" + v + "\n"
	},
	func(v string) string { return "Sending HTTP request POST " + testURL + "?client_secret=" + v },
}

// output is everything the package says of an input.
func output(input string) string {
	captured, err := Parse([]byte(input))
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v\n", err, captured, captured)
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, c := range captured {
		report := Lint(c)
		for _, f := range report.Faults {
			fmt.Fprintf(&out, "%s %s %s\n", f.Cause, f.At, f.Says)
		}
		fmt.Fprintf(&out, "%s\n%v %+v %s %q %v\n%+v\n%+v\n", report.Corrected, c, c, c, c, &c, c.Form().Secret, c.Params().Secret)
		log.Info("captured", "request", c)
		if text, err := json.Marshal(c); err == nil {
			out.Write(text)
		}
	}
	return out.String()
}

func TestNoLeak(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		testSecret,
		"qR7x+k9LmN2/pT4vW6yZ8aB1cD3eF5gH7iJ9kL1mN3o=", // 2017
		"qR7%k9Lm&N2pT=4vW6yZ8&aB1cD3:eF5gH7",          // made by hand
		`qR7"k9Lm'N2pT\4vW6yZ8 aB1cD3 eF5gH7`,
		"5c9f3a1e-7d42-4b8a-9e61-0f2d8c7b6a54",
		"contoso-kv.Passw0rd.2024",
		"kZ48Q~vTn3b$(Xw.LqPz_7RmYcD-sFgHj2KtW9eBa)",
	} {
		for i, carry := range carriers {
			out := output(carry(value))
			noLeak(t, out, value)
			if t.Failed() {
				t.Fatalf("carrier %d", i)
			}
		}
	}
}

// TestCorrectedIsCorrect lints what Lint wrote: nothing is wrong with it but
// what could not be known, and writing it again changes nothing.
func TestCorrectedIsCorrect(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		captured, err := Parse([]byte(section(archive, "request")))
		if err != nil && !hasError(archive) {
			t.Fatal(err)
		}
		for _, c := range captured {
			corrected := Lint(c).Corrected
			again := Lint(parseOne(t, corrected))
			if again.Corrected != corrected {
				t.Errorf("%s: corrected again, it is\n%s\nnot\n%s", file, again.Corrected, corrected)
			}
			for _, f := range again.Faults {
				unknown := f.Cause == secretPlaceholder ||
					f.Cause == tenantPlaceholder && strings.Contains(corrected, "<tenant-id>") ||
					f.Cause == clientIDMalformed && strings.Contains(corrected, "<client-id>") ||
					f.Cause == scopeMalformed && strings.Contains(corrected, "<resource>")
				if !unknown {
					t.Errorf("%s: the corrected request still has %s at %s: %s", file, f.Cause, f.At, f.Says)
				}
			}
		}
	}
}

// FuzzParseLint feeds any input, and any secret in every place of a request.
// The run of letters around the secret is what must not come out.
func FuzzParseLint(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(section(archive, "request"), uint8(0), "~.-_")
	}
	for i := range carriers {
		f.Add("", uint8(i), "+%&='\"\\ ")
	}
	f.Fuzz(func(t *testing.T, input string, carrier uint8, inside string) {
		output(input)
		const canary, end = "kZ48Q~vTn3bXw", "LqPz_7RmYcDsF"
		out := output(carriers[int(carrier)%len(carriers)](canary + inside + end))
		for _, part := range []string{canary, end} {
			noLeak(t, out, part)
		}
	})
}
