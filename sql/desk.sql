-- The operator's desk: lists by key with a bound, pages of calls and reviews, and verbs for many at once.
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
DELETE FROM seats_internal.outbox;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-1111-4111-8111-111111111111', 1, 'regress');
INSERT INTO seats_internal.destination (name, base_url, secret, livemode, requests_per_second, created_by)
VALUES ('regress', 'http://127.0.0.1:9', 'key', false, 20, 'regress'), ('other', 'http://127.0.0.1:9', 'key', false, 20, 'regress');
INSERT INTO seats_internal.lane (id, destination, name) SELECT 1000000 + n, 'regress', 'lane_' || n FROM generate_series(1, 4) AS n;
INSERT INTO seats_internal.team (id, name, destination, subscription, lane_id, status, base_proven_at, registered_by)
VALUES (1000001, 'desk-acme', 'regress', 'sub_desk', 1000004, 'active', now(), 'regress');
INSERT INTO seats_internal.outbox (id, eligible_xid, lane_id, destination, method, path, body,
    enqueued_by, installation, state, doubt, attempts, tries, reason, last_error, error_code, due_at, first_sent_at, marker)
SELECT id, '3', lane, destination, 'POST', '/v1/things/' || id, 'name=unseen', 'regress_app',
       installation::uuid, state::seats_internal.outbox_state, doubt, tries, tries, reason, 'words of ' || reason, code,
       CASE WHEN due THEN now() + interval '1 hour' END, CASE WHEN tries > 0 THEN now() - interval '1 hour' END, 'marker-' || id
  FROM (VALUES
    (1000001, 1000001, 'regress', '11111111-1111-4111-8111-111111111111', 'review', true, 4, 'timeout', NULL, false),
    (1000002, 1000001, 'regress', '11111111-1111-4111-8111-111111111111', 'pending', false, 0, NULL, NULL, false),
    (1000003, 1000002, 'regress', '11111111-1111-4111-8111-111111111111', 'waiting', true, 2, 'timeout', NULL, true),
    (1000004, NULL, 'regress', '11111111-1111-4111-8111-111111111111', 'waiting', false, 1, 'rate_limit', 'rate_limit', true),
    (1000005, NULL, 'other', '11111111-1111-4111-8111-111111111111', 'waiting', false, 1, 'rate_limit', 'rate_limit', true),
    (1000006, NULL, 'regress', '11111111-1111-4111-8111-111111111111', 'sending', false, 1, NULL, NULL, false),
    (1000007, 1000003, 'regress', '11111111-1111-4111-8111-111111111111', 'verifying', true, 3, 'timeout', NULL, true),
    (1000008, NULL, 'regress', '11111111-1111-4111-8111-111111111111', 'awaiting', false, 1, 'awaiting_payment', NULL, true),
    (1000009, NULL, 'regress', '11111111-1111-4111-8111-111111111111', 'pending', false, 0, 'later', NULL, true),
    (1000010, NULL, 'other', '22222222-2222-4222-8222-222222222222', 'waiting', true, 1, 'foreign', NULL, true))
    AS o (id, lane, destination, installation, state, doubt, tries, reason, code, due);

SELECT setval('seats_internal.outbox_id_seq', 2000000);

-- ---- open calls

SELECT call, state, destination, lane, reason, error_code, looked_to FROM seats.list_calls();
SELECT call, state, looked_to FROM seats.list_calls(most => 2);
SELECT call, state, looked_to FROM seats.list_calls(after_call => 1000002, most => 8);
SELECT call, state, looked_to FROM seats.list_calls('{"state": "waiting"}');
SELECT call, state, looked_to FROM seats.list_calls('{"state": "waiting", "destination": "regress"}', most => 1);
SELECT call, state, looked_to FROM seats.list_calls('{"state": "waiting", "destination": "regress"}', 1000003, 1);
SELECT call, state, looked_to FROM seats.list_calls('{"state": "waiting", "destination": "regress"}', 1000004, 1);
SELECT call, state FROM seats.list_calls('{"destination": "regress", "lane": "lane_1"}');
SELECT call, state FROM seats.list_calls('{"state": "pending"}');
SELECT call, state FROM seats.list_calls('{"error_code": "rate_limit", "destination": "other"}');
SELECT count(*) FROM seats.list_calls('{"team": "desk-acme"}');
-- What nobody has looked at yet: the last row says where to go on, though nothing was found.
INSERT INTO seats_internal.outbox (id, destination, method, path, body, enqueued_by)
SELECT 1100000 + n, 'regress', 'POST', '/v1/x', '', 'crowd' FROM generate_series(1, 10000) AS n;
SELECT call, looked_to FROM seats.list_calls('{"reason": "nobody has this"}', 1000010);
SELECT call, looked_to FROM seats.list_calls('{"reason": "nobody has this"}', 1100001);
DELETE FROM seats_internal.outbox WHERE enqueued_by = 'crowd';
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"status": "waiting"}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"state": 1, "team": null}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('["state"]')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls(NULL)$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"state": "done"}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"lane": "lane_1"}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"destination": "regress", "lane": "none"}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls('{"team": "none"}')$$);
SELECT pg_temp.try($$SELECT * FROM seats.list_calls(most => 1001)$$);

