package aadsts

import (
	"iter"
	"time"
	"unsafe"
)

// A Failure is one failed sign-in, as a text tells of it. Fields that the text
// does not give are zero.
type Failure struct {
	// Code is the most specific AADSTS code of the event: the last that is
	// not the old umbrella 70002. It is 0 when the text lost the code and
	// only OAuthError is left.
	Code int
	// Codes are all codes of the event as printed; [Code] in the usual case,
	// empty when Code is 0.
	Codes []int

	// OAuthError is the `error` member, such as "invalid_client".
	OAuthError string
	// SubError is the `suberror` member, such as "basic_action".
	SubError string
	// Claims is the JSON text of the `claims` member.
	Claims string

	// AppID is the application that the message names, else the client id
	// beside the message, else the application whose api:// URI the message
	// names as resource. It is a GUID in lower case or "".
	AppID string
	// Tenant is the tenant as printed: a GUID, a domain, a display name, or
	// the odd word that stood in the place of a tenant.
	Tenant string
	// TraceID and CorrelationID are GUIDs in lower case or "".
	TraceID, CorrelationID string
	// Timestamp is the time that the service gives, in UTC.
	Timestamp time.Time

	// Message is the sentence after the code, without the trailer of ids. It
	// is unescaped, has single spaces only, and is cut at 1 KiB.
	Message string

	// Start and End are the bytes of the input that the event was read from.
	Start, End int
}

// Find yields the failures that a text tells of, in its order. It reads plain
// text, logs, exceptions, JSON at any depth of quoting, percent-encoded URLs and
// HTML; text may be wrapped, redacted or cut short.
//
// An event is one Failure, though it may print its code up to four times, and
// though a program may print it again close by: reports of one code with the
// same trace id that are at most 8 KiB apart are one Failure. Two events next
// to each other are two. An OAuth error such as invalid_client that has no code
// beside it is a Failure with Code 0.
//
// Find takes one pass, in time linear in the input, and copies only what it
// returns. The text must not change while the sequence is in use; the failures
// do not refer to it.
func Find(text []byte) iter.Seq[Failure] {
	// The string shares the bytes, which saves a copy of the whole log. The
	// scanner only reads it, and no Failure keeps a part of it.
	return FindString(unsafe.String(unsafe.SliceData(text), len(text)))
}

// FindString is [Find] for a string.
func FindString(text string) iter.Seq[Failure] {
	return func(yield func(Failure) bool) {
		sc := scanner{s: text, yield: yield}
		sc.run()
	}
}
