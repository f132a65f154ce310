-- What is settled: finding it again.

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
     WHERE h.ring = ANY ('{0,1,2,3,4,5,6,7}'::smallint[]) AND h.id = call;
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
