-- Settling: what an answer, a read or an event of Stripe's does to a team and to its open changes.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT seats.define_seat_type('late', '{price_late}', increase_payment_behavior => 'pending_if_incomplete');
CREATE FUNCTION pg_temp.team(name text, items jsonb, more jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, team.items, more);
    PERFORM pg_temp.news();
END
$$;
-- A change's uuid as a marker has it, and a marker.
CREATE FUNCTION pg_temp.uuid(change bigint) RETURNS text LANGUAGE sql AS
    $$ SELECT o.uuid::text FROM seats_internal.outbox AS o WHERE o.id = change $$;
CREATE FUNCTION pg_temp.marker(first bigint, last bigint) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT jsonb_build_object('marker', pg_temp.uuid(first) || '-' || pg_temp.uuid(last) || '-1') $$;

-- Done: by the answer's content. The carried ones with it; what came later stays open.
SELECT pg_temp.team('done', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('done', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('done', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS c FROM seats.add_seats('done', 'team', 4) \gset
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_done', '{"price_team": 8}'));
SELECT pg_temp.changes('done');
SELECT pg_temp.seats('done');
SELECT pg_temp.news();
SELECT carrier_id = :a FROM seats_internal.outbox_history WHERE id = :b;
SELECT base_run = pg_temp.run() AND base_proven_at IS NOT NULL AS base_is_fresh
  FROM seats_internal.team WHERE name = 'done';
-- The answer shows other quantities than the call asked for: somebody else has changed them since.
SELECT pg_temp.freeze(:c);
SELECT pg_temp.settle(:c, 'done', pg_temp.facts('sub_done', '{"price_team": 11, "price_owner": 1}'));
SELECT pg_temp.seats('done');
SELECT pg_temp.news();

-- Refused: the refused ones leave the fold, and that is all. A later change stays as it is.
SELECT pg_temp.team('refused', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('refused', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('refused', 'team', 3) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS c FROM seats.add_seats('refused', 'team', 4) \gset
SELECT change AS d FROM seats.remove_seats('refused', 'team', 1) \gset
SELECT pg_temp.seats('refused');
SELECT pg_temp.settle(:a, 'refused', NULL, 'card_declined');
SELECT pg_temp.changes('refused');
SELECT pg_temp.seats('refused');
SELECT pg_temp.news();
-- No read follows a plain refusal: it says that nothing has changed.
SELECT count(*) FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE t.name = 'refused' AND o.kind = 'read';

-- A refusal, or somebody at Stripe, may leave too few for the removals that were asked for: they are
-- taken back, the newest first, and no more than necessary.
SELECT pg_temp.team('few', '{"price_team": 2}');
SELECT change AS a FROM seats.add_seats('few', 'team', 10) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS b FROM seats.remove_seats('few', 'team', 1) \gset
SELECT change AS c FROM seats.remove_seats('few', 'team', 4) \gset
SELECT change AS d FROM seats.remove_seats('few', 'team', 1) \gset
SELECT change AS e FROM seats.add_seats('few', 'team', 1) \gset
SELECT change AS f FROM seats.remove_seats('few', 'team', 1) \gset
SELECT pg_temp.seats('few');
SELECT pg_temp.settle(:a, 'refused', NULL, 'card_declined');
SELECT pg_temp.changes('few');
SELECT pg_temp.seats('few');
SELECT pg_temp.news();
SELECT pg_temp.read('few', '{"price_team": 0}');
SELECT pg_temp.changes('few');
SELECT pg_temp.seats('few');
-- A set below what there is counts as a removal; a set above does not, and saves what comes after it.
SELECT pg_temp.team('sets', '{"price_team": 9}');
SELECT change AS a FROM seats.remove_seats('sets', 'team', 5) \gset
SELECT change AS b FROM seats.set_seats('sets', 'team', 2) \gset
SELECT change AS c FROM seats.set_seats('sets', 'team', 8) \gset
SELECT change AS d FROM seats.remove_seats('sets', 'team', 7) \gset
SELECT pg_temp.read('sets', '{"price_team": 3}');
SELECT pg_temp.changes('sets');
SELECT pg_temp.seats('sets');
-- A removal that was sent is not taken back; nobody sees less than nothing.
SELECT pg_temp.team('sent', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('sent', 'team', 4) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'sending' WHERE id = :a;
SELECT pg_temp.read('sent', '{"price_team": 2}');
SELECT pg_temp.seats('sent');
SELECT pg_temp.changes('sent');

-- Below what is in use: nobody is removed; a person is told, until there are enough again.
SELECT pg_temp.team('over', '{"price_team": 3}');
SELECT seats.add_member('over', user_id, 'team') FROM unnest('{ann,bob,cy}'::text[]) AS user_id;
SELECT change AS a FROM seats.add_seats('over', 'team', 2) \gset
SELECT change AS b FROM seats.remove_seats('over', 'team', 1) \gset
SELECT pg_temp.news() \g /dev/null
SELECT pg_temp.read('over', '{"price_team": 1}');
SELECT pg_temp.seats('over'), (SELECT max(used) FROM seats.teams WHERE team = 'over') AS used;
SELECT pg_temp.changes('over');
SELECT pg_temp.news();
SELECT pg_temp.alerts();
SELECT pg_temp.read('over', '{"price_team": 0}');
SELECT pg_temp.alerts();
SELECT pg_temp.read('over', '{"price_team": 3}');
SELECT pg_temp.alerts();
SELECT pg_temp.read('over', '{"price_team": 0}');
SELECT seats.remove_member('over', 'cy');
SELECT pg_temp.alerts();
SELECT seats.cancel_change(:a);
SELECT pg_temp.alerts();
-- Bought: resolved when Stripe has confirmed it.
SELECT change AS a FROM seats.add_seats('over', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_over', '{"price_team": 2}'));
SELECT pg_temp.alerts();

-- A read: what differs from what was confirmed was changed by somebody else. The fold goes on from there,
-- and nobody's open change is lost.
SELECT pg_temp.team('outside', '{"price_team": 5, "price_owner": 1}');
SELECT change AS a FROM seats.add_seats('outside', 'team', 2) \gset
SELECT change AS b FROM seats.set_seats('outside', 'owner', 3) \gset
SELECT pg_temp.read('outside', '{"price_team": 9, "price_late": 1}');
SELECT pg_temp.seats('outside');
SELECT pg_temp.news();
SELECT pg_temp.read('outside', '{"price_team": 9, "price_late": 1}');
SELECT pg_temp.news();
-- An answer about another subscription says nothing.
SELECT seats_internal.read_settled(t.id, pg_temp.facts('sub_of_others', '{"price_team": 1}'), clock_timestamp(),
                                  pg_temp.run()) FROM seats_internal.team AS t WHERE t.name = 'outside';
SELECT seats_internal.read_settled(999999, pg_temp.facts('sub_outside', '{}'), clock_timestamp(), pg_temp.run());
SELECT pg_temp.seats('outside');
-- A call of enqueue_call that changed a team's subscription has it read.
SELECT seats_internal.call_settled(ARRAY[t.lane_id, -1]) FROM seats_internal.team AS t
 WHERE t.name = 'outside';
SELECT o.kind, o.path, o.context FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE t.name = 'outside' AND o.kind <> 'change';

-- The marker on the subscription proves what was executed, whatever this database has forgotten. Here a
-- failover has lost the freeze of two changes that were sent together.
SELECT pg_temp.team('marked', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('marked', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('marked', 'team', 1) \gset
SELECT change AS c FROM seats.add_seats('marked', 'team', 1) \gset
SELECT pg_temp.marker(:a, :b) AS marker, pg_temp.uuid(:b) AS b_uuid \gset
SELECT pg_temp.read('marked', '{"price_team": 7}', :'marker');
SELECT pg_temp.changes('marked');
SELECT pg_temp.seats('marked');
SELECT pg_temp.news();
-- Seen again it says nothing new.
SELECT pg_temp.read('marked', '{"price_team": 7}', :'marker');
SELECT pg_temp.news();
SELECT count(*) FROM pg_temp.alerts();
-- A later change was executed: so the earlier one was settled before, and we do not know how.
SELECT change AS d FROM seats.add_seats('marked', 'team', 5) \gset
SELECT pg_temp.marker(:d, :d) AS marker \gset
SELECT pg_temp.read('marked', '{"price_team": 13}', :'marker');
SELECT pg_temp.changes('marked');
SELECT pg_temp.seats('marked');
SELECT pg_temp.alerts();
SELECT call = :c, decisions FROM seats.reviews;
-- Its reason is stated; a person decides by what Stripe shows.
SELECT seats.resolve_review(:c, 'executed', 'seen in the Dashboard');
SELECT pg_temp.seats('marked');
SELECT pg_temp.alerts();
-- (The 14 is what the person's word makes of it, until the read that it queues has said otherwise.)
SELECT o.kind, o.state FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE t.name = 'marked';
SELECT pg_temp.read('marked', '{"price_team": 13}', :'marker');
SELECT pg_temp.seats('marked');
-- A change that is being verified is proved by it as well.
SELECT change AS e FROM seats.add_seats('marked', 'team', 1) \gset
SELECT pg_temp.freeze(:e);
UPDATE seats_internal.outbox SET state = 'verifying', doubt = true, first_sent_at = now() WHERE id = :e;
SELECT pg_temp.marker(:e, :e) AS marker \gset
SELECT pg_temp.read('marked', '{"price_team": 14}', :'marker');
SELECT state, reason FROM seats.changes WHERE change = :e;
SELECT pg_temp.seats('marked');
-- And one that stands before a person already: there is nothing to decide any more.
SELECT change AS e FROM seats.add_seats('marked', 'team', 1) \gset
SELECT seats_internal.review_change(:e, 'not_proven', 'it was not proven');
SELECT pg_temp.alerts();
SELECT pg_temp.marker(:e, :e) AS marker \gset
SELECT pg_temp.read('marked', '{"price_team": 15}', :'marker');
SELECT state, reason FROM seats.changes WHERE change = :e;
SELECT pg_temp.alerts();
SELECT pg_temp.read('marked', '{"price_team": 14}', :'marker');
-- A marker that nobody knows: told once.
SELECT pg_temp.read('marked', '{"price_team": 14}', jsonb_build_object(
    'marker', format('%s-%s-1', '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002')));
SELECT pg_temp.alerts();
SELECT count(*) FROM seats_internal.alert WHERE kind = 'unknown_marker';
SELECT pg_temp.read('marked', '{"price_team": 14}', jsonb_build_object(
    'marker', format('%s-%s-1', '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002')));
SELECT count(*), sum(occurrences) FROM seats_internal.alert WHERE kind = 'unknown_marker';
-- Not one of ours at all: somebody has written into our metadata. That is nobody's change, but is told.
SELECT pg_temp.read('marked', '{"price_team": 14}', '{"marker": "hello"}');
SELECT pg_temp.plain(detail::text) FROM seats_internal.alert WHERE kind = 'unknown_marker' ORDER BY id;
SELECT seats_internal.first_of_marker('hello'), seats_internal.last_of_marker(NULL),
       seats_internal.first_of_marker(:'marker'::jsonb ->> 'marker') IS NOT NULL;
-- Calls of enqueue_call in the lane have markers, too, and are proved by themselves.
SELECT seats.acknowledge(id, 'seen') FROM seats_internal.alert WHERE resolved_at IS NULL;
SELECT seats.enqueue_call('stripe', 'POST', '/v1/subscriptions/sub_marked', '{"description": "x"}',
                          verifier => 'object') AS call \gset
SELECT pg_temp.marker(:call, :call) AS marker \gset
SELECT pg_temp.read('marked', '{"price_team": 14}', :'marker');
SELECT count(*) FROM seats_internal.alert WHERE acknowledged_at IS NULL AND resolved_at IS NULL;
-- What a person has settled as executed is known, too; what was reverted here and executed there is not.
SELECT seats.cancel_call(:call, 'in the way');
SELECT change AS f FROM seats.add_seats('marked', 'team', 1) \gset
SELECT pg_temp.marker(:f, :f) AS marker \gset
UPDATE seats_internal.outbox SET state = 'review', doubt = true WHERE id = :f;
SELECT seats.resolve_review(:f, 'executed', 'seen in the Dashboard');
SELECT pg_temp.read('marked', '{"price_team": 15}', :'marker');
SELECT count(*) FROM seats_internal.alert WHERE acknowledged_at IS NULL AND resolved_at IS NULL;
SELECT change AS g FROM seats.add_seats('marked', 'team', 1) \gset
SELECT pg_temp.marker(:g, :g) AS marker \gset
UPDATE seats_internal.outbox SET state = 'review', doubt = true WHERE id = :g;
SELECT seats.resolve_review(:g, 'refuse', 'a guess');
SELECT pg_temp.read('marked', '{"price_team": 16}', :'marker');
SELECT kind, summary FROM seats_internal.alert WHERE acknowledged_at IS NULL AND resolved_at IS NULL;
SELECT pg_temp.seats('marked');

-- Settled by a person: what the call asked for is taken over, or is not, and a read tells.
SELECT pg_temp.team('byhand', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('byhand', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('byhand', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'review', doubt = true, first_sent_at = now() WHERE id = :a;
SELECT state, reason FROM seats.changes WHERE change IN (:a, :b) ORDER BY change;
SELECT seats.resolve_review(:a, 'executed', 'seen in the Dashboard');
SELECT pg_temp.changes('byhand');
SELECT pg_temp.seats('byhand');
SELECT count(*) FROM seats_internal.outbox WHERE kind = 'read' AND path LIKE '%byhand';
SELECT change AS a FROM seats.add_seats('byhand', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('byhand', 'team', 1) \gset
SELECT pg_temp.read('byhand', '{"price_team": 8}');
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'review', doubt = true, first_sent_at = now() WHERE id = :a;
SELECT seats.resolve_review(:a, 'not_executed', 'not to be seen in the Dashboard');
SELECT pg_temp.changes('byhand');
SELECT generation, state, body, doubt FROM seats_internal.outbox WHERE id IN (:a, :b) ORDER BY id;
-- A person may be wrong: what is there now is read first.
SELECT pg_temp.freeze(:a);
SELECT pg_temp.read('byhand', '{"price_team": 8}');
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'review', doubt = true, first_sent_at = now() WHERE id = :a;
SELECT seats.resolve_review(:a, 'refuse', 'not wanted any more');
SELECT pg_temp.changes('byhand');
SELECT pg_temp.seats('byhand');
SELECT count(*) FROM seats_internal.outbox WHERE kind = 'read' AND path LIKE '%byhand';

-- An operator's verbs on calls do for changes, too.
SELECT pg_temp.read('byhand', '{"price_team": 8}');
SELECT change AS a FROM seats.add_seats('byhand', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('byhand', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'waiting', due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
SELECT seats.retry(:a, 'the cause is gone');
SELECT due_at, eligible_xid = pg_current_xact_id() AS arrives FROM seats_internal.outbox WHERE id = :a;
SELECT pg_temp.try(format('SELECT seats.retry(%s, $$why not$$)', :b));
SELECT pg_temp.try(format('SELECT seats.cancel_call(%s, $$why not$$)', :b));
UPDATE seats_internal.outbox SET state = 'pending' WHERE id = :a;
SELECT seats_internal.dissolve_calls(ARRAY[:a], '{}');
SELECT seats.cancel_call(:a, 'not wanted any more');
SELECT change = :a AS a, state, reason FROM seats.changes WHERE change IN (:a, :b) ORDER BY change;
SELECT pg_temp.seats('byhand');
SELECT seats.cancel_change(:b);

-- Awaiting its payment: the quantity is seen, and how much of it is not paid for.
SELECT pg_temp.team('pays', '{"price_late": 5}');
SELECT change AS a FROM seats.add_seats('pays', 'late', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS b FROM seats.add_seats('pays', 'late', 1) \gset
UPDATE seats_internal.outbox SET state = 'awaiting', due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
SELECT pg_temp.facts('sub_pays', '{"price_late": 5}', '{"pending_update": {"expires_at": 1700000000,
    "items": [{"id": "si_price_late", "price": "price_late", "quantity": 7}]},
    "invoice": {"id": "in_1", "status": "open", "url": "https://pay.example/in_1"}}') AS facts \gset
SELECT seats_internal.await_payment(:a, :'facts', clock_timestamp(), pg_temp.run());
SELECT pg_temp.seats('pays');
SELECT state, reason, payment_expires_at, invoice_url FROM seats.changes WHERE team = 'pays' ORDER BY change;
SELECT pg_temp.news();
-- It is looked at again when it expires, at the latest; and told of once.
SELECT due_at = to_timestamp(1700000000) + interval '1 minute' FROM seats_internal.outbox WHERE id = :a;
SELECT seats_internal.await_payment(:a, :'facts', clock_timestamp(), pg_temp.run());
SELECT pg_temp.news();
SELECT seats_internal.await_payment(:b, :'facts', clock_timestamp(), pg_temp.run());
-- Taken back by voiding the invoice; once. Whether it is gone is read afterwards.
SELECT * FROM seats.cancel_change(:a, 'ann');
SELECT * FROM seats.cancel_change(:a, 'bob');
SELECT id AS void, method, path, kind, lane_id, context -> 'change' = to_jsonb(:a) AS of_it
  FROM seats_internal.outbox WHERE kind = 'void' \gset
SELECT :'method', :'path', :'of_it';
SELECT cancelled_by = current_user FROM seats_internal.outbox WHERE id = :a;
INSERT INTO seats_internal.outbox_history
    (ring, id, created_at, settled_at, uuid, result, generation, attempts, clean, destination, method, path,
     body, enqueued_by, kind, team_id, context)
SELECT r.slot, o.id, o.created_at, now(), o.uuid, 'done', 1, 1, true, o.destination, o.method, o.path, '', 'x',
       o.kind, o.team_id, o.context
  FROM seats_internal.outbox AS o, seats_internal.ring AS r WHERE o.id = :void;
UPDATE seats_internal.outbox SET due_at = clock_timestamp() + interval '1 hour' WHERE id = :a;
SELECT seats_internal.void_settled(:void);
SELECT due_at <= clock_timestamp() FROM seats_internal.outbox WHERE id = :a;
-- Paid after all.
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_pays', '{"price_late": 7}'));
SELECT pg_temp.seats('pays');
SELECT pg_temp.news();
-- An unknown invoice cannot be voided; nor can one that several changes wait for.
SELECT pg_temp.freeze(:b);
UPDATE seats_internal.outbox SET state = 'awaiting' WHERE id = :b;
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :b));
SELECT change AS c FROM seats.add_seats('pays', 'late', 1) \gset
UPDATE seats_internal.outbox SET last_id = :c WHERE id = :b;
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :b));
-- Forgotten, and found again: Stripe holds a pending update with our marker.
SELECT pg_temp.team('pays2', '{"price_late": 5}');
SELECT change AS a FROM seats.add_seats('pays2', 'late', 2) \gset
SELECT change AS b FROM seats.add_seats('pays2', 'late', 1) \gset
SELECT change AS c FROM seats.add_seats('pays2', 'late', 1) \gset
SELECT pg_temp.read('pays2', '{"price_late": 5}', jsonb_build_object(
    'pending_update', pg_temp.marker(:a, :b) || '{"expires_at": 1900000000,
        "items": [{"id": "si_price_late", "price": "price_late", "quantity": 8}]}'::jsonb,
    'invoice', '{"id": "in_2", "status": "open", "url": "https://pay.example/in_2"}'::jsonb));
SELECT pg_temp.changes('pays2');
SELECT pg_temp.seats('pays2');
SELECT base, target, payment - 'expires_at' AS payment, due_at IS NOT NULL FROM seats_internal.outbox WHERE id = :a;

-- Seats that are given out unpaid, where the seat type allows it.
SELECT pg_temp.team('unpaid', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('unpaid', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_unpaid', '{"price_team": 6}', '{"status": "past_due",
    "invoice": {"id": "in_3", "status": "open", "url": "https://pay.example/in_3"}}'));
SELECT severity, kind, summary, detail FROM seats_internal.alert WHERE kind = 'confirmed_unpaid';
SELECT pg_temp.read('unpaid', '{"price_team": 6}', '{"status": "past_due"}');
SELECT resolution FROM seats_internal.alert WHERE kind = 'confirmed_unpaid';
SELECT pg_temp.read('unpaid', '{"price_team": 6}');
SELECT resolution FROM seats_internal.alert WHERE kind = 'confirmed_unpaid';

-- The subscription is over: what is open, and what waits for its payment, is reverted. What was sent is
-- left to its own proof.
SELECT pg_temp.team('ends', '{"price_team": 5, "price_late": 1}');
SELECT change AS a FROM seats.add_seats('ends', 'late', 1) \gset
SELECT change AS b FROM seats.add_seats('ends', 'late', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'awaiting' WHERE id = :a;
SELECT change AS c FROM seats.add_seats('ends', 'team', 1) \gset
SELECT pg_temp.read('ends', '{"price_team": 5, "price_late": 1}', '{"status": "canceled", "ended_at": 1700000000}');
SELECT pg_temp.changes('ends');
SELECT pg_temp.seats('ends');
SELECT pg_temp.news() \g /dev/null
SELECT pg_temp.team('ends2', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('ends2', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'verifying', doubt = true WHERE id = :a;
SELECT change AS b FROM seats.add_seats('ends2', 'team', 1) \gset
SELECT pg_temp.read('ends2', '{"price_team": 5}', '{"status": "incomplete_expired"}');
SELECT pg_temp.changes('ends2');
-- Also where the answer to a change says so.
SELECT pg_temp.team('ends3', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('ends3', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS b FROM seats.remove_seats('ends3', 'team', 1) \gset
SELECT pg_temp.settle(:a, 'refused', pg_temp.facts('sub_ends3', '{"price_team": 5}', '{"status": "canceled"}'), 'gone');
SELECT pg_temp.changes('ends3');

-- Events of our own calls show what was there before them. An outside change that a call has overwritten
-- is told of, with all three numbers.
SELECT pg_temp.team('event', '{"price_team": 5, "price_owner": 1}');
SELECT change AS a FROM seats.add_seats('event', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.uuid(:a) AS a_uuid \gset
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_event', '{"price_team": 7, "price_owner": 1}'));
SELECT pg_temp.news() \g /dev/null
SELECT e.idempotency_key = '11111111-2222-4333-8444-555555555555-' || :'a_uuid' || '-1' AS key, e.base, e.target
  FROM seats_internal.expected_event AS e WHERE e.call_id = :a;
CREATE FUNCTION pg_temp.event(uuid text, previous jsonb, type text DEFAULT 'customer.subscription.updated')
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'type', type, 'idempotency_key', format('11111111-2222-4333-8444-555555555555-%s-1', uuid),
        'previous_items', CASE WHEN previous IS NOT NULL THEN pg_temp.facts('', previous) -> 'items' END)
$$;
SELECT seats_internal.match_expected_event(pg_temp.event(:'a_uuid', '{"price_team": 5}', 'invoice.paid'));
SELECT seats_internal.match_expected_event(pg_temp.event(gen_random_uuid()::text, '{"price_team": 5}'));
SELECT seats_internal.match_expected_event(pg_temp.event(:'a_uuid', '{"price_team": 9, "price_owner": 4}'));
SELECT severity, kind, summary, detail, hint FROM seats_internal.alert WHERE kind = 'outside_change_overwritten';
SELECT pg_temp.news();
-- Once: the same event again is nobody's.
SELECT seats_internal.match_expected_event(pg_temp.event(:'a_uuid', '{"price_team": 9}'));
-- As computed; or only other things than items have changed, although the call was to change some:
-- somebody had made the same change before.
CREATE FUNCTION pg_temp.expect(uuid text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at)
    SELECT format('11111111-2222-4333-8444-555555555555-%s-1', uuid), 'stripe', t.id, 777777, '{"team": 5}',
           '{"team": 7}', now() FROM seats_internal.team AS t WHERE t.name = 'event'
$$;
SELECT pg_temp.expect('u1'), pg_temp.expect('u2'), pg_temp.expect('u3');
SELECT seats_internal.match_expected_event(pg_temp.event('u1', '{"price_team": 5}'));
SELECT count(*) FROM seats_internal.alert WHERE kind = 'outside_change_overwritten';
-- One that tells of no items is no judge while another one may come; when none has, it is.
SELECT seats_internal.match_expected_event(pg_temp.event('u2', NULL));
SELECT count(*) FROM seats_internal.alert WHERE call_id = 777777;
UPDATE seats_internal.expected_event SET look_at = clock_timestamp() - interval '1 h' WHERE nothing_changed;
SELECT seats_internal.events_were_listed('stripe', '1 minute');
SELECT count(*) FROM seats_internal.alert WHERE call_id = 777777;
UPDATE seats_internal.expected_event SET look_at = clock_timestamp() - interval '1 h' WHERE nothing_changed;
SELECT seats_internal.events_were_listed('stripe', '1 minute');
SELECT summary FROM seats_internal.alert WHERE call_id = 777777;
-- With ten items in it, an event does not show all.
SELECT seats_internal.match_expected_event(pg_temp.event('u3', (SELECT jsonb_object_agg('price_' || g, 1)
                                                             FROM generate_series(1, 10) AS g)));
SELECT count(*) FROM seats_internal.alert WHERE kind = 'outside_change_overwritten';
-- Which events to look for, if they do not come: later and later, and no longer than a day.
SELECT pg_temp.expect('u4');
DELETE FROM seats_internal.expected_event WHERE idempotency_key !~ 'u4';
SELECT * FROM seats_internal.events_to_look_for('1 minute');
SELECT destination, to_timestamp(since) BETWEEN now() - interval '302 s' AND now() - interval '299 s'
  FROM seats_internal.events_to_look_for('0 s');
UPDATE seats_internal.expected_event SET look_at = clock_timestamp() - interval '61 s';
SELECT seats_internal.events_were_listed('elsewhere', '1 minute'), seats_internal.events_were_listed('stripe', '1 minute');
SELECT looks FROM seats_internal.expected_event;
UPDATE seats_internal.expected_event SET look_at = clock_timestamp() - interval '61 s', looks = 4;
SELECT seats_internal.events_were_listed('stripe', '1 minute');
SELECT looks, date_trunc('hour', look_at - clock_timestamp() + interval '1 h') FROM seats_internal.expected_event;
UPDATE seats_internal.expected_event SET sent_at = clock_timestamp() - interval '25 h';
SELECT seats_internal.events_were_listed('stripe', '1 minute');
SELECT count(*) FROM seats_internal.expected_event;

-- An adopted database: what may have been sent, or was sent and forgotten, is in doubt; a read is only
-- a read. What was carried stays with its carrier.
SELECT pg_temp.team('adopted', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('adopted', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('adopted', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'sending', first_sent_at = now() WHERE id = :a;
SELECT change AS c FROM seats.add_seats('adopted', 'team', 1) \gset
SELECT seats.reconcile('adopted', 'to have a read') AS read \gset
SELECT calls > 3 FROM seats.adopt_database('moved', true);
SELECT kind, state, doubt, first_sent_at IS NOT NULL AS has_first, body <> '' AS frozen
  FROM seats_internal.outbox WHERE id IN (:a, :b, :c, :read) ORDER BY id;
SELECT calls > 3 FROM seats.adopt_database('a copy', false);
SELECT kind, state, doubt, reason, body <> '' AS frozen
  FROM seats_internal.outbox WHERE id IN (:a, :b, :c, :read) ORDER BY id;
SELECT pg_temp.changes('adopted');

-- Every quantity is what the fold makes of it, after all of this; and health would say if one was not.
SELECT status, message FROM seats.health WHERE check_name = 'seats';
UPDATE seats_internal.seat_line SET quantity = quantity + 1
 WHERE team_id = (SELECT id FROM seats_internal.team WHERE name = 'event') AND seat_type = 'team';
SELECT status, message, hint FROM seats.health WHERE check_name = 'seats';
SELECT pg_temp.read('event', '{"price_team": 7, "price_owner": 1}');
SELECT status FROM seats.health WHERE check_name = 'seats';
ROLLBACK;
