-- What a change would cost, in columns, from Stripe's answers as they are kept; and when a change may be made at the price
-- that was shown. That what is shown is what is charged is tried in test/scenarios/74_previews.pl.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT prices FROM seats.define_seat_type('team', '{price_team}', increase_proration_behavior => 'always_invoice',
                                          decrease_proration_behavior => 'create_prorations');
SELECT prices FROM seats.define_seat_type('free', '{price_free}', increase_proration_behavior => 'none');
SELECT prices FROM seats.define_seat_type('late', '{price_late}', decrease_proration_behavior => 'create_prorations');
DELETE FROM seats_internal.recount;

-- When something is to be paid: each line of the table.
SELECT concat_ws(' ', p, CASE WHEN r THEN 'renews' ELSE 'ends' END, CASE WHEN paused THEN 'paused' END, m, d) AS case,
       seats_internal.charged_when(p, r, paused, m, d) AS charged_when
  FROM (VALUES ('always_invoice', true, false, 'charge_automatically', 1500::bigint),
               ('always_invoice', false, false, 'charge_automatically', 1500),
               ('always_invoice', true, false, 'send_invoice', 1500),
               ('always_invoice', true, false, 'charge_automatically', 0),
               ('always_invoice', true, false, 'send_invoice', 0),
               ('always_invoice', true, false, 'charge_automatically', NULL),
               ('always_invoice', true, false, NULL, 1500),
               ('always_invoice', true, true, 'charge_automatically', 1500),
               ('create_prorations', true, false, 'charge_automatically', 8000),
               ('create_prorations', true, false, 'send_invoice', 8000),
               ('create_prorations', false, false, 'charge_automatically', 1500),
               ('create_prorations', true, true, 'charge_automatically', 8000),
               ('none', true, false, 'charge_automatically', 8000),
               ('none', true, false, 'send_invoice', 8000),
               ('none', false, false, 'charge_automatically', NULL)) AS v (p, r, paused, m, d);
-- Amounts and taxes: whole numbers, or nothing.
SELECT v, seats_internal.amount_of(v::jsonb)
  FROM unnest(ARRAY['1500', '-1', '0', '1500.0', '1e3', '"1500"', 'null', 'true', '{}', '999999999999999',
                    '1000000000000000']) AS v;
SELECT v, seats_internal.tax_of(v::jsonb)
  FROM unnest(ARRAY['{"total_taxes": []}', '{"total_taxes": [{"amount": 100}, {"amount": 19}]}', '{"total_taxes": null}', '{}',
                    '{"total_taxes": [{"amount": 100}, {"amount": null}]}', '{"total_taxes": [7]}', '{"total_taxes": "none"}',
                    '{"total_taxes": [], "automatic_tax": {"enabled": true, "status": "requires_location_inputs"}}',
                    '{"total_taxes": [{"amount": 5}], "automatic_tax": {"enabled": true, "status": "complete"}}',
                    '{"total_taxes": [], "automatic_tax": {"enabled": false, "status": null}}',
                    '{"total_taxes": [{"amount": 900000000000000}, {"amount": 900000000000000}]}']) AS v;

