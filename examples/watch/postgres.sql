-- The tables of sqlite.sql, which says what they are for.

CREATE TABLE IF NOT EXISTS watch (
	store TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS logs (
	key         TEXT PRIMARY KEY,
	id          TEXT NOT NULL,
	integration TEXT NOT NULL,
	job         TEXT NOT NULL,
	attempt     BIGINT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL,
	reason      TEXT NOT NULL,
	body        TEXT NOT NULL,
	processing  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	dated       BOOLEAN NOT NULL
);
CREATE INDEX IF NOT EXISTS logs_by_time ON logs (created_at);
CREATE INDEX IF NOT EXISTS logs_by_job ON logs (job);
CREATE INDEX IF NOT EXISTS logs_by_result ON logs (integration, succeeded, created_at);

CREATE TABLE IF NOT EXISTS sums (
	grain       BIGINT NOT NULL,
	start       BIGINT NOT NULL,
	integration TEXT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL,
	bucket      BIGINT NOT NULL,
	n           BIGINT NOT NULL,
	PRIMARY KEY (grain, start, integration, succeeded, status, bucket)
);

CREATE TABLE IF NOT EXISTS events (
	integration TEXT NOT NULL,
	job         TEXT NOT NULL,
	attempt     BIGINT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL,
	answer      TEXT NOT NULL,
	key         TEXT NOT NULL,
	last_at     BIGINT NOT NULL,
	seen_at     BIGINT NOT NULL,
	alerted     BOOLEAN NOT NULL,
	PRIMARY KEY (integration, job)
);
CREATE INDEX IF NOT EXISTS events_by_time ON events (last_at) WHERE NOT succeeded;
CREATE INDEX IF NOT EXISTS events_by_answer ON events (integration, status, answer, last_at) WHERE NOT succeeded;
CREATE INDEX IF NOT EXISTS events_to_alert ON events (seen_at) WHERE NOT succeeded AND NOT alerted;

CREATE TABLE IF NOT EXISTS incidents (
	integration TEXT NOT NULL,
	status      BIGINT NOT NULL,
	since       BIGINT NOT NULL,
	posted_at   BIGINT NOT NULL,
	fresh       BIGINT NOT NULL,
	PRIMARY KEY (integration, status)
);

CREATE TABLE IF NOT EXISTS alerts (
	key         TEXT PRIMARY KEY,
	integration TEXT NOT NULL,
	job         TEXT NOT NULL,
	status      BIGINT NOT NULL,
	kind        TEXT NOT NULL,
	payload     TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	tries       BIGINT NOT NULL DEFAULT 0,
	tried_at    BIGINT NOT NULL DEFAULT 0,
	wait        BIGINT NOT NULL DEFAULT 0,
	sent_at     BIGINT,
	error       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS alerts_waiting ON alerts (tries, created_at) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS alerts_by_job ON alerts (integration, job);

CREATE TABLE IF NOT EXISTS integrations (
	id   TEXT PRIMARY KEY,
	name TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS lists (
	list    TEXT PRIMARY KEY,
	cursor  TEXT NOT NULL,
	read_at BIGINT NOT NULL
);
