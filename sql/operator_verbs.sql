-- The operators' verbs: what each does, what it refuses, and what it leaves in the journal.
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
SELECT seats_internal.raise_alert('review:' || id, 'critical', 'review', 'call ' || id, call_id => id)
       IS NOT NULL
  FROM seats_internal.outbox WHERE state = 'review' ORDER BY id;
CREATE VIEW pg_temp.row_now AS
SELECT id, state, generation, tries, doubt, reason, due_at, first_sent_at IS NOT NULL AS has_first,
       marker IS NOT NULL AS has_marker, eligible_xid = pg_current_xact_id() AS arrives
  FROM seats_internal.outbox;

-- Every verb wants a reason, and names the state and the verb that fits if it does not fit itself.
SELECT pg_temp.try(format('SELECT seats.%s(1000001, %s $$ $$)', verb, more))
  FROM (VALUES (1, 'retry', ''), (2, 'cancel_call', ''), (3, 'resolve_review', '$$refuse$$,'),
               (4, 'review_call', ''))
       AS v (n, verb, more) ORDER BY n;
SELECT id, state, pg_temp.try(format('SELECT seats.cancel_call(%s, $$why$$)', id))
  FROM seats_internal.outbox WHERE id IN (1000001, 1000004, 1000005, 1000010, 1000011) ORDER BY id;
SELECT id, state, pg_temp.try(format('SELECT seats.retry(%s, $$why$$)', id))
  FROM seats_internal.outbox WHERE id IN (1000001, 1000005, 1000009) ORDER BY id;
SELECT id, state, pg_temp.try(format('SELECT seats.resolve_review(%s, $$refuse$$, $$why$$)', id))
  FROM seats_internal.outbox WHERE id IN (1000002, 1000004) ORDER BY id;
SELECT pg_temp.try('SELECT seats.retry(999, $$why$$)');
SELECT pg_temp.try('SELECT seats.retry(NULL, $$why$$)');

-- retry: what was planned for later happens now; key and order stay.
SELECT seats.retry(id, 'the network is back') FROM seats_internal.outbox
 WHERE id IN (1000004, 1000010, 1000011) ORDER BY id;
SELECT * FROM pg_temp.row_now WHERE id IN (1000004, 1000010, 1000011) ORDER BY id;

-- cancel_call: gone to the history, once; not the head of its lane here, which is offered all the same.
SELECT seats.cancel_call(1000003, 'not wanted any more');
SELECT result, reason, settled_by, attempts, clean FROM seats_internal.outbox_history
 WHERE id = 1000003;
SELECT id, arrives FROM pg_temp.row_now WHERE id IN (1000001, 1000002) ORDER BY id;
SELECT pg_temp.try('SELECT seats.cancel_call(1000003, $$again$$)');

-- What waits for its next try, held by a halt, say: taken back if it was provably not executed, else
-- put into review.
SAVEPOINT held;
SELECT id, state, doubt, pg_temp.try(format('SELECT seats.review_call(%s, $$why$$)', id))
  FROM seats_internal.outbox WHERE id IN (1000001, 1000002, 1000005, 1000009, 1000011) ORDER BY id;
UPDATE seats_internal.outbox SET doubt = false WHERE id = 1000004;
SELECT pg_temp.try('SELECT seats.review_call(1000004, $$why$$)');
SELECT seats.cancel_call(1000004, 'its customer is gone');
SELECT result, reason FROM seats_internal.outbox_history WHERE id = 1000004;
SELECT seats.review_call(1000010, 'nobody knows');
SELECT * FROM pg_temp.row_now WHERE id = 1000010;
SELECT decisions FROM seats.reviews WHERE call = 1000010;
SELECT severity, kind, summary, hint FROM seats_internal.alert
 WHERE fingerprint = 'review:1000010' AND resolved_at IS NULL;
SELECT seats.resolve_review(1000010, 'refuse', 'not seen in the Dashboard');
SELECT count(*) FROM seats_internal.alert WHERE fingerprint = 'review:1000010' AND resolved_at IS NULL;
ROLLBACK TO held;

-- resolve_review: which decisions a call allows.
SELECT call, decisions, waiting_behind FROM seats.reviews ORDER BY call;
SELECT pg_temp.try('SELECT seats.resolve_review(1000001, $$guess$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.resolve_review(1000001, NULL, $$why$$)');
SELECT pg_temp.try('SELECT seats.resolve_review(1000006, $$same_key$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.resolve_review(1000007, $$same_key$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.resolve_review(1000008, $$not_executed$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.resolve_review(1000008, $$same_key$$, $$why$$)');

