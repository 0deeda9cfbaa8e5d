package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
)

// row is a rotation as the table has it.
type row struct {
	ID         string
	TenantID   string
	ClientID   string
	Binding    string
	Generation int64
	Ended      int64
	Version    int64
	Epoch      int64
	Holder     string
	HeldUntil  int64
	Started    int64
	Doc        string
	Mac        string
}

const rowColumns = "SELECT id, tenant_id, client_id, binding, generation, ended, version, epoch, holder, held_until, started, doc, mac FROM rotation "

// encode makes the row of a rotation as it is held.
func (s *Store) encode(r *rotate.Rotation, holder string, heldUntil int64) (row, error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return row{}, fmt.Errorf("write rotation %s: %w", r.ID, err)
	}
	out := row{
		ID: r.ID, TenantID: r.Plan.TenantID, ClientID: r.Plan.ClientID, Binding: r.Binding, Generation: r.Generation, Ended: ended(r),
		Version: r.Version, Epoch: r.Epoch, Holder: holder, HeldUntil: heldUntil, Started: r.Started.UnixMilli(), Doc: string(doc),
	}
	out.Mac = s.keys.rowMac(out)
	return out, nil
}

// decode checks a row and reads it.
func (s *Store) decode(r row) (*rotate.Rotation, error) {
	if r.Mac != s.keys.rowMac(r) {
		return nil, fmt.Errorf("read rotation %s: %w", r.ID, ErrForged)
	}
	out := &rotate.Rotation{}
	if err := json.Unmarshal([]byte(r.Doc), out); err != nil {
		return nil, fmt.Errorf("read rotation %s: %w", r.ID, err)
	}
	out.Version, out.Epoch = r.Version, r.Epoch
	return out, nil
}

// rowMac covers every column but itself.
func (k keyring) rowMac(r row) string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return k.mac("rotation", r.ID, r.TenantID, r.ClientID, r.Binding, number(r.Generation), number(r.Ended), number(r.Version),
		number(r.Epoch), r.Holder, number(r.HeldUntil), number(r.Started), r.Doc)
}

func ended(r *rotate.Rotation) int64 {
	if r.State.Ended() {
		return 1
	}
	return 0
}

// Begin writes a new rotation and gives it its generation.
func (s *Store) Begin(ctx context.Context, r *rotate.Rotation, entries ...audit.Entry) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var open int
		err := tx.NewRaw("SELECT count(*) FROM rotation WHERE tenant_id = ? AND client_id = ? AND ended = 0", r.Plan.TenantID, r.Plan.ClientID).Scan(ctx, &open)
		if err != nil {
			return s.failure("read", err)
		}
		if open > 0 {
			return rotate.ErrBusy
		}
		last, err := s.generation(ctx, tx, r.Plan.TenantID, r.Plan.ClientID)
		if err != nil {
			return err
		}
		r.Generation, r.Version = last+1, 1
		n, err := s.encode(r, "", 0)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO rotation (id, tenant_id, client_id, binding, generation, ended, version, epoch, holder, held_until, started, doc, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			n.ID, n.TenantID, n.ClientID, n.Binding, n.Generation, n.Ended, n.Version, n.Epoch, n.Holder, n.HeldUntil, n.Started, n.Doc, n.Mac).Exec(ctx)
		if err != nil {
			if isDuplicate(err) { // another process began one at the same moment
				return rotate.ErrBusy
			}
			return s.failure("write to", err)
		}
		return s.append(ctx, tx, entries)
	})
}

// isDuplicate reports whether a unique index refused a row.
func isDuplicate(err error) bool {
	text := err.Error()
	return strings.Contains(text, "SQLSTATE 23505") || strings.Contains(text, "UNIQUE constraint failed")
}

