-- Locks. The order everywhere is: a lane, then rows of the outbox. The lane is taken before an id is drawn and before
-- what it orders is read, which a second statement does, with a new snapshot.

-- Locks the lane.
CREATE OR REPLACE FUNCTION seats_internal.require_lane(destination text, name text) RETURNS seats_internal.lane
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_lane seats_internal.lane;
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1
     WHERE l.destination = require_lane.destination AND l.name = require_lane.name
    RETURNING l.* INTO found_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'destination % has no lane %', quote_ident(destination), quote_ident(name)
            USING ERRCODE = 'PS408',
                  HINT = 'A lane exists from its first call on; seats.calls shows them.';
    END IF;
    RETURN found_lane;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_lane(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_lane(text, text) IS
    'locks a lane and gives it, or an error';

-- Who holds a team keeps up that team alone.
CREATE OR REPLACE FUNCTION seats_internal.try_lane(lane_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM seats_internal.lane AS l WHERE l.id = try_lane.lane_id FOR NO KEY UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.try_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.try_lane(bigint) IS 'locks a lane if nobody else holds it';

-- Queues up for the lock, once and shortly, for a team that somebody is always changing.
CREATE OR REPLACE FUNCTION seats_internal.wait_for_lane(lane_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former text := current_setting('lock_timeout');
    taken  boolean;
BEGIN
    PERFORM set_config('lock_timeout', '50ms', true);
    PERFORM FROM seats_internal.lane AS l WHERE l.id = wait_for_lane.lane_id FOR NO KEY UPDATE;
    taken := FOUND;
    PERFORM set_config('lock_timeout', former, true);
    RETURN taken;
EXCEPTION WHEN lock_not_available THEN  -- which undoes the setting, too
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.wait_for_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wait_for_lane(bigint) IS
    'locks a lane, and waits a moment for it; false: in vain';

-- Locks the lanes that nobody holds, in order, and gives them. What is about to be settled must be counted
-- by the prices that are listed now, and what was before, too: else the difference would be somebody's doing.
CREATE OR REPLACE FUNCTION seats_internal.take_lanes(lanes bigint[], queue_for_lane bigint) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint[];
BEGIN
    SELECT coalesce(array_agg(l.id), '{}') INTO taken
      FROM (SELECT lane.id FROM seats_internal.lane
             WHERE lane.id = ANY (lanes)
             ORDER BY lane.id FOR NO KEY UPDATE SKIP LOCKED) AS l;
    IF queue_for_lane = ANY (lanes) AND queue_for_lane <> ALL (taken) THEN
        IF seats_internal.wait_for_lane(queue_for_lane) THEN
            taken := taken || queue_for_lane;
        END IF;
    END IF;
    IF EXISTS (SELECT FROM seats_internal.recount) THEN
        PERFORM seats_internal.recount_now(t.id) FROM seats_internal.team AS t
          WHERE t.lane_id = ANY (taken) AND t.kind = 'team' AND t.items IS NOT NULL;
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_lanes(bigint[], bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_lanes(bigint[], bigint) IS
    'locks those of the lanes that nobody else holds (waits a moment for one of them), and counts their teams anew if need be';

-- Lane first, then the row: the order that everybody keeps.
CREATE OR REPLACE FUNCTION seats_internal.lock_call(call bigint) RETURNS seats_internal.outbox
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox;
BEGIN
    UPDATE seats_internal.lane
       SET version = lane.version + 1
      FROM seats_internal.outbox AS o
     WHERE o.id = call AND lane.id = o.lane_id;
    SELECT o.* INTO locked FROM seats_internal.outbox AS o WHERE o.id = call FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_not_open(call);
    END IF;
    RETURN locked;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.lock_call(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.lock_call(bigint) IS
    'locks the lane and the row of an open call, and gives the row as it is then';

-- The worker finds rows by the transaction that made them eligible, and remembers of a lane only
-- how far it has come. So whoever changes or removes a lane's first row shows it the lane anew. (The
-- lane is named by its bounds: with an equality the primary key would do for the order, and would be
-- read from its head.)
CREATE OR REPLACE FUNCTION seats_internal.reoffer_lane(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox
       SET eligible_xid = pg_current_xact_id()
     WHERE outbox.id = (SELECT head.id
                          FROM seats_internal.outbox AS head
                         WHERE head.lane_id BETWEEN reoffer_lane.lane_id AND reoffer_lane.lane_id
                         ORDER BY head.lane_id, head.id
                         LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reoffer_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reoffer_lane(bigint) IS
    'lets the worker see the first row of a lane as if it had just arrived';

-- An advisory lock of our own kind: its key can be guessed, and nobody's pg_advisory_lock() meets it.
CREATE OR REPLACE FUNCTION seats_internal.try_lock(key bigint, is_shared boolean) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pg_seats_try_lock';
REVOKE ALL ON FUNCTION seats_internal.try_lock(bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.try_lock(bigint, boolean) IS
    'takes a lock until the transaction''s end; false: somebody else has it';
