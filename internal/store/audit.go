package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/uptrace/bun"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/rotate"
)

const headSetting = "audit head"

// write runs one transaction, and another one where two met: the head of the
// audit chain admits one at a time.
func (s *Store) write(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	if s.headErr.Load() {
		// Nothing more is done while what was done cannot be noted.
		if err := s.noteHead(ctx); err != nil {
			return err
		}
	}
	for {
		err := s.db.RunInTx(ctx, nil, do)
		if errors.Is(err, errHeadMoved) && ctx.Err() == nil {
			continue
		}
		if err == nil {
			// It is done, and cannot be called off: a head that was not noted
			// stops the next write.
			s.headErr.Store(s.noteHead(ctx) != nil)
		}
		return err
	}
}

var errHeadMoved = errors.New("another process has written to the audit record")

func (s *Store) head(ctx context.Context, db bun.IDB) (head audit.Head, text string, err error) {
	text, err = s.setting(ctx, db, headSetting)
	if errors.Is(err, sql.ErrNoRows) {
		return head, "", nil
	}
	if err != nil {
		return head, "", s.failure("read", err)
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		return head, "", fmt.Errorf("read the head of the audit record: %w", ErrForged)
	}
	return head, text, nil
}

// append adds entries to the chain, in the caller's transaction.
func (s *Store) append(ctx context.Context, tx bun.Tx, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	head, was, err := s.head(ctx, tx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		e, head = s.chain.Link(head, e)
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write the audit record: %w", err)
		}
		_, err = tx.NewRaw("INSERT INTO audit (seq, at, action, outcome, detail, entry) VALUES (?, ?, ?, ?, ?, ?)",
			e.Seq, e.At.UnixMilli(), string(e.Action), string(e.Outcome), e.Detail, string(text)).Exec(ctx)
		if err != nil {
			if isDuplicate(err) {
				return errHeadMoved
			}
			return s.failure("write the audit record of", err)
		}
	}
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("write the audit record: %w", err)
	}
	if was == "" {
		return s.setSetting(ctx, tx, headSetting, string(text))
	}
	res, err := tx.NewRaw("UPDATE setting SET value = ? WHERE name = ? AND value = ?", string(text), headSetting, was).Exec(ctx)
	if err := s.one(res, err); errors.Is(err, rotate.ErrStale) {
		return errHeadMoved
	} else if err != nil {
		return err
	}
	return nil
}

// noteHead writes the head of the chain down beside the database, so that a
// record whose end was cut off is noticed. It may lag behind after a crash,
// and never runs ahead.
func (s *Store) noteHead(ctx context.Context) error {
	_, text, err := s.head(ctx, s.db)
	if err != nil || text == "" {
		return err
	}
	if have, err := os.ReadFile(s.headFile); err == nil && string(have) == text {
		return nil
	}
	temp := s.headFile + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		return fmt.Errorf("note the head of the audit record: %w", err)
	}
	if err := os.Rename(temp, s.headFile); err != nil {
		return fmt.Errorf("note the head of the audit record: %w", err)
	}
	return nil
}

// Audit yields the audit record from an entry on.
func (s *Store) Audit(ctx context.Context, from int64) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		const page = 1000
		for {
			var texts []string
			if err := s.db.NewRaw("SELECT entry FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?", from, page).Scan(ctx, &texts); err != nil {
				yield(audit.Entry{}, s.failure("read", err))
				return
			}
			for _, text := range texts {
				var e audit.Entry
				if err := json.Unmarshal([]byte(text), &e); err != nil {
					yield(e, &audit.Broken{Seq: from, Why: fmt.Sprintf("entry %d cannot be read", from)})
					return
				}
				if !yield(e, nil) {
					return
				}
				from = e.Seq + 1
			}
			if len(texts) < page {
				return
			}
		}
	}
}

// VerifyAudit walks the whole chain against the head that was written down.
func (s *Store) VerifyAudit(ctx context.Context) (audit.Head, error) {
	var known audit.Head
	text, err := os.ReadFile(s.headFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return known, fmt.Errorf("read the head of the audit record: %w", err)
	case json.Unmarshal(text, &known) != nil:
		return known, fmt.Errorf("read %s: it is no head of an audit record", s.headFile)
	}
	return s.chain.Verify(s.Audit(ctx, 1), known)
}

// Retired counts the old secrets that were removed since a time.
func (s *Store) Retired(ctx context.Context, since time.Time) (int, error) {
	var n int
	err := s.db.NewRaw("SELECT count(*) FROM audit WHERE action = ? AND at >= ? AND outcome = ? AND detail = ?",
		string(audit.Remove), since.UnixMilli(), string(audit.Done), rotate.OldSecret).Scan(ctx, &n)
	if err != nil {
		return 0, s.failure("read", err)
	}
	return n, nil
}
