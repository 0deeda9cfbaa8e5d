package setting

import (
	"encoding/base64"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
)

func (s *session) manifest(dir string, doc *node) { s.manifests[dir] = append(s.manifests[dir], doc) }

// kubernetes resolves the manifests of each directory: what containers see, and
// the Secrets and ConfigMaps that no container there refers to.
func (s *session) kubernetes() {
	for _, dir := range slices.Sorted(maps.Keys(s.manifests)) {
		k := cluster{data: map[string]*node{}, used: map[string]bool{}}
		docs := s.manifests[dir]
		for _, doc := range docs {
			k.add(doc, s)
		}
		for _, doc := range docs {
			namespace := doc.str("metadata", "namespace")
			containers(doc, func(c *node) {
				found := extract("kubernetes", flatten(k.environment(namespace, c), nil, nil))
				for i := range found {
					found[i].Name = doc.str("kind") + "/" + doc.str("metadata", "name") + "/" + c.str("name")
				}
				s.result.Settings = append(s.result.Settings, found...)
			})
		}
		for _, doc := range docs {
			id := objectID(doc.str("kind"), doc.str("metadata", "namespace"), doc.str("metadata", "name"))
			if k.data[id] != nil && !k.used[id] {
				found := extract("kubernetes", flatten(k.data[id], nil, nil))
				for i := range found {
					found[i].Name = doc.str("kind") + "/" + doc.str("metadata", "name")
				}
				s.result.Settings = append(s.result.Settings, found...)
			}
		}
	}
}

type cluster struct {
	data map[string]*node
	used map[string]bool
}

func objectID(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func (k *cluster) add(doc *node, s *session) {
	kind := doc.str("kind")
	if kind != "Secret" && kind != "ConfigMap" {
		return
	}
	all := &node{kind: mapping, src: doc.src}
	for _, item := range doc.get("data").children() {
		n := *item
		if item.kind == null {
			n.kind = scalar // no bytes
		}
		if kind == "Secret" && item.kind == scalar && item.unresolved == "" {
			decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(item.text), ""))
			if err != nil {
				s.fail(doc.src.name, doc.src.errorAt(item.start, errors.New("data of a Secret is not base64: put plain text under stringData")))
				continue
			}
			n.text = string(decoded)
			vaultReference(&n)
		}
		all.items = append(all.items, &n)
	}
	if kind == "Secret" {
		all.items = append(all.items, doc.get("stringData").children()...)
	}
	k.data[objectID(kind, doc.str("metadata", "namespace"), doc.str("metadata", "name"))] = all
}

// containers calls do for each container at any depth of a workload.
func containers(n *node, do func(*node)) {
	for _, item := range n.children() {
		if item.kind == list && (item.key == "containers" || item.key == "initContainers") {
			for _, c := range item.items {
				do(c)
			}
			continue
		}
		containers(item, do)
	}
}

// environment is what the kubelet makes of env and envFrom: env counts over
// envFrom, later over earlier.
func (k *cluster) environment(namespace string, c *node) *node {
	all := &node{kind: mapping, src: c.src}
	for _, from := range c.get("envFrom").children() {
		for ref, kind := range map[string]string{"secretRef": "Secret", "configMapRef": "ConfigMap"} {
			id := objectID(kind, namespace, from.str(ref, "name"))
			if from.get(ref) == nil || k.data[id] == nil {
				continue
			}
			k.used[id] = true
			for _, item := range k.data[id].items {
				n := *item
				n.key = from.str("prefix") + n.key
				all.items = append(all.items, &n)
			}
		}
	}
	for _, env := range c.get("env").children() {
		if v := env.get("value"); v != nil {
			n := *v
			n.key = env.str("name")
			all.items = append(all.items, &n)
			continue
		}
		for ref, kind := range map[string]string{"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"} {
			r := env.get("valueFrom", ref)
			if r == nil {
				continue
			}
			id := objectID(kind, namespace, r.str("name"))
			n := node{src: r.src, start: r.start, end: r.start, unresolved: kind + " " + named(r.str("name"), "", "", "of another name") + ", key " + named(r.str("key"), "", "", "of another name")}
			if value := k.data[id].get(r.str("key")); value != nil {
				n = *value
				k.used[id] = true
			}
			n.key = env.str("name")
			all.items = append(all.items, &n)
		}
	}
	return all
}

func isCompose(name string) bool {
	base := path.Base(name)
	return (strings.HasPrefix(base, "docker-compose") || strings.HasPrefix(base, "compose")) && ext(".yml", ".yaml")(base)
}

// readCompose reads the environment of each service: its env_file, then
// environment, interpolated with the .env beside the file.
func readCompose(s *session, src *source) ([]Found, error) {
	docs, err := parseYAML(src)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	dir := path.Dir(src.name)
	beside := &node{kind: mapping, src: src}
	if data, err := s.load(path.Join(dir, ".env")); err == nil {
		s.included[path.Join(dir, ".env")] = true
		if env, err := newSource(path.Join(dir, ".env"), data); err == nil {
			beside = dotenvNode(env, false)
		}
	}
	services := docs[0].get("services")
	var all []Found
	for _, service := range services.children() {
		seen := &node{kind: mapping, src: src, items: s.serviceItems(src, services, service, beside, nil)}
		found := extract("compose", flatten(seen, nil, nil))
		for i := range found {
			found[i].Name = service.key
		}
		all = append(all, found...)
	}
	return all, nil
}

