package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/audit"
)

func (p *program) audit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check and show the record of what credsmith did",
		Args:  cobra.NoArgs,
		Long: `Works on the audit record in the store: one entry before each thing that credsmith
changes and one after it, each bound to the one before by a keyed hash. It never
holds a secret.

` + exitCodes,
		Example: "credsmith audit verify\ncredsmith audit show",
	}
	cmd.AddCommand(p.auditVerify(), p.auditShow())
	return cmd
}

func (p *program) auditVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "See that no entry was changed, taken out, put in or cut off",
		Args:  cobra.NoArgs,
		Long: `Walks the whole record and checks each hash, and that the end is there that was
written down beside the database. Exits 1 when it does not hold, and says from
which entry on nothing can be trusted.

` + exitCodes,
		Example: "credsmith audit verify\ncredsmith audit verify -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.runAuditVerify(cmd.Context()) },
	}
}

// auditVerdict is the result of audit verify in JSON.
type auditVerdict struct {
	Holds   bool    `json:"holds"`
	Entries int64   `json:"entries"`
	Hash    string  `json:"hash"` // of the last entry
	Broken  *int64  `json:"broken_at"`
	Why     *string `json:"why"`
}

func (p *program) runAuditVerify(ctx context.Context) error {
	r, err := p.records(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	v := auditVerdict{Holds: true}
	if r.store != nil {
		head, err := r.store.VerifyAudit(ctx)
		v.Entries, v.Hash = head.Seq, head.Hash
		if broken, ok := errors.AsType[*audit.Broken](err); ok {
			v.Holds, v.Broken, v.Why = false, &broken.Seq, &broken.Why
		} else if err != nil {
			return outcome(err, "")
		}
	}
	switch {
	case p.json:
		if err := p.writeJSON(v); err != nil {
			return err
		}
	case v.Holds:
		p.page().line("the record holds: %d entries", v.Entries)
	default:
		p.page().line("%s", clean("the record is broken: "+*v.Why))
	}
	if !v.Holds {
		return found{exitProblem}
	}
	return nil
}

func (p *program) auditShow() *cobra.Command {
	var rotation string
	var from int64
	cmd := &cobra.Command{
		Use:   "show",
		Short: "List the entries of the record, oldest first",
		Args:  cobra.NoArgs,
		Long: `Lists the entries, oldest first; with -o json one object a line. It does not check
them: audit verify does.

` + exitCodes,
		Example: "credsmith audit show\ncredsmith audit show --rotation r-6qk2n4x7ma -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.runAuditShow(cmd.Context(), rotation, from) },
	}
	cmd.Flags().StringVar(&rotation, "rotation", "", "only entries of this rotation")
	cmd.Flags().Int64Var(&from, "from", 1, "the first entry to show")
	return cmd
}

func (p *program) runAuditShow(ctx context.Context, rotation string, from int64) error {
	if from < 1 {
		return usage("give a number from 1 up", "--from %d: entries are counted from 1", from)
	}
	r, err := p.records(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if r.store == nil {
		return nil
	}
	for e, err := range r.store.Audit(ctx, from) {
		if err != nil {
			return &failure{exitProblem, err, "see where it broke: credsmith audit verify"}
		}
		if rotation != "" && e.Rotation != rotation {
			continue
		}
		if err := p.showEntry(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) showEntry(e audit.Entry) error {
	if p.json {
		return p.writeJSONLine(e)
	}
	var about []string
	for _, part := range []string{e.Rotation, e.Sink, e.KeyID, e.Detail} {
		if part != "" {
			about = append(about, part)
		}
	}
	text := fmt.Sprintf("%5d  %s  %-8s  %-7s  %s  %s", e.Seq, e.At.Format(time.RFC3339), e.Action, e.Outcome, e.Actor, strings.Join(about, "  "))
	if _, err := fmt.Fprintln(p.Stdout, clean(text)); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
