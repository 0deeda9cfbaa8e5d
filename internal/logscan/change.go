package logscan

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Change is something that was done before an incident began. That it came
// before does not prove that it is the reason.
type Change struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	Source  string    `json:"source"`
	SameApp bool      `json:"same_app"` // the record holds the client id of the incident

	ids []string // GUIDs of the record
}

const (
	maxChangeFile = 16 << 20
	maxChanges    = 50_000
	maxWhat       = 200 // bytes
	changeReach   = 7 * 24 * time.Hour
	changeSlack   = time.Minute // clocks differ
	changesShown  = 5
)

// ReadChanges reads the changes of one file: JSON (an array, lines, or the
// envelope of Graph, Event Hub or kubectl), CSV with a header, git log, or lines
// with a time. Records without a time are left out.
func ReadChanges(source string, r io.Reader, now time.Time) ([]Change, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxChangeFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", source, err)
	}
	if len(data) > maxChangeFile {
		return nil, fmt.Errorf("%s is larger than %d MiB: cut it down to the days that matter", source, maxChangeFile>>20)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	var changes []Change
	switch {
	case len(data) == 0:
	case data[0] == '{' || data[0] == '[':
		changes, err = jsonChanges(data)
	case bytes.HasPrefix(data, []byte("commit ")):
		changes = gitChanges(data)
	default:
		if changes = csvChanges(data, now); changes == nil {
			changes = lineChanges(data, now)
		}
	}
	if len(changes) > maxChanges {
		slices.SortStableFunc(changes, func(a, b Change) int { return b.At.Compare(a.At) })
		changes = changes[:maxChanges]
	}
	for i := range changes {
		changes[i].Source = source
	}
	if err != nil {
		return changes, fmt.Errorf("read %s: %w", source, err)
	}
	return changes, nil
}

// The members that tell when and what, the best first.
var (
	whenMembers = []string{"activitydatetime", "at", "time", "timestamp", "timegenerated", "eventtime", "lasttimestamp", "deployed_at", "completed_at", "created_at", "createddatetime", "creationtimestamp", "date", "firsttimestamp"}
	whatMembers = []string{"what", "activitydisplayname", "operationname", "message", "title", "description", "event", "name", "reason"}
	envelopes   = []string{"value", "records", "items"}
)

func jsonChanges(data []byte) ([]Change, error) {
	var changes []Change
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return changes, err
		}
		changes = jsonRecord(changes, raw, 0)
	}
}

func jsonRecord(changes []Change, raw json.RawMessage, depth int) []Change {
	const maxDepth = 3
	var list []json.RawMessage
	if depth < maxDepth && json.Unmarshal(raw, &list) == nil {
		for _, record := range list {
			changes = jsonRecord(changes, record, depth+1)
		}
		return changes
	}
	var record map[string]json.RawMessage
	if json.Unmarshal(raw, &record) != nil {
		return changes
	}
	lower := map[string]json.RawMessage{}
	for name, value := range record {
		lower[strings.ToLower(name)] = value
	}
	for _, name := range envelopes {
		if inner, ok := lower[name]; ok && depth < maxDepth && bytes.HasPrefix(inner, []byte("[")) {
			return jsonRecord(changes, inner, depth+1)
		}
	}
	// The metadata of Kubernetes and the properties of a diagnostic export.
	for _, name := range []string{"metadata", "properties"} {
		var inner map[string]json.RawMessage
		if json.Unmarshal(lower[name], &inner) == nil {
			for name, value := range inner {
				if _, ok := lower[strings.ToLower(name)]; !ok {
					lower[strings.ToLower(name)] = value
				}
			}
		}
	}
	at, ok := memberTime(lower)
	if !ok {
		return changes
	}
	return append(changes, change(at, memberText(lower), raw))
}

