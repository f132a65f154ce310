-- Changing seats: what is accepted, what is refused and with which words, and what becomes of a
-- change before anything is sent.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}', 10, 20);
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT seats.define_seat_type('extra', '{price_extra}', increase_payment_behavior => 'pending_if_incomplete');
SELECT seats.register_team('acme', 'sub_1') AS read \gset
SELECT pg_temp.read('acme', '{"price_team": 5, "price_owner": 1}');
SELECT pg_temp.news() \g /dev/null

-- Seen at once; nothing is sent here. The row of the outbox is the change.
SELECT * FROM seats.add_seats('acme', 'team', 3);
SELECT * FROM seats.remove_seats('acme', 'team', 1);
SELECT * FROM seats.set_seats('acme', 'team', 9);
SELECT * FROM seats.change_seats('acme', '{"team": {"remove": 2}, "owner": {"add": 2}}');
SELECT * FROM seats.set_seats('acme', 'owner', 0);
SELECT pg_temp.seats('acme');
SELECT pg_temp.changes('acme');
SELECT kind, state, method, path, body, verifier, o.destination, generation, attempts, lines, base, target,
       enqueued_by = current_user AS mine, l.name AS lane,
       installation = '11111111-2222-4333-8444-555555555555' AS ours
  FROM seats_internal.outbox AS o JOIN seats_internal.lane AS l ON l.id = o.lane_id
 WHERE o.id = (SELECT max(id) FROM seats_internal.outbox);
-- A type that the team has none of yet.
SELECT * FROM seats.add_seats('acme', 'extra', 2);
SELECT pg_temp.seats('acme');
-- A set to what is there already is a change all the same: it may come true after others are refused.
SELECT * FROM seats.set_seats('acme', 'extra', 2);

-- Each rule has its code.
SELECT pg_temp.try(format('SELECT seats.%s', call))
  FROM (VALUES (1, $$add_seats('nobody', 'team', 1)$$),
               (2, $$add_seats(NULL, 'team', 1)$$),
               (3, $$add_seats('acme', 'unknown', 1)$$),
               (4, $$add_seats('acme', NULL, 1)$$),
               (5, $$add_seats('acme', 'team', NULL)$$),
               (6, $$add_seats('acme', 'team', 0)$$),
               (7, $$remove_seats('acme', 'team', -1)$$),
               (8, $$set_seats('acme', 'team', -1)$$),
               (9, $$add_seats('acme', 'team', 1000001)$$),
               (10, $$add_seats('acme', 'team', 11)$$),
               (11, $$set_seats('acme', 'owner', 51)$$),
               (12, $$set_seats('acme', 'team', 18)$$),
               (13, $$remove_seats('acme', 'team', 8)$$),
               (14, $$change_seats('acme', NULL)$$),
               (15, $$change_seats('acme', '{}')$$),
               (16, $$change_seats('acme', '[]')$$),
               (17, $$change_seats('acme', '{"team": 1}')$$),
               (18, $$change_seats('acme', '{"team": {}}')$$),
               (19, $$change_seats('acme', '{"team": {"add": 1, "set": 2}}')$$),
               (20, $$change_seats('acme', '{"team": {"double": 1}}')$$),
               (21, $$change_seats('acme', '{"team": {"add": 1.5}}')$$),
               (22, $$change_seats('acme', '{"team": {"add": "1"}}')$$),
               (23, $$change_seats('acme', '{"team": {"remove": 0}}')$$),
               (24, $$change_seats('acme', '{"team": {"set": -1}}')$$),
               (25, $$change_seats('acme', '{"team": {"add": 1}, "unknown": {"add": 1}}')$$),
               (26, $$change_seats('acme', '{"team": {"add": 1}, "extra": {"add": 1}}')$$),
               (27, $$change_seats('acme', '{"team": {"add": 1}}', expected => '[7]')$$),
               (28, $$change_seats('acme', '{"team": {"add": 1}}', expected => '{"team": "many"}')$$),
               (29, $$change_seats('acme', '{"team": {"add": 1}}', expected => '{"team": 7.5}')$$),
               (30, $$change_seats('acme', '{"team": {"add": 1}}', expected => '{"owner": 0}')$$),
               (31, $$change_seats('acme', NULL, expected => '{"team": 7}')$$))
       AS t (number, call)
 ORDER BY number;