-- ---- many at once

-- What the filter lets through and has its next try planned; what is in review, on its way or next anyway is not counted.
SELECT * FROM seats.count_retryable();
SELECT * FROM seats.count_retryable('{"destination": "regress"}');
SELECT * FROM seats.count_retryable('{"destination": "regress"}', 1000004);
SELECT * FROM seats.count_retryable('{"reason": "rate_limit"}');
SELECT pg_temp.try($$SELECT * FROM seats.count_retryable('{"state": "review"}')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"destination": "regress"}', 1000010, NULL, 'ticket 1')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"destination": "regress"}', NULL, 5, 'ticket 1')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"destination": "regress"}', 1000010, 4, 'ticket 1')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"destination": "regress"}', 1000010, 5, ' ')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"target": "regress"}', 1000010, 5, 'ticket 1')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{"state": "review"}', 1000010, 1, 'ticket 1')$$);
SELECT pg_temp.try($$SELECT seats.retry_all('{}', 1000010, 7, 'another installation''s is among them')$$);
SELECT count(*) FROM seats_internal.outbox WHERE due_at IS NOT NULL;
SELECT version FROM seats_internal.lane WHERE id = 1000002;
SELECT seats.retry_all('{"destination": "regress"}', 1000010, 5, 'ticket 1');
SELECT id, state, due_at IS NULL AS at_once, eligible_xid = pg_current_xact_id() AS offered FROM seats_internal.outbox
 WHERE id BETWEEN 1000001 AND 1000010 ORDER BY id;
SELECT version FROM seats_internal.lane WHERE id = 1000002;
SELECT kind, call, role, reason, detail FROM seats.journal WHERE kind = 'operator.retry' ORDER BY call;
SELECT pg_temp.try($$SELECT seats.retry_all('{"destination": "regress"}', 1000010, 5, 'once more')$$);
-- More than ten thousand: in portions.
INSERT INTO seats_internal.outbox (id, destination, method, path, body, enqueued_by, due_at, reason)
SELECT 1100000 + n, 'regress', 'POST', '/v1/x', '', 'crowd', now() + interval '1 hour', 'crowd' FROM generate_series(1, 10001) AS n;
SELECT * FROM seats.count_retryable('{"reason": "crowd"}');
SELECT pg_temp.try($$SELECT seats.retry_all('{"reason": "crowd"}', 1110001, 10001, 'all of them')$$);
DELETE FROM seats_internal.outbox WHERE enqueued_by = 'crowd';

-- Events.
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, received_at, retry_at, error, facts, tries, processed_at)
SELECT 'main', 'evt_' || n, 'regress', CASE WHEN n < 4 THEN 'invoice.paid' ELSE 'x' END, now() - n * interval '1 minute',
       CASE WHEN n < 6 THEN now() + interval '1 hour' END, CASE WHEN n < 3 THEN 'cannot (XX000)' END, '{}', 1,
       CASE WHEN n = 6 THEN now() END
  FROM generate_series(1, 6) AS n;
SELECT endpoint, destination, type, error, events, is_more, an_event FROM seats.list_webhook_problems();
SELECT up_to > now() AS up_to_now, up_to = date_trunc('milliseconds', up_to) AS is_plain, events, is_more FROM seats.count_replayable();
SELECT events FROM seats.count_replayable('{"type": "invoice.paid", "error": "cannot (XX000)"}');
SELECT events FROM seats.count_replayable('{"type": "invoice.paid"}', now() - interval '150 seconds');
SELECT pg_temp.try($$SELECT * FROM seats.count_replayable('{"reason": "x"}')$$);
SELECT pg_temp.try($$SELECT seats.replay_webhooks_all('{"type": "invoice.paid"}', now(), 2, 'ticket 2')$$);
SELECT pg_temp.try($$SELECT seats.replay_webhooks_all('{"type": "invoice.paid"}', now(), NULL, 'ticket 2')$$);
SELECT seats.replay_webhooks_all('{"type": "invoice.paid"}', now(), 3, 'ticket 2');
SELECT event_id, retry_at <= clock_timestamp() AS due FROM seats_internal.webhook_event WHERE endpoint = 'main' ORDER BY event_id;
SELECT kind, role, reason, detail FROM seats.journal WHERE kind = 'operator.replay_webhook' ORDER BY detail ->> 'event';