func memberTime(record map[string]json.RawMessage) (time.Time, bool) {
	for _, name := range whenMembers {
		value, ok := record[name]
		if !ok {
			continue
		}
		if at, ok := timeIn(append([]byte("time="), bytes.Trim(value, `"`)...), time.Time{}); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

func memberText(record map[string]json.RawMessage) string {
	for _, name := range whatMembers {
		var text string
		if json.Unmarshal(record[name], &text) == nil && text != "" {
			return text
		}
	}
	return "a change"
}

var guid = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
})

var secretForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[A-Za-z0-9._~-]{0,3}[0-9]Q(?:~|%7[eE])(?:[A-Za-z0-9._~-]|%7[eE])*`)
})

func change(at time.Time, what string, record []byte) Change {
	c := Change{At: at, What: strings.Join(strings.Fields(secretForm().ReplaceAllString(what, "[secret]")), " ")}
	if len(c.What) > maxWhat {
		c.What = strings.ToValidUTF8(c.What[:maxWhat], "") + "…"
	}
	const maxIDs = 16
	for _, id := range guid().FindAll(record, maxIDs) {
		c.ids = append(c.ids, strings.ToLower(string(id)))
	}
	return c
}

// gitChanges reads what git log prints by default.
func gitChanges(data []byte) []Change {
	var changes []Change
	const layout = "Mon Jan _2 15:04:05 2006 -0700"
	for commit := range bytes.SplitSeq(append([]byte("\n"), data...), []byte("\ncommit ")) {
		head, message, _ := bytes.Cut(commit, []byte("\n\n"))
		for line := range bytes.Lines(head) {
			date, ok := bytes.CutPrefix(line, []byte("Date:"))
			if !ok {
				continue
			}
			if at, err := time.Parse(layout, string(bytes.TrimSpace(date))); err == nil {
				subject, _ := cutLine(message)
				changes = append(changes, change(at.UTC(), "commit "+string(head[:min(len(head), 10)])+" "+string(subject), commit))
			}
		}
	}
	return changes
}

// csvChanges returns nil when the first line is no header with a time.
func csvChanges(data []byte, now time.Time) []Change {
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord, reader.LazyQuotes = -1, true
	header, err := reader.Read()
	if err != nil || len(header) < 2 {
		return nil
	}
	column := func(names []string) int {
		for _, name := range names {
			if i := slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) }); i >= 0 {
				return i
			}
		}
		return -1
	}
	when, what := column(whenMembers), column(whatMembers)
	if when < 0 {
		return nil
	}
	changes := []Change{}
	for {
		row, err := reader.Read()
		if err != nil {
			return changes
		}
		if when >= len(row) {
			continue
		}
		at, ok := timeIn([]byte("time="+row[when]), now)
		text := "a change"
		if what >= 0 && what < len(row) {
			text = row[what]
		}
		if ok {
			changes = append(changes, change(at, text, []byte(strings.Join(row, " "))))
		}
	}
}

func lineChanges(data []byte, now time.Time) []Change {
	var changes []Change
	for line := range bytes.Lines(data) {
		if at, ok := timeIn(line, now); ok {
			changes = append(changes, change(at, string(line), line))
		}
	}
	return changes
}

// Explain gives each incident the changes before it: those of its app first,
// then by time. Order is not cause, and the incident says so.
func (r *Result) Explain(changes []Change) {
	for i := range r.Incidents {
		in := &r.Incidents[i]
		if in.Started == nil {
			continue
		}
		var before []Change
		for _, c := range changes {
			if ago := in.Started.Sub(c.At); ago >= -changeSlack && ago <= changeReach {
				c.SameApp = in.AppID != "" && slices.Contains(c.ids, in.AppID)
				before = append(before, c)
			}
		}
		slices.SortStableFunc(before, func(a, b Change) int {
			if a.SameApp != b.SameApp {
				if a.SameApp {
					return -1
				}
				return 1
			}
			return b.At.Compare(a.At)
		})
		if len(before) == 0 {
			continue
		}
		in.Changes = before[:min(len(before), changesShown)]
		in.Evidence = append(in.Evidence, "changes came before it; that is an order and no proof of the cause")
	}
}
