-- Whatever changes what a team's page shows raises its version. (What the worker raises with its own statements,
-- when it sends and when it stores an answer, is shown by a scenario.)
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('guest', '{price_guest}', largest_total => 90);
SELECT seats.register_team('acme', 'sub_1') AS read \gset
SELECT seats.register_team('other', 'sub_2') AS read \gset

-- What a page shows, but for the time, and what is in no table.
CREATE FUNCTION pg_temp.shown(name text) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT seats.team_page(name) - '{version,as_of,stripe}'::text[] $$;
CREATE FUNCTION pg_temp.version(name text) RETURNS bigint LANGUAGE sql AS
    $$ SELECT v.version FROM seats.team_versions(ARRAY[name]) AS v $$;
-- A story: does the page of acme show something else afterwards, does its number rise, and what of another team's?
CREATE FUNCTION pg_temp.story(command text, OUT is_changed boolean, OUT rises boolean, OUT others text)
LANGUAGE plpgsql AS $$
DECLARE
    page         jsonb  := pg_temp.shown('acme');
    version      bigint := pg_temp.version('acme');
    others_page  jsonb  := pg_temp.shown('other');
    others_count bigint := pg_temp.version('other');
BEGIN
    EXECUTE command;
    is_changed := pg_temp.shown('acme') IS DISTINCT FROM page;
    rises := pg_temp.version('acme') > version;
    others := CASE WHEN pg_temp.version('other') > others_count THEN 'rises'
                   WHEN pg_temp.shown('other') IS DISTINCT FROM others_page THEN 'changed, and does not rise'
                   ELSE 'stays' END;
END
$$;
CREATE FUNCTION pg_temp.head() RETURNS bigint LANGUAGE sql AS
    $$ SELECT min(o.id) FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id WHERE t.name = 'acme' $$;

-- Reads of the subscription.
SELECT pg_temp.read('other', '{"price_team": 2}');
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('acme', '{"price_team": 5}')$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('acme', '{"price_team": 6}')$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('acme', '{"price_team": 6}', '{"status": "past_due"}')$$);
-- (An invoice that could not be paid, and that it was paid.)
CREATE FUNCTION pg_temp.event(told text, now_is text) RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.note_invoice(jsonb_populate_record(NULL::seats_internal.webhook_event, jsonb_build_object(
               'type', told, 'destination', 'stripe', 'facts', jsonb_build_object('invoice', jsonb_build_object(
                   'id', 'in_1', 'url', 'https://pay.example', 'currency', 'usd', 'amount_due', 500, 'status', now_is)))), t)
      FROM seats_internal.team AS t WHERE t.name = 'acme'
$$;
SELECT * FROM pg_temp.story($$SELECT pg_temp.event('invoice.payment_failed', 'open')$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.event('invoice.paid', 'paid')$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('acme', '{"price_team": 6}', '{"cancel_at_period_end": true, "current_period_end": 1900000000}')$$);
SELECT * FROM pg_temp.story($$SELECT seats_internal.read_failed(t.lane_id, 'no such subscription', false) FROM seats_internal.team AS t WHERE t.name = 'acme'$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('acme', '{"price_team": 5, "price_x": 1}')$$);
SELECT * FROM pg_temp.story($$SELECT seats.ignore_prices('{price_x}', 'an add-on'), pg_temp.recount()$$);

-- Members and invites.
SELECT * FROM pg_temp.story($$SELECT seats.add_member('acme', 'ada', role => 'owner')$$);
SELECT * FROM pg_temp.story($$SELECT seats.add_member('acme', 'bob', 'team')$$);
SELECT * FROM pg_temp.story($$SELECT seats.change_member('acme', 'bob', role => 'owner')$$);
SELECT * FROM pg_temp.story($$SELECT seats.remove_member('acme', 'bob')$$);
SELECT token FROM seats.invite('acme', 'cleo@example.com', 'team', actor => 'ada') \gset
SELECT * FROM pg_temp.story($$SELECT seats.invite('acme', 'dora@example.com', 'team', actor => 'ada')$$);
SELECT * FROM pg_temp.story($$SELECT seats.invite('acme', 'dora@example.com', 'team', actor => 'ada', expires => '1 day')$$);
SELECT * FROM pg_temp.story(format('SELECT seats.accept_invite(%L, %L)', :'token', 'cleo'));
SELECT * FROM pg_temp.story($$SELECT seats.revoke_invite(i.invite) FROM seats.invites AS i WHERE i.address LIKE 'dora%'$$);
SELECT seats.invite('acme', 'emil@example.com', 'team') IS NOT NULL;
UPDATE seats_internal.invite SET expires_at = clock_timestamp() - interval '1 hour' WHERE address LIKE 'emil%';
SELECT * FROM pg_temp.story($$SELECT seats_internal.expire_invites('-infinity')$$);