-- None of it left anything.
SELECT pg_temp.seats('acme'), (SELECT count(*) FROM seats_internal.outbox);
-- What only removes is never billed as an increase, so only the rules of decreases must be the same.
SAVEPOINT removals;
SELECT seats FROM seats.change_seats('acme', '{"team": {"remove": 1}, "extra": {"remove": 1}}');
SELECT pg_temp.try($$SELECT seats.change_seats('acme', '{"team": {"remove": 1}, "extra": {"set": 1}}')$$);
SELECT seats.define_seat_type('extra', '{price_extra}', increase_payment_behavior => 'pending_if_incomplete',
                              decrease_proration_behavior => 'none');
SELECT pg_temp.try($$SELECT seats.change_seats('acme', '{"team": {"remove": 1}, "extra": {"remove": 1}}')$$);
-- Nor the other way round.
SELECT seats.define_seat_type('extra', '{price_extra}', decrease_proration_behavior => 'none');
SELECT seats FROM seats.change_seats('acme', '{"team": {"add": 1}, "extra": {"add": 1}}');
SELECT pg_temp.try($$SELECT seats.change_seats('acme', '{"team": {"add": 1}, "extra": {"remove": 1}}')$$);
ROLLBACK TO removals;
-- A team above its largest total may still give seats back.
SELECT seats.define_seat_type('team', '{price_team}', 10, 3);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1)$$);
SELECT * FROM seats.remove_seats('acme', 'team', 1);
SELECT seats.define_seat_type('team', '{price_team}', 10, 20);

-- Not below what is in use.
SELECT seats.add_member('acme', 'ann', 'team');
SELECT seats.add_member('acme', 'bob', 'team');
SELECT pg_temp.try($$SELECT seats.remove_seats('acme', 'team', 5)$$);
SELECT pg_temp.try($$SELECT seats.set_seats('acme', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.remove_seats('acme', 'team', 9)$$);
SELECT * FROM seats.set_seats('acme', 'team', 2);
SELECT * FROM seats.set_seats('acme', 'team', 8);

-- A stale screen.
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, expected_quantity => 7)$$);
SELECT * FROM seats.add_seats('acme', 'team', 1, expected_quantity => 8);
SELECT pg_temp.try($$SELECT seats.change_seats('acme', '{"team": {"add": 1}, "owner": {"add": 1}}',
                                               expected => '{"team": 9, "owner": 1}')$$);
SELECT * FROM seats.change_seats('acme', '{"team": {"add": 1}, "owner": {"add": 1}}',
                                 expected => '{"team": 9}');

-- A repeated click: the first answer, and no second change.
SELECT count(*) AS before FROM seats_internal.outbox \gset
SELECT * FROM seats.add_seats('acme', 'team', 1, request_key => 'click 1');
SELECT * FROM seats.add_seats('acme', 'team', 1, request_key => 'click 1');
SELECT count(*) - :before FROM seats_internal.outbox;
-- Not even if the rules have become stricter, or the quantity another one meanwhile.
SELECT * FROM seats.set_seats('acme', 'team', 3);
SELECT * FROM seats.add_seats('acme', 'team', 1, request_key => 'click 1');
SELECT * FROM seats.change_seats('acme', '{"team": {"add": 1}}', request_key => 'click 1');
SELECT * FROM seats.change_seats('acme', '{"team": {"add": 1}}', request_key => 'click 1');
SELECT seats.add_seats('acme', 'team', 1, request_key => 'click 2', expected_quantity => 4);
SELECT seats.add_seats('acme', 'team', 1, request_key => 'click 2', expected_quantity => 4);
-- Other arguments.
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 2, request_key => 'click 1')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'owner', 1, request_key => 'click 1')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, 'ann', request_key => 'click 1')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, request_key => '')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, request_key => repeat('x', 256))$$);
-- Another function, or another team: another request.
SELECT * FROM seats.remove_seats('acme', 'team', 1, request_key => 'click 1');
SELECT seats.register_team('beta', 'sub_2') AS read \gset
SELECT pg_temp.read('beta', '{"price_team": 1}');
SELECT * FROM seats.add_seats('beta', 'team', 1, request_key => 'click 1');
-- A refused request leaves no key behind, nor does one that was rolled back.
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 11, request_key => 'click 3')$$);
SELECT * FROM seats.add_seats('beta', 'team', 1, request_key => 'click 3');
SAVEPOINT before_click;
SELECT new_quantity FROM seats.add_seats('beta', 'team', 1, request_key => 'click 4');
ROLLBACK TO SAVEPOINT before_click;
SELECT new_quantity FROM seats.add_seats('beta', 'team', 2, request_key => 'click 4');

