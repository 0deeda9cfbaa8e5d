package logscan

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/logscan/export"
)

// The members that tell when a change was made, the best first.
var (
	changeTimes = []string{"activitydatetime", "properties.activitydatetime", "at", "time", "timestamp", "timegenerated", "eventtimestamp", "eventtime", "lasttimestamp",
		"deployedat", "finishedat", "completedat", "finishtime", "updated", "updatedat", "createdat", "createddatetime", "metadata.creationtimestamp", "creationtimestamp",
		"date", "dateutc", "when", "firsttimestamp", "starttime"}
	csvTimes = []string{"at", "time", "timestamp", "timegenerated", "date", "when", "activitydatetime", "createddatetime", "deployed", "created"}
)

// The members that say what was done: the act, then what it was done to.
var (
	changeActs = []string{"what", "activitydisplayname", "properties.activitydisplayname", "operationname.localizedvalue", "operationname.value", "operationname", "activity",
		"message", "displaytitle", "title", "description", "event", "summary", "task", "action", "name", "reason"}
	changeObjects = []string{"involvedobject.name", "regarding.name", "targetresources.displayname", "properties.targetresources.displayname", "targetdisplayname", "target1displayname",
		"resource", "resourceid", "deployable.name", "workflowname", "chart", "environment", "environment.name", "ref", "headbranch", "status", "conclusion"}
	changeActors = []string{"initiatedby.user.userprincipalname", "initiatedby.app.displayname", "properties.initiatedby.user.userprincipalname", "properties.initiatedby.app.displayname",
		"initiatedbyuserprincipalname", "creator.login", "user.username", "caller"}
)

// appendRecord adds the change that a record tells of, if it has a time.
func appendRecord(changes []Change, record export.Record, now time.Time) []Change {
	at := time.Time{}
	for _, name := range changeTimes {
		if found, ok := timeIn([]byte("time="+record.Get(name)), now); ok {
			at = found
			break
		}
	}
	if at.IsZero() {
		return changes
	}
	what := cmp.Or(strings.TrimSpace(record.Get(changeActs...)), "a change")
	if kind := record.Get("involvedobject.kind", "regarding.kind"); kind != "" {
		what = record.Get("reason") + " " + kind + ": " + what
	}
	for _, name := range changeObjects {
		if object := record.Get(name); object != "" && !strings.Contains(what, object) && len(what) < maxWhat/2 {
			what += ", " + object
		}
	}
	added, gone := keysChanged(record)
	if binding := record.Get("binding"); binding != "" && record.Get("rotation") != "" {
		what, added = "credsmith rotation of "+binding+", "+record.Get("state"), record.All("newkeyid")
		gone = record.All("removedkeyids")
	}
	if len(added) > 0 {
		what += ": secret added, key id " + strings.Join(added, ", ")
	}
	if len(gone) > 0 {
		what += ": secret removed, key id " + strings.Join(gone, ", ")
	}
	if actor := record.Get(changeActors...); actor != "" {
		what += ", by " + actor
	}
	var all strings.Builder
	for _, f := range record.Fields {
		all.WriteString(f.Value + "\n")
	}
	c := change(at, what, []byte(all.String()))
	c.added, c.gone = len(added) > 0, len(gone) > 0
	return append(changes, c)
}

var keyIdentifier = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)KeyIdentifier=([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)
})

// keysChanged compares the credentials that an audit record has before and
// after: each lists the whole set.
func keysChanged(record export.Record) (added, gone []string) {
	const maxKeys = 3
	before, after := map[string]struct{}{}, map[string]struct{}{}
	for _, f := range record.Fields {
		set := before
		switch {
		case strings.HasSuffix(f.Name, "modifiedproperties.newvalue"):
			set = after
		case !strings.HasSuffix(f.Name, "modifiedproperties.oldvalue"):
			continue
		}
		for _, m := range keyIdentifier().FindAllStringSubmatch(f.Value, -1) {
			set[strings.ToLower(m[1])] = struct{}{}
		}
	}
	for _, key := range sorted(after) {
		if _, had := before[key]; !had && len(added) < maxKeys {
			added = append(added, key)
		}
	}
	for _, key := range sorted(before) {
		if _, has := after[key]; !has && len(gone) < maxKeys {
			gone = append(gone, key)
		}
	}
	return added, gone
}

// kinds are told by words of what was done, the most telling first.
var kinds = []struct {
	kind  string
	words []string
}{
	{"vault", []string{"keyvault", "key vault", "secretset", "secretdelete", "secretnewversion", "secretdisable", "vaults/secrets"}},
	{"credential", []string{"certificates and secrets", "credential", "addpassword", "removepassword", "client secret", "rotate secret", "secret added", "secret removed", "rotation"}},
	{"consent", []string{"consent", "app role assignment", "permission grant", "delegated permission", "oauth2permissiongrant"}},
	{"policy", []string{"policy", "conditional access"}},
	{"app", []string{"delete application", "restore application", "update application", "service principal", "disable application", "disable account"}},
	{"deployment", []string{"deploy", "rollout", "release", "scaled", "killing", "started container", "created pod", "backoff", "restart", "upgrade", "commit", "helm", "pull", "config/write", "sites/write", "appsettings"}},
}

func kindOf(what string) string {
	what = strings.ToLower(what)
	for _, k := range kinds {
		if slices.ContainsFunc(k.words, func(word string) bool { return strings.Contains(what, word) }) {
			return k.kind
		}
	}
	return "other"
}
