package entra

import "time"

// Snapshot is an app as the directory showed it at one time.
type Snapshot struct {
	App    *App      // nil when the directory knows no such app
	Server time.Time // the directory's clock
}

// Offset is how far the directory's clock is ahead of ours.
func (s Snapshot) Offset(ours time.Time) time.Duration { return s.Server.Sub(ours) }

// Rules are the limits that a tenant sets for the new secrets of one app.
type Rules struct {
	Policy      string        // name or id of the policy; "" if none applies
	Forbidden   bool          // no secret may be added
	MaxLifetime time.Duration // 0 for no limit
	// MaxSecrets is how many secrets the app may have; 0 for no fixed limit.
	MaxSecrets int
	// Unknown says what could not be read, and why; "" if all was.
	Unknown string
}

// SecretUse is what the sign-in log says of an app's secrets.
type SecretUse struct {
	// Last is the last success by key id in lower case; with "" those by a
	// secret that the log does not name.
	Last      map[string]time.Time
	Longest   time.Duration // between two successes with one secret
	Watermark time.Time     // the newest entry of the log, of any app
}

// Operator is what is known of the identity that credsmith itself signs in
// with.
type Operator struct {
	ClientID    string
	ObjectID    string   // of its service principal
	Permissions []string // Graph's application roles and scopes; none if its token does not tell
}
