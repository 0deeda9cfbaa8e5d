// Package aadsts knows the sign-in errors of Microsoft Entra ID, the AADSTS
// codes: what they mean, and how to read them out of whatever they were
// printed in.
//
// Two functions do most of the work. [ParseBody] reads the JSON that the token
// endpoint answers. [Find] reads everything else (logs, exceptions, tickets,
// redirect URLs, browser pages, text that was escaped, wrapped, redacted or cut
// short) and yields one [Failure] for each event, however often the event
// prints its code. [Lookup] then says what a code means and what to do.
//
// # What to rely on
//
// Microsoft warns that error numbers and texts may change at any time. Branch
// on [Failure.OAuthError] first, on [Failure.Code] second and on
// [Failure.Message] last. A code that is not in the catalogue is still found;
// only Lookup does not know it.
//
// # Where the facts come from
//
// The catalogue and the grammar are made from Microsoft's published error
// reference and from the issue threads and logs that people have published;
// [Entry.Sources] names them for each code. Facts that nobody was seen to
// confirm are marked: see [Entry.Verified].
//
// The package does no I/O, keeps no state but the catalogue, which is parsed
// on first use, and is safe for use by several goroutines.
package aadsts
