-- +goose Up
-- One schema for SQLite and PostgreSQL. Times are milliseconds since 1970, UTC.
CREATE TABLE rotation (
	id         TEXT PRIMARY KEY,
	tenant_id  TEXT NOT NULL,
	client_id  TEXT NOT NULL,
	binding    TEXT NOT NULL,
	generation BIGINT NOT NULL,
	ended      BIGINT NOT NULL, -- 0 or 1
	version    BIGINT NOT NULL, -- of the row, one more with each write
	epoch      BIGINT NOT NULL, -- one more with each holder
	holder     TEXT NOT NULL,   -- '' for nobody
	held_until BIGINT NOT NULL,
	started    BIGINT NOT NULL,
	doc        TEXT NOT NULL,
	mac        TEXT NOT NULL
);
-- One rotation of an app at a time, and never one generation twice.
CREATE UNIQUE INDEX rotation_open ON rotation (tenant_id, client_id) WHERE ended = 0;
CREATE UNIQUE INDEX rotation_generation ON rotation (tenant_id, client_id, generation);
CREATE INDEX rotation_binding ON rotation (binding, started);

-- Values on their way. Destroyed when their rotation ends.
CREATE TABLE sealed (
	rotation TEXT NOT NULL,
	name     TEXT NOT NULL,
	data_key TEXT NOT NULL, -- wrapped
	sealed   TEXT NOT NULL,
	PRIMARY KEY (rotation, name)
);

CREATE TABLE audit (
	seq      BIGINT PRIMARY KEY,
	at       BIGINT NOT NULL,
	action   TEXT NOT NULL,
	outcome  TEXT NOT NULL,
	detail   TEXT NOT NULL,
	entry    TEXT NOT NULL
);
CREATE INDEX audit_action ON audit (action, at);

-- Single values: the head of the audit chain, the check of the key, a pause.
CREATE TABLE setting (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL,
	mac   TEXT NOT NULL
);

-- +goose Down
DROP TABLE setting;
DROP TABLE audit;
DROP TABLE sealed;
DROP TABLE rotation;
