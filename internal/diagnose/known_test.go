package diagnose_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// copyOf is another setting of the run.
func copyOf(c *diagnose.Case, origin string, edit func(s *entra.Setting)) {
	s := c.Setting
	s.Origin = origin
	edit(&s)
	c.Known = append(c.Known, s)
}

// TestCopies: what other settings of the same run add.
func TestCopies(t *testing.T) {
	inLab(t, func(b *bench) {
		good := secret.New(b.value())
		other := b.register("other", old)
		otherValue := secret.New(other.Secrets[0].Value.Reveal())
		with := func(value secret.Value, edit func(s *entra.Setting)) diagnose.Case {
			return b.ask(func(c *diagnose.Case) {
				c.Setting.Value = value
				copyOf(c, "prod.env:3:1", edit)
			})
		}
		current := func(s *entra.Setting) { s.Value = good }
		b.expect(b.run(with(secret.New("Zzz8Q~"+strings.Repeat("z", 34)), current), false), "broken secret-superseded likely")
		b.expect(b.run(with(secret.New(typo(b.value())), current), false), "broken secret-typo confirmed")
		b.expect(b.run(with(secret.New(b.value()+"\n"), current), false), "broken secret-whitespace confirmed")
		b.expect(b.run(with(otherValue, func(s *entra.Setting) { s.ClientID = other.ClientID }), false), "broken client-id-of-other-app confirmed")
		b.expect(b.run(with(otherValue, func(s *entra.Setting) { s.ClientID, s.Value = other.ClientID, good }), false), "broken secret-of-other-app confirmed")

		// A copy for another authority is never sent.
		c := with(secret.New("Zzz8Q~"+strings.Repeat("z", 34)), func(s *entra.Setting) { s.Value, s.Authority = good, "https://login.microsoftonline.us" })
		b.expect(b.run(c, false), "broken secret-unknown likely")
	})
}

// TestSuperseded: with credsmith's own record the removal is proven.
func TestSuperseded(t *testing.T) {
	inLab(t, func(b *bench) {
		b.expect(b.run(b.ask(nil), true), "working - confirmed")
		fresh, err := b.lab.AddSecret(b.app.ObjectID, entralab.SecretSpec{DisplayName: "new", At: b.lab.Now().Add(-time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		if err := b.lab.RemoveSecret(b.app.ObjectID, b.app.Secrets[0].KeyID); err != nil {
			b.Fatal(err)
		}
		c := b.ask(func(c *diagnose.Case) {
			copyOf(c, "prod.env:3:1", func(s *entra.Setting) { s.Value = secret.New(fresh.Value.Reveal()) })
		})
		b.expect(b.run(c, true), "broken secret-superseded confirmed")
	})
}

// TestChain: after one fault the next, in the order in which they show.
func TestChain(t *testing.T) {
	inLab(t, func(b *bench) {
		also := func(r diagnose.Report, want ...diagnose.Also) {
			b.Helper()
			if !slices.Equal(r.Also, want) {
				b.Errorf("also = %v, want %v", r.Also, want)
			}
			for _, next := range want {
				info, _ := diagnose.Lookup(next.Cause)
				if !slices.ContainsFunc(r.Fix, func(f diagnose.Fix) bool { return f.Do == info.Fix[0].Do }) {
					b.Errorf("no step for %s among %v", next.Cause, r.Fix)
				}
			}
		}
		r := b.run(b.ask(func(c *diagnose.Case) {
			c.Setting.TenantID, c.KnownTenants = b.lab.OtherTenantID(), []string{b.app.TenantID}
			c.Setting.Value = secret.New(b.value() + "\n")
		}), false)
		b.expect(r, "broken tenant-wrong confirmed")
		also(r, diagnose.Also{Cause: "secret-whitespace", Confidence: diagnose.Confirmed})

		now := b.lab.Now()
		ended, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "ended", Secrets: []entralab.SecretSpec{{At: now.AddDate(0, 0, -92), Start: now.AddDate(0, 0, -92), End: now.AddDate(0, 0, -2)}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = ended
		r = b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(`"` + b.value() + `"`) }), false)
		b.expect(r, "broken secret-quoted confirmed")
		also(r, diagnose.Also{Cause: "secret-expired", Confidence: diagnose.Confirmed})
	})
}

// moody is a token service that answers anything.
type moody struct {
	*rand.Rand
	requests int
}

func (m *moody) Discover(_ context.Context, tenant string) (entra.Answer, error) {
	a := entra.Answer{Status: 200, TenantID: tenant, Date: time.Now()}
	if m.IntN(6) == 0 {
		a = entra.Answer{Status: 400, Failure: &aadsts.Failure{Code: 90002}, Date: time.Now()}
	}
	return a, nil
}

func (m *moody) Token(context.Context, entra.TokenRequest) (entra.Answer, error) {
	m.requests++
	codes := []int{7000215, 7000215, 7000215, 7000222, 700016, 53003, 7000112, 50059, 900144, 0}
	code := codes[m.IntN(len(codes))]
	if code == 0 && m.IntN(3) == 0 {
		return entra.Answer{Status: 200, Token: &entra.Token{}, Date: time.Now()}, nil
	}
	return entra.Answer{Status: 401, Failure: &aadsts.Failure{Code: code, Codes: []int{code}}, Date: time.Now()}, nil
}

// TestBudget: whatever the service answers, the tries are never exceeded, no
// two of them come within a second, and every report names a known cause.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(2000) {
			m := &moody{Rand: rand.New(rand.NewPCG(seed, 1))}
			id := func() string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", m.Uint32(), m.Uint32()) }
			values := []string{"abc8Q~" + strings.Repeat("z", 34), "\"abc8Q~%7E\\u007e" + strings.Repeat("z", 28) + "\"\n", "YWJjOFF+enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eg==", "${X}", id()}
			c := diagnose.Case{MaxTries: 1 + m.IntN(14), Watch: time.Duration(m.IntN(3)) * time.Minute}
			c.Setting = entra.Setting{TenantID: id(), ClientID: id(), Value: secret.New(values[m.IntN(len(values))]), Authority: "a", Origin: "here"}
			for i := range m.IntN(8) {
				copyOf(&c, fmt.Sprint("copy ", i), func(s *entra.Setting) {
					if m.IntN(2) == 0 {
						s.TenantID = id()
					}
					if m.IntN(2) == 0 {
						s.ClientID = id()
					}
					s.Value = secret.New(values[m.IntN(len(values))])
				})
				c.KnownTenants = append(c.KnownTenants, id())
			}
			began := time.Now()
			r, err := diagnose.Run(t.Context(), c, diagnose.Means{SignIn: m, Pace: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if m.requests > c.MaxTries {
				t.Fatalf("seed %d: %d token requests, at most %d allowed", seed, m.requests, c.MaxTries)
			}
			if took := time.Since(began); took < time.Duration(m.requests-1)*time.Second {
				t.Fatalf("seed %d: %d token requests within %s", seed, m.requests, took)
			}
			if r.Cause != nil {
				if _, known := diagnose.Lookup(*r.Cause); !known {
					t.Fatalf("seed %d: cause %s is not in the table", seed, *r.Cause)
				}
			}
		}
	})
}
