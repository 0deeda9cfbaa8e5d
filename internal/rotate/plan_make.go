package rotate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

// survey is the world as a plan was made from it.
type survey struct {
	snapshot entra.Snapshot
	values   map[string]secret.Value // what each readable sink holds
	held     map[string]sink.Held
}

// Plan reads the app and every sink and returns what a rotation would do. It
// writes nothing. What forbids the rotation is in the plan's Blockers; an error
// means that no plan could be made.
func (e *Engine) Plan(ctx context.Context, o Options) (*Plan, error) {
	p, _, err := e.plan(ctx, o)
	return p, err
}

func (e *Engine) plan(ctx context.Context, o Options) (*Plan, *survey, error) {
	b := e.binding
	s := &survey{values: map[string]secret.Value{}, held: map[string]sink.Held{}}
	var err error
	if s.snapshot, err = e.directory.Snapshot(ctx, b.ClientID); err != nil {
		return nil, nil, fmt.Errorf("read app %s: %w", b.ClientID, err)
	}
	app := s.snapshot.App
	if app == nil {
		return nil, nil, &Refused{fmt.Sprintf("tenant %s has no app with client id %s: correct `app` of binding %s", b.TenantID, b.ClientID, b.Name)}
	}
	p := &Plan{
		Binding: b.Name, TenantID: b.TenantID, ClientID: b.ClientID, AppName: app.DisplayName,
		Lifetime: seconds(b.Lifetime), Overlap: seconds(b.Overlap), Retire: b.Retire, Emergency: o.Emergency, Self: o.Self,
		Scope: b.Prove.Scope, Times: b.Prove.Times, Over: seconds(b.Prove.Over),
		Old: []Secret{}, Free: []Secret{}, Kept: []Secret{}, Sinks: []PlanSink{}, Warnings: []string{}, Blockers: []string{},
	}
	if o.Emergency {
		p.Times, p.Over = min(p.Times, acceptTimes), 0
	}
	p.holder(app)
	if err := e.mayWrite(ctx, p, app); err != nil {
		return nil, nil, err
	}
	if err := e.readSinks(ctx, p, s); err != nil {
		return nil, nil, err
	}
	p.choose(app, s, o)
	if err := e.limits(ctx, p, app, s.snapshot.Server); err != nil {
		return nil, nil, err
	}
	if d := s.snapshot.Offset(e.now()).Abs(); d > maxOffset {
		p.block("this machine's clock and the directory's differ by %s, more than %s: correct the clock", d.Round(time.Second), maxOffset)
	}
	p.list()
	p.seal()
	return p, s, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (p *Plan) block(format string, args ...any) {
	p.Blockers = append(p.Blockers, fmt.Sprintf(format, args...))
}

func (p *Plan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// holder chooses the object that gets the new secret: the application, which
// the portal shows; the service principal only where there is no other.
func (p *Plan) holder(app *entra.App) {
	p.Holder, p.HolderID = entra.OnApplication, app.ObjectID
	if app.ObjectID == "" && app.ServicePrincipal != nil {
		p.Holder, p.HolderID = entra.OnServicePrincipal, app.ServicePrincipal.ObjectID
		p.warn("the application itself is in another tenant: the secret goes on the service principal, which works for tenant %s only", p.TenantID)
	}
	if app.Disabled || app.ServicePrincipal != nil && !app.ServicePrincipal.Enabled {
		p.block("the app is disabled: no new secret can be proven until it is enabled")
	}
	if app.ServicePrincipal == nil {
		p.block("the app has no service principal in tenant %s: no new secret can be proven until it has one", p.TenantID)
	}
}

// mayWrite looks at the operator: it must be allowed to, and must not be the
// target.
func (e *Engine) mayWrite(ctx context.Context, p *Plan, app *entra.App) error {
	op, err := e.directory.Operator(ctx)
	if err != nil {
		return fmt.Errorf("look at the operator's permissions: %w", err)
	}
	ids := append([]string{app.ClientID, app.ObjectID}, p.HolderID)
	if app.ServicePrincipal != nil {
		ids = append(ids, app.ServicePrincipal.ObjectID)
	}
	self := slices.ContainsFunc([]string{op.ClientID, op.ObjectID}, func(own string) bool {
		return own != "" && slices.ContainsFunc(ids, func(id string) bool { return entra.SameGUID(id, own) })
	})
	switch {
	case self && (!p.Self || e.asOperator == nil):
		p.block("app %s is the identity that credsmith itself signs in with: it is rotated only where that is said (--self)", app.ClientID)
		return nil
	case self:
		p.Rights = slices.Sorted(slices.Values(op.Permissions))
	case p.Self:
		p.block("credsmith does not sign in as app %s: leave --self out", app.ClientID)
		return nil
	}
	switch {
	case len(op.Permissions) == 0:
		p.warn("what the operator may do cannot be told beforehand: the mint itself will show")
	case slices.Contains(op.Permissions, "Application.ReadWrite.All"), slices.Contains(op.Permissions, "Directory.ReadWrite.All"):
	case slices.Contains(op.Permissions, "Application.ReadWrite.OwnedBy"):
		owns, err := e.directory.Owns(ctx, *app)
		if err != nil {
			return fmt.Errorf("look for the operator among the app's owners: %w", err)
		}
		if !owns {
			p.block("the operator %s holds Application.ReadWrite.OwnedBy and does not own app %s: make its service principal an owner of the app", op.ClientID, app.ClientID)
		}
	default:
		p.block("the operator %s may not add secrets: grant it Application.ReadWrite.OwnedBy and make it an owner of app %s", op.ClientID, app.ClientID)
	}
	return nil
}

// readSinks asks every sink what it holds and whether it would take a write.
func (e *Engine) readSinks(ctx context.Context, p *Plan, s *survey) error {
	for _, k := range e.binding.Sinks {
		_, reloads := k.(sink.Reloader)
		ps := PlanSink{Ref: k.Ref(), Abilities: k.Abilities(), Reloads: reloads}
		held, err := k.Read(ctx)
		if err == nil {
			err = k.Check(ctx)
		}
		switch kind, _ := judge(err); {
		case err != nil && kind != sink.Denied && kind != sink.Invalid:
			return err
		case err != nil:
			ps.Holds = "unknown"
			p.block("%v", err)
		case held.ManagedBy != "":
			ps.Holds = "a value that " + held.ManagedBy + " writes"
			p.block("%s is written by %s, which would undo our write: bind the place it reads from instead", ps.Ref, held.ManagedBy)
		case !held.Exists:
			ps.Holds = "nothing"
		case !ps.Abilities.ReadBack:
			ps.Holds = "something that cannot be read back"
		default:
			ps.Prior = e.key.Fingerprint(held.Value)
			ps.Holds = "a value that is none of the app's secrets"
			s.values[ps.Ref] = held.Value
		}
		s.held[ps.Ref] = held
		p.Sinks = append(p.Sinks, ps)
	}
	if len(p.Sinks) == 0 {
		p.block("binding %s has no sinks: the new value would reach nobody", p.Binding)
	}
	return nil
}

// choose decides which secrets are old: the ones that the sinks hold, or the
// ones a person named. Nothing else is ever removed.
func (p *Plan) choose(app *entra.App, s *survey, o Options) {
	old := map[string]string{}
	for i := range p.Sinks {
		k := &p.Sinks[i]
		v, readable := s.values[k.Ref]
		if !readable {
			continue
		}
		matches := matching(app, v, s.snapshot.Server)
		switch len(matches) {
		case 0:
			p.warn("%s holds a value that is none of the app's secrets: its consumers cannot sign in with it now", k.Ref)
		case 1:
			k.KeyID = keyID(matches[0].KeyID)
			k.Holds = "the value of secret " + k.KeyID
			old[keyID(matches[0].KeyID)] = k.Ref + " holds it"
		default:
			k.Holds = "the value of one of " + joined(matches)
			p.warn("the value in %s starts like %d secrets of the app: none of them is retired unless you name it with --retire", k.Ref, len(matches))
		}
	}
	if len(o.Retire) > 0 {
		clear(old)
		for _, id := range o.Retire {
			if c, ok := app.ByKeyID(id); ok {
				old[keyID(c.KeyID)] = "named by hand"
			} else {
				p.block("app %s has no secret with key id %s", app.ClientID, id)
			}
		}
	}
	for _, c := range app.Credentials {
		because, retire := old[keyID(c.KeyID)]
		sec := Secret{keyID(c.KeyID), c.DisplayName, c.Hint, c.On, objectOf(app, c.On), c.End, because}
		tool := manager(c.DisplayName)
		switch {
		case retire && (tool == "" || len(o.Retire) > 0):
			p.Old = append(p.Old, sec)
			continue
		case retire:
			sec.Because = "its name says that " + tool + " manages it"
			p.warn("secret %s (%s) is kept: its name says that %s manages it, which would make another one in place of a secret that is gone. Take it out of %s first, then name it: --retire %s",
				sec.KeyID, c.DisplayName, tool, tool, sec.KeyID)
		default:
			sec.Because = "no sink holds it"
		}
		p.Kept = append(p.Kept, sec)
	}
	if len(p.Old) == 0 {
		p.warn("no old secret is retired: none was found in a sink that can be read")
	}
}

// managers are the tools that keep secrets as resources of their own. Graph
// does not tell who made a secret; its name is the only sign
// (azuread_application_password has a display_name; recalled, unverified: many
// configurations put the tool's name into it).
var managers = []string{"Terraform", "OpenTofu", "Pulumi", "Crossplane"}

// manager returns the tool that the name of a secret speaks of, "" for none.
func manager(name string) string {
	for _, tool := range managers {
		if strings.Contains(strings.ToLower(name), strings.ToLower(tool)) {
			return tool
		}
	}
	return ""
}

func joined(all []entra.Credential) string {
	ids := make([]string, len(all))
	for i, c := range all {
		ids[i] = c.KeyID
	}
	return strings.Join(ids, ", ")
}

func objectOf(app *entra.App, on entra.Holder) string {
	if on == entra.OnServicePrincipal && app.ServicePrincipal != nil {
		return app.ServicePrincipal.ObjectID
	}
	return app.ObjectID
}

// matching returns the secrets that a value may be of: the hint is all that
// the directory tells. Live ones win over expired ones.
func matching(app *entra.App, v secret.Value, now time.Time) []entra.Credential {
	all := app.ByHint(v.Shape().Hint)
	live := slices.DeleteFunc(slices.Clone(all), func(c entra.Credential) bool { return !c.End.After(now) })
	if len(live) > 0 {
		return live
	}
	return all
}

// limits fits the plan to what the tenant allows.
func (e *Engine) limits(ctx context.Context, p *Plan, app *entra.App, now time.Time) error {
	rules, err := e.directory.Rules(ctx, *app)
	if err != nil {
		return fmt.Errorf("read the policy for new secrets: %w", err)
	}
	if rules.Unknown != "" {
		p.warn("%s", rules.Unknown)
	}
	if rules.Forbidden {
		p.block("policy %s forbids new secrets on this app: exempt the app, or move it to a certificate or a federated identity", rules.Policy)
	}
	if limit := rules.MaxLifetime; limit > 0 && p.lifetime() > limit-lifetimeSlack {
		p.warn("policy %s allows %s at most: the secret will live that long, not %s", rules.Policy, days(limit), days(p.lifetime()))
		p.Lifetime = seconds(limit - lifetimeSlack)
	}
	if p.Lifetime <= p.Overlap && !p.Emergency {
		p.block("the secret would live %s, no longer than the overlap of %s", days(p.lifetime()), days(p.overlap()))
	}
	p.room(app, rules.MaxSecrets, now)
	return nil
}

// room makes place for one more secret where their number is limited.
func (p *Plan) room(app *entra.App, limit int, now time.Time) {
	if limit == 0 {
		return
	}
	count := 0
	var expired []Secret
	for _, c := range app.Credentials {
		if c.On != p.Holder {
			continue
		}
		count++
		if !c.End.IsZero() && c.End.Add(maxOffset).Before(now) {
			expired = append(expired, Secret{keyID(c.KeyID), c.DisplayName, c.Hint, c.On, p.HolderID, c.End, "it has expired, and the app may have no more than " + fmt.Sprint(limit)})
		}
	}
	for ; count >= limit && len(expired) > 0; count-- {
		free := expired[0]
		expired = expired[1:]
		p.Free = append(p.Free, free)
		same := func(s Secret) bool { return s.KeyID == free.KeyID }
		p.Kept, p.Old = slices.DeleteFunc(p.Kept, same), slices.DeleteFunc(p.Old, same)
	}
	if count >= limit {
		p.block("the app has %d secrets and may have %d: remove one that nobody uses first", count, limit)
	}
}
