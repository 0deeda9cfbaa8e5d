package setting

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// reader reads one kind of file. The table in readers is the only place that
// knows the kinds.
type reader struct {
	kind  string
	match func(name string) bool
	read  func(*session, *source) ([]Found, error)
}

func ext(endings ...string) func(string) bool {
	return func(base string) bool {
		for _, e := range endings {
			if strings.HasSuffix(base, e) {
				return true
			}
		}
		return false
	}
}

// readers in the order they are asked; names are in lower case.
func readers() []reader {
	return []reader{
		{"dotenv", isDotenv, readDotenv},
		{"shell", isShell, readShell},
		{"systemd", isUnit, readUnit},
		{"json", ext(".json", ".jsonc"), readJSON},
		{"compose", isCompose, readCompose},
		{"yaml", ext(".yml", ".yaml"), readYAML},
		{"properties", ext(".properties"), readProperties},
		{"terraform", ext(".tf", ".tfvars", ".hcl"), readTerraform},
		{"xml", ext(".config"), readXML},
		{"ini", ext(".ini", ".cfg", ".conf", ".toml"), readINI},
	}
}

var (
	shebang     = lazy(`^#![^\n]*\b(?:sh|bash|zsh|ksh|dash)\b`)
	looksINI    = lazy(`(?m)^\[[^\[\]\n]+\]\s*$`)
	looksDotenv = lazy(`(?m)^(?:export )?[A-Za-z_][A-Za-z0-9_]*=`)
)

// kindOf guesses the kind of a file that its name does not tell.
func kindOf(text string) string {
	text = strings.TrimSpace(strings.TrimPrefix(text, mark))
	switch {
	case shebang().MatchString(text):
		return "shell"
	case strings.HasPrefix(text, "{"):
		return "json"
	case strings.HasPrefix(text, "<"):
		return "xml"
	case looksINI().MatchString(text):
		return "ini"
	case looksDotenv().MatchString(text):
		return "dotenv"
	}
	return "yaml"
}

func isDotenv(name string) bool {
	base := path.Base(name)
	return base == ".env" || strings.HasPrefix(base, ".env.") || strings.HasSuffix(base, ".env") || base == "env.list"
}

func isShell(name string) bool {
	return ext(".sh", ".bash", ".zsh", ".ksh")(name) || slices.Contains([]string{".envrc", ".profile", ".bashrc", ".bash_profile", ".zshrc", ".zshenv", ".zprofile"}, path.Base(name))
}

// readDotenv reads as most libraries do. docker run --env-file takes lines as
// they are, which is said where it matters.
func readDotenv(_ *session, s *source) ([]Found, error) {
	base := strings.ToLower(path.Base(s.name))
	return extract("dotenv", flatten(dotenvNode(s, base == "env.list" || base == "docker.env"), nil, nil)), s.keyWithout("=")
}

// keyWithout finds a line that begins with a key of a setting and has no
// separator behind it. Readers of lines pass it over, so the part is missing.
func (s *source) keyWithout(separators string) error {
	var err error
	s.each(func(line string, at int) {
		m := firstWord().FindStringSubmatchIndex(line)
		if err != nil || m == nil || strings.ContainsAny(line, separators) || strings.IndexByte(line, 0) >= 0 {
			return
		}
		key := strings.TrimRight(line[m[2]:m[3]], ":")
		if r, _ := roleOf([]string{key}); r == secretRole || r == clientRole || r == tenantRole {
			err = s.errorAt(at+m[2], fmt.Errorf("malformed line: %s has no = behind it", named(key, "", "", "a key")))
		}
	})
	return err
}

// firstWord is a name that is more than one word: client_id, not tenant.
var firstWord = lazy(`^\s*(?:export\s+)?([A-Za-z][A-Za-z0-9]*[_.:-][A-Za-z0-9_.:-]*)[\s:]+\S`)

func dotenvNode(s *source, raw bool) *node {
	root, earlier := &node{kind: mapping, src: s}, map[string]*node{}
	for _, e := range ParseDotenv([]byte(s.text)).entries {
		n := &node{key: e.key, text: e.value, src: s, start: e.start, end: e.end}
		switch {
		case raw:
			line, _, _ := strings.Cut(s.text[e.start:], "\n")
			n.text = strings.TrimSuffix(line, "\r")
			n.end = n.start + len(n.text)
		case e.quote != 0:
			n.note = "readers of .env files do not agree on quotes: docker run --env-file keeps them"
		}
		if !raw && e.quote != '\'' {
			expand(n, earlier)
		}
		vaultReference(n)
		root.items, earlier[n.key] = append(root.items, n), n
	}
	return root
}

// expand puts an earlier variable of the file in place of a reference to it.
func expand(n *node, earlier map[string]*node) {
	reference(n)
	name, ok := strings.CutPrefix(n.unresolved, "${")
	name = strings.TrimSuffix(name, "}")
	if other := earlier[name]; ok && other != nil {
		n.text, n.unresolved = other.text, other.unresolved
		n.note = n.key + " refers to " + name + ", which not every reader of .env files follows"
		return
	}
	fallback(n, shellDefault())
}