-- ---- counts

SELECT what, count, is_more FROM seats.counts() WHERE what !~ '^calls_';
-- (By their states a worker counts them, if they are many.)
SELECT string_agg(what, ' ') AS states, bool_and((count IS NULL) = (as_of IS NULL)) AS unknown_if_nobody_has_counted
  FROM seats.counts() WHERE what ~ '^calls_';
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, retry_at, facts)
SELECT 'main', 'evt_many_' || n, 'regress', 'x', now(), '{}' FROM generate_series(1, 1000) AS n;
SELECT what, count, is_more FROM seats.counts() WHERE what = 'webhooks_to_process';
DELETE FROM seats_internal.webhook_event WHERE event_id LIKE 'evt_many_%';

-- ---- settled calls and the journal, newest first

INSERT INTO seats_internal.outbox_history (ring, id, created_at, settled_at, uuid, installation, result, generation, attempts,
    http_status, duration_ms, clean, destination, method, path, body, enqueued_by, reason, error_code)
SELECT n % 3, 1000200 + n, now(), now(), gen_random_uuid(), '11111111-1111-4111-8111-111111111111',
       CASE WHEN n % 2 = 0 THEN 'done' ELSE 'refused' END, 1, 1, 200, 12.5, true, 'regress', 'POST', '/v1/customers', 'name=unseen',
       'regress_app', CASE WHEN n % 2 = 1 THEN 'card_declined' END, NULL
  FROM generate_series(1, 7) AS n;
SELECT call, result, reason, looked_to FROM seats.list_history(most => 7);
SELECT call, result, looked_to FROM seats.list_history(before_call => 1000203, most => 2);
SELECT call, result, looked_to FROM seats.list_history('{"result": "refused", "destination": "regress"}', most => 3);
SELECT call, result, looked_to FROM seats.list_history('{"result": "refused", "destination": "regress"}', 1000203, 3);
SELECT pg_temp.try($$SELECT * FROM seats.list_history('{"state": "done"}')$$);
INSERT INTO seats_internal.journal (ring, number, kind, role, actor, call_id, lane_id, detail)
SELECT n % 3, 1000000 + n, CASE WHEN n % 2 = 0 THEN 'test.even' ELSE 'test.odd' END, 'regress_app', 'ada', 1000200 + n,
       CASE WHEN n < 4 THEN 1000004 END, jsonb_build_object('person', 'Ada ' || n) FROM generate_series(1, 6) AS n;
SELECT number, kind, person, call, team, looked_to FROM seats.search_journal(most => 3);
SELECT number, kind, looked_to FROM seats.search_journal('{"kind": "test.odd"}', 1000005, 2);
SELECT number, lane, team FROM seats.search_journal('{"team": "desk-acme", "actor": "ada"}', 1000003);
SELECT number FROM seats.search_journal('{"person": "Ada 2", "role": "regress_app", "call": "1000202"}');
SELECT pg_temp.try($$SELECT * FROM seats.search_journal('{"number": "1"}')$$);

-- ---- teams

INSERT INTO seats_internal.lane (id, destination, name) SELECT 1000010 + n, 'regress', 'team_' || n FROM generate_series(1, 5) AS n;
INSERT INTO seats_internal.team (kind, name, destination, subscription, lane_id, registered_by)
SELECT CASE WHEN n = 5 THEN 'individual' ELSE 'team' END, (ARRAY['desk-b', 'desk-Z', 'desk-a_', 'desk-a%', 'desk-x'])[n], 'regress',
       'sub_desk_' || n, 1000010 + n, 'regress' FROM generate_series(1, 5) AS n;
SELECT team, status FROM seats.list_teams('desk-');
SELECT team FROM seats.list_teams('desk-', 'desk-Z', 2);
SELECT team FROM seats.list_teams('desk-a_');
SELECT team FROM seats.list_teams('deskx');
-- Null is where it begins, as if it were left out.
SELECT (SELECT count(*) FROM seats.list_teams(NULL, NULL)) = (SELECT count(*) FROM seats.list_teams()) AS all_teams,
       (SELECT count(*) FROM seats.list_calls('{}', NULL)) = (SELECT count(*) FROM seats.list_calls('{}')) AS all_calls;
