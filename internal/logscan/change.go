package logscan

import "time"

// Change is something that was done before an incident began. That it came
// before does not prove that it is the reason.
type Change struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	Source  string    `json:"source"`
	SameApp bool      `json:"same_app"`
}
