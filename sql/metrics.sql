-- The list of metrics, and what is shown of it: in a view, and as Prometheus reads it.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
BEGIN;
SELECT pg_temp.begin_seats();
-- Something of whatever shows only where there is some.
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES (E'a "name"\\with\nall', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress');
INSERT INTO seats_internal.webhook_endpoint (name, destination, secrets, defined_by) VALUES ('main', 'stripe', '{x}', 'regress');
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, created, facts)
VALUES ('main', 'evt_1', 'stripe', 'x', now() - interval '10 seconds', '{}');
INSERT INTO seats_internal.payment_listing (destination, holds_creates, wanted_reason, found, finished_at)
VALUES ('stripe', false, 'regress', 0, now());
INSERT INTO seats_internal.journal_consumer (name, acknowledged, owner) VALUES ('app', 0, 'regress');
CREATE TEMPORARY TABLE value AS SELECT * FROM seats_internal.metric_value;
CREATE TEMPORARY TABLE metric AS SELECT * FROM seats.metrics;
CREATE TEMPORARY TABLE told AS
SELECT regexp_replace(line, '\{.*|\s.*', '') AS name, line FROM regexp_split_to_table(seats.metrics_text(), '\n') AS line
 WHERE line !~ '^#' AND line <> '';
\set ECHO all

-- Each has a definition, and of each definition there is something. (Of what only a worker that is at work knows there is
-- none here.)
SELECT DISTINCT v.metric FROM value AS v
 WHERE NOT EXISTS (SELECT FROM seats_internal.metric_definitions() AS d WHERE d.name = v.metric);
SELECT d.name FROM seats_internal.metric_definitions() AS d
 WHERE NOT EXISTS (SELECT FROM value AS v WHERE v.metric = d.name)
   AND d.name !~ '^pg_seats_(worker_last_loop_age_seconds|in_flight|ready|destination_(in_flight|held|requests_per_second))$';
-- With the labels that the definition names, and those of a histogram.
SELECT DISTINCT v.metric, v.part, ARRAY(SELECT jsonb_object_keys(v.labels) ORDER BY 1) AS labels, d.labels AS defined
  FROM value AS v
  JOIN seats_internal.metric_definitions() AS d ON d.name = v.metric
 WHERE ARRAY(SELECT jsonb_object_keys(v.labels) ORDER BY 1)
       <> ARRAY(SELECT l FROM unnest(d.labels || CASE v.part WHEN '_bucket' THEN '{le}' ELSE '{}' END::text[]) AS l ORDER BY 1)
    OR (v.part <> '') <> (d.type = 'histogram');
-- As Prometheus would have them.
SELECT d.* FROM seats_internal.metric_definitions() AS d
 WHERE d.name !~ '^pg_seats_[a-z_]+$' OR d.type NOT IN ('gauge', 'counter', 'histogram')
    OR (d.type = 'counter') <> (d.name ~ '_total$') OR d.type = 'histogram' AND d.name !~ '_seconds$'
    OR d.help = '' OR d.help ~ '\n' OR 'team' = ANY (d.labels);
SELECT count(*) = count(DISTINCT d.name) AS each_once FROM seats_internal.metric_definitions() AS d;
-- A series once, and none without a number.
SELECT m.name, m.labels, count(*) FROM metric AS m GROUP BY 1, 2 HAVING count(*) > 1;
SELECT m.name FROM metric AS m WHERE m.value IS NULL OR m.value = 'NaN';
-- A histogram counts on from bucket to bucket, and has all in the last one.
SELECT m.name, count(*) FILTER (WHERE m.value < m.before) AS fall,
       max(m.value) = (SELECT c.value FROM metric AS c
                        WHERE c.name = replace(m.name, '_bucket', '_count')) AS all_in_the_last
  FROM (SELECT b.*, lag(b.value) OVER (PARTITION BY b.name ORDER BY (b.labels ->> 'le')::double precision) AS before
          FROM metric AS b WHERE b.name ~ '_bucket$') AS m
 GROUP BY m.name ORDER BY m.name;
-- Every state is there, with zeros.
SELECT m.labels ->> 'state' AS state, m.value FROM metric AS m
 WHERE m.name = 'pg_seats_outbox_calls' AND m.labels ->> 'destination' = 'stripe' ORDER BY 1;
SELECT m.labels ->> 'state' AS state, m.value FROM metric AS m
 WHERE m.name = 'pg_seats_destination_state' AND m.labels ->> 'destination' = 'stripe' AND m.value > 0;
SELECT m.value BETWEEN 9 AND 20 FROM metric AS m WHERE m.name = 'pg_seats_webhook_lag_seconds';

-- The same as a text: names, help and types once before their numbers, and labels as they must be written.
SELECT (SELECT count(*) FROM told) = (SELECT count(*) FROM metric) AS as_many;
SELECT t.name FROM told AS t EXCEPT SELECT m.name FROM metric AS m;
SELECT line FROM told WHERE line ~ 'destination_state.*with.*paused';
SELECT line FROM told WHERE line !~ '^pg_seats_[a-z_]+(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? [-+0-9.e]+$';
SELECT regexp_replace(line, ' [0-9.e-]+$', ' N') FROM regexp_split_to_table(seats.metrics_text(), '\n') AS line
 WHERE line ~ 'settle_seconds' AND line !~ 'HELP';
SELECT count(*) FILTER (WHERE line ~ '^# HELP ') = count(*) FILTER (WHERE line ~ '^# TYPE ') AS alike
  FROM regexp_split_to_table(seats.metrics_text(), '\n') AS line;
-- What is large is counted by the worker, and there is none here: that is told, and no number.
INSERT INTO seats_internal.outbox (installation, destination, method, path, body, enqueued_by)
SELECT gen_random_uuid(), 'stripe', 'POST', '/v1/customers', repeat('x', 500), 'regress' FROM generate_series(1, 2000) AS n;
SELECT h.check_name, h.status, h.message FROM seats.health AS h
 WHERE h.check_name IN ('oldest_call', 'deliveries', 'foreign_calls') ORDER BY 1;
SELECT m.name, m.labels FROM seats.metrics AS m
 WHERE m.name ~ '^pg_seats_(outbox_calls|oldest_waiting_seconds|waiting_calls)$' OR m.labels @> '{"table": "outbox"}' AND m.name ~ 'age';
ROLLBACK;
-- (Its pages are there still, and would make it large for others.)
VACUUM FULL seats_internal.outbox;
