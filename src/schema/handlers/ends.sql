-- From the end of a call to a handler that can run.

CREATE OR REPLACE FUNCTION seats_internal.wake_for_handlers(calls bigint[]) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pg_seats_wake_for_handlers';
REVOKE ALL ON FUNCTION seats_internal.wake_for_handlers(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wake_for_handlers(bigint[]) IS
    'tells the worker, at this transaction''s commit, that the handlers of these calls can run';

-- An answer was stored as it came: not all of them are JSON, and not all that JSON may hold can stand in a jsonb.
CREATE OR REPLACE FUNCTION seats_internal.answer_as_jsonb(answer bytea) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN convert_from(answer, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.answer_as_jsonb(bytea) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.answer_as_jsonb(bytea) IS 'an answer of Stripe''s, if it can be jsonb';

-- What was asked is told as it was when the change was made; what it led to, as its call has left it.
CREATE OR REPLACE FUNCTION seats_internal.lines_of_outcome(
    lines   jsonb,
    is_done boolean,
    carrier seats_internal.outbox_history
) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_agg(jsonb_build_object(
               'seat_type', l.seat_type, 'operation', l.operation, 'previous_quantity', l.previous_quantity,
               'asked_quantity', l.new_quantity,
               'resulting_quantity', CASE
                   WHEN is_done THEN coalesce((carrier.target ->> l.seat_type)::integer, l.new_quantity)
                   ELSE coalesce((carrier.base ->> l.seat_type)::integer, l.previous_quantity) END)
               ORDER BY l.number)
      FROM ROWS FROM (jsonb_to_recordset(lines)
                      AS (seat_type text, operation text, previous_quantity integer, new_quantity integer))
           WITH ORDINALITY AS l (seat_type, operation, previous_quantity, new_quantity, number);
END;
REVOKE ALL ON FUNCTION
    seats_internal.lines_of_outcome(jsonb, boolean, seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.lines_of_outcome(jsonb, boolean, seats_internal.outbox_history) IS
    'the lines of a change with what was there, what was asked for and what came of it';

CREATE OR REPLACE FUNCTION seats_internal.outcome_of(call seats_internal.outbox_history) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outcome jsonb := jsonb_strip_nulls(jsonb_build_object(
        'result', call.result, 'reason', call.reason, 'code', call.error_code, 'decline_code', call.decline_code,
        'error', call.error, 'proof', call.proof));
    carrier seats_internal.outbox_history := call;
    answer  jsonb;
BEGIN
    IF call.lines IS NOT NULL THEN
        IF call.carrier_id IS NOT NULL THEN
            carrier := seats_internal.settled_call(call.carrier_id);
        END IF;
        outcome := outcome || jsonb_build_object(
            'lines', seats_internal.lines_of_outcome(call.lines, call.result = 'done', carrier));
    END IF;
    -- (Only its own answer: not what a read or a list has shown, and not that of the call that has carried it.)
    IF call.carrier_id IS NULL AND call.proof IN ('answered', 'replayed') AND call.answer IS NOT NULL THEN
        answer := seats_internal.answer_as_jsonb(call.answer);
    END IF;
    RETURN outcome || CASE WHEN answer IS NULL THEN '{}' ELSE jsonb_build_object('answer', answer) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.outcome_of(seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.outcome_of(seats_internal.outbox_history) IS
    'what a handler is told of its call';

-- Every end comes here (move_to_history, and store_finished in src/engine/store.cpp), in the transaction in which the
-- call ends. The lane needs no lock for it: what runs when is the business of whoever runs them.
CREATE OR REPLACE FUNCTION seats_internal.calls_ended(calls bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended bigint[];
BEGIN
    DELETE FROM seats_internal.handler AS h
     USING seats_internal.outbox_history AS k
     WHERE h.call_id = ANY (calls) AND h.outcome IS NULL
       AND k.ring = ANY (seats_internal.ring_slots()) AND k.id = ANY (calls) AND k.id = h.call_id
       AND CASE k.result WHEN 'done' THEN h.on_done ELSE h.on_refused END IS NULL;
    WITH told AS (
        UPDATE seats_internal.handler AS h
           SET outcome = seats_internal.outcome_of(k), ended_at = k.settled_at
          FROM seats_internal.outbox_history AS k
         WHERE h.call_id = ANY (calls) AND h.outcome IS NULL
           AND k.ring = ANY (seats_internal.ring_slots()) AND k.id = ANY (calls) AND k.id = h.call_id
        RETURNING h.call_id, k.uuid, k.settled_at, k.result),
    compensated AS (
        INSERT INTO seats_internal.compensated_call (call_id, uuid, ended_at)
        SELECT t.call_id, t.uuid, t.settled_at FROM told AS t WHERE t.result <> 'done'
        ON CONFLICT ON CONSTRAINT compensated_call_pkey DO NOTHING)
    SELECT array_agg(told.call_id) INTO ended FROM told;
    PERFORM seats_internal.wake_for_handlers(ended);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.calls_ended(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.calls_ended(bigint[]) IS
    'tells the handlers of these calls, which are in the history by now, what came of them, and lets them run';
