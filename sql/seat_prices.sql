-- Which price a new item gets: by what Stripe says of the prices, and of the subscription.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT prices FROM seats.define_seat_type('team', '{month_usd,year_usd,month_eur,quarter_usd,month_both,year_eur}');
SELECT prices FROM seats.define_seat_type('owner', '{owner_month,owner_year}');
DELETE FROM seats_internal.recount;

-- What Stripe says, as the worker reads it from a price: interval, currency, others.
CREATE FUNCTION pg_temp.price(price text, every text DEFAULT '1 month', currency text DEFAULT 'usd',
                              others text[] DEFAULT '{}', active boolean DEFAULT true,
                              metered boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'id', price, 'interval', split_part(every, ' ', 2), 'interval_count', split_part(every, ' ', 1)::integer,
        'currency', currency, 'currencies', others, 'unit_amount', 700, 'active', active, 'livemode', false, 'metered', metered)
$$;
CREATE FUNCTION pg_temp.price_is(price text, every text DEFAULT '1 month', currency text DEFAULT 'usd',
                                 others text[] DEFAULT '{}', active boolean DEFAULT true,
                                 metered boolean DEFAULT false) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM seats_internal.outbox AS o WHERE o.path = '/v1/prices/' || $1;
    SELECT seats_internal.price_settled('stripe', '/v1/prices/' || $1, pg_temp.price($1, $2, $3, $4, $5, $6),
                                       clock_timestamp(), NULL)
$$;
-- A subscription with these prices, each with one seat: {price: every}.
CREATE FUNCTION pg_temp.read_prices(name text, items jsonb, currency text DEFAULT 'usd') RETURNS void
LANGUAGE sql AS $$
    DELETE FROM seats_internal.outbox AS o USING seats_internal.team AS t
     WHERE t.name = $1 AND o.team_id = t.id AND o.kind = 'read';
    SELECT seats_internal.read_settled(
               t.id,
               pg_temp.facts(t.subscription, (SELECT coalesce(jsonb_object_agg(i.key, 1), '{}') FROM jsonb_each($2) AS i))
               || jsonb_build_object('currency', $3, 'prices',
                      (SELECT jsonb_agg(pg_temp.price(i.key, i.value, $3) - 'currencies')
                         FROM jsonb_each_text($2) AS i)),
               clock_timestamp(), pg_temp.run())
      FROM seats_internal.team AS t WHERE t.name = $1
$$;
CREATE FUNCTION pg_temp.team(name text, items jsonb, currency text DEFAULT 'usd') RETURNS void
LANGUAGE sql AS $$
    SELECT seats.register_team(name, 'sub_' || name);
    SELECT pg_temp.read_prices(name, items, currency)
