package entra

import (
	"strings"
)

// TenantForm is what a tenant segment looks like.
type TenantForm string

// The forms of a tenant segment.
const (
	TenantGUID        TenantForm = "guid"
	TenantDomain      TenantForm = "domain"
	TenantShared      TenantForm = "shared"      // common, organizations, consumers: no tenant at all
	TenantPlaceholder TenantForm = "placeholder" // {tenant}, <your-tenant-id>, ${TENANT}
	TenantMalformed   TenantForm = "malformed"
)

// FormOfTenant tells what a tenant segment looks like. It asks nobody whether
// such a tenant exists.
func FormOfTenant(tenant string) TenantForm {
	switch {
	case IsGUID(tenant):
		return TenantGUID
	case strings.EqualFold(tenant, "common"), strings.EqualFold(tenant, "organizations"), strings.EqualFold(tenant, "consumers"):
		return TenantShared
	case isPlaceholder(tenant):
		return TenantPlaceholder
	case isDomain(tenant):
		return TenantDomain
	}
	return TenantMalformed
}

// IsGUID reports whether s is a GUID of the plain 8-4-4-4-12 form.
func IsGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
				return false
			}
		}
	}
	return true
}

// SameGUID compares without regard to case and braces.
func SameGUID(a, b string) bool {
	return a != "" && strings.EqualFold(strings.Trim(a, "{}"), strings.Trim(b, "{}"))
}

// CleanIdentifier removes what people and files leave around an id: blanks,
// quotes, braces. It returns s itself when there is nothing of the kind.
func CleanIdentifier(s string) string {
	return strings.Trim(s, " \t\r\n\u00a0\u200b\ufeff\"'`“”‘’{}")
}

func isPlaceholder(s string) bool {
	lower := strings.ToLower(s)
	return strings.ContainsAny(s, "<>{}$*") ||
		strings.HasPrefix(lower, "your") || strings.HasPrefix(lower, "enter") ||
		lower == "tenant" || lower == "tenantid" || lower == "tenant-id" || lower == "tenant_id" || lower == "xxx"
}

// isDomain takes what may be a verified domain: labels of letters, digits and
// hyphens, at least two of them.
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label {
			return false
		}
		for _, r := range label {
			if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r > 0x7f) {
				return false
			}
		}
	}
	return len(labels) >= 2
}