-- A change of seats, and an invite that waits for one.
SELECT * FROM pg_temp.story($$SELECT seats.set_seats('acme', 'team', 1, 'ada')$$);
SELECT * FROM pg_temp.story($$SELECT seats.cancel_change(pg_temp.head(), 'ada')$$);
SELECT * FROM pg_temp.story($$SELECT seats.change_seats('acme', '{"team": {"set": 1}}', 'ada')$$);
SELECT pg_temp.freeze(pg_temp.head());
SELECT * FROM pg_temp.story($$SELECT pg_temp.settle(pg_temp.head(), 'done', pg_temp.facts('sub_1', '{"price_team": 1, "price_x": 1}'))$$);
SELECT * FROM pg_temp.story($$SELECT seats.invite('acme', 'fred@example.com', 'team', actor => 'ada', buy => true)$$);
SELECT billing_pending FROM seats.invites WHERE address LIKE 'fred%';
SELECT pg_temp.freeze(pg_temp.head());
SELECT * FROM pg_temp.story($$SELECT pg_temp.settle(pg_temp.head(), 'done', pg_temp.facts('sub_1', '{"price_team": 2, "price_x": 1}'))$$);
SELECT billing_pending FROM seats.invites WHERE address LIKE 'fred%';

-- What the worker finds when it is about to send: Stripe's limit is used up, a price is not known, nothing is to be done.
SELECT change AS c FROM seats.add_seats('acme', 'team', 1, 'ada') \gset
INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose, verdict, sent, replayed)
SELECT r.slot, -n, t.lane_id, 1, 1, 'send', 'unknown', true, false
  FROM seats_internal.ring AS r, seats_internal.team AS t, generate_series(1, 20) AS n WHERE t.name = 'acme';
SELECT * FROM pg_temp.story(format('SELECT pg_temp.freeze(%s)', :c));
SELECT state, phase, due_at > now() AS later FROM seats.changes WHERE change = :c;
DELETE FROM seats_internal.attempt;
SELECT * FROM pg_temp.story(format('SELECT seats.cancel_change(%s, %L)', :c, 'ada'));
SELECT change AS c FROM seats.set_seats('acme', 'team', 2, 'ada') \gset
SELECT * FROM pg_temp.story(format('SELECT pg_temp.freeze(%s)', :c));
SELECT state, reason FROM seats.changes WHERE change = :c;
-- Prices: it waits, and is offered again.
DELETE FROM seats_internal.stripe_price WHERE price = 'price_guest';
SELECT change AS c FROM seats.add_seats('acme', 'guest', 1, 'ada') \gset
SELECT * FROM pg_temp.story(format('SELECT pg_temp.freeze(%s)', :c));
SELECT reason, due_at > now() AS later FROM seats.changes WHERE change = :c;
SELECT * FROM pg_temp.story($$SELECT pg_temp.know_prices(), seats_internal.offer_to_waiting('stripe')$$);

-- What is known of the prices of a first seat says whether it can be bought.
SELECT * FROM pg_temp.story($$SELECT seats_internal.price_settled('stripe', '/v1/prices/price_guest', '{"interval": "month", "interval_count": 1, "currency": "usd", "active": false, "metered": false}', clock_timestamp(), NULL)$$);
SELECT * FROM pg_temp.story($$SELECT seats_internal.renew_price('stripe', 'price_guest')$$);
SELECT * FROM pg_temp.story($$SELECT pg_temp.read('other', '{"price_team": 2}', '{"prices": [{"id": "price_guest", "interval": "month", "interval_count": 1, "currency": "usd", "active": false, "metered": false}]}')$$);

-- Operators' verbs.
SELECT * FROM pg_temp.story($$SELECT seats.pause('stripe', 'a test', '/v1/subscriptions/sub_1')$$);
SELECT * FROM pg_temp.story($$SELECT seats.resume('stripe', 'a test', '/v1/subscriptions/sub_1')$$);
UPDATE seats_internal.outbox SET due_at = now() + interval '1 hour', attempts = 1 WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats.retry(%s, %L)', :c, 'a test'));
UPDATE seats_internal.outbox SET state = 'waiting', doubt = true WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats.review_call(%s, %L)', :c, 'a test'));
SELECT * FROM pg_temp.story(format('SELECT seats.resolve_review(%s, %L, %L)', :c, 'same_key', 'a test'));
UPDATE seats_internal.outbox SET state = 'review' WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats_internal.take_back_from_review(%L, ARRAY[%s]::bigint[])', 'stripe', :c));
UPDATE seats_internal.outbox SET state = 'pending', doubt = false WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats.cancel_call(%s, %L)', :c, 'a test'));

