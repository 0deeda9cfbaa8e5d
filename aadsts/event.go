package aadsts

import (
	"cmp"
	"slices"
	"strings"
)

// An event is a Failure while its facts are still being gathered.
type event struct {
	Failure
	used bool // it has a fact

	described bool // by AADSTS<code>
	listed    bool // by error_codes
	linked    bool // by the address of a help page
	anchored  bool // by a code, or by an OAuth error that is enough by itself

	body     bool   // a fact was in quotes: a JSON body may span lines
	labelled bool   // a label stood before the code: a browser page spans lines
	errorKey bool   // the member `error` was seen
	doubtful bool   // unless a code follows, its facts are those of the event before
	onPage   bool   // the ids of a browser page follow the code, and then the code again
	idForms  bool   // an id or time came in another form than key=value
	rank     [3]int // how much trace, correlation id and time are to be trusted

	hint      string // a client id beside the message
	authority string // the tenant in the URL before
}

// The ranks of an id, by where it was printed. A log has trace and correlation
// ids of its own as members; those of the trailer are the service's.
const (
	rankNone = iota
	rankMember
	rankLabel // before the code: a browser page
	rankTrailer
)

// umbrella tells whether a code only says that a second one follows.
func umbrella(code int) bool { return code == 70002 }

// mostSpecific returns the last code that is no umbrella; 0 for no codes.
func mostSpecific(codes []int) int {
	best := 0
	for _, c := range codes {
		if best == 0 || !umbrella(c) {
			best = c
		}
	}
	return best
}

// until is how far the text has to be read for more facts of the event.
func (ev *event) until() int {
	if !ev.used {
		return 0
	}
	return ev.End + quiet
}

func (ev *event) coded() bool { return ev.described || ev.listed || ev.linked }

func (ev *event) hasIDs() bool { return ev.rank != [3]int{} }

// onlyParameters tells whether the event is nothing yet but ids in the form
// trace_id=….
func (ev *event) onlyParameters() bool {
	return ev.used && !ev.anchored && !ev.idForms && ev.OAuthError == ""
}

// add puts a fact into the event it belongs to.
func (sc *scanner) add(f fact) {
	ev := &sc.ev
	if ev.used && sc.starts(&f) {
		doubtful := ev.coded() && !f.isCode() && sc.boundary == noBoundary && f.start-ev.End <= quiet
		sc.close()
		ev.doubtful = doubtful
	}
	if !ev.used {
		ev.used = true
		ev.Start, ev.End = f.start, f.start
		ev.hint = sc.hint
		if a := sc.authority; a.tenant != "" && f.start-a.end < quiet {
			ev.authority = a.tenant
		}
	}
	sc.boundary = noBoundary
	ev.take(&f)
	ev.body = ev.body || f.form == member
	ev.labelled = ev.labelled || !ev.described && (f.form == label || f.form == pageLabel)
	ev.End = max(ev.End, f.end)
}

// starts tells whether a fact belongs to another event than the current one.
func (sc *scanner) starts(f *fact) bool {
	ev := &sc.ev
	gap := f.start - ev.End
	switch {
	case gap > quiet:
		return true
	case sc.boundary == recordStart:
		// Container logs put a date before every line, also before those of
		// the trailer.
		isTrailer := f.form == label && f.kind != oauthFact
		return !(isTrailer && ev.described && gap < 128 && ev.rank[f.slot()] == rankNone)
	case sc.boundary == objectStart:
		// "Error: invalid_client" may stand above the body that it is from.
		return !(ev.OAuthError != "" && !ev.coded() && !ev.errorKey)
	}
	switch f.kind {
	case codeFact:
		return sc.startsAtCode(f, gap)
	case listFact:
		return ev.listed || ev.coded() && !slices.ContainsFunc(f.codes, ev.has)
	case uriFact:
		return ev.coded() && !ev.has(f.codes[0])
	case oauthFact:
		return sc.startsAtOAuth(f)
	case traceFact, correlationFact, timeFact:
		return ev.conflicts(f) || !ev.body && ev.coded() && f.form <= member && !sc.sameLine(ev.End, f.start)
	}
	return false
}

