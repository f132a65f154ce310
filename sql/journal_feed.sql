-- The journal as a feed: consumers, acknowledgements, and who lags behind retention.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
-- Where pg_seats is not preloaded, each session is warned once.
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''), nullif(hints, ''));
END
$$;

-- In a transaction that is rolled back: no worker ever sees any of it, and the numbers begin at 101.
BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
CREATE ROLE regress_feed_application;
CREATE ROLE regress_feed_other;
SET ROLE regress_seats_admin;
TRUNCATE seats_internal.journal;
UPDATE seats_internal.ring SET slot = 0, last_journal_number = 100;
SELECT seats.grant_application('regress_feed_application');
SELECT seats.grant_application('regress_feed_other');
TRUNCATE seats_internal.journal;

INSERT INTO seats_internal.lane (id, destination, name)
VALUES (-1, 'regress', '/v1/subscriptions/sub_1'), (-2, 'regress', 'other');
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, registered_by)
VALUES ('acme', 'regress', 'sub_1', -1, 'regress');
SELECT seats_internal.write_journal('member.removed', 'stripe', NULL, -1, 'cancelled',
                                    '{"user_id": "u1", "external_id": "chat-1"}');
SELECT seats_internal.write_journal('call.refused', 'pg_seats', 17, -2, 'payment_failed');
SELECT seats_internal.write_journal('invite.settled', 'pg_seats', NULL, NULL, NULL, '{"team": "umbrella"}');

-- What has no number is not read: its transaction is not committed, or was only just now.
SET ROLE regress_feed_application;
SELECT * FROM seats.read_journal('main');
RESET ROLE;
SELECT numbered FROM seats_internal.number_journal('1:1:');
SET ROLE regress_feed_application;
SELECT number, kind, role, actor, call, lane, team, individual, reason, detail FROM seats.read_journal('main');
-- It comes again until it is acknowledged.
SELECT number FROM seats.read_journal('main', 2);
SELECT seats.acknowledge_journal('main', 102);
SELECT number FROM seats.read_journal('main', 2);
-- Twice, or late, takes nothing back.
SELECT seats.acknowledge_journal('main', 102);
SELECT seats.acknowledge_journal('main', 101);
SELECT number FROM seats.read_journal('main');
-- Another consumer has a place of its own.
SELECT number FROM seats.read_journal('mailer', 1);
SELECT seats.acknowledge_journal('main', 103);
SELECT count(*) FROM seats.read_journal('main');
SELECT count(*) FROM seats.read_journal('mailer');
-- A person who is called as a team is no team, whoever wrote the entry.
RESET ROLE;
SAVEPOINT individual;
INSERT INTO seats_internal.lane (id, destination, name) VALUES (-3, 'regress', '/v1/subscriptions/sub_3');
INSERT INTO seats_internal.team (kind, name, destination, subscription, lane_id, registered_by)
VALUES ('individual', 'acme', 'regress', 'sub_3', -3, 'regress');
SELECT seats_internal.write_journal('subscription.status', 'stripe', NULL, -3, NULL, '{"individual": "acme"}');
SELECT seats_internal.write_journal('call.refused', 'pg_seats', 18, -3, 'payment_failed');
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT number, kind, team, individual FROM seats.read_journal('main');
ROLLBACK TO SAVEPOINT individual;
SET ROLE regress_feed_application;

-- What is refused.
SELECT pg_temp.try(command) FROM (VALUES
    (1, $$SELECT seats.read_journal('main', 0)$$),
    (2, $$SELECT seats.read_journal('main', NULL)$$),
    (3, $$SELECT seats.read_journal('main', 10001)$$),
    (4, $$SELECT seats.read_journal('not a name')$$),
    (5, $$SELECT seats.read_journal(NULL)$$),
    (6, $$SELECT seats.acknowledge_journal('main', 104)$$),
    (7, $$SELECT seats.acknowledge_journal('main', NULL)$$),
    (8, $$SELECT seats.acknowledge_journal('main', -1)$$),
    (9, $$SELECT seats.acknowledge_journal('nobody', 101)$$),
    (10, $$SELECT seats.acknowledge_journal(NULL, 101)$$),
    (11, $$SELECT seats.drop_journal_consumer('main', 'no longer needed')$$)) AS c (n, command)
 ORDER BY n;
-- A name belongs to the role that used it first, and to that role's members.
RESET ROLE;
SET ROLE regress_feed_other;
SELECT pg_temp.try($$SELECT seats.read_journal('main')$$);
SELECT pg_temp.try($$SELECT seats.acknowledge_journal('main', 103)$$);
RESET ROLE;
GRANT regress_feed_application TO regress_feed_other;
SET ROLE regress_feed_other;
SELECT pg_temp.try($$SELECT seats.read_journal('main')$$);
RESET ROLE;
SET ROLE regress_seats_admin;
SELECT consumer, owner, acknowledged, behind, oldest_unread_at IS NOT NULL AS has_unread, has_lost_entries,
       acknowledged_by
  FROM seats.journal_consumers ORDER BY consumer;

