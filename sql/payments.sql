-- Payments: requests, members, starting and cancelling. What Stripe says of them is payment_facts.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();

-- What Stripe takes of a currency.
SELECT c.name, r.* FROM unnest('{usd,jpy,kwd,isk,ugx,idr,xyz}'::text[]) AS c (name)
 CROSS JOIN LATERAL seats_internal.currency_rules(c.name) AS r;
SELECT pg_temp.try(format('SELECT seats_internal.check_amount(%s, %L)', c.amount, c.currency))
  FROM (VALUES (1, '0', 'usd'), (2, '1250', 'usd'), (3, '-1', 'usd'), (4, '100000000', 'usd'), (5, '1250', 'isk'),
               (6, '1255', 'kwd'), (7, 'NULL', 'eur'), (8, '500', 'jpy')) AS c (number, amount, currency)
 ORDER BY c.number;
SET client_min_messages = notice;
SELECT seats_internal.check_amount(20, 'usd');
SET client_min_messages = error;

-- Hashes and uuids hang on names only, and two pairs of names never give the same text.
SELECT seats_internal.payment_hash('dinner', 'ann'),
       seats_internal.payment_uuid('11111111-2222-4333-8444-555555555555', 'abc', 1);
SELECT seats_internal.payment_hash('a:1', 'b') <> seats_internal.payment_hash('a', '1:b')
   AND seats_internal.payment_hash('ab', 'c') <> seats_internal.payment_hash('a', 'bc');

-- A request, once more the same, and another one under its key.
SELECT * FROM seats.create_payment_request(
    'dinner', 'EUR', '[{"reference": "ann", "amount": 1250}, {"reference": "bob", "amount": 1250},
                       {"reference": "cy", "amount": 0}]', title => 'Dinner') \gset
SELECT :'repeated';
SELECT * FROM seats.create_payment_request(
    'dinner', 'eur', '[{"reference": "cy", "amount": 0}, {"reference": "bob", "amount": 1250},
                       {"amount": 1250, "reference": "ann"}]', title => 'Dinner') AS r
 WHERE r.request = :request;
SELECT pg_temp.try($$SELECT seats.create_payment_request('dinner', 'eur', '[]')$$);
SELECT request_key, title, currency, state, members, settled, amount, received, refunded FROM seats.payment_requests;
SELECT reference, amount, currency, state, payment, attempts FROM seats.payment_members ORDER BY reference;

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.create_payment_request(%s)', call))
  FROM (VALUES (1, $$'', 'eur', '[]'$$),
               (2, $$E'a\nb', 'eur', '[]'$$),
               (3, $$'x', 'euro', '[]'$$),
               (4, $$'x', NULL, '[]'$$),
               (5, $$'x', 'eur', '{}'$$),
               (6, $$'x', 'eur', '[{"reference": "ann"}]'$$),
               (7, $$'x', 'eur', '[{"reference": "ann", "amount": 1.5}]'$$),
               (8, $$'x', 'eur', '[{"reference": "ann", "amount": "5"}]'$$),
               (9, $$'x', 'eur', '[{"reference": "ann", "amount": 500, "currency": "eur"}]'$$),
               (10, $$'x', 'eur', '[{"reference": "ann", "amount": 500}, {"reference": "ann", "amount": 600}]'$$),
               (11, $$'x', 'eur', '[{"reference": " ", "amount": 500}]'$$),
               (12, $$'x', 'eur', '[{"reference": "ann", "amount": -500}]'$$),
               (13, $$'x', 'eur', '[]', destination => 'nowhere'$$),
               (14, $$'x', 'eur', '[]', when_paid_after_cancel => 'burn'$$),
               (15, $$'x', 'eur', '[]', abandon_after => '1 second'$$),
               (16, $$'x', 'eur', '[]', title => E'a\nb'$$),
               (17, $$'x', 'eur', '[]', on_paid => 'nothing'$$),
               (18, $$'x', 'eur', '[]', on_refunded => 'no.such_function'$$),
               (19, $$'x', 'eur', '[]', context => '{}'$$),
               (20, $$'x', 'eur', (SELECT jsonb_agg(jsonb_build_object('reference', n::text, 'amount', 500))
                                     FROM generate_series(1, 1001) AS n)$$)) AS c (number, call)
 ORDER BY c.number;

-- Functions for what happens are checked and kept.
CREATE FUNCTION pg_temp.nothing() RETURNS void LANGUAGE sql AS '';
CREATE SCHEMA regress_shop;
CREATE FUNCTION regress_shop.paid(bigint, jsonb, jsonb) RETURNS void LANGUAGE sql AS '';
SELECT * FROM seats.create_payment_request(
    'trip', 'usd', '[]', on_paid => 'regress_shop.paid', on_refunded => 'regress_shop.paid', context => '{"a": 1}')
    AS r (trip, repeated) \gset
SELECT h.fact, h.function FROM seats_internal.payment_handler AS h WHERE h.request_id = :trip ORDER BY h.fact;

-- The first click makes a payment and its call, of names only; each other one gets the same.
SELECT seats.payment_member('dinner', 'ann') AS ann, seats.payment_member('dinner', 'bob') AS bob,
       seats.payment_member('dinner', 'cy') AS cy \gset
SELECT seats.payment_member('dinner', 'dan');
SELECT * FROM seats.start_payment(:ann, '{"customer": "cus_1", "description": "Dinner, shared"}') \gset a_
SELECT :'a_attempt', :'a_state', :'a_repeated';
SELECT r.payment = :a_payment AND r.call = :a_call AS same, r.attempt, r.state, r.repeated
  FROM generate_series(1, 3) AS n CROSS JOIN LATERAL seats.start_payment(:ann) AS r;
SELECT o.kind, o.method, o.path, o.body, o.verifier, o.state, o.payment_id = :a_payment AS payment, l.name AS lane,
       o.uuid = seats_internal.payment_uuid(o.installation, m.hash, 1) AS uuid
  FROM seats_internal.outbox AS o
  JOIN seats_internal.lane AS l ON l.id = o.lane_id
  JOIN seats_internal.payment_member AS m ON m.lane_id = l.id;
SELECT reference, state, payment = :a_payment AS payment, attempts FROM seats.payment_members
 WHERE request_key = 'dinner' ORDER BY reference;
ROLLBACK;