// Take reads a rotation and makes this process its holder.
func (s *Store) Take(ctx context.Context, id string, hold time.Duration) (*rotate.Rotation, error) {
	var taken *rotate.Rotation
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := s.row(ctx, tx, id)
		if err != nil {
			return err
		}
		if taken, err = s.decode(r); err != nil {
			return err
		}
		now, err := s.clock(ctx, tx)
		if err != nil {
			return s.failure("read the clock of", err)
		}
		if r.Holder != s.holder {
			// On SQLite the lock says that whoever held it has ended.
			free := r.HeldUntil + rotate.Grace.Milliseconds()
			if s.shared && r.Holder != "" && now < free {
				return fmt.Errorf("%w (%s, until %s at the latest)", rotate.ErrHeld, r.Holder, time.UnixMilli(free).UTC().Format(time.RFC3339))
			}
			taken.Epoch++
		}
		return s.hold(ctx, tx, r, taken.Epoch, s.holder, now+hold.Milliseconds())
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Rotation reads a rotation without holding it.
func (s *Store) Rotation(ctx context.Context, id string) (*rotate.Rotation, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	r, err := s.row(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	return s.decode(r)
}

func (s *Store) row(ctx context.Context, tx bun.IDB, id string) (r row, err error) {
	err = tx.NewRaw(rowColumns+"WHERE id = ?", id).Scan(ctx, &r)
	if errors.Is(err, sql.ErrNoRows) {
		return r, rotate.ErrNone
	}
	if err != nil {
		return r, s.failure("read", err)
	}
	return r, nil
}

// hold writes who holds a row, if it is as it was read.
func (s *Store) hold(ctx context.Context, tx bun.Tx, r row, epoch int64, holder string, until int64) error {
	read := r.Epoch
	r.Epoch, r.Holder, r.HeldUntil = epoch, holder, until
	res, err := tx.NewRaw("UPDATE rotation SET holder = ?, held_until = ?, epoch = ?, mac = ? WHERE id = ? AND epoch = ? AND version = ? AND mac = ?",
		holder, until, epoch, s.keys.rowMac(r), r.ID, read, r.Version, r.Mac).Exec(ctx)
	return s.one(res, err)
}

// Release gives a rotation up, so that another process need not wait.
func (s *Store) Release(ctx context.Context, r *rotate.Rotation) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		have, err := s.row(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if have.Epoch != r.Epoch || have.Holder != s.holder {
			return nil // it is not ours any more
		}
		if _, err := s.decode(have); err != nil {
			return err
		}
		return s.hold(ctx, tx, have, have.Epoch, "", 0)
	})
}

// one sees that a guarded statement met its row.
func (s *Store) one(res sql.Result, err error) error {
	if err != nil {
		return s.failure("write to", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(rotate.ErrStale, err)
	}
	return nil
}

// Save writes a rotation, values and entries at once.
func (s *Store) Save(ctx context.Context, r *rotate.Rotation, values map[string]secret.Value, entries ...audit.Entry) error {
	return s.save(ctx, r, entries, func(ctx context.Context, tx bun.Tx) error {
		for name, v := range values {
			dataKey, sealed := s.keys.seal(v, bound(r, name))
			_, err := tx.NewRaw("INSERT INTO sealed (rotation, name, data_key, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (rotation, name) DO UPDATE SET data_key = excluded.data_key, sealed = excluded.sealed",
				r.ID, name, dataKey, sealed).Exec(ctx)
			if err != nil {
				return s.failure("write to", err)
			}
		}
		return nil
	})
}

// bound says what a value is; it opens nowhere else.
func bound(r *rotate.Rotation, name string) string {
	text, err := json.Marshal([]any{r.Plan.TenantID, r.Plan.ClientID, r.ID, r.Generation, name})
	if err != nil {
		panic("store: strings do not encode: " + err.Error())
	}
	return string(text)
}

// save writes a rotation if it is still ours and as it was read. What a failed
// transaction has counted up is counted down again.
func (s *Store) save(ctx context.Context, r *rotate.Rotation, entries []audit.Entry, also func(context.Context, bun.Tx) error) error {
	read := r.Version
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.clock(ctx, tx)
		if err != nil {
			return s.failure("read the clock of", err)
		}
		r.Version = read + 1
		n, err := s.encode(r, s.holder, now+rotate.Hold.Milliseconds())
		if err != nil {
			return err
		}
		res, err := tx.NewRaw("UPDATE rotation SET version = ?, ended = ?, held_until = ?, doc = ?, mac = ? WHERE id = ? AND version = ? AND epoch = ? AND holder = ?",
			n.Version, n.Ended, n.HeldUntil, n.Doc, n.Mac, r.ID, read, r.Epoch, s.holder).Exec(ctx)
		if err := s.one(res, err); err != nil {
			return err
		}
		if err := also(ctx, tx); err != nil {
			return err
		}
		return s.append(ctx, tx, entries)
	})
	if err != nil {
		r.Version = read
	}
	return err
}

