// Package demo tells the whole story on a private lab: five apps, each broken
// in another way, diagnosed with proof, repaired as the cause demands, and
// proven.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// Result is the story of one app. Its JSON shape is a contract.
type Result struct {
	Family string  `json:"family"`
	Before Outcome `json:"before"`
	Repair string  `json:"repair"`
	After  Outcome `json:"after"`
}

// Outcome is a diagnosis in short.
type Outcome struct {
	Verdict    diagnose.Verdict    `json:"verdict"`
	Cause      *diagnose.Cause     `json:"cause"`
	Confidence diagnose.Confidence `json:"confidence,omitempty"`
}

func outcome(r diagnose.Report) Outcome { return Outcome{r.Verdict, r.Cause, r.Confidence} }

// Audience is told the story as it goes on. All of its functions are called
// from the goroutine that runs it.
type Audience struct {
	Scene  func(number, of int, title string)
	Doing  func(what string)
	Report func(diagnose.Report)
	Repair func(what string)
	Proven func(diagnose.Report)
}

// proofs is how many sign-ins in a row prove a repair.
const proofs = 3

// spreading is how long the lab takes to accept a new secret in the last
// scene: long enough to be seen, short enough to wait for.
const spreading = 1500 * time.Millisecond

// Run tells the story. It leaves nothing behind, however it ends.
func Run(ctx context.Context, a Audience) (results []Result, err error) {
	s, err := open(ctx, a)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	scenes := []struct {
		title string
		play  func(context.Context) (Result, error)
	}{
		{"billing-api: its secret ran out", s.expired},
		{"invoice-mailer: the wrong column was copied", s.secretID},
		{"crm-sync: an id that looks right", s.objectID},
		{"report-job: a request of the wrong shape", s.jsonBody},
		{"web-frontend: a secret made a moment ago", s.young},
	}
	for i, scene := range scenes {
		a.Scene(i+1, len(scenes), scene.title)
		r, err := scene.play(ctx)
		if err != nil {
			return results, fmt.Errorf("scene %d: %w", i+1, err)
		}
		if r.After.Verdict != diagnose.Working {
			return append(results, r), fmt.Errorf("scene %d: the app does not work after the repair", i+1)
		}
		results = append(results, r)
	}
	return results, nil
}

// stage is what all scenes play on.
type stage struct {
	lab      *entralab.Lab
	dir      string
	operator *graph.Client
	audience Audience
}

func open(ctx context.Context, a Audience) (*stage, error) {
	lab, err := entralab.Start(ctx, entralab.Config{InProcess: true})
	if err != nil {
		return nil, fmt.Errorf("start the lab: %w", err)
	}
	dir, err := os.MkdirTemp("", "credsmith-demo-")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a directory for the demo's files: %w", err), lab.Close())
	}
	s := &stage{lab: lab, dir: dir, audience: a}
	op := lab.Operator()
	client := wire.Wrap(lab.Transport())
	identity, err := operator.Place{TenantID: op.TenantID, Authority: lab.AuthorityURL(), Graph: lab.GraphURL(), HTTP: client}.Secret(op.ClientID, secret.New(op.Secrets[0].Value.Reveal()))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.operator = graph.New(lab.GraphURL(), identity.TenantID, identity.Credential, client)
	return s, nil
}

func (s *stage) close() error { return errors.Join(s.lab.Close(), os.RemoveAll(s.dir)) }

// app is a consumer of the story: its registration and its .env file.
type app struct {
	entralab.App
	file string
}

// consumer registers an app and writes the .env that it reads.
func (s *stage) consumer(spec entralab.AppSpec, clientID func(entralab.App) string, value func(entralab.App) string) (app, error) {
	registered, err := s.lab.AddApp(spec)
	if err != nil {
		return app{}, fmt.Errorf("register %s: %w", spec.DisplayName, err)
	}
	a := app{registered, filepath.Join(s.dir, spec.DisplayName+".env")}
	text := fmt.Sprintf("# %s\nAZURE_AUTHORITY_HOST=%s\nAZURE_TENANT_ID=%s\nAZURE_CLIENT_ID=%s\nAZURE_CLIENT_SECRET=%q # keep\n",
		spec.DisplayName, s.lab.AuthorityURL(), registered.TenantID, clientID(registered), value(registered))
	if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
		return app{}, fmt.Errorf("write %s: %w", a.file, err)
	}
	return a, nil
}

