package rotate

import (
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/sink"
)

// State is where a rotation stands for whoever looks at it.
type State string

// The states. The last two are ends.
const (
	Running     State = "running"
	Waiting     State = "waiting" // for time or evidence: Next says for what
	NeedsPerson State = "needs-person"
	Done        State = "done"
	RolledBack  State = "rolled-back"
)

// Ended reports whether nothing will happen to a rotation any more.
func (s State) Ended() bool { return s == Done || s == RolledBack }

// Step is what a rotation does next.
type Step string

// The steps, in order, and those of the way back.
const (
	Check   Step = "check"
	Mint    Step = "mint"
	Accept  Step = "accept"
	Deliver Step = "deliver"
	Verify  Step = "verify"
	Prove   Step = "prove"
	Reload  Step = "reload"
	Adopt   Step = "adopt"
	Overlap Step = "overlap"
	Recheck Step = "recheck"
	Retire  Step = "retire"
	Gone    Step = "gone"

	Restore  Step = "restore"
	Restored Step = "restored"
	Unmint   Step = "unmint"
	Unminted Step = "unminted"

	Shred Step = "shred"
	Close Step = "close"
)

// Rotation is the journal's row. It holds no value: those are sealed beside it.
type Rotation struct {
	ID         string  `json:"id"`
	Binding    string  `json:"binding"`
	Plan       Plan    `json:"plan"` // as approved
	Options    Options `json:"options"`
	Generation int64   `json:"generation"`

	State State  `json:"state"`
	Step  Step   `json:"step"`
	Next  string `json:"next"` // for a person: what happens next, or what to do
	// Trouble is the last error, "" once it was overcome; Tries counts since
	// the last success.
	Trouble string    `json:"trouble,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Wake    time.Time `json:"wake"` // not before

	Attempt Attempt        `json:"attempt"`
	New     *Minted        `json:"new,omitempty"`
	Strays  []string       `json:"strays,omitempty"` // key ids of ours whose value nobody has: to be removed
	Sinks   []SinkProgress `json:"sinks"`
	Proof   Proof          `json:"proof"`
	Absence Absence        `json:"absence"`
	Overlap OverlapState   `json:"overlap"`
	Removed []string       `json:"removed,omitempty"` // key ids
	// Approved is who said that the old secret may go without further evidence.
	Approved string `json:"approved,omitempty"`
	// Checked is when everything was last looked at before a removal.
	Checked time.Time `json:"checked,omitzero"`
	Back    bool      `json:"back,omitempty"` // on the way back
	Why     string    `json:"why,omitempty"`  // it goes back, or went

	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`

	// The journal's own: the row as it was read, and who holds it.
	Version int64 `json:"-"`
	Epoch   int64 `json:"-"`
}

// Attempt is one try at minting. Its nonce stands in the display name of the
// secret, so that a secret whose answer was lost can be found.
type Attempt struct {
	Number int    `json:"number"`
	Nonce  string `json:"nonce"`
	// Asked is when the request was about to be sent; zero before. Once it is
	// set, a secret may exist.
	Asked time.Time `json:"asked,omitzero"`
	End   time.Time `json:"end,omitzero"` // asked for
}

// Minted is the new secret.
type Minted struct {
	KeyID string       `json:"key_id"`
	Hint  string       `json:"hint,omitempty"`
	On    entra.Holder `json:"on"`
	End   time.Time    `json:"end"`
	At    time.Time    `json:"at"`
	// Fingerprint is that of the value, so that settings can be told from it.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Accepted is when the token endpoint first took it.
	Accepted time.Time `json:"accepted,omitzero"`
	// Refusals counts the answers before that said no: the measure of how
	// slowly this tenant spreads a secret.
	Refusals int `json:"refusals"`
	// Refused is when it last did.
	Refused time.Time `json:"refused,omitzero"`
}

// SinkState is how far a value got in one sink.
type SinkState string

// The states of a sink.
const (
	Pending  SinkState = "pending"
	Written  SinkState = "written"
	Verified SinkState = "verified" // read back
	Adopted  SinkState = "adopted"  // a sign-in with the new key id was seen
	Failed   SinkState = "failed"
	PutBack  SinkState = "put-back" // the old value again, in a rollback
)

// SinkProgress is one sink in one rotation.
type SinkProgress struct {
	Ref       string         `json:"sink"`
	State     SinkState      `json:"state"`
	Error     string         `json:"error,omitempty"`
	Abilities sink.Abilities `json:"abilities"`
	Version   string         `json:"version,omitempty"` // as last read or written
	Prior     string         `json:"prior,omitempty"`   // fingerprint of what it held before; "" for nothing or unreadable
	HadPrior  bool           `json:"had_prior,omitempty"`
	Asked     time.Time      `json:"asked,omitzero"` // of the write or the reload that may be under way
	Tries     int            `json:"tries,omitempty"`
	Wake      time.Time      `json:"wake,omitzero"`
	Reloads   bool           `json:"reloads,omitempty"`
	Reloaded  bool           `json:"reloaded,omitempty"`
}

// Proof counts acceptances of the new value.
type Proof struct {
	InARow int       `json:"in_a_row"`
	First  time.Time `json:"first,omitzero"` // of the row
	Since  time.Time `json:"since,omitzero"` // when asking began
	Asked  int       `json:"asked"`
}

// Absence counts readings that agree that something is not there.
type Absence struct {
	Readings int       `json:"readings"`
	First    time.Time `json:"first,omitzero"`
}

// OverlapState is what is known of the old secret's use.
type OverlapState struct {
	From      time.Time     `json:"from,omitzero"`      // since when nobody was seen to use it, by the server's clock
	Window    time.Duration `json:"window"`             // how long that must last, in nanoseconds
	Watermark time.Time     `json:"watermark,omitzero"` // up to when the sign-in log was complete
	LastOld   time.Time     `json:"last_old,omitzero"`  // last sign-in with an old secret
	LastNew   time.Time     `json:"last_new,omitzero"`  // last with the new one, after our own proof
	Blind     string        `json:"blind,omitempty"`    // why the log cannot be read
}

// Steps returns the steps in their order, or those of the way back.
func Steps(back bool) []Step {
	if back {
		return []Step{Restore, Restored, Unmint, Unminted, Shred, Close}
	}
	return []Step{Check, Mint, Accept, Deliver, Verify, Prove, Reload, Adopt, Overlap, Recheck, Retire, Gone, Shred, Close}
}