SAVEPOINT before;
SELECT seats.resolve_review(1000001, 'executed', 'the Dashboard shows it');
SELECT result, reason, settled_by, answer FROM seats_internal.outbox_history WHERE id = 1000001;
SELECT marker AS last_marker FROM seats_internal.lane_marker WHERE lane_id = 1000001;
SELECT id, arrives FROM pg_temp.row_now WHERE id = 1000002;
SELECT state, resolution FROM seats.alerts WHERE call = 1000001;
SELECT pg_temp.try('SELECT seats.resolve_review(1000001, $$refuse$$, $$again$$)');
ROLLBACK TO before;

SELECT seats.resolve_review(1000001, 'not_executed', 'the Dashboard does not show it');
SELECT * FROM pg_temp.row_now WHERE id = 1000001;
ROLLBACK TO before;

SELECT seats.resolve_review(1000001, 'same_key', 'an hour ago only');
SELECT * FROM pg_temp.row_now WHERE id = 1000001;
ROLLBACK TO before;

SELECT seats.resolve_review(1000001, 'refuse', 'the customer is gone');
SELECT result, reason, settled_by FROM seats_internal.outbox_history WHERE id = 1000001;
SELECT marker AS last_marker FROM seats_internal.lane_marker WHERE lane_id = 1000001;

-- An alert about several calls goes with the last of them.
SELECT seats_internal.raise_alert('adopted_copy', 'critical', 'review', 'one call') IS NOT NULL,
       seats_internal.raise_alert('form:regress:400', 'critical', 'review', 'form') IS NOT NULL;
SELECT seats.resolve_review(1000007, 'refuse', 'the original has it');
SELECT fingerprint, resolved_at IS NOT NULL FROM seats_internal.alert
 WHERE fingerprint IN ('adopted_copy', 'form:regress:400') ORDER BY 1;
SELECT seats.resolve_review(call, 'refuse', 'given up') FROM seats.reviews;
SELECT fingerprint, resolved_at IS NOT NULL FROM seats_internal.alert
 WHERE fingerprint IN ('adopted_copy', 'form:regress:400') ORDER BY 1;

-- pause and resume, of a destination and of a lane.
SELECT pg_temp.try('SELECT seats.pause($$nowhere$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.pause(NULL, $$why$$)');
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$$$)');
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$why$$, $$no lane$$)');
SELECT pg_temp.try('SELECT seats.resume($$regress$$, $$why$$)');
SELECT pg_temp.try('SELECT seats.resume($$regress$$, $$why$$, $$lane_1$$)');
SELECT seats.pause('regress', 'maintenance');
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$me too$$)');
SELECT seats.pause('regress', 'customer asks', 'lane_1');
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$me too$$, $$lane_1$$)');
SELECT state, paused_by, paused_reason FROM seats.destinations WHERE name = 'regress';
SELECT lane, call, reason, error, waiting_behind, what_to_do FROM seats.blocked_lanes
 WHERE lane = 'lane_1';
UPDATE seats_internal.outbox SET eligible_xid = '3' WHERE id = 1000002;
SELECT seats.resume('regress', 'customer agrees', 'lane_1');
SELECT id, arrives FROM pg_temp.row_now WHERE id = 1000002;
UPDATE seats_internal.destination SET halted_at = now(), halted_reason = 'unauthorized',
       halted_message = 'Invalid API Key', halted_needs_person = true WHERE name = 'regress';
SELECT seats_internal.raise_alert('halted:regress', 'critical', 'destination_halted', 'x') IS NOT NULL;
SELECT state FROM seats.destinations WHERE name = 'regress';
SELECT seats.resume('regress', 'key changed');
SELECT paused_at, paused_by, halted_at, halted_reason, halted_needs_person
  FROM seats_internal.destination WHERE name = 'regress';
SELECT fingerprint, resolution FROM seats_internal.alert WHERE fingerprint = 'halted:regress';

-- All of it stands in the journal.
SELECT kind, role, call_id, lane_id, reason, detail FROM seats_internal.journal
 WHERE written_xid = pg_current_xact_id() ORDER BY id;
ROLLBACK;
