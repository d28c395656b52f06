-- As sqlite.sql, which says what all this is for.

-- name: schema

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
	answer      TEXT NOT NULL,
	processing  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	dated       BOOLEAN NOT NULL,
	reason      TEXT NOT NULL,
	body        TEXT NOT NULL
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
	n           BIGINT NOT NULL,
	PRIMARY KEY (grain, start, integration, succeeded, status)
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
	job         TEXT NOT NULL,
	key         TEXT NOT NULL,
	since       BIGINT NOT NULL,
	fresh       BIGINT NOT NULL,
	told        TEXT NOT NULL DEFAULT '',
	told_at     BIGINT NOT NULL DEFAULT 0,
	tries       BIGINT NOT NULL DEFAULT 0,
	tried_at    BIGINT NOT NULL DEFAULT 0,
	wait        BIGINT NOT NULL DEFAULT 0,
	error       TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (integration, status, job)
);

CREATE TABLE IF NOT EXISTS integrations (
	id   TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	type TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS lists (
	list    TEXT PRIMARY KEY,
	cursor  TEXT NOT NULL,
	read_at BIGINT NOT NULL
);

-- name: lock
-- The server gives it back when the program goes silent.
SELECT set_config('idle_in_transaction_session_timeout', '60s', TRUE), pg_advisory_xact_lock(7239043)

-- name: time
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)

-- name: insert logs
INSERT INTO logs SELECT * FROM jsonb_populate_recordset(NULL::logs, $1::jsonb)
ON CONFLICT (key) DO NOTHING RETURNING key, integration, succeeded

-- name: add events
INSERT INTO events (integration, job, attempt, succeeded, status, answer, key, last_at, seen_at, alerted)
SELECT integration, job, attempt, succeeded, status, answer, key, created_at, CAST($2 AS BIGINT), FALSE FROM (
	SELECT integration, job, attempt, succeeded, status, answer, key, created_at,
		ROW_NUMBER() OVER (PARTITION BY integration, job ORDER BY attempt DESC, created_at DESC, key DESC) AS place
	FROM logs WHERE key IN (SELECT jsonb_array_elements_text($1::jsonb))) l
WHERE place = 1
ON CONFLICT (integration, job) DO UPDATE SET
	attempt = excluded.attempt, succeeded = excluded.succeeded, status = excluded.status, answer = excluded.answer,
	key = excluded.key, last_at = excluded.last_at, seen_at = excluded.seen_at,
	alerted = events.alerted AND NOT excluded.succeeded AND excluded.status = events.status
WHERE (excluded.attempt, excluded.last_at, excluded.key) > (events.attempt, events.last_at, events.key)

-- name: add integrations
INSERT INTO integrations (id, name, type)
SELECT DISTINCT integration, integration, '' FROM logs WHERE key IN (SELECT jsonb_array_elements_text($1::jsonb))
ON CONFLICT (id) DO NOTHING

-- name: add sums
INSERT INTO sums (grain, start, integration, succeeded, status, n)
SELECT grain, created_at - created_at % (grain * 1000000), integration, succeeded, CASE WHEN succeeded THEN 0 ELSE status END, COUNT(*)
FROM logs JOIN (SELECT CAST(60 AS BIGINT) AS grain, CAST($2 AS BIGINT) AS since UNION ALL SELECT 3600, $3 UNION ALL SELECT 86400, 0) g ON created_at >= since
WHERE key IN (SELECT jsonb_array_elements_text($1::jsonb))
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (grain, start, integration, succeeded, status) DO UPDATE SET n = sums.n + excluded.n
