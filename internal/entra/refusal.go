package entra

import (
	"errors"
	"time"
)

// RefusalKind is why the directory did not do what it was asked.
type RefusalKind string

// The kinds of refusal.
const (
	RefusedThrottled  RefusalKind = "throttled"
	RefusedPermission RefusalKind = "permission"
	RefusedSignIn     RefusalKind = "sign-in" // of the operator
	RefusedPolicy     RefusalKind = "policy"  // an app management policy
	RefusedLimit      RefusalKind = "limit"   // too many credentials
	RefusedConflict   RefusalKind = "conflict"
	RefusedAbsent     RefusalKind = "absent"
	RefusedLicence    RefusalKind = "licence"
	RefusedOther      RefusalKind = "other"
)

// Refusal is the directory's no: it understood, and did not do it. Any other
// error of a write leaves open whether it was done.
type Refusal struct {
	Kind  RefusalKind
	After time.Duration // how long to wait; 0 when it did not say
	Err   error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// RefusedAs returns the kind of a refusal, "" for another error.
func RefusedAs(err error) RefusalKind {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Kind
	}
	return ""
}
