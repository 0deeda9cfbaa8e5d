package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// maxScopes is how many other forms of a refused scope are tried.
const maxScopes = 2

// scopeRefused knows the codes that refuse the scope or the resource in it.
// Which of them come before the secret is looked at is unknown.
func scopeRefused(code int) bool {
	switch code {
	case 70011, 1002012, 28000, 28002, 28003, 500011, 50001, 90009, 901002:
		return true
	}
	return false
}

// scopesFor returns what a refused scope may have been meant to be, likeliest
// first: client credentials take one resource's /.default. A named scope by
// itself is Graph's, as for users.
func scopesFor(scope string, at entra.Cloud) []string {
	var found []string
	add := func(resource string) {
		if resource == "" {
			return
		}
		candidate := ownCloud(resource, at) + "/.default"
		if candidate != scope && !slices.Contains(found, candidate) {
			found = append(found, candidate)
		}
	}
	for word := range strings.FieldsSeq(entra.CleanIdentifier(scope)) {
		word = strings.Trim(word, `,;"'`)
		switch word {
		case "openid", "profile", "email", "offline_access", "":
			continue
		}
		for _, resource := range resourcesIn(word) {
			add(resource)
		}
		break // client credentials take one resource
	}
	add(at.Graph)
	return found
}

// resourcesIn returns the resources that a word of a scope may name, "" for
// Graph's own scopes.
func resourcesIn(word string) []string {
	resource, isDefault := strings.CutSuffix(strings.TrimRight(word, "/"), "/.default")
	resource = strings.TrimRight(resource, "/")
	scheme, rest, isURI := strings.Cut(resource, "://")
	id := strings.TrimPrefix(resource, "api://")
	switch {
	case entra.IsGUID(id): // as an id, and as the URI that the portal proposes
		return []string{id, "api://" + id}
	case isURI && !isDefault && strings.Contains(rest, "/"): // resource/Scope.Name, or a resource with a path
		return []string{resource[:strings.LastIndexByte(resource, '/')], resource}
	case isURI && scheme == "http":
		return []string{"https://" + rest}
	case isURI:
		return []string{resource}
	case isHost(resource):
		return []string{"https://" + resource}
	case isHost(firstPart(resource)): // graph.microsoft.com/User.Read
		return []string{"https://" + firstPart(resource)}
	}
	return nil
}

func firstPart(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// isHost tells graph.microsoft.com from User.Read: hosts have small letters
// and end in a domain that resources are seen in.
func isHost(word string) bool {
	return word == strings.ToLower(word) && slices.ContainsFunc([]string{".com", ".us", ".cn", ".net", ".org", ".io"}, func(end string) bool { return strings.HasSuffix(word, end) })
}

// ownCloud puts another cloud's name of a service in this cloud's words; Azure
// AD Graph, which is gone, becomes Microsoft Graph.
func ownCloud(resource string, at entra.Cloud) string {
	if strings.EqualFold(resource, "https://graph.windows.net") {
		return at.Graph
	}
	for _, other := range entra.Clouds() {
		for _, pair := range [][2]string{{other.Graph, at.Graph}, {other.ARM, at.ARM}, {"https://" + other.Vault, "https://" + at.Vault}, {other.Outlook, at.Outlook}} {
			if strings.EqualFold(resource, pair[0]) {
				return pair[1]
			}
		}
	}
	return resource
}

// askRescoped tries the scope that was meant, when the one asked for is refused.
func askRescoped(o *Observations) (Experiment, bool) {
	a, sent := o.first(AsIs)
	if !sent || !scopeRefused(a.code()) || o.Case.Captured != nil || o.count(Rescoped) >= maxScopes || o.pastScope() {
		return Experiment{}, false
	}
	for _, scope := range scopesFor(o.Case.Scope, o.cloud()) {
		if !slices.ContainsFunc(o.Attempts, func(a Attempt) bool { return a.Request.Scope == scope }) {
			return send(attempt(Rescoped, o.Case.Setting, scope)), true
		}
	}
	return Experiment{}, false
}

// cloud is that of the authority; for a private one the public cloud's names
// hold.
func (o *Observations) cloud() entra.Cloud {
	if cloud, ok := entra.CloudOf(o.Case.Setting.Authority); ok {
		return cloud
	}
	return entra.Clouds()[0]
}

// pastScope reports whether another scope was not refused as such.
func (o *Observations) pastScope() bool {
	_, ok := o.rescoped()
	return ok
}

func (o *Observations) rescoped() (Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool {
		return a.Purpose == Rescoped && a.Answer != nil && (a.accepted() || a.code() != 0 && !scopeRefused(a.code()))
	})
	if i < 0 {
		return Attempt{}, false
	}
	return o.Attempts[i], true
}

// ruleScope: the scope is refused; another one shows what else is wrong, if
// anything.
func ruleScope(o *Observations) (finding, bool) {
	a, ok := o.first(AsIs)
	if !ok || !scopeRefused(a.code()) {
		return finding{}, false
	}
	cause, _ := causeOfCode(a.code())
	f := finding{cause: cause, confidence: Confirmed, evidence: []Evidence{probed(a)}}
	for _, tried := range o.Attempts {
		if tried.Purpose == Rescoped {
			f.evidence = append(f.evidence, probed(tried))
		}
	}
	next, past := o.rescoped()
	switch {
	case !past:
		if cause == "resource-unknown" {
			f.summary = fmt.Sprintf("The tenant does not know the resource of the scope %s.", o.Case.Scope)
		}
		return f, true
	case next.accepted():
		f.summary = fmt.Sprintf("The scope %s is refused; %s gives a token, so secret and ids are right.", o.Case.Scope, next.Request.Scope)
	default:
		f.summary = fmt.Sprintf("The scope %s is refused; with %s the next fault shows (AADSTS%d).", o.Case.Scope, next.Request.Scope, next.code())
		f.also = behind(o, next, &f)
	}
	f.steps = []Fix{{Do: fmt.Sprintf("Ask for %s if that is the resource meant.", next.Request.Scope), Run: "credsmith doctor --scope " + next.Request.Scope}}
	f.stepsAlone = true
	return f, true
}