// startsAtCode is starts for AADSTS<code>.
func (sc *scanner) startsAtCode(f *fact, gap int) bool {
	ev := &sc.ev
	code := f.codes[0]
	if !ev.coded() {
		// What stands before the code, such as "invalid_client" on the line
		// above. Other lines have other events unless a body spans them.
		if ev.body || ev.labelled || sc.sameLine(ev.End, f.start) {
			return false
		}
		return gap > 64 || gap > 4 && ev.OAuthError != ""
	}
	if !ev.described {
		return !ev.has(code)
	}
	last := ev.Codes[len(ev.Codes)-1]
	switch {
	case umbrella(last) && code != last && ev.Message != "" && gap <= 16:
		return false // AADSTS70002: Error validating credentials. AADSTS50012: …
	case code != last:
		return true
	case ev.onPage:
		return false
	}
	// A code alone beside the same code with its message: one names the other.
	return !(ev.Message == "" || f.message == "") || gap > 256 || !sc.sameLine(ev.End, f.start)
}

// startsAtOAuth is starts for the name of an OAuth error.
func (sc *scanner) startsAtOAuth(f *fact) bool {
	ev := &sc.ev
	isKey := f.form == member
	switch {
	case isKey && ev.errorKey:
		return true // the next body
	case ev.described && (!isKey || !ev.body) && !sc.sameLine(ev.End, f.start):
		return true // doubtful
	case ev.OAuthError == "":
		return false
	case ev.OAuthError != f.text:
		return true
	case ev.coded() || isKey:
		return false
	}
	return !sc.sameLine(ev.End, f.start)
}

// conflicts tells whether the event cannot have printed this id.
func (ev *event) conflicts(f *fact) bool {
	slot := f.slot()
	if f.form == pageLabel && ev.described && ev.hasIDs() {
		return !ev.same(f)
	}
	if f.form == prefix {
		return ev.coded()
	}
	return ev.rank[slot] != rankNone && ev.rank[slot] == ev.rankOf(f) && !ev.same(f)
}

// slot is the index in event.rank of an id.
func (f *fact) slot() int { return int(f.kind - traceFact) }

func (ev *event) rankOf(f *fact) int {
	switch {
	case f.form == bare || f.form == member || f.form == prefix:
		return rankMember
	case ev.described:
		return rankTrailer
	}
	return rankLabel
}

// same tells whether the event has the id already.
func (ev *event) same(f *fact) bool {
	switch f.kind {
	case traceFact:
		return ev.TraceID == f.guid
	case correlationFact:
		return ev.CorrelationID == f.guid
	}
	return ev.Timestamp.Equal(f.at)
}

func (ev *event) has(code int) bool { return slices.Contains(ev.Codes, code) }

// take notes a fact.
func (ev *event) take(f *fact) {
	switch f.kind {
	case codeFact:
		if ev.described && ev.has(f.codes[0]) && ev.Message != "" {
			break // the code once more
		}
		ev.described, ev.anchored = true, true
		ev.addCodes(f.codes)
		ev.Message = f.message
	case listFact:
		ev.listed, ev.anchored = true, true
		seen := ev.Codes
		ev.Codes = f.codes
		ev.addCodes(seen)
	case uriFact:
		ev.linked, ev.anchored = true, true
		ev.addCodes(f.codes)
	case oauthFact:
		ev.errorKey = ev.errorKey || f.form == member
		ev.anchored = ev.anchored || f.anchor
		if ev.OAuthError == "" {
			ev.OAuthError = f.text
		}
	case subErrorFact:
		ev.SubError = f.text
	case claimsFact:
		ev.Claims = f.text
	default:
		ev.takeID(f)
	}
}

