-- A team's page in one call: each of its keys, for whom, and that what it says may be done is what the verbs accept.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
DELETE FROM seats_internal.invite;
CREATE ROLE regress_page_shop;
CREATE ROLE regress_page_watch;
SELECT seats.grant_application('regress_page_shop');
SELECT seats.grant_monitor('regress_page_watch');
SELECT seats.define_seat_type('team', '{price_team}', largest_total => 30, largest_unconfirmed => 12);
SELECT seats.define_seat_type('later', '{price_later}', 7, increase_payment_behavior => 'pending_if_incomplete');
SELECT seats.define_seat_type('yearly', '{price_yearly}');
-- The page as the application sees it, without what is another each time.
CREATE FUNCTION pg_temp.page(team text, actor text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT seats.team_page($1, $2) $$;
CREATE FUNCTION pg_temp.shown(team text, actor text DEFAULT NULL) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.plain(jsonb_pretty(seats.team_page($1, $2) - '{version,as_of}'::text[])) $$;

-- Not read yet: nothing is known, and nothing can be bought.
SELECT seats.register_team('acme', 'sub_1') AS read \gset
SET ROLE regress_page_shop;
SELECT pg_temp.shown('acme');
RESET ROLE;

-- Read, with members, invites, and changes under way.
SELECT pg_temp.read('acme', '{"price_team": 5}', '{"current_period_end": 1900000000, "trial_end": 1800000000}');
INSERT INTO seats_internal.stripe_price (destination, price, recurring_interval, interval_count, currency, currencies, active, metered, known_at)
VALUES ('stripe', 'price_yearly', 'year', 1, 'usd', '{}', true, false, clock_timestamp())
ON CONFLICT ON CONSTRAINT stripe_price_pkey DO UPDATE SET recurring_interval = 'year';
SELECT seats.add_member('acme', 'olga', 'team', 'owner'), seats.add_member('acme', 'mark', 'team'),
       seats.add_member('acme', 'guest');
SELECT token AS token_1 FROM seats.invite('acme', 'ann@example.com', 'team', actor => 'olga') \gset
SELECT token AS token_2 FROM seats.invite('acme', 'bob@example.com', 'team', actor => 'mark') \gset
SELECT token AS token_3 FROM seats.invite('acme', 'cid@example.com', 'team', actor => 'olga') \gset
SELECT token AS token_4, change AS a FROM seats.invite('acme', 'dan@example.com', 'team', 'owner', 'olga', buy => true) \gset
SELECT change AS b FROM seats.add_seats('acme', 'team', 2, 'olga') \gset
SET LOCAL pg_seats.person = 'Carol Kühn';
SELECT change AS c FROM seats.remove_seats('acme', 'team', 1, 'olga') \gset
SET LOCAL pg_seats.person = '';
SET ROLE regress_page_shop;
SELECT pg_temp.shown('acme', 'olga');
-- A member who is no owner, and who is none: the page is the same, and they may nothing. Whom it is shown to is the
-- application's affair.
SELECT pg_temp.page('acme', 'mark') -> 'may', pg_temp.page('acme', 'nobody') -> 'may';
SELECT jsonb_path_query_array(p, '$.seat_types[*].may_add'), jsonb_path_query_array(p, '$.seat_types[*].may_remove'),
       jsonb_path_query_array(p, '$.open_changes[*].may_cancel')
  FROM pg_temp.page('acme', 'mark') AS p;
SELECT DISTINCT p - '{as_of,may,seat_types,open_changes}'::text[]
                = pg_temp.page('acme') - '{as_of,may,seat_types,open_changes}'::text[] AS same
  FROM unnest('{olga,mark,nobody}'::text[]) AS u (actor), pg_temp.page('acme', u.actor) AS p;
RESET ROLE;
-- An operator may act for whomever he names.
SELECT pg_temp.page('acme', 'nobody') -> 'may';
-- What was committed before as_of is in it.
SELECT (pg_temp.page('acme') ->> 'as_of')::timestamptz <= clock_timestamp(), pg_temp.page('acme') ->> 'as_of' ~ '\+00:00$',
       (pg_temp.page('acme') -> 'version')::bigint > 0;

-- It says what the views say.
SELECT count(*) AS lines, count(*) FILTER (
           WHERE (v.confirmed, v.quantity, v.awaiting, v.used, v.reserved, v.free, v.billing_pending, v.unconfirmed)
                 = (s.confirmed, s.quantity, s.awaiting, s.used, s.reserved, s.free, s.billing_pending, s.pending + s.awaiting))
       AS alike
  FROM seats.teams AS v
  JOIN jsonb_to_recordset(pg_temp.page('acme') -> 'seat_types') AS s (seat_type text, confirmed integer, quantity integer,
       awaiting integer, used bigint, reserved bigint, free bigint, billing_pending bigint, pending integer)
       ON s.seat_type = v.seat_type
 WHERE v.team = 'acme';
SELECT count(*) AS invites, count(*) FILTER (
           WHERE to_jsonb(v.billing_pending) = i -> 'billing_pending' AND v.address = i ->> 'address') AS alike
  FROM seats.invites AS v
  JOIN jsonb_array_elements(pg_temp.page('acme') -> 'invites') AS i ON (i ->> 'invite')::bigint = v.invite
 WHERE v.team = 'acme';
CREATE FUNCTION pg_temp.phases_alike() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', count(*), bool_and(v.phase = c ->> 'phase'
                                             AND CASE WHEN c ->> 'next_try_at' IS NULL
                                                     THEN v.due_at IS NULL OR v.phase IN ('sent', 'awaiting_payment', 'in_review', 'queued')
                                                     ELSE v.due_at = (c ->> 'next_try_at')::timestamptz END
                                             AND v.code IS NOT DISTINCT FROM c ->> 'code'
                                             AND v.decline_code IS NOT DISTINCT FROM c ->> 'decline_code'
                                             AND v.next_step IS NOT DISTINCT FROM c ->> 'next_step'),
                     string_agg(DISTINCT v.phase, ', '))
      FROM seats.changes AS v
      JOIN jsonb_array_elements(seats.team_page('acme') -> 'open_changes') AS c ON (c ->> 'change')::bigint = v.change
     WHERE v.team = 'acme' AND v.settled_at IS NULL