-- Savepoints: what is rolled back has never been.
SAVEPOINT before_change;
SELECT change AS gone, new_quantity FROM seats.add_seats('beta', 'team', 5) \gset
SELECT seats.cancel_change(:gone);
SELECT change AS gone FROM seats.add_seats('beta', 'team', 5) \gset
ROLLBACK TO SAVEPOINT before_change;
SELECT pg_temp.seats('beta'), count(*) FROM seats.changes WHERE change = :gone;
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :gone)) <> 'ok';

-- Who may: an active owner, or a role that is operator.
CREATE ROLE regress_seats_shop;
CREATE ROLE regress_seats_desk;
SELECT seats.grant_application('regress_seats_shop');
SELECT seats.grant_application('regress_seats_desk');
SELECT seats.grant_operator('regress_seats_desk');
SELECT seats.add_member('beta', 'olga', role => 'owner');
SELECT seats.add_member('beta', 'mike');
SELECT seats.add_member('beta', 'oscar', role => 'owner');
SELECT seats.remove_member('beta', 'oscar');
SET ROLE regress_seats_shop;
SELECT new_quantity FROM seats.add_seats('beta', 'team', 1, 'olga');
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1, 'mike')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1, 'oscar')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, 'olga')$$);
SELECT pg_temp.try($$SELECT seats.change_seats('beta', '{"team": {"add": 1}}', 'mike')$$);
-- A key does not open anything either, but a repeated request of one who may no longer still has its
-- answer.
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1, 'mike', 'click 5')$$);
SELECT change AS olgas FROM seats.add_seats('beta', 'team', 1, 'olga', 'click 6') \gset
SELECT seats.remove_member('beta', 'olga', last_owner => true);
SELECT change = :olgas FROM seats.add_seats('beta', 'team', 1, 'olga', 'click 6');
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1, 'olga')$$);
SELECT pg_temp.try(format($$SELECT seats.cancel_change(%s, 'olga')$$, :olgas));
SET ROLE regress_seats_desk;
SELECT new_quantity FROM seats.add_seats('beta', 'team', 1);
SELECT new_quantity FROM seats.add_seats('beta', 'team', 1, 'somebody on the phone');
RESET ROLE;
SELECT actor, enqueued_by FROM seats.changes WHERE team = 'beta' ORDER BY change DESC LIMIT 3;

-- cancel_change: while it is unsent it leaves the fold, wherever it stands; later changes stay.
SELECT seats.register_team('gamma', 'sub_3') AS read \gset
SELECT pg_temp.read('gamma', '{"price_team": 5}');
SELECT pg_temp.news() \g /dev/null
SELECT change AS a FROM seats.add_seats('gamma', 'team', 2) \gset
SELECT change AS b FROM seats.set_seats('gamma', 'team', 10) \gset
SELECT change AS c FROM seats.add_seats('gamma', 'team', 1) \gset
SELECT pg_temp.seats('gamma');
SELECT * FROM seats.cancel_change(:b);
SELECT pg_temp.seats('gamma');
SELECT pg_temp.news();
-- A person's name passes for nobody else's: neither for the role, nor for Stripe.
SELECT * FROM seats.cancel_change(:a, 'stripe');
SELECT kind, role = current_user AS my_role, actor, detail ->> 'actor' AS in_detail FROM seats.journal
 WHERE call IN (:a, :b) ORDER BY call;
SELECT pg_temp.seats('gamma');
SELECT c.seat_type, c.operation, c.quantity, c.previous_quantity, c.new_quantity, c.state, c.reason,
       c.settled_at IS NOT NULL AS settled
  FROM seats.changes AS c WHERE c.team = 'gamma' ORDER BY c.change;
SELECT settled_by = current_user AS mine, result FROM seats_internal.outbox_history
 WHERE id IN (:a, :b) ORDER BY id;