func (ev *event) addCodes(codes []int) {
	for _, c := range codes {
		if !ev.has(c) {
			ev.Codes = append(ev.Codes, c)
		}
	}
}

// takeID notes an id or a time, unless a better one is there.
func (ev *event) takeID(f *fact) {
	ev.idForms = ev.idForms || f.form != bare
	ev.onPage = ev.onPage || f.form == pageLabel && ev.described
	r := ev.rankOf(f)
	if r <= ev.rank[f.slot()] {
		return
	}
	ev.rank[f.slot()] = r
	switch f.kind {
	case traceFact:
		ev.TraceID = f.guid
	case correlationFact:
		ev.CorrelationID = f.guid
	case timeFact:
		ev.Timestamp = f.at
	}
}

// sameLine tells whether no line break of the input parts i from j.
func (sc *scanner) sameLine(i, j int) bool {
	if i >= j {
		return true
	}
	sc.steps += j - i
	return !strings.Contains(sc.s[i:j], "\n")
}

// close ends the current event and passes it on, if it is one.
func (sc *scanner) close() {
	ev := sc.ev
	sc.ev = event{}
	if !ev.anchored && (!ev.doubtful || ev.onlyParameters()) {
		return
	}
	f := ev.failure()
	if sc.holding && (ev.doubtful && f.Code == 0 && sc.held.agrees(&f) || again(&sc.held, &f)) {
		sc.held.absorb(&f)
		return
	}
	if !ev.anchored {
		return
	}
	sc.release()
	sc.held, sc.holding = f, true
}

// release yields the failure that waited for a second report of itself.
func (sc *scanner) release() {
	if sc.holding && !sc.stopped {
		sc.stopped = !sc.yield(sc.held)
	}
	sc.held, sc.holding = Failure{}, false
}

// failure completes what the facts together say.
func (ev *event) failure() Failure {
	f := ev.Failure
	f.Code = mostSpecific(f.Codes)
	app, resource := appsIn(f.Message)
	f.AppID = cmp.Or(app, ev.hint, resource)
	f.Tenant = cmp.Or(tenantIn(f.Message), ev.authority)
	return f
}

// again tells whether b reports the same event as a: exceptions print their
// inner exceptions, which print the answer of the service.
func again(a, b *Failure) bool {
	const near = 8 << 10
	return a.TraceID != "" && a.TraceID == b.TraceID && b.Start-a.End <= near &&
		(a.Code == b.Code || a.Code == 0 || b.Code == 0)
}

// agrees tells whether nothing that g says contradicts f.
func (f *Failure) agrees(g *Failure) bool {
	return (g.OAuthError == "" || f.OAuthError == "" || f.OAuthError == g.OAuthError) &&
		(g.TraceID == "" || f.TraceID == "" || f.TraceID == g.TraceID) &&
		(g.CorrelationID == "" || f.CorrelationID == "" || f.CorrelationID == g.CorrelationID)
}

// absorb adds what a second report of the event says more.
func (f *Failure) absorb(g *Failure) {
	f.Code = cmp.Or(f.Code, g.Code)
	if len(f.Codes) < len(g.Codes) {
		f.Codes = g.Codes
	}
	f.OAuthError = cmp.Or(f.OAuthError, g.OAuthError)
	f.SubError = cmp.Or(f.SubError, g.SubError)
	f.Claims = cmp.Or(f.Claims, g.Claims)
	f.AppID = cmp.Or(f.AppID, g.AppID)
	f.Tenant = cmp.Or(f.Tenant, g.Tenant)
	f.TraceID = cmp.Or(f.TraceID, g.TraceID)
	f.CorrelationID = cmp.Or(f.CorrelationID, g.CorrelationID)
	f.Timestamp = cmp.Or(f.Timestamp, g.Timestamp)
	f.Message = cmp.Or(f.Message, g.Message)
	f.End = g.End
}