-- What is compared with thousands of rows is short, and says one thing.
SELECT pg_temp.try($$SELECT seats.list_calls(jsonb_build_object('reason', repeat('x', 100000)))$$);
SELECT pg_temp.try($$SELECT seats.count_retryable('{"team": "desk-a", "lane": "x", "destination": "regress"}')$$);

-- ---- pages

-- What depends on whether a worker runs is left out.
CREATE FUNCTION pg_temp.page(page jsonb) RETURNS TABLE (key text, value text) LANGUAGE sql AS $$
    SELECT p.key, regexp_replace(pg_temp.plain(p.value::text), '"alert": \d+', '"alert": <id>') FROM jsonb_each(page) AS p
     WHERE p.key NOT IN ('explained', 'held_back', 'as_of') AND p.value NOT IN ('null', '[]') ORDER BY 1
$$;
INSERT INTO seats_internal.attempt (ring, call_id, generation, number, purpose, duration_ms, verdict, reason, http_status, error,
    sent, replayed)
SELECT 0, 1000001, 1, n, CASE n WHEN 1 THEN 'send' ELSE 'verify_by_events' END, 10, 'unknown', 'timeout', 0, 'no answer', true, false
  FROM generate_series(1, 2) AS n;
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, processed_at, outcome, idempotency_key, facts)
SELECT 'main', 'evt_key', 'regress', 'customer.created', now(), 'ignored',
       seats_internal.idempotency_key(o.installation, o.uuid, o.generation), '{}' FROM seats_internal.outbox AS o WHERE o.id = 1000001;
SELECT seats_internal.raise_alert('review:1000001', 'critical', 'review', 'needs a person', call_id => 1000001) IS NOT NULL AS alert;
SELECT * FROM pg_temp.page(seats.call_page(1000001));
SELECT * FROM pg_temp.page(seats.review_page(1000001)) WHERE key IN ('in_review', 'decisions', 'decided_with', 'why', 'evidence');
-- (But for how long ago it was, which may be a second more by then.)
SELECT regexp_replace(array_to_string(ARRAY(SELECT jsonb_array_elements_text(seats.call_page(1000001) -> 'explained')), E'\n'), '[0-9]+', 'n', 'g')
       = regexp_replace(seats.explain_call(1000001), '[0-9]+', 'n', 'g') AS says_what_explain_call_says;
SELECT * FROM pg_temp.page(seats.call_page(1000207));
SELECT in_review, decisions FROM jsonb_to_record(seats.review_page(1000207)) AS p (in_review text, decisions jsonb);
SELECT pg_temp.try('SELECT seats.call_page(999)');
SELECT pg_temp.try('SELECT seats.review_page(999)');
-- A change of seats, which takes another one along.
INSERT INTO seats_internal.outbox (id, lane_id, team_id, kind, destination, method, path, body, enqueued_by, installation, state, doubt,
    reason, actor, acting_person, lines, base, target, last_id, tries, first_sent_at)
SELECT 1000300 + n, 1000004, 1000001, 'change', 'regress', 'POST', '/v1/subscriptions/sub_desk', 'items=unseen', 'regress_app',
       '11111111-1111-4111-8111-111111111111', CASE n WHEN 1 THEN 'review' ELSE 'carried' END::seats_internal.outbox_state, true,
       'no_proof', 'ada', 'Carol', format('[{"seat_type": "team", "operation": "add", "quantity": 1, "previous_quantity": %s, "new_quantity": %s}]',
       n, n + 1)::jsonb, CASE n WHEN 1 THEN '{"team": 1}'::jsonb END, CASE n WHEN 1 THEN '{"team": 3}'::jsonb END,
       CASE n WHEN 1 THEN 1000302 END, 1, now() - interval '2 days'
  FROM generate_series(1, 2) AS n;
SELECT * FROM pg_temp.page(seats.review_page(1000301));
-- What it costs at most is known by the price that the subscription has for its seats, in the subscription's currency.
INSERT INTO seats_internal.stripe_price (destination, price, currency, unit_amount) VALUES ('regress', 'price_desk', 'jpy', 700);
SELECT seat_type FROM seats.define_seat_type('team', '{price_desk}');
DELETE FROM seats_internal.recount;
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity, last_price) VALUES (1000001, 'team', 1, 3, 'price_desk');
SELECT seats.call_page(1000301) -> 'costs_at_most' AS costs_at_most;
UPDATE seats_internal.team SET currency = 'jpy' WHERE id = 1000001;
SELECT seats.call_page(1000301) -> 'costs_at_most' AS costs_at_most;
SELECT seats_internal.desk_cost(1000001, seats) AS cost
  FROM unnest(ARRAY['{"team": {"previous_quantity": 3, "new_quantity": 1}}', '{}',
                    '{"team": {"previous_quantity": 1, "new_quantity": 3}, "owner": {"previous_quantity": 0, "new_quantity": 1}}',
                    '{"team": {"previous_quantity": 1, "new_quantity": 3}, "owner": {"previous_quantity": 2, "new_quantity": 1}}']::jsonb[])
       AS seats;