-- A team whose period ends in thirty days, and previews of it: `ask` gives the two calls' ids.
CREATE FUNCTION pg_temp.team(name text, items jsonb, more jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
    SELECT seats.register_team(name, 'sub_' || name);
    SELECT pg_temp.read(name, items, jsonb_build_object(
        'current_period_end', floor(extract(epoch FROM clock_timestamp()))::bigint + 30 * 86400) || more)
$$;
CREATE FUNCTION pg_temp.invoice(due bigint, total bigint, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT (jsonb_build_object('object', 'invoice', 'livemode', false, 'currency', 'usd', 'total_taxes', '[]'::jsonb,
                               'collection_method', 'charge_automatically', 'amount_due', due, 'total', total)
            || more)::text
$$;
-- Times as they are to the others.
CREATE FUNCTION pg_temp.preview(call bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls(to_jsonb(p) || jsonb_build_object(
               'next_renewal_at', CASE WHEN p.next_renewal_at = t.current_period_end THEN 'period_end'
                                       ELSE p.next_renewal_at::text END,
               'expires_at', CASE p.expires_at WHEN t.current_period_end THEN 'period_end'
                                  WHEN to_timestamp(p.proration_date) + interval '1 day' THEN 'in a day'
                                  ELSE p.expires_at::text END,
               'proration_date', CASE WHEN p.proration_date IS NOT NULL THEN 'given' END))
      FROM seats.preview($1) AS p
     CROSS JOIN (SELECT o.team_id FROM seats_internal.outbox AS o WHERE o.id = $1
                 UNION ALL SELECT h.team_id FROM seats_internal.outbox_history AS h WHERE h.id = $1) AS c
      JOIN seats_internal.team AS t ON t.id = c.team_id
$$;
SELECT pg_temp.team('acme', '{"price_team": 5, "price_free": 1}');

-- Of an increase that is invoiced at once: what is charged, and what a period costs, are two calls.
SELECT call, proration_date AS date, call - 1 AS renewal FROM seats.preview_change('acme', '{"team": {"add": 3}}') \gset
SELECT regexp_replace(pg_temp.asked(id), 'proration_date]=\d+', 'proration_date]=<now>'), lane_id
  FROM seats_internal.outbox WHERE id IN (:call, :renewal) ORDER BY id;
SELECT pg_temp.preview(:call);
SELECT pg_temp.answer(:call, pg_temp.invoice(1500, 1500, '{"total_taxes": [{"amount": 240}]}'));
-- What a period costs is waited for, but not for long.
SELECT pg_temp.preview(:call);
UPDATE seats_internal.outbox_history SET settled_at = settled_at - interval '6 s' WHERE id = :call;
SELECT pg_temp.preview(:call);
SELECT pg_temp.answer(:renewal, pg_temp.invoice(8000, 8000));
SELECT pg_temp.preview(:call);
-- In another currency it is no number beside these; of another mode, or of another kind, it is nothing.
SAVEPOINT before;
UPDATE seats_internal.outbox_history SET answer = convert_to(pg_temp.invoice(8000, 8000, '{"currency": "eur"}'), 'UTF8') WHERE id = :renewal;
SELECT next_renewal_total FROM seats.preview(:call);
ROLLBACK TO before;

-- What Stripe may answer instead: nulls, never guesses, and never an error.
CREATE FUNCTION pg_temp.answered_with(call bigint, answer text) RETURNS jsonb LANGUAGE sql AS $$
    UPDATE seats_internal.outbox_history SET answer = convert_to($2, 'UTF8') WHERE id = $1;
    SELECT pg_temp.preview($1) - '{next_renewal_total,next_renewal_at,expires_at,includes_pending,proration_date}'::text[]
$$;
SELECT pg_temp.answered_with(:call, a)
  FROM unnest(ARRAY[pg_temp.invoice(0, 1500), pg_temp.invoice(1800, 1500), pg_temp.invoice(0, 30), pg_temp.invoice(0, 0),
                    pg_temp.invoice(0, -1500), pg_temp.invoice(1500, -500),
                    pg_temp.invoice(1500, 1500, '{"collection_method": "send_invoice"}'),
                    pg_temp.invoice(1500, 1500, '{"currency": "jpy"}'), pg_temp.invoice(1500, 1500, '{"currency": "kwd"}'),
                    pg_temp.invoice(1500, 1500, '{"currency": "huf"}'), pg_temp.invoice(1500, 1500, '{"currency": null}'),
                    pg_temp.invoice(1500, 1500, '{"currency": "US dollars"}'), pg_temp.invoice(1500, 1500, '{"total_taxes": null}'),
                    pg_temp.invoice(NULL, 1500), pg_temp.invoice(1500, NULL),
                    pg_temp.invoice(1500, 1500, '{"amount_due": "1500", "total": "1500"}'),
                    pg_temp.invoice(1500, 1500, '{"collection_method": null}'),
                    pg_temp.invoice(1500, 1500, (SELECT jsonb_build_object('total_taxes', jsonb_agg('{"amount": 999999999999999999}'::jsonb))
                                                   FROM generate_series(1, 12))),
                    pg_temp.invoice(1500, 1500, '{"lines": {"has_more": true}}'),
                    pg_temp.invoice(1500, 1500, '{"lines": {"data": {"period": 1}}}'),
                    pg_temp.invoice(1500, 1500, '{"lines": {"data": [7, null, {"period": [], "parent": "none"}]}}'),
                    pg_temp.invoice(1500, 1500, '{"livemode": true}'), pg_temp.invoice(1500, 1500, '{"livemode": null}'),
                    pg_temp.invoice(1500, 1500, '{"object": "subscription"}'), '{}', '[]', 'null', '"invoice"', '<html>',
                    '{"object": "invoice", "livemode": false, "number": "\u0000"}']) WITH ORDINALITY AS v (a, n)
 ORDER BY n;
-- The next regular invoice, though one at once was asked for: it is not paid now.
SELECT pg_temp.answered_with(:call, pg_temp.invoice(8000, 8000, jsonb_build_object('lines', jsonb_build_object('data', jsonb_build_array(
           jsonb_build_object('period', jsonb_build_object('start', extract(epoch FROM t.current_period_end)::bigint),
                              'parent', '{"subscription_item_details": {"proration": false}}'::jsonb))))))
  FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT pg_temp.answered_with(:call, pg_temp.invoice(1500, 1500)) ->> 'state';

-- What was answered with something else has shown no price, and nothing is bought at it.
SELECT pg_temp.answered_with(:call, pg_temp.invoice(1500, 1500, '{"livemode": true}')) ->> 'state';
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 3}}', proration_date => %s)$$, :date)) ~ '^PS525: ';
SELECT pg_temp.answered_with(:call, pg_temp.invoice(1500, 1500)) ->> 'state';

-- With its date the change is made at that price: the same change, once.
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 2}}', proration_date => %s)$$, :date));
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"set": 8}}', proration_date => %s)$$, :date + 1))
       ~ 'Stripe has answered none of team acme with the date';
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 3}}', expected => '{"team": 4}', proration_date => %s)$$, :date));
SELECT change, repeated FROM seats.change_seats('acme', '{"team": {"add": 3}}', request_key => 'click', expected => '{"team": 5}',
                                                proration_date => :date) \gset
