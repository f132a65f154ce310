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
-- Repeated when there is another destination, it is where it was; only a new one must say where.
SELECT seats.define_destination('second', 'http://127.0.0.1:9', 'test_key', livemode => false);
SELECT repeated FROM seats.create_payment_request(
    'dinner', 'eur', '[{"reference": "ann", "amount": 1250}, {"reference": "bob", "amount": 1250},
                       {"reference": "cy", "amount": 0}]', title => 'Dinner');
SELECT pg_temp.try($$SELECT seats.create_payment_request('supper', 'eur', '[]')$$);
SELECT seats.drop_destination('second', 'it was for this test');
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
-- (A lane of a member is nobody else's to stand in.)
SELECT pg_temp.try(format($$SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', lane => %L)$$, l.name)),
       pg_temp.try(format($$SELECT seats.enqueue_call('stripe', 'POST', '/v1' || %L, lane => %1$L)$$, l.name))
  FROM seats_internal.lane AS l JOIN seats_internal.payment_member AS m ON m.lane_id = l.id LIMIT 1;
SELECT reference, state, payment = :a_payment AS payment, attempts FROM seats.payment_members
 WHERE request_key = 'dinner' ORDER BY reference;

-- What cannot be started, and with what.
SELECT pg_temp.try(format('SELECT seats.start_payment(%s)', call))
  FROM (VALUES (1, :'bob' || $$, '[]'$$),
               (2, :'bob' || $$, '{"amount": 5}'$$),
               (3, :'bob' || $$, '{"confirm": true}'$$),
               (4, :'bob' || $$, '{"customer": "Bob"}'$$),
               (5, :'bob' || $$, '{"receipt_email": "bob"}'$$),
               (6, :'bob' || $$, '{"setup_future_usage": "always"}'$$),
               (7, :'bob' || $$, '{"transfer_data": {"amount": 5}}'$$),
               (8, :'bob' || $$, '{"transfer_data": {"destination": "acct_1", "amount": 1251}}'$$),
               (9, :'bob' || $$, '{"application_fee_amount": -1}'$$),
               (10, :'bob' || $$, '{"description": 5}'$$),
               (11, :'cy'),
               (12, '0'),
               (13, 'NULL')) AS c (number, call)
 ORDER BY c.number;

-- Who pays is asked by number and name. That a number is the other thing's is told to the payer alone.
SELECT pg_temp.try(format('SELECT seats_internal.check_payer(%L, %s, %L)', c.what, c.number, c.payer))
  FROM (VALUES (1, 'member', :ann, 'ann'), (2, 'payment', :a_payment, 'ann'), (3, 'member', :ann, 'bob'),
               (4, 'payment', :a_payment, 'bob'), (5, 'member', 0, 'ann'), (6, 'member', :ann, NULL),
               (7, 'payment', :ann, 'ann'), (8, 'member', :a_payment, 'ann'), (9, 'payment', :ann, 'bob'))
       AS c (place, what, number, payer)
 ORDER BY c.place;

-- While it can be paid nothing else may happen to what is owed.
SELECT pg_temp.try(format('SELECT seats.change_amount(%s, 1300)', :ann));
SELECT pg_temp.try(format('SELECT seats.settle_member(%s, ''waived'', ''birthday'')', :ann));
SELECT seats.change_amount(:ann, 1250);

-- Nothing of it was sent: it is cancelled at once, and its create is taken back.
SELECT pg_temp.try(format('SELECT seats.cancel_payment(%s, ''no fun'')', :a_payment));
SELECT seats.cancel_payment(:a_payment);
SELECT seats.cancel_payment(:a_payment);
SELECT h.kind, h.result, h.reason, h.proof, h.payment_id = :a_payment AS payment
  FROM seats_internal.outbox_history AS h WHERE h.id = :a_call;
SELECT state, attempts, payment FROM seats.payment_members WHERE member = :ann;
SELECT state, cancel_reason FROM seats.payments WHERE payment = :a_payment;
SELECT kind, amount FROM seats.payment_transactions;

-- Now the amount can change; the next attempt has another key.
SELECT seats.change_amount(:ann, 1300);
SELECT * FROM seats.start_payment(:ann, '{"transfer_data": {"destination": "acct_1"}}') \gset b_
SELECT :'b_attempt', :'b_state', :'b_repeated', :b_payment <> :a_payment AS other;
SELECT p.amount, p.has_transfer, p.uuid = o.uuid AS own_uuid,
       p.uuid <> (SELECT f.uuid FROM seats_internal.payment AS f WHERE f.id = :a_payment) AS other_uuid
  FROM seats_internal.payment AS p JOIN seats_internal.outbox AS o ON o.id = p.call_id WHERE p.id = :b_payment;

-- It is on the wire, and perhaps made: what is to become of it is noted. Each click says so.
SAVEPOINT sent;
UPDATE seats_internal.outbox SET state = 'sending', first_sent_at = now(), doubt = true WHERE id = :b_call;
SELECT seats.cancel_payment(:b_payment);
SELECT state, repeated FROM seats.start_payment(:ann);
SELECT count(*) FROM seats_internal.outbox WHERE payment_id = :b_payment AND kind = 'payment';
-- The intent is there, and payable: now it can be cancelled.
SELECT seats_internal.payment_created(
    :b_call, :b_payment, 'done', jsonb_build_object(
        'object', 'payment_intent', 'id', 'pi_b', 'status', 'requires_payment_method', 'amount', 1300,
        'amount_received', 0, 'currency', 'eur'), clock_timestamp(), false, NULL, NULL) AS secret_may_be_given;
SELECT method, path, body FROM seats_internal.outbox WHERE payment_id = :b_payment AND kind = 'payment_cancel';
SELECT state FROM seats.payments WHERE payment = :b_payment;
ROLLBACK TO sent;

-- Removing: who never began is gone, others are closed, and come back with their attempts.
SELECT seats.remove_payment_member(:cy);
SELECT seats.remove_payment_member(:ann);
SELECT reference, state, attempts, removed_at IS NOT NULL AS removed FROM seats.payment_members
 WHERE request = :request ORDER BY reference;
SELECT pg_temp.try(format('SELECT seats.start_payment(%s)', :ann));
SELECT seats.add_payment_member(:request, 'ann', 900);
SELECT * FROM seats.add_payment_member(:request, 'dan', 100) \gset dan_
SELECT repeated FROM seats.add_payment_member(:request, 'dan', 100);
SELECT pg_temp.try(format('SELECT seats.add_payment_member(%s, ''dan'', 200)', :request));
SELECT pg_temp.try('SELECT seats.add_payment_member(0, ''dan'', 200)');
SELECT attempt FROM seats.start_payment(:ann);

-- Settled by hand, and taken back.
SELECT pg_temp.try(format('SELECT seats.settle_member(%s, ''waived'', '' '')', :bob));
SELECT pg_temp.try(format('SELECT seats.settle_member(%s, ''paid'', ''cash'')', :bob));
SELECT pg_temp.try(format('SELECT seats.settle_member(%s, ''unpaid'', ''cash'')', :bob));
SELECT seats.settle_member(:bob, 'paid_outside', 'cash');
SELECT reference, state, reason FROM seats.payment_members WHERE member = :bob;
SELECT pg_temp.try(format('SELECT seats.start_payment(%s)', :bob));
SELECT pg_temp.try(format('SELECT seats.change_amount(%s, 500)', :bob));
-- (What was said of him is not forgotten when he goes.)
SELECT seats.remove_payment_member(:bob);
SELECT state, reason, removed_at IS NOT NULL AS removed FROM seats.payment_members WHERE member = :bob;
SELECT member = :bob AS same, repeated FROM seats.add_payment_member(:request, 'bob', 1250);
SELECT seats.settle_member(:bob, 'unpaid', 'it was not his');
SELECT state FROM seats.start_payment(:bob);

-- Intents of starts that were forgotten: the canceled one is a former attempt, the next one is gone on with and read.
INSERT INTO seats_internal.payment_stray
    (destination, intent, installation, hash, attempt, status, amount, received, currency, created)
SELECT 'stripe', s.intent, '11111111-2222-4333-8444-555555555555', m.hash, s.attempt, s.status, 100, 0, 'eur', now()
  FROM seats_internal.payment_member AS m
 CROSS JOIN (VALUES ('pi_1', 1, 'canceled'), ('pi_2', 2, 'succeeded')) AS s (intent, attempt, status)
 WHERE m.id = :dan_member;
SELECT attempt, state, repeated, call FROM seats.start_payment(:dan_member);
SELECT intent, attempt, state FROM seats.payments WHERE member = :dan_member ORDER BY attempt;
SELECT o.kind, o.method, o.path FROM seats_internal.outbox AS o JOIN seats_internal.payment AS p ON p.id = o.payment_id
 WHERE p.member_id = :dan_member;
SELECT count(*) FROM seats.payment_drift;
SELECT attempt, repeated FROM seats.start_payment(:dan_member);
-- The same when the whole request was forgotten: who has begun goes on as soon as he is a member again; what he would pay
-- is not what he owes.
INSERT INTO seats_internal.payment_stray
    (destination, intent, installation, hash, attempt, status, amount, received, currency, created)
VALUES ('stripe', 'pi_3', '11111111-2222-4333-8444-555555555555', seats_internal.payment_hash('again', 'eve'), 1,
        'requires_payment_method', 100, 0, 'eur', now());
SELECT r.repeated FROM seats.create_payment_request('again', 'eur', '[{"reference": "eve", "amount": 200}]') AS r;
SELECT p.intent, p.state, p.amount, m.state FROM seats.payments AS p JOIN seats.payment_members AS m USING (member)
 WHERE p.reference = 'eve';
-- Who is added takes over what is his, and nothing of others, whose lanes he has not.
SELECT r.request AS again FROM seats.create_payment_request('again', 'eur', '[{"reference": "eve", "amount": 200}]') AS r \gset
SELECT m.member AS fay FROM seats.add_payment_member(:again, 'fay', 200) AS m \gset
INSERT INTO seats_internal.payment_stray
    (destination, intent, installation, hash, attempt, status, amount, received, currency, created)
VALUES ('stripe', 'pi_4', '11111111-2222-4333-8444-555555555555', seats_internal.payment_hash('again', 'fay'), 1,
        'requires_payment_method', 200, 0, 'eur', now());
SELECT m.repeated FROM seats.add_payment_member(:again, 'gus', 200) AS m;
SELECT state, live_payment_id FROM seats_internal.payment_member WHERE id = :fay;

-- The request is cancelled: nobody begins any more.
SELECT * FROM seats.cancel_payment_request(:request, 'the dinner was cold');
SELECT * FROM seats.cancel_payment_request(:request, 'the dinner was cold');
SELECT pg_temp.try(format('SELECT seats.start_payment(%s)', :ann));
SELECT pg_temp.try(format('SELECT seats.add_payment_member(%s, ''fay'', 200)', :request));
SELECT reference, state, attempts FROM seats.payment_members WHERE request = :request ORDER BY reference;
SELECT state, members, settled, amount FROM seats.payment_requests WHERE request = :request;
SELECT kind, count(*) FROM seats_internal.journal WHERE kind LIKE 'payment.%' GROUP BY kind ORDER BY kind COLLATE "C";

-- What a role that takes payments may do, and no more; lanes of members are nobody's to forget.
CREATE ROLE regress_seats_till;
SELECT seats.grant_payments('regress_seats_till');
SET ROLE regress_seats_till;
SELECT repeated FROM seats.create_payment_request('till', 'eur', '[{"reference": "ann", "amount": 500}]');
SELECT state FROM seats.start_payment(seats.payment_member('till', 'ann'));
SELECT count(*) FROM seats.payments WHERE request_key = 'till';
SELECT pg_temp.try('SELECT seats.resolve_payment(1, ''keep'', ''x'')');
SELECT pg_temp.try('SELECT count(*) FROM seats.alerts');
RESET ROLE;
SELECT seats.revoke_payments('regress_seats_till');
SELECT has_function_privilege('regress_seats_till', 'seats.start_payment(bigint, jsonb, boolean)', 'EXECUTE'),
       has_table_privilege('regress_seats_till', 'seats.payments', 'SELECT');
UPDATE seats_internal.lane SET used_on = '2020-01-01';
DELETE FROM seats_internal.outbox;
SELECT seats_internal.forget_lanes(CURRENT_DATE, 1000);
SELECT count(*) = (SELECT count(*) FROM seats_internal.payment_member) AS all_lanes
  FROM seats_internal.lane WHERE name LIKE '/payments/%';
ROLLBACK;
