package setting

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// layer is one file or document of a configuration that is read as a pile:
// Helm's values, Spring's documents and profiles.
type layer struct {
	name        string // of the file
	environment string // of a profile or an overlay; "" for the base
	overlay     bool
	fields      []field
	links       []string // notes for what is found here
}

// pile is the layers of one directory.
type pile struct {
	consumer string
	layers   []layer
}

// add puts a layer on the pile of its directory; files of other names than the
// framework's are piles of their own.
func (s *session) add(consumer, name string, l layer) {
	key := path.Join(path.Dir(l.name), name) + "\n" + consumer
	if s.piles[key] == nil {
		s.piles[key] = &pile{consumer: consumer}
	}
	s.piles[key].layers = append(s.piles[key].layers, l)
}

// resolveLayers reads each overlay together with the base below it, which
// fills in what the overlay leaves out. A base that is not whole without an
// overlay, and has no part that none takes, is no setting by itself.
func (s *session) resolveLayers() {
	keys, taken := slices.Sorted(maps.Keys(s.piles)), map[Part]bool{}
	for _, key := range keys {
		p := s.piles[key]
		p.layers = slices.DeleteFunc(p.layers, func(l layer) bool { return s.imported[l.name] })
	}
	for _, key := range keys {
		p := s.piles[key]
		base := s.base(p)
		for _, l := range p.layers {
			if l.overlay {
				s.overlay(p.consumer, base, l, taken)
			}
		}
	}
	for _, key := range keys {
		p := s.piles[key]
		for _, f := range extract(p.consumer, resolved(p.consumer, p.fields(false))) {
			if !f.Complete() && !slices.ContainsFunc(f.parts(), func(part Part) bool { return part.Set && !taken[part] }) {
				continue
			}
			for _, l := range p.layers {
				if !l.overlay {
					f.link(l)
				}
			}
			s.result.Settings = append(s.result.Settings, f)
		}
	}
}

// overlay adds the settings of which an overlay holds a part.
func (s *session) overlay(consumer string, base []field, l layer, taken map[Part]bool) {
	own := partsOf(extract(consumer, resolved(consumer, l.fields)))
	for _, f := range extract(consumer, resolved(consumer, slices.Concat(base, l.fields))) {
		if !slices.ContainsFunc(f.parts(), func(part Part) bool { return own[part] }) {
			continue
		}
		if slices.ContainsFunc(f.parts(), func(part Part) bool { return part.Set && !own[part] }) {
			f.note("%s is laid over the file that holds the rest", path.Base(l.name))
		}
		f.Environment = cmp.Or(l.environment, f.Environment)
		f.link(l)
		for _, part := range f.parts() {
			taken[part] = true
		}
		s.result.Settings = append(s.result.Settings, f)
	}
}

func (f *Found) link(l layer) {
	for _, link := range l.links {
		f.note("%s", link)
	}
}

func (f Found) parts() []Part { return []Part{f.Tenant, f.Client, f.Secret, f.Host} }

// partsOf are the places of all parts that are set.
func partsOf(all []Found) map[Part]bool {
	set := map[Part]bool{}
	for _, f := range all {
		for _, p := range f.parts() {
			if p.Set {
				set[p] = true
			}
		}
	}
	return set
}

// fields are those of all layers that are overlays, or of all that are none.
func (p *pile) fields(overlay bool) []field {
	var all []field
	for _, l := range p.layers {
		if l.overlay == overlay {
			all = append(all, l.fields...)
		}
	}
	return all
}

// base is what the overlays of a directory lie on: the base files there, else
// those of the nearest directory above, when a chart keeps its overlays in
// directories of environments. A chart inside a chart has its own.
func (s *session) base(p *pile) []field {
	if own := p.fields(false); len(own) > 0 || p.consumer != "helm" || len(p.layers) == 0 {
		return own
	}
	for dir := path.Dir(p.layers[0].name); dir != "." && dir != "/" && path.Base(dir) != "charts"; {
		dir = path.Dir(dir)
		if above := s.piles[dir+"\n"+p.consumer]; above != nil && len(above.fields(false)) > 0 {
			return above.fields(false)
		}
	}
	return nil
}

// resolved puts the text of another key in place of a placeholder for it, as
// Spring does, else its default. The fields are copied: a layer lies in
// several piles.
func resolved(consumer string, fields []field) []field {
	if consumer != "spring" {
		return fields
	}
	byKey := map[string]*node{}
	for _, f := range fields {
		byKey[squash(strings.Join(f.keys, "."))] = f.value
	}
	out := make([]field, 0, len(fields))
	for _, f := range fields {
		n := *f.value
		if n.unresolved != "" && variable(strings.TrimSpace(n.text)) {
			name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(n.text), "${"), "}"), ":")
			if other := byKey[squash(name)]; other != nil && other.unresolved == "" {
				n.text, n.unresolved, n.src, n.start, n.end = other.text, "", other.src, other.start, other.end
			} else {
				fallback(&n, springDefault())
			}
		}
		out = append(out, field{f.keys, &n})
	}
	return out
}

// helmOverlay knows values-prod.yaml, and values.yaml in a directory of an
// environment.
func helmOverlay(name string) bool {
	base := path.Base(name)
	return strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml") != "values" || EnvironmentOf(path.Dir(name)) != ""
}
