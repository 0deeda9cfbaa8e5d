package graph

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

type directoryAudit struct {
	ActivityDateTime    time.Time `json:"activityDateTime"`
	ActivityDisplayName string    `json:"activityDisplayName"`
	Result              string    `json:"result"`
	InitiatedBy         struct {
		User *struct{ DisplayName, UserPrincipalName string }
		App  *struct{ DisplayName string }
	} `json:"initiatedBy"`
	TargetResources []struct {
		ID                 string `json:"id"`
		ModifiedProperties []struct {
			DisplayName        string
			OldValue, NewValue string
		} `json:"modifiedProperties"`
	} `json:"targetResources"`
}

// maxChanges bounds what is read of an app's history.
const maxChanges = 200

// Changes returns the changes of an app's credentials, newest first. The log
// holds the whole set before and after each change, and never a hint.
func (c *Client) Changes(ctx context.Context, app entra.App) ([]entra.Change, error) {
	ids := []string{app.ObjectID}
	if app.ServicePrincipal != nil {
		ids = append(ids, app.ServicePrincipal.ObjectID)
	}
	var changes []entra.Change
	for _, id := range ids {
		if id == "" {
			continue
		}
		filter := "targetResources/any(t:t/id eq '" + id + "')"
		read := 0
		for entry, err := range pages[directoryAudit](ctx, c, "/v1.0/auditLogs/directoryAudits?$top=100&$filter="+url.QueryEscape(filter)) {
			if err != nil {
				return changes, unseen(ctx, "the audit log", "AuditLog.Read.All", err)
			}
			if change, ok := credentialChange(entry); ok {
				changes = append(changes, change)
			}
			if read++; read == maxChanges {
				break
			}
		}
	}
	slices.SortFunc(changes, func(a, b entra.Change) int { return b.At.Compare(a.At) })
	return changes, nil
}

// credentialChange reads an entry that changed secrets. The activity's name is
// no guide: its dash and blanks vary.
func credentialChange(entry directoryAudit) (entra.Change, bool) {
	if entry.Result == "failure" {
		return entra.Change{}, false
	}
	change := entra.Change{At: entry.ActivityDateTime.UTC()}
	if by := entry.InitiatedBy; by.User != nil {
		change.By = by.User.UserPrincipalName
		if change.By == "" {
			change.By = by.User.DisplayName
		}
	} else if by.App != nil {
		change.By = by.App.DisplayName
	}
	for _, target := range entry.TargetResources {
		for _, property := range target.ModifiedProperties {
			if property.DisplayName != "KeyDescription" {
				continue
			}
			before, after := keys(property.OldValue), keys(property.NewValue)
			change.Added = append(change.Added, without(after, before)...)
			change.Removed = append(change.Removed, without(before, after)...)
		}
	}
	return change, len(change.Added)+len(change.Removed) > 0
}

func without(set, other []entra.KeyRef) []entra.KeyRef {
	return slices.DeleteFunc(slices.Clone(set), func(k entra.KeyRef) bool {
		return slices.ContainsFunc(other, func(o entra.KeyRef) bool { return entra.SameGUID(o.KeyID, k.KeyID) })
	})
}

var keyPattern = sync.OnceValue(func() *regexp.Regexp {
	// The display name comes last and may hold commas and brackets.
	return regexp.MustCompile(`(?s)KeyIdentifier=([0-9A-Fa-f-]{36}),KeyType=Password,.*?DisplayName=(.*)\]$`)
})

// keys reads one side of KeyDescription: JSON inside a JSON string, a list of
// "[KeyIdentifier=…,KeyType=Password,KeyUsage=Verify,DisplayName=…]".
func keys(value string) []entra.KeyRef {
	var texts []string
	if json.Unmarshal([]byte(value), &texts) != nil {
		return nil
	}
	var found []entra.KeyRef
	for _, text := range texts {
		if m := keyPattern().FindStringSubmatch(text); m != nil {
			found = append(found, entra.KeyRef{KeyID: strings.ToLower(m[1]), DisplayName: m[2]})
		}
	}
	return found
}
