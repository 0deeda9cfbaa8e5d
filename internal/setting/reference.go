package setting

import (
	"regexp"
	"strings"
	"sync"
)

// reference marks a text that only stands for a value held elsewhere. What is
// named is the reference in a form that is safe to print: a default inside it,
// or a command, can hold the secret.
func reference(n *node) {
	t := strings.TrimSpace(n.text)
	switch {
	case strings.HasPrefix(t, "${{") && strings.HasSuffix(t, "}}"):
		n.unresolved = named(strings.TrimSpace(t[3:len(t)-2]), "", "", "an expression in ${{ }}")
	case strings.HasPrefix(t, "@Microsoft.KeyVault("), strings.HasPrefix(t, "@Microsoft.AppConfiguration("):
		head, _, _ := strings.Cut(t, "(")
		n.unresolved, n.pinned, n.vault = head+"(...)", pinnedVersion(t), vaultAddress(t)
	case variable(t):
		name := t[2 : len(t)-1]
		if cut := strings.IndexAny(name, ":-?+="); cut >= 0 {
			name = name[:cut]
		}
		n.unresolved = named(name, "${", "}", "a variable in ${ }")
	case strings.HasPrefix(t, "$(") && strings.HasSuffix(t, ")"):
		n.unresolved = named(t[2:len(t)-1], "$(", ")", "a variable or command in $( )")
	case strings.HasPrefix(t, "$__") && strings.HasSuffix(t, "}"):
		head, _, _ := strings.Cut(t, "{")
		n.unresolved = named(strings.TrimPrefix(head, "$__"), "$__", "{...}", "a provider in $__{ }")
	case strings.HasPrefix(t, "{{") && strings.HasSuffix(t, "}}"):
		n.unresolved = "a template"
	}
}

// vaultReference marks a reference to a vault where nothing else stands for a
// value: in quotes that expand nothing, or behind escapes.
func vaultReference(n *node) {
	if n.unresolved == "" && strings.HasPrefix(strings.TrimSpace(n.text), "@Microsoft.") {
		reference(n)
	}
}

func variable(t string) bool {
	return strings.HasPrefix(t, "${") && strings.HasSuffix(t, "}") && strings.Count(t, "${") == 1
}

// The forms of a default, by the reader that takes it.
var (
	springDefault = lazy(`(?s)^\$\{[^:}]*:(.*)\}$`)
	shellDefault  = lazy(`(?s)^\$\{[A-Za-z_][A-Za-z0-9_]*:?-(.*)\}$`)
)

// fallback takes the default of a reference for the text.
func fallback(n *node, form *regexp.Regexp) {
	m := form.FindStringSubmatch(strings.TrimSpace(n.text))
	if n.unresolved == "" || !variable(strings.TrimSpace(n.text)) || m == nil {
		return
	}
	n.note = n.unresolved + " has a default, which is what is read here"
	n.text, n.unresolved = m[1], ""
}

var nameOnly = lazy(`^[A-Za-z_][A-Za-z0-9_.-]{0,79}$`)

// named returns a name between marks when it can only be a name, else what
// kind of expression it is. A long word of letters and digits may be a value.
func named(name, before, after, kind string) string {
	if !nameOnly().MatchString(name) {
		return kind
	}
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '_' || r == '.' || r == '-' }) {
		if len(word) >= 12 && strings.ContainsAny(word, "0123456789") || len(word) > 32 {
			return kind
		}
	}
	return before + name + after
}

var (
	vaultURI     = lazy(`(?i)SecretUri\s*=\s*https://[^/\s]+/secrets/[^/\s;)]+/([0-9A-Za-z]+)/?\s*[;)]`)
	vaultVersion = lazy(`(?i)SecretVersion\s*=\s*([0-9A-Za-z]+)`)
)

// pinnedVersion reports whether a Key Vault reference of App Service names one
// version of its secret. Source: Microsoft, "Use Key Vault references".
func pinnedVersion(text string) bool {
	return vaultURI().MatchString(text) || vaultVersion().MatchString(text)
}

var (
	vaultSecret = lazy(`(?i)SecretUri\s*=\s*(https://[^/\s;)]+/secrets/[0-9A-Za-z-]{1,127})[/\s;)]`)
	vaultName   = lazy(`(?i)VaultName\s*=\s*([0-9A-Za-z-]{3,24})\s*[;)]`)
	secretName  = lazy(`(?i)SecretName\s*=\s*([0-9A-Za-z-]{1,127})\s*[;)]`)
)

// vaultAddress is the secret that a Key Vault reference names, "" if it does
// not say. A vault that is only named is one of the public cloud.
func vaultAddress(text string) string {
	if m := vaultSecret().FindStringSubmatch(text); m != nil {
		return m[1]
	}
	vault, name := vaultName().FindStringSubmatch(text), secretName().FindStringSubmatch(text)
	if vault == nil || name == nil {
		return ""
	}
	return "https://" + strings.ToLower(vault[1]) + ".vault.azure.net/secrets/" + name[1]
}

// lazy compiles a pattern when it is first used, not before main.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
