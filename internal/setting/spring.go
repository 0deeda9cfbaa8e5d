package setting

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

var springFile = lazy(`^(?:application|bootstrap)-([^.]+)\.`)

// spring keeps the documents of a configuration of Spring with what they
// import. A profile, from the document or the file name, names the
// environment and makes an overlay of the document.
func (s *session) spring(src *source, docs []*node) {
	for _, doc := range docs {
		l := layer{name: src.name, fields: flatten(doc, nil, nil)}
		profile := profileOf(l.fields)
		if m := springFile().FindStringSubmatch(path.Base(src.name)); m != nil && profile == "" {
			profile = m[1]
		}
		l.overlay = profile != ""
		l.environment = environmentNamed(profile)
		s.imports(&l, src, l.fields, map[string]bool{src.name: true})
		name := path.Base(src.name)
		if strings.HasPrefix(name, "application") || strings.HasPrefix(name, "bootstrap") {
			name = ""
		}
		s.add("spring", name, l)
	}
}

func profileOf(fields []field) string {
	profile := ""
	for _, f := range fields {
		if key := strings.Join(f.keys, "."); key == "spring.config.activate.on-profile" || key == "spring.profiles" {
			profile = f.value.text
		}
	}
	return profile
}

// imports adds what spring.config.import names: it counts over the document
// that names it, the last import most, and each file once. Source: Spring
// Boot, "Importing Additional Data" and "Using Configuration Trees".
func (s *session) imports(l *layer, src *source, fields []field, done map[string]bool) {
	for _, f := range fields {
		key := strings.TrimRight(strings.Join(f.keys, "."), "0123456789[].")
		if key != "spring.config.import" || f.value.src != src {
			continue
		}
		for location := range strings.SplitSeq(f.value.text, ",") {
			s.importOne(l, f.value, strings.TrimSpace(location), done)
		}
	}
}

func (s *session) importOne(l *layer, at *node, location string, done map[string]bool) {
	location, optional := strings.CutPrefix(location, "optional:")
	tree, isTree := strings.CutPrefix(location, "configtree:")
	name := strings.TrimPrefix(strings.TrimPrefix(tree, "file:"), "classpath:")
	if strings.Contains(name, "://") || !isTree && strings.Contains(name, ":") || name == "" || strings.Contains(name, "${") {
		return // of a vault or a server
	}
	hint := ""
	if cut := strings.LastIndexByte(name, '['); cut > 0 && strings.HasSuffix(name, "]") {
		name, hint = name[:cut], name[cut+1:len(name)-1]
	}
	found := s.located(at.src.name, name, isTree)
	if len(found) == 0 {
		switch {
		case strings.HasPrefix(name, "/"):
			l.links = append(l.links, fmt.Sprintf("%s, which it imports, is not in the tree", name))
		case !optional:
			s.fail(at.src.name, at.src.errorAt(at.start, errors.New("spring.config.import cannot be read: it does not exist in the tree")))
		}
	}
	for _, file := range found {
		switch {
		case isTree:
			l.fields = append(l.fields, s.configTree(file, "", 0)...)
		case !done[file]:
			done[file] = true
			s.importFile(l, file, cmp.Or(hint, path.Ext(file)), done)
		}
	}
}

// located finds a file or, for a tree, directories in the tree. A relative
// name is of the directory the program starts in, mostly that of the file or
// the root.
func (s *session) located(from, name string, directory bool) []string {
	var patterns []string
	if strings.HasPrefix(name, "/") {
		patterns = s.absolute(from, name)
	} else {
		patterns = []string{path.Join(path.Dir(from), name), path.Clean(name)}
	}
	for _, pattern := range patterns {
		found, _ := fs.Glob(s.fsys, pattern)
		found = slices.DeleteFunc(found, func(name string) bool {
			info, err := fs.Stat(s.fsys, name)
			return err != nil || info.IsDir() != directory
		})
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (s *session) importFile(l *layer, name, ending string, done map[string]bool) {
	data, err := s.load(name)
	if err != nil {
		s.fail(name, err)
		return
	}
	src, err := newSource(name, data)
	if err != nil {
		s.fail(name, err)
		return
	}
	parse := parseYAML
	if strings.HasSuffix(ending, "properties") {
		parse = parseProperties
	}
	docs, err := parse(src)
	if err != nil {
		s.fail(name, err)
		return
	}
	s.imported[name] = true
	for _, doc := range docs {
		fields := flatten(doc, nil, nil)
		if profile := profileOf(fields); profile != "" && environmentNamed(profile) != l.environment {
			s.imported[name] = false
			continue
		}
		l.fields = append(l.fields, fields...)
		s.imports(l, src, fields, done)
	}
}

// maxTree is how many directories deep a configuration tree is read.
const maxTree = 4

// configTree makes a field of every file below a directory: its path is the
// key, its text without one line end the value. Names that begin with .. are
// the kubelet's own.
func (s *session) configTree(dir, below string, depth int) []field {
	entries, err := fs.ReadDir(s.fsys, dir)
	if err != nil || depth > maxTree {
		return nil
	}
	var all []field
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		info, err := fs.Stat(s.fsys, name)
		if err != nil || strings.HasPrefix(e.Name(), "..") {
			continue
		}
		key := path.Join(below, e.Name())
		if info.IsDir() {
			all = append(all, s.configTree(name, key, depth+1)...)
			continue
		}
		data, err := s.load(name)
		if err != nil {
			s.fail(name, err)
			continue
		}
		src, err := newSource(name, data)
		if err != nil {
			s.fail(name, err)
			continue
		}
		s.imported[name] = true
		n := &node{src: src, text: src.text, end: len(src.text)}
		if rest, ok := strings.CutSuffix(n.text, "\n"); ok && !strings.Contains(rest, "\n") {
			n.text = strings.TrimSuffix(rest, "\r")
		}
		vaultReference(n)
		all = append(all, field{strings.Split(strings.ReplaceAll(key, "/", "."), "."), n})
	}
	return all
}
