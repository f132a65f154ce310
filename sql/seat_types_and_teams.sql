-- Kinds of seats and teams: what has to be there before seats can be changed.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();

-- define_seat_type: what it takes, what is kept, and what the view shows.
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', ARRAY['price_owner', 'price_owner_yearly'], 5, 10, 'none',
                              'pending_if_incomplete', 'none', delete_at_zero => false);
SELECT seats.define_seat_type('trial', '{price_trial}', increase_payment_behavior => 'allow_incomplete',
                              allow_unpaid => true);
SELECT seat_type, prices, largest_change, largest_total, increase_proration_behavior,
       increase_payment_behavior, decrease_proration_behavior, delete_at_zero,
       defined_by = current_user AS mine
  FROM seats.seat_types ORDER BY seat_type;
SELECT kind, detail - 'defined_at' - 'defined_by' FROM seats_internal.journal
 WHERE written_xid = pg_current_xact_id() ORDER BY id LIMIT 1;

-- Redefined: the old prices are gone, and free for another type.
SELECT seats.define_seat_type('owner', '{price_owner}', 6);
SELECT seats.define_seat_type('yearly', '{price_owner_yearly}');
SELECT seat_type, prices, largest_change, largest_total FROM seats.seat_types ORDER BY seat_type;

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.define_seat_type(%s)', arguments))
  FROM (VALUES (1, $$NULL, '{price_a}'$$),
               (2, $$' ', '{price_a}'$$),
               (3, $$repeat('x', 256), '{price_a}'$$),
               (4, $$'a', NULL$$),
               (5, $$'a', '{}'$$),
               (6, $$'a', '{price_a,NULL}'$$),
               (7, $$'a', '{price_a,price_a}'$$),
               (8, $$'a', ARRAY['price a']$$),
               (9, $$'a', ARRAY['..']$$),
               (10, $$'a', '{price_a}', NULL$$),
               (11, $$'a', '{price_a}', 0$$),
               (12, $$'a', '{price_a}', largest_total => 0$$),
               (13, $$'a', '{price_a}', increase_proration_behavior => 'sometimes'$$),
               (14, $$'a', '{price_a}', decrease_proration_behavior => NULL$$),
               (15, $$'a', '{price_a}', increase_payment_behavior => 'allow_incomplete'$$),
               (16, $$'a', '{price_a}', increase_payment_behavior => 'default_incomplete', allow_unpaid => NULL$$),
               (17, $$'a', '{price_a}', increase_payment_behavior => 'whenever', allow_unpaid => true$$),
               (18, $$'a', '{price_a}', delete_at_zero => NULL$$),
               (19, $$'a', '{price_team,price_a}'$$)) AS t (number, arguments)
 ORDER BY number;
SELECT count(*) FROM seats.seat_types;
-- What waits for its payment needs an API version that takes our marker with it; whichever comes first.
UPDATE seats_internal.destination SET api_version = '2026-05-26.dahlia' WHERE name = 'stripe';
SELECT pg_temp.try($$SELECT seats.define_seat_type('a', '{price_a}', increase_payment_behavior => 'pending_if_incomplete')$$);
UPDATE seats_internal.destination SET api_version = '2026-05-27.dahlia' WHERE name = 'stripe';
SELECT pg_temp.try($$SELECT seats.define_seat_type('a', '{price_a}', increase_payment_behavior => 'pending_if_incomplete')$$);
SELECT pg_temp.try($$SELECT seats.define_destination('stripe', 'http://127.0.0.1:1', 'stripe_key', livemode => false,
                                                     api_version => '2025-03-31.basil')$$);
SELECT seats.define_seat_type('a', '{price_a}');

-- register_team: queues a read, and until that is answered nothing is known.
SELECT pg_temp.news() \g /dev/null
SELECT seats.register_team('acme', 'sub_1', 'cus_1') AS read \gset
SELECT kind, method, path, state, lane_id IS NULL AS has_no_lane, beside_lane_id, context, verifier
  FROM seats_internal.outbox WHERE id = :read;
SELECT team, subscription, status, seat_type, confirmed, customer, destination, problem,
       registered_by = current_user AS mine FROM seats.teams;
SELECT destination, name FROM seats_internal.lane;
SELECT pg_temp.news();
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1)$$);

-- Once more the same: nothing new but a fresh look, for which the queued read will do.
SELECT seats.register_team('acme', 'sub_1') = :read AS same_read;
SELECT count(*) FROM seats_internal.outbox;
SELECT customer FROM seats.teams;
SELECT pg_temp.news();

-- The answer: items are counted by price, but for metered ones. (Of a price that no type has: seat_counting.)
SELECT pg_temp.read('acme', '{"price_team": 3, "price_owner": 1, "price_other": 7}',
                    '{"collection_method": "send_invoice", "cancel_at_period_end": true,
                      "cancel_at": 1900000000, "current_period_end": 1900000000, "trial_end": 1800000000,
                      "paused": true, "schedule": "sub_sched_1"}');
SELECT seat_type, confirmed, quantity, awaiting, used, free, unconfirmed, status, current_period_end,
       cancel_at_period_end, cancel_at, trial_end, paused, collection_method, proven_at IS NOT NULL
  FROM seats.teams ORDER BY seat_type;
SELECT pg_temp.news();
SELECT seats_internal.count_items('[{"id": "a", "price": "price_team", "quantity": 2, "metered": false},
    {"id": "b", "price": "price_team", "quantity": 5, "metered": true},
    {"id": "c", "price": "price_team", "quantity": null}, {"id": "d", "price": "price_team", "quantity": 4}]');

