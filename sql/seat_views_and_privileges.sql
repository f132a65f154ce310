-- What each kind of user may see and do about seats, and what the views show.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
CREATE ROLE regress_seats_shop;
CREATE ROLE regress_seats_watch;
CREATE ROLE regress_seats_desk;
CREATE ROLE regress_seats_nobody;
SELECT seats.grant_application('regress_seats_shop');
SELECT seats.grant_monitor('regress_seats_watch');
SELECT seats.grant_operator('regress_seats_desk');

-- An operator sets up, an application works.
SET ROLE regress_seats_desk;
SELECT seats.define_seat_type('team', '{price_team,price_old}', 20, 30);
SET ROLE regress_seats_shop;
SELECT seats.register_team('acme', 'sub_1', 'cus_1') AS read \gset
SELECT seats.add_member('acme', 'olga', role => 'owner');
RESET ROLE;
SELECT pg_temp.read('acme', '{"price_team": 3, "price_old": 1}', '{"current_period_end": 1900000000}');
SET ROLE regress_seats_shop;
SELECT * FROM seats.add_seats('acme', 'team', 2, 'olga') \gset a_
SELECT * FROM seats.remove_seats('acme', 'team', 1, 'olga') \gset b_
SELECT * FROM seats.set_seats('acme', 'team', 9, 'olga') \gset c_
SELECT * FROM seats.change_seats('acme', '{"team": {"add": 1}}', 'olga') \gset d_
SELECT :a_new_quantity, :b_new_quantity, :c_new_quantity, :'d_seats';
SELECT seats.add_member('acme', 'ann', 'team', external_id => 'x1');
SELECT seats.remove_member('acme', 'ann');
SELECT call IS NOT NULL FROM seats.preview_change('acme', '{"team": {"add": 1}}');
SELECT state FROM seats.cancel_change(:d_change, 'olga');
-- What an application may not: the tables, the views, an operator's verbs, the functions behind the doors.
CREATE FUNCTION pg_temp.tries(what text[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT pg_temp.try(w) FROM unnest(what) WITH ORDINALITY AS t (w, n) ORDER BY n
$$;
SELECT pg_temp.tries(ARRAY[
    'SELECT count(*) FROM seats.teams', 'SELECT count(*) FROM seats.changes',
    'SELECT count(*) FROM seats.members', 'SELECT count(*) FROM seats.seat_types',
    'SELECT count(*) FROM seats_internal.team', 'UPDATE seats_internal.seat_line SET quantity = 1000',
    $$SELECT seats.define_seat_type('free', '{price_free}')$$, $$SELECT seats.reconcile('acme', 'why not')$$,
    $$SELECT seats.enqueue_call('stripe', 'POST', '/v1/subscriptions/sub_1')$$,
    $$SELECT seats_internal.add_seats('postgres', 'acme', 'team', 1, NULL, NULL, NULL)$$,
    $$SELECT seats_internal.read_settled(1, '{}', now(), gen_random_uuid())$$]);

-- A monitor sees all of it, and does nothing.
SET ROLE regress_seats_watch;
SELECT seat_type, prices, largest_change, largest_total, defined_by FROM seats.seat_types;
SELECT team, subscription, status, seat_type, confirmed, quantity, awaiting, used, free, unconfirmed,
       current_period_end, cancel_at_period_end, customer, destination, collection_method,
       proven_at IS NOT NULL AS proven, problem, registered_by
  FROM seats.teams;
SELECT change = :a_change AS first, seat_type, operation, quantity, previous_quantity, new_quantity, state, reason, actor,
       enqueued_by, settled_at IS NOT NULL AS settled, payment_expires_at, invoice_url
  FROM seats.changes ORDER BY change;
SELECT team, user_id, seat_type, role, status, external_id, ended_at IS NOT NULL AS ended
  FROM seats.members ORDER BY user_id;
SELECT check_name, status FROM seats.health WHERE check_name IN ('seats', 'unreadable_subscriptions') ORDER BY 1;
SELECT seats.explain_call(:a_change) ~ '^Call';
SELECT pg_temp.tries(ARRAY[
    $$SELECT seats.add_seats('acme', 'team', 1)$$, $$SELECT seats.change_seats('acme', '{}')$$,
    $$SELECT seats.register_team('b', 'sub_b')$$, $$SELECT seats.add_member('acme', 'eve')$$,
    $$SELECT seats.cancel_change(1)$$, $$SELECT seats.define_seat_type('free', '{price_free}')$$,
    $$SELECT seats.reconcile('acme', 'why not')$$, 'SELECT count(*) FROM seats_internal.seat_line']);

-- What an application asks for sees no row that the view leaves out: not a call of somebody else's, however early
-- the server evaluates the condition.
RESET ROLE;
INSERT INTO seats_internal.outbox (installation, destination, method, path, body, enqueued_by)
VALUES ('11111111-2222-4333-8444-555555555555', 'stripe', 'POST', '/v1/refunds', '', 'somebody_else');
SET ROLE regress_seats_shop;
CREATE FUNCTION pg_temp.peeps(whose text) RETURNS boolean LANGUAGE plpgsql COST 0.00001 AS $$
BEGIN
    IF whose = 'somebody_else' THEN
        RAISE EXCEPTION 'there is a call of %', whose;
    END IF;
    RETURN true;
END
$$;
SELECT pg_temp.try('SELECT count(*) FROM seats.changes WHERE pg_temp.peeps(enqueued_by)');
-- (Those that leave nothing out need no barrier.)
SELECT c.relname, coalesce('security_barrier=true' = ANY (c.reloptions), false) AS is_barrier FROM pg_class AS c
 WHERE c.relnamespace = 'seats'::regnamespace AND c.relkind = 'v' AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY c.relname COLLATE "C";
RESET ROLE;

-- An operator sees it, too, and has the verbs; the application's functions are the application's.
SET ROLE regress_seats_desk;
SELECT count(*) FROM seats.teams;
SELECT seats.reconcile('acme', 'looks wrong') IS NOT NULL;
SELECT pg_temp.tries(ARRAY[
    $$SELECT seats.add_seats('acme', 'team', 1)$$, $$SELECT seats.register_team('b', 'sub_b')$$,
    'SELECT count(*) FROM seats_internal.seat_line']);

-- Who was granted nothing has nothing.
SET ROLE regress_seats_nobody;
SELECT pg_temp.tries(ARRAY[
    $$SELECT seats.add_seats('acme', 'team', 1)$$, 'SELECT count(*) FROM seats.teams']);
RESET ROLE;

ROLLBACK;

-- One row of the view for each seat type of a change; a team without seats has a row as well, and one
-- whose subscription was not read.
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT seats.register_team('none', 'sub_1') AS read \gset
SELECT seats.register_team('unread', 'sub_2') AS read \gset
SELECT pg_temp.read('none', '{}');
SELECT team, status, seat_type, confirmed, quantity, used, free FROM seats.teams ORDER BY team;
SELECT change AS a FROM seats.change_seats('none', '{"team": {"add": 2}, "owner": {"add": 1}}') \gset
SELECT change AS b FROM seats.add_seats('none', 'team', 1) \gset
SELECT change AS c FROM seats.remove_seats('none', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'waiting', reason = 'rate_limited', last_error = 'Too many requests'
 WHERE id = :a;
SELECT change - :a AS change, seat_type, state, reason, error, call - :a AS call FROM seats.changes
 ORDER BY change, seat_type;
-- In the words of an application, for every state.
SELECT s, seats_internal.change_state(s::text) FROM unnest(enum_range(NULL::seats_internal.outbox_state)) AS s;
SELECT r, seats_internal.change_result(r), seats_internal.journal_kind(r)
  FROM unnest('{done,refused,cancelled}'::text[]) AS r;
-- Explained: what is next, and what can be done. (Whether there is a worker is of no interest here.)
CREATE FUNCTION pg_temp.explained(change bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(pg_temp.plain(line), ' \([0-9:]+\)', '', 'g')
      FROM string_to_table(seats.explain_call(change), E'\n') WITH ORDINALITY AS t (line, number)
     WHERE line !~ '^(Call|Held back: (the|destination) )' ORDER BY number
$$;
SELECT pg_temp.explained(:a);
SELECT pg_temp.explained(:b);
SELECT pg_temp.explained(:c);
-- A reverted change shows why.
SELECT pg_temp.settle(:a, 'refused', NULL, 'card_declined');
SELECT change - :a AS change, seat_type, state, reason, call - :a AS call, settled_at IS NOT NULL AS settled
  FROM seats.changes ORDER BY change, seat_type;
SELECT pg_temp.explained(:a);
SELECT pg_temp.explained(:b);
ROLLBACK;