UPDATE seats_internal.stripe_price SET unit_amount = NULL WHERE price = 'price_desk';
SELECT seats.call_page(1000301) -> 'costs_at_most' AS costs_at_most;
-- A handler in review, of a call that is settled.
INSERT INTO seats_internal.handler (call_id, installation, role, role_oid, on_refused, outcome, ended_at, review_since, review_reason,
    tries, error, error_code, context)
SELECT 1000207, '11111111-1111-4111-8111-111111111111', 'regress_seats_admin', 'regress_seats_admin'::regrole, 'public.refused',
       '{"result": "refused"}', now(), now(), 'failed', 5, 'it cannot', 'P0001', '{"unseen": 1}';
SELECT key, value FROM pg_temp.page(seats.review_page(1000207)) WHERE key IN ('in_review', 'decisions', 'decided_with', 'why', 'handler');
-- No page has what no view shows.
SELECT bool_or(seats.review_page(id)::text ~ 'unseen') AS tells_bodies
  FROM unnest('{1000001,1000003,1000301,1000302,1000207}'::bigint[]) AS id;

-- The verbs that a page names are those that do not refuse the call.
CREATE FUNCTION pg_temp.takes(verb text, call bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE CASE verb WHEN 'resolve_review' THEN format('SELECT seats.resolve_review(%s, ''executed'', ''test'')', call)
                      WHEN 'cancel_change' THEN format('SELECT seats.cancel_change(%s)', call)
                      ELSE format('SELECT seats.%I(%s, ''test'')', verb, call) END;
    RAISE EXCEPTION 'undone' USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN true;
WHEN SQLSTATE 'PS402' OR SQLSTATE 'PS405' OR SQLSTATE 'PS401' OR SQLSTATE 'PS514' OR SQLSTATE 'PS515' THEN
    RETURN false;
END
$$;
UPDATE seats_internal.outbox SET lines = NULL WHERE id BETWEEN 1000001 AND 1000010;
SELECT o.id, v.verb, o.state, o.doubt, pg_temp.takes(v.verb, o.id) AS takes
  FROM seats_internal.outbox AS o
 CROSS JOIN unnest('{retry,cancel_call,cancel_change,review_call,resolve_review}'::text[]) AS v (verb)
 WHERE o.id BETWEEN 1000001 AND 1000302
   AND pg_temp.takes(v.verb, o.id) <> (seats.call_page(o.id) -> 'verbs' ? v.verb);
SELECT id, state, doubt, seats.call_page(id) -> 'verbs' AS verbs FROM seats_internal.outbox WHERE id BETWEEN 1000001 AND 1000302 ORDER BY id;

-- ---- who may

CREATE ROLE regress_desk_monitor;
CREATE ROLE regress_desk_operator;
SELECT seats.grant_monitor('regress_desk_monitor'), seats.grant_operator('regress_desk_operator');
SET ROLE regress_desk_monitor;
SELECT (SELECT count(*) FROM seats.list_calls()) > 0 AS calls, (SELECT count(*) FROM seats.list_history()) > 0 AS history,
       (SELECT count(*) FROM seats.search_journal()) > 0 AS journal, (SELECT count(*) FROM seats.list_teams()) > 0 AS teams,
       (SELECT count(*) FROM seats.list_webhook_problems()) > 0 AS problems, seats.call_page(1000001) IS NOT NULL AS page,
       seats.review_page(1000001) IS NOT NULL AS review, (seats.count_retryable()).calls >= 0 AS retryable,
       (seats.count_replayable()).events >= 0 AS replayable,
       (SELECT count(*) FROM seats.counts()) > 7 AS counts;
SELECT pg_temp.try($$SELECT seats.retry_all('{}', 1, 0, 'monitor')$$);
SELECT pg_temp.try($$SELECT seats.replay_webhooks_all('{}', now(), 0, 'monitor')$$);
SET ROLE regress_desk_operator;
SELECT seats.retry_all('{"reason": "rate_limit"}', 1000010, 1, 'ticket 3');
SELECT seats.replay_webhooks_all('{"type": "x"}', now(), 2, 'ticket 3');
ROLLBACK;