$$;
-- What the first seat of the type is bought at; or why none is.
CREATE FUNCTION pg_temp.chosen(team text, seat_type text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(c.price, 'not known: ' || array_to_string(c.not_known, ', '), 'none: ' || c.why_not)
      FROM seats_internal.team AS t, seats_internal.choose_price(t, seat_type, '1 day') AS c WHERE t.name = $1
$$;
CREATE FUNCTION pg_temp.reads() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', o.kind, o.method, o.path, o.body) FROM seats_internal.outbox AS o
     WHERE o.kind = 'price' ORDER BY o.path COLLATE "C"
$$;

-- The first read of a team has the listed prices read that it does not bring along, each once.
SELECT pg_temp.team('monthly', '{"owner_month": "1 month"}');
SELECT pg_temp.reads();
SELECT pg_temp.team('yearly', '{"owner_year": "1 year"}');
SELECT count(*) FROM pg_temp.reads();
SELECT price, seat_type, list_position, recurring_interval, interval_count, currency, currencies, unit_amount, active, metered, known_at IS NOT NULL AS known
  FROM seats.prices ORDER BY price COLLATE "C";
-- Nothing is guessed as long as the one that would come first is not known: the change waits for it.
SELECT pg_temp.chosen('monthly', 'team');
SELECT change AS first FROM seats.add_seats('monthly', 'team', 2) \gset
SELECT pg_temp.freeze(:first);
UPDATE seats_internal.outbox SET eligible_xid = '3' WHERE id = :first;
SELECT state, reason, due_at > clock_timestamp() FROM seats.changes WHERE change = :first;
SELECT pg_temp.try($$SELECT seats.preview_change('yearly', '{"team": {"add": 1}}')$$);
-- Its read has it looked at once more.
SELECT pg_temp.price_is('year_usd', '1 year');
SELECT pg_temp.freeze(:first);
SELECT pg_temp.price_is('month_usd');
SELECT o.due_at, o.eligible_xid = pg_current_xact_id() AS is_found FROM seats_internal.outbox AS o WHERE o.id = :first;
SELECT pg_temp.freeze(:first);
SELECT pg_temp.asked(:first);
SELECT waits_for_price FROM seats_internal.team WHERE name = 'monthly';
SELECT pg_temp.price_is('month_eur', currency => 'eur');
SELECT pg_temp.price_is('quarter_usd', '3 month');
SELECT pg_temp.price_is('month_both', others => '{eur,gbp}');
SELECT pg_temp.price_is('year_eur', '1 year', 'eur');

-- By the interval, its count, and the currency.
SELECT pg_temp.chosen('yearly', 'team');
SELECT pg_temp.team('quarterly', '{"addon": "3 month"}');
SELECT pg_temp.chosen('quarterly', 'team');
SELECT pg_temp.team('euro', '{"addon": "1 month"}', 'eur');
SELECT pg_temp.chosen('euro', 'team');
SELECT pg_temp.team('euro_year', '{"addon_eur": "1 year"}', 'eur');
SELECT pg_temp.chosen('euro_year', 'team');
SELECT pg_temp.team('pound', '{"addon_gbp": "1 month"}', 'gbp');
SELECT pg_temp.chosen('pound', 'team');
-- Where none fits, that is said before anything is written.
SELECT seats.ignore_prices('{addon,addon_eur,addon_gbp,addon_day,addon_year}', 'none of seats') IS NOT NULL;
SELECT seats_internal.recount_teams() FROM generate_series(1, 5);
SELECT pg_temp.team('daily', '{"addon_day": "1 day"}');
SELECT pg_temp.try($$SELECT seats.add_seats('daily', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.preview_change('daily', '{"team": {"add": 1}}')$$);
SELECT count(*) FROM seats.changes WHERE team = 'daily';
-- What is archived, metered or bought once is no price to buy; nor one that is not there.
SELECT pg_temp.price_is('month_usd', active => false);
SELECT pg_temp.price_is('month_both', metered => true);
SELECT pg_temp.team('archived', '{"addon": "1 month"}');
SELECT pg_temp.chosen('archived', 'team');
SELECT pg_temp.price_is('month_usd');
SELECT pg_temp.chosen('archived', 'team');
SELECT seats_internal.price_settled('stripe', '/v1/prices/month_usd', NULL, clock_timestamp(), 'No such price');
SELECT pg_temp.chosen('archived', 'team');
SELECT problem FROM seats.prices WHERE price = 'month_usd';
SELECT seats_internal.price_settled('stripe', '/v1/prices/month_usd',
                                   pg_temp.price('month_usd') || '{"interval": null, "interval_count": null}', clock_timestamp(), NULL);
SELECT pg_temp.chosen('archived', 'team');
SELECT pg_temp.price_is('month_usd');
SELECT pg_temp.price_is('month_both', others => '{eur,gbp}');

-- Intervals that are mixed: those of its seats come before those of other items.
SELECT pg_temp.team('mixed', '{"addon": "1 month", "owner_year": "1 year"}');
SELECT pg_temp.chosen('mixed', 'team');
SELECT pg_temp.team('mixed_seats', '{"owner_month": "1 month", "owner_year": "1 year"}');
SELECT pg_temp.chosen('mixed_seats', 'team');
-- The line's own before all: its last price is kept over zero. (Another team's is its own.)
SELECT pg_temp.read_prices('mixed_seats', '{"owner_month": "1 month", "owner_year": "1 year", "year_usd": "1 year"}');
SELECT pg_temp.read_prices('mixed_seats', '{"owner_month": "1 month", "owner_year": "1 year"}');
SELECT pg_temp.seats('mixed_seats');
SELECT pg_temp.chosen('mixed_seats', 'team'), pg_temp.chosen('mixed', 'team');
-- A legacy price is the line's own also where the first listed would fit.
SELECT pg_temp.team('legacy', '{"owner_month": "1 month", "month_both": "1 month"}');
SELECT change AS gone FROM seats.set_seats('legacy', 'team', 0) \gset
SELECT pg_temp.freeze(:gone);
SELECT pg_temp.asked(:gone);
SELECT pg_temp.settle(:gone, 'done', pg_temp.facts('sub_legacy', '{"owner_month": 1}'));
SELECT change AS back FROM seats.add_seats('legacy', 'team', 3) \gset
SELECT pg_temp.freeze(:back);
SELECT pg_temp.asked(:back);
-- Archived since, or no longer of the subscription's interval: chosen anew.
SELECT pg_temp.price_is('month_both', others => '{eur}', active => false);
SELECT pg_temp.chosen('legacy', 'team');
SELECT pg_temp.price_is('month_both', others => '{eur}');
SELECT pg_temp.chosen('legacy', 'team');
SELECT pg_temp.read_prices('legacy', '{"owner_year": "1 year"}');
SELECT pg_temp.chosen('legacy', 'team');
-- With another subscription nothing is its own.
SELECT seats.register_team('mixed_seats', 'sub_new') IS NOT NULL;
SELECT pg_temp.read_prices('mixed_seats', '{"owner_month": "1 month", "owner_year": "1 year"}');
SELECT pg_temp.chosen('mixed_seats', 'team');

-- Events: the price is read once more, and until then not trusted. A read that is under way when one comes
-- may have looked too early.
CREATE FUNCTION pg_temp.event(event_id text, price text) RETURNS text LANGUAGE sql AS $$
    SELECT seats_internal.apply_event(e)
      FROM (SELECT (jsonb_populate_record(NULL::seats_internal.webhook_event, jsonb_build_object(
                'endpoint', 'main', 'event_id', event_id, 'type', 'price.updated', 'destination', 'stripe',
                'object_id', price, 'facts', jsonb_build_object('object_type', 'price', 'object_id', price)))).*) AS e
$$;
SELECT pg_temp.chosen('archived', 'team');
SELECT pg_temp.event('evt_1', 'month_usd');
SELECT pg_temp.event('evt_2', 'month_usd');
SELECT pg_temp.reads();
SELECT pg_temp.chosen('archived', 'team');
DELETE FROM seats_internal.outbox WHERE kind = 'price';
SELECT seats_internal.price_settled('stripe', '/v1/prices/month_usd', pg_temp.price('month_usd'),
                                   clock_timestamp() - interval '1 minute', NULL);
SELECT pg_temp.reads();
SELECT pg_temp.price_is('month_usd');
SELECT pg_temp.reads();
SELECT pg_temp.chosen('archived', 'team');
SELECT pg_temp.event('evt_3', 'price_of_others');
-- What was said earlier does not count for more, however late it comes: a page that was long on its way.
SELECT seats_internal.note_prices(t, '[]', jsonb_build_array(pg_temp.price('month_usd', active => false)),
                                  clock_timestamp() - interval '1 minute')
  FROM seats_internal.team AS t WHERE t.name = 'archived';
SELECT active FROM seats.prices WHERE price = 'month_usd';
-- What can change is trusted for a day.
UPDATE seats_internal.stripe_price SET known_at = known_at - interval '25 hours' WHERE price = 'month_usd';
SELECT pg_temp.chosen('archived', 'team'), pg_temp.chosen('mixed', 'team');
SELECT change AS stale FROM seats.add_seats('archived', 'team', 1) \gset
SELECT pg_temp.freeze(:stale);
SELECT pg_temp.reads();

-- Known too late that none fits: the change waits visibly, a person is told, and listing one lets it go.
SELECT pg_temp.price_is('month_usd', active => false);
SELECT pg_temp.price_is('month_both', active => false);
SELECT pg_temp.freeze(:stale);
SELECT state, reason FROM seats.changes WHERE change = :stale;
SELECT a FROM pg_temp.alerts() AS a WHERE a LIKE '%no_price_fits%';
SELECT prices FROM seats.define_seat_type('team', '{month_usd,year_usd,month_eur,quarter_usd,month_both,year_eur,month_new}');
SELECT seats_internal.recount_teams() FROM generate_series(1, 5);
SELECT due_at FROM seats.changes WHERE change = :stale;
SELECT pg_temp.reads();
SELECT pg_temp.freeze(:stale);
SELECT pg_temp.price_is('month_new');
SELECT pg_temp.freeze(:stale);
SELECT pg_temp.asked(:stale);
SELECT count(*) FROM pg_temp.alerts() AS a WHERE a LIKE '%no_price_fits%';
-- A person is told no longer when the change is taken back.
SELECT pg_temp.team('late', '{"addon": "1 month"}');
SELECT change AS late FROM seats.add_seats('late', 'team', 1) \gset
SELECT pg_temp.price_is('month_new', active => false);
SELECT pg_temp.freeze(:late);
SELECT seats.cancel_change(:late);
SELECT count(*) FROM pg_temp.alerts() AS a WHERE a LIKE '%no_price_fits%';
SELECT pg_temp.read_prices('late', '{"addon": "1 month"}');
SELECT count(*) FROM pg_temp.alerts() AS a WHERE a LIKE '%no_price_fits%';

-- Prices belong to an account: another destination's are not known here.
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('other', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress');
DELETE FROM seats_internal.outbox WHERE kind = 'price';
SELECT seats.register_team('elsewhere', 'sub_elsewhere', destination => 'other') IS NOT NULL;
SELECT pg_temp.read_prices('elsewhere', '{"owner_month": "1 month"}');
SELECT pg_temp.chosen('elsewhere', 'team');
SELECT count(*) > 0 AS asked_there, count(*) FILTER (WHERE destination <> 'other') AS asked_here
  FROM seats_internal.outbox WHERE kind = 'price';
-- Numbers beyond all bounds are no error.
SELECT seats_internal.price_settled('stripe', '/v1/prices/year_eur',
                                   pg_temp.price('year_eur') || '{"interval_count": 9223372036854775807}', clock_timestamp(), NULL);
SELECT status, message FROM seats.health WHERE check_name = 'seats';
ROLLBACK;
