-- wait_for_call, await_call and call_answer: what they return, whom they refuse and where. That they
-- hold nothing while they wait, and wake at once, is shown in test/scenarios/04_waiting.pl.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
RESET client_min_messages;
\pset null '<null>'
\set SHOW_CONTEXT never
\set VERBOSITY default

-- Rows as the worker would leave them. Their stamp is no installation's, so no worker touches them.
INSERT INTO seats_internal.outbox
    (id, installation, state, destination, method, path, body, enqueued_by, reason)
VALUES (900000001, gen_random_uuid(), 'pending', 'none', 'GET', '/v1/x', '', 'regress_seats_a', NULL),
       (900000002, gen_random_uuid(), 'review', 'none', 'GET', '/v1/x', '', 'regress_seats_a', 'not_proven'),
       (900000003, gen_random_uuid(), 'awaiting', 'none', 'GET', '/v1/x', '', 'regress_seats_a', 'awaiting_payment');
INSERT INTO seats_internal.outbox_history
    (ring, id, created_at, settled_at, uuid, result, generation, attempts, http_status, clean,
     destination, method, path, body, enqueued_by, reason, answer)
SELECT slot, 900000010 + slot, now(), now(), gen_random_uuid(), 'done', 1, 1, 200, true, 'none',
       'GET', '/v1/x', '', 'regress_seats_a', NULL, convert_to(format('{"slot": %s}', slot), 'UTF8')
  FROM generate_series(0, 7) AS slot;
INSERT INTO seats_internal.outbox_history
    (ring, id, created_at, settled_at, uuid, result, generation, attempts, http_status, clean,
     destination, method, path, body, enqueued_by, reason, answer)
SELECT 0, id, now(), now(), gen_random_uuid(), 'refused', 1, 1, 402, true, 'none', 'GET', '/v1/x',
       '', 'regress_seats_a', 'card_declined', answer
  FROM (VALUES (900000020, '\x3c68746d6c3e'::bytea), (900000021, NULL), (900000022, '\x7b2261223a22ff227d'),
               (900000023, convert_to('{"a": "\u0000"}', 'UTF8'))) AS v (id, answer);

CREATE ROLE regress_seats_a;
CREATE ROLE regress_seats_member IN ROLE regress_seats_a;
CREATE ROLE regress_seats_b;
CREATE ROLE regress_seats_operator;
SELECT seats.grant_application(r)
  FROM unnest('{regress_seats_a,regress_seats_member,regress_seats_b,regress_seats_operator}'::text[]) AS r;
SELECT seats.grant_operator('regress_seats_operator');

-- Settled, standing, and time is up.
CALL seats.wait_for_call(900000010);
CALL seats.wait_for_call(900000017);
CALL seats.wait_for_call(900000020);
CALL seats.wait_for_call(900000002);
CALL seats.wait_for_call(900000003);
CALL seats.wait_for_call(900000001, '0');
CALL seats.wait_for_call(900000001, '50 milliseconds');
CALL seats.wait_for_call(call => 900000011, timeout => '1 second');
SELECT * FROM seats.await_call(900000010);
SELECT * FROM seats.await_call(900000002);
SELECT * FROM seats.await_call(900000001, '50 milliseconds');

-- With handlers it is over when what is to run at its end is committed: the row has left then.
INSERT INTO seats_internal.handler
    (call_id, installation, role, role_oid, on_done, on_refused, outcome, ended_at, review_since)
SELECT id, gen_random_uuid(), 'regress_seats_a', 'regress_seats_a'::regrole, 'public.f', 'public.f',
       outcome, now(), review_since
  FROM (VALUES (900000001, NULL::jsonb, NULL::timestamptz), (900000002, NULL, NULL), (900000010, '{}', NULL),
               (900000020, '{}', NULL), (900000011, '{}', now())) AS v (id, outcome, review_since);
CALL seats.wait_for_call(900000010, '0', handlers => true);
CALL seats.wait_for_call(900000020, '20 milliseconds', handlers => true);
CALL seats.wait_for_call(900000011, handlers => true);
CALL seats.wait_for_call(900000001, '0', handlers => true);
CALL seats.wait_for_call(900000002, handlers => true);
SELECT * FROM seats.await_call(900000010, '20 milliseconds', handlers => true);
SELECT * FROM seats.await_call(900000011, handlers => true);
-- One that has none, and who does not ask for it.
CALL seats.wait_for_call(900000012, handlers => true);
CALL seats.wait_for_call(900000010, handlers => false);
CALL seats.wait_for_call(900000010, handlers => NULL);
DELETE FROM seats_internal.handler WHERE call_id = 900000010;
CALL seats.wait_for_call(900000010, handlers => true);
-- Positions as they were: plpgsql wants a variable for each INOUT parameter.
DO $$
DECLARE found text; status integer; why text;
BEGIN
    CALL seats.wait_for_call(900000020, '0', found, status, why, true);
    RAISE NOTICE '% % %', found, status, why;
    CALL seats.wait_for_call(900000020, '0', found, status, why);
    RAISE NOTICE '% % %', found, status, why;
END
$$;

-- Whose call it is.
SET ROLE regress_seats_b;
CALL seats.wait_for_call(900000020, '0', handlers => true);
SET ROLE regress_seats_member;
CALL seats.wait_for_call(900000020, '0', handlers => true);
CALL seats.wait_for_call(900000010);
SELECT seats.call_answer(900000012);
SET ROLE regress_seats_operator;
CALL seats.wait_for_call(900000010);
SELECT seats.call_answer(900000012);
SET ROLE regress_seats_b;
CALL seats.wait_for_call(900000010);
CALL seats.wait_for_call(900000001);
SELECT * FROM seats.await_call(900000010);
SELECT seats.call_answer(900000012);
RESET ROLE;
CALL seats.wait_for_call(900009999);
SELECT * FROM seats.await_call(900009999);

