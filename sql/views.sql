-- What people look at: views, explain_call, health, metrics.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
-- Where pg_seats is not preloaded, each session is warned once.
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset format unaligned
\pset tuples_only on

-- Runs a statement and shows what it raised; times and uuids are of no interest here.
CREATE FUNCTION pg_temp.plain(words text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace($1,
        '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?', '<time>', 'g'),
        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '<uuid>', 'g'),
        '\((\d+ days? ?)?[0-9:]{8}\)', '(<age>)', 'g')
$$;
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN pg_temp.plain(concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''),
                                   nullif(hints, '')));
END
$$;

-- In a transaction that is rolled back: no worker ever sees any of it.
BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
SET ROLE regress_seats_admin;
DELETE FROM seats_internal.installation;
-- (Other tests have left dead rows; a large table would be the worker's to count.)
TRUNCATE seats_internal.outbox, seats_internal.seat_line;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-1111-4111-8111-111111111111', 1, 'regress');
INSERT INTO seats_internal.destination (name, base_url, secret, livemode, requests_per_second, created_by)
VALUES ('regress', 'http://127.0.0.1:9', 'key', false, 20, 'regress');
INSERT INTO seats_internal.lane (id, destination, name) VALUES
    (1000001, 'regress', 'lane_1'), (1000002, 'regress', 'lane_2'), (1000003, 'regress', 'lane_3');
-- xid 3: nothing of it is an arrival until a verb makes it one.
INSERT INTO seats_internal.outbox (id, eligible_xid, lane_id, destination, method, path, body,
    enqueued_by, installation, state, doubt, attempts, tries, reason, due_at, first_sent_at, marker)
SELECT id, '3', lane, 'regress', 'POST', '/v1/things/' || id, 'name=secret', 'regress_app',
       installation::uuid, state::seats_internal.outbox_state, doubt, tries, tries, reason,
       CASE WHEN due THEN now() + interval '1 hour' END,
       CASE WHEN tries > 0 THEN now() - first_sent END, 'marker-' || id
  FROM (VALUES
    (1000001, 1000001, '11111111-1111-4111-8111-111111111111', 'review', true, 4, 'timeout', false,
        interval '1 hour'),
    (1000002, 1000001, '11111111-1111-4111-8111-111111111111', 'pending', false, 0, NULL, false, NULL),
    (1000003, 1000001, '11111111-1111-4111-8111-111111111111', 'pending', false, 0, NULL, false, NULL),
    (1000004, 1000002, '11111111-1111-4111-8111-111111111111', 'waiting', true, 2, 'timeout', true,
        interval '1 minute'),
    (1000005, NULL, '11111111-1111-4111-8111-111111111111', 'sending', false, 1, NULL, false,
        interval '1 second'),
    (1000006, NULL, '11111111-1111-4111-8111-111111111111', 'review', true, 4, 'no_proof', false,
        interval '2 days'),
    (1000007, NULL, '11111111-1111-4111-8111-111111111111', 'review', true, 1, 'adopted_copy', false,
        interval '1 minute'),
    (1000008, NULL, '22222222-2222-4222-8222-222222222222', 'review', true, 1, 'timeout', false,
        interval '1 minute'),
    (1000009, NULL, '22222222-2222-4222-8222-222222222222', 'waiting', true, 1, 'timeout', false,
        interval '1 minute'),
    (1000010, 1000003, '11111111-1111-4111-8111-111111111111', 'verifying', true, 3, 'timeout', true,
        interval '10 minutes'),
    (1000011, NULL, '11111111-1111-4111-8111-111111111111', 'awaiting', false, 1, 'awaiting_payment',
        true, interval '1 minute'))
    AS o (id, lane, installation, state, doubt, tries, reason, due, first_sent);
INSERT INTO seats_internal.outbox_history (ring, id, created_at, first_sent_at, settled_at, uuid,
    installation, result, generation, attempts, http_status, duration_ms, clean, destination, method,
    path, body, enqueued_by, reason, error, request_id, answer)
SELECT slot, id, now(), now(), now(), '33333333-3333-4333-8333-333333333333',
       '11111111-1111-4111-8111-111111111111', result, 1, attempts, status, 12.5, clean, 'regress',
       'POST', '/v1/customers', 'name=secret', 'regress_app', reason, error, 'req_1', 'secret'
  FROM seats_internal.ring,
       (VALUES (1000101, 'done', 1, 200, true, NULL, NULL),
               (1000102, 'refused', 2, 402, false, 'card_declined', 'Your card was declined.'))
       AS h (id, result, attempts, status, clean, reason, error);
INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose, duration_ms,
                                    verdict, reason, http_status, error, sent, replayed)
SELECT slot, 1000102, NULL, 1, n, 'send', 10, verdict, reason, status, error, true, false
  FROM seats_internal.ring,
       (VALUES (1, 'unknown', 'timeout', 0, 'no answer'),
               (2, 'refused', 'card_declined', 402, 'Your card was declined.'))
       AS a (n, verdict, reason, status, error);

