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

-- No more than is missing is taken back, also where the newest removal makes up for exactly that.
SELECT pg_temp.team('exactly', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('exactly', 'team', 2) \gset
SELECT change AS b FROM seats.remove_seats('exactly', 'team', 3) \gset
SELECT pg_temp.read('exactly', '{"price_team": 2}');
SELECT pg_temp.changes('exactly');

-- Nor does the end of the subscription revert it; what was never sent is reverted.
SELECT pg_temp.team('over', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('over', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('over', 'team', 1) \gset
SELECT pg_temp.leave(:a, 'pending', true);
SELECT pg_temp.read('over', '{"price_team": 5}', '{"status": "canceled"}');
SELECT pg_temp.changes('over');

-- So it is with a call in doubt and what it carries; and what a person was told about those that are reverted
-- is over with them.
SELECT pg_temp.team('over_call', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('over_call', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('over_call', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.leave(:a, 'pending', true);
SELECT change AS c FROM seats.add_seats('over_call', 'team', 1) \gset
UPDATE seats_internal.outbox SET row_errors = 1 WHERE id = :c;
SELECT seats_internal.raise_alert('settling:' || :c, 'critical', 'settling_failed', 'it cannot be stored', call_id => :c);
SELECT pg_temp.read('over_call', '{"price_team": 5}', '{"status": "canceled"}');
SELECT pg_temp.changes('over_call');
SELECT resolution FROM seats_internal.alert WHERE call_id = :c;

-- A call that falls apart keeps the doubt of what it carried: after a failover, whoever stands behind it may
-- have been sent under its next key.
SELECT pg_temp.team('apart', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('apart', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('apart', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET doubt = true WHERE id = :b;
SELECT seats_internal.dissolve_calls(ARRAY[:a], '{}');
SELECT state, body = '' AS is_free, doubt, first_sent_at IS NOT NULL AS has_age FROM seats_internal.outbox
 WHERE id IN (:a, :b) ORDER BY id;

-- Nor does anybody take it along: its key belongs to it alone.
SELECT pg_temp.team('along', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('along', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('along', 'team', 1) \gset
SELECT pg_temp.leave(:b, 'pending', true);
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('along');

-- What is frozen is not what waits for its payment.
SELECT pg_temp.team('frozen', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('frozen', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS b FROM seats.add_seats('frozen', 'team', 1) \gset
SELECT seats.cancel_change(:b) \g /dev/null
SELECT pg_temp.seats('frozen');

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

-- And it is over as soon as the subscription is in none of them.
SELECT pg_temp.read('paid_' || status || '_open', '{"price_team": 6}') FROM unnest('{past_due,unpaid,incomplete}'::text[]) AS status;
SELECT t.name, a.resolution FROM seats_internal.alert AS a JOIN seats_internal.team AS t ON a.fingerprint = 'unpaid:' || t.id
 ORDER BY a.id;
-- What was paid later was applied later, and by no event of the call: none is waited for.
SELECT pg_temp.team('later', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('later', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_later', '{"price_team": 6}'));
UPDATE seats_internal.outbox_history SET clean = false WHERE id = :a;
DELETE FROM seats_internal.expected_event;
INSERT INTO seats_internal.attempt (ring, call_id, generation, number, purpose, verdict, sent, replayed)
SELECT r.slot, :a, 1, 1, 'send', 'awaiting', true, false FROM seats_internal.ring AS r;
SELECT seats_internal.apply_execution(t, h, '{}') FROM seats_internal.team AS t
  JOIN seats_internal.outbox_history AS h ON h.team_id = t.id WHERE h.id = :a;
SELECT count(*) FROM seats_internal.expected_event;

-- The answer shows somebody else's marker and what was there before our call: it was executed, and
-- overwritten. The sum is made anew, not taken for what the call asked for.
SELECT pg_temp.team('foreign', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('foreign', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_foreign', '{"price_team": 5}',
    '{"marker": "00000000-0000-4000-8000-000000000001-00000000-0000-4000-8000-000000000001-1"}'));
SELECT pg_temp.seats('foreign');

-- The read before a call finds another quantity than was known: the sum is made anew from that.
SELECT pg_temp.team('found', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('found', 'team', 2) \gset
SELECT seats_internal.read_settled(t.id, pg_temp.facts(t.subscription, '{"price_team": 9}'), clock_timestamp(), pg_temp.run())
  FROM seats_internal.team AS t WHERE t.name = 'found';
SELECT pg_temp.seats('found');
-- A base from the future, before the clock was set back, would be fresh for long.
UPDATE seats_internal.team SET base_proven_at = clock_timestamp() + interval '1 hour' WHERE name = 'found';
SELECT pg_temp.freeze(:a);

-- Refused because the subscription is gone, says the answer: what is there now is read.
SELECT pg_temp.team('gone', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('gone', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'refused', NULL, 'object_is_terminal');
SELECT o.kind, o.context FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE t.name = 'gone';

-- Changes that were refused together: what a person says of one of their calls is no answer of Stripe's, and
-- uses up none of the calls that are left.
SELECT pg_temp.team('divided', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('divided', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('divided', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT seats_internal.dissolve_calls(ARRAY[:a], ARRAY[:a]);
SELECT pg_temp.freeze(:a);
SELECT pg_temp.leave(:a, 'review', true);
SELECT splits_left FROM seats_internal.outbox WHERE id = :b;
SELECT seats.resolve_review(:a, 'executed', 'seen in the Dashboard') \g /dev/null
SELECT splits_left FROM seats_internal.outbox WHERE id = :b;

-- Nor is what is left of them joined by others, whatever room there is.
SELECT pg_temp.team('joined', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('joined', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('joined', 'team', 1) \gset
SELECT change AS c FROM seats.add_seats('joined', 'team', 1) \gset
SELECT change AS d FROM seats.add_seats('joined', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT seats_internal.dissolve_calls(ARRAY[:a], ARRAY[:a]);
SELECT state FROM unnest(ARRAY[:b, :c, :d]) AS id, seats.cancel_change(id) AS c;
SELECT change AS e FROM seats.add_seats('joined', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT base, target, last_id IS NULL AS is_alone FROM seats_internal.outbox WHERE id = :a;

-- Taken back by a void of its invoice, which has failed: nobody takes it back any more, and it is looked at.
SELECT pg_temp.team('void', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('void', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'awaiting', cancelled_by = 'somebody', eligible_xid = '3',
       due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
INSERT INTO seats_internal.outbox_history
    (ring, id, created_at, settled_at, uuid, result, generation, attempts, clean, destination, method, path, body,
     enqueued_by, kind, context)
SELECT r.slot, 8000000, now(), now(), gen_random_uuid(), 'refused', 1, 1, true, 'stripe', 'POST', '/', '', 'x', 'void',
       jsonb_build_object('change', :a) FROM seats_internal.ring AS r;
SELECT seats_internal.void_settled(8000000);
SELECT cancelled_by, due_at <= clock_timestamp() AS is_due, eligible_xid = pg_current_xact_id() AS is_found
  FROM seats_internal.outbox WHERE id = :a;

-- The same when an operator has taken the void back, or refused it: the change can be taken back once more.
UPDATE seats_internal.outbox SET payment = '{"invoice": "in_1"}', due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
SELECT state FROM seats.cancel_change(:a);
SELECT id AS void FROM seats_internal.outbox WHERE kind = 'void' \gset
SELECT state FROM seats.cancel_call(:void, 'not now');
SELECT cancelled_by, due_at <= clock_timestamp() AS is_due FROM seats_internal.outbox WHERE id = :a;
SELECT state FROM seats.cancel_change(:a);
SELECT count(*) FROM seats_internal.outbox WHERE kind = 'void';

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

-- What stands before a person stays there, though Stripe holds a pending update of it.
SELECT pg_temp.team('held', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('held', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.leave(:a, 'review', true);
SELECT pg_temp.read('held', '{"price_team": 5}', jsonb_build_object('pending_update', pg_temp.marker(:a) || '{"items": []}'));
SELECT pg_temp.changes('held');

-- An event shows at most ten items: nine are all, ten may not be, and what is not shown is not compared.
SELECT id AS team FROM seats_internal.team WHERE name = 'foreign' \gset
CREATE FUNCTION pg_temp.told_of(items integer, team bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seats_internal.expected_event
        (idempotency_key, destination, team_id, call_id, base, target, sent_at)
    VALUES ('key of ' || items, 'stripe', told_of.team, 1000000 + items, '{"team": 5}', '{"team": 7}', now());
    PERFORM seats_internal.match_expected_event(jsonb_build_object(
        'type', 'customer.subscription.updated', 'idempotency_key', 'key of ' || items,
        'previous_items', (SELECT jsonb_agg(jsonb_build_object('id', 'si_' || g, 'price', 'price_' || g, 'quantity', 1))
                             FROM generate_series(1, items) AS g)));
    RETURN coalesce((SELECT a.kind FROM seats_internal.alert AS a WHERE a.call_id = 1000000 + items), 'nothing');
END
$$;
SELECT items, pg_temp.told_of(items, :team) FROM unnest('{9,10}'::integer[]) AS items;

-- One that came at the very moment at which the call's answer was stored is here: Stripe is not asked for it.
INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at, look_at)
SELECT k.key, 'stripe', :team, 1000050, '{"team": 5}', '{"team": 7}', now(), now() - interval '2 minutes'
  FROM (VALUES ('key of here'), ('key of nowhere')) AS k (key);
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, outcome, idempotency_key, facts)
SELECT 'main', 'evt_here', 'stripe', f.facts ->> 'type', 'processed', 'key of here', f.facts
  FROM (VALUES (jsonb_build_object('type', 'customer.subscription.updated', 'idempotency_key', 'key of here',
                                   'previous_items', pg_temp.facts('', '{"price_team": 5}') -> 'items'))) AS f (facts);
SELECT destination FROM seats_internal.events_to_look_for('1 minute');
SELECT idempotency_key FROM seats_internal.expected_event WHERE call_id = 1000050;
DELETE FROM seats_internal.expected_event WHERE call_id = 1000050;
SELECT count(*) FROM seats_internal.alert WHERE call_id = 1000050;

-- What a call did not touch it has not overwritten, whatever stood there.
SELECT seats.define_seat_type('owner', '{price_owner}') \g /dev/null
-- (As if the worker had counted all teams by it.)
DELETE FROM seats_internal.recount;
INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at)
VALUES ('key of two', 'stripe', :team, 1000100, '{"team": 5, "owner": 1}', '{"team": 7, "owner": 1}', now());
SELECT seats_internal.match_expected_event(jsonb_build_object(
    'type', 'customer.subscription.updated', 'idempotency_key', 'key of two',
    'previous_items', pg_temp.facts('', '{"price_team": 5, "price_owner": 4}') -> 'items'));
SELECT count(*) FROM seats_internal.alert WHERE call_id = 1000100;

-- What stood there is counted only where it is not the one item that it was computed on.
SELECT t.items, t.base,
       seats_internal.is_single_item(t.items, (SELECT p.seat_type FROM seats_internal.seat_price AS p WHERE p.price = t.items #>> '{0,price}'),
                                     t.base) AS is_it,
       seats_internal.count_items(t.items) AS counted
  FROM (VALUES ('[{"price": "price_team", "quantity": 5}]'::jsonb, '{"team": 5}'::jsonb),
               ('[{"price": "price_team", "quantity": 5, "metered": false}]', '{"team": 5}'),
               ('[{"price": "price_team", "quantity": 5, "metered": true}]', '{"team": 5}'),
               ('[{"price": "price_team", "quantity": 6}]', '{"team": 5}'),
               ('[{"price": "price_team", "quantity": null}]', '{"team": 5}'),
               ('[{"price": "price_team", "quantity": 5}]', '{"team": 5, "owner": 1}'),
               ('[{"price": "price_team", "quantity": 5}, {"price": "price_owner", "quantity": 1}]', '{"team": 5}'),
               ('[{"price": "price_team", "quantity": 5}, {"price": "price_team", "quantity": 1}]', '{"team": 5}'),
               ('[{"price": "price_nobodys", "quantity": 5}]', '{"team": 5}'),
               ('[]', '{}')) AS t (items, base);

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

-- Executed under a key that was given up for another one: perhaps twice. A person is told.
SELECT pg_temp.team('twice', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('twice', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.key(:a) AS key \gset
UPDATE seats_internal.outbox SET generation = 2 WHERE id = :a;
SELECT seats_internal.apply_event_of_call(t, jsonb_build_object('type', 'customer.subscription.updated',
                                                              'idempotency_key', :'key'))
  FROM seats_internal.team AS t WHERE t.name = 'twice';
SELECT kind FROM seats_internal.alert WHERE call_id = :a;
-- Turned away unexecuted, and to be tried again later: an event has it verified only where it is in doubt.
UPDATE seats_internal.outbox SET due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
SELECT pg_temp.leave(:a, 'waiting', false);
SELECT seats_internal.verify_now(:a);
SELECT state, due_at IS NULL AS is_due FROM seats_internal.outbox WHERE id = :a;
SELECT pg_temp.leave(:a, 'waiting', true);
SELECT seats_internal.verify_now(:a);
SELECT state, due_at IS NULL AS is_due FROM seats_internal.outbox WHERE id = :a;

-- The event of an end: of a subscription that the team no longer has it ends nothing; of its own it is told once.
SELECT pg_temp.team('ended', '{"price_team": 5}');
CREATE FUNCTION pg_temp.end_by_event(subscription text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats_internal.end_by_event(t, jsonb_build_object('id', end_by_event.subscription, 'status', 'canceled'))
       FROM seats_internal.team AS t WHERE t.name = 'ended';
    RETURN (SELECT t.status FROM seats_internal.team AS t WHERE t.name = 'ended') || ': '
           || (SELECT count(*) FROM seats_internal.journal AS j
                WHERE j.detail ->> 'team' = 'ended' AND j.kind IN ('subscription.status', 'team.cancelled'));
END
$$;
SELECT pg_temp.news() \g /dev/null
SELECT count(*) FROM seats_internal.journal WHERE detail ->> 'team' = 'ended' AND kind IN ('subscription.status', 'team.cancelled');
SELECT pg_temp.end_by_event('sub_former');
SELECT pg_temp.end_by_event('sub_ended');
SELECT pg_temp.end_by_event('sub_ended');

-- A function that rules a kind of plan out says no to compilation, too: the costs that this puts on a plan have
-- it compiled, for seconds, in each session that calls it.
SELECT p.oid::regprocedure FROM pg_proc AS p
 WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
   AND EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'enable\_%=off')
   AND 'jit=off' <> ALL (p.proconfig);
ROLLBACK;
