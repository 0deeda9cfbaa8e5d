package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/explain"
	"github.com/credsmith/credsmith/internal/text"
)

// maxSeen is how many failures are kept of a text.
const maxSeen = 1000

// seen is what --error brought: one failure for each app and code, in the order
// of the text, or a clue; and what may have written it.
type seen struct {
	failures  []aadsts.Failure
	clue      *diagnose.Clue
	consumers []consumer.Match
}

// readSeen reads the error that the user saw; it is empty without a file.
func (p *program) readSeen(file string) (seen, error) {
	var s seen
	if file == "" {
		return s, nil
	}
	data, err := p.readInput(file)
	if err != nil {
		return s, err
	}
	data = text.UTF8(data)
	s.consumers = consumer.Recognize(string(data))
	for f := range aadsts.Find(data) {
		same := func(k aadsts.Failure) bool { return k.Code == f.Code && strings.EqualFold(k.AppID, f.AppID) }
		if i := slices.IndexFunc(s.failures, same); i >= 0 {
			s.failures[i] = f // what was printed last tells most
		} else if len(s.failures) < maxSeen {
			s.failures = append(s.failures, f)
		}
	}
	if len(s.failures) > 0 {
		return s, nil
	}
	// Some clients lose the code, and all but a trace of the answer.
	clues := explain.Text(data)
	switch {
	case len(clues) == 0 && len(s.consumers) > 0 && s.consumers[0].CodeLost:
		// It is known to write errors of sign-in that say nothing.
	case len(clues) == 0:
		return s, usage("give the text that the app printed, with its AADSTS code", "%s holds no sign-in error", nameOf(file))
	case clues[0].OAuthError != nil:
		s.failures = []aadsts.Failure{{OAuthError: *clues[0].OAuthError}}
	default:
		s.clue = &diagnose.Clue{Says: clues[0].Meaning, Do: clues[0].Remedy}
	}
	return s, nil
}

// about puts the first failure into a case of one setting, whatever app it
// names: that it names another is worth knowing.
func (s seen) about(c *diagnose.Case) {
	c.Clue = s.clue
	if len(s.failures) == 0 {
		return
	}
	first := s.failures[0]
	for _, f := range s.failures {
		if f.AppID != "" && entra.SameGUID(f.AppID, c.Setting.ClientID) {
			first = f
			break
		}
	}
	c.Seen = &first
}

// among puts a failure into a case of many: that which names its app, or the
// first when none names any.
func (s seen) among(c *diagnose.Case) {
	c.Clue = s.clue
	for _, f := range s.failures {
		if entra.SameGUID(f.AppID, entra.CleanIdentifier(c.Setting.ClientID)) {
			c.Seen = &f
			return
		}
	}
	if len(s.failures) > 0 && len(s.apps()) == 0 {
		c.Seen = &s.failures[0]
	}
}

// apps are those that the failures name.
func (s seen) apps() []string {
	var apps []string
	for _, f := range s.failures {
		if app := strings.ToLower(f.AppID); entra.IsGUID(app) && !slices.Contains(apps, app) {
			apps = append(apps, app)
		}
	}
	return apps
}

// strangers says which apps of the error no setting has.
func (s seen) strangers(jobs []*job) string {
	var unknown []string
	for _, app := range s.apps() {
		if !slices.ContainsFunc(jobs, func(j *job) bool { return appKey(j.setting) == app }) {
			unknown = append(unknown, app)
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	const shown = 5
	more := ""
	if n := len(unknown) - shown; n > 0 {
		unknown, more = unknown[:shown], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("the error names %s%s, which no setting in these files has", strings.Join(unknown, ", "), more)
}
