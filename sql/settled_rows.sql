-- Rows of every kind. However one ends, the history says of it what the outbox said: every column that both name alike is compared. (The
-- worker's own way, with an answer, is compared at the end of test/scenarios/30_seat_changes.pl.)
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.register_team('acme', 'sub_acme');
SELECT pg_temp.read('acme', '{"price_team": 5}');

-- A row of each kind in which every column says something.
CREATE TEMPORARY TABLE was (id bigint, words jsonb);
CREATE FUNCTION pg_temp.leave(kind text, state text DEFAULT 'waiting') RETURNS bigint LANGUAGE sql AS $$
    WITH made AS (
        INSERT INTO seats_internal.outbox AS o
            (lane_id, created_at, first_sent_at, installation, state, generation, attempts, destination, method, path,
             body, enqueued_by, reason, last_error, error_code, decline_code, request_id, context, kind, team_id, payment_id,
             actor, acting_person, lines, base, target)
        SELECT t.lane_id, now() - interval '1 hour', now() - interval '1 minute', i.uuid,
               leave.state::seats_internal.outbox_state, 3, 7, 'stripe', 'POST', '/v1/path', 'body=1',
               'somebody', 'why it waits', 'an error', 'a_code', 'a_decline', 'req_1', '{"change": 1}', leave.kind, t.id, 4711,
               'an actor', 'a person', '[{"seat_type": "team", "operation": "add", "quantity": 1}]', '{"team": 5}', '{"team": 6}'
          FROM seats_internal.team AS t CROSS JOIN seats_internal.installation AS i
         WHERE t.name = 'acme'
        RETURNING o.*)
    INSERT INTO was SELECT made.id, to_jsonb(made) FROM made RETURNING id
$$;
-- Which columns of the same name say something else now, or said nothing before.
CREATE FUNCTION pg_temp.history(call bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s %s, by %s, along with %s; other: %s; empty: %s; error: %s %s %s',
                  h.kind, h.result, h.reason, coalesce(h.settled_by, '-'),
                  CASE WHEN h.carrier_id IS NULL THEN '-' ELSE 'another' END,
                  coalesce(string_agg(k.key, ' ' ORDER BY k.key) FILTER (WHERE o.value IS DISTINCT FROM k.value), '-'),
                  coalesce(string_agg(k.key, ' ' ORDER BY k.key) FILTER (WHERE o.value = 'null'), '-'),
                  h.error, h.error_code, h.decline_code)
      FROM seats_internal.settled_call(call) AS h
      JOIN was AS w ON w.id = h.id
     CROSS JOIN LATERAL jsonb_each(to_jsonb(h)) AS k
      JOIN LATERAL jsonb_each(w.words) AS o ON o.key = k.key
     GROUP BY h.kind, h.result, h.reason, h.settled_by, h.carrier_id, h.error, h.error_code, h.decline_code
$$;

-- By a person, or by the worker without an answer.
CREATE FUNCTION pg_temp.by_hand(kind text, result text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call bigint := pg_temp.leave(kind);
BEGIN
    PERFORM seats_internal.settle_by_hand('operator', call, result, result || '_by_operator', 'person');
    RETURN pg_temp.history(call);
END
$$;
SELECT pg_temp.by_hand(k.kind, r.result)
  FROM seats_internal.kinds() AS k CROSS JOIN (VALUES ('done'), ('refused'), ('cancelled')) AS r (result);
DELETE FROM seats_internal.outbox;

-- Changes, with an end of their own.
SELECT pg_temp.leave('change', 'pending') AS a \gset
SELECT pg_temp.leave('change', 'pending') AS b \gset
SELECT seats_internal.finish_changes(ARRAY[:a, :b], 'refused', 'no_longer_valid', 'pg_seats');
SELECT pg_temp.history(:a);
SELECT pg_temp.history(:b);
SELECT pg_temp.leave('change', 'pending') AS c \gset
SELECT seats_internal.finish_changes(ARRAY[:c], 'done', 'proven', 'pg_seats');
SELECT pg_temp.history(:c);
SELECT pg_temp.leave('change', 'pending') AS d \gset
SELECT seats_internal.finish_changes(ARRAY[:d], 'cancelled', 'cancelled', 'somebody', NULL, 'somebody', 'another actor');
SELECT pg_temp.history(:d);
-- Along with another's call: what was said was said of that one. The call itself may be among them.
UPDATE seats_internal.outbox_history SET error = 'of the carrier', error_code = 'its_code', decline_code = 'its_decline'
 WHERE id = :a;
SELECT pg_temp.leave('change', 'carried') AS e \gset
SELECT seats_internal.finish_changes(ARRAY[:e], 'refused', 'card_declined', 'pg_seats', :a);
SELECT pg_temp.history(:e);
SELECT pg_temp.leave('change', 'carried') AS f \gset
SELECT seats_internal.finish_changes(ARRAY[:f], 'done', 'proven', 'pg_seats', :a);
SELECT pg_temp.history(:f);
SELECT pg_temp.leave('change') AS g \gset
SELECT pg_temp.leave('change', 'carried') AS h \gset
SELECT seats_internal.finish_changes(ARRAY[:g, :h], 'refused', 'no_longer_valid', 'pg_seats', :g);
SELECT pg_temp.history(:g);
SELECT pg_temp.history(:h);

-- Reads that another one has answered.
SELECT pg_temp.leave('read', 'pending') AS i \gset
SELECT seats_internal.finish_reads(t.id, now()) FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT pg_temp.history(:i);

-- Taken over from the original, or a copy of it: what can be in doubt is (a change that was not planned has nothing to
-- verify yet, and is pending all the same); reads and deliveries are not.
CREATE FUNCTION pg_temp.open() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', o.kind, CASE WHEN o.body = '' THEN '(no body)' END, o.state,
                                CASE WHEN o.doubt THEN '(in doubt)' END), ', ' ORDER BY o.id)
      FROM seats_internal.outbox AS o
$$;
DELETE FROM seats_internal.outbox;
SELECT count(pg_temp.leave(k.kind)) FROM seats_internal.kinds() AS k;
SELECT pg_temp.leave('change', 'pending') AS j \gset
UPDATE seats_internal.outbox SET body = '' WHERE id = :j;
SELECT seats_internal.doubt_open_calls();
SELECT pg_temp.open();
SELECT seats_internal.review_open_calls('22222222-2222-4333-8444-555555555555');
SELECT pg_temp.open();
ROLLBACK;