SELECT pg_temp.preview(:call) -> 'state' AS state, pg_temp.preview(:call) -> 'code' AS code;
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 3}}', proration_date => %s)$$, :date));
SELECT repeated FROM seats.change_seats('acme', '{"team": {"add": 3}}', request_key => 'click', expected => '{"team": 5}',
                                        proration_date => :date);
-- A preview with that one in it prices both, also when it is settled.
SELECT call, proration_date AS date FROM seats.preview_change('acme', '{"team": {"add": 1}}') \gset
SELECT pg_temp.answer(o.id, pg_temp.invoice(2000, 2000)) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT pg_temp.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date));
SELECT pg_temp.freeze(:change);
SELECT pg_temp.asked(:change);
SELECT pg_temp.settle(:change, 'done', pg_temp.facts('sub_acme', '{"price_team": 8, "price_free": 1}', jsonb_build_object(
           'current_period_end', (SELECT extract(epoch FROM current_period_end)::bigint FROM seats_internal.team WHERE name = 'acme'))));
SELECT pg_temp.preview(:call) -> 'state' AS state, pg_temp.preview(:call) -> 'code' AS code;
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date)) ~ '^PS539: ';
-- Somebody's change since: what depends on it has no price; when it is settled, it is another one.
-- (Two of one second are another case, below.)
UPDATE seats_internal.outbox_history SET context = jsonb_set(context, '{preview,proration_date}', to_jsonb(:date - 10)) WHERE id = :call;
SELECT call, proration_date AS date FROM seats.preview_change('acme', '{"team": {"add": 1}}') \gset
SELECT pg_temp.answer(o.id, pg_temp.invoice(500, 500)) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT state, code, includes_pending FROM seats.preview(:call);
SAVEPOINT before;
SELECT change FROM seats.change_seats('acme', '{"team": {"add": 2}}') \gset
SELECT change AS other FROM seats.change_seats('acme', '{"team": {"remove": 2}}') \gset
SELECT state, code, includes_pending FROM seats.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date));
ROLLBACK TO before;
SELECT pg_temp.read('acme', '{"price_team": 9, "price_free": 1}', jsonb_build_object(
           'current_period_end', (SELECT extract(epoch FROM current_period_end)::bigint FROM seats_internal.team WHERE name = 'acme')));
SELECT state, code FROM seats.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date));
ROLLBACK TO before;
-- Another period has begun; a day is over.
SELECT pg_temp.read('acme', '{"price_team": 8, "price_free": 1}', jsonb_build_object(
           'current_period_end', (SELECT extract(epoch FROM current_period_end)::bigint + 30 * 86400 FROM seats_internal.team WHERE name = 'acme')));
