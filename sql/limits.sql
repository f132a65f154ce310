-- An application words its own message: CONSTRAINT names the limit that was met, and DETAIL ends with what was
-- asked for and what there is, as name=value.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
CREATE FUNCTION pg_temp.limit_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; name text; words text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, name = CONSTRAINT_NAME, words = PG_EXCEPTION_DETAIL;
    RETURN format('%s %s %s', state, name, (
        SELECT jsonb_object_agg(m[1], CASE m[1] WHEN 'room_at' THEN 'a time' ELSE m[2] END)
          FROM regexp_matches(words, '([a-z_]+)=([^ )]*)', 'g') AS m));
END
$$;
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}', largest_change => 5, largest_total => 8, largest_unconfirmed => 2) \g /dev/null
SELECT seats.register_team('acme', 'sub_1') \g /dev/null
SELECT pg_temp.read('acme', '{"price_team": 4}') \g /dev/null
SELECT count(seats.add_member('acme', user_id, 'team')) FROM unnest('{ann,bob,cem}'::text[]) AS user_id;
SELECT count(*) FROM seats.invite('acme', 'dan@example.com', 'team');

SELECT pg_temp.limit_of($$SELECT seats.add_seats('acme', 'team', 6)$$);
SELECT pg_temp.limit_of($$SELECT seats.add_seats('acme', 'team', 5)$$);
SELECT pg_temp.limit_of($$SELECT seats.add_seats('acme', 'team', 3)$$);
SELECT pg_temp.limit_of($$SELECT seats.remove_seats('acme', 'team', 1)$$);
SELECT pg_temp.limit_of($$SELECT seats.remove_seats('acme', 'team', 5)$$);
SELECT pg_temp.limit_of($$SELECT seats.add_seats('acme', 'team', 1, expected_quantity => 3)$$);
SELECT pg_temp.limit_of($$SELECT seats.add_member('acme', 'eva', 'team')$$);
-- When there is room is told where it is known.
SELECT change FROM seats.add_seats('acme', 'team', 2) \gset
UPDATE seats_internal.outbox SET due_at = now() + interval '1 hour', reason = 'stripes_limit_for_a_subscription' WHERE id = :change;
SELECT pg_temp.limit_of($$SELECT seats.add_seats('acme', 'team', 1)$$);

-- Of payments.
SELECT pg_temp.limit_of(format('SELECT seats.create_payment_request(%s)', call))
  FROM (VALUES (1, $$'x', 'usd', '[{"reference": "ann", "amount": -1}]'$$),
               (2, $$'x', 'usd', '[{"reference": "ann", "amount": 100000000}]'$$),
               (3, $$'x', 'isk', '[{"reference": "ann", "amount": 1250}]'$$),
               (4, $$'x', 'eur', (SELECT jsonb_agg(jsonb_build_object('reference', n::text, 'amount', 500))
                                    FROM generate_series(1, 1001) AS n)$$),
               (5, $$'x', 'eur', jsonb_build_array(jsonb_build_object('reference', repeat('x', 256), 'amount', 1))$$),
               (6, $$'x', 'eur', '[]', title => repeat('x', 1001)$$)) AS c (number, call)
 ORDER BY c.number;
SELECT request FROM seats.create_payment_request('full', 'eur', (
    SELECT jsonb_agg(jsonb_build_object('reference', n::text, 'amount', 500)) FROM generate_series(1, 1000) AS n)) \gset
SELECT pg_temp.limit_of(format('SELECT seats.add_payment_member(%s, ''one more'', 500)', :request));
SELECT seats.payment_member('full', '1') AS member \gset
SELECT pg_temp.limit_of(format('SELECT seats.start_payment(%s, %L)', :member, parameters))
  FROM (VALUES (1, jsonb_build_object('description', repeat('x', 1001))),
               (2, jsonb_build_object('statement_descriptor_suffix', repeat('x', 23))),
               (3, '{"application_fee_amount": 501}'),
               (4, '{"transfer_data": {"destination": "acct_1", "amount": 501}}')) AS c (number, parameters)
 ORDER BY c.number;
SELECT payment FROM seats.start_payment(:member) \gset
UPDATE seats_internal.payment SET state = 'succeeded', received = 500, refunded = 100, refund_reserved = 50
 WHERE id = :payment;
SELECT pg_temp.limit_of(format('SELECT seats.refund_payment(%s, 351)', :payment));
ROLLBACK;