$$;
SELECT pg_temp.phases_alike();

-- What it says may be asked for is accepted, and one more is not. Each is tried and taken back.
CREATE FUNCTION pg_temp.accepts(command text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RAISE EXCEPTION 'accepted' USING ERRCODE = 'ZZ000';
EXCEPTION
    WHEN SQLSTATE 'ZZ000' THEN RETURN true;
    WHEN SQLSTATE 'PS502' THEN RAISE;
    WHEN OTHERS THEN
        IF SQLSTATE !~ '^PS5' THEN
            RAISE;
        END IF;
        RETURN false;
END
$$;
CREATE FUNCTION pg_temp.changes_by(team text, type text, verb text, quantity integer, actor text) RETURNS boolean
LANGUAGE sql AS $$
    SELECT quantity = 0 OR pg_temp.accepts(format('SELECT seats.change_seats(%L, %L, %L)', team,
                               jsonb_build_object(type, jsonb_build_object(verb, quantity)), actor))
$$;
CREATE FUNCTION pg_temp.holds(team text, actor text DEFAULT 'olga') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s: may add %s%s, may remove %s%s', s.seat_type, s.may_add,
                  CASE WHEN pg_temp.changes_by(team, s.seat_type, 'add', s.may_add, actor)
                            AND NOT pg_temp.changes_by(team, s.seat_type, 'add', s.may_add + 1, actor)
                       THEN '' ELSE ' (WRONG)' END,
                  s.may_remove,
                  CASE WHEN pg_temp.changes_by(team, s.seat_type, 'remove', s.may_remove, actor)
                            AND NOT pg_temp.changes_by(team, s.seat_type, 'remove', s.may_remove + 1, actor)
                       THEN '' ELSE ' (WRONG)' END)
      FROM seats.team_page(team, actor) AS p
     CROSS JOIN LATERAL jsonb_to_recordset(p -> 'seat_types') AS s (seat_type text, may_add integer, may_remove integer)
    UNION ALL
    SELECT format('change %s: may_cancel %s%s', c.place, c.may_cancel,
                  CASE WHEN c.may_cancel = pg_temp.accepts(format('SELECT seats.cancel_change(%s, %L)', c.change, actor))
                       THEN '' ELSE ' (WRONG)' END)
      FROM seats.team_page(team, actor) AS p
     CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(p -> 'open_changes') AS (change bigint, may_cancel boolean))
           WITH ORDINALITY AS c (change, may_cancel, place)