SELECT state, code FROM seats.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date));
ROLLBACK TO before;
UPDATE seats_internal.outbox_history SET context = jsonb_set(context, '{preview,proration_date}', to_jsonb(:date - 90000)) WHERE id = :call;
SELECT state, code, total FROM seats.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$, :date - 90000));
ROLLBACK TO before;
-- It would be billed otherwise now: at once instead of with the next period.
SELECT call AS removal, proration_date AS date FROM seats.preview_change('acme', '{"team": {"remove": 1}}') \gset
SELECT pg_temp.answer(o.id, pg_temp.invoice(500, 500)) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT state, code, charged_when FROM seats.preview(:removal);
UPDATE seats_internal.seat_type SET decrease_proration_behavior = 'always_invoice' WHERE name = 'team';
SELECT state, code FROM seats.preview(:removal);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"remove": 1}}', proration_date => %s)$$, :date));
SELECT state, code FROM seats.preview(:call);
ROLLBACK TO before;
-- An item that is no seats was changed: it would be on the bill, too. (In another order they are the same.)
UPDATE seats_internal.team SET items = jsonb_build_array(items -> 1, items -> 0) WHERE name = 'acme';
SELECT state, code FROM seats.preview(:call);
UPDATE seats_internal.team SET items = items || '{"id": "si_addon", "price": "price_addon", "quantity": 1, "metered": false}' WHERE name = 'acme';
SELECT state, code FROM seats.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 1}}', proration_date => %s)$$,
                          (SELECT proration_date FROM seats.preview(:call))));
ROLLBACK TO before;
-- The subscription is over.
UPDATE seats_internal.team SET status = 'canceled' WHERE name = 'acme';
SELECT state, code FROM seats.preview(:call);
ROLLBACK TO before;
-- A type that it has nothing of, and never had, is the same: somebody's purchase of it was refused.
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
SELECT t.id, 'late', 0, 0 FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT state, code FROM seats.preview(:call);
ROLLBACK TO before;
-- One whose period ends before the day is over.
UPDATE seats_internal.team SET current_period_end = date_trunc('second', clock_timestamp()) + interval '1 hour' WHERE name = 'acme';
SELECT call FROM seats.preview_change('acme', '{"team": {"add": 1}}') \gset
SELECT pg_temp.preview(:call);
ROLLBACK TO before;

-- Given back by create_prorations: on the next invoice, whose total Stripe says.
SELECT call, call - 1 AS renewal FROM seats.preview_change('acme', '{"team": {"remove": 2}}') \gset
SELECT pg_temp.asked(:call) ~ 'create_prorations';
SELECT pg_temp.answer(:call, pg_temp.invoice(4670, 4670)), pg_temp.answer(:renewal, pg_temp.invoice(6000, 6000));
SELECT pg_temp.preview(:call);
-- Not prorated: Stripe takes no date, and what waits for the next invoice is on it, too.
SELECT call, call - 1 AS renewal FROM seats.preview_change('acme', '{"free": {"add": 1}}') \gset
SELECT pg_temp.asked(id) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT pg_temp.answer(:call, pg_temp.invoice(9300, 9300)), pg_temp.answer(:renewal, pg_temp.invoice(9000, 9000));
SELECT pg_temp.preview(:call);
-- Nor does the change.
SELECT change FROM seats.change_seats('acme', '{"free": {"add": 1}}', proration_date => (SELECT proration_date FROM seats.preview(:call))) \gset
SELECT pg_temp.freeze(:change);
SELECT pg_temp.asked(:change);
-- A trial costs nothing; what comes after it does.
SELECT pg_temp.team('trial', '{"price_team": 5}', '{"status": "trialing"}');
SELECT call, call - 1 AS renewal FROM seats.preview_change('trial', '{"team": {"add": 1}}') \gset
SELECT pg_temp.asked(:call);
SELECT pg_temp.answer(:call, pg_temp.invoice(6000, 6000)), pg_temp.answer(:renewal, pg_temp.invoice(6000, 6000));
SELECT pg_temp.preview(:call);
-- Where nothing comes after this period, there is no next time.
SELECT pg_temp.team('ends', '{"price_team": 5, "price_free": 1}', '{"cancel_at_period_end": true}');
SELECT call FROM seats.preview_change('ends', '{"team": {"add": 1}}') \gset
SELECT count(*) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT pg_temp.answer(:call, pg_temp.invoice(500, 500));
SELECT pg_temp.preview(:call);
SELECT call FROM seats.preview_change('ends', '{"free": {"add": 1}}') \gset
SELECT pg_temp.answer(:call, '{}', 'refused', 'invoice_upcoming_none');
SELECT pg_temp.preview(:call);
SAVEPOINT before;
SELECT pg_temp.try(format($$SELECT seats.change_seats('ends', '{"free": {"add": 1}}', proration_date => %s)$$,
                          (SELECT proration_date FROM seats.preview(:call))));
ROLLBACK TO before;
-- Collection is paused: nobody is charged.
SELECT pg_temp.team('paused', '{"price_team": 5}', '{"paused": true}');
SELECT call, call - 1 AS renewal FROM seats.preview_change('paused', '{"team": {"add": 1}}') \gset
SELECT pg_temp.answer(:call, pg_temp.invoice(500, 500)), pg_temp.answer(:renewal, pg_temp.invoice(6000, 6000));
SELECT pg_temp.preview(:call);

