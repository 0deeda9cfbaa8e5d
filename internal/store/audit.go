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
	"path/filepath"
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
	for try := 1; ; try++ {
		err := s.transaction(ctx, do)
		if errors.Is(err, errHeadMoved) && ctx.Err() == nil {
			if try < maxTries {
				continue
			}
			return fmt.Errorf("write the audit record of %s: its head does not fit its entries: %w", s.place, ErrForged)
		}
		if err == nil {
			// It is done, and cannot be called off: a head that was not noted
			// stops the next write.
			s.headErr.Store(s.noteHead(ctx) != nil)
		}
		return err
	}
}

// maxTries bounds how often a write may meet another one: only the very first
// entries of a shared record can.
const maxTries = 10

func (s *Store) transaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	ctx, cancel := within(ctx)
	defer cancel()
	var inside error
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		inside = do(ctx, tx)
		return inside
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return s.failure("write to", fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case inside == nil:
		return s.failure("write to", err)
	}
	return err
}

var errHeadMoved = errors.New("another process has written to the audit record")

func (s *Store) head(ctx context.Context, db bun.IDB, lock string) (head audit.Head, text string, err error) {
	text, err = s.setting(ctx, db, headSetting, lock)
	if errors.Is(err, sql.ErrNoRows) {
		return head, "", nil
	}
	if err != nil {
		return head, "", err
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
	lock := "" // on SQLite a transaction has the whole database
	if s.shared {
		lock = " FOR UPDATE"
	}
	head, was, err := s.head(ctx, tx, lock)
	if err != nil {
		return err
	}
	for _, e := range entries {
		e, head = s.chain.Link(head, e)
		r, err := rowOf(e)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO audit (seq, at, action, outcome, detail, entry) VALUES (?, ?, ?, ?, ?, ?)",
			r.Seq, r.At, r.Action, r.Outcome, r.Detail, r.Entry).Exec(ctx)
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
	res, err := tx.NewRaw("UPDATE setting SET value = ?, mac = ? WHERE name = ? AND value = ?",
		string(text), s.keys.mac("setting", headSetting, string(text)), headSetting, was).Exec(ctx)
	if err := s.one(res, err); errors.Is(err, rotate.ErrStale) {
		return errHeadMoved
	} else if err != nil {
		return err
	}
	return nil
}

// noteHead writes the head of the chain down beside the database, so that a
// record whose end was cut off is noticed, and a database that was put back
// from an old copy. It may lag behind after a crash, and never runs ahead or
// goes back.
func (s *Store) noteHead(ctx context.Context) error {
	s.headLock.Lock()
	defer s.headLock.Unlock()
	ctx, cancel := within(ctx)
	defer cancel()
	head, text, err := s.head(ctx, s.db, "")
	if err != nil || text == "" {
		return err
	}
	known, err := s.noted()
	if err != nil || known == head {
		return err
	}
	if known.Seq >= head.Seq { // another process came first, or the database went back
		return s.holds(ctx, known)
	}
	// A name of its own: others may share the directory.
	f, err := os.CreateTemp(filepath.Dir(s.headFile), filepath.Base(s.headFile)+".*.new")
	if err != nil {
		return fmt.Errorf("note the head of the audit record: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.headFile)
	}
	if err != nil {
		return fmt.Errorf("note the head of the audit record: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// noted returns the head that was written down; the zero one if none was, or
// if a loss of power left the file empty.
func (s *Store) noted() (known audit.Head, err error) {
	text, err := os.ReadFile(s.headFile)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(text) == 0:
		return known, nil
	case err != nil:
		return known, fmt.Errorf("read the head of the audit record: %w", err)
	case json.Unmarshal(text, &known) != nil:
		return known, fmt.Errorf("read %s: it is no head of an audit record: restore it together with the database", s.headFile)
	}
	return known, nil
}

// holds reports ErrOlder when the record has no longer got an entry that was
// written down.
func (s *Store) holds(ctx context.Context, known audit.Head) error {
	if known.Seq == 0 {
		return nil
	}
	var text string
	err := s.db.NewRaw("SELECT entry FROM audit WHERE seq = ?", known.Seq).Scan(ctx, &text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s.failure("read", err)
	}
	var e audit.Entry
	if err != nil || json.Unmarshal([]byte(text), &e) != nil || e.Hash != known.Hash {
		return fmt.Errorf("open %s: %s says that entry %d of its audit record was written, and it is not there: %w", s.place, s.headFile, known.Seq, ErrOlder)
	}
	return nil
}

// Audit yields the audit record from an entry on.
func (s *Store) Audit(ctx context.Context, from int64) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		const page = 1000
		for {
			rows, err := s.auditRows(ctx, from, page)
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for _, r := range rows {
				e, err := r.decode()
				if !yield(e, err) || err != nil {
					return
				}
				from = r.Seq + 1
			}
			if len(rows) < page {
				return
			}
		}
	}
}

// auditRow is an entry as the table has it: as text, and what is looked for in
// columns beside it.
type auditRow struct {
	Seq     int64
	At      int64
	Action  string
	Outcome string
	Detail  string
	Entry   string
}

func rowOf(e audit.Entry) (auditRow, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return auditRow{}, fmt.Errorf("write the audit record: %w", err)
	}
	return auditRow{e.Seq, e.At.UnixMilli(), string(e.Action), string(e.Outcome), e.Detail, string(text)}, nil
}

// decode reads an entry. The chain covers the text alone: the columns must say
// the same.
func (r auditRow) decode() (audit.Entry, error) {
	var e audit.Entry
	if err := json.Unmarshal([]byte(r.Entry), &e); err != nil {
		return e, &audit.Broken{Seq: r.Seq, Why: fmt.Sprintf("entry %d cannot be read", r.Seq)}
	}
	if want, err := rowOf(e); err != nil || want != r {
		return e, &audit.Broken{Seq: r.Seq, Why: fmt.Sprintf("entry %d was changed after it was written", r.Seq)}
	}
	return e, nil
}

func (s *Store) auditRows(ctx context.Context, from int64, most int) ([]auditRow, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var rows []auditRow
	err := s.db.NewRaw("SELECT seq, at, action, outcome, detail, entry FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?", from, most).Scan(ctx, &rows)
	if err != nil {
		return nil, s.failure("read", err)
	}
	return rows, nil
}

// VerifyAudit walks the whole chain against the head that was written down,
// and sees that the rotations it speaks of are there.
func (s *Store) VerifyAudit(ctx context.Context) (audit.Head, error) {
	known, err := s.noted()
	if err != nil {
		return known, err
	}
	begun := map[string]int64{} // rotations, and the entries that say so
	head, err := s.chain.Verify(func(yield func(audit.Entry, error) bool) {
		for e, err := range s.Audit(ctx, 1) {
			if e.Action == audit.Start && e.Outcome == audit.Done {
				begun[e.Rotation] = e.Seq
			}
			if !yield(e, err) {
				return
			}
		}
	}, known)
	if err != nil {
		return head, err
	}
	return head, errors.Join(s.verifyHead(ctx, head), s.verifyRotations(ctx, begun), s.verifyPause(ctx))
}

// verifyHead sees that the next entry will follow the last one.
func (s *Store) verifyHead(ctx context.Context, last audit.Head) error {
	ctx, cancel := within(ctx)
	defer cancel()
	head, _, err := s.head(ctx, s.db, "")
	if err != nil {
		return err
	}
	if head.Seq < last.Seq { // it may have gone on since
		return fmt.Errorf("the record ends at entry %d, and its head says %d: %w", last.Seq, head.Seq, ErrForged)
	}
	return s.holds(ctx, head)
}

func (s *Store) verifyRotations(ctx context.Context, begun map[string]int64) error {
	ctx, cancel := within(ctx)
	defer cancel()
	var ids []string
	if err := s.db.NewRaw("SELECT id FROM rotation").Scan(ctx, &ids); err != nil {
		return s.failure("read", err)
	}
	for _, id := range ids {
		delete(begun, id)
	}
	for id, seq := range begun {
		return &audit.Broken{Seq: seq, Why: fmt.Sprintf("rotation %s was begun by entry %d, and is not there", id, seq)}
	}
	return nil
}

// verifyPause sees that the last word on the pause is the one in the record.
func (s *Store) verifyPause(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	var said, is string
	err := s.db.NewRaw("SELECT coalesce((SELECT detail FROM audit WHERE action = ? ORDER BY seq DESC LIMIT 1), ''), coalesce((SELECT value FROM setting WHERE name = ?), '')",
		string(audit.Pause), pauseSetting).Scan(ctx, &said, &is)
	if err != nil {
		return s.failure("read", err)
	}
	if said != is {
		return fmt.Errorf("the record says that the pause is %q, and it is %q: %w", said, is, ErrForged)
	}
	return nil
}

// Retired counts the old secrets that were removed since a time.
func (s *Store) Retired(ctx context.Context, since time.Time) (int, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var n int
	err := s.db.NewRaw("SELECT count(*) FROM audit WHERE action = ? AND at >= ? AND outcome = ? AND detail = ?",
		string(audit.Remove), since.UnixMilli(), string(audit.Done), rotate.OldSecret).Scan(ctx, &n)
	if err != nil {
		return 0, s.failure("read", err)
	}
	return n, nil
}
