package entra

import (
	"fmt"
	"time"
)

// Unseen says that a part of the directory could not be read. It never means
// that nothing is there.
type Unseen struct {
	What    string // "the sign-in log"
	Because string // one line
	Needs   string // the permission or licence that would show it; "" when neither is known to help
	Err     error
}

func (u *Unseen) Error() string {
	text := u.What + " cannot be seen: " + u.Because
	if u.Needs != "" {
		text += "; it needs " + u.Needs
	}
	return text
}

func (u *Unseen) Unwrap() error { return u.Err }

// SignIns is what the log of service principals shows of one app. It lags by
// minutes to hours: it tells what was, never that nothing was.
type SignIns struct {
	Since    time.Time            // nothing before was read
	Newest   time.Time            // of the newest entry that the log shows of any app; zero when it shows none
	Accepted map[string]time.Time // last success by key id, in lower case
	Refused  []Refusals           // the latest first
}

// Refusals are failed sign-ins that look the same. A failure names no key: a
// wrong secret matches none.
type Refusals struct {
	Code        int // AADSTS code
	Address     string
	Count       int
	First, Last time.Time
}

// Grant is a permission that was consented to.
type Grant struct {
	Resource   string // display name, such as Microsoft Graph; object id for delegated permissions
	Permission string // value of the app role or scope; its id when the name cannot be read
}

// SecretPolicy is what the app management policy that applies to an app says
// of new secrets. Secrets that exist go on working.
type SecretPolicy struct {
	ID, Name    string
	OfTenant    bool // the tenant's default, not one of the app's own
	ForbidsNew  bool
	Exempts     bool   // who has certain custom security attributes is exempt
	MaxLifetime string // ISO 8601 duration; "" for no limit
}

// Label is the policy's name and id.
func (p SecretPolicy) Label() string {
	if p.Name == "" {
		return p.ID
	}
	return fmt.Sprintf("%q (%s)", p.Name, p.ID)
}
