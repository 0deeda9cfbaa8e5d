package entralab

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limit is how much may be spent in a window. What was spent comes back evenly
// over the window (Microsoft documentation: token buckets).
type limit struct {
	amount float64
	window time.Duration
}

// The limits of Graph's identity and access part (Microsoft documentation,
// limits of 2024-06), counted in resource units, writes or requests.
var (
	unitsOfSmallTenant  = limit{3_500, 10 * time.Second} // up to 50 users
	unitsOfMediumTenant = limit{5_000, 10 * time.Second} // up to 500
	unitsOfLargeTenant  = limit{8_000, 10 * time.Second}
	writesOfAppInTenant = limit{3_000, 150 * time.Second}
	unitsOfApp          = limit{150_000, 20 * time.Second}
	writesOfApp         = limit{70_000, 5 * time.Minute}
	writesOfTenant      = limit{18_000, 5 * time.Minute}
	writesToPersonal    = limit{60, time.Minute} // of apps that personal accounts sign in to
	reportsOfApp        = limit{5, 10 * time.Second}
	selectedKeys        = limit{150, time.Minute} // $select=keyCredentials, by tenant
)

// costs are the resource units of a GET; those not listed cost one (Microsoft
// documentation).
var costs = []struct {
	pattern string
	units   int
}{
	{"applications", 2}, {"servicePrincipals/{}/appRoleAssignments", 2}, {"oauth2PermissionGrants", 2},
}

// cost is what a request spends: $select saves a unit, $expand costs one, and a
// page of less than twenty saves one. Nothing is free.
func (c *graphCall) cost(pattern string) int {
	units := 1
	if c.request.Method != http.MethodGet {
		return units
	}
	for _, listed := range costs {
		if listed.pattern == pattern {
			units = listed.units
		}
	}
	if c.query.Has("select") {
		units--
	}
	if c.query.Has("expand") {
		units++
	}
	if top, err := strconv.Atoi(c.query.Get("top")); err == nil && top < 20 {
		units--
	}
	return max(units, 1)
}

// buckets are what callers have spent. Reads take them side by side, under a
// lock of their own.
type buckets struct {
	mu    sync.Mutex
	on    bool
	spent map[string]spending
}

// spending is what a bucket held at a time.
type spending struct {
	amount float64
	at     time.Time
}

// charge is one bucket that a request draws from.
type charge struct {
	limit
	key    string
	amount float64
	scope  string // of x-ms-throttle-scope
	reason string // of x-ms-throttle-information
}

// take draws from all buckets or from none. It returns the share of the fullest
// bucket, and the charge that did not fit with the time until it will.
func (b *buckets) take(charges []charge, now time.Time) (share float64, refused *charge, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	after := make([]float64, len(charges))
	for i, c := range charges {
		before := b.spent[c.key]
		left := before.amount
		if passed := now.Sub(before.at); passed > 0 { // a clock turned back gives nothing back
			left = max(0, left-c.limit.amount*float64(passed)/float64(c.window))
		}
		after[i] = left + c.amount
		share = max(share, after[i]/c.limit.amount)
		if over := after[i] - c.limit.amount; over > 0 && refused == nil {
			refused, wait = &charges[i], time.Duration(over/c.limit.amount*float64(c.window))
		}
	}
	if refused != nil {
		return share, refused, wait
	}
	if b.spent == nil {
		b.spent = map[string]spending{}
	}
	for i, c := range charges {
		b.spent[c.key] = spending{after[i], now}
	}
	return share, nil, 0
}

// set turns throttling on or off. Either forgets what was spent.
func (b *buckets) set(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on, b.spent = on, nil
}

func (b *buckets) isOn() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on
}

