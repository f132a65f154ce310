-- What is over is forgotten once it is older than the history. Each step takes some at a time and says
-- whether there are more; what somebody has locked is left for the next time. The history itself, attempts and
-- journal go by their ring.

-- What is found is deleted by its place: a join would read the whole table.
CREATE OR REPLACE FUNCTION seats_internal.forget_ended(too_old timestamptz, most integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deleted integer;
    is_more boolean;
BEGIN
    DELETE FROM seats_internal.alert AS a
     WHERE a.ctid = ANY (ARRAY(
        SELECT o.ctid FROM seats_internal.alert AS o
         WHERE o.resolved_at < too_old ORDER BY o.resolved_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    is_more := deleted >= most;
    DELETE FROM seats_internal.member AS m
     WHERE m.ctid = ANY (ARRAY(
        SELECT o.ctid FROM seats_internal.member AS o
         WHERE o.ended_at < too_old ORDER BY o.ended_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    is_more := is_more OR deleted >= most;
    DELETE FROM seats_internal.invite AS i
     WHERE i.ctid = ANY (ARRAY(
        SELECT o.ctid FROM seats_internal.invite AS o
         WHERE o.ended_at < too_old ORDER BY o.ended_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    is_more := is_more OR deleted >= most;
    DELETE FROM seats_internal.request_key AS k
     WHERE k.ctid = ANY (ARRAY(
        SELECT o.ctid FROM seats_internal.request_key AS o
         WHERE o.created_at < too_old ORDER BY o.created_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    is_more := is_more OR deleted >= most;
    DELETE FROM seats_internal.compensated_call AS c
     WHERE c.ctid = ANY (ARRAY(
        SELECT o.ctid FROM seats_internal.compensated_call AS o
         WHERE o.ended_at < too_old ORDER BY o.ended_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN is_more OR deleted >= most;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_ended(timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_ended(timestamptz, integer) IS
    'deletes alerts that are resolved, members who have left, invites that are settled, request keys and '
    'marks of compensated calls of before then, some of each: true if there may be more';

-- A lane is somebody's as long as it has rows, a handler that has not run, a team, a member of a payment request, a
-- receiver or a pause. Of other lanes the name is wanted while the history tells of their calls, and that is why those
-- with rows count as used.
CREATE OR REPLACE FUNCTION seats_internal.forget_lanes(too_old date, most integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (Read once, by the index of the reads, which are few.)
    read_beside CONSTANT bigint[] := ARRAY(SELECT r.beside_lane_id FROM seats_internal.outbox AS r
                                            WHERE r.kind = 'read' AND r.team_id IS NOT NULL);
    unused bigint[];
    lane   bigint;
BEGIN
    SELECT coalesce(array_agg(l.id), '{}') INTO unused
      FROM (SELECT o.id FROM seats_internal.lane AS o
             WHERE o.used_on < too_old ORDER BY o.used_on LIMIT most FOR UPDATE SKIP LOCKED) AS l;
    -- Further statements, and new snapshots: whoever enqueues holds the lane until he commits.
    FOREACH lane IN ARRAY unused LOOP
        IF EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.lane_id = lane)
           OR lane = ANY (read_beside)
           OR EXISTS (SELECT FROM seats_internal.handler AS h WHERE h.lane_id = lane)
           OR EXISTS (SELECT FROM seats_internal.team AS t WHERE t.lane_id = lane)
           OR EXISTS (SELECT FROM seats_internal.payment_member AS m WHERE m.lane_id = lane)
           OR EXISTS (SELECT FROM seats_internal.receiver AS r WHERE r.lane_id = lane)
           OR EXISTS (SELECT FROM seats_internal.lane AS l WHERE l.id = lane AND l.paused_at IS NOT NULL) THEN
            UPDATE seats_internal.lane AS l SET used_on = CURRENT_DATE WHERE l.id = lane;
        ELSE
            DELETE FROM seats_internal.lane_marker AS m WHERE m.lane_id = lane;
            DELETE FROM seats_internal.lane AS l WHERE l.id = lane;
        END IF;
    END LOOP;
    RETURN cardinality(unused) >= most;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_lanes(date, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_lanes(date, integer) IS
    'deletes lanes that nobody has used since then, some of them: true if there may be more';

-- (A partition of the history may be kept for a seventh longer than asked for.)
CREATE OR REPLACE FUNCTION seats_internal.forget(history_days integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_more boolean;
BEGIN
    is_more := seats_internal.forget_events(history_days);
    is_more := seats_internal.forget_ended(
        clock_timestamp() - history_days * interval '1 day', 1000) OR is_more;
    RETURN seats_internal.forget_lanes(CURRENT_DATE - history_days * 8 / 7 - 1, 200) OR is_more;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget(integer) IS
    'forgets what is older than the history, some at a time: true if there may be more; called by the worker';

-- Retention: when the current slot is older than a seventh of what is to be kept, the oldest slot is
-- emptied and becomes the current one. TRUNCATE wants the partition for itself; a reader delays it
-- to the next time.
CREATE OR REPLACE FUNCTION seats_internal.turn_ring(history_days integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    next_slot smallint;
    parent    text;
BEGIN
    SELECT seats_internal.ring_slot_beside(ring.slot, 1) INTO next_slot
      FROM seats_internal.ring
     WHERE ring.since < clock_timestamp() - turn_ring.history_days * interval '1 day' / 7
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOREACH parent IN ARRAY ARRAY['outbox_history', 'attempt', 'journal'] LOOP
        EXECUTE format('TRUNCATE TABLE seats_internal.%I', parent || '_' || next_slot);
    END LOOP;
    -- (Of the changes that were settled last some may be gone.)
    UPDATE seats_internal.ring SET slot = next_slot, since = clock_timestamp(), page_changes = ring.page_changes + 1;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.turn_ring(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.turn_ring(integer) IS
    'empties the oldest partition of history, attempts and journal; called by the worker';

-- The ring's row is made by this script, and a dump holds another one: a restore would collide with
-- it, and without it would believe that slot 0 is the newest, and empty newer partitions too early.
-- So a row that comes in takes the place of the one that is there.
CREATE OR REPLACE FUNCTION seats_internal.replace_ring() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM seats_internal.ring;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.replace_ring() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.replace_ring() IS
    'trigger: the ring''s row of a dump takes the place of the install script''s';

CREATE OR REPLACE TRIGGER ring_of_a_dump_replaces_ours
    BEFORE INSERT ON seats_internal.ring
    FOR EACH ROW EXECUTE FUNCTION seats_internal.replace_ring();
-- Also where the row comes by logical replication, which fires no other triggers.
ALTER TABLE seats_internal.ring ENABLE ALWAYS TRIGGER ring_of_a_dump_replaces_ours;
