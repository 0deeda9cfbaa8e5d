// Package audit is the record of what credsmith did: a chain of entries, each
// carrying a keyed hash over itself and the one before, so that an entry that
// was changed, taken out, put in or moved is found. Pure; internal/store keeps
// the entries.
package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Action is what was done, or tried.
type Action string

// The actions.
const (
	Start    Action = "start"    // a plan was approved and its rotation begun
	Mint     Action = "mint"     // add a secret to an app
	Deliver  Action = "deliver"  // write a value to a sink
	Restore  Action = "restore"  // write an earlier value back
	Reload   Action = "reload"   // make consumers take a value up
	Remove   Action = "remove"   // remove a secret from an app
	Approve  Action = "approve"  // a person said that the old secret may go
	Rollback Action = "rollback" // a person asked for the rotation to be undone
	Resume   Action = "resume"   // a person sent a stopped rotation on
	Pause    Action = "pause"    // all writes stopped, or let on again
	Shred    Action = "shred"    // sealed values destroyed
	Close    Action = "close"    // a rotation ended
)

// Outcome says how far an action got when the entry was written.
type Outcome string

// The outcomes. Each Intent is followed by one of the others; one that is not
// is of a process that died, and the next run writes Unknown after it.
const (
	Intent  Outcome = "intent" // about to
	Done    Outcome = "done"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown" // sent, and no answer is known
)

// Entry is one link of the chain. It never holds a value.
type Entry struct {
	Seq      int64     `json:"seq"` // from 1, without gaps
	At       time.Time `json:"at"`  // UTC
	Actor    string    `json:"actor"`
	Action   Action    `json:"action"`
	Outcome  Outcome   `json:"outcome"`
	TenantID string    `json:"tenant_id,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	KeyID    string    `json:"key_id,omitempty"`
	Sink     string    `json:"sink,omitempty"`
	Rotation string    `json:"rotation,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Prev     string    `json:"prev"` // hash of the entry before; "" for the first
	Hash     string    `json:"hash"` // HMAC-SHA-256, hexadecimal
}

// Head is the end of a chain. The zero Head is of an empty one.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// Chain makes and checks links under one key.
type Chain struct{ key []byte }

// NewChain returns the chain of a key of 32 bytes.
func NewChain(key []byte) Chain { return Chain{key} }

// Link returns the entry as it follows a head, and the head after it.
func (c Chain) Link(after Head, e Entry) (Entry, Head) {
	e.Seq, e.Prev = after.Seq+1, after.Hash
	e.At = e.At.UTC()
	e.Hash = c.hash(e)
	return e, Head{e.Seq, e.Hash}
}

// hash covers every field but the hash itself. The JSON of one struct type
// has one order of fields, and no two entries share a JSON.
func (c Chain) hash(e Entry) string {
	e.Hash = ""
	text, err := json.Marshal(e)
	if err != nil {
		panic("audit: an entry of plain strings does not encode: " + err.Error())
	}
	mac := hmac.New(sha256.New, c.key)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}

// Broken says where a chain does not hold.
type Broken struct {
	Seq int64  // of the first entry that cannot be trusted
	Why string // "entry 7 was changed after it was written"
}

func (b *Broken) Error() string { return b.Why }

// Verify walks a whole chain. known is a head written down elsewhere at some
// time: the chain must still hold it, which is how a cut-off end is found.
// It returns the chain's own head. A break is a *Broken.
func (c Chain) Verify(entries iter.Seq2[Entry, error], known Head) (Head, error) {
	var head Head
	passed := known.Seq == 0
	for e, err := range entries {
		switch {
		case err != nil:
			return head, err
		case e.Seq != head.Seq+1:
			return head, &Broken{head.Seq + 1, fmt.Sprintf("entry %d is missing: after entry %d comes entry %d", head.Seq+1, head.Seq, e.Seq)}
		case e.Prev != head.Hash:
			return head, &Broken{e.Seq, fmt.Sprintf("entry %d does not follow entry %d", e.Seq, head.Seq)}
		case !hmac.Equal([]byte(c.hash(e)), []byte(e.Hash)):
			return head, &Broken{e.Seq, fmt.Sprintf("entry %d was changed after it was written", e.Seq)}
		}
		head = Head{e.Seq, e.Hash}
		if e.Seq == known.Seq {
			if e.Hash != known.Hash {
				return head, &Broken{e.Seq, fmt.Sprintf("entry %d is not the one that was written down", e.Seq)}
			}
			passed = true
		}
	}
	if !passed {
		return head, &Broken{head.Seq + 1, fmt.Sprintf("the record ends at entry %d, but entry %d was written once", head.Seq, known.Seq)}
	}
	return head, nil
}