-- Refused; and one whose renewal was refused.
SELECT call, call - 1 AS renewal FROM seats.preview_change('acme', '{"team": {"add": 7}}') \gset
SELECT pg_temp.answer(:call, '{}', 'refused', 'resource_missing');
SELECT pg_temp.preview(:call);
SELECT pg_temp.try(format($$SELECT seats.change_seats('acme', '{"team": {"add": 7}}', proration_date => %s)$$,
                          (SELECT proration_date FROM seats.preview(:call)))) ~ '^PS525: ';
SELECT pg_temp.answer(:renewal, '{}', 'refused', 'resource_missing');
SELECT call, call - 1 AS renewal FROM seats.preview_change('paused', '{"team": {"add": 2}}') \gset
SELECT pg_temp.answer(:renewal, '{}', 'refused', 'resource_missing'), pg_temp.answer(:call, pg_temp.invoice(500, 500));
SELECT pg_temp.preview(:call) - 'expires_at';

-- Two of one second, made on different seats: nobody knows which of them was shown.
SELECT call, proration_date AS date FROM seats.preview_change('paused', '{"team": {"add": 3}}') \gset
SELECT pg_temp.answer(o.id, pg_temp.invoice(500, 500)) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
SELECT pg_temp.read('paused', '{"price_team": 6}', jsonb_build_object('current_period_end', (
           SELECT extract(epoch FROM current_period_end)::bigint FROM seats_internal.team WHERE name = 'paused')));
SELECT call AS second FROM seats.preview_change('paused', '{"team": {"add": 3}}') \gset
SELECT pg_temp.answer(o.id, pg_temp.invoice(500, 500)) FROM seats_internal.outbox AS o WHERE o.path LIKE '%create_preview';
UPDATE seats_internal.outbox_history SET context = jsonb_set(context, '{preview,proration_date}', to_jsonb(:date)) WHERE id = :second;
SELECT state FROM seats.preview(:second);
SELECT pg_temp.try(format($$SELECT seats.change_seats('paused', '{"team": {"add": 3}}', proration_date => %s)$$, :date)) ~ '^PS513: ';

-- What one call cannot do has no price.
SELECT pg_temp.team('mixed', '{"price_team": 5, "price_free": 1}');
SELECT pg_temp.try($$SELECT seats.preview_change('mixed', '{"team": {"add": 1}, "free": {"remove": 1}}')$$);

-- What is no preview; and whose it is.
SELECT pg_temp.try(format('SELECT seats.preview(%s)', :renewal)) ~ '^PS120: call \d+ is not that of a preview';
SELECT pg_temp.try(format('SELECT seats.preview(%s)', :change)) ~ '^PS120: call \d+ is not that of a preview';
SELECT pg_temp.try('SELECT seats.preview(999999)');
SELECT pg_temp.try('SELECT seats.preview(NULL)');
SELECT pg_temp.try(format('SELECT seats.preview(%s)', seats.enqueue_call('stripe', 'POST', '/v1/invoices/create_preview',
           context => '{"preview": {"proration_date": "soon"}}'))) ~ '^PS120: call \d+ is not that of a preview';
CREATE ROLE regress_seats_a;
CREATE ROLE regress_seats_member IN ROLE regress_seats_a;
CREATE ROLE regress_seats_b;
CREATE ROLE regress_seats_operator;
SELECT seats.grant_application(r)
  FROM unnest('{regress_seats_a,regress_seats_member,regress_seats_b,regress_seats_operator}'::text[]) AS r;
SELECT seats.grant_operator('regress_seats_operator');
SELECT seats.add_member('acme', 'ada', role => 'owner');
SET LOCAL ROLE regress_seats_a;
SELECT call FROM seats.preview_change('acme', '{"team": {"add": 4}}') \gset
SELECT state FROM seats.preview(:call);
SET LOCAL ROLE regress_seats_member;
SELECT state FROM seats.preview(:call);
SET LOCAL ROLE regress_seats_operator;
SELECT state FROM seats.preview(:call);
SET LOCAL ROLE regress_seats_b;
SELECT pg_temp.try(format('SELECT seats.preview(%s)', :call)) ~ '^PS120: there is no call';
RESET ROLE;
-- Its role is gone.
UPDATE seats_internal.outbox SET enqueued_by = 'regress_seats_nobody' WHERE id = :call;
SET LOCAL ROLE regress_seats_a;
SELECT pg_temp.try(format('SELECT seats.preview(%s)', :call)) ~ '^PS120: there is no call';
RESET ROLE;
SELECT state FROM seats.preview(:call);
ROLLBACK;
