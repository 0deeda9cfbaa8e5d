package secret

import "testing"

func TestMistaken(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"Aa18Q~0123456789abcdefghijklmnopqrs-._~Z":    true,
		" Aa18Q~0123456789abcdefghijklmnopqrs-._~Z\n": true,
		"Aa18Q~01234":                          true,
		"vXk4Jm-w.8Zr0_Tq~6Yb1Nc3Ld5Pe7Rf9S":   true, // 34, older
		"my-application-in-production-west1":   false,
		"1b7e0000-0000-4000-8000-0000000000b2": false,
		"contoso.onmicrosoft.com":              false,
		"billing api":                          false,
		"":                                     false,
	} {
		if got := Mistaken(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
		if shown := Shown(id); (shown == "***") != want || !want && shown != id {
			t.Errorf("%q is shown as %q", id, shown)
		}
	}
}

func TestVeil(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`app Aa18Q~0123456789abcdefghijklmnopqrs-._~Z in "x"`:                                 `app *** in "x"`,
		"app aa18q~0123456789abcdefghijklmnopqrs-._~z":                                        "app ***",
		"two: Aa18Q~0123456789abcdefghijklmnopqrs-._~Z,Bb27Q~0123456789abcdefghijklmnopqrs-.": "two: ***,***",
		"values made today hold Q~ and have 40 characters":                                    "values made today hold Q~ and have 40 characters",
		"nothing": "nothing",
	} {
		if got := Veil(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
