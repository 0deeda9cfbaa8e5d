package logscan

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/logscan/export"
)

// Change is something that was done before an incident began. That it came
// before does not prove that it is the reason.
type Change struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	Source  string    `json:"source"`
	Kind    string    `json:"kind"`     // credential, vault, app, consent, policy, deployment or other
	SameApp bool      `json:"same_app"` // the record holds the client id of the incident
	// Touches says what of the incident the record names: app, key (that a
	// sign-in succeeded with), name or place.
	Touches []string `json:"touches"`
	// Before is how long it came before the start, in seconds; a little less
	// than 0 where clocks differ.
	Before float64 `json:"before"`

	ids   []string // GUIDs of the record
	added bool     // a secret was added
	gone  bool     // a secret was removed
}

const (
	maxChangeFile = 16 << 20
	maxChanges    = 50_000
	maxWhat       = 300 // bytes
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
		_, err = export.Read(bytes.NewReader(data), export.Document, func(record export.Record) { changes = appendRecord(changes, record, now) })
	case bytes.HasPrefix(data, []byte("commit ")):
		changes = gitChanges(data)
	default:
		if changes, err = csvChanges(data, now); err != nil || changes == nil {
			changes, err = lineChanges(data, now), nil
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

var guid = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
})

var secretForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[A-Za-z0-9._~-]{0,3}[0-9]Q(?:~|%7[eE])(?:[A-Za-z0-9._~-]|%7[eE])*`)
})

func change(at time.Time, what string, record []byte) Change {
	c := Change{At: at, What: strings.Join(strings.Fields(secretForm().ReplaceAllString(what, "[secret]")), " "), Touches: []string{}}
	c.Kind = kindOf(c.What)
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
func csvChanges(data []byte, now time.Time) ([]Change, error) {
	header, _ := cutLine(data)
	columns := strings.FieldsFunc(strings.ToLower(string(header)), func(r rune) bool { return !('a' <= r && r <= 'z') })
	if !bytes.Contains(header, []byte(",")) || !slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(csvTimes, c) }) {
		return nil, nil
	}
	changes := []Change{}
	_, err := export.Read(bytes.NewReader(data), export.Table, func(record export.Record) { changes = appendRecord(changes, record, now) })
	return changes, err
}

func lineChanges(data []byte, now time.Time) []Change {
	var changes []Change
	for line := range bytes.Lines(data) {
		when := line
		if shaped(line, "0000000000 ") { // git log --format='%ct %s'
			when = append([]byte("time="), line...)
		}
		if at, ok := timeIn(when, now); ok {
			changes = append(changes, change(at, string(line), line))
		}
	}
	return changes
}