// throttle charges a request, and refuses it when a bucket is empty.
func (c *graphCall) throttle(pattern string) *graphError {
	units := c.cost(pattern)
	c.extraHeader("X-Ms-Resource-Unit", strconv.Itoa(units))
	if !c.lab.buckets.isOn() {
		return nil
	}
	share, refused, wait := c.lab.buckets.take(c.charges(pattern, float64(units)), c.now)
	if refused == nil {
		if share > 0.8 { // Microsoft documentation
			c.extraHeader("X-Ms-Throttle-Limit-Percentage", strconv.FormatFloat(math.Round(share*100)/100, 'f', -1, 64))
		}
		return nil
	}
	c.extraHeader("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	c.extraHeader("X-Ms-Throttle-Scope", refused.scope)
	c.extraHeader("X-Ms-Throttle-Information", refused.reason)
	// Code and text recorded 2024-02; whether the directory words every limit
	// so is not known.
	return &graphError{http.StatusTooManyRequests, "TooManyRequests", "Too many requests from Identifier:" + refused.key + " under category:aadgraph." + refused.reason + ". Please try again later."}
}

// charges are the buckets of a request.
func (c *graphCall) charges(pattern string, units float64) []charge {
	app, tenant := c.caller.ClientID, c.tenant.id.String()
	inTenant := "Tenant_Application/ReadWrite/" + app + "/" + tenant
	const byUnits, byWrites = "ResourceUnitLimitExceeded", "WriteLimitExceeded"
	forApp, forTenant := "Application/ReadWrite/"+app, "Tenant/Write/"+tenant // forms recalled
	if strings.HasPrefix(pattern, "auditLogs/") || strings.HasPrefix(pattern, "reports/") {
		return []charge{{reportsOfApp, "reports:" + app + ":" + tenant, 1, inTenant, byUnits}}
	}
	charges := []charge{
		{c.tenant.units(), "units:" + app + ":" + tenant, units, inTenant, byUnits},
		{unitsOfApp, "units:" + app, units, forApp, byUnits},
	}
	if c.request.Method != http.MethodGet {
		charges = append(charges,
			charge{writesOfAppInTenant, "writes:" + app + ":" + tenant, 1, inTenant, byWrites},
			charge{writesOfApp, "writes:" + app, 1, forApp, byWrites},
			charge{writesOfTenant, "writes:" + tenant, 1, forTenant, byWrites})
		if c.namesPersonalApp(pattern) {
			charges = append(charges, charge{writesToPersonal, "personal:" + app + ":" + tenant, 1, inTenant, byWrites})
		}
		return charges
	}
	if selected := strings.Split(strings.ToLower(strings.ReplaceAll(c.query.Get("select"), " ", "")), ","); slices.Contains(selected, strings.ToLower(keyCredentialsName)) {
		charges = append(charges, charge{selectedKeys, "keys:" + tenant, 1, "Tenant/Read/" + tenant, byUnits})
	}
	return charges
}

// units depend on how many users a tenant has.
func (t *tenant) units() limit {
	switch {
	case len(t.users) < 50:
		return unitsOfSmallTenant
	case len(t.users) <= 500:
		return unitsOfMediumTenant
	}
	return unitsOfLargeTenant
}

// namesPersonalApp reports whether a write is to an app that personal accounts
// may sign in to.
func (c *graphCall) namesPersonalApp(pattern string) bool {
	if !strings.HasPrefix(pattern, "applications/{}") {
		return false
	}
	key, byClientID := strings.CutPrefix(c.keys[0], alternateKey)
	id, _ := parseGUID(key)
	a := c.tenant.app(id)
	if byClientID {
		a = c.tenant.appWithClientID(id)
	}
	return a != nil && (a.audience == audiencePersonal || a.audience == audienceOnlyMSA)
}

// throttling turns Graph's limits on or off.
func (c *controlCall) throttling() (any, *problem) {
	var sent struct{ On *bool }
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	if sent.On == nil {
		return nil, badCommand("on must be true or false")
	}
	c.lab.buckets.set(*sent.On)
	c.event.Write = &Write{Kind: "throttle"}
	return object{{"on", *sent.On}}, nil
}
