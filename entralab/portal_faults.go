package entralab

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const portalFaults = "/portal/faults"

// ruleRow is a rule in force.
type ruleRow struct {
	ID, Fault, Name, Match, Often, Fired string
}

type faultsView struct {
	portalFrame
	Rules    []ruleRow
	Kinds    []field // the faults there are
	Surfaces []string
}

func (l *Lab) faultsView() faultsView {
	view := faultsView{portalFrame: l.portalFrame("Faults", portalFaults), Surfaces: everywhere}
	for _, kind := range faultTable() {
		if kind.connection && l.network == nil {
			continue
		}
		view.Kinds = append(view.Kinds, field{kind.id + ": " + kind.name, kind.id})
	}
	for _, rule := range l.faults.list() {
		view.Rules = append(view.Rules, ruleRow{
			rule.ID, rule.Fault, faultNamed(rule.Fault, rule.Match.Surface).name, rule.Match.words(), rule.often(), strconv.Itoa(rule.Fired) + " of " + strconv.Itoa(rule.Matched),
		})
	}
	return view
}

// words say in a table what a rule matches.
func (m FaultMatch) words() string {
	app := ""
	if m.App != "" {
		app = "app " + m.App
	}
	return cmp.Or(strings.Join(strings.Fields(strings.Join([]string{m.Surface, m.Method, m.Path, app}, " ")), " "), "every request")
}

func (s faultState) often() string {
	often := "each"
	switch {
	case s.Nth > 0:
		often = "number " + strconv.Itoa(s.Nth)
	case s.Rate > 0 && s.Rate < 1:
		often = strconv.FormatFloat(100*s.Rate, 'g', 3, 64) + " %"
	}
	if s.Times > 0 {
		often += ", at most " + strconv.Itoa(s.Times)
	}
	return often
}

// portalSetFaults adds a rule or ends some, as the form's button says.
func (l *Lab) portalSetFaults(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused == nil {
		c := l.portalCall(r)
		if id := form.Get("remove"); id != "" {
			_, refused = c.run(func(c *controlCall) (any, *problem) { return nil, c.removeFault(id) })
		} else if c.body, refused = faultOf(form); refused == nil {
			_, refused = c.run((*controlCall).fault)
		}
	}
	if refused != nil {
		l.portalProblem(w, refused)
		return
	}
	http.Redirect(w, r, portalFaults, http.StatusSeeOther)
}

// removeFault ends one rule, or all of them.
func (c *controlCall) removeFault(id string) *problem {
	if id == "all" {
		c.lab.RemoveFaults()
	} else if !c.lab.RemoveFault(id) {
		return &problem{http.StatusNotFound, "No rule has the id " + strconv.Quote(id) + "."}
	}
	c.event.Write = &Write{Kind: "fault"}
	return nil
}

// faultOf turns the form into the body of POST /control/faults. A field left
// empty is absent.
func faultOf(form url.Values) ([]byte, *problem) {
	body := map[string]any{"fault": form.Get("fault")}
	match := map[string]string{}
	for _, name := range []string{"surface", "method", "path", "app"} {
		if text := strings.TrimSpace(form.Get(name)); text != "" {
			match[name] = text
		}
	}
	body["match"] = match
	for _, name := range []string{"rate", "nth", "times"} {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			continue
		}
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return nil, badCommand(name + " must be a number.")
		}
		body[name] = json.Number(text)
	}
	if kind := strings.TrimSpace(form.Get("kind")); kind != "" {
		body["params"] = map[string]string{"kind": kind}
	}
	encoded, err := json.Marshal(body)
	if err != nil { // what ParseFloat reads is not always a number of JSON
		return nil, badCommand("rate, nth and times must be plain numbers.")
	}
	return encoded, nil
}