func readJSON(_ *session, s *source) ([]Found, error) {
	root, err := parseJSON(s)
	if err != nil {
		return nil, err
	}
	markReferences(root)
	base := strings.ToLower(path.Base(s.name))
	consumer := "json"
	switch {
	case base == "local.settings.json":
		root, consumer = root.get("Values"), "functions"
	case strings.HasPrefix(base, "appsettings") || base == "secrets.json":
		consumer = "dotnet"
	}
	if strings.HasSuffix(base, ".tfvars.json") {
		consumer = "terraform"
	}
	return extract(consumer, flatten(root, nil, nil)), nil
}

func markReferences(n *node) {
	if n.kind == scalar {
		reference(n)
	}
	for _, item := range n.items {
		markReferences(item)
	}
}

func readYAML(session *session, s *source) ([]Found, error) {
	docs, err := parseYAML(s)
	if err != nil {
		return nil, err
	}
	var all []Found
	base := strings.ToLower(path.Base(s.name))
	for _, doc := range docs {
		switch {
		case doc.str("apiVersion") != "" && doc.str("kind") != "":
			session.manifest(path.Dir(s.name), doc)
		case doc.get("jobs") != nil:
			all = append(all, workflow(doc)...)
		case strings.HasPrefix(base, "application") || strings.HasPrefix(base, "bootstrap"):
			session.spring(s, []*node{doc})
		case strings.HasPrefix(base, "values"):
			l := layer{name: s.name, overlay: helmOverlay(s.name), fields: flatten(doc, nil, nil)}
			if l.overlay {
				l.environment = EnvironmentOf(s.name)
			}
			session.add("helm", "", l)
		default:
			all = append(all, extract("yaml", flatten(doc, nil, nil))...)
		}
	}
	return all, nil
}

func readProperties(session *session, s *source) ([]Found, error) {
	docs, err := parseProperties(s)
	session.spring(s, docs)
	return nil, err
}

// workflow reads the azure/login steps and the env blocks of a GitHub workflow.
func workflow(doc *node) []Found {
	all := extract("azure-login", flatten(doc, nil, nil))
	var walk func(*node)
	walk = func(n *node) {
		for _, item := range n.children() {
			if item.key == "creds" && item.kind == scalar {
				all = append(all, creds(item)...)
			}
			walk(item)
		}
	}
	walk(doc)
	return all
}

// creds reads the JSON in one scalar. Its parts share the place of the scalar.
func creds(n *node) []Found {
	parts := &node{kind: mapping, src: n.src}
	inner, err := parseJSON(&source{name: n.src.name, text: n.text, lines: []int{0}})
	if n.unresolved != "" || err != nil || inner.kind != mapping {
		if n.unresolved == "" {
			n.unresolved = "creds that is no JSON object"
		}
		for _, key := range []string{"clientId", "clientSecret", "tenantId"} {
			parts.items = append(parts.items, &node{key: key, src: n.src, start: n.start, end: n.start, unresolved: n.unresolved})
		}
	} else {
		for _, item := range inner.items {
			markReferences(item)
			item.src, item.start, item.end = n.src, n.start, n.start
			parts.items = append(parts.items, item)
		}
	}
	return extract("azure-login", flatten(parts, nil, nil))
}

func readINI(_ *session, s *source) ([]Found, error) {
	root, err := parseINI(s)
	if err != nil {
		return nil, err
	}
	consumer := "ini"
	switch {
	case root.get("auth.azuread") != nil:
		consumer = "grafana"
	case strings.Contains(s.name, "oauth2"):
		consumer = "oauth2-proxy"
	}
	return extract(consumer, flatten(root, nil, nil)), s.keyWithout("=:")
}

// readXML reads <add key= value=> of .NET Framework configuration.
func readXML(_ *session, s *source) ([]Found, error) {
	root := &node{kind: mapping, src: s}
	body := strings.TrimPrefix(s.text, mark)
	shift := len(s.text) - len(body)
	d := xml.NewDecoder(strings.NewReader(body))
	// The text is UTF-8 by now, whatever the declaration says.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for depth := 0; ; {
		begin := int(d.InputOffset()) + shift
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return extract("dotnet-framework", flatten(root, nil, nil)), nil
		}
		if err != nil {
			return nil, s.errorAt(min(int(d.InputOffset())+shift, len(s.text)), errors.New("malformed XML"))
		}
		if _, ends := token.(xml.EndElement); ends {
			depth--
		}
		element, ok := token.(xml.StartElement)
		if ok {
			depth++
		}
		if depth > maxDepth {
			return nil, s.errorAt(begin, errors.New("malformed XML: nested too deeply"))
		}
		if !ok || element.Name.Local != "add" {
			continue
		}
		n := &node{src: s}
		for _, a := range element.Attr {
			switch a.Name.Local {
			case "key":
				n.key = a.Value
			case "value":
				n.text = a.Value
			}
		}
		n.start, n.end = attribute(s.text, begin, int(d.InputOffset())+shift)
		reference(n)
		root.items = append(root.items, n)
	}
}

var xmlValue = lazy(`\svalue\s*=\s*("[^"]*"|'[^']*')`)

func attribute(text string, begin, end int) (int, int) {
	m := xmlValue().FindStringSubmatchIndex(text[begin:end])
	if m == nil {
		return begin, begin
	}
	return begin + m[2], begin + m[3]
}
