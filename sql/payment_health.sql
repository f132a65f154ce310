-- What health and metrics say of payments.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
BEGIN;
SELECT pg_temp.begin_seats();
CREATE FUNCTION pg_temp.health() RETURNS TABLE (status text, message text, hint text)
LANGUAGE sql AS $$
    SELECT h.status, regexp_replace(regexp_replace(regexp_replace(h.message, '\d\d:\d\d:\d\d', '<duration>'),
               '\d{4}-\d\d-\d\d [^ ]+', '<time>'), 'yet, \d+', 'yet, <payment>'),
           regexp_replace(h.hint, '\(\d+\)', '(<payment>)')
      FROM seats.health AS h WHERE h.check_name ~ '^payment' ORDER BY h.check_name
$$;
CREATE FUNCTION pg_temp.numbers() RETURNS TABLE (name text, labels jsonb, value bigint)
LANGUAGE sql AS $$
    SELECT m.name, m.labels, m.value::bigint FROM seats.metrics AS m
     WHERE m.name ~ '^pg_seats_payment' ORDER BY 1, 2
$$;
\set ECHO all

-- Nothing is there, and nothing is wrong.
SELECT * FROM pg_temp.health();

-- A payment that has no intent yet; for a moment that is as it should be.
SELECT request AS dinner FROM seats.create_payment_request(
    'dinner', 'eur', '[{"reference": "ann", "amount": 1250}, {"reference": "bob", "amount": 1250}]') \gset
SELECT payment AS ann FROM seats.start_payment(seats.payment_member('dinner', 'ann')) \gset
SELECT payment AS bob FROM seats.start_payment(seats.payment_member('dinner', 'bob')) \gset
SELECT status FROM pg_temp.health();
UPDATE seats_internal.payment SET created_at = clock_timestamp() - interval '6 minutes' WHERE id = :ann;
SELECT * FROM pg_temp.health();

-- Somebody must decide.
UPDATE seats_internal.payment SET review_since = clock_timestamp(), cancel_requested_at = clock_timestamp()
 WHERE id = :bob;
SELECT * FROM pg_temp.health();

-- Intents are listed after a failover: it goes on by itself, unless that takes long.
INSERT INTO seats_internal.payment_listing (destination, holds_creates, wanted_reason, found)
VALUES ('stripe', true, 'timeline', 3)
    ON CONFLICT ON CONSTRAINT payment_listing_pkey
    DO UPDATE SET holds_creates = true, wanted_reason = 'timeline', found = 3, finished_at = NULL;
SELECT * FROM pg_temp.health() LIMIT 1;
UPDATE seats_internal.payment SET created_at = clock_timestamp() - interval '11 minutes' WHERE id = :ann;
SELECT status FROM pg_temp.health() LIMIT 1;

-- It has come to its end, and has found one that nobody knows; later it is overdue.
UPDATE seats_internal.payment_listing SET holds_creates = false, finished_at = clock_timestamp();
INSERT INTO seats_internal.payment_stray (destination, intent, status)
VALUES ('stripe', 'pi_1', 'requires_action'), ('stripe', 'pi_2', 'canceled');
SELECT * FROM pg_temp.health() LIMIT 1;
SELECT n.name, n.labels, CASE WHEN n.name ~ 'seconds$' THEN (n.value >= 0)::integer ELSE n.value END AS value
  FROM pg_temp.numbers() AS n;
DELETE FROM seats_internal.payment_stray;
SELECT status, hint FROM pg_temp.health() LIMIT 1;
UPDATE seats_internal.payment_listing SET finished_at = clock_timestamp() - interval '3 days';
SELECT status, hint FROM pg_temp.health() LIMIT 1;
-- What is known of the intents of a destination goes with it.
SELECT seats.define_destination('second', 'http://127.0.0.1:9', 'test_key', livemode => false, requests_per_second => 25);
INSERT INTO seats_internal.payment_listing (destination, finished_at) VALUES ('second', now() - interval '3 days');
INSERT INTO seats_internal.payment_listing_wish (destination, since, reason) VALUES ('second', now(), 'test');
INSERT INTO seats_internal.payment_stray (destination, intent, status) VALUES ('second', 'pi_3', 'requires_action');
INSERT INTO seats_internal.destination_contact (destination, reached_at) VALUES ('second', now());
SELECT status FROM seats.health WHERE check_name = 'payment_listing second';
-- (Where nobody has ever paid there is no daily list.)
SELECT labels, value FROM pg_temp.numbers() WHERE name = 'pg_seats_payment_listing_overdue';
SELECT seats.drop_destination('second', 'it is not used any more');
SELECT count(*) FROM seats.health WHERE check_name = 'payment_listing second';
SELECT (SELECT count(*) FROM seats_internal.payment_listing WHERE destination = 'second')
     + (SELECT count(*) FROM seats_internal.payment_listing_wish WHERE destination = 'second')
     + (SELECT count(*) FROM seats_internal.payment_stray WHERE destination = 'second')
     + (SELECT count(*) FROM seats_internal.destination_contact WHERE destination = 'second') AS rows_left;
ROLLBACK;
