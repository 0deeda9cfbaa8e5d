package entralab

// WriteRoutes names all that can change a lab from outside, for a test that has
// a row for each.
func WriteRoutes() []string {
	var names []string
	for _, r := range graphRoutes {
		if r.method != "GET" {
			names = append(names, "graph "+r.method+" "+r.pattern)
		}
	}
	for _, r := range vaultRoutes {
		if r.method != "GET" {
			names = append(names, "vault "+r.method+" "+r.pattern)
		}
	}
	for _, r := range controlRoutes {
		if r.method != "GET" && r.path != "/control/portal" && r.path != "/control/vault" {
			names = append(names, "control "+r.method+" "+r.path)
		}
	}
	for action := range portalActions {
		names = append(names, "portal "+action)
	}
	for _, action := range vaultCommands {
		names = append(names, "vault command "+action.name)
	}
	return names
}
