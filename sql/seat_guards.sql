-- Lines that stand between a team and a wrong bill, and that nothing else would miss: what is in doubt is
-- left alone, what may be unpaid is told of, what is not known is not compared.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}') \g /dev/null
CREATE FUNCTION pg_temp.team(name text, items jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, team.items);
    PERFORM pg_temp.news();
END
$$;
-- The state that the worker leaves a change in.
CREATE FUNCTION pg_temp.leave(change bigint, state text, doubt boolean) RETURNS void LANGUAGE sql AS $$
    UPDATE seats_internal.outbox AS o
       SET state = leave.state::seats_internal.outbox_state, doubt = leave.doubt,
           first_sent_at = CASE WHEN leave.doubt THEN clock_timestamp() END
     WHERE o.id = change
$$;
CREATE FUNCTION pg_temp.marker(change bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('marker', concat_ws('-', o.uuid, o.uuid, 1))
      FROM seats_internal.outbox AS o WHERE o.id = change
$$;
CREATE FUNCTION pg_temp.key(change bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('-', c.installation, c.uuid, c.generation)
      FROM (SELECT id, installation, uuid, generation FROM seats_internal.outbox
             UNION ALL SELECT id, installation, uuid, generation FROM seats_internal.outbox_history) AS c
     WHERE c.id = change
$$;

-- A removal in doubt may have been executed: it is not taken back when there are too few for it.
SELECT pg_temp.team('doubted', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('doubted', 'team', 2) \gset
SELECT change AS b FROM seats.remove_seats('doubted', 'team', 2) \gset
SELECT pg_temp.leave(:b, 'pending', true);
SELECT pg_temp.read('doubted', '{"price_team": 1}');
SELECT pg_temp.changes('doubted');

-- Nor does the end of the subscription revert it; what was never sent is reverted.
SELECT pg_temp.team('over', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('over', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('over', 'team', 1) \gset
SELECT pg_temp.leave(:a, 'pending', true);
SELECT pg_temp.read('over', '{"price_team": 5}', '{"status": "canceled"}');
SELECT pg_temp.changes('over');

-- Executed, and Stripe asks for a payment that has not come: told of in each of the three states that mean
-- it, while the invoice is open.
CREATE FUNCTION pg_temp.settled_as(team text, status text, invoice text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    bought bigint;
BEGIN
    PERFORM pg_temp.team(team, '{"price_team": 5}');
    SELECT s.change INTO bought FROM seats.add_seats(team, 'team', 1) AS s;
    PERFORM pg_temp.freeze(bought);
    PERFORM pg_temp.settle(bought, 'done', pg_temp.facts('sub_' || team, '{"price_team": 6}', jsonb_build_object(
        'status', status, 'invoice', jsonb_build_object('id', 'in_1', 'status', invoice))));
    RETURN coalesce((SELECT string_agg(a.summary, '; ') FROM seats_internal.alert AS a
                      WHERE a.kind = 'confirmed_unpaid' AND a.call_id = bought), 'nothing is told');
END
$$;
SELECT s.status, s.invoice, pg_temp.settled_as('paid_' || s.status || '_' || s.invoice, s.status, s.invoice)
  FROM (VALUES ('past_due', 'open'), ('unpaid', 'open'), ('incomplete', 'open'), ('active', 'open'),
               ('past_due', 'paid')) AS s (status, invoice);

-- The answer shows somebody else's marker and what was there before our call: it was executed, and
-- overwritten. The sum is made anew, not taken for what the call asked for.
SELECT pg_temp.team('foreign', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('foreign', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_foreign', '{"price_team": 5}',
    '{"marker": "00000000-0000-4000-8000-000000000001-00000000-0000-4000-8000-000000000001-1"}'));
SELECT pg_temp.seats('foreign');

-- Registered with another subscription: what was proven of the former one is no base for a call.
SELECT pg_temp.team('anew', '{"price_team": 5}');
SELECT base_proven_at IS NOT NULL AS proven, base_run IS NOT NULL AS in_this_run, items IS NOT NULL AS has_items
  FROM seats_internal.team WHERE name = 'anew';
SELECT seats.register_team('anew', 'sub_anew_2') IS NOT NULL;
SELECT base_proven_at IS NOT NULL AS proven, base_run IS NOT NULL AS in_this_run, items IS NOT NULL AS has_items
  FROM seats_internal.team WHERE name = 'anew';

-- A later change of the team was executed: whatever the earlier one waits for, nobody knows what became of
-- it, and a person must say.
CREATE FUNCTION pg_temp.overtaken(state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    earlier bigint;
    later   bigint;
BEGIN
    PERFORM pg_temp.team('overtaken_' || state, '{"price_team": 5}');
    SELECT s.change INTO earlier FROM seats.add_seats('overtaken_' || state, 'team', 1) AS s;
    PERFORM pg_temp.freeze(earlier);
    SELECT s.change INTO later FROM seats.add_seats('overtaken_' || state, 'team', 1) AS s;
    PERFORM pg_temp.leave(earlier, state, true);
    PERFORM pg_temp.read('overtaken_' || state, '{"price_team": 7}', pg_temp.marker(later));
    RETURN (SELECT concat_ws(' ', c.state, c.reason) FROM seats.changes AS c WHERE c.change = earlier);
END
$$;
SELECT state, pg_temp.overtaken(state) FROM unnest('{pending,waiting,verifying,awaiting}'::text[]) AS state;

-- An event shows at most ten items: nine are all, ten may not be, and what is not shown is not compared.
SELECT id AS team FROM seats_internal.team WHERE name = 'foreign' \gset
CREATE FUNCTION pg_temp.told_of(items integer, team bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seats_internal.expected_event
        (idempotency_key, destination, team_id, call_id, base, target, sent_at)
    VALUES ('key of ' || items, 'stripe', told_of.team, 1000000 + items, '{"team": 5}', '{"team": 7}', now());
    PERFORM seats_internal.heed_own_event(jsonb_build_object(
        'type', 'customer.subscription.updated', 'idempotency_key', 'key of ' || items,
        'previous_items', (SELECT jsonb_agg(jsonb_build_object('id', 'si_' || g, 'price', 'price_' || g, 'quantity', 1))
                             FROM generate_series(1, items) AS g)));
    RETURN coalesce((SELECT a.kind FROM seats_internal.alert AS a WHERE a.call_id = 1000000 + items), 'nothing');
END
$$;
SELECT items, pg_temp.told_of(items, :team) FROM unnest('{9,10}'::integer[]) AS items;

-- Events of our own calls. What was refused here and tells of an execution all the same is read; what is
-- confirmed tells nothing new.
CREATE FUNCTION pg_temp.hear(type text, team text, change bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    event   seats_internal.webhook_event;
    outcome text;
BEGIN
    DELETE FROM seats_internal.outbox AS o WHERE o.kind = 'read';
    DELETE FROM seats_internal.expected_event;
    event.endpoint := 'main';
    event.event_id := 'evt_' || change;
    event.destination := 'stripe';
    event.type := type;
    event.subscription := 'sub_' || team;
    event.idempotency_key := pg_temp.key(change);
    event.facts := jsonb_build_object('type', type, 'idempotency_key', event.idempotency_key);
    outcome := seats_internal.apply_event(event);
    RETURN outcome || CASE WHEN EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.kind = 'read')
                           THEN ', read' ELSE ', not read' END;
END
$$;
SELECT pg_temp.team('heard', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('heard', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'refused', NULL, 'card_declined');
SELECT pg_temp.hear('customer.subscription.updated', 'heard', :a) AS of_what_was_refused;
SELECT pg_temp.read('heard', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('heard', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_heard', '{"price_team": 6}'));
SELECT pg_temp.hear('customer.subscription.updated', 'heard', :a) AS of_what_was_done;
-- What waits for its payment is looked at now: the worker finds it by the transaction that has touched it.
SELECT change AS a FROM seats.add_seats('heard', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'awaiting', due_at = clock_timestamp() + interval '1 hour', eligible_xid = '3'
 WHERE id = :a;
SELECT pg_temp.hear('customer.subscription.pending_update_applied', 'heard', :a) AS of_what_awaits;
SELECT due_at IS NULL AS is_due, eligible_xid = pg_current_xact_id() AS is_found FROM seats_internal.outbox WHERE id = :a;

-- A function that rules a kind of plan out says no to compilation, too: the costs that this puts on a plan have
-- it compiled, for seconds, in each session that calls it.
SELECT p.oid::regprocedure FROM pg_proc AS p
 WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
   AND EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'enable\_%=off')
   AND 'jit=off' <> ALL (p.proconfig);
ROLLBACK;
