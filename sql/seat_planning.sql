-- Planning: how the open changes of a team become one call, on a base that Stripe has just proved.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}', delete_at_zero => false);
SELECT seats.define_seat_type('extra', '{price_extra}', increase_payment_behavior => 'pending_if_incomplete',
                              decrease_proration_behavior => 'none');
SELECT seats.define_seat_type('old', ARRAY['price_month', 'price_year', 'price_legacy']);

-- A team of each case's own.
CREATE FUNCTION pg_temp.team(name text, items jsonb, more jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, team.items, more);
END
$$;
-- Freezes the lane's first row, and shows how the changes stand then.
CREATE FUNCTION pg_temp.freeze_team(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
    lane bigint;
BEGIN
    SELECT o.id, o.lane_id INTO head, lane FROM seats_internal.outbox AS o
      JOIN seats_internal.team AS t ON t.lane_id = o.lane_id
     WHERE t.name = freeze_team.name ORDER BY o.id LIMIT 1;
    RETURN NEXT pg_temp.freeze(head);
    RETURN QUERY
        SELECT concat_ws(' ', 'change', row_number() OVER (ORDER BY o.id), o.state, '(' || o.reason || ')',
                         CASE WHEN o.body <> '' THEN format('%s -> %s, carries %s', o.base, o.target,
                              coalesce(1 + (SELECT count(*) FROM seats_internal.outbox AS c
                                             WHERE c.lane_id = lane AND c.id > o.id AND c.id <= o.last_id), 1)) END)
          FROM seats_internal.outbox AS o WHERE o.lane_id = lane ORDER BY o.id;
    RETURN NEXT coalesce(pg_temp.asked(head), 'no call');
END
$$;

-- One change. Absolute quantities appear here and not before.
SELECT pg_temp.team('one', '{"price_team": 5, "price_owner": 1}');
SELECT new_quantity FROM seats.add_seats('one', 'team', 2);
SELECT pg_temp.freeze_team('one');
-- What is frozen stays as it is; the second look finds nothing to do.
SELECT pg_temp.freeze(o.id) FROM seats_internal.outbox AS o WHERE o.body <> '';
SELECT new_quantity FROM seats.add_seats('one', 'team', 1);
SELECT body LIKE '%=7&%' AS seven, last_id IS NULL AND last_uuid = uuid AS alone
  FROM seats_internal.outbox WHERE body <> '';

-- The longest run of one direction and one set of rules. A change of direction ends it.
SELECT pg_temp.team('run', '{"price_team": 5, "price_owner": 1}');
SELECT new_quantity FROM seats.add_seats('run', 'team', 2);
SELECT new_quantity FROM seats.add_seats('run', 'owner', 1);
SELECT new_quantity FROM seats.set_seats('run', 'team', 9);
SELECT new_quantity FROM seats.remove_seats('run', 'team', 1);
SELECT new_quantity FROM seats.add_seats('run', 'team', 1);
SELECT pg_temp.freeze_team('run');
-- The same in C++'s eyes: the carrier names its last change, for the marker.
SELECT (SELECT l.uuid FROM seats_internal.outbox AS l WHERE l.id = h.last_id) = h.last_uuid
  FROM seats_internal.outbox AS h JOIN seats_internal.team AS t ON t.lane_id = h.lane_id
 WHERE t.name = 'run' AND h.body <> '';

-- Other rules end it, too: these rise alike, and wait for their payment differently.
SELECT pg_temp.team('rules', '{"price_team": 5, "price_extra": 5}');
SELECT new_quantity FROM seats.add_seats('rules', 'team', 1);
SELECT new_quantity FROM seats.add_seats('rules', 'extra', 1);
SELECT pg_temp.freeze_team('rules');
-- Removals of both, prorated differently.
SELECT pg_temp.team('rules2', '{"price_team": 5, "price_extra": 5}');
SELECT new_quantity FROM seats.remove_seats('rules2', 'extra', 1);
SELECT new_quantity FROM seats.remove_seats('rules2', 'team', 1);
SELECT pg_temp.freeze_team('rules2');
-- One change that raises one type and lowers another is an increase, and paid as one.
SELECT pg_temp.team('mixed', '{"price_team": 5, "price_owner": 3}');
SELECT change IS NOT NULL FROM seats.change_seats('mixed', '{"team": {"remove": 2}, "owner": {"add": 1}}');
SELECT new_quantity FROM seats.add_seats('mixed', 'team', 1);
SELECT pg_temp.freeze_team('mixed');
-- Two such that undo each other come to nothing; or to a decrease, and are billed as one.
SELECT pg_temp.team('undone', '{"price_team": 5, "price_owner": 3}');
SELECT change IS NOT NULL FROM seats.change_seats('undone', '{"team": {"remove": 2}, "owner": {"add": 1}}');
SELECT change IS NOT NULL FROM seats.change_seats('undone', '{"team": {"add": 2}, "owner": {"remove": 1}}');
SELECT pg_temp.freeze_team('undone');
SELECT pg_temp.changes('undone');
SELECT change IS NOT NULL FROM seats.change_seats('undone', '{"team": {"remove": 2}, "owner": {"add": 1}}');
SELECT change IS NOT NULL FROM seats.change_seats('undone', '{"team": {"add": 1}, "owner": {"remove": 1}}');
SELECT pg_temp.freeze_team('undone');

-- What was a decrease when it was asked for is an increase now: the one before it was refused.
SELECT pg_temp.team('turned', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('turned', 'team', 10) \gset
SELECT new_quantity FROM seats.set_seats('turned', 'team', 8);
SELECT pg_temp.freeze_team('turned');
SELECT pg_temp.settle(:a, 'refused');
SELECT pg_temp.seats('turned');
SELECT pg_temp.freeze_team('turned');

-- Nothing to change: settled without a call. What comes after it is not held up.
SELECT pg_temp.team('same', '{"price_team": 5}');
SELECT new_quantity FROM seats.set_seats('same', 'team', 5);
SELECT new_quantity FROM seats.set_seats('same', 'team', 5);
SELECT pg_temp.freeze_team('same');
SELECT pg_temp.changes('same');
SELECT new_quantity FROM seats.set_seats('same', 'team', 5);
SELECT new_quantity FROM seats.add_seats('same', 'team', 1);
SELECT new_quantity FROM seats.set_seats('same', 'team', 6);
SELECT pg_temp.freeze_team('same');
SELECT pg_temp.seats('same');

-- Up and down again is two calls: between them somebody has paid.
SELECT pg_temp.team('updown', '{"price_team": 5}');
SELECT new_quantity FROM seats.add_seats('updown', 'team', 2);
SELECT new_quantity FROM seats.remove_seats('updown', 'team', 2);
SELECT pg_temp.freeze_team('updown');

-- A base that is not proved, or not lately, or not in this run of the worker, is read first; so is one
-- of which something is known to have changed since.
SELECT pg_temp.team('stale', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('stale', 'team', 2) \gset
SELECT outcome FROM seats_internal.freeze_changes(ARRAY[:a], gen_random_uuid(), '60 s');
SELECT outcome FROM seats_internal.freeze_changes(ARRAY[:a], pg_temp.run(), '-1 s');
UPDATE seats_internal.team SET base_proven_at = NULL WHERE name = 'stale';
SELECT pg_temp.freeze(:a);
SELECT pg_temp.read('stale', '{"price_team": 6}');
SELECT seats.reconcile('stale', 'an event') AS read \gset
SELECT pg_temp.freeze(:a);
-- (But not again for one that was asked for before the base was proved.)
UPDATE seats_internal.outbox SET created_at = created_at - interval '1 hour' WHERE id = :read;
SELECT pg_temp.freeze_team('stale');
-- Rows that are not seat changes, or frozen, or gone, have no plan.
SELECT call, outcome FROM seats_internal.freeze_changes(ARRAY[:a, :read, 999999], pg_temp.run(), '60 s');
SELECT seats_internal.freeze_change(999999, pg_temp.run(), '60 s');

-- With the proration_date of a preview: alone, and only from the quantities that the preview saw.
SELECT pg_temp.team('preview', '{"price_team": 5}');
SELECT pg_temp.previewed('preview', '{"team": {"add": 2}}') AS lately \gset
SELECT seats FROM seats.change_seats('preview', '{"team": {"add": 2}}', proration_date => :lately);
SELECT new_quantity FROM seats.add_seats('preview', 'team', 1);
SELECT pg_temp.freeze_team('preview');
SELECT pg_temp.settle(min(o.id), 'done', pg_temp.facts('sub_preview', '{"price_team": 7}'))
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id AND t.name = 'preview';
SELECT pg_temp.freeze_team('preview');
-- The base has moved: undone, with a reason.
SELECT pg_temp.team('moved', '{"price_team": 5}');
SELECT pg_temp.previewed('moved', '{"team": {"add": 2}}') AS lately \gset
SELECT change AS a FROM seats.change_seats('moved', '{"team": {"add": 2}}', proration_date => :lately) \gset
SELECT new_quantity FROM seats.add_seats('moved', 'team', 1);
SELECT pg_temp.read('moved', '{"price_team": 4}');
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('moved');
SELECT pg_temp.seats('moved');
-- So it is if another item of the subscription has changed, which would be on the bill, too; or if the same items are counted
-- as other seats.
SELECT pg_temp.team('beside', '{"price_team": 5, "price_owner": 1}');
SELECT pg_temp.previewed('beside', '{"team": {"add": 2}}') AS lately \gset
SAVEPOINT before;
SELECT change AS a FROM seats.change_seats('beside', '{"team": {"add": 2}}', proration_date => :lately) \gset
SELECT pg_temp.read('beside', '{"price_team": 5, "price_owner": 2}');
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('beside');
SELECT pg_temp.try(format($$SELECT seats.change_seats('beside', '{"team": {"add": 2}}', proration_date => %s)$$, :lately)) ~ '^PS513: ';
ROLLBACK TO before;
SELECT change AS a FROM seats.change_seats('beside', '{"team": {"add": 2}}', proration_date => :lately) \gset
UPDATE seats_internal.seat_line AS s SET confirmed = 6
  FROM seats_internal.team AS t WHERE t.name = 'beside' AND s.team_id = t.id AND s.seat_type = 'team';
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('beside');

-- Several prices of one type. What rises: the first listed price that the subscription has; what
-- falls: from the last listed one on.
CREATE FUNCTION pg_temp.parameters(items jsonb, wanted integer, may_delete boolean DEFAULT true) RETURNS jsonb
LANGUAGE sql AS $$
    SELECT seats_internal.item_parameters(
        pg_temp.facts('sub', $1) -> 'items',
        jsonb_build_object('old', (SELECT sum(i.value::integer) FROM jsonb_each_text($1) AS i)),
        jsonb_build_object('old', wanted), '{}', may_delete)
$$;
SELECT pg_temp.parameters('{"price_month": 2, "price_year": 3}', 7);
SELECT pg_temp.parameters('{"price_year": 3, "price_legacy": 4}', 9);
SELECT pg_temp.parameters('{"price_month": 2, "price_year": 3, "price_legacy": 4}', 6);
SELECT pg_temp.parameters('{"price_month": 2, "price_year": 3, "price_legacy": 4}', 4);
SELECT pg_temp.parameters('{"price_month": 2, "price_year": 3, "price_legacy": 4}', 0);
SELECT pg_temp.parameters('{"price_month": 2, "price_year": 3, "price_legacy": 4}', 0, false);
SELECT pg_temp.parameters('{"price_month": 0, "price_year": 0}', 0);
-- An item that stands at zero is raised, not added a second time; without any, the chosen price is added.
SELECT pg_temp.parameters('{"price_year": 0}', 3);
SELECT seats_internal.item_parameters('[]', '{}', '{"old": 3}', '{"old": "price_month"}', true);
-- A metered item, and one without a quantity, are not seats.
SELECT seats_internal.item_parameters('[{"id": "si_1", "price": "price_month", "quantity": 5, "metered": true},
    {"id": "si_2", "price": "price_month"}]', '{}', '{"old": 3}', '{"old": "price_month"}', true);
-- Nothing changes, or only what no type knows.
SELECT seats_internal.item_parameters('[]', '{"old": 3}', '{"old": 3, "unknown": 7}', '{}', true);
-- The last seat goes with its item, unless its type says otherwise.
SELECT pg_temp.team('zero', '{"price_team": 2, "price_owner": 2}');
SELECT change IS NOT NULL FROM seats.change_seats('zero', '{"team": {"set": 0}, "owner": {"set": 0}}');
SELECT pg_temp.freeze_team('zero');

-- Billing: as the type says; nothing is asked to wait for a payment where invoices are sent.
SELECT pg_temp.team('waits', '{"price_extra": 2, "price_team": 2}');
SELECT new_quantity FROM seats.add_seats('waits', 'extra', 1);
SELECT pg_temp.freeze_team('waits');
SELECT pg_temp.team('invoiced', '{"price_extra": 2}', '{"collection_method": "send_invoice"}');
SELECT new_quantity FROM seats.add_seats('invoiced', 'extra', 1);
SELECT pg_temp.freeze_team('invoiced');
-- Stripe takes no deletion in an update that may wait for its payment.
SELECT seats.define_seat_type(name, ARRAY['price_' || name], increase_payment_behavior => 'pending_if_incomplete')
  FROM unnest('{extra,extra2}'::text[]) AS name \g /dev/null
SELECT pg_temp.team('swap', '{"price_extra": 2, "price_extra2": 2}');
SELECT change IS NOT NULL FROM seats.change_seats('swap', '{"extra": {"set": 0}, "extra2": {"add": 2}}');
SELECT pg_temp.freeze_team('swap');

-- Stripe's limits for a subscription: 20 invoices a day, 10 a minute, 200 changes of quantity an hour,
-- counted from what was sent.
SELECT pg_temp.team('busy', '{"price_team": 5}');
SELECT id AS busy, lane_id AS lane FROM seats_internal.team WHERE name = 'busy' \gset
CREATE FUNCTION pg_temp.sent(team bigint, lane bigint, calls integer, ago interval,
                             proration_behavior text DEFAULT 'always_invoice') RETURNS void
LANGUAGE sql AS $$
    INSERT INTO seats_internal.outbox_history
        (ring, id, lane_id, created_at, settled_at, uuid, result, generation, attempts, clean, destination,
         method, path, body, enqueued_by, kind, team_id)
    SELECT r.slot, (SELECT max(h.id) FROM seats_internal.outbox_history AS h) + 1000 + g, lane, now(),
           clock_timestamp() - ago, gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/',
           'proration_behavior=' || proration_behavior, 'regress',
           'change', team
      FROM generate_series(1, calls) AS g, seats_internal.ring AS r
$$;
CREATE FUNCTION pg_temp.tried(lane bigint, calls integer, ago interval, purpose text DEFAULT 'send',
                              sent boolean DEFAULT true, verdict text DEFAULT 'unknown',
                              one_key boolean DEFAULT false, reason text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    INSERT INTO seats_internal.attempt
        (ring, call_id, lane_id, generation, number, purpose, answered_at, verdict, sent, replayed, reason)
    SELECT r.slot, (SELECT coalesce(max(a.call_id), 1000) FROM seats_internal.attempt AS a)
                   + CASE WHEN one_key THEN 1 ELSE g END,
           lane, 1, g, purpose, clock_timestamp() - ago, verdict, sent, false, reason
      FROM generate_series(1, calls) AS g, seats_internal.ring AS r
$$;
-- How long the next one has to wait, roughly: this test may take a moment.
CREATE FUNCTION pg_temp.must_wait(team bigint, lane bigint, makes_invoice boolean) RETURNS interval
LANGUAGE sql AS $$
    SELECT interval '10 s' * ceil(extract(epoch FROM seats_internal.budget_wait(team, lane, makes_invoice)
                                                     - clock_timestamp()) / 10)
$$;
SELECT pg_temp.must_wait(:busy, :lane, true), pg_temp.must_wait(:busy, :lane, false);
-- Ten in a minute, tried or done. What never left, only looked, was turned away, or was no invoice, does
-- not count; a key counts once.
SELECT pg_temp.tried(:lane, 5, '20 s', 'verify'), pg_temp.tried(:lane, 5, '20 s', sent => false),
       pg_temp.tried(:lane, 5, '20 s', verdict => 'again'), pg_temp.tried(:lane, 5, '20 s', verdict => 'halted'),
       pg_temp.tried(:lane, 5, '20 s', reason => 'key_in_use'),
       pg_temp.tried(:lane, 5, '20 s', reason => 'idempotency_mismatch'), pg_temp.sent(:busy, :lane, 5, '20 s', 'none');
SELECT pg_temp.sent(:busy, :lane, 6, '40 s'), pg_temp.tried(:lane, 3, '20 s');
SELECT pg_temp.must_wait(:busy, :lane, true), pg_temp.must_wait(:busy, :lane, false);
SELECT pg_temp.tried(:lane, 5, '10 s', one_key => true);
SELECT pg_temp.must_wait(:busy, :lane, true), pg_temp.must_wait(:busy, :lane, false);
-- Then the change waits, is due when it may go, and says why.
SELECT new_quantity FROM seats.add_seats('busy', 'team', 1);
SELECT pg_temp.freeze_team('busy');
SELECT due_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '20 s' AS soon
  FROM seats_internal.outbox WHERE lane_id = :lane;
SELECT state, reason FROM seats.changes WHERE team = 'busy';
-- More of them merge meanwhile; a decrease makes no invoice.
SELECT pg_temp.changes('busy');
SELECT seats.cancel_change(o.id) FROM seats_internal.outbox AS o WHERE o.lane_id = :lane;
SELECT new_quantity FROM seats.remove_seats('busy', 'team', 1);
SELECT pg_temp.freeze_team('busy');
-- Twenty in a day.
SELECT pg_temp.sent(:busy, :lane, 30, '6 h', 'create_prorations');
SELECT pg_temp.must_wait(:busy, :lane, true) < interval '1 h';
SELECT pg_temp.sent(:busy, :lane, 10, '6 h');
SELECT pg_temp.must_wait(:busy, :lane, true), pg_temp.must_wait(:busy, :lane, false);
-- Two hundred in an hour, also for what makes no invoice.
SELECT pg_temp.tried(:lane, 185, '15 m');
SELECT pg_temp.must_wait(:busy, :lane, true) > interval '12 h', pg_temp.must_wait(:busy, :lane, false);
-- Another team's are its own.
SELECT pg_temp.must_wait(t.id, t.lane_id, true) FROM seats_internal.team AS t WHERE t.name = 'one';

-- Split: changes that were refused together are tried in smaller calls, three more at most. What comes
-- later does not join them.
SELECT pg_temp.team('split', '{"price_team": 10}');
SELECT max(a.new_quantity) FROM generate_series(1, 9) AS g, seats.add_seats('split', 'team', least(g, 1)) AS a;
CREATE FUNCTION pg_temp.split() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    head seats_internal.outbox;
BEGIN
    SELECT o.* INTO head FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id
     WHERE t.name = 'split' ORDER BY o.id LIMIT 1;
    RETURN NEXT pg_temp.freeze(head.id);
    SELECT o.* INTO head FROM seats_internal.outbox AS o WHERE o.id = head.id;
    RETURN QUERY SELECT format('%s -> %s, carries %s, %s call(s) left', head.base, head.target,
                               (SELECT count(*) FROM seats_internal.outbox AS o
                                 WHERE o.lane_id = head.lane_id AND o.id BETWEEN head.id
                                       AND coalesce(head.last_id, head.id)),
                               coalesce(head.splits_left::text, 'all'))
                  WHERE head.body <> '';
END
$$;
CREATE FUNCTION pg_temp.refuse_amount() RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.dissolve_calls(array_agg(o.id), array_agg(o.id))
      FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id
     WHERE t.name = 'split' AND o.body <> ''
$$;
SELECT pg_temp.split();
SELECT pg_temp.refuse_amount();
SELECT count(*), count(*) FILTER (WHERE o.state = 'pending' AND o.body = '' AND o.base IS NULL
                                        AND o.target IS NULL AND o.last_id IS NULL) AS fresh,
       min(splits_left), max(splits_left), min(split_size), max(split_size)
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id WHERE t.name = 'split';
SELECT new_quantity FROM seats.add_seats('split', 'team', 1);
SELECT pg_temp.split();
SELECT pg_temp.refuse_amount();
SELECT pg_temp.split();
-- These two go through. The next are as many, and have the last call.
SELECT pg_temp.settle(min(o.id), 'done', pg_temp.facts('sub_split', '{"price_team": 12}'))
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id WHERE t.name = 'split';
SELECT pg_temp.seats('split');
SELECT pg_temp.split();
SELECT pg_temp.settle(min(o.id), 'refused', NULL, 'card_declined')
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id WHERE t.name = 'split';
SELECT c.state, c.reason, count(*) FROM seats.changes AS c WHERE c.team = 'split' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT pg_temp.seats('split');
-- The one that came later goes as if nothing had been.
SELECT pg_temp.split();

-- Thawed: nothing of the call has left, so it falls apart and is planned anew, with what has come since.
SELECT seats_internal.dissolve_calls(array_agg(o.id), '{}')
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id
 WHERE t.name = 'run' AND o.body <> '';
SELECT pg_temp.changes('run');
SELECT pg_temp.read('run', '{"price_team": 7, "price_owner": 1}');
SELECT pg_temp.freeze_team('run');

-- A change that may have been sent before (a failover, an adoption) goes alone under its own key, and not
-- at all when Stripe may have forgotten that key.
SELECT pg_temp.team('forgot', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('forgot', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('forgot', 'team', 1) \gset
UPDATE seats_internal.outbox SET doubt = true, first_sent_at = clock_timestamp() WHERE id = :a;
SELECT pg_temp.freeze_team('forgot');
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_forgot', '{"price_team": 6}'));
UPDATE seats_internal.outbox SET doubt = true, first_sent_at = clock_timestamp() - interval '21 h' WHERE id = :b;
SELECT pg_temp.freeze_team('forgot');
SELECT pg_temp.alerts();

-- Never so many lanes at once that applications wait for them.
SELECT pg_temp.team('first', '{"price_team": 5}');
SELECT pg_temp.team('second', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('first', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('second', 'team', 1) \gset
SELECT call = :a AS is_first, outcome
  FROM seats_internal.freeze_changes(ARRAY[:b, :a], pg_temp.run(), '60 s', time_for => '0 s');
-- A crowd that wants the same goes in one call: Stripe allows a subscription 20 invoices a day. What wants something
-- else stays behind.
SELECT pg_temp.team('crowded', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('crowded', 'team', 1) \gset
-- (With ids of its own: those that the sequence gives are other tests'.)
INSERT INTO seats_internal.outbox (id, lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT 7000000 + n, o.lane_id, o.installation, o.destination, o.method, o.path, '', o.enqueued_by, o.kind, o.team_id, o.lines
  FROM seats_internal.outbox AS o CROSS JOIN generate_series(1, 3000) AS n WHERE o.id = :a;
UPDATE seats_internal.outbox SET lines = '[{"seat_type": "team", "operation": "add", "quantity": -1}]' WHERE id > 7002900;
SELECT seats_internal.refold(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'crowded';
SELECT pg_temp.freeze(:a);
SELECT pg_temp.asked(:a);
SELECT o.state, count(*) FROM seats_internal.outbox AS o
  JOIN seats_internal.team AS t ON t.lane_id = o.lane_id AND t.name = 'crowded'
 GROUP BY o.state ORDER BY o.state;

-- Of what must be looked at one by one, because kinds of seats alternate, no more than a team can be locked for.
SELECT pg_temp.team('motley', '{"price_team": 5, "price_owner": 1}');
SELECT change AS a FROM seats.add_seats('motley', 'team', 1) \gset
INSERT INTO seats_internal.outbox (id, lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT 7010000 + n, o.lane_id, o.installation, o.destination, o.method, o.path, '', o.enqueued_by, o.kind, o.team_id,
       jsonb_build_array(jsonb_build_object('seat_type', CASE n % 2 WHEN 0 THEN 'team' ELSE 'owner' END,
                                            'operation', 'add', 'quantity', 1))
  FROM seats_internal.outbox AS o CROSS JOIN generate_series(1, 600) AS n WHERE o.id = :a;
SELECT seats_internal.refold(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'motley';
SELECT pg_temp.freeze(:a);
SELECT o.state, count(*) FROM seats_internal.outbox AS o
  JOIN seats_internal.team AS t ON t.lane_id = o.lane_id AND t.name = 'motley'
 GROUP BY o.state ORDER BY o.state;

-- The end of a team settles whatever has gathered at once.
SET LOCAL track_functions = 'all';
SELECT seats_internal.end_team(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'crowded';
SELECT pg_stat_get_xact_function_calls('seats_internal.finish_changes'::regproc) AS sets;
SELECT o.state, count(*) FROM seats_internal.outbox AS o
  JOIN seats_internal.team AS t ON t.lane_id = o.lane_id AND t.name = 'crowded'
 GROUP BY o.state ORDER BY o.state;
SELECT seats_internal.refold(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'crowded';

-- What both ways of planning ask by the same expression: which changes want more of the same …
SELECT c.what, seats_internal.adds_alike(
           jsonb_populate_record(NULL::seats_internal.outbox,
               '{"kind": "change", "state": "pending", "doubt": false,
                 "lines": [{"seat_type": "team", "operation": "add", "quantity": 2}]}' || c.row), 'team', 1) AS is_alike
  FROM (VALUES ('like it', '{}'::jsonb),
               ('another kind', '{"kind": "read"}'),
               ('on its way', '{"state": "sending"}'),
               ('in doubt', '{"doubt": true}'),
               ('previewed', '{"proration_date": 1}'),
               ('two types', '{"lines": [{"seat_type": "team", "operation": "add", "quantity": 2},
                                         {"seat_type": "owner", "operation": "add", "quantity": 2}]}'),
               ('set', '{"lines": [{"seat_type": "team", "operation": "set", "quantity": 2}]}'),
               ('another type', '{"lines": [{"seat_type": "owner", "operation": "add", "quantity": 2}]}'),
               ('fewer', '{"lines": [{"seat_type": "team", "operation": "add", "quantity": -2}]}')) AS c (what, row);
-- … and which base is good. (In minutes; it is minute 0, and a base is fresh for half a minute.)
SELECT c.what, seats_internal.is_good_base(
           CASE WHEN c.is_ours THEN pg_temp.run() END, '2030-01-01 UTC'::timestamptz + c.proven * interval '1 minute',
           jsonb_populate_record(NULL::seats_internal.outbox, jsonb_build_object(
               'created_at', '2030-01-01 UTC'::timestamptz + c.created * interval '1 minute',
               'base_wanted_at', '2030-01-01 UTC'::timestamptz + c.wanted * interval '1 minute',
               'proration_date', CASE WHEN c.is_previewed THEN 1 END)),
           pg_temp.run(), '30 s', '2030-01-01 UTC') AS is_good
  FROM (VALUES ('fresh',                            true,  -0.4, -0.2, NULL, false),
               ('of another run',                   false, -0.4, -0.2, NULL, false),
               ('never proved',                     true,  NULL, -0.2, NULL, false),
               ('of the future',                    true,   0.1, -0.2, NULL, false),
               ('of a while ago',                   true,  -0.6, -0.2, NULL, false),
               ('of a while ago, read for another', true,  -0.6, -0.9, -0.5, false),
               ('of a while ago, read for it',      true,  -0.6, -0.9, -0.7, false),
               ('of long ago, read for it',         true,  -1.1, -9.0, -1.2, false),
               ('fresh, previewed later',           true,  -0.4, -0.2, NULL, true),
               ('fresh, previewed before',          true,  -0.4, -0.5, NULL, true),
               ('fresh, previewed, not yet read',   true,  -0.4, -0.5, -0.3, true))
       AS c (what, is_ours, proven, created, wanted, is_previewed);

-- Every quantity is what the fold makes of it, all the while.
SELECT status, message FROM seats.health WHERE check_name = 'seats';
ROLLBACK;
