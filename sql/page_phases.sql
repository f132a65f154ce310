-- What an open change is told to be doing, and whether Stripe takes calls.
\set VERBOSITY terse
SELECT h AS is_halted, p AS is_paused, b AS breaker, t AS is_proven, seats_internal.stripe_state_of(h, p, b, t)
  FROM (VALUES (false, false, 'closed', true), (false, false, 'closed', false), (false, false, NULL, NULL),
               (false, false, 'open', true), (false, false, 'half_open', false), (false, true, 'open', true),
               (true, true, 'closed', true)) AS a (h, p, b, t);
-- By the call's state, whether it is next, and the destination.
SELECT c.state, n.is_next, s.stripe, seats_internal.change_phase(c.state, n.is_next, NULL, false, s.stripe) AS phase,
       seats_internal.change_phase(c.state, n.is_next, NULL, true, s.stripe) AS was_tried,
       seats_internal.change_phase(c.state, n.is_next, 'stripes_limit_for_a_subscription', false, s.stripe) AS limited
  FROM unnest(enum_range(NULL::seats_internal.outbox_state)::text[]) WITH ORDINALITY AS c (state, place)
 CROSS JOIN (VALUES (true), (false)) AS n (is_next)
 CROSS JOIN (VALUES ('up'), ('down'), ('paused'), ('halted'), ('unproven')) AS s (stripe)
 WHERE c.state IN ('pending', 'waiting') OR n.is_next AND s.stripe IN ('up', 'down') AND c.state <> 'carried'
 ORDER BY c.place, n.is_next DESC, s.stripe;
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
CREATE ROLE regress_page_shop;
SELECT seats.grant_application('regress_page_shop');
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.register_team('acme', 'sub_1') AS read \gset
SELECT pg_temp.read('acme', '{"price_team": 5}');
-- Two that go in one call, one behind them.
SELECT change AS a FROM seats.add_seats('acme', 'team', 2) \gset
SELECT change AS b FROM seats.add_seats('acme', 'team', 1) \gset
SELECT change AS c FROM seats.remove_seats('acme', 'team', 1) \gset
CREATE FUNCTION pg_temp.phases() RETURNS TABLE (change bigint, state text, phase text) LANGUAGE sql AS $$
    SELECT c.change - min(c.change) OVER (), c.state, c.phase FROM seats.changes AS c ORDER BY c.change
$$;
SELECT seats.pause('stripe', 'a test');
SELECT seats_internal.stripe_state('stripe'), seats_internal.stripe_state('nowhere');
SELECT * FROM pg_temp.phases();
SELECT seats.resume('stripe', 'a test');
UPDATE seats_internal.destination SET halted_at = now() WHERE name = 'stripe';
SELECT seats_internal.stripe_state('stripe');
SELECT phase FROM pg_temp.phases();
UPDATE seats_internal.destination SET halted_at = NULL WHERE name = 'stripe';
-- Only this team's calls are paused.
SELECT seats.pause('stripe', 'a test', lane => '/v1/subscriptions/sub_1');
SELECT phase FROM pg_temp.phases();
SELECT seats.resume('stripe', 'a test', lane => '/v1/subscriptions/sub_1');
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'sending', attempts = 1 WHERE id = :a;
SET ROLE regress_page_shop;
SELECT * FROM pg_temp.phases();
RESET ROLE;
UPDATE seats_internal.outbox SET state = 'waiting', reason = 'rate_limited' WHERE id = :a;
SELECT phase FROM pg_temp.phases();
SELECT pg_temp.settle(:a, 'refused', NULL, 'card_declined');
SELECT * FROM pg_temp.phases();
ROLLBACK;