$$;
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
SELECT pg_temp.holds('acme', 'mark');
SELECT pg_temp.holds('acme', 'nobody');
-- Near the total, and near what may be unconfirmed: by pending ones, and by those that Stripe has confirmed.
SELECT FROM seats.add_seats('acme', 'team', 3, 'olga');
SELECT pg_temp.holds('acme');
RESET ROLE;
SAVEPOINT many;
SELECT seats.define_seat_type('team', '{price_team}', largest_total => 13, largest_unconfirmed => 12);
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
RESET ROLE;
-- More than are allowed since the limit was lowered: a removal that is taken back may be too much as well.
SELECT seats.define_seat_type('team', '{price_team}', largest_total => 8, largest_unconfirmed => 5);
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
RESET ROLE;
SELECT seats.define_seat_type('team', '{price_team}', 1);
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
RESET ROLE;
ROLLBACK TO many;
-- A removal on its way that has become impossible: what is missing is made up for first.
SAVEPOINT missing;
UPDATE seats_internal.seat_line SET quantity = 0, missing = 4 WHERE seat_type = 'team';
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme') WHERE true;
RESET ROLE;
ROLLBACK TO missing;
-- What cannot be counted is neither bought nor given back.
SAVEPOINT uncounted;
SELECT pg_temp.read('acme', '{"price_team": 5, "price_unknown": 1}');
SET ROLE regress_page_shop;
SELECT pg_temp.page('acme') -> 'problem';
SELECT pg_temp.holds('acme');
RESET ROLE;
UPDATE seats_internal.seat_line SET held = true WHERE seat_type = 'team';
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
RESET ROLE;
ROLLBACK TO uncounted;

-- Phases, as they come. Two go in one call, and share what becomes of it.
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'sending', attempts = 1, first_sent_at = now() WHERE id = :a;
SELECT pg_temp.phases_alike();
SET ROLE regress_page_shop;
SELECT jsonb_path_query_array(p, '$.open_changes[*].phase'), jsonb_path_query_array(p, '$.open_changes[*].may_cancel')
  FROM pg_temp.page('acme', 'olga') AS p;
SELECT pg_temp.holds('acme');
RESET ROLE;
UPDATE seats_internal.outbox SET state = 'waiting', due_at = now() + interval '1 minute', reason = 'rate_limited',
       last_error = 'slow down', error_code = 'lock_timeout' WHERE id = :a;
SELECT pg_temp.phases_alike();
SELECT DISTINCT c ->> 'next_try_at' = pg_temp.page('acme') #>> '{open_changes,0,next_try_at}' AS together, c ->> 'code' AS code
  FROM jsonb_array_elements(pg_temp.page('acme') -> 'open_changes') AS c ORDER BY 2;
SELECT seats.pause('stripe', 'a test');
SELECT pg_temp.phases_alike(), pg_temp.page('acme') -> 'stripe';
SELECT seats.resume('stripe', 'a test');
UPDATE seats_internal.destination SET halted_at = now();
SELECT pg_temp.phases_alike(), pg_temp.page('acme') -> 'stripe';
UPDATE seats_internal.destination SET halted_at = NULL;
SELECT seats.pause('stripe', 'a test', lane => '/v1/subscriptions/sub_1');
SELECT pg_temp.phases_alike(), pg_temp.page('acme') -> 'stripe';
SELECT seats.resume('stripe', 'a test', lane => '/v1/subscriptions/sub_1');
UPDATE seats_internal.outbox SET reason = 'stripes_limit_for_a_subscription' WHERE id = :a;
SELECT pg_temp.phases_alike();
UPDATE seats_internal.outbox SET state = 'review', reason = 'no_proof' WHERE id = :a;
SELECT pg_temp.phases_alike();
SET ROLE regress_page_shop;
SELECT pg_temp.holds('acme');
RESET ROLE;
-- Declined: the code, and what can be done about it.
SELECT pg_temp.settle(:a, 'refused', NULL, 'payment_failed');
UPDATE seats_internal.outbox_history SET error_code = 'card_declined', decline_code = 'insufficient_funds' WHERE id = :a;
SELECT c ->> 'state', c ->> 'reason', c ->> 'code', c ->> 'decline_code', c ->> 'next_step', c ->> 'actor',
       c ->> 'settled_at' IS NOT NULL AS settled
  FROM jsonb_array_elements(pg_temp.page('acme') -> 'last_changes') AS c ORDER BY c ->> 'code' NULLS LAST;