-- A type whose prices change is counted anew, without anybody having changed anything outside.
SELECT seats.define_seat_type('other', '{price_other}');
SELECT seats.define_seat_type('owner', '{price_owner,price_owner_new}');
SELECT pg_temp.seats('acme');
SELECT pg_temp.recount();
SELECT pg_temp.seats('acme');
SELECT pg_temp.news() \g /dev/null

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.register_team(%s)', arguments))
  FROM (VALUES (1, $$NULL, 'sub_2'$$),
               (2, $$'', 'sub_2'$$),
               (3, $$repeat('x', 256), 'sub_2'$$),
               (4, $$'b', NULL$$),
               (5, $$'b', 'sub_2/../charges'$$),
               (6, $$'b', '..'$$),
               (7, $$'b', 'sub_2', ''$$),
               (8, $$'b', 'sub_2', 'cus_1&x=1'$$),
               (9, $$'b', 'sub_2', destination => 'nowhere'$$),
               (10, $$'b', 'sub_1'$$)) AS t (number, arguments)
 ORDER BY number;
SELECT team FROM seats.teams GROUP BY team;

-- Another subscription: only when nothing of the old one is open. What was known does not hold any more.
SELECT change AS open FROM seats.add_seats('acme', 'team', 2) \gset
SELECT pg_temp.try($$SELECT seats.register_team('acme', 'sub_2')$$);
SELECT seats.cancel_change(:open);
SELECT pg_temp.news() \g /dev/null
SELECT seats.register_team('acme', 'sub_2', 'cus_2') AS read \gset
SELECT path FROM seats_internal.outbox WHERE id = :read;
SELECT subscription, customer, status FROM seats.teams LIMIT 1;
SELECT pg_temp.news();
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1)$$);
-- A read of the former one that is still queued is not taken for one of this.
SELECT seats.register_team('acme', 'sub_3') AS read \gset
SELECT path FROM seats_internal.outbox WHERE id = :read;
SELECT seats_internal.read_settled(t.id, pg_temp.facts('sub_2', '{"price_team": 9}'), clock_timestamp(),
                                  pg_temp.run()) FROM seats_internal.team AS t;
SELECT status IS NULL AS not_read FROM seats.teams LIMIT 1;
SELECT pg_temp.read('acme', '{"price_team": 4}', '{"customer": "cus_3"}');
SELECT pg_temp.seats('acme');
SELECT customer FROM seats.teams LIMIT 1;
SELECT pg_temp.news();
-- The former one is free for somebody else.
SELECT seats.register_team('beta', 'sub_1') IS NOT NULL;

-- A read on the wire may have left before what it is to tell: another one follows.
SELECT seats.reconcile('acme', 'looks wrong') AS read \gset
UPDATE seats_internal.outbox SET state = 'sending' WHERE id = :read;
SELECT seats.reconcile('acme', 'still wrong') AS another \gset
SELECT :read <> :another AS another, seats.reconcile('acme', 'and again') = :another AS one_waits;
SELECT pg_temp.try($$SELECT seats.reconcile('acme', ' ')$$);
SELECT pg_temp.try($$SELECT seats.reconcile('nobody', 'why not')$$);
SELECT pg_temp.news();

-- A subscription that cannot be read.
SELECT seats_internal.read_failed(t.lane_id, 'No such subscription', true) FROM seats_internal.team AS t
 WHERE t.name = 'beta';
SELECT problem FROM seats.teams WHERE team = 'beta';
SELECT pg_temp.alerts();
SELECT pg_temp.try($$SELECT seats.add_seats('beta', 'team', 1)$$);
SELECT status, message FROM seats.health WHERE check_name = 'unreadable_subscriptions';
SELECT pg_temp.read('beta', '{}');
SELECT problem FROM seats.teams WHERE team = 'beta';
SELECT pg_temp.alerts();
-- Registered with the right one, it is no problem any more; what comes of the wrong one is not heeded.
SELECT seats_internal.read_failed(t.lane_id, 'No such subscription', true) FROM seats_internal.team AS t
 WHERE t.name = 'beta';
SELECT lane_id AS former_lane FROM seats_internal.team WHERE name = 'beta' \gset
SELECT seats.register_team('beta', 'sub_right') IS NOT NULL;
SELECT pg_temp.alerts();
SELECT seats_internal.read_failed(:former_lane, 'No such subscription', true);
SELECT problem, status FROM seats.teams WHERE team = 'beta';
SELECT pg_temp.alerts();

-- Which destination, if there are several; and without an installation nothing works.
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('alerts', 'receiver', 'http://127.0.0.1:1', NULL, 10, 'regress');
SELECT pg_temp.try($$SELECT seats.register_team('c', 'sub_c', destination => 'alerts')$$);
SELECT pg_temp.try($$SELECT seats.register_team('c', 'sub_c')$$);
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('stripe_two', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress');
SELECT pg_temp.try($$SELECT seats.register_team('d', 'sub_d')$$);
SELECT pg_temp.try($$SELECT seats.register_team('d', 'sub_c', destination => 'stripe_two')$$);
SELECT team, destination, subscription FROM seats.teams WHERE subscription = 'sub_c' ORDER BY team;
DELETE FROM seats_internal.installation;
SELECT pg_temp.try($$SELECT seats.register_team('e', 'sub_e', destination => 'stripe')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.reconcile('acme', 'why not')$$);

-- Old applications switch this off; good ids are good all the same.
SET LOCAL standard_conforming_strings = off;
SET LOCAL escape_string_warning = off;
DISCARD PLANS;
SELECT pg_temp.try($$SELECT seats_internal.check_id('team', 'acme'), seats_internal.check_stripe_id('subscription', 'sub_1'),
                            seats_internal.require_reason('why not'), seats_internal.check_secret_name('installations')$$);
ROLLBACK;
