-- What is settled: moving it there, and finding it again.

-- The partitions of the rings of history, attempts and journal. (Asked once, when a statement is planned. The views of
-- outbox and seats say it themselves: their functions run with the rights of whoever asks. So do the tables of outbox
-- and news, which come first. The test `install` compares both with this.)
CREATE OR REPLACE FUNCTION seats_internal.ring_slots() RETURNS smallint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN '{0,1,2,3,4,5,6,7}'::smallint[];
REVOKE ALL ON FUNCTION seats_internal.ring_slots() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.ring_slots() IS 'the slots of the ring';

CREATE OR REPLACE FUNCTION seats_internal.ring_slot_beside(slot smallint, steps integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (slot + steps + cardinality(seats_internal.ring_slots())) % cardinality(seats_internal.ring_slots());
REVOKE ALL ON FUNCTION seats_internal.ring_slot_beside(smallint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.ring_slot_beside(smallint, integer) IS
    'the slot that is written so many turns later, or (steps below zero) was before';

-- The partitions' key is (ring, id): naming all rings lets each partition be asked by its key.
CREATE OR REPLACE FUNCTION seats_internal.settled_call(call bigint) RETURNS seats_internal.outbox_history
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settled seats_internal.outbox_history;
BEGIN
    SELECT h.* INTO settled
      FROM seats_internal.outbox_history AS h
     WHERE h.ring = ANY (seats_internal.ring_slots()) AND h.id = call;
    RETURN settled;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settled_call(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settled_call(bigint) IS 'a call in the history, or null';

CREATE OR REPLACE FUNCTION seats_internal.state_of(call bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT o.state::text FROM seats_internal.outbox AS o WHERE o.id = call),
                    (SELECT h.result FROM seats_internal.settled_call(call) AS h));
END;
REVOKE ALL ON FUNCTION seats_internal.state_of(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.state_of(bigint) IS 'as seats.calls says it: a state, or a result';

-- The one way out of the outbox, beside the worker's own statement for what was answered (src/engine). Gives
-- the rows of the history. What was said of a call was said to its carrier; what a row has of its own is older. `proof`:
-- how the end is known, where that is not as the carrier's; so with the invoice.
--
-- What follows from an end by the kind of the row, whoever ends it knows. What hangs on every end is calls_ended, called
-- here, behind the RETURN QUERY, and in store_finished (src/engine/store.cpp), behind finish_statement: only where there
-- is a handler to be told. (What a team or a receiver that is gone has left, reads and deliveries, is deleted and has no
-- end.)
CREATE OR REPLACE FUNCTION seats_internal.move_to_history(
    calls      bigint[],
    result     text,
    reason     text,
    settled_by text    DEFAULT NULL,
    carrier    bigint  DEFAULT NULL,
    with_error boolean DEFAULT true,
    proof      text    DEFAULT NULL,
    invoice    jsonb   DEFAULT NULL
) RETURNS SETOF seats_internal.outbox_history
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    carriers seats_internal.outbox_history;
BEGIN
    IF move_to_history.carrier IS NOT NULL THEN
        carriers := seats_internal.settled_call(move_to_history.carrier);
    END IF;
    RETURN QUERY
    WITH gone AS (
        DELETE FROM seats_internal.outbox AS o WHERE o.id = ANY (calls) RETURNING o.*)
    INSERT INTO seats_internal.outbox_history AS h
        (ring, id, lane_id, created_at, first_sent_at, settled_at, uuid, installation, result, generation, attempts,
         clean, destination, method, path, body, enqueued_by, reason, error, error_code, decline_code, request_id,
         settled_by, proof, context, kind, team_id, payment_id, carrier_id, actor, lines, base, target, invoice,
         acting_person)
    -- (The ring's row is asked for by itself: joined, an empty statistic makes thousands of it, and the statement so
    -- dear that it is compiled first.)
    SELECT (SELECT r.slot FROM seats_internal.ring AS r),
           g.id, g.lane_id, g.created_at, g.first_sent_at, clock_timestamp(), g.uuid, g.installation,
           move_to_history.result, g.generation, g.attempts, false, g.destination, g.method, g.path, g.body,
           g.enqueued_by, move_to_history.reason,
           CASE WHEN w.has_own THEN g.last_error WHEN with_error THEN carriers.error END,
           CASE WHEN w.has_own THEN g.error_code WHEN with_error THEN carriers.error_code END,
           CASE WHEN w.has_own THEN g.decline_code WHEN with_error THEN carriers.decline_code END,
           g.request_id, move_to_history.settled_by,
           coalesce(move_to_history.proof, carriers.proof), g.context, g.kind, g.team_id, g.payment_id,
           nullif(move_to_history.carrier, g.id), g.actor, g.lines, g.base, g.target,
           coalesce(move_to_history.invoice, carriers.invoice), g.acting_person
      FROM gone AS g
     CROSS JOIN LATERAL (
        SELECT with_error AND (carriers.id IS NULL OR g.id = move_to_history.carrier) AS has_own) AS w
     ORDER BY g.id
    RETURNING h.*;
    IF EXISTS (SELECT FROM seats_internal.handler AS w WHERE w.call_id = ANY (calls)) THEN
        PERFORM seats_internal.calls_ended(calls);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.move_to_history(bigint[], text, text, text, bigint, boolean, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.move_to_history(bigint[], text, text, text, bigint, boolean, text, jsonb) IS
    'ends rows without an answer of their own, all alike: they leave the outbox for the history';