// Value opens a sealed value.
func (s *Store) Value(ctx context.Context, r *rotate.Rotation, name string) (secret.Value, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var dataKey, sealed string
	err := s.db.NewRaw("SELECT data_key, sealed FROM sealed WHERE rotation = ? AND name = ?", r.ID, name).Scan(ctx, &dataKey, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return secret.Value{}, nil
	}
	if err != nil {
		return secret.Value{}, s.failure("read", err)
	}
	v, err := s.keys.open(dataKey, sealed, bound(r, name))
	if err != nil {
		return secret.Value{}, fmt.Errorf("open the sealed value %q of rotation %s: %w", name, r.ID, err)
	}
	return v, nil
}

// Shred destroys the sealed values of a rotation.
func (s *Store) Shred(ctx context.Context, r *rotate.Rotation, entries ...audit.Entry) error {
	err := s.save(ctx, r, entries, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("DELETE FROM sealed WHERE rotation = ?", r.ID).Exec(ctx); err != nil {
			return s.failure("write to", err)
		}
		return nil
	})
	if err == nil && !s.shared {
		// The log still holds the wrapped key until it is written back. A
		// reader may keep it from that; the next one does it then.
		_, err := s.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		if err != nil {
			return s.failure("tidy", err)
		}
	}
	return err
}

func (s *Store) generation(ctx context.Context, db bun.IDB, tenantID, clientID string) (int64, error) {
	var last int64
	err := db.NewRaw("SELECT coalesce(max(generation), 0) FROM rotation WHERE tenant_id = ? AND client_id = ?", tenantID, clientID).Scan(ctx, &last)
	if err != nil {
		return 0, s.failure("read", err)
	}
	return last, nil
}

// Generation returns the last generation begun for an app, 0 for none.
func (s *Store) Generation(ctx context.Context, tenantID, clientID string) (int64, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	return s.generation(ctx, s.db, tenantID, clientID)
}

// Open returns the rotations that have not ended, oldest first.
func (s *Store) Open(ctx context.Context) ([]*rotate.Rotation, error) {
	return s.list(ctx, "WHERE ended = 0 ORDER BY started, id")
}

// History returns the rotations of a binding, newest first; of all bindings
// for "".
func (s *Store) History(ctx context.Context, binding string) ([]*rotate.Rotation, error) {
	if binding == "" {
		return s.list(ctx, "ORDER BY started DESC, id")
	}
	return s.list(ctx, "WHERE binding = ? ORDER BY started DESC, id", binding)
}

func (s *Store) list(ctx context.Context, where string, args ...any) ([]*rotate.Rotation, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var rows []row
	if err := s.db.NewRaw(rowColumns+where, args...).Scan(ctx, &rows); err != nil {
		return nil, s.failure("read", err)
	}
	all := make([]*rotate.Rotation, 0, len(rows))
	for _, r := range rows {
		one, err := s.decode(r)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

const pauseSetting = "paused"

// Paused returns why all writes are stopped, "" when they are not.
func (s *Store) Paused(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	why, err := s.setting(ctx, s.db, pauseSetting, "")
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return why, err
}

// Pause stops all writes of all processes, or lets them on for an empty why.
func (s *Store) Pause(ctx context.Context, why, actor string, at time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.setSetting(ctx, tx, pauseSetting, why); err != nil {
			return err
		}
		return s.append(ctx, tx, []audit.Entry{{At: at, Actor: actor, Action: audit.Pause, Outcome: audit.Done, Detail: why}})
	})
}

// Record writes entries into the audit record alone.
func (s *Store) Record(ctx context.Context, entries ...audit.Entry) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error { return s.append(ctx, tx, entries) })
}
