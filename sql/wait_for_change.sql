-- wait_for_change, await_change and change_seats_and_wait: what they return, and whom they refuse. How
-- they wait is shown in test/scenarios.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
\set SHOW_CONTEXT never
-- These commit, so all of it is committed, and removed at the end. The installation has no file, so the
-- worker sends nothing.
SELECT pg_temp.begin_seats();
CREATE ROLE regress_seats_a;
CREATE ROLE regress_seats_member IN ROLE regress_seats_a;
CREATE ROLE regress_seats_b;
CREATE ROLE regress_seats_desk;
SELECT seats.grant_application(r)
  FROM unnest('{regress_seats_a,regress_seats_member,regress_seats_b,regress_seats_desk}'::text[]) AS r;
SELECT seats.grant_operator('regress_seats_desk');
SELECT seats.define_seat_type('team', '{price_team}');
SET ROLE regress_seats_a;
SELECT seats.register_team('acme', 'sub_1') AS read \gset
SELECT seats.add_member('acme', 'olga', role => 'owner');
RESET ROLE;
SELECT pg_temp.read('acme', '{"price_team": 5}');
SET ROLE regress_seats_a;
SELECT change AS a FROM seats.add_seats('acme', 'team', 1, 'olga') \gset
SELECT change AS b FROM seats.add_seats('acme', 'team', 1, 'olga') \gset
SELECT change AS c FROM seats.remove_seats('acme', 'team', 1, 'olga') \gset

-- Time is up: it is pending.
CALL seats.wait_for_change(:a, '0');
-- Without a time it is the setting's.
SHOW pg_seats.default_wait;
SET pg_seats.default_wait = '20 ms';
CALL seats.wait_for_change(:b);
CALL seats.wait_for_change(:b, NULL);
SELECT state FROM seats.await_change(:b);
RESET pg_seats.default_wait;
CALL seats.wait_for_change(change => :b, timeout => '20 milliseconds');
SELECT * FROM seats.await_change(:a, '20 milliseconds');

-- In one: made, committed, and waited for.
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', timeout => '0');
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', 'click 1', '{"team": 8}',
                                 timeout => '20 milliseconds', handlers => true);
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', 'click 1', '{"team": 8}', timeout => '0');
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'mike', timeout => '0');
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 99}}', 'olga');
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', timeout => '-1 second');
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', timeout => '25 hours');
-- Where it cannot commit it changes nothing.
BEGIN;
CALL seats.change_seats_and_wait('acme', '{"team": {"add": 2}}', 'olga', timeout => '0');
ROLLBACK;
BEGIN;
CALL seats.wait_for_change(:a, '0');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM seats.await_change(:a, '0');
ROLLBACK;
RESET ROLE;
SELECT pg_temp.changes('acme');

-- One that was carried stands where its carrier stands; what Stripe has taken and what a person must
-- decide is not waited for.
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'awaiting', reason = 'awaiting_payment' WHERE id = :a;
SET ROLE regress_seats_a;
CALL seats.wait_for_change(:a);
CALL seats.wait_for_change(:b);
CALL seats.wait_for_change(:c, '0');
RESET ROLE;
UPDATE seats_internal.outbox SET state = 'review', reason = 'not_proven' WHERE id = :a;
SET ROLE regress_seats_a;
CALL seats.wait_for_change(:b);
SELECT * FROM seats.await_change(:a);
RESET ROLE;

-- Settled.
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_1', '{"price_team": 7}'));
SELECT pg_temp.freeze(:c);
SELECT pg_temp.settle(:c, 'refused', NULL, 'card_declined');
SET ROLE regress_seats_a;
CALL seats.wait_for_change(:a);
CALL seats.wait_for_change(:b);
CALL seats.wait_for_change(:c);
SELECT * FROM seats.await_change(:c);
SELECT change AS d FROM seats.add_seats('acme', 'team', 1, 'olga') \gset
SELECT * FROM seats.cancel_change(:d, 'olga');
CALL seats.wait_for_change(:d);
RESET ROLE;

-- With handlers, as with calls: a change that is confirmed, reverted or cancelled, and its handler is not committed.
INSERT INTO seats_internal.handler
    (call_id, installation, role, role_oid, on_done, on_refused, outcome, ended_at, review_since)
SELECT id, gen_random_uuid(), 'regress_seats_a', 'regress_seats_a'::regrole, 'public.f', 'public.f', '{}', now(),
       review_since
  FROM (VALUES (:a, NULL::timestamptz), (:c, NULL), (:d, now())) AS v (id, review_since);
SET ROLE regress_seats_a;
CALL seats.wait_for_change(:a, '0', handlers => true);
CALL seats.wait_for_change(:b, handlers => true);
CALL seats.wait_for_change(:c, '20 milliseconds', handlers => true);
SELECT * FROM seats.await_change(:c, '20 milliseconds', true);
CALL seats.wait_for_change(:d, handlers => true);
CALL seats.wait_for_change(:c);
RESET ROLE;
DELETE FROM seats_internal.handler WHERE call_id IN (:a, :c, :d);

-- Whose change it is.
SET ROLE regress_seats_a;
SELECT change AS e FROM seats.add_seats('acme', 'team', 1, 'olga') \gset
SET ROLE regress_seats_member;
CALL seats.wait_for_change(:a);
CALL seats.wait_for_change(:e, '0');
SET ROLE regress_seats_desk;
CALL seats.wait_for_change(:a);
SELECT * FROM seats.await_change(:e, '0');
SET ROLE regress_seats_b;
CALL seats.wait_for_change(:a);
CALL seats.wait_for_change(:e, '0');
SELECT * FROM seats.await_change(:e, '0');
RESET ROLE;

-- A call that is no change is not found as one, and a change is a call as well.
SELECT seats.reconcile('acme', 'to have a read') AS read \gset
CALL seats.wait_for_change(:read, '0');
CALL seats.wait_for_change(999999999, '0');
CALL seats.wait_for_change(NULL, '0');
CALL seats.wait_for_change(:a, NULL);
SELECT * FROM seats.await_change(:a, '-1 s');
CALL seats.wait_for_call(:a);

-- Tidied up.
SELECT seats.revoke_application(r)
  FROM unnest('{regress_seats_a,regress_seats_member,regress_seats_b,regress_seats_desk}'::text[]) AS r;
SELECT seats.revoke_operator('regress_seats_desk');
DROP ROLE regress_seats_member, regress_seats_a, regress_seats_b, regress_seats_desk;
SELECT pg_temp.begin_seats();
DELETE FROM seats_internal.destination;
DELETE FROM seats_internal.installation;