-- Events.
SELECT change AS c FROM seats.add_seats('acme', 'team', 1, 'ada') \gset
SELECT pg_temp.read('acme', '{"price_team": 3, "price_x": 1}');
SELECT pg_temp.freeze(:c);
UPDATE seats_internal.outbox SET state = 'waiting', doubt = true, due_at = now() + interval '1 hour', first_sent_at = now() WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats_internal.verify_now(%s)', :c));
UPDATE seats_internal.outbox SET state = 'awaiting', doubt = false, due_at = now() + interval '1 hour', payment = '{"invoice": "in_1"}' WHERE id = :c;
-- Its invoice is to be voided, and could not be.
SELECT * FROM pg_temp.story(format('SELECT seats.cancel_change(%s, %L)', :c, 'ada'));
SELECT id AS void FROM seats_internal.outbox WHERE kind = 'void' \gset
UPDATE seats_internal.outbox SET due_at = now() + interval '1 hour' WHERE id = :c;
SELECT * FROM pg_temp.story(format('SELECT seats.cancel_call(%s, %L)', :void, 'a test'));

-- Kinds of seats are on all pages, and what the ring takes from the last changes may be on any.
SELECT * FROM pg_temp.story($$SELECT seats.define_seat_type('team', '{price_team}', largest_change => 7)$$);
SELECT * FROM pg_temp.story($$SELECT seats.define_seat_type('more', '{price_more}')$$);
SELECT * FROM pg_temp.story($$SELECT seats.drop_seat_type('more', 'a test')$$);
UPDATE seats_internal.ring SET slot = 7, since = now() - interval '1 year';
UPDATE seats_internal.outbox_history SET ring = 0;
SELECT * FROM pg_temp.story($$SELECT seats_internal.turn_ring(90)$$);

-- The end of a subscription, told by an event.
SELECT * FROM pg_temp.story($$SELECT seats_internal.end_by_event(t, '{"id": "sub_1", "status": "canceled", "ended_at": 1800000000}')
                                FROM seats_internal.team AS t WHERE t.name = 'acme'$$);

-- A person is erased, on the pages that name him.
SELECT seats.invite('other', 'gina@example.com', 'team', actor => 'hugo') IS NOT NULL;
SELECT changes AS of_worker FROM seats_internal.team WHERE name = 'other' \gset
SELECT * FROM pg_temp.story($$SELECT seats.erase_person('hugo', 'a test')$$);
-- (By their lanes, as verbs do: a transaction that stays open holds no row that the worker would wait for.)
SELECT changes = :of_worker AS untouched FROM seats_internal.team WHERE name = 'other';

-- Another subscription, and the same one again: the number goes on from where it was.
DELETE FROM seats_internal.outbox;
SELECT * FROM pg_temp.story($$SELECT seats.register_team('acme', 'sub_1b')$$);
DELETE FROM seats_internal.outbox;
SELECT * FROM pg_temp.story($$SELECT seats.register_team('acme', 'sub_1')$$);
UPDATE seats_internal.lane_marker SET changes = changes + 100;
SELECT * FROM pg_temp.story($$SELECT seats.unregister_team('acme', 'a test'), seats.register_team('acme', 'sub_3')$$);
SELECT * FROM pg_temp.story($$SELECT seats.register_team('acme', 'sub_3')$$);
-- Adopted: what the original has counted since is below.
SELECT pg_temp.version('acme') AS before \gset
UPDATE seats_internal.installation
   SET page_changes = greatest(page_changes + 1, seats_internal.page_start());
SELECT pg_temp.version('acme') - :before > 1000000;

-- Many at once; who is not there is not told of.
SELECT team, version > 0, stripe FROM seats.team_versions('{other,acme,nobody,acme,NULL}') ORDER BY team;
SELECT * FROM seats.team_versions(NULL);
SELECT pg_temp.try($$SELECT seats.team_versions(array_fill('x'::text, ARRAY[1001]))$$);
SELECT count(*) FROM seats.team_versions(array_fill('other'::text, ARRAY[1000]));
SELECT seats.pause('stripe', 'a test');
SELECT team, stripe FROM seats.team_versions('{acme}');
ROLLBACK;