-- The lane goes on without it.
SELECT eligible_xid = pg_current_xact_id() FROM seats_internal.outbox WHERE id = :c;
-- A removal that is taken back may have been what made room; a later removal that it leaves impossible
-- goes with it.
SELECT change AS d FROM seats.add_seats('gamma', 'team', 4) \gset
SELECT change AS e FROM seats.remove_seats('gamma', 'team', 8) \gset
SELECT * FROM seats.cancel_change(:d);
SELECT pg_temp.changes('gamma');
SELECT pg_temp.seats('gamma');
-- What can no longer be cancelled, or never could.
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :a));
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :e));
SELECT pg_temp.try('SELECT seats.cancel_change(NULL)');
SELECT pg_temp.try('SELECT seats.cancel_change(999999)');
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)',
                          seats.enqueue_call('stripe', 'POST', '/v1/customers')));
SELECT change AS d FROM seats.add_seats('gamma', 'team', 1) \gset
SELECT pg_temp.freeze(:c);
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :d));
UPDATE seats_internal.outbox SET state = 'sending' WHERE id = :c;
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :c));
UPDATE seats_internal.outbox SET state = 'review' WHERE id = :c;
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :c));

-- Frozen, and not taken up by the worker yet: what it would have carried is planned anew.
UPDATE seats_internal.outbox SET state = 'pending' WHERE id = :c;
SELECT * FROM seats.cancel_change(:c);
SELECT state, body, reason FROM seats_internal.outbox WHERE id = :d;
SELECT pg_temp.seats('gamma');

-- A subscription that is over, or never began.
SELECT seats.register_team('delta', 'sub_4') AS read \gset
SELECT pg_temp.read('delta', '{"price_team": 5}', '{"status": "incomplete"}');
SELECT pg_temp.try($$SELECT seats.set_seats('delta', 'team', 1)$$);
SELECT pg_temp.read('delta', '{"price_team": 5}', '{"status": "past_due"}');
SELECT new_quantity FROM seats.add_seats('delta', 'team', 1);
SELECT seats.register_team('omega', 'sub_4o') AS read \gset
SELECT pg_temp.read('omega', '{"price_team": 5}', '{"status": "canceled"}');
SELECT pg_temp.try($$SELECT seats.add_seats('omega', 'team', 1)$$);
-- What is over never comes back: a read that says so was on its way before.
SELECT pg_temp.read('omega', '{"price_team": 5}', '{"status": "active"}');
SELECT pg_temp.try($$SELECT seats.add_seats('omega', 'team', 1)$$);
SELECT seats.register_team('epsilon', 'sub_4e') AS read \gset
SELECT pg_temp.read('epsilon', '{"price_team": 5}', '{"status": "incomplete_expired"}');
SELECT pg_temp.try($$SELECT seats.remove_seats('epsilon', 'team', 1)$$);
-- A date of no preview.
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$,
                          extract(epoch FROM d.at)::bigint)) ~ ('^' || d.error)
  FROM (VALUES (now() - interval '25 hours', 'PS538: the preview has expired'),
               (now() + interval '1 hour', 'PS525: there is no preview'), (now(), 'PS525: ')) AS d (at, error);
SELECT pg_temp.try($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => 9223372036854775807)$$)
       ~ '^PS525: ';
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', -2147483648)$$) ~ '^PS505: ';

-- An individual of a team's name has nothing to do with it; and has no seats.
SELECT seats.register_individual('delta', 'sub_delta_person') AS read \gset
SELECT seats.register_individual('person', 'sub_person') AS read \gset
SELECT previous_quantity, new_quantity FROM seats.remove_seats('delta', 'team', 1);
SELECT previous_quantity, new_quantity FROM seats.add_seats('delta', 'team', 1);
SELECT pg_temp.try($$SELECT seats.add_seats('person', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.add_member('person', 'ann')$$);

-- preview_change: a call of Stripe's that changes nothing, on what is confirmed and all that is open.
SELECT call, proration_date BETWEEN extract(epoch FROM clock_timestamp())::bigint - 60
                                AND extract(epoch FROM clock_timestamp())::bigint + 1 AS now
  FROM seats.preview_change('delta', '{"team": {"add": 2}}') \gset
SELECT :'now';
SELECT method, path, kind, lane_id, verifier,
       regexp_replace(pg_temp.asked(id), 'proration_date]=\d+', 'proration_date]=<now>') AS asked
  FROM seats_internal.outbox WHERE id = :call;
SELECT pg_temp.try($$SELECT seats.preview_change('delta', '{"team": {"set": 5}}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change('delta', '{"team": {"remove": 7}}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change('delta', '{}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change('delta', '{"unknown": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change('nobody', '{"team": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.preview_change(NULL, NULL)$$);
SELECT pg_temp.seats('delta');
ROLLBACK;