-- What may be asked.
CALL seats.wait_for_call(NULL);
CALL seats.wait_for_call(900000010, NULL);
CALL seats.wait_for_call(900000010, '-1 second');
CALL seats.wait_for_call(900000010, '1 month');
CALL seats.wait_for_call(900000010, '25 hours');
CALL seats.wait_for_call(900000010, '1 day');
SELECT * FROM seats.await_call(NULL);

-- Where it may be called: nowhere inside a transaction.
BEGIN;
CALL seats.wait_for_call(900000010);
ROLLBACK;
-- (plpgsql wants a variable for each INOUT parameter.)
DO $$
DECLARE found text; status integer; why text;
BEGIN
    CALL seats.wait_for_call(900000010, '1 second', found, status, why);
EXCEPTION WHEN division_by_zero THEN NULL;
END
$$;
CREATE FUNCTION pg_temp.waits() RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text; status integer; why text;
BEGIN
    CALL seats.wait_for_call(900000010, '1 second', found, status, why);
    RETURN found;
END
$$;
SELECT pg_temp.waits();
CREATE PROCEDURE public.regress_seats_definer() LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE found text; status integer; why text;
BEGIN
    CALL seats.wait_for_call(900000010, '1 second', found, status, why);
END
$$;
CALL public.regress_seats_definer();
CREATE PROCEDURE public.regress_seats_set() LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE found text; status integer; why text;
BEGIN
    CALL seats.wait_for_call(900000010, '1 second', found, status, why);
END
$$;
CALL public.regress_seats_set();
DROP PROCEDURE public.regress_seats_definer(), public.regress_seats_set();

-- In a block that may commit it commits first; what comes after is a new transaction.
CREATE TABLE public.regress_seats_trace (note text, xid xid8 DEFAULT pg_current_xact_id());
DO $$
DECLARE
    found text; status integer; why text;
BEGIN
    INSERT INTO public.regress_seats_trace VALUES ('before');
    CALL seats.wait_for_call(900000020, '1 second', found, status, why);
    INSERT INTO public.regress_seats_trace VALUES (concat_ws(' ', found, status, why));
END
$$;
SELECT note, count(*) OVER (PARTITION BY xid) AS rows_of_its_transaction
  FROM public.regress_seats_trace ORDER BY xid;
-- A refusal comes before the commit.
DO $$
DECLARE found text; status integer; why text;
BEGIN
    INSERT INTO public.regress_seats_trace VALUES ('not committed');
    CALL seats.wait_for_call(900009999, '1 second', found, status, why);
END
$$;
SELECT count(*) FROM public.regress_seats_trace WHERE note = 'not committed';
-- Also where transactions see one snapshot only.
SET default_transaction_isolation = 'repeatable read';
CALL seats.wait_for_call(900000010);
RESET default_transaction_isolation;

-- The function: not in a transaction that has written, nor under a snapshot that never moves.
BEGIN;
SELECT * FROM seats.await_call(900000010);
INSERT INTO public.regress_seats_trace VALUES ('written');
SELECT * FROM seats.await_call(900000010);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM seats.await_call(900000010);
ROLLBACK;
DROP TABLE public.regress_seats_trace;

-- The number of waiters is limited, and everybody has given his place back.
ALTER SYSTEM SET pg_seats.max_waiters = 0;
SELECT pg_reload_conf();
SELECT pg_sleep(0.2);
CALL seats.wait_for_call(900000010);
SELECT * FROM seats.await_call(900000010);
ALTER SYSTEM SET pg_seats.max_waiters = 1;
SELECT pg_reload_conf();
SELECT pg_sleep(0.2);
CALL seats.wait_for_call(900000010);
SET statement_timeout = '200ms';
CALL seats.wait_for_call(900000001);
SELECT * FROM seats.await_call(900000001);
RESET statement_timeout;
CALL seats.wait_for_call(900000010);
ALTER SYSTEM RESET pg_seats.max_waiters;
SELECT pg_reload_conf();

-- Answers: JSON as it came, otherwise null.
SELECT seats.call_answer(900000013);
SELECT seats.call_answer(900000001) AS not_settled, seats.call_answer(900000020) AS html,
       seats.call_answer(900000021) AS none_kept, seats.call_answer(900000022) AS not_utf8;
SELECT seats.call_answer(900000023) AS zero;
SELECT seats.call_answer(NULL);
SELECT seats.call_answer(900009999);

-- Nobody has them who was not given them.
CREATE ROLE regress_seats_stranger;
SET ROLE regress_seats_stranger;
CALL seats.wait_for_call(900000010);
RESET ROLE;
SELECT has_function_privilege('regress_seats_stranger', p.oid, 'EXECUTE') AS may, p.oid::regproc
  FROM pg_proc AS p
 WHERE p.proname IN ('enqueue_call', 'wait_for_call', 'await_call', 'call_answer',
                     'write_installation_file')
 ORDER BY p.proname;

DELETE FROM seats_internal.handler WHERE call_id BETWEEN 900000000 AND 900009999;
DELETE FROM seats_internal.outbox WHERE id BETWEEN 900000000 AND 900009999;
DELETE FROM seats_internal.outbox_history WHERE id BETWEEN 900000000 AND 900009999;
DO $$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY '{regress_seats_a,regress_seats_member,regress_seats_b,regress_seats_operator,regress_seats_stranger}'::text[] LOOP
        EXECUTE format('DROP OWNED BY %I', r);
        EXECUTE format('DROP ROLE %I', r);
    END LOOP;
END
$$;