SELECT call, state, lane, method, path, attempts, doubt, reason,
       due_at > now() AS due_later, pg_temp.plain(idempotency_key) FROM seats.outbox ORDER BY call;
SELECT call, result, http_status, duration, reason, error, request_id, idempotency_key
  FROM seats.outbox_history WHERE call > 1000000 ORDER BY call;
SELECT call, state, settled_at IS NOT NULL AS settled, http_status FROM seats.calls
 WHERE call > 1000000 ORDER BY call;
SELECT call, number, purpose, verdict, http_status, duration, error FROM seats.attempts
 WHERE call > 1000000 ORDER BY call, number;
SELECT lane, call, state, reason, waiting_behind, what_to_do FROM seats.blocked_lanes ORDER BY lane;
SELECT call, lane, reason, doubt, waiting_behind, decisions FROM seats.reviews ORDER BY call;

-- A single settled call is found by the key of each partition.
CREATE FUNCTION pg_temp.uses_keys() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    keys integer := 0;
BEGIN
    SET LOCAL enable_seqscan = off;
    FOR line IN EXPLAIN SELECT * FROM seats.outbox_history WHERE call = 1000101 LOOP
        keys := keys + (line ~ 'Index Cond: \(\(ring = ANY .* AND \(id = ')::integer;
    END LOOP;
    RETURN keys = 8;
END
$$;
SELECT pg_temp.uses_keys();
RESET enable_seqscan;

-- explain_call. What depends on whether a worker runs is left out.
CREATE FUNCTION pg_temp.explained(call bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT pg_temp.plain(line)
      FROM regexp_split_to_table(seats.explain_call(call), '\n') AS line
     WHERE line !~ '^Held back: (the worker|no worker|pg_seats is not|destination regress)'
$$;
SELECT pg_temp.explained(id) FROM generate_series(1000001, 1000011) AS id;
SELECT pg_temp.explained(1000101);
SELECT pg_temp.explained(1000102);
SELECT pg_temp.explained(999);
SELECT seats.pause('regress', 'maintenance');
SELECT seats.pause('regress', 'customer asks', 'lane_2');
UPDATE seats_internal.destination SET halted_at = now(), halted_reason = 'unauthorized',
       halted_message = 'Invalid API Key' WHERE name = 'regress';
SELECT pg_temp.plain(line) FROM regexp_split_to_table(seats.explain_call(1000004), '\n') AS line
 WHERE line ~ 'paused|halted';
SELECT seats.cancel_call(1000003, 'not wanted');
SELECT pg_temp.explained(1000003);

-- health and metrics: every check is there, and says what these rows mean.
SELECT check_name, status IN ('ok', 'warning', 'critical') AS valid, message <> '' AS says_something
  FROM seats.health WHERE check_name !~ '^destination ' OR check_name = 'destination regress';
SELECT check_name, status, message, hint FROM seats.health
 WHERE check_name IN ('destination regress', 'reviews', 'oldest_call', 'foreign_calls', 'dead_rows')
   AND (check_name <> 'dead_rows' OR status <> 'ok');
UPDATE seats_internal.outbox SET created_at = now() - interval '2 hours' WHERE id = 1000002;
SELECT status FROM seats.health WHERE check_name = 'oldest_call';
SELECT seats_internal.raise_alert('regress', 'fatal', 'test', 'x') AS alert \gset
SELECT status FROM seats.health WHERE check_name = 'alerts';
DELETE FROM seats_internal.installation;
SELECT status, message, hint FROM seats.health WHERE check_name = 'installation';
SELECT name, labels, value FROM seats.metrics
 WHERE labels ->> 'destination' = 'regress' AND name !~ '(seconds|open)$' ORDER BY name, labels;
SELECT count(*) FILTER (WHERE name !~ '^pg_seats_[a-z_]+$') AS bad_names,
       count(*) FILTER (WHERE labels IS NULL OR value IS NULL) AS nulls, count(*) > 20 AS many
  FROM seats.metrics;
-- What the worker counts is a metric, and shown (but for what only tests want to know).
SELECT string_agg(c.counter, ' ' ORDER BY c.counter) FILTER (WHERE NOT EXISTS (
           SELECT FROM pg_attribute AS a
            WHERE a.attrelid = 'seats.worker_status'::regclass AND a.attname = c.counter)) AS not_shown,
       string_agg(c.counter, ' ' ORDER BY c.counter) FILTER (WHERE NOT EXISTS (
           SELECT FROM seats.metrics AS m
            WHERE m.name = 'pg_seats_' || c.counter || '_total'
               OR m.labels ->> 'verdict' = c.counter)) AS no_metric,
       count(*)
  FROM pg_proc AS p
 CROSS JOIN LATERAL unnest(p.proargnames, p.proallargtypes) AS c (counter, type)
 WHERE p.oid = 'seats_internal.worker_state'::regproc AND c.type = 'bigint'::regtype;
SELECT count(*) FROM seats.worker_status;
ROLLBACK;
