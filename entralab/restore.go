package entralab

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// storedKeys is what must stay secret and stay the same: the CA that clients
// trust, the key that signed their tokens, and the values in [Lab.Env].
type storedKeys struct {
	CA                 []byte `json:"ca"` // certificates as DER, keys as PKCS #8
	CAKey              []byte `json:"ca_key"`
	SigningCertificate []byte `json:"signing_certificate"`
	SigningKey         []byte `json:"signing_key"`
	HealthyKeyID       string `json:"healthy_key_id"`
	HealthyValue       string `json:"healthy_value"`
	OperatorKeyID      string `json:"operator_key_id"`
	OperatorValue      string `json:"operator_value"`
	DigestKey          []byte `json:"digest_key"`
	SealerKey          []byte `json:"sealer_key"`
}

// seededValues is the lab as the record of its keys.
type seededValues Lab

func (s *seededValues) stored() Record {
	l := (*Lab)(s)
	<-l.key.done
	k := storedKeys{
		CA: l.certificates.ca.Raw, CAKey: pkcs8(l.certificates.caKey),
		SigningCertificate: l.key.certificate, SigningKey: pkcs8(l.key.private),
	}
	k.DigestKey, k.SealerKey = l.digestKey[:], l.sealerKey[:]
	k.HealthyKeyID, k.HealthyValue = l.healthy.known()
	k.OperatorKeyID, k.OperatorValue = l.operator.known()
	return Record{kindKeys, "keys", encodeJSON(k)}
}

// known is the secret of a seeded app, if the lab can tell it.
func (a App) known() (keyID, value string) {
	if len(a.Secrets) == 0 {
		return "", ""
	}
	return a.Secrets[0].KeyID, a.Secrets[0].Value.Reveal()
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("entralab: encode key: " + err.Error()) // only for kinds of keys the lab does not make
	}
	return der
}

// restored is a lab read from a store.
type restored struct {
	lab     storedLab
	keys    storedKeys
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	signing *rsa.PrivateKey
	tenants []*tenant
	events  []Event
	vaults  []*vault
	grants  grants
	notices map[int]storedNotice
	faults  []*faultRule
	model   *modelReader
	pieces  []piece
}

// ErrDamaged is what [Start] returns for a [Store] whose records do not fit
// together.
var ErrDamaged = errors.New("the stored lab is damaged: restore it from a copy, or start with an empty directory")

// restore reads a lab. It returns nil for an empty store.
func restore(ctx context.Context, store Store) (*restored, error) {
	r := &restored{}
	found := 0
	for record, err := range store.Load(ctx, kindLab) {
		if err != nil {
			return nil, err
		}
		found++
		if json.Unmarshal(record.Data, &r.lab) != nil {
			return nil, ErrDamaged
		}
	}
	if found == 0 {
		return nil, nil
	}
	if r.lab.Format > storedFormat {
		return nil, fmt.Errorf("the stored lab has format %d, this credsmith reads up to %d: use a newer credsmith", r.lab.Format, storedFormat)
	}
	if err := r.readKeys(ctx, store); err != nil {
		return nil, err
	}
	if err := r.readTenants(ctx, store); err != nil {
		return nil, err
	}
	if err := r.readVaults(ctx, store); err != nil {
		return nil, err
	}
	if err := r.readNotices(ctx, store); err != nil {
		return nil, err
	}
	if err := r.readGrants(ctx, store); err != nil {
		return nil, err
	}
	if err := r.readFaults(ctx, store); err != nil {
		return nil, err
	}
	return r, r.readHistory(ctx, store)
}

// each decodes the records of a kind.
func each[T any](ctx context.Context, store Store, kind string, take func(id string, v T) error) error {
	for record, err := range store.Load(ctx, kind) {
		if err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(record.Data, &v); err != nil {
			return fmt.Errorf("%w (%s %s: %v)", ErrDamaged, kind, record.ID, err)
		}
		if err := take(record.ID, v); err != nil {
			return fmt.Errorf("%w (%v)", ErrDamaged, err)
		}
	}
	return nil
}

func (r *restored) readKeys(ctx context.Context, store Store) error {
	found := 0
	return errors.Join(each(ctx, store, kindKeys, func(_ string, k storedKeys) error {
		found++
		r.keys = k
		ca, err := x509.ParseCertificate(k.CA)
		if err != nil {
			return err
		}
		caKey, err := x509.ParsePKCS8PrivateKey(k.CAKey)
		if err != nil {
			return err
		}
		signing, err := x509.ParsePKCS8PrivateKey(k.SigningKey)
		if err != nil {
			return err
		}
		var okCA, okSigning bool
		r.ca = ca
		r.caKey, okCA = caKey.(*ecdsa.PrivateKey)
		r.signing, okSigning = signing.(*rsa.PrivateKey)
		if !okCA || !okSigning || len(k.DigestKey) != 32 || len(k.SealerKey) != 32 {
			return errors.New("keys of another kind")
		}
		return nil
	}), func() error {
		if found != 1 {
			return fmt.Errorf("%w (its keys are missing)", ErrDamaged)
		}
		return nil
	}())
}

