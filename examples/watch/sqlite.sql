-- What SQLite is asked for in its own words. Times are microseconds since 1970.

-- name: schema
-- Each statement can be run again.

-- Which store this is the database of.
CREATE TABLE IF NOT EXISTS watch (
	store TEXT NOT NULL
);

-- What was read: one row for each attempt to deliver an event.
CREATE TABLE IF NOT EXISTS logs (
	key         TEXT PRIMARY KEY, -- IntegrationLog.Key
	id          TEXT NOT NULL,
	integration TEXT NOT NULL,
	job         TEXT NOT NULL,
	attempt     BIGINT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL,  -- 0: no HTTP answer
	answer      TEXT NOT NULL,    -- what equal answers have in common: see answerOf
	processing  BIGINT NOT NULL,  -- microseconds; 0: not sent
	created_at  BIGINT NOT NULL,  -- when it was read, if not dated
	dated       BOOLEAN NOT NULL, -- whether the API sent a time that can be
	reason      TEXT NOT NULL,
	body        TEXT NOT NULL     -- the last, as SQLite reads all that is before a column
);
CREATE INDEX IF NOT EXISTS logs_by_time ON logs (created_at);
CREATE INDEX IF NOT EXISTS logs_by_job ON logs (job);
CREATE INDEX IF NOT EXISTS logs_by_result ON logs (integration, succeeded, created_at);

-- How many attempts there were, for the page. Each attempt counts in its day, in
-- its hour and in its minute; hours and minutes go when no page shows them any more.
CREATE TABLE IF NOT EXISTS sums (
	grain       BIGINT NOT NULL, -- how long this is: 60, 3600 or 86400 seconds
	start       BIGINT NOT NULL,
	integration TEXT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL, -- 0 if succeeded
	n           BIGINT NOT NULL,
	PRIMARY KEY (grain, start, integration, succeeded, status)
) WITHOUT ROWID;

-- One row for each event, with its last attempt.
CREATE TABLE IF NOT EXISTS events (
	integration TEXT NOT NULL,
	job         TEXT NOT NULL,
	attempt     BIGINT NOT NULL,
	succeeded   BOOLEAN NOT NULL,
	status      BIGINT NOT NULL,
	answer      TEXT NOT NULL,
	key         TEXT NOT NULL,    -- of the last attempt, in logs
	last_at     BIGINT NOT NULL,  -- when that was made
	seen_at     BIGINT NOT NULL,  -- when that was read
	alerted     BOOLEAN NOT NULL, -- whether an alert covers it
	PRIMARY KEY (integration, job)
);
CREATE INDEX IF NOT EXISTS events_by_time ON events (last_at) WHERE NOT succeeded;
-- With all that pages ask of undelivered events, so that no row is looked up.
CREATE INDEX IF NOT EXISTS events_by_answer ON events (integration, status, answer, last_at, succeeded) WHERE NOT succeeded;
CREATE INDEX IF NOT EXISTS events_to_alert ON events (seen_at) WHERE NOT succeeded AND NOT alerted;

-- What there is to tell of undelivered events, and the outbox for that: see alert.go.
CREATE TABLE IF NOT EXISTS incidents (
	integration TEXT NOT NULL,
	status      BIGINT NOT NULL,           -- -1 if it is about one event
	job         TEXT NOT NULL,             -- empty if it is about all events with the status
	key         TEXT NOT NULL,             -- of an attempt with which it began
	since       BIGINT NOT NULL,           -- the first of its attempts
	fresh       BIGINT NOT NULL,           -- events that came after the last alert
	told        TEXT NOT NULL DEFAULT '',  -- what that was
	told_at     BIGINT NOT NULL DEFAULT 0, -- 0: none
	tries       BIGINT NOT NULL DEFAULT 0, -- to post the next one
	tried_at    BIGINT NOT NULL DEFAULT 0,
	wait        BIGINT NOT NULL DEFAULT 0, -- nobody posts it before tried_at + wait
	error       TEXT NOT NULL DEFAULT '',  -- of the last try
	PRIMARY KEY (integration, status, job)
);

CREATE TABLE IF NOT EXISTS integrations (
	id   TEXT PRIMARY KEY,
	name TEXT NOT NULL, -- the id if it is not known
	type TEXT NOT NULL  -- Integration.IntegrationType; empty if it is not known
);

-- How far each list was read: see type place.
CREATE TABLE IF NOT EXISTS lists (
	list    TEXT PRIMARY KEY,
	cursor  TEXT NOT NULL,
	read_at BIGINT NOT NULL
);

-- name: lock
-- It is taken already: a transaction that writes begins with BEGIN IMMEDIATE.
SELECT 1

-- name: time
SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)

-- name: insert logs
INSERT INTO logs (key, id, integration, job, attempt, succeeded, status, reason, body, answer, processing, created_at, dated)
SELECT r.value->>'key', r.value->>'id', r.value->>'integration', r.value->>'job',
	CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'succeeded' AS BOOLEAN), CAST(r.value->>'status' AS BIGINT),
	r.value->>'reason', r.value->>'body', r.value->>'answer', CAST(r.value->>'processing' AS BIGINT),
	CAST(r.value->>'created_at' AS BIGINT), CAST(r.value->>'dated' AS BOOLEAN)
FROM json_each($1) AS r WHERE TRUE
ON CONFLICT (key) DO NOTHING RETURNING key, integration, succeeded

-- name: add events
-- Attempts come in any order: the highest number is the last, then the latest. An alert
-- no longer covers an event that was delivered meanwhile, or fails in another way.
INSERT INTO events (integration, job, attempt, succeeded, status, answer, key, last_at, seen_at, alerted)
SELECT integration, job, attempt, succeeded, status, answer, key, created_at, $2, FALSE FROM (
	SELECT integration, job, attempt, succeeded, status, answer, key, created_at,
		ROW_NUMBER() OVER (PARTITION BY integration, job ORDER BY attempt DESC, created_at DESC, key DESC) AS place
	FROM logs WHERE key IN (SELECT value FROM json_each($1))) l
WHERE place = 1
ON CONFLICT (integration, job) DO UPDATE SET
	attempt = excluded.attempt, succeeded = excluded.succeeded, status = excluded.status, answer = excluded.answer,
	key = excluded.key, last_at = excluded.last_at, seen_at = excluded.seen_at,
	alerted = events.alerted AND NOT excluded.succeeded AND excluded.status = events.status
WHERE (excluded.attempt, excluded.last_at, excluded.key) > (events.attempt, events.last_at, events.key)

-- name: add integrations
INSERT INTO integrations (id, name, type)
SELECT DISTINCT integration, integration, '' FROM logs WHERE key IN (SELECT value FROM json_each($1))
ON CONFLICT (id) DO NOTHING

-- name: add sums
-- Each attempt counts in all grains that are kept. The + keeps SQLite from looking through all times.
INSERT INTO sums (grain, start, integration, succeeded, status, n)
SELECT grain, created_at - created_at % (grain * 1000000), integration, succeeded, CASE WHEN succeeded THEN 0 ELSE status END, COUNT(*)
FROM logs JOIN (SELECT 60 AS grain, $2 AS since UNION ALL SELECT 3600, $3 UNION ALL SELECT 86400, 0) g ON +created_at >= since
WHERE key IN (SELECT value FROM json_each($1))
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (grain, start, integration, succeeded, status) DO UPDATE SET n = sums.n + excluded.n