-- A payment that is waited for: where it is made, and who may take the change back.
SELECT seats.register_team('later', 'sub_2') AS read \gset
SELECT pg_temp.read('later', '{"price_later": 2}');
SELECT FROM seats.add_member('later', 'olga', 'later', 'owner');
SELECT change AS d FROM seats.add_seats('later', 'later', 3, 'olga') \gset
SELECT pg_temp.freeze(:d);
UPDATE seats_internal.outbox SET state = 'awaiting', attempts = 1, due_at = now() + interval '1 minute' WHERE id = :d;
SELECT seats_internal.await_payment(:d, pg_temp.facts('sub_2', '{"price_later": 2}', '{"pending_update": {"expires_at": 1900000000},
    "invoice": {"id": "in_1", "url": "https://pay.example/in_1", "status": "open"}}'), clock_timestamp(), pg_temp.run());
SELECT change AS e FROM seats.remove_seats('later', 'later', 1, 'olga') \gset
UPDATE seats_internal.outbox SET payment = payment || '{"amount_due": 4500, "currency": "usd"}' WHERE id = :d;
SET ROLE regress_page_shop;
SELECT jsonb_path_query_array(p, '$.open_changes[*].phase'), p #> '{open_changes,0,invoice}', p #> '{open_changes,0,next_step}',
       p #> '{open_changes,0,next_try_at}', p #> '{open_changes,1,invoice}'
  FROM pg_temp.page('later', 'olga') AS p;
-- (Had another one gone in its call, the invoice would be for both.)
RESET ROLE;
UPDATE seats_internal.outbox SET last_id = :e WHERE id = :d;
SELECT pg_temp.page('later', 'olga') #> '{open_changes,0,invoice,shared}';
UPDATE seats_internal.outbox SET last_id = NULL WHERE id = :d;
SET ROLE regress_page_shop;
SELECT s - 'limits' FROM jsonb_array_elements(pg_temp.page('later', 'olga') -> 'seat_types') AS s WHERE s ->> 'seat_type' = 'later';
SELECT pg_temp.holds('later');
SELECT seats.cancel_change(:d, 'olga');
-- (A second click does nothing, and there is no button for it.)
SELECT pg_temp.page('later', 'olga') #> '{open_changes,0,may_cancel}';
RESET ROLE;

-- Confirmed, with the invoice that the call has made; and a subscription that is past due with one.
UPDATE seats_internal.outbox_history SET result = 'done',
       invoice = '{"id": "in_2", "currency": "jpy", "total": 900, "amount_due": 900, "amount_paid": 900, "status": "paid", "shared": true}'
 WHERE id = :a;
UPDATE seats_internal.team SET status = 'past_due', cancel_at_period_end = true,
       past_due_invoice = '{"id": "in_3", "url": "https://pay.example/in_3", "currency": "huf", "amount_due": 120000}'
 WHERE name = 'acme';
SELECT p -> 'status', p -> 'past_due', p -> 'subscription'
  FROM pg_temp.page('acme') AS p;
SELECT c ->> 'state', c -> 'invoice' FROM jsonb_array_elements(pg_temp.page('acme') -> 'last_changes') AS c
 WHERE (c ->> 'change')::bigint = :a;

-- Nothing that is a secret, or not the application's: no token nor its hash, no body, no answer, no key.
UPDATE seats_internal.outbox_history SET answer = 'client_secret_of_something', body = 'body_of_something';
SELECT p::text ~ 'client_secret|body_of|stripe_key|proration_behavior|11111111-2222|idempotency', strpos(p::text, :'token_1') > 0,
       strpos(p::text, encode(sha256(:'token_1'), 'hex')) > 0
  FROM (SELECT pg_temp.page('acme') AS p) AS page;
-- Names come out as they are, as JSON; how they are escaped is the page's affair.
SELECT seats.register_team('</script><b>"\'' & co', 'sub_3') AS read \gset
SELECT pg_temp.read('</script><b>"\'' & co', '{"price_team": 5}');
SELECT FROM seats.add_member('</script><b>"\'' & co', '<img src=x>"{', 'team', 'owner');
SELECT FROM seats.invite('</script><b>"\'' & co', 'o''neil"\@example.com', 'team');
SELECT p ->> 'team', p #>> '{members,0,user_id}', p #>> '{invites,0,address}', p::text::jsonb = p
  FROM pg_temp.page('</script><b>"\'' & co', '<img src=x>"{') AS p;

-- Who is no team, and who can be no actor.
SELECT seats.register_individual('ida', 'sub_9') AS read \gset
SET ROLE regress_page_shop;
SELECT pg_temp.try($$SELECT seats.team_page('nobody')$$);
SELECT pg_temp.try($$SELECT seats.team_page(NULL)$$);
SELECT pg_temp.try($$SELECT seats.team_page('ida')$$);
SELECT pg_temp.try($$SELECT seats.team_page('acme', E'a\nb')$$);
SET ROLE regress_page_watch;
SELECT pg_temp.try($$SELECT seats.team_page('acme')$$);
RESET ROLE;
-- It is an application's also where nothing may be written.
SAVEPOINT readonly;
SET TRANSACTION READ ONLY;
SELECT pg_temp.page('acme') ->> 'team';
SELECT pg_temp.try($$SELECT seats.team_page('nobody')$$);
ROLLBACK TO readonly;

-- Long lists are cut, and counted.
SAVEPOINT crowd;
INSERT INTO seats_internal.member (team_id, user_id, role)
SELECT t.id, 'm' || n, 'member' FROM seats_internal.team AS t CROSS JOIN generate_series(1, 600) AS n WHERE t.name = 'acme';
INSERT INTO seats_internal.invite (team_id, address, role, invited_by, token_hash, expires_at)
SELECT t.id, 'i' || n, 'member', 'x', sha256(n::text::bytea), now() + interval '1 day'
  FROM seats_internal.team AS t CROSS JOIN generate_series(1, 600) AS n WHERE t.name = 'acme';
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT t.lane_id, i.uuid, 'stripe', 'POST', '/v1/x', '', 'x', CASE WHEN n % 2 = 0 THEN 'change' ELSE 'call' END, t.id,
       CASE WHEN n % 2 = 0 THEN '[]'::jsonb END
  FROM seats_internal.team AS t CROSS JOIN seats_internal.installation AS i CROSS JOIN generate_series(1, 3000) AS n
 WHERE t.name = 'acme';
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT n % 8, 1000000 + n, now() + n * interval '1 second', now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/x', '', 'x',
       CASE WHEN n % 3 = 0 THEN 'change' ELSE 'read' END, t.id, CASE WHEN n % 3 = 0 THEN '[]'::jsonb END
  FROM seats_internal.team AS t CROSS JOIN generate_series(1, 400) AS n WHERE t.name = 'acme';
SELECT jsonb_array_length(p -> 'members') AS members, p -> 'members_total', jsonb_array_length(p -> 'invites') AS invites,
       p -> 'invites_total', jsonb_array_length(p -> 'open_changes') AS changes,
       (p -> 'open_changes_total')::integer BETWEEN 500 AND 510 AS total,
       jsonb_path_query_array(p, '$.last_changes[*].change')
  FROM pg_temp.page('acme') AS p;
SELECT seats.define_seat_type('type ' || n, ARRAY['price_' || n]) IS NULL FROM generate_series(1, 110) AS n \g /dev/null
SELECT jsonb_array_length(p -> 'seat_types'), p #>> '{seat_types,0,seat_type}' FROM pg_temp.page('acme') AS p;
ROLLBACK TO crowd;

-- Who has acted for a team is shown, and may be forgotten when what he has asked for is settled.
SELECT c.person, p #>> '{open_changes,0,person}'
  FROM seats.changes AS c, pg_temp.page('acme') AS p WHERE c.change = :c;
SELECT pg_temp.try($$SELECT seats.erase_person('Carol Kühn', 'she asks us to')$$);
SELECT state FROM seats.cancel_change(:c, 'olga');
SELECT FROM seats.erase_person('Carol Kühn', 'she asks us to');
SELECT c.person ~ '^erased-', c.person = p #>> '{last_changes,0,person}'
  FROM seats.changes AS c, pg_temp.page('acme') AS p WHERE c.change = :c;

-- Over.
UPDATE seats_internal.team SET status = 'canceled' WHERE name = 'later';
SELECT seats_internal.end_team(t.id, t.lane_id, 'canceled') FROM seats_internal.team AS t WHERE t.name = 'later';
SET ROLE regress_page_shop;
SELECT p -> 'status', p -> 'may', p -> 'members', p -> 'open_changes_total' FROM pg_temp.page('later') AS p;
SELECT pg_temp.holds('later');
RESET ROLE;
-- Of two owners none is the last.
SELECT FROM seats.add_member('acme', 'ulf', role => 'owner');
SELECT jsonb_path_query_array(pg_temp.page('acme'), '$.members[*].last_owner');
ROLLBACK;
