package cli

import (
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// maxNeighbours is more than a diagnosis tries of one kind.
const maxNeighbours = 8

// neighbours knows what the settings of one run can tell about each other. It
// is indexed, as each of thousands asks.
type neighbours struct {
	tenantsOf map[string][]string // by app
	tenants   []string
	copies    map[string][]entra.Setting // by app
	sharers   map[string][]entra.Setting // by fingerprint
	beside    map[string][]entra.Setting // by tenant
}

// neighboursOf indexes complete settings. Of each kind a few are kept, as a
// diagnosis tries no more.
func neighboursOf(jobs []*job) neighbours {
	n := neighbours{map[string][]string{}, nil, map[string][]entra.Setting{}, map[string][]entra.Setting{}, map[string][]entra.Setting{}}
	for _, j := range jobs {
		s := j.setting
		tenant := entra.CleanIdentifier(s.TenantID)
		if form := entra.FormOfTenant(tenant); form == entra.TenantGUID || form == entra.TenantDomain {
			app := appKey(s)
			n.tenantsOf[app] = addTenant(n.tenantsOf[app], tenant)
			n.tenants = addTenant(n.tenants, tenant)
		}
		if !j.complete() || s.Value.IsEmpty() {
			continue
		}
		addSetting(n.copies, appKey(s), s)
		addSetting(n.sharers, j.print, s)
		addSetting(n.beside, strings.ToLower(tenant), s)
	}
	return n
}

// addTenant leaves room for the one that is left out as the setting's own.
func addTenant(list []string, tenant string) []string {
	if len(list) > maxNeighbours || hasTenant(list, tenant) {
		return list
	}
	return append(list, tenant)
}

func hasTenant(list []string, tenant string) bool {
	return slices.ContainsFunc(list, func(t string) bool { return strings.EqualFold(t, tenant) })
}

func addSetting(lists map[string][]entra.Setting, key string, s entra.Setting) {
	if len(lists[key]) <= maxNeighbours {
		lists[key] = append(lists[key], s)
	}
}

// tenantsFor returns other tenants the app may live in, those that the files
// pair it with first.
func (n neighbours) tenantsFor(s entra.Setting) []string {
	var found []string
	for _, t := range slices.Concat(n.tenantsOf[appKey(s)], n.tenants) {
		if !strings.EqualFold(t, entra.CleanIdentifier(s.TenantID)) && !hasTenant(found, t) {
			found = append(found, t)
		}
	}
	return found
}

// settingsFor returns other settings worth a try: of the same app, with the
// same value, of the same tenant.
func (n neighbours) settingsFor(j *job) []entra.Setting {
	var found []entra.Setting
	for _, s := range slices.Concat(n.copies[appKey(j.setting)], n.sharers[j.print], n.beside[strings.ToLower(entra.CleanIdentifier(j.setting.TenantID))]) {
		known := slices.ContainsFunc(found, func(f entra.Setting) bool { return f.Origin == s.Origin })
		if !known && s.Origin != j.setting.Origin {
			found = append(found, s)
		}
	}
	return found
}
