package setting

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// module is the Terraform files of one directory.
type module struct {
	code, variables []*node
	malformed       bool // a file could not be read: any variable may be set there
}

// terraform resolves var.NAME in each directory as Terraform does: from
// terraform.tfvars, then from *.auto.tfvars, else from the variable's default.
// Other .tfvars files are given on its command line and stand for themselves.
// With a malformed file in the directory nothing is resolved: a default may be
// overruled there.
func (s *session) terraform() {
	for _, dir := range slices.Sorted(maps.Keys(s.modules)) {
		m, values, used := s.modules[dir], map[string]*node{}, map[Part]bool{}
		for _, root := range m.code {
			for _, block := range root.items {
				if name, ok := strings.CutPrefix(block.key, "variable."); ok && block.get("default") != nil {
					values[name] = block.get("default")
				}
			}
		}
		for _, root := range m.variables {
			if base := path.Base(root.src.name); base == "terraform.tfvars" || strings.HasSuffix(base, ".auto.tfvars") {
				for _, item := range root.items {
					values[item.key] = item
				}
			}
		}
		for _, root := range m.code {
			for _, block := range root.items {
				if !m.malformed && !strings.HasPrefix(block.key, "variable.") {
					substitute(block, values)
				}
			}
			found := extract("terraform", flatten(root, nil, nil))
			for _, f := range found {
				used[f.Tenant], used[f.Client], used[f.Secret] = true, true, true
			}
			s.result.Settings = append(s.result.Settings, found...)
		}
		for _, root := range m.variables {
			// What a block took from here is no second setting.
			found := slices.DeleteFunc(extract("terraform", flatten(root, nil, nil)), func(f Found) bool {
				return (!f.Tenant.Set || used[f.Tenant]) && (!f.Client.Set || used[f.Client]) && (!f.Secret.Set || used[f.Secret])
			})
			s.result.Settings = append(s.result.Settings, found...)
		}
	}
}

// substitute puts the values of variables, with their places, where a whole
// value refers to one.
func substitute(n *node, values map[string]*node) {
	if name, ok := strings.CutPrefix(n.text, "var."); ok && n.unresolved != "" {
		if value := values[name]; value != nil {
			key := n.key
			*n = *value
			n.key = key
		}
	}
	for _, item := range n.items {
		substitute(item, values)
	}
}

// readTerraform reads provider and backend blocks and variables. What is an
// expression is a reference.
func readTerraform(session *session, s *source) ([]Found, error) {
	dir := path.Dir(s.name)
	if session.modules[dir] == nil {
		session.modules[dir] = &module{}
	}
	m := session.modules[dir]
	root, err := parseHCL(s)
	switch {
	case err != nil:
		m.malformed = true
	case strings.HasSuffix(s.name, ".tfvars"):
		m.variables = append(m.variables, root)
	default:
		m.code = append(m.code, root)
	}
	return nil, err
}