func ownID(a entralab.App) string    { return a.ClientID }
func objectID(a entralab.App) string { return a.ObjectID }
func ownValue(a entralab.App) string { return a.Secrets[0].Value.Reveal() }
func keyID(a entralab.App) string    { return a.Secrets[0].KeyID }

func (s *stage) read(a app) (entra.Setting, *setting.Dotenv, error) {
	data, err := os.ReadFile(a.file)
	if err != nil {
		return entra.Setting{}, nil, fmt.Errorf("read the app's setting: %w", err)
	}
	file := setting.ParseDotenv(data)
	read, err := file.Setting(filepath.Base(a.file))
	return read, file, err
}

// diagnose examines what the app's file holds now.
func (s *stage) diagnose(ctx context.Context, a app, captured *diagnose.Captured) (diagnose.Report, error) {
	read, _, err := s.read(a)
	if err != nil {
		return diagnose.Report{}, err
	}
	s.audience.Doing("diagnosing " + a.DisplayName)
	return diagnose.Run(ctx, diagnose.Case{Setting: read, Scope: "https://graph.microsoft.com/.default", Captured: captured}, diagnose.Means{
		SignIn:   token.New(read.Authority, wire.Wrap(s.lab.Transport())),
		Reader:   s.operator,
		Progress: func(e diagnose.Experiment) { s.audience.Doing(fmt.Sprintf("diagnosing %s: %s", a.DisplayName, e.Kind)) },
	})
}

// write changes one key of the app's file and no other byte.
func (s *stage) write(a app, key string, value secret.Value) error {
	_, file, err := s.read(a)
	if err != nil {
		return err
	}
	data, err := file.With(key, value)
	if err != nil {
		return err
	}
	return os.WriteFile(a.file, data, 0o600)
}

// mint makes a new secret through Graph and puts it into the app's file.
func (s *stage) mint(ctx context.Context, a app) (string, error) {
	s.audience.Doing("minting a secret for " + a.DisplayName)
	made, value, err := s.operator.Mint(ctx, entra.OnApplication, a.ObjectID, "credsmith demo", s.lab.Now().AddDate(0, 0, 90))
	if err != nil {
		return "", err
	}
	if err := s.write(a, "AZURE_CLIENT_SECRET", value); err != nil {
		return "", err
	}
	return fmt.Sprintf("minted secret %s (begins %s) through Graph and wrote it to %s", made.KeyID, made.Hint, filepath.Base(a.file)), nil
}

// prove signs in several times in a row with what the file holds.
func (s *stage) prove(ctx context.Context, a app) error {
	read, _, err := s.read(a)
	if err != nil {
		return err
	}
	client := token.New(read.Authority, wire.Wrap(s.lab.Transport()))
	for i := range proofs {
		s.audience.Doing(fmt.Sprintf("proving %s: %d of %d", a.DisplayName, i+1, proofs))
		answer, err := client.Token(ctx, entra.TokenRequest{TenantID: read.TenantID, ClientID: read.ClientID, Value: read.Value, Scope: "https://graph.microsoft.com/.default"})
		if err != nil {
			return err
		}
		if answer.Token == nil {
			return fmt.Errorf("prove %s: sign-in %d of %d was refused", a.DisplayName, i+1, proofs)
		}
	}
	return nil
}

// finish proves the repair and diagnoses the app once more.
func (s *stage) finish(ctx context.Context, a app, family string, before diagnose.Report, repair string) (Result, error) {
	s.audience.Repair(repair)
	if err := s.prove(ctx, a); err != nil {
		return Result{}, err
	}
	after, err := s.diagnose(ctx, a, nil)
	if err != nil {
		return Result{}, err
	}
	s.audience.Proven(after)
	return Result{family, outcome(before), repair, outcome(after)}, nil
}