func (r *restored) readTenants(ctx context.Context, store Store) error {
	m := newModelReader()
	r.model = m
	var tenants []storedTenant
	err := each(ctx, store, kindTenant, func(_ string, s storedTenant) error {
		tenants = append(tenants, s)
		_, err := m.tenant(s)
		return err
	})
	if err != nil {
		return err
	}
	var apps []storedApp
	if err := each(ctx, store, kindApp, func(_ string, s storedApp) error { apps = append(apps, s); return nil }); err != nil {
		return err
	}
	slices.SortFunc(apps, func(a, b storedApp) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for _, s := range apps {
		if err := m.app(s); err != nil {
			return fmt.Errorf("%w (%v)", ErrDamaged, err)
		}
	}
	apps = nil
	var principals []storedPrincipal
	if err := each(ctx, store, kindPrincipal, func(_ string, s storedPrincipal) error { principals = append(principals, s); return nil }); err != nil {
		return err
	}
	slices.SortFunc(principals, func(a, b storedPrincipal) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for _, s := range principals {
		if err := m.principal(s); err != nil {
			return fmt.Errorf("%w (%v)", ErrDamaged, err)
		}
	}
	for _, s := range principals {
		if err := m.apiGrants(s); err != nil {
			return fmt.Errorf("%w (%v)", ErrDamaged, err)
		}
	}
	for _, s := range tenants {
		if err := m.permissionGrants(s); err != nil {
			return fmt.Errorf("%w (%v)", ErrDamaged, err)
		}
	}
	if err := r.readAudits(ctx, store, m); err != nil {
		return err
	}
	for _, id := range r.lab.Tenants {
		t := m.byID[id]
		if t == nil {
			return fmt.Errorf("%w (tenant %s is missing)", ErrDamaged, id)
		}
		r.tenants = append(r.tenants, t)
	}
	if err := m.finish(r.tenants); err != nil {
		return fmt.Errorf("%w (%v)", ErrDamaged, err)
	}
	return nil
}

func (r *restored) readAudits(ctx context.Context, store Store, m *modelReader) error {
	type run struct {
		tenant  guid
		first   int
		entries []storedAudit
	}
	var runs []run
	err := each(ctx, store, kindAudits, func(id string, entries []storedAudit) error {
		tenantID, first, _ := strings.Cut(id, "/")
		g, _ := parseGUID(tenantID)
		var n int
		if _, err := fmt.Sscan(first, &n); err != nil || m.byID[g] == nil {
			return errors.New("audit entries of no tenant")
		}
		runs = append(runs, run{g, n, entries})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	for _, part := range runs {
		t := m.byID[part.tenant]
		if part.first != len(t.audits) {
			return fmt.Errorf("%w (audit entries from %d are missing)", ErrDamaged, len(t.audits))
		}
		for _, e := range part.entries {
			if err := m.audit(t, e); err != nil {
				return fmt.Errorf("%w (%v)", ErrDamaged, err)
			}
		}
		t.auditsSaved = len(t.audits)
	}
	return nil
}

func (r *restored) readHistory(ctx context.Context, store Store) error {
	err := each(ctx, store, kindHistory, func(_ string, events []storedEvent) error {
		if len(events) == 0 {
			return errors.New("a piece of history is empty")
		}
		for _, e := range events {
			e.Event.appOnly = e.AppOnly
			if d := e.SignIn; d != nil {
				e.Event.signIn = &signInDetail{d.Trace, d.Correlation, d.Credential, d.ResourceID, r.model.principals[d.Resource]}
			}
			r.events = append(r.events, e.Event)
		}
		r.pieces = append(r.pieces, piece{events[0].Seq, events[len(events)-1].Seq})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(r.events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(r.pieces, func(a, b piece) int { return cmp.Compare(a.first, b.first) })
	for i, e := range r.events {
		if e.Seq != r.events[0].Seq+i {
			return fmt.Errorf("%w (the history has a gap before %d)", ErrDamaged, e.Seq)
		}
	}
	if n := len(r.events); n > 0 && r.events[0].Seq > 1 && n < historySize {
		return fmt.Errorf("%w (the history begins at %d)", ErrDamaged, r.events[0].Seq)
	}
	return nil
}

// continueFrom makes the restored lab this one. Nobody else knows the lab yet.
func (l *Lab) continueFrom(r *restored) {
	l.tenants, l.home = r.tenants, r.tenants[0]
	if len(r.tenants) > 1 {
		l.other = r.tenants[1]
	}
	s, k := r.lab.Settings, r.keys
	l.use(s)
	text := func(keyID, value string) App {
		return App{Secrets: []Secret{{KeyID: keyID, Value: newSecretText(value)}}}
	}
	l.healthy = l.seeded(s.Healthy, text(k.HealthyKeyID, k.HealthyValue))
	l.operator = l.seeded(s.Operator, text(k.OperatorKeyID, k.OperatorValue))
	l.digestKey, l.sealerKey = [32]byte(k.DigestKey), [32]byte(k.SealerKey)
	l.operatorID, _ = parseGUID(l.operator.ServicePrincipalID)
	l.takeVaults(r.vaults)
	l.takeNotices(r.notices)
	l.takeGrants(r.grants)
	l.history.continueFrom(r.events)
	l.saver.pieces = r.pieces
}

// continueFrom takes events over. The ring keeps the last of them.
func (h *history) continueFrom(events []Event) {
	if len(events) == 0 {
		return
	}
	h.last = events[len(events)-1].Seq
	events = events[max(0, len(events)-historySize):]
	h.events = make([]Event, len(events))
	for _, e := range events {
		h.events[(e.Seq-1)%historySize] = e
	}
}

// take empties the list of events that wait to be saved.
func (h *history) take() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.waiting
	h.waiting = nil
	return events
}

// caRenewal is how long before its end a stored CA is replaced.
const caRenewal = 30 * 24 * time.Hour
