package entralab

import (
	"cmp"
	"strings"
	"sync"
	"time"
)

// audits are newest first. A blank at the end of an activity's name is not
// compared: whether Graph does is not known.
var audits = &collection[*audit]{
	name:       "auditLogs/directoryAudits",
	kind:       "DirectoryAudit",
	properties: auditProperties,
	filters: []filter[*audit]{
		{name: "activityDateTime", date: func(e *audit) time.Time { return e.at }},
		{name: "activityDisplayName", text: func(e *audit) []string {
			return []string{e.activity.name, strings.TrimSpace(e.activity.name)}
		}, more: []string{"startswith"}},
		{name: "category", text: func(*audit) []string { return []string{auditCategory} }},
		{name: "targetResources/id", text: func(e *audit) []string { return []string{e.targetID.String()} }, list: true},
	},
	orders:   []order[*audit]{{"activityDateTime", oldestFirst}},
	order:    func(a, b *audit) int { return oldestFirst(b, a) },
	pageSize: 1000,
	maxTop:   1000,
}

func oldestFirst(a, b *audit) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ordinal, b.ordinal))
}

func (c *graphCall) listAudits() (any, *graphError) {
	q, refused := parseList(c, audits)
	if refused != nil {
		return nil, refused
	}
	from, until := c.now.Add(-auditRetention), c.now.Add(-c.lab.logLag.audit)
	q.listed = func(e *audit) bool { return !e.at.Before(from) && !e.at.After(until) }
	return page(c, audits, q, c.tenant.audits), nil
}

// users are there to try a permission on.
var users = &collection[*user]{
	name: "users",
	kind: "User",
	properties: sync.OnceValue(func() []property[*user] {
		return []property[*user]{
			{name: "id", get: func(u *user) any { return u.id.String() }},
			{name: "displayName", get: func(u *user) any { return u.displayName }},
			{name: "mail", get: func(u *user) any { return u.name }},
			{name: "userPrincipalName", get: func(u *user) any { return u.name }},
		}
	}),
	filters: []filter[*user]{
		{name: "id", text: func(u *user) []string { return []string{u.id.String()} }},
		{name: "displayName", text: func(u *user) []string { return []string{u.displayName} }, more: []string{"ge", "le", "startswith"}},
		{name: "mail", text: func(u *user) []string { return []string{u.name} }, more: []string{"ge", "le", "startswith", "endswith"}},
		{name: "userPrincipalName", text: func(u *user) []string { return []string{u.name} }, more: []string{"ge", "le", "startswith", "endswith"}},
	},
	directory: true,
	search:    []searched[*user]{{"displayName", func(u *user) string { return u.displayName }}},
	options:   []string{"search"},
	pageSize:  100,
	maxTop:    999,
}

func (c *graphCall) listUsers() (any, *graphError) {
	q, refused := parseList(c, users)
	if refused != nil {
		return nil, refused
	}
	return page(c, users, q, c.tenant.users), nil
}