-- A name whose role is gone is taken over by whoever goes on under it.
UPDATE seats_internal.journal_consumer SET owner = 'regress_feed_gone' WHERE name = 'mailer';
RESET ROLE;
SET ROLE regress_feed_other;
SELECT number FROM seats.read_journal('mailer', 1);
SELECT seats.acknowledge_journal('mailer', 101);
RESET ROLE;
SET ROLE regress_seats_admin;
SELECT owner FROM seats.journal_consumers WHERE consumer = 'mailer';

-- health: one that is up to date, one that has not read for long, one that retention has overtaken.
SELECT check_name, status, message, hint FROM seats.health
 WHERE check_name ~ '^journal consumer main' ORDER BY 1;
ALTER TABLE seats_internal.journal DISABLE TRIGGER USER;
UPDATE seats_internal.journal SET at = '2020-01-01 00:00Z' WHERE number = 102;
ALTER TABLE seats_internal.journal ENABLE TRIGGER USER;
SELECT check_name, status, message, hint FROM seats.health
 WHERE check_name = 'journal consumer mailer';
SELECT seats_internal.write_journal('regress.later', 'me', NULL, NULL, NULL);
TRUNCATE seats_internal.journal_0;
UPDATE seats_internal.ring SET slot = 1;
-- Nothing is left, and one of them had read all.
SELECT check_name, status, message, hint FROM seats.health
 WHERE check_name ~ '^journal consumer' ORDER BY 1;
SELECT seats_internal.write_journal('regress.later', 'me', NULL, NULL, NULL);
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT number, kind FROM seats.read_journal('main');
SELECT pg_temp.try($$SELECT seats.read_journal('mailer')$$);
SELECT consumer, has_lost_entries FROM seats.journal_consumers ORDER BY consumer;
SELECT labels, value FROM seats.metrics WHERE name = 'pg_seats_journal_consumer_has_lost_entries' ORDER BY labels;
SELECT seats.acknowledge_journal('mailer', 103);
SELECT number, kind FROM seats.read_journal('mailer');
-- One that comes new begins with what there is.
SELECT number, kind FROM seats.read_journal('new');

-- An entry that was committed late lies among older ones, and leaves before those that came earlier.
SAVEPOINT late;
INSERT INTO seats_internal.journal (ring, kind, role) SELECT n % 2 + 2, 'regress.ring', 'me'
  FROM generate_series(1, 3) AS n;
SELECT numbered FROM seats_internal.number_journal('1:1:');
TRUNCATE seats_internal.journal_2;
SELECT seats.acknowledge_journal('main', 104);
SELECT number FROM seats.read_journal('main');
SELECT seats.acknowledge_journal('main', 105);
SELECT pg_temp.try($$SELECT seats.read_journal('main')$$);
SELECT consumer, has_lost_entries FROM seats.journal_consumers WHERE consumer = 'main';
SELECT seats.acknowledge_journal('main', 106);
SELECT number FROM seats.read_journal('main');
ROLLBACK TO late;

-- Forgetting one wants a reason.
SELECT pg_temp.try($$SELECT seats.drop_journal_consumer('mailer', ' ')$$);
SELECT pg_temp.try($$SELECT seats.drop_journal_consumer('nobody', 'gone')$$);
SELECT seats.drop_journal_consumer('mailer', 'it is gone');
SELECT consumer FROM seats.journal_consumers ORDER BY consumer;
SELECT kind, role, reason, detail FROM seats_internal.journal WHERE kind = 'journal_consumer.dropped';

-- Who may read which kinds: how it is set up, who was granted what and what operators did is not for
-- applications. What they may not read they need not acknowledge, and it does not count as unread.
TRUNCATE seats_internal.journal;
DELETE FROM seats_internal.journal_consumer;
CREATE ROLE regress_feed_operator;
SELECT seats.grant_operator('regress_feed_operator');
SELECT seats.grant_application('regress_feed_operator');
SELECT seats_internal.write_journal(kind, 'me', NULL, NULL, NULL)
  FROM unnest('{destination.defined,member.added,receiver.defined,webhook_endpoint.defined,operator.retry,alert.acknowledged,
                lane.paused,destination.halted,installation.adopted,worker.new_timeline,journal_consumer.dropped,
                webhook.unknown_type,seat_type.defined,change.confirmed,seats.changed_outside,subscription.status,
                invoice.paid,team.cancelled,individual.ended,invite.created,call.refused,drift.found,
                privilege.revoked}'::text[]) AS kind \g /dev/null
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT last_journal_number AS newest FROM seats_internal.ring \gset
SET ROLE regress_feed_application;
SELECT string_agg(kind, ' ' ORDER BY number) FROM seats.read_journal('shown');
SELECT count(*) FROM seats.read_journal('shown', 3);
SELECT seats.acknowledge_journal('shown', (SELECT max(number) FROM seats.read_journal('shown')));
SELECT count(*) FROM seats.read_journal('shown');
RESET ROLE;
SELECT acknowledged = :newest AS all_done, behind, oldest_unread_at FROM seats.journal_consumers WHERE consumer = 'shown';
SET ROLE regress_feed_operator;
SELECT string_agg(kind, ' ' ORDER BY number) FROM seats.read_journal('all');
RESET ROLE;

