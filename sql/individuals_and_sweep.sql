-- Individuals, whose subscription is all that there is; and the sweep over all subscriptions: whom it
-- has read, and what becomes of what it finds.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
RESET client_min_messages;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset format unaligned
\pset tuples_only on
\pset null '-'

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

-- In a transaction that is rolled back: no worker ever sees any of it.
BEGIN;
DELETE FROM seats_internal.installation;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-2222-4333-8444-555555555555', 1, 'regress');
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('regress_stripe', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress');
SELECT seats.define_seat_type('team', '{price_team}');

CREATE FUNCTION pg_temp.facts(name text, quantity integer, status text DEFAULT 'active')
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
               'id', t.subscription, 'status', facts.status, 'livemode', false,
               'current_period_end', 1900000000, 'marker', m.marker,
               'items', jsonb_build_array(jsonb_build_object(
                   'id', 'si_1', 'price', 'price_team', 'quantity', facts.quantity)))
      FROM seats_internal.team AS t LEFT JOIN seats_internal.lane_marker AS m USING (lane_id)
     WHERE t.name = facts.name
$$;
-- The team's read goes through, as the worker settles it: into the history first.
CREATE FUNCTION pg_temp.read_says(name text, facts jsonb, sent_at timestamptz DEFAULT clock_timestamp())
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    read bigint;
    team bigint;
BEGIN
    SELECT o.id, o.team_id INTO STRICT read, team FROM seats_internal.outbox AS o
      JOIN seats_internal.team AS t ON t.id = o.team_id
     WHERE t.name = read_says.name AND o.kind = 'read'
       AND o.path = '/v1/subscriptions/' || (read_says.facts ->> 'id')
     ORDER BY o.id LIMIT 1;
    PERFORM pg_temp.to_history(read);
    PERFORM seats_internal.read_settled(team, facts, sent_at, 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee', read);
END
$$;
CREATE FUNCTION pg_temp.to_history(read bigint) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM seats_internal.outbox AS o WHERE o.id = read RETURNING o.*)
    INSERT INTO seats_internal.outbox_history
        (ring, id, created_at, settled_at, uuid, result, generation, attempts, clean, destination, method,
         path, body, enqueued_by, kind, team_id, context)
    SELECT ring.slot, g.id, g.created_at, now(), g.uuid, 'done', 1, 1, true, g.destination, g.method, g.path,
           '', g.enqueued_by, g.kind, g.team_id, g.context
      FROM gone AS g, seats_internal.ring
$$;
CREATE FUNCTION pg_temp.reads() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', o.path, o.state, o.context ->> 'because')
      FROM seats_internal.outbox AS o WHERE o.kind = 'read' ORDER BY o.path
$$;
CREATE FUNCTION pg_temp.news() RETURNS SETOF text LANGUAGE sql AS $$
    WITH seen AS (SELECT coalesce(nullif(current_setting('regress.seen', true), ''), '0')::bigint AS id),
    fresh AS MATERIALIZED (SELECT j.* FROM seats_internal.journal AS j, seen WHERE j.id > seen.id),
    next AS MATERIALIZED (SELECT set_config('regress.seen', max(id)::text, false) FROM fresh)
    SELECT concat_ws(' ', f.kind, f.detail - 'change', f.reason)
      FROM fresh AS f, next WHERE f.kind !~ '^seat_type' ORDER BY f.id
$$;

-- ---- individuals

