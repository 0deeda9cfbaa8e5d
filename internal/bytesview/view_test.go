package bytesview

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/secret"
)

const value = "aB38Q~0123456789abcdefghijklmnopqrs-._~Z"

func TestOf(t *testing.T) {
	t.Parallel()
	dots := func(n int) string { return strings.Repeat(bullet, n) }
	for name, test := range map[string]struct {
		text, masked string
		signs        []string
	}{
		"right":       {value, "aB3" + dots(37), nil},
		"empty":       {"", "", nil},
		"short":       {"hunter2", dots(7), nil},
		"line end":    {value + "\r\n", "aB3" + dots(37) + "<U+000D><U+000A>", []string{"carriage return (U+000D) at character 41 (byte 41)", "line feed (U+000A) at character 42 (byte 42)"}},
		"bom":         {"\ufeff" + value, "<U+FEFF>aB3" + dots(37), []string{"byte order mark (U+FEFF) at character 1 (byte 1)"}},
		"nbsp inside": {value[:10] + "\u00a0" + value[10:] + "\u200b", "aB3" + dots(7) + "<U+00A0>" + dots(30) + "<U+200B>", []string{"no-break space (U+00A0) at character 11 (byte 11)", "zero-width space (U+200B) at character 42 (byte 43)"}},
		"dash":        {value[:34] + "–" + value[35:], "aB3" + dots(31) + "<U+2013>" + dots(5), []string{"character that is not ASCII (U+2013) at character 35 (byte 35)"}},
		"not UTF-8":   {value + "\xff", "aB3" + dots(37) + "<0xFF>", []string{"byte that is not UTF-8 (0xFF) at character 41 (byte 41)"}},
		"quotes":      {`'"` + value + `"'`, `'"a` + dots(39) + `"'`, []string{"single quote at character 1 (byte 1)", "double quote at character 2 (byte 2)", "double quote at character 43 (byte 43)", "single quote at character 44 (byte 44)"}},
		"json quotes": {`\"hunter2\"`, `\"` + dots(7) + `\"`, []string{"escaped double quote at character 1 (byte 1)", "escaped double quote at character 10 (byte 10)"}},
		"one quote":   {value + `"`, "aB3" + dots(37) + `"`, []string{"double quote at character 41 (byte 41)"}},
		"escapes":     {`aB38Q%7E0123\n456\u0041789&amp;z`, `aB3` + dots(2) + `%` + dots(6) + `\` + dots(4) + `\` + dots(8) + `&` + dots(3) + `;` + dots(1), []string{"percent escape at character 6 (byte 6)", "backslash escape at character 13 (byte 13)", "JSON escape (\\u) at character 18 (byte 18)", "HTML escape at character 27 (byte 27)"}},
		"base64":      {"YUIzOFF+MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnMtLl9+Wg==", "YUI" + dots(53), []string{"the base64 of readable text"}},
		"twice":       {"aB38Q%257E0123456789", "aB3" + dots(2) + "%" + dots(14), []string{"percent escape at character 6 (byte 6)", "percent-encoded more than once"}},
		"placeholder": {"${CLIENT_SECRET}", "${C" + dots(13), []string{"a placeholder that nothing has replaced"}},
		"long":        {strings.Repeat("q", 300), "qqq" + dots(197) + "…", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := Of(secret.New(test.text))
			var signs []string
			for _, s := range view.Signs {
				signs = append(signs, s.String())
			}
			if view.Masked != test.masked || !slices.Equal(signs, test.signs) || view.Bytes != len(test.text) || view.Characters != len([]rune(test.text)) {
				t.Errorf("%q:\n%s %q\nwant\n%s %q", test.text, view.Masked, signs, test.masked, test.signs)
			}
		})
	}
}

// refused stands for no value in the cases.
const refused = "\x00refused"

// TestReaders holds what each reader makes of a text. The columns of Node.js,
// godotenv, sh, YAML and Java are from runs of the programs, with no variable
// of these names set.
func TestReaders(t *testing.T) {
	t.Parallel()
	order := []string{"docker run --env-file", "dotenv (Node.js)", "godotenv", "sh export", "YAML", "Java properties"}
	for raw, want := range map[string][]string{
		`ab#cd`:        {`ab#cd`, `ab`, `ab#cd`, `ab#cd`, `ab#cd`, `ab#cd`},
		`ab #cd`:       {`ab #cd`, `ab`, `ab`, `ab`, `ab`, `ab #cd`},
		`"ab#cd"`:      {`"ab#cd"`, `ab#cd`, `ab#cd`, `ab#cd`, `ab#cd`, `"ab#cd"`},
		`'ab$cd'`:      {`'ab$cd'`, `ab$cd`, `ab$cd`, `ab$cd`, `ab$cd`, `'ab$cd'`},
		`"ab$cd"`:      {`"ab$cd"`, `ab$cd`, `ab$cd`, `ab`, `ab$cd`, `"ab$cd"`},
		`ab$cd`:        {`ab$cd`, `ab$cd`, `ab$cd`, `ab`, `ab$cd`, `ab$cd`},
		`"ab\ncd"`:     {`"ab\ncd"`, "ab\ncd", "ab\ncd", `ab\ncd`, "ab\ncd", "\"ab\ncd\""},
		`'ab\ncd'`:     {`'ab\ncd'`, `ab\ncd`, `ab\ncd`, `ab\ncd`, `ab\ncd`, "'ab\ncd'"},
		`ab\ncd`:       {`ab\ncd`, `ab\ncd`, `ab\ncd`, `abncd`, `ab\ncd`, "ab\ncd"},
		`"ab\"cd"`:     {`"ab\"cd"`, `ab\"cd`, `ab"cd`, `ab"cd`, `ab"cd`, `"ab"cd"`},
		"ab cd ":       {"ab cd ", "ab cd", "ab cd", refused, "ab cd", "ab cd "},
		"`ab`":         {"`ab`", "ab", "`ab`", refused, refused, "`ab`"},
		`"ab" # c`:     {`"ab" # c`, `ab`, `ab`, `ab`, `ab`, `"ab" # c`},
		`'ab' x`:       {`'ab' x`, `'ab' x`, refused, refused, refused, `'ab' x`},
		`"ab\$cd"`:     {`"ab\$cd"`, `ab\$cd`, `ab$cd`, `ab$cd`, refused, `"ab$cd"`},
		`"a%7Eb"`:      {`"a%7Eb"`, `a%7Eb`, `a%7Eb`, `a%7Eb`, `a%7Eb`, `"a%7Eb"`},
		`ab"cd`:        {`ab"cd`, `ab"cd`, `ab"cd`, refused, `ab"cd`, `ab"cd`},
		`"ab`:          {`"ab`, `"ab`, refused, refused, refused, `"ab`},
		`ab\`:          {`ab\`, `ab\`, `ab\`, `ab`, `ab\`, `ab`},
		`a\$cd`:        {`a\$cd`, `a\$cd`, `a$cd`, `a$cd`, `a\$cd`, `a$cd`},
		`a${UNSET_X}b`: {`a${UNSET_X}b`, `a${UNSET_X}b`, `ab`, `ab`, `a${UNSET_X}b`, `a${UNSET_X}b`},
	} {
		for i, name := range order {
			checkReader(t, name, raw, want[i])
		}
	}
	for _, test := range [][3]string{
		{"docker compose env_file", `ab#cd`, `ab#cd`}, {"docker compose env_file", `ab #cd`, `ab`}, {"docker compose env_file", `'a$b'`, `a$b`},
		{"docker compose env_file", `a$bc`, `a`}, {"docker compose env_file", `"a\tb"`, "a\tb"}, {"docker compose env_file", `'a\'b'`, `a'b`},
		{"python-dotenv", `a$b`, `a$b`}, {"python-dotenv", `'a${B}c'`, `ac`}, {"python-dotenv", `"a\tb"`, "a\tb"}, {"python-dotenv", `a #b`, `a`},
		{"systemd EnvironmentFile", `a #b`, `a #b`}, {"systemd EnvironmentFile", `"a$b"`, `a$b`}, {"systemd EnvironmentFile", `'a\nb'`, `a\nb`}, {"systemd EnvironmentFile", `a\$b `, `a$b`},
		{"docker compose file", `a$$b`, `a$b`}, {"docker compose file", `a$b`, `a`}, {"docker compose file", `a${B:-c}`, `ac`}, {"docker compose env_file", `a${B-c}`, `ac`},
		{"sh export", `a${B:-c}d`, `acd`}, {"sh export", `a${B%c}`, refused}, {"sh export", `a$1`, refused}, {"sh export", `~a`, refused}, {"sh export", `"~a"`, `~a`}, {"sh export", `a~b`, `a~b`},
		{"python-dotenv", `#a`, `#a`}, {"python-dotenv", `"a\"`, `a\`}, {"YAML", `-`, refused}, {"YAML", `"a"#b`, refused}, {"docker compose file", `"a$"`, refused},
		{"YAML", `@a`, refused}, {"YAML", `123`, refused}, {"YAML", `a: b`, refused}, {"YAML", `'it''s'`, `it's`}, {"YAML", `"\u0041\x7e"`, `A~`},
		{"JSON", `"a\u007eb",`, `a~b`}, {"JSON", `a`, refused}, {"JSON", `"a\qb"`, refused}, {"JSON", `"a`, refused},
		{"Java properties", `a\u007eb`, `a~b`}, {"Java properties", `a\uXY`, refused}, {"Java properties", "a\\\n  b", `ab`},
		{"Grafana ini", `a;b`, `a`}, {"Grafana ini", `"""a#b"""`, `a#b`}, {"Grafana ini", "`a;b`", `a;b`}, {"Grafana ini", `"ab"`, `ab`}, {"Grafana ini", `$__env{X}`, ``},
	} {
		checkReader(t, test[0], test[1], test[2])
	}
}

func checkReader(t *testing.T, name, raw, want string) {
	t.Helper()
	at := slices.IndexFunc(readers, func(r reader) bool { return r.name == name })
	if at < 0 {
		t.Fatalf("no reader %s", name)
	}
	got := readers[at].read(raw)
	if got.refused != "" {
		got.text = refused
	}
	if got.text != want {
		t.Errorf("%s reads %q as %q (%s), want %q", name, raw, got.text, got.refused, want)
	}
}

func TestOfRaw(t *testing.T) {
	t.Parallel()
	view := OfRaw(secret.New("aB38Q~012345#6789"), secret.New(`"aB38Q~012345#6789"`), Dotenv)
	var says []string
	for _, r := range view.Readings {
		says = append(says, r.Reader+": "+r.Says)
	}
	want := []string{
		"docker run --env-file: 19 bytes where 17 are sent, different from byte 1 on",
		"docker compose env_file: the same 17 bytes", "dotenv (Node.js): the same 17 bytes", "python-dotenv: the same 17 bytes",
		"godotenv: the same 17 bytes", "systemd EnvironmentFile: the same 17 bytes", "sh export: the same 17 bytes",
	}
	if !slices.Equal(says, want) {
		t.Errorf("%q\nwant %q", says, want)
	}
	all := OfRaw(secret.New("x"), secret.New("$X"), "")
	if len(all.Readings) != len(readers) || !all.Readings[6].Expands || !strings.Contains(all.Readings[6].Says, "it replaces a $") {
		t.Errorf("%+v", all.Readings)
	}
	text, err := json.Marshal(view.Readings[0])
	if err != nil || string(text) != `{"reader":"docker run --env-file","source":"documented","same":false,"bytes":19,"first_difference":1,"expands":false,"says":"19 bytes where 17 are sent, different from byte 1 on"}` {
		t.Errorf("%s, %v", text, err)
	}
	if long := OfRaw(secret.New("x"), secret.New(strings.Repeat("x", maxRaw+1)), JSON); long.Readings[0].Refused == "" {
		t.Error("a text of 64 KiB is read as a value")
	}
}

// FuzzOfRaw: nothing that is said of a value holds a part of it, and no text
// breaks a reader.
func FuzzOfRaw(f *testing.F) {
	for _, raw := range []string{value, `"` + value + `"`, "%7E%7e", "${X:-y}", `\u0041\`, "&#126;", "“x”", "a\\\nb", "$__env{X}", "''''", `"""`} {
		f.Add(raw, "\x00\n")
	}
	f.Fuzz(func(t *testing.T, raw, around string) {
		const inside = "kZ48QvTn3bXwLqPz7RmYcDsF"
		for _, v := range []string{raw, around + inside + raw, raw + inside} {
			view := OfRaw(secret.New(v), secret.New(raw+inside+around), "")
			out, err := json.Marshal(view)
			if err != nil {
				t.Fatal(err)
			}
			text := string(out) + fmt.Sprintf("%+v", view)
			if found := canary.Find([]byte(text), inside); len(found) > 0 {
				t.Errorf("%q: the view holds the value (%v): %s", v, found, text)
			}
			if n := len([]rune(view.Masked)); n > 10*maxMasked {
				t.Errorf("masked has %d characters", n)
			}
		}
	})
}
