package aadsts

import "strings"

// appsIn returns the application that a message names as the client, and the one
// whose api:// URI it names.
func appsIn(message string) (client, resource string) {
	sc := scanner{s: message}
	for i := 0; i < len(message); i++ {
		if !isHex(message[i]) || i > 0 && isWord(message[i-1]) {
			continue
		}
		guid, end := sc.guid(i)
		if end == 0 {
			continue
		}
		before := strings.TrimRight(message[:i], `'"( :`+"`")
		if namesApp(before) {
			return guid, resource
		}
		if resource == "" && strings.HasSuffix(message[:i], "api://") {
			resource = guid
		}
		i = end
	}
	return "", resource
}

// namesApp tells whether the words before a GUID call it an application:
// "app '", "Application '", "application with identifier '", "with ID '".
func namesApp(before string) bool {
	words := strings.Fields(before[max(0, len(before)-40):])
	if len(words) == 0 {
		return false
	}
	last, previous := strings.ToLower(words[len(words)-1]), ""
	if len(words) > 1 {
		previous = strings.ToLower(words[len(words)-2])
	}
	switch last {
	case "app", "application", "client":
		return true
	case "identifier":
		return previous == "with" || previous == "application"
	case "id":
		return previous == "with" || previous == "app" || previous == "application" || previous == "client"
	}
	return false
}

// tenantIn returns the tenant that a message names, as printed.
func tenantIn(message string) string {
	for _, before := range [...]string{"tenant identifier ", "tenant named ", "tenant ", "directory ", "access to "} {
		for rest := message; ; {
			i := indexFold(rest, before)
			if i < 0 {
				break
			}
			rest = rest[i+len(before):]
			if tenant := tenantAt(rest, before); tenant != "" {
				return tenant
			}
		}
	}
	return ""
}

// tenantAt reads the tenant at the start of s: in quotes, or bare where the
// service prints it so.
func tenantAt(s, before string) string {
	if s == "" {
		return ""
	}
	if q := s[0]; q == '\'' || q == '"' {
		name, _, closed := strings.Cut(s[1:], s[:1])
		if !closed {
			return "" // cut short
		}
		return name
	}
	switch before {
	case "tenant named ":
		name, _, _ := strings.Cut(s, ". ")
		return strings.TrimSuffix(name, ".")
	case "tenant ":
		sc := scanner{s: s}
		if _, end := sc.guid(0); end > 0 {
			return s[:end]
		}
	}
	return ""
}

// indexFold returns where word, in lower case, first stands in s in any case.
func indexFold(s, word string) int {
	const lowerCase = 0x20 // takes some punctuation for letters, which equalFold does not
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|lowerCase == word[0] && equalFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}
