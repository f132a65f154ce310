-- What is over is forgotten once it is older than the history; what is open, or in use, never is.
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
BEGIN;
SET LOCAL client_min_messages = warning;
-- (Whoever wants a team whose lane is gone would wait for ever.)
SET LOCAL statement_timeout = '30s';
INSERT INTO seats_internal.alert (fingerprint, severity, kind, summary, resolved_at) VALUES
    ('regress:open', 'info', 'x', 'x', NULL),
    ('regress:lately', 'info', 'x', 'x', now() - interval '29 days'),
    ('regress:old', 'info', 'x', 'x', now() - interval '31 days');
INSERT INTO seats_internal.member (team_id, user_id, role, status, joined_at, ended_at) VALUES
    (-1, 'active', 'member', 'active', now() - interval '90 days', NULL),
    (-1, 'left lately', 'member', 'removed', now() - interval '90 days', now() - interval '29 days'),
    (-1, 'left', 'member', 'removed', now() - interval '90 days', now() - interval '31 days');
INSERT INTO seats_internal.invite (team_id, address, role, invited_by, token_hash, status, created_at, expires_at, ended_at) VALUES
    (-1, 'open', 'member', 'x', '\x01', 'open', now() - interval '90 days', now() - interval '80 days', NULL),
    (-1, 'accepted lately', 'member', 'x', '\x02', 'accepted', now() - interval '90 days', now(), now() - interval '29 days'),
    (-1, 'accepted', 'member', 'x', '\x03', 'accepted', now() - interval '90 days', now(), now() - interval '31 days');
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result, created_at) VALUES
    (-1, 'x', 'lately', '{}', '{}', now() - interval '29 days'),
    (-1, 'x', 'old', '{}', '{}', now() - interval '31 days');
INSERT INTO seats_internal.lane (id, destination, name, used_on, paused_at) VALUES
    (-11, 'regress', 'lately', CURRENT_DATE - 34, NULL),
    (-12, 'regress', 'idle', CURRENT_DATE - 40, NULL),
    (-13, 'regress', 'paused', CURRENT_DATE - 40, now()),
    (-14, 'regress', 'with a call', CURRENT_DATE - 40, NULL),
    (-15, 'regress', 'of a team', CURRENT_DATE - 40, NULL),
    (-16, 'regress', 'read beside', CURRENT_DATE - 40, NULL),
    (-17, 'regress', 'of a receiver', CURRENT_DATE - 40, NULL);
INSERT INTO seats_internal.lane_marker (lane_id, marker) VALUES (-11, 'x'), (-12, 'x'), (-15, 'x');
INSERT INTO seats_internal.outbox (id, lane_id, beside_lane_id, team_id, kind, destination, method, path, body, enqueued_by) VALUES
    (-21, -14, NULL, NULL, 'call', 'regress', 'POST', '/v1/x', '', 'x'),
    (-22, NULL, -16, -1, 'read', 'regress', 'GET', '/v1/x', '', 'x');
INSERT INTO seats_internal.team (id, name, destination, subscription, lane_id, registered_by) VALUES
    (-1, 'regress kept', 'regress', 'sub_kept', -15, 'x');
INSERT INTO seats_internal.receiver (name, format, path, lane_id, journal_number, resolved_number, defined_by)
VALUES ('regress', 'slack', '/', -17, 0, 0, 'x');
-- (By nothing but this: what other tests have left is younger.)
SELECT seats_internal.forget(30) AS is_more;
SELECT fingerprint FROM seats_internal.alert WHERE fingerprint LIKE 'regress:%' ORDER BY 1;
SELECT user_id FROM seats_internal.member WHERE team_id = -1 ORDER BY 1;
SELECT address FROM seats_internal.invite WHERE team_id = -1 ORDER BY 1;
SELECT request_key FROM seats_internal.request_key WHERE team_id = -1 ORDER BY 1;
SELECT l.name, l.used_on = CURRENT_DATE AS counts_as_used, m.marker
  FROM seats_internal.lane AS l LEFT JOIN seats_internal.lane_marker AS m ON m.lane_id = l.id
 WHERE l.destination = 'regress' AND l.id BETWEEN -17 AND -11 ORDER BY 1;
SELECT lane_id FROM seats_internal.lane_marker WHERE lane_id BETWEEN -17 AND -11 ORDER BY 1;
-- Some at a time.
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result, created_at)
SELECT -1, 'y', n, '{}', '{}', now() - interval '31 days' FROM generate_series(1, 1500) AS n;
SELECT seats_internal.forget(30) AS is_more, count(*) FROM seats_internal.request_key WHERE team_id = -1 AND function_name = 'y';
SELECT count(*) FROM seats_internal.request_key WHERE team_id = -1 AND function_name = 'y';
SELECT seats_internal.forget(30) AS is_more;
SELECT count(*) FROM seats_internal.request_key WHERE team_id = -1 AND function_name = 'y';
-- A turn of the ring, which holds exclusive locks, deletes none itself.
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result, created_at)
VALUES (-1, 'z', 'old', '{}', '{}', now() - interval '31 days');
UPDATE seats_internal.ring SET since = now() - interval '40 days';
SELECT seats_internal.turn_ring(30);
SELECT request_key FROM seats_internal.request_key WHERE team_id = -1 AND function_name = 'z';
-- Who uses a lane says so.
UPDATE seats_internal.lane SET used_on = CURRENT_DATE - 40 WHERE id = -15;
UPDATE seats_internal.team SET status = 'active' WHERE id = -1;
SELECT (seats_internal.take_team('regress kept')).name;
SELECT used_on = CURRENT_DATE AS counts_as_used FROM seats_internal.lane WHERE id = -15;
ROLLBACK;

-- What is gone from the outbox leaves no room behind that whoever looks at health would have to read.
BEGIN;
INSERT INTO seats_internal.outbox (id, destination, method, path, body, enqueued_by)
SELECT -100 - n, 'regress', 'POST', '/v1/x', '', 'x' FROM generate_series(1, 2000) AS n;
SELECT pg_relation_size('seats_internal.outbox') > 200000 AS is_large;
ROLLBACK;
VACUUM seats_internal.outbox;
SELECT pg_relation_size('seats_internal.outbox') > 200000 AS is_large;