SELECT seats.register_individual('ina', 'sub_ina', 'cus_ina', external_id => 'chat-ina') > 0;
SELECT user_id, subscription, status, customer, external_id FROM seats.individuals;
SELECT pg_temp.reads();
SELECT pg_temp.read_says('ina', pg_temp.facts('ina', 1));
SELECT user_id, status, current_period_end = to_timestamp(1900000000) FROM seats.individuals;
SELECT count(*) FROM seats.teams;
SELECT count(*) FROM seats_internal.seat_line;
-- No seats, no members.
SELECT pg_temp.try($$SELECT seats.add_seats('ina', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.change_seats('ina', '{"team": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change('ina', '{"team": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.add_member('ina', 'otto')$$);
SELECT pg_temp.try($$SELECT seats.invite('ina', 'otto@example.com', 'team')$$);
SELECT pg_temp.try($$SELECT seats.register_individual(' ', 'sub_x')$$);
SELECT pg_temp.try($$SELECT seats.register_individual('x', 'sub/x')$$);
-- A subscription has one owner; a team may have the same name.
SELECT pg_temp.try($$SELECT seats.register_team('acme', 'sub_ina')$$);
SELECT seats.register_team('ina', 'sub_team_ina') > 0;
SELECT pg_temp.try($$SELECT seats.register_individual('otto', 'sub_team_ina')$$);
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.team WHERE name = 'ina' AND kind = 'team';
-- It can be read, too; and redefining a seat type leaves it alone.
-- One who has a team's name is meant when it is said.
SAVEPOINT namesake;
SELECT seats.register_individual('both', 'sub_both_person', destination => 'regress_stripe') > 0;
SELECT seats.register_team('both', 'sub_both_team', destination => 'regress_stripe') > 0;
DELETE FROM seats_internal.outbox WHERE kind = 'read';
SELECT seats.reconcile('both', 'look') > 0, seats.reconcile('both', 'look', 'individual') > 0;
SELECT path FROM seats_internal.outbox WHERE kind = 'read' ORDER BY id;
SELECT detail FROM seats_internal.journal WHERE kind = 'operator.reconcile' ORDER BY id;
SELECT pg_temp.try($$SELECT seats.reconcile('nobody', 'look', 'individual')$$);
SELECT pg_temp.try($$SELECT seats.reconcile('ina', 'look', 'team')$$);
ROLLBACK TO SAVEPOINT namesake;
SELECT seats.reconcile('ina', 'look') > 0;
SELECT seats.define_seat_type('team', '{price_team}');
SELECT pg_temp.read_says('ina', pg_temp.facts('ina', 1, 'past_due'));
SELECT pg_temp.news();
-- The end, told once.
SELECT seats.reconcile('ina', 'look') > 0;
SELECT pg_temp.read_says('ina', pg_temp.facts('ina', 1, 'canceled'));
SELECT seats.reconcile('ina', 'look') > 0;
SELECT pg_temp.read_says('ina', pg_temp.facts('ina', 1, 'canceled'));
SELECT pg_temp.news();
-- Another subscription: the row is the same, what the former said is gone.
SELECT seats.register_individual('ina', 'sub_ina_2') > 0;
SELECT user_id, subscription, status, external_id FROM seats.individuals;
SELECT pg_temp.reads();
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.team;

-- ---- a read is made once, and of the subscription that the team has now

SELECT seats.register_team('acme', 'sub_former') > 0;
SELECT seats.register_team('acme', 'sub_acme') > 0;
SELECT pg_temp.reads();
-- What the former one's read says is nobody's business, also if it could not be read.
SELECT pg_temp.read_says('acme', pg_temp.facts('acme', 9, 'canceled') || '{"id": "sub_former"}');
SELECT seats_internal.read_failed(l.id, 'no such subscription', true)
  FROM seats_internal.lane AS l WHERE l.name = '/v1/subscriptions/sub_former';
SELECT status, problem FROM seats.teams;
SELECT pg_temp.reads();
SELECT pg_temp.read_says('acme', pg_temp.facts('acme', 5));
SELECT confirmed, quantity, status FROM seats.teams;
-- Asked for while it is on the wire: once more, and for the reason that takes over.
SELECT seats.reconcile('acme', 'look') > 0;
UPDATE seats_internal.outbox SET state = 'sending' WHERE kind = 'read';
SELECT clock_timestamp() AS sent_at \gset
SELECT seats.reconcile('acme', 'look again') > 0;
SELECT count(*) FROM seats_internal.outbox WHERE kind = 'read';
SELECT pg_temp.read_says('acme', pg_temp.facts('acme', 5), :'sent_at');
SELECT pg_temp.reads();
SELECT pg_temp.read_says('acme', pg_temp.facts('acme', 5));
SELECT pg_temp.reads();

-- ---- whom the sweep has read

INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by, paused_at)
VALUES ('regress_paused', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress', now());
CREATE FUNCTION pg_temp.proven(name text, swept interval, proven interval DEFAULT NULL, status text DEFAULT 'active',
                               destination text DEFAULT 'regress_stripe') RETURNS void LANGUAGE sql AS $$
    INSERT INTO seats_internal.lane (destination, name) VALUES (proven.destination, proven.name);
    INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, items, swept_at,
                                     base_proven_at, registered_by)
    SELECT proven.name, proven.destination, 'sub_' || proven.name, l.id, proven.status, '[]',
           clock_timestamp() - swept, clock_timestamp() - coalesce(proven, swept), 'regress'
      FROM seats_internal.lane AS l WHERE l.destination = proven.destination AND l.name = proven.name;
$$;
SELECT pg_temp.proven('old', '9 days'), pg_temp.proven('older', '10 days'), pg_temp.proven('oldest', '11 days'),
       pg_temp.proven('young', '6 days'), pg_temp.proven('busy', '20 days', '1 hour'),
       pg_temp.proven('over', '20 days', status => 'canceled'),
       pg_temp.proven('paused', '20 days', destination => 'regress_paused');
SELECT queued, next_after FROM seats_internal.sweep('-infinity', 4, '7 days');
SELECT pg_temp.reads();
SELECT queued, next_after FROM seats_internal.sweep('-infinity', 4, '7 days');
SELECT pg_temp.reads();
UPDATE seats_internal.destination SET paused_at = NULL;
SELECT queued, isfinite(next_after) AND clock_timestamp() - next_after BETWEEN '7 days' AND '7 days 1 minute' AS is_done
  FROM seats_internal.sweep('-infinity', 4, '7 days');
SELECT queued FROM seats_internal.sweep('-infinity', 4, '7 days');
SELECT name, CASE WHEN isfinite(swept_at) THEN date_trunc('hour', clock_timestamp() - swept_at + '1 second')::text
                  ELSE 'never again' END
  FROM seats_internal.team ORDER BY name;
-- By its index, from its bound on.
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT t.* FROM seats_internal.team AS t
 WHERE t.destination = 'regress_stripe' AND t.swept_at >= '2020-01-01' AND t.swept_at < now()
 ORDER BY t.swept_at LIMIT 4 FOR NO KEY UPDATE SKIP LOCKED;
RESET enable_seqscan;
DELETE FROM seats_internal.outbox;

-- ---- what it finds

CREATE FUNCTION pg_temp.sweep_finds(facts jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.queue_read(t, 'pg_seats', 'sweep') FROM seats_internal.team AS t WHERE t.name = 'acme';
    SELECT pg_temp.read_says('acme', facts)
$$;
CREATE FUNCTION pg_temp.shown() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('team: %s, confirmed %s, quantity %s', status, confirmed, quantity) FROM seats.teams WHERE team = 'acme'
    UNION ALL SELECT format('drift: %s, here %s, at Stripe %s: %s', aspect, local, stripe, cause) FROM seats.drift
    UNION ALL SELECT format('alert: %s (%s)', summary, state) FROM seats.alerts WHERE kind = 'drift'
$$;
SELECT count(*) FROM pg_temp.news();
SHOW pg_seats.reconcile;
-- Nothing: what else it says is taken over.
UPDATE seats_internal.team SET base_run = NULL;
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 5));
SELECT base_run FROM seats_internal.team WHERE name = 'acme';
SELECT pg_temp.shown();
-- Something: reported, once.
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 7, 'past_due'));
SELECT pg_temp.shown();
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 8, 'active'));
SELECT pg_temp.shown();
SELECT last_seen_at > since FROM seats.drift;
SELECT pg_temp.news();
-- It is as it was.
SAVEPOINT again;
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 5));
SELECT pg_temp.shown();
ROLLBACK TO again;
-- A person has it taken over; a sweep that was waiting becomes that read.
SELECT seats_internal.queue_read(t, 'pg_seats', 'sweep') > 0 FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT seats.reconcile('acme', 'take it') > 0;
SELECT seats_internal.queue_read(t, 'pg_seats', 'sweep') > 0 FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT pg_temp.reads();
SELECT pg_temp.read_says('acme', pg_temp.facts('acme', 8));
SELECT pg_temp.shown();
SELECT pg_temp.news();
-- A change is under way: nobody is alarmed, and nothing is taken over.
SELECT change FROM seats.add_seats('acme', 'team', 2) \gset
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 10));
SELECT pg_temp.shown();
SELECT seats.cancel_change(:change);
-- In our name, and we do not know it.
SELECT pg_temp.sweep_finds(pg_temp.facts('acme', 10) || '{"marker": "somebody''s"}');
SELECT pg_temp.shown();
SELECT pg_temp.news();
ROLLBACK;