// maxExtends is how many services deep extends is followed.
const maxExtends = 50

// serviceItems is the environment of a service, what counts last: that of the
// service it extends, its env_file, its own.
func (s *session) serviceItems(src *source, services, service, beside *node, chain []string) []*node {
	all := s.extended(src, services, service, beside, chain)
	for _, file := range envFiles(service.get("env_file")) {
		name := path.Join(path.Dir(src.name), file.text)
		env, ok := s.beside(src, file, "env_file")
		if !ok {
			continue
		}
		s.included[name] = true
		all = append(all, dotenvNode(env, false).items...)
	}
	for _, item := range service.get("environment").children() {
		n := *item
		if n.key == "" {
			key, value, ok := strings.Cut(item.text, "=")
			n.key, n.text, n.unresolved = key, value, ""
			if ok && strings.HasPrefix(src.text[n.start:], item.text) {
				n.start, n.end = n.start+len(key)+1, n.start+len(item.text)
			}
			if !ok {
				n.unresolved = named(key, "", "", "a variable") + " of the shell that starts compose"
			}
		} else if n.kind == null {
			n.kind, n.unresolved = scalar, named(n.key, "", "", "a variable")+" of the shell that starts compose"
		}
		if n.unresolved == "" || strings.Contains(n.unresolved, "${") {
			interpolate(&n, beside)
		}
		all = append(all, &n)
	}
	return all
}

// beside opens the file that a part of src names.
func (s *session) beside(src *source, part *node, what string) (*source, bool) {
	name := path.Join(path.Dir(src.name), part.text)
	data, err := s.load(name)
	if err != nil {
		s.fail(src.name, src.errorAt(part.start, errors.New(what+" cannot be read: it does not exist in the tree, or is not a readable file")))
		return nil, false
	}
	other, err := newSource(name, data)
	if err != nil {
		s.fail(name, err)
		return nil, false
	}
	return other, true
}

// extended is the environment that a service takes over from another one, of
// this file or another. The chain is the services that extend this one.
// Source: Compose specification, "extends".
func (s *session) extended(src *source, services, service, beside *node, chain []string) []*node {
	extends := service.get("extends")
	if extends == nil {
		return nil
	}
	chain = append(slices.Clip(chain), src.name+"\n"+service.key)
	if i := slices.Index(chain, chain[len(chain)-1]); i < len(chain)-1 || len(chain) > maxExtends {
		// Each service of a circle meets it: it is said once.
		if !slices.ContainsFunc(chain, func(member string) bool { return s.circles[member] }) {
			s.fail(src.name, src.errorAt(extends.start, errors.New("extends goes round in a circle")))
		}
		for _, member := range chain {
			s.circles[member] = true
		}
		return nil
	}
	name := extends.text
	if extends.kind == mapping {
		name = extends.str("service")
	}
	if file := extends.get("file"); file != nil {
		other, ok := s.beside(src, file, "the file of extends")
		if !ok {
			return nil
		}
		docs, err := parseYAML(other)
		if err != nil || len(docs) == 0 {
			return nil // its own reader says what is wrong with it
		}
		s.included[other.name] = true
		src, services = other, docs[0].get("services")
	}
	base := services.get(name)
	if base == nil {
		return nil
	}
	return s.serviceItems(src, services, base, beside, chain)
}

func envFiles(n *node) []*node {
	if n == nil || n.kind == scalar {
		return slices.DeleteFunc([]*node{n}, func(n *node) bool { return n == nil })
	}
	var all []*node
	for _, item := range n.items {
		if p := item.get("path"); p != nil {
			item = p
		}
		all = append(all, item)
	}
	return all
}

// interpolate does what compose does: $$, $VAR, ${VAR}, ${VAR:-default} and
// ${VAR-default}. Source: Compose specification, "Interpolation".
func interpolate(n, variables *node) {
	text := n.text
	n.unresolved, n.note = "", ""
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if text[i+1] == '$' {
			b.WriteByte('$')
			i++
			continue
		}
		name, fallback, hasDefault, emptyToo := "", "", false, false
		if end := strings.IndexByte(text[i:], '}'); text[i+1] == '{' && end > 0 {
			name = text[i+2 : i+end]
			if cut := strings.IndexAny(name, ":-?+"); cut >= 0 {
				op := name[cut:]
				name = name[:cut]
				emptyToo = strings.HasPrefix(op, ":")
				fallback, hasDefault = strings.CutPrefix(strings.TrimPrefix(op, ":"), "-")
			}
			i += end
		} else {
			end := i + 1
			for end < len(text) && (text[end] == '_' || text[end] >= '0' && text[end] <= '9' || text[end]|32 >= 'a' && text[end]|32 <= 'z') {
				end++
			}
			if name = text[i+1 : end]; name == "" {
				b.WriteByte('$')
				continue
			}
			i = end - 1
		}
		value := variables.get(name)
		switch {
		case value != nil && (value.text != "" || !emptyToo):
			b.WriteString(value.text)
			if strings.HasPrefix(text, "$") && i == len(text)-1 && b.Len() == len(value.text) {
				n.src, n.start, n.end = value.src, value.start, value.end // the text is there, not here
			}
		case hasDefault:
			b.WriteString(fallback)
		default:
			n.unresolved = named(name, "${", "}", "a variable in ${ }")
		}
	}
	n.text = b.String()
}