-- Who takes payments learns nothing of teams, and the other way round; what becomes of a call is for whose lane it was in.
CREATE ROLE regress_feed_till;
CREATE ROLE regress_feed_both IN ROLE regress_feed_application, regress_feed_till;
SET ROLE regress_seats_admin;
SELECT seats.grant_payments('regress_feed_till');
INSERT INTO seats_internal.lane (id, destination, name) VALUES (-4, 'regress', '/payments/ann');
INSERT INTO seats_internal.payment_request (id, request_key, destination, currency, created_by, role, role_oid, arguments)
VALUES (-5, 'dinner', 'regress', 'eur', 'me', 'me', 10, '{}');
INSERT INTO seats_internal.payment_member (request_id, lane_id, reference, hash, amount)
VALUES (-5, -4, 'ann', 'ann', 500);
TRUNCATE seats_internal.journal;
DELETE FROM seats_internal.journal_consumer;
SELECT seats_internal.write_journal(e.kind, 'me', NULL, e.lane, e.word)
  FROM (VALUES ('payment.succeeded', -4, 'payer'), ('handler.done', -4, 'payer'), ('call.review', -4, 'payer'),
               ('member.removed', -1, 'team'), ('invite.created', -1, 'team'), ('handler.done', -1, 'team'),
               ('call.review', -1, 'team'), ('call.refused', -2, 'other'), ('call.refused', NULL, 'none'),
               ('payment.stray_cancelled', NULL, 'operators')) AS e (kind, lane, word) \g /dev/null
SELECT numbered FROM seats_internal.number_journal('1:1:');
SET ROLE regress_feed_till;
SELECT kind, reason FROM seats.read_journal('till') ORDER BY number;
SELECT count(team), count(individual) FROM seats.read_journal('till');
RESET ROLE;
SET ROLE regress_feed_application;
SELECT kind, reason FROM seats.read_journal('teams') ORDER BY number;
RESET ROLE;
SET ROLE regress_feed_both;
SELECT count(*) FROM seats.read_journal('both');
RESET ROLE;
SET ROLE regress_seats_admin;
SELECT seats.revoke_payments('regress_feed_till');
RESET ROLE;
GRANT EXECUTE ON FUNCTION seats.read_journal(text, integer) TO regress_feed_till;
GRANT USAGE ON SCHEMA seats TO regress_feed_till;
SET ROLE regress_feed_till;
SELECT count(*) FROM seats.read_journal('neither');
RESET ROLE;

-- Pages that stay open: which teams there is news of, without a consumer.
SET ROLE regress_seats_admin;
TRUNCATE seats_internal.journal;
INSERT INTO seats_internal.lane (id, destination, name) VALUES (-6, 'regress', '/v1/subscriptions/sub_6');
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, registered_by)
VALUES ('bolt', 'regress', 'sub_6', -6, 'regress');
UPDATE seats_internal.ring SET last_journal_number = 500;
SELECT seats_internal.write_journal(e.kind, 'me', NULL, e.lane, NULL)
  FROM (VALUES ('member.removed', -1), ('member.removed', -6), ('call.refused', -2), ('member.added', -1),
               ('call.refused', NULL)) AS e (kind, lane) \g /dev/null
SELECT numbered FROM seats_internal.number_journal('1:1:');
RESET ROLE;
SET ROLE regress_feed_application;
SELECT * FROM seats.teams_changed();
SELECT * FROM seats.teams_changed(500);
SELECT * FROM seats.teams_changed(500, 2);
SELECT * FROM seats.teams_changed(502);
SELECT * FROM seats.teams_changed(504);
SELECT * FROM seats.teams_changed(505);
SELECT pg_temp.try('SELECT seats.teams_changed(506)');
SELECT pg_temp.try('SELECT seats.teams_changed(499)');
SELECT pg_temp.try('SELECT seats.teams_changed(-1)');
SELECT pg_temp.try('SELECT seats.teams_changed(500, 0)');
RESET ROLE;
SET ROLE regress_feed_till;
SELECT pg_temp.try('SELECT seats.teams_changed()');
RESET ROLE;
ROLLBACK;
