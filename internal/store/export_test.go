package store

import "database/sql"

// DB is the connection, for settings of the database that only tests change.
func (s *Store) DB() *sql.DB { return s.db.DB }
