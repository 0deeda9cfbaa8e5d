package entralab

import (
	"encoding/json"
	"slices"
)

const attributesName = "customSecurityAttributes"

// exemptions are a restriction's excludeActors: who has one of the attributes
// is not restricted (Microsoft documentation).
type exemptions struct {
	Attributes []struct {
		ID       string `json:"id"` // AttributeSet_Attribute
		Operator string `json:"operator"`
		Value    string `json:"value"`
	} `json:"customSecurityAttributes"`
}

// valid reports whether an exemption is one that can be judged: at most five
// attributes, compared for equality (Microsoft documentation).
func (e *exemptions) valid() bool {
	if e == nil {
		return true
	}
	for _, a := range e.Attributes {
		if a.ID == "" || a.Operator != "equals" {
			return false
		}
	}
	return len(e.Attributes) <= 5
}

// exempts compares letter by letter (Microsoft documentation).
func (e *exemptions) exempts(actor *servicePrincipal) bool {
	if e == nil || actor == nil {
		return false
	}
	for id, values := range actor.attributes() {
		for _, a := range e.Attributes {
			if a.ID == id && slices.Contains(values, a.Value) {
				return true
			}
		}
	}
	return false
}

// attributes are the values of the custom security attributes of p, by set and
// name as exemptions write them. One attribute may have several values.
func (p *servicePrincipal) attributes() map[string][]string {
	var sets map[string]map[string]any
	json.Unmarshal(p.kept[attributesName], &sets) // nothing kept is no attribute
	found := map[string][]string{}
	for set, attributes := range sets {
		for name, value := range attributes {
			id := set + "_" + name
			switch value := value.(type) {
			case string:
				found[id] = append(found[id], value)
			case []any:
				for _, v := range value {
					if s, ok := v.(string); ok {
						found[id] = append(found[id], s)
					}
				}
			}
		}
	}
	return found
}

// attributesProperty shows only to who selects it (Microsoft documentation).
func attributesProperty() property[*servicePrincipal] {
	p := keptByPrincipal(attributesName, "null")
	keep := p.set
	p.hidden = true
	p.set = func(it *servicePrincipal, v json.RawMessage) bool {
		var sets map[string]map[string]any
		return (string(v) == "null" || decode(v, &sets)) && keep(it, v)
	}
	return p
}

// mayAssign: custom security attributes have a permission of their own.
func (c *graphCall) mayAssign(fields map[string]json.RawMessage) *graphError {
	if _, sent := fields[attributesName]; sent && !slices.Contains(c.caller.Roles, roleAttributesWrite) {
		return errDenied
	}
	return nil
}

// callerPrincipal is the service principal that calls, nil if it is gone.
func (c *graphCall) callerPrincipal() *servicePrincipal {
	id, _ := parseGUID(c.caller.Principal)
	return c.tenant.principal(id)
}
